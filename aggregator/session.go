package aggregator

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	defaultSessions    = 20_000
	defaultSessionIdle = 30 * time.Minute

	// maxQueued and maxQueuedBytes bound what waits for a session's GET stream:
	// messages that find it full are dropped, since the client does not read.
	maxQueued      = 1024
	maxQueuedBytes = 1 << 20
	// maxTold is maxQueuedBytes for what must not get lost; an upstream's message
	// may have 16 MiB.
	maxTold = 20 << 20
)

// errSessionEnded is why a call of a session that is gone ends.
var errSessionEnded = errors.New("the session has ended")

// A session is a legacy client's, from initialize to DELETE (MCP 2025-11-25,
// "Session Management"). Its owner is fixed; every request in it must come
// from the same caller.
type session struct {
	id      string
	owner   string // Caller.ID
	version string // negotiated protocol revision
	ctx     context.Context
	end     context.CancelCauseFunc
	client  clientSaid
	wake    chan struct{} // holds a token while queue may not be empty
	view    view
	caller  atomic.Pointer[oauth.Caller] // as the newest request tells it
	noticed atomic.Pointer[oauth.Caller] // whose view the client knows of
	ip      atomic.Pointer[netip.Addr]   // of the newest request, nil for none

	mu        sync.Mutex
	active    int                                // HTTP requests being served, streams included; guarded by mu
	touched   time.Time                          // when active was last above 0; guarded by mu
	queue     [][]byte                           // messages for the GET stream; guarded by mu
	queued    int                                // bytes in queue; guarded by mu
	stream    *getStream                         // that is open, nil for none; guarded by mu
	calls     map[string]context.CancelCauseFunc // requests of the client in flight, by raw id; guarded by mu
	asked     map[string]asked                   // requests to the client, by raw id; guarded by mu
	lastID    int                                // of those; guarded by mu
	logs      json.RawMessage                    // log level that the client set, nil for none; guarded by mu
	own       map[*instance]bool                 // that have not ended; guarded by mu
	unwatched map[string][]string                // subscriptions of own instances that have ended, by label; guarded by mu
}

// asked is a question that the client has not answered.
type asked struct {
	question
	answer chan reply // takes one
}

// A reply is the client's answer to a request of an upstream.
type reply struct {
	result json.RawMessage
	err    error
}

// clientSaid is what the client said of itself in initialize.
type clientSaid struct{ info, capabilities json.RawMessage }

// maxSaid bounds each part of it.
const maxSaid = 16 << 10

// said copies what is needed of the params: they share memory with the body.
func said(params rawjson.Object) clientSaid {
	part := func(name string) json.RawMessage {
		if raw := params.Get(name); anObject(raw) == nil && len(raw) <= maxSaid {
			return bytes.Clone(raw)
		}
		return nil
	}
	return clientSaid{part("clientInfo"), part("capabilities")}
}

func newSession(caller *oauth.Caller, version string, params rawjson.Object) *session {
	s := &session{
		id: rand.Text(), owner: caller.ID, version: version, client: said(params),
		wake: make(chan struct{}, 1), touched: time.Now(),
		calls: map[string]context.CancelCauseFunc{}, asked: map[string]asked{},
	}
	s.ctx, s.end = context.WithCancelCause(context.Background())
	s.caller.Store(caller)
	s.noticed.Store(caller)
	return s
}

// begin registers a request of the client, which it may cancel by its id. ok
// is false if one with that id is in flight.
func (s *session) begin(id json.RawMessage) (ctx context.Context, end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := string(id)
	if _, taken := s.calls[key]; taken {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	s.calls[key] = cancel
	return ctx, func() {
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.calls, key)
	}, true
}

// cancel ends the request that notifications/cancelled names, if it is still
// in flight.
func (s *session) cancel(params rawjson.Object) {
	s.mu.Lock()
	cancel := s.calls[string(params.Get("requestId"))]
	s.mu.Unlock()
	if cancel != nil {
		reason, _ := params.GetString("reason")
		cancel(&upstream.Cancelled{Reason: reason})
	}
}

// push queues a message for the GET stream. It does not block.
func (s *session) push(message []byte) {
	s.mu.Lock()
	s.pushLocked(message)
	s.mu.Unlock()
	s.poke()
}

