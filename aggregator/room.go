package aggregator

import (
	"context"
	"errors"
	"time"
)

const (
	// maxOwnProcesses bounds the processes that sessions have of one upstream.
	maxOwnProcesses = 50
	// roomTimeout bounds the wait for a process that gives way.
	roomTimeout = 10 * time.Second
)

// errFull says that sessions have as many processes of an upstream as there may be.
var errFull = errors.New("too many processes")

// makeRoom ends the process of m that was idle for longest, of a session that
// nobody listens in if there is one, and waits until it has ended. It reports
// false if all are in use.
func (g *Gateway) makeRoom(ctx context.Context, m *member) bool {
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
	before := longest.lists.seen(g)
	own := longest.giveUp(m)
	if own == nil {
		return true // somebody uses it by now; there may be another one
	}
	g.tellOwn(longest, before)
	ctx, cancel := context.WithTimeout(ctx, roomTimeout)
	defer cancel()
	select {
	case <-own.stopped:
	case <-ctx.Done():
	}
	return true
}

// idleness says who gives way first: sessions without a stream of their own,
// and among them who was idle for longest.
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
// none, or somebody uses it or waits for updates over it.
func (s *session) idleness(m *member) (_ idleness, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, listens := s.own[m], s.stream != nil
	if own == nil || own.users > 0 || listens && len(own.conn.Subscriptions()) > 0 {
		return idleness{}, false
	}
	return idleness{listens, own.used}, true
}

// giveUp ends the session's connection to m, unless it is in use by now. The
// next one has its subscriptions.
func (s *session) giveUp(m *member) *ownConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.own[m]
	if own == nil || own.users > 0 {
		return nil
	}
	delete(s.own, m)
	if uris := own.conn.Subscriptions(); len(uris) > 0 {
		if s.unwatched == nil {
			s.unwatched = map[*member][]string{}
		}
		s.unwatched[m] = uris
	}
	own.end()
	m.log.Info("a session's idle process gave way to another one", "upstream", m.Name)
	return own
}
