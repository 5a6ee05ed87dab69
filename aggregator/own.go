package aggregator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	// maxOwnProcesses bounds the processes that sessions have of one upstream.
	maxOwnProcesses = 50
	// restless is how long a session's connection counts as in use after a call.
	restless = time.Second
)

// connFor is the connection that serves the request: the shared one, or one of
// the session's own.
func (g *Gateway) connFor(ctx context.Context, r Request, m *member) (*upstream.Upstream, error) {
	if r.session == nil || m.isolation() != PerSession {
		return m.conn, nil
	}
	return g.ownConn(ctx, r.session, m)
}

// isolation says who shares a connection. There is nothing to isolate at an
// HTTP server that knows no sessions.
func (m *member) isolation() Isolation {
	l := m.conn.Listing()
	switch stateless := m.URL != nil && m.ownProtocol(l) == upstream.Modern; {
	case stateless:
		return Shared
	case m.Isolation != "":
		return m.Isolation
	case m.URL != nil && l != nil && l.Era == upstream.LegacyEra:
		return PerSession
	}
	return Shared
}

// ownProtocol is what to speak on a connection of a legacy client's own: the
// legacy era if the upstream knows it, as far as its first connection has
// found out.
func (m *member) ownProtocol(l *upstream.Listing) upstream.Protocol {
	switch {
	case m.Protocol != "" && m.Protocol != upstream.Auto:
		return m.Protocol
	case l == nil || l.Version == "2024-11-05": // which may be HTTP+SSE
		return upstream.Auto
	case l.SpeaksLegacy():
		return upstream.Legacy
	}
	return upstream.Modern
}

// An ownConn is a session's own connection to an upstream, which may ask the
// session's client and tell it things.
type ownConn struct {
	conn  *upstream.Upstream
	end   context.CancelFunc
	level toldLevel // the session's
	used  time.Time // when the last call began or ended; guarded by the session's mu
}

// ownConn returns the session's connection to m. It is dialled when it is
// first asked for and ends with the session, or when it gives way to another
// one; then the next call dials it anew.
func (g *Gateway) ownConn(ctx context.Context, s *session, m *member) (*upstream.Upstream, error) {
	own, err := g.openOwn(s, m)
	if errors.Is(err, errFull) && g.makeRoom(m) {
		own, err = g.openOwn(s, m)
	}
	if errors.Is(err, errFull) {
		return nil, &jsonrpc.Error{Code: codeBusy, Message: fmt.Sprintf("upstream %q is busy: %d sessions have a process of it", m.Name, maxOwnProcesses)}
	}
	if err != nil {
		return nil, err
	}
	own.level.tell(ctx, own.conn, s.level())
	return own.conn, nil
}

// errFull says that sessions have as many processes of an upstream as there may be.
var errFull = errors.New("too many processes")

func (g *Gateway) openOwn(s *session, m *member) (*ownConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own := s.own[m]; own != nil {
		own.used = time.Now()
		return own, nil
	}
	if m.owned.Add(1) > maxOwnProcesses && m.URL == nil {
		m.owned.Add(-1)
		return nil, errFull
	}
	release := sync.OnceFunc(func() { m.owned.Add(-1) })
	ctx, cancel := context.WithCancel(s.ctx)
	own := &ownConn{used: time.Now(), end: func() { cancel(); release() }}
	opts := m.ownOptions(s, own)
	opts.Changed = func() { g.ownListed(s, own) }
	own.conn = upstream.New(opts)
	if !g.running.start(func() {
		defer own.end()
		own.conn.Run(ctx)
	}) {
		own.end()
		return nil, callFailed(errSessionEnded)
	}
	if s.own == nil {
		s.own = map[*member]*ownConn{}
	}
	s.own[m] = own
	return own, nil
}

// makeRoom ends the connection to m that was idle for longest, of a session
// that nobody listens in if there is one.
func (g *Gateway) makeRoom(m *member) bool {
	var longest *session
	var best idleness
	for _, s := range g.sessions.all() {
		if idle, ok := s.idleness(m); ok && (longest == nil || idle.before(best)) {
			longest, best = s, idle
		}
	}
	if longest == nil {
		return false
	}
	before := g.catalogOf(longest)
	if !longest.giveUp(m) {
		return false
	}
	g.tellOwn(longest, before)
	return true
}

// idleness says who gives way first: sessions without an open stream, and
// among them who was idle for longest.
type idleness struct {
	listens bool
	since   time.Time
}

func (i idleness) before(other idleness) bool {
	if i.listens != other.listens {
		return other.listens
	}
	return i.since.Before(other.since)
}

// idleness is that of the session's connection to m; ok is false if there is
// none, or it is in use.
func (s *session) idleness(m *member) (_ idleness, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.own[m]
	if own == nil || len(s.talks[m]) > 0 || time.Since(own.used) < restless {
		return idleness{}, false
	}
	return idleness{s.active > 0, own.used}, true
}

// giveUp ends the session's connection to m, unless it is in use by now.
func (s *session) giveUp(m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.own[m]
	if own == nil || len(s.talks[m]) > 0 {
		return false
	}
	delete(s.own, m)
	own.end()
	m.log.Info("a session's idle connection gave way to another one", "upstream", m.Name)
	return true
}

// ownOptions introduce the session's client to the upstream.
func (m *member) ownOptions(s *session, own *ownConn) upstream.Options {
	opts := m.Options
	opts.CallsOnly = true
	opts.ClientInfo = s.client.info
	opts.ClientCapabilities = m.mayAsk(s.client.capabilities)
	opts.Protocol = m.ownProtocol(m.conn.Listing())
	opts.Request = func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
		return question{from: m, conn: own.conn, to: s, method: method, params: params}.ask(ctx)
	}
	opts.Notify = func(method string, params json.RawMessage) { s.told(m, method, params) }
	return opts
}

// told passes on what an upstream tells over the session's own connection, but
// belongs to no call: on the session's stream.
func (s *session) told(m *member, method string, params json.RawMessage) {
	switch method {
	case "notifications/resources/updated":
		s.pushOnce(notification(method, m.publishUpdate(params)))
		return
	case "notifications/message":
		if level := s.level(); level != nil && !loudEnough(params, level) {
			return
		}
	}
	s.push(notification(method, params))
}

// publishUpdate puts the published URI into the params of an update.
func (m *member) publishUpdate(params json.RawMessage) json.RawMessage {
	o, err := rawjson.ParseObject(params)
	if err != nil {
		return params
	}
	setURI(&o, m.publishURI)
	return o.Bytes()
}

// join notes that t is in flight, until the returned function is called.
func (s *session) join(m *member, t *talk) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.talks == nil {
		s.talks = map[*member][]*talk{}
	}
	s.talks[m] = append(s.talks[m], t)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if own := s.own[m]; own != nil {
			own.used = time.Now()
		}
		for i, other := range s.talks[m] {
			if other == t {
				s.talks[m] = append(s.talks[m][:i:i], s.talks[m][i+1:]...)
			}
		}
	}
}

// ownConns are the session's connections so far.
func (s *session) ownConns() []*ownConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*ownConn
	for _, own := range s.own {
		all = append(all, own)
	}
	return all
}

// A group is goroutines that are waited for together. Unlike with
// sync.WaitGroup, one may try to join while the others are waited for.
type group struct {
	mu     sync.Mutex
	closed bool // guarded by mu
	wg     sync.WaitGroup
}

func (g *group) start(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Go(f)
	return true
}

func (g *group) wait() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.wg.Wait()
}
