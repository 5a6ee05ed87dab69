package aggregator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// connFor is the connection that serves the request: the shared one, or one of
// the session's own. It is in use until leave is called.
func (g *Gateway) connFor(ctx context.Context, r Request, m *member) (conn *upstream.Upstream, leave func(), err error) {
	if r.session == nil || m.isolation() != PerSession {
		return m.conn, func() {}, nil
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
	conn    *upstream.Upstream
	end     context.CancelFunc
	stopped chan struct{} // closed when it has ended, and its process
	level   toldLevel     // the session's

	users int       // requests that use it; guarded by the session's mu
	used  time.Time // when the last one ended; guarded by the session's mu
}

// ownConn returns the session's connection to m, which is in use until leave is
// called. It is dialled when it is first asked for and ends with the session,
// or when it gives way to another one; then the next request dials it anew.
func (g *Gateway) ownConn(ctx context.Context, s *session, m *member) (conn *upstream.Upstream, leave func(), err error) {
	own, err := g.openOwn(s, m)
	for tries := 0; tries < 3 && errors.Is(err, errFull) && g.makeRoom(ctx, m); tries++ {
		own, err = g.openOwn(s, m)
	}
	if errors.Is(err, errFull) {
		err = &jsonrpc.Error{Code: codeBusy, Message: fmt.Sprintf("upstream %q is busy: %d sessions use a process of it", m.Name, maxOwnProcesses)}
	}
	if err != nil {
		return nil, nil, err
	}
	own.level.tell(ctx, m, own.conn, s.wantedLevel)
	return own.conn, func() { s.leaveOwn(own) }, nil
}

func (s *session) leaveOwn(own *ownConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own.users--
	own.used = time.Now()
}

// openOwn is ownConn without making room: it fails with errFull.
func (g *Gateway) openOwn(s *session, m *member) (*ownConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own := s.own[m]; own != nil {
		own.users++
		return own, nil
	}
	if m.owned.Add(1) > maxOwnProcesses && m.URL == nil {
		m.owned.Add(-1)
		return nil, errFull
	}
	own := &ownConn{stopped: make(chan struct{}), users: 1}
	opts := m.ownOptions(s, own)
	opts.Subscriptions = s.unwatched[m]
	opts.Changed = func() { g.ownListed(s, own) }
	own.conn = upstream.New(opts)
	var ctx context.Context
	ctx, own.end = context.WithCancel(s.ctx)
	if !g.running.start(func() {
		defer close(own.stopped)
		defer m.owned.Add(-1)
		defer own.end()
		own.conn.Run(ctx)
	}) {
		m.owned.Add(-1)
		return nil, callFailed(errSessionEnded)
	}
	if s.own == nil {
		s.own = map[*member]*ownConn{}
	}
	s.own[m] = own
	delete(s.unwatched, m)
	return own, nil
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

// ownConns are the session's connections so far.
func (s *session) ownConns() map[*member]*ownConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.own)
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
