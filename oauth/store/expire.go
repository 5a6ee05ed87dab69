package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// forGood is how long to wait for nothing.
const forGood = 1 << 62

// The engine lets values expire, and forgets all about them in time. Where one
// replaced a value that would have lasted longer, that could come back from the
// engine's files after a crash; so that the engine is not told of the shorter time,
// and the store deletes the value itself.

// expiring are the values that the store deletes itself.
type expiring struct {
	added chan struct{} // holds a token when there is a new one

	mu  sync.Mutex
	due map[string]time.Time // by subject; guarded by mu
}

func newExpiring() *expiring {
	return &expiring{added: make(chan struct{}, 1), due: map[string]time.Time{}}
}

func (x *expiring) add(subject string, due time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.due[subject] = due
	select {
	case x.added <- struct{}{}:
	default:
	}
}

// take returns the subjects that are due, and how long it is until the next.
func (x *expiring) take(now time.Time) (due []string, next time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	next = forGood
	for subject, at := range x.due {
		if wait := at.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		due = append(due, subject)
		delete(x.due, subject)
	}
	return due, next
}

// keepExpiring deletes what is due, until the store is closed. What was stored
// before the store was opened, it looks for first.
func (s *Store) keepExpiring() {
	for s.findExpiring(s.life) != nil {
		if !pause(s.life, retryEvery) {
			return
		}
	}
	for {
		due, next := s.expiring.take(time.Now())
		for _, subject := range due {
			s.expire(s.life, subject)
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-s.expiring.added:
		case <-s.life.Done():
		}
		timer.Stop()
		if s.life.Err() != nil {
			return
		}
	}
}

// findExpiring finds the values that the store has to delete itself.
func (s *Store) findExpiring(ctx context.Context) error {
	err := s.read(ctx, &reader{filter: subject("*", "*"), headers: true, each: func(m message, synced bool) error {
		if synced {
			return errSynced
		}
		if !m.due.IsZero() {
			s.expiring.add(m.subject, m.due)
		}
		return nil
	}})
	if errors.Is(err, errSynced) {
		return nil
	}
	if ctx.Err() == nil {
		s.log.Error("the store does not know yet what is to expire", "err", err)
	}
	return err
}

// expire deletes a value that has expired, and tries again later if it cannot.
func (s *Store) expire(ctx context.Context, subject string) {
	kind, key, ok := splitSubject(subject)
	if !ok {
		return
	}
	f, err := s.find(ctx, kind, key)
	if err == nil && f.sequence != 0 && !f.deleted && !f.sealed && !f.there {
		err = s.remove(ctx, kind, key, f)
	}
	if err != nil && !errors.Is(err, errSequence) && ctx.Err() == nil {
		s.log.Error("a value in the store is to expire, and cannot", "kind", kind, "err", err)
		s.expiring.add(subject, time.Now().Add(retryEvery))
	}
}
