package aggregator

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	defaultSessions    = 20_000
	defaultSessionIdle = 30 * time.Minute
)

// sessions are the legacy sessions that are open. The SDK keeps the sessions
// themselves; it knows neither their owner in our sense nor that a client with
// an open stream is not idle, and has no bound.
type sessions struct {
	max, maxPerCaller int
	idle              time.Duration

	mu       sync.Mutex
	byID     map[string]*session // guarded by mu
	byCaller map[string]int      // open sessions; guarded by mu
}

type session struct {
	owner   Caller
	ss      *mcp.ServerSession
	active  int       // HTTP requests being served, streams included
	touched time.Time // when active was last above 0
}

func newSessions(l Limits) *sessions {
	return &sessions{
		max: cmp.Or(l.Sessions, defaultSessions), maxPerCaller: l.SessionsPerUser,
		idle: cmp.Or(l.SessionIdle, defaultSessionIdle),
		byID: map[string]*session{}, byCaller: map[string]int{},
	}
}

// room reports whether the caller may open one more session.
func (s *sessions) room(c Caller) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID) < s.max && (s.maxPerCaller == 0 || s.byCaller[c.ID] < s.maxPerCaller)
}

func (s *sessions) open(ss *mcp.ServerSession, owner Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[ss.ID()] = &session{owner: owner, ss: ss, touched: time.Now()}
	s.byCaller[owner.ID]++
}

// enter marks a session as in use by one more request. ok is false if there is
// no such session, or it is another caller's.
func (s *sessions) enter(id string, c Caller) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.byID[id]
	if open == nil || open.owner.ID != c.ID {
		return nil, false
	}
	open.active++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		open.active--
		open.touched = time.Now()
	}, true
}

// close forgets a session. It may be called for one that is gone.
func (s *sessions) close(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked(id)
}

func (s *sessions) closeLocked(id string) {
	open := s.byID[id]
	if open == nil {
		return
	}
	delete(s.byID, id)
	if s.byCaller[open.owner.ID]--; s.byCaller[open.owner.ID] == 0 {
		delete(s.byCaller, open.owner.ID)
	}
}

// sweep ends idle sessions until ctx ends.
func (s *sessions) sweep(ctx context.Context) {
	tick := time.NewTicker(max(s.idle/10, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, ss := range s.takeIdle() {
				_ = ss.Close() // ends what is left of it; there is nobody to tell
			}
		}
	}
}

func (s *sessions) takeIdle() []*mcp.ServerSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	var idle []*mcp.ServerSession
	for id, open := range s.byID {
		if open.active == 0 && time.Since(open.touched) > s.idle {
			idle = append(idle, open.ss)
			s.closeLocked(id)
		}
	}
	return idle
}

// drain ends all sessions of both eras, each after the calls in it.
func (g *Gateway) drain() {
	var ending sync.WaitGroup
	for ss := range g.server.Sessions() {
		ending.Go(func() { _ = ss.Close() }) // as above
	}
	ending.Wait()
}
