package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	// listenGrace is how long connecting waits for the server to acknowledge
	// that it will tell about changed lists. A server that takes longer may make
	// the gateway miss a change that happens while it connects.
	listenGrace = 300 * time.Millisecond
	// ackTimeout is after what time a stream that is not acknowledged counts as
	// if it were.
	ackTimeout = 2 * time.Second
	// subscribeDebounce is how long the resources that are listened for may go
	// on changing before the stream is replaced.
	subscribeDebounce = 50 * time.Millisecond
	// unlistenGrace is how long a server may take to end a stream before it is
	// asked for the next one.
	unlistenGrace = 100 * time.Millisecond
)

// acknowledged is the first notification on a subscriptions/listen stream.
const acknowledged = "notifications/subscriptions/acknowledged"

// A listener keeps a subscriptions/listen stream open (MCP 2026-07-28) for
// changes of the lists that the server says it tells about, and for updates of
// the resources that are subscribed to. When those change, a new stream takes
// the place of the last.
type listener struct {
	conn          *conn
	lists         rawjson.Object // what to ask for whatever the resources are
	listed        bool           // the lists were fetched
	subscriptions *subscriptions

	mu      sync.Mutex
	edition int           // of the subscriptions that the server was last asked for, -1 before; guarded by mu
	err     error         // what came of it; guarded by mu
	over    bool          // it does not try any more; guarded by mu
	moved   chan struct{} // closed and replaced when any of these changes; guarded by mu
}

// listen starts the listener, and waits a moment for it to be heard.
func (c *conn) listen(u *Upstream, l *Listing) {
	n := &listener{conn: c, listed: !u.opts.CallsOnly, subscriptions: &u.subscriptions, edition: -1, moved: make(chan struct{})}
	for _, capability := range []string{"tools", "prompts", "resources"} {
		if l.declares(capability, "listChanged") {
			n.lists.Set(capability+"ListChanged", []byte("true"))
		}
	}
	c.listener = n
	c.running.start(n.run)
	grace, cancel := context.WithTimeout(c.life, listenGrace)
	defer cancel()
	_ = n.wait(grace, 0)
}

// wait waits until the server was asked for an edition of the subscriptions,
// and returns what came of it.
func (n *listener) wait(ctx context.Context, edition int) error {
	for {
		n.mu.Lock()
		asked, err, over, moved := n.edition, n.err, n.over, n.moved
		n.mu.Unlock()
		if asked >= edition || over {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-n.conn.life.Done():
			return context.Cause(n.conn.life)
		}
	}
}

func (n *listener) settle(edition int, err error) (hopeless bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.edition, n.err = edition, err
	n.over = isMethodNotFound(err)
	close(n.moved)
	n.moved = make(chan struct{})
	return n.over
}

func (n *listener) run() {
	retry := backoff{jitter: fullJitter}
	var open *listening // nil while there is none
	defer func() { open.close() }()
	for missed := false; n.conn.life.Err() == nil; {
		uris, edition := n.subscriptions.current()
		var err error
		if open == nil || !slices.Equal(open.uris, uris) {
			missed = missed || open != nil && !n.conn.stateless
			if open, err = n.replace(open, uris); err == nil && missed {
				if n.listed {
					n.conn.lists.add(kinds...) // whatever changed while nobody listened
				}
				missed = false
			}
		}
		if n.settle(edition, err) {
			return
		}
		var again <-chan time.Time
		if err != nil {
			n.conn.log.Debug("listening for changes", "err", plain(err))
			again = time.After(retry.next())
			missed = missed || open == nil
		}
		if ended := n.idle(open, again); ended {
			retry.settle(time.Since(open.began))
			open, missed = nil, true
			n.idle(nil, time.After(retry.next()))
		}
	}
}

// idle waits until there is something to do: the subscriptions have changed, it
// is time to try again, or the stream has ended.
func (n *listener) idle(open *listening, again <-chan time.Time) (ended bool) {
	select {
	case <-n.conn.life.Done():
	case <-again:
	case <-n.subscriptions.changed:
		sleep(n.conn.life, subscribeDebounce)
	case <-open.ended():
		return true
	}
	return false
}

