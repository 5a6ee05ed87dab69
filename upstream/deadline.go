package upstream

import (
	"sync"
	"time"
)

// A deadline does something once a time has passed, not counting the time in
// which it is held. It is safe for concurrent use.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer   // guarded by mu
	left  time.Duration // since from; guarded by mu
	from  time.Time     // guarded by mu
	holds int           // guarded by mu
	over  bool          // nobody needs it any more; guarded by mu
}

func newDeadline(after time.Duration, do func()) *deadline {
	return &deadline{timer: time.AfterFunc(after, do), left: after, from: time.Now()}
}

// hold stops the time until release is called, which may be called again.
func (d *deadline) hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holds++; d.holds == 1 {
		d.timer.Stop()
		d.left -= time.Since(d.from)
	}
	return sync.OnceFunc(d.release)
}

func (d *deadline) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holds--; d.holds == 0 && !d.over {
		d.from = time.Now()
		d.timer.Reset(max(d.left, 0))
	}
}

func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.timer.Stop()
}

// deadlines are those of the calls under way. They are safe for concurrent use.
type deadlines struct {
	mu  sync.Mutex
	all map[*deadline]bool // guarded by mu
}

func (s *deadlines) add(d *deadline) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*deadline]bool{}
	}
	s.all[d] = true
}

func (s *deadlines) remove(d *deadline) {
	d.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, d)
}

// hold stops the time of all that are there now.
func (s *deadlines) hold() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	releases := make([]func(), 0, len(s.all))
	for d := range s.all {
		releases = append(releases, d.hold())
	}
	return func() {
		for _, release := range releases {
			release()
		}
	}
}
