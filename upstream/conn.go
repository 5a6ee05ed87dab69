package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A transport carries JSON-RPC messages to one server and back, for the conn
// that it was built with: what the server sends other than answers it passes to
// received, and it calls end when it can carry no more.
type transport interface {
	// roundTrip sends r and returns the answer to it, after everything that
	// came ahead of the answer and belongs to r was passed on. It returns when
	// ctx ends.
	roundTrip(ctx context.Context, r *request) (message, error)
	// send sends a message that has no answer.
	send(ctx context.Context, body []byte) error
	// close waits for what runs for the transport, after the conn's life has
	// ended. It may be called again.
	close()
}

// outboxSize bounds the notifications and answers of the gateway that wait to
// be sent. What does not fit is dropped: the server does not read.
const outboxSize = 64

// outboxTimeout bounds the sending of one of them.
const outboxTimeout = 5 * time.Second

// goodbyeTimeout bounds telling a server what it need not do any more when the
// gateway ends the connection.
const goodbyeTimeout = time.Second

// A conn is one connection to a server. After the handshake it is safe for
// concurrent use.
type conn struct {
	// Set before the conn is used for calls, never changed.
	transport  transport
	host       *host // the container that an HTTP server runs in; nil for none
	log        *slog.Logger
	clientInfo json.RawMessage
	version    string   // protocol revision; "" until it is negotiated
	speaks     Protocol // what to ask for to connect the same way again
	modern     bool     // every request says who asks, in which revision
	// stateless says that nothing outlives a request: the gateway cancels by
	// closing its stream, and the server cannot ask anything.
	stateless bool

	life context.Context // ends when the connection can carry no more calls; its cause says why
	end  context.CancelCauseFunc
	// calls ends when the calls under way are to end with the connection, which
	// over HTTP they may outlive: it is given up, or the upstream is stopped.
	calls    context.Context
	endCalls context.CancelCauseFunc
	forget   func() bool // that the upstream may stop
	closed   atomic.Bool

	running  group
	underWay group         // calls
	outbox   chan []byte   // nil comes last
	flushed  chan struct{} // closed when it came
	maxList  int           // bytes of all definitions in one list
	lists    *kindSet      // kinds of definitions whose list the server says has changed
	lastID   atomic.Int64

	private   bool                                        // Options.Private
	request   requestHandler                              // Options.Request, may be nil
	notify    func(method string, params json.RawMessage) // Options.Notify, may be nil
	deadlines *deadlines                                  // of the calls under way
	listener  *listener                                   // of a modern server, once connected
	served    served                                      // what the server asked

	complaints *rate.Limiter
	swallowed  atomic.Int64 // complaints since the last one that was logged

	// See supervise.go.
	born         time.Time
	begun, ended atomic.Int64  // calls so far
	busySince    atomic.Int64  // age when a call began and there was no other
	heard        atomic.Int64  // age when something came from the server
	asked        atomic.Int64  // requests of the server that were passed on
	suspected    chan struct{} // holds a token while a probe is asked for

	mu     sync.Mutex
	judged chan struct{} // closed when the probe that is asked for is over; nil while there is none; guarded by mu

	paramHeaders atomic.Pointer[map[string][]paramHeader] // by tool; see headers.go
}

func newConn(u *Upstream) *conn {
	c := &conn{
		log:        u.opts.Log,
		clientInfo: u.clientInfo,
		private:    u.opts.Private,
		request:    u.opts.Request,
		notify:     u.opts.Notify,
		deadlines:  &u.deadlines,
		outbox:     make(chan []byte, outboxSize),
		flushed:    make(chan struct{}),
		lists:      newKindSet(),
		maxList:    maxBytes,
		complaints: rate.NewLimiter(5, 50), // as often as somebody can read them
		born:       time.Now(),
		suspected:  make(chan struct{}, 1),
	}
	if u.opts.CallsOnly {
		c.maxList = maxOwnBytes
	}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.calls, c.endCalls = context.WithCancelCause(context.Background())
	c.forget = context.AfterFunc(u.life, func() { c.endCalls(errStopped) })
	c.running.start(c.sendOutbox)
	return c
}

// complain logs what the server does wrong, but no flood of it.
func (c *conn) complain(text string, args ...any) {
	if !c.complaints.Allow() {
		c.swallowed.Add(1)
		return
	}
	if n := c.swallowed.Swap(0); n > 0 {
		args = append(args, "not_logged_before", n)
	}
	c.log.Warn(text, args...)
}

