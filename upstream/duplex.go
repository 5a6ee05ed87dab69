package upstream

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// maxQueued and maxQueuedBytes bound the notifications of one call that wait
// for its caller; beyond them they are dropped.
const (
	maxQueued      = 1024
	maxQueuedBytes = 1 << 20
)

// A duplex matches answers with requests where all of them share one stream of
// messages in each direction, as over stdio and HTTP+SSE.
type duplex struct {
	conn  *conn
	write func(context.Context, []byte) error

	mu      sync.Mutex
	waiting map[int64]*waiter // guarded by mu
	strays  time.Time         // until when log messages and questions of a request that was given up may come; guarded by mu
}

// A waiter is a request whose answer has not come.
type waiter struct {
	request *request
	answer  chan outcome  // holds one
	noted   chan struct{} // holds a token while notes may not be empty

	unsent bool      // the server has not read the request; guarded by the duplex's mu
	notes  []message // what came ahead of the answer; guarded by the duplex's mu
	queued int       // bytes of the messages in notes; guarded by the duplex's mu
}

type outcome struct {
	message message
	err     error
}

func newDuplex(c *conn, write func(context.Context, []byte) error) *duplex {
	return &duplex{conn: c, write: write, waiting: map[int64]*waiter{}}
}

func (d *duplex) send(ctx context.Context, body []byte) error { return d.write(ctx, body) }

func (d *duplex) roundTrip(ctx context.Context, r *request) (message, error) {
	w := d.expect(r)
	defer d.forget(w)
	if err := d.write(ctx, r.body()); err != nil {
		return message{}, err
	}
	for {
		select {
		case <-w.noted:
			d.passNotes(w)
		case o := <-w.answer:
			d.passNotes(w)
			return o.message, o.err
		case <-ctx.Done():
			return message{}, context.Cause(ctx)
		case <-d.conn.life.Done():
			return d.last(w)
		}
	}
}

// last returns the answer that came just before the connection ended, if one did.
func (d *duplex) last(w *waiter) (message, error) {
	select {
	case o := <-w.answer:
		d.passNotes(w)
		return o.message, o.err
	default:
	}
	err := context.Cause(d.conn.life)
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.unsent {
		err = &unsentError{err}
	}
	return message{}, err
}

// unsent notes that the server has not read the request id.
func (d *duplex) unsent(id int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.waiting[id]; w != nil {
		w.unsent = true
	}
}

// passNotes passes on what came for the request so far, on the goroutine of
// its caller: a slow one holds up nobody else. What still waits can be taken
// back.
func (d *duplex) passNotes(w *waiter) {
	for {
		d.mu.Lock()
		if len(w.notes) == 0 {
			w.notes = nil
			d.mu.Unlock()
			return
		}
		m := w.notes[0]
		w.notes = w.notes[1:]
		w.queued -= m.size
		d.mu.Unlock()
		d.conn.received(m, w.request)
	}
}

// pass passes a message of the server to whom it concerns. It must be called in
// the order of the messages.
func (d *duplex) pass(m message) {
	if m.isAnswer() {
		id, _ := parseID(m.id)
		if !d.settle(id, outcome{message: m}) {
			d.conn.received(m, nil)
		}
		return
	}
	switch {
	case m.method == cancelled && (d.endListening(m) || d.takeBack(m)):
	case !d.note(m):
		d.conn.received(m, nil)
	}
}

// takeBack forgets a request of the server that waits for its turn, and reports
// whether there is one.
func (d *duplex) takeBack(m message) bool {
	params, _ := rawjson.ParseObject(m.params)
	id := params.Get("requestId")
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.waiting {
		for i, note := range w.notes {
			if note.isRequest() && string(note.id) == string(id) {
				w.notes = slices.Delete(w.notes, i, i+1)
				w.queued -= note.size
				return true
			}
		}
	}
	return false
}

// endListening ends the subscriptions/listen request that the server cancels,
// and reports whether it is one.
func (d *duplex) endListening(m message) bool {
	params, _ := rawjson.ParseObject(m.params)
	id, _ := parseID(params.Get("requestId"))
	d.mu.Lock()
	w := d.waiting[id]
	d.mu.Unlock()
	if w == nil || w.request.method != "subscriptions/listen" {
		return false
	}
	return d.settle(id, outcome{err: errors.New("the server has ended its stream")})
}

