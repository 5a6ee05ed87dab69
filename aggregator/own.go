package aggregator

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// maxOwnProcesses bounds the processes that sessions have of one upstream.
const maxOwnProcesses = 50

// An ownConn is a session's own connection to an upstream, which may ask the
// session's client and tell it things.
type ownConn struct {
	conn *upstream.Upstream
	// leveled is held while the session's log level is told to the upstream.
	leveled sync.Mutex
	level   string // last told; guarded by leveled
}

// ownConn returns the session's connection to m. It is dialled when it is
// first asked for and ends with the session.
func (g *Gateway) ownConn(ctx context.Context, s *session, m *member) (*upstream.Upstream, error) {
	own, err := g.openOwn(s, m)
	if err != nil {
		return nil, err
	}
	own.setLevel(ctx, s.level())
	return own.conn, nil
}

func (g *Gateway) openOwn(s *session, m *member) (*ownConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own := s.own[m]; own != nil {
		return own, nil
	}
	if m.owned.Add(1) > maxOwnProcesses && m.URL == nil {
		m.owned.Add(-1)
		return nil, &jsonrpc.Error{Code: codeBusy, Message: fmt.Sprintf("upstream %q is busy: %d sessions have a process of it", m.Name, maxOwnProcesses)}
	}
	own := &ownConn{conn: upstream.New(m.ownOptions(s))}
	if !g.running.start(func() {
		defer m.owned.Add(-1)
		own.conn.Run(s.ctx)
	}) {
		m.owned.Add(-1)
		return nil, callFailed(errSessionEnded)
	}
	if s.own == nil {
		s.own = map[*member]*ownConn{}
	}
	s.own[m] = own
	return own, nil
}

// ownOptions introduce the session's client to the upstream.
func (m *member) ownOptions(s *session) upstream.Options {
	opts := m.Options
	opts.CallsOnly = true
	opts.Changed = nil
	opts.ClientInfo = s.client.info
	opts.ClientCapabilities = m.mayAsk(s.client.capabilities)
	if l := m.conn.Listing(); opts.Protocol == upstream.Auto && l != nil && l.Version != "2024-11-05" {
		opts.Protocol = upstream.Legacy // the upstream's first connection has found out
	}
	opts.Request = func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
		return m.ask(ctx, s, nil, method, params)
	}
	opts.Notify = func(method string, params json.RawMessage) { s.told(m, method, params) }
	return opts
}

// setLevel tells the upstream the level at which the client wants to be told
// log messages. Upstreams without logging refuse, which does not matter.
func (o *ownConn) setLevel(ctx context.Context, level string) {
	o.leveled.Lock()
	defer o.leveled.Unlock()
	if o.level == level {
		return
	}
	o.level = level
	params := rawjson.Object{}
	params.Set("level", rawjson.String(level))
	_, _ = o.conn.Call(ctx, upstream.Call{Method: "logging/setLevel", Params: params.Bytes()})
}

// told passes on what an upstream tells over the session's own connection: on
// the stream of the only call that can have caused it, or on the session's.
func (s *session) told(m *member, method string, params json.RawMessage) {
	if method == "notifications/resources/updated" {
		params = m.publishUpdate(params)
	}
	s.mu.Lock()
	var only *talk
	if talks := s.talks[m]; len(talks) == 1 {
		only = talks[0]
	}
	s.mu.Unlock()
	if only != nil && only.notify != nil && method != "notifications/resources/updated" {
		only.notify(method, params)
		return
	}
	s.push(requestBody(nil, method, params))
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