func (c *conn) era() Era {
	if c.modern {
		return ModernEra
	}
	return LegacyEra
}

// sayGoodbye waits until the server has been told that nobody waits for the
// calls under way, which have been given up: it may be there for longer than the
// connection, and a call that waits for an answer of a client would never end.
func (c *conn) sayGoodbye() {
	ctx, cancel := context.WithTimeout(c.life, goodbyeTimeout)
	defer cancel()
	ended := make(chan struct{})
	c.running.start(func() {
		c.underWay.wait()
		close(ended)
	})
	select {
	case <-ended:
	case <-ctx.Done():
		return
	}
	select {
	case c.outbox <- nil: // behind what they have put there
	case <-ctx.Done():
		return
	}
	select {
	case <-c.flushed:
	case <-ctx.Done():
	}
}

// close ends the connection and waits for what runs for it.
func (c *conn) close() {
	c.end(errStopped)
	if c.transport != nil {
		c.transport.close()
	}
	if c.host != nil {
		c.host.close()
	}
	c.running.wait()
	c.closed.Store(true)
	c.leave()
}

// call sends one request and returns the result. The server's own error is a
// bare *jsonrpc.Error.
func (c *conn) call(ctx context.Context, call Call) (json.RawMessage, error) {
	r, err := c.prepare(call)
	if err != nil {
		return nil, err
	}
	serving, served := context.WithCancelCause(ctx)
	defer served(nil)
	unlink := context.AfterFunc(c.calls, func() { served(context.Cause(c.calls)) })
	defer unlink()
	r.ctx = serving
	c.begin()
	answer, err := c.transport.roundTrip(serving, r)
	c.over()
	if err == nil {
		return answer.outcome()
	}
	if serving.Err() != nil {
		c.cancelRequest(r, context.Cause(serving))
	}
	if errors.Is(err, errSessionGone) {
		c.end(err)
	}
	if isDoubtful(ctx, err) {
		c.suspect()
	}
	return nil, err
}

// ask is call for the handshake, whose requests must not be cancelled.
func (c *conn) ask(ctx context.Context, call Call) (json.RawMessage, error) {
	r, err := c.prepare(call)
	if err != nil {
		return nil, err
	}
	answer, err := c.transport.roundTrip(ctx, r)
	if err != nil {
		return nil, err
	}
	return answer.outcome()
}

// prepare makes the request of a call: params as they came, with the _meta of
// this hop.
func (c *conn) prepare(call Call) (*request, error) {
	r := &request{
		id: c.lastID.Add(1), method: call.Method, params: call.Params,
		serve: call.Request, deadline: call.deadline, own: call.Own,
	}
	var params rawjson.Object
	if call.Params != nil {
		var err error
		if params, err = rawjson.ParseObject(call.Params); err != nil {
			return nil, fmt.Errorf("params of %s: %w", call.Method, err)
		}
	}
	if call.Notify != nil {
		r.notify = func(m message) { call.Notify(m.method, withoutSubscription(m.params)) }
		r.logs = c.modern && call.LogLevel != nil
	}
	r.target = target(call.Method, params)
	if c.modern {
		r.header = c.paramHeadersOf(r.target, call.Method, params)
	}
	if c.setMeta(&params, call, r.id) {
		r.params = params.Bytes()
	}
	return r, nil
}

// Keys of _meta that belong to one hop (MCP 2026-07-28, "Requests").
const (
	versionKey      = "io.modelcontextprotocol/protocolVersion"
	clientInfoKey   = "io.modelcontextprotocol/clientInfo"
	capabilitiesKey = "io.modelcontextprotocol/clientCapabilities"
	logLevelKey     = "io.modelcontextprotocol/logLevel"
	progressKey     = "progressToken"
	// subscriptionKey is in _meta of a notification, and is the id of the
	// subscriptions/listen request that it answers.
	subscriptionKey = "io.modelcontextprotocol/subscriptionId"
)

// setMeta replaces the keys of the client's hop in _meta by those of this one.
// It reports whether params changed.
func (c *conn) setMeta(params *rawjson.Object, call Call, id int64) bool {
	meta, err := rawjson.ParseObject(params.Get("_meta"))
	came := len(meta)
	for _, key := range []string{versionKey, clientInfoKey, capabilitiesKey, logLevelKey, progressKey} {
		meta.Delete(key)
	}
	changed := len(meta) != came
	if call.Progress && call.Notify != nil {
		meta.Set(progressKey, strconv.AppendInt(nil, id, 10))
		changed = true
	}
	if c.modern {
		c.introduce(&meta, call)
		changed = true
	}
	switch {
	case !changed:
		return false
	case len(meta) == 0 && err == nil:
		params.Delete("_meta")
	default:
		params.Set("_meta", meta.Bytes())
	}
	return true
}