// pushOnce is push for what says no more twice than once. It finds room where
// messages that matter less have left none.
func (s *session) pushOnce(message []byte) {
	s.mu.Lock()
	waits := slices.ContainsFunc(s.queue, func(m []byte) bool { return bytes.Equal(m, message) })
	if !waits && len(s.queue) < 2*maxQueued && s.queued+len(message) <= 2*maxQueuedBytes {
		s.queueLocked(message)
	}
	s.mu.Unlock()
	s.poke()
}

func (s *session) pushLocked(message []byte) {
	if len(s.queue) < maxQueued && s.queued+len(message) <= maxQueuedBytes {
		s.queueLocked(message)
	}
}

func (s *session) queueLocked(message []byte) {
	s.queue = append(s.queue, message)
	s.queued += len(message)
}

// poke wakes the GET stream.
func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tell is push for what must not get lost: it fails if the client has no
// stream open, or does not read what came before.
func (s *session) tell(message []byte) error {
	s.mu.Lock()
	told := s.stream != nil && s.queued+len(message) <= maxTold
	if told {
		s.queueLocked(message)
	}
	s.mu.Unlock()
	if !told {
		return errGone
	}
	s.poke()
	return nil
}

func (s *session) setLevel(level json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = level
}

func (s *session) level() json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs
}

// listens reports whether the client has a stream of the session's open.
func (s *session) listens() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream != nil
}

// take empties the queue, for the stream that is open.
func (s *session) take(reader *getStream) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != reader {
		return nil
	}
	messages := s.queue
	s.queue, s.queued = nil, 0
	return messages
}

// putBack is for messages that could not be written, ahead of newer ones.
func (s *session) putBack(messages [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(messages, s.queue...)
	for _, m := range messages {
		s.queued += len(m)
	}
}

const (
	// patience is how long a client, and the person before it, may take to answer.
	patience = 30 * time.Minute
	// unheardTime, twice, is how long a question waits while no stream of the
	// client is open: it may have lost its connection, or be gone for good.
	unheardTime = time.Minute
)

var errUnheard = errors.New("the client has gone")

// errNoAnswer is why the gateway gives up on an answer.
var errNoAnswer = &upstream.Cancelled{Reason: "no answer within 30 minutes"}

// ask sends a question to the client, through send, and waits for its answer.
func (s *session) ask(ctx context.Context, send func([]byte) error, q question) (json.RawMessage, error) {
	id, answer := s.expect(q)
	defer s.forget(id)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errNoAnswer)
	defer cancel()
	if err := send(q.body(id)); err != nil {
		return nil, err
	}
	if q.sent != nil {
		q.sent()
	}
	look := time.NewTicker(unheardTime)
	defer look.Stop()
	for unheard := 0; unheard < 2; {
		select {
		case a := <-answer:
			return a.result, a.err
		case <-look.C:
			if unheard++; q.heard() {
				unheard = 0
			}
		case <-ctx.Done():
			withdrawn := notification("notifications/cancelled", cancelledParams(id, context.Cause(ctx)))
			if send(withdrawn) != nil {
				_ = s.tell(withdrawn) // nobody to tell if it fails
			}
			return nil, context.Cause(ctx)
		case <-s.ctx.Done():
			return nil, context.Cause(s.ctx)
		}
	}
	return nil, errUnheard
}

// cancelledParams pass on why the upstream cancels its request, if it says so.
func cancelledParams(id json.RawMessage, cause error) json.RawMessage {
	params := rawjson.Object{}
	params.Set("requestId", id)
	if by := (*upstream.Cancelled)(nil); errors.As(cause, &by) && by.Reason != "" {
		params.Set("reason", rawjson.String(by.Reason))
	}
	return params.Bytes()
}

func (s *session) expect(q question) (id json.RawMessage, answer <-chan reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	id = rawjson.Value(s.lastID)
	a := asked{q, make(chan reply, 1)}
	s.asked[string(id)] = a
	return id, a.answer
}

func (s *session) forget(id json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, string(id))
}