// settle ends the request id, and reports whether there was one.
func (d *duplex) settle(id int64, o outcome) bool {
	d.mu.Lock()
	w := d.waiting[id]
	delete(d.waiting, id)
	d.mu.Unlock()
	if w == nil {
		return false
	}
	w.answer <- o
	return true
}

// note keeps a message for the request it belongs to, and reports whether it
// does: there may be none, or it cannot be told. What belongs to one request is
// so passed on in its order, questions of the server included.
func (d *duplex) note(m message) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.ownerLocked(m)
	full := w != nil && (len(w.notes) >= maxQueued || w.queued >= maxQueuedBytes)
	switch {
	case w == nil:
		return false
	case full && m.isRequest():
		return false // it must not get lost
	case !full:
		w.notes = append(w.notes, m)
		w.queued += m.size
	}
	select {
	case w.noted <- struct{}{}:
	default:
	}
	return true
}

// ownerLocked is the request that a message belongs to, if its caller wants it;
// nil if there is none, or that cannot be told.
func (d *duplex) ownerLocked(m message) *waiter {
	var w *waiter
	switch id, ok := about(m); {
	case m.isRequest() && m.method != "ping":
		if w = d.onlyCallLocked(); w == nil || w.request.serve == nil {
			return nil
		}
		return w
	case ok:
		w = d.waiting[id]
	case m.method == "notifications/message" && d.conn.modern:
		w = d.loggingLocked()
	case !forConnection(m):
		w = d.onlyCallLocked()
	}
	if w == nil || w.request.notify == nil {
		return nil
	}
	return w
}

// onlyCallLocked is the only call of a client that is under way, if all calls
// are of one person: with several, one may have caused what comes for another,
// and so may one that was given up, unless all are of the client that
// Options.Request asks.
func (d *duplex) onlyCallLocked() *waiter {
	if !d.conn.private || d.conn.request == nil && time.Now().Before(d.strays) {
		return nil
	}
	return d.onlyLocked(func(r *request) bool { return r.deadline != nil && !r.own })
}

// forConnection reports whether a message is about no call.
func forConnection(m message) bool {
	return m.isRequest() || m.method == cancelled || m.method == "notifications/resources/updated" ||
		strings.HasSuffix(m.method, "/list_changed")
}

// strayTime is how long a server may take to stop logging and asking for a
// request that was given up.
const strayTime = 10 * time.Second

// loggingLocked is the only request that asks for log messages, which do not
// say what they belong to (MCP 2026-07-28, "Logging" and "stdio").
func (d *duplex) loggingLocked() *waiter {
	if time.Now().Before(d.strays) {
		return nil
	}
	return d.onlyLocked(func(r *request) bool { return r.logs })
}

// onlyLocked is the only request of a sort that is under way; nil if there is
// none, or another one.
func (d *duplex) onlyLocked(sort func(*request) bool) *waiter {
	var only *waiter
	for _, w := range d.waiting {
		if !sort(w.request) {
			continue
		}
		if only != nil {
			return nil
		}
		only = w
	}
	return only
}

// about is the request that a notification says it belongs to.
func about(m message) (id int64, ok bool) {
	switch {
	case m.isRequest():
		return 0, false
	case m.method == "notifications/progress":
		return progressToken(m)
	case m.method == acknowledged:
		params, _ := rawjson.ParseObject(m.params)
		meta, _ := rawjson.ParseObject(params.Get("_meta"))
		return parseID(meta.Get(subscriptionKey))
	}
	return 0, false
}

func (d *duplex) expect(r *request) *waiter {
	w := &waiter{request: r, answer: make(chan outcome, 1), noted: make(chan struct{}, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[r.id] = w
	return w
}

// forget ends a request that may have been given up: questions that came with
// it and wait for their turn are refused.
func (d *duplex) forget(w *waiter) {
	d.mu.Lock()
	if _, waits := d.waiting[w.request.id]; waits && (w.request.logs || w.request.serve != nil && !d.conn.modern) {
		d.strays = time.Now().Add(strayTime)
	}
	delete(d.waiting, w.request.id)
	notes := w.notes
	w.notes = nil
	d.mu.Unlock()
	for _, m := range notes {
		if m.isRequest() {
			d.conn.post(answerTo(m.id, "error", string(errorObject(callEnded))))
		}
	}
}