func (c *conn) introduce(meta *rawjson.Object, call Call) {
	info, capabilities := call.ClientInfo, call.ClientCapabilities
	if info == nil {
		info = c.clientInfo
	}
	if capabilities == nil {
		capabilities = json.RawMessage(`{}`)
	}
	meta.Set(versionKey, rawjson.String(c.version))
	meta.Set(clientInfoKey, info)
	meta.Set(capabilitiesKey, capabilities)
	if call.LogLevel != nil {
		meta.Set(logLevelKey, call.LogLevel)
	}
}

// received takes what the server sends other than answers. r is the request it
// belongs to, nil if it belongs to none or nobody knows. It must be called in
// the order of the messages. It does not block, unless r's caller or
// Options.Notify does.
func (c *conn) received(m message, r *request) {
	switch {
	case m.isNotification() && !strings.HasPrefix(m.method, "notifications/"):
		c.log.Debug("dropped a request without an id", "method", printable(m.method, 80))
	case m.isAnswer():
		c.log.Debug("dropped an answer nobody waits for", "id", printable(string(m.id), 40))
	case m.isRequest():
		c.answer(m, r)
	case m.method == cancelled:
		c.withdraw(m)
	case c.lists.addChanged(m.method):
	case r != nil && r.notify != nil && belongs(m, r):
		r.notify(m)
	default:
		c.unclaimed(m)
	}
}

// unclaimed passes on a notification that no call takes.
// Progress belongs to a call or to nobody.
func (c *conn) unclaimed(m message) {
	if c.notify != nil && m.method != acknowledged && m.method != "notifications/progress" {
		c.notify(m.method, withoutSubscription(m.params))
	}
}

// withoutSubscription takes the subscription's id, which belongs to this hop,
// out of a notification's _meta.
func withoutSubscription(raw json.RawMessage) json.RawMessage {
	if !bytes.Contains(raw, []byte(subscriptionKey)) {
		return raw
	}
	params, err := rawjson.ParseObject(raw)
	if err != nil {
		return raw
	}
	meta, err := rawjson.ParseObject(params.Get("_meta"))
	if err != nil || meta.Get(subscriptionKey) == nil {
		return raw
	}
	if meta.Delete(subscriptionKey); len(meta) == 0 {
		params.Delete("_meta")
	} else {
		params.Set("_meta", meta.Bytes())
	}
	return params.Bytes()
}

// belongs reports whether a notification that came on r's stream is about r.
func belongs(m message, r *request) bool {
	if m.method != "notifications/progress" {
		return true
	}
	id, ok := progressToken(m)
	return ok && id == r.id
}

// progressToken is the request that a notification says it is about.
func progressToken(m message) (int64, bool) {
	params, err := rawjson.ParseObject(m.params)
	if err != nil {
		return 0, false
	}
	return parseID(params.Get(progressKey))
}

// cancelled is the notification that nobody waits for the answer to a request.
const cancelled = "notifications/cancelled"

// cancelRequest tells the server that nobody waits for the answer to r, with
// the client's reason if it gave one.
func (c *conn) cancelRequest(r *request, cause error) {
	if c.stateless {
		return
	}
	reason := "the caller no longer waits"
	if by := (*Cancelled)(nil); errors.As(cause, &by) {
		reason = by.Reason
	}
	params := rawjson.Object{}
	params.Set("requestId", strconv.AppendInt(nil, r.id, 10))
	if reason != "" {
		params.Set("reason", rawjson.String(reason))
	}
	c.post(notification(cancelled, params.Bytes()))
}

// post puts a message into the outbox, or drops it if the outbox is full.
func (c *conn) post(body []byte) {
	select {
	case c.outbox <- body:
	default:
		c.log.Debug("dropped a message to the server, which does not read")
	}
}

func (c *conn) sendOutbox() {
	for {
		select {
		case <-c.life.Done():
			return
		case body := <-c.outbox:
			if body == nil {
				close(c.flushed)
				return
			}
			ctx, cancel := context.WithTimeout(c.life, outboxTimeout)
			if err := c.transport.send(ctx, body); err != nil && c.life.Err() == nil {
				c.log.Debug("sending a message", "err", err)
			}
			cancel()
		}
	}
}