// replace opens a stream for uris in the place of the last one, which it
// returns if that fails. Over HTTP the new one is there before the last is
// closed, so that nothing is missed. On a stream that is shared with the calls
// the server has to end the last one first: the SDK's keeps one of a kind per
// session, and forgets it when any of them ends.
func (n *listener) replace(last *listening, uris []string) (*listening, error) {
	if !n.conn.stateless {
		last.close()
		last = nil
	}
	wanted := filter(n.lists, uris)
	if len(wanted) == 0 {
		last.close()
		return nil, nil
	}
	next, err := n.open(wanted, uris)
	if err == nil {
		err = next.heard()
	}
	if err != nil {
		next.close()
		return last, err
	}
	last.close()
	return next, nil
}

// A listening is one subscriptions/listen stream. A nil one is closed.
type listening struct {
	conn    *conn
	uris    []string
	request *request
	began   time.Time
	abort   context.CancelFunc
	acked   chan struct{} // closed when the server has acknowledged it
	done    chan struct{} // closed when it has ended
	err     error         // why; set before done is closed
}

func (n *listener) open(wanted rawjson.Object, uris []string) (*listening, error) {
	params := rawjson.Object{}
	params.Set("notifications", wanted.Bytes())
	r, err := n.conn.prepare(Call{Method: "subscriptions/listen", Params: params.Bytes()})
	if err != nil {
		return nil, err
	}
	ctx, abort := context.WithCancel(n.conn.life)
	s := &listening{
		conn: n.conn, uris: uris, request: r, began: time.Now(), abort: abort,
		acked: make(chan struct{}), done: make(chan struct{}),
	}
	acked := sync.OnceFunc(func() { close(s.acked) })
	r.notify = func(m message) {
		if m.method == acknowledged {
			acked()
		} else {
			n.conn.unclaimed(m)
		}
	}
	if !n.conn.running.start(func() {
		defer close(s.done)
		var answer message
		if answer, s.err = n.conn.transport.roundTrip(ctx, r); s.err == nil {
			_, s.err = answer.outcome()
		}
	}) {
		s.err = errStopped
		close(s.done)
	}
	return s, nil
}

// heard waits until the server has acknowledged the stream.
func (s *listening) heard() error {
	select {
	case <-s.acked:
		return nil
	case <-s.done:
	case <-time.After(ackTimeout):
		return nil
	}
	select {
	case <-s.acked:
		return nil
	default:
	}
	if s.err == nil {
		return errors.New("the server does not listen")
	}
	return s.err
}

func (s *listening) ended() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.done
}

// close ends the stream: over HTTP by leaving, else by cancelling the request
// and waiting a moment for the server to be done with it.
func (s *listening) close() {
	if s == nil {
		return
	}
	defer s.abort()
	if s.conn.stateless || s.conn.life.Err() != nil {
		return
	}
	select {
	case <-s.done:
		return
	default:
	}
	s.conn.cancelRequest(s.request, nil)
	select {
	case <-s.done:
	case <-time.After(unlistenGrace):
	}
}

// listen keeps the GET stream of a legacy session open, if the server has one.
// Its end is not the end of the session.
func (t *streamable) listen(missed func()) {
	t.running.start(func() {
		keepOpen(t.conn.life, func(ctx context.Context, again bool) bool {
			return t.openStream(ctx, again, missed)
		})
	})
}

// openStream opens the stream once and returns when it has ended. missed is
// called if something may have happened unheard.
func (t *streamable) openStream(ctx context.Context, again bool, missed func()) (hopeless bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // whatever is left of the response
	fields := append(t.fields(), headerField{"Accept", eventsType})
	resp, err := t.do(ctx, http.MethodGet, t.url, nil, fields...)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK && mediaType(resp) == eventsType:
		if again {
			missed()
		}
		t.readMessages(resp.Body)
		return false
	case resp.StatusCode == http.StatusNotFound && again:
		missed() // listing anew tells whether the session is gone or just the stream
		return true
	}
	return !isTransient(resp.StatusCode)
}

// isTransient reports whether a refused stream may be there later.
func isTransient(status int) bool {
	switch status {
	case http.StatusConflict, http.StatusTooManyRequests: // the server has not noticed that the last one ended
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status/100 == 5
}

// readMessages passes on what comes on the GET stream until it ends.
func (t *streamable) readMessages(body io.Reader) {
	events := newEventReader(t.conn.listening(body), t.max)
	defer events.release()
	events.lasts = true
	for {
		ev, err := events.next()
		if err != nil {
			return
		}
		if err := eachMessage(ev.data, func(m message) { t.conn.received(m, nil) }); err != nil {
			t.conn.complain("skipped an event that is no message", "err", err)
		}
	}
}