// answered passes the client's answer to whoever asked; others are dropped.
func (s *session) answered(message rawjson.Object) {
	s.mu.Lock()
	to, ok := s.asked[string(message.Get("id"))]
	delete(s.asked, string(message.Get("id")))
	s.mu.Unlock()
	if !ok {
		return
	}
	a := reply{result: message.Get("result")}
	if raw := message.Get("error"); raw != nil && string(raw) != "null" {
		refused := &jsonrpc.Error{}
		if json.Unmarshal(raw, refused) != nil {
			refused = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the client answered with a malformed error"}
		}
		a = reply{err: refused}
	}
	to.answer <- a
}

// progressed passes the client's progress with a question to whoever asked.
func (s *session) progressed(params rawjson.Object) {
	s.mu.Lock()
	to, ok := s.asked[string(params.Get("progressToken"))]
	s.mu.Unlock()
	if ok {
		to.progressed(s.ctx, params)
	}
}

// A getStream is a client's stream for what belongs to no request.
type getStream struct{ replaced context.CancelFunc }

// attach makes the caller the session's stream, until ctx ends, in place of one
// that may be open: a client that lost its connection must not be locked out by
// it. detach ends that.
func (s *session) attach(ctx context.Context) (_ context.Context, stream *getStream, detach func()) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil {
		s.stream.replaced()
	}
	stream = &getStream{cancel}
	s.stream = stream
	return ctx, stream, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stream == stream { // nobody took its place
			s.stream = nil
		}
	}
}

// sessions are the legacy sessions that are open.
type sessions struct {
	mu                sync.Mutex
	max, maxPerCaller int                 // guarded by mu
	idle              time.Duration       // guarded by mu
	closed            bool                // no more may open; guarded by mu
	byID              map[string]*session // guarded by mu
	byCaller          map[string]int      // open sessions; guarded by mu
}

func newSessions(l Limits) *sessions {
	ss := &sessions{byID: map[string]*session{}, byCaller: map[string]int{}}
	ss.limit(l)
	return ss
}

// limit bounds the sessions from now on. Those that are open stay.
func (ss *sessions) limit(l Limits) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.max, ss.maxPerCaller = cmp.Or(l.Sessions, defaultSessions), l.SessionsPerUser
	ss.idle = cmp.Or(l.SessionIdle, defaultSessionIdle)
}

func (ss *sessions) idleTimeout() time.Duration {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.idle
}

// open keeps s, unless its owner, or everybody together, has too many.
func (ss *sessions) open(s *session) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.closed || len(ss.byID) >= ss.max || ss.maxPerCaller > 0 && ss.byCaller[s.owner] >= ss.maxPerCaller {
		return false
	}
	ss.byID[s.id] = s
	ss.byCaller[s.owner]++
	return true
}

// enter marks a session as in use by one more request; leave ends that. It
// returns nil if there is no such session, or it is another caller's.
func (ss *sessions) enter(id string, c *oauth.Caller) *session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byID[id]
	if s == nil || s.owner != c.ID {
		return nil
	}
	s.caller.Store(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active++
	return s
}

func (s *session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	s.touched = time.Now()
}

// close ends a session and all that is in flight in it. It may be called for
// one that is gone.
func (ss *sessions) close(id string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byID[id]
	if s == nil {
		return
	}
	delete(ss.byID, id)
	if ss.byCaller[s.owner]--; ss.byCaller[s.owner] == 0 {
		delete(ss.byCaller, s.owner)
	}
	s.end(errSessionEnded)
}

// all returns the open sessions, in no order.
func (ss *sessions) all() []*session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	all := make([]*session, 0, len(ss.byID))
	for _, s := range ss.byID {
		all = append(all, s)
	}
	return all
}

// sweep ends idle sessions until ctx ends, and then all of them.
func (ss *sessions) sweep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			ss.mu.Lock()
			ss.closed = true
			ss.mu.Unlock()
			for _, s := range ss.all() {
				ss.close(s.id)
			}
			return
		case <-time.After(max(ss.idleTimeout()/10, time.Second)):
			idle := ss.idleTimeout()
			for _, s := range ss.all() {
				if s.idleFor() > idle {
					ss.close(s.id)
				}
			}
		}
	}
}

// idleFor is how long nothing of the session has been in use.
func (s *session) idleFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active > 0 {
		return 0
	}
	return time.Since(s.touched)
}
