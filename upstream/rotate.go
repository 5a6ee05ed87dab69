package upstream

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// A rotation notices that secrets in the environment of a server have another
// value than the one that it was started with. It is safe for concurrent use.
type rotation struct {
	env map[string]Secret // never changed

	mu     sync.Mutex
	used   map[string]string // values that the server was started with; guarded by mu
	inARow int               // looks that found another value each; guarded by mu
}

const (
	// maxRotatePause bounds the time between two looks.
	maxRotatePause = time.Hour
	// restless is after how many looks in a row a source is taken for one that
	// has another value each time.
	restless = 3
)

func newRotation(env map[string]Secret) *rotation {
	return &rotation{env: env, used: map[string]string{}}
}

// noting are the secrets for starting the server: what they yield is what it has.
func (r *rotation) noting() map[string]Secret {
	noting := make(map[string]Secret, len(r.env))
	for name, s := range r.env {
		noting[name] = func(ctx context.Context) (string, error) {
			value, err := s(ctx)
			if err == nil {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.used[name] = value
			}
			return value, err
		}
	}
	return noting
}

// pause is how long to wait before the next look: longer each time, as long as
// each finds another value, so that a source that never yields the same one twice
// does not have its server started anew every minute.
func (r *rotation) pause(between time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return min(between<<min(r.inARow, 6), max(between, maxRotatePause))
}

// note notes what a look has found, and reports whether that goes on and on.
func (r *rotation) note(changed bool) (again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !changed {
		r.inARow = 0
		return false
	}
	r.inARow++
	return r.inARow >= restless
}

// changed are the names of those that have another value by now. One that cannot
// be had has not changed: a source that is down ends no server that works.
func (r *rotation) changed(ctx context.Context) []string {
	var names []string
	for name, s := range r.env {
		value, err := s(ctx)
		r.mu.Lock()
		used, known := r.used[name]
		r.mu.Unlock()
		if err == nil && known && value != used {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// errRenewed is why a connection ends whose server is started anew. Its calls
// have had their time.
var errRenewed = &brokenError{errors.New("started anew, since a secret in its environment has changed")}

// heedRotation starts the server anew when a secret in its environment has
// changed: calls that come then wait for the next connection, and those under
// way may end on this one.
func (u *Upstream) heedRotation(c *conn) {
	for sleep(c.life, u.rotation.pause(u.pace.rotate)) {
		names := u.rotation.changed(c.life)
		level := slog.LevelInfo
		if u.rotation.note(len(names) > 0) {
			level = slog.LevelWarn
		}
		if len(names) == 0 {
			continue
		}
		u.opts.Log.Log(c.life, level, "a secret has changed; starting the server anew", "env", names, "next_look", u.rotation.pause(u.pace.rotate))
		u.setAside(c)
		c.finish(u.opts.CallTimeout)
		c.end(errRenewed)
		return
	}
}

// setAside makes new calls wait for the connection after c.
func (u *Upstream) setAside(c *conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn == c {
		u.conn, u.awaited = nil, true
		u.status.LastError = errRenewed.Error()
	}
}

// finish waits until no call is under way any more, for limit at most. Calls that
// have not begun by then use another connection.
func (c *conn) finish(limit time.Duration) {
	ended := make(chan struct{})
	if !c.running.start(func() {
		c.underWay.wait()
		close(ended)
	}) {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	case <-c.life.Done():
	}
}
