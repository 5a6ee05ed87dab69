package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// retryEvery is how often it is tried again to seal anew what could not be.
const retryEvery = time.Minute

// Rotate makes a new data key, which seals everything from then on. What is stored
// is sealed anew in the background, and keeps its revision and expiry; then the old
// key is forgotten. A restart, or another Rotate, loses nothing of that. A watch
// may tell again what it has told.
func (s *Store) Rotate(ctx context.Context) error {
	select {
	case <-s.saving:
		defer func() { s.saving <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("rotating the key of the store: %w", ctx.Err())
	case <-s.life.Done():
		return fmt.Errorf("rotating the key of the store: %w", ErrClosed)
	}
	next, err := newDataKey()
	if err != nil {
		return err
	}
	ring, _ := s.keys.all()
	if err := s.saveRing(ctx, append(slices.Clone(ring), next)); err != nil {
		return fmt.Errorf("rotating the key of the store: %w", err)
	}
	s.wake()
	return nil
}

// wake has keepSealing look at what is sealed with old keys.
func (s *Store) wake() {
	select {
	case s.rotated <- struct{}{}:
	default:
	}
}

// keepSealing seals anew what is sealed with old keys, and forgets those, until the
// store is closed.
func (s *Store) keepSealing() {
	again := time.NewTimer(0) // the process before may not have come to the end
	defer again.Stop()
	for {
		select {
		case <-s.rotated:
		case <-again.C:
		case <-s.life.Done():
			return
		}
		err := s.sealAnew(s.life)
		if err != nil && s.life.Err() == nil {
			s.log.Error("the store is not sealed under its new key yet", "err", err)
			again.Reset(retryEvery)
		}
	}
}

// sealAnew seals everything with the current key, and forgets the others.
func (s *Store) sealAnew(ctx context.Context) error {
	ring, _ := s.keys.all()
	if len(ring) == 1 {
		return nil
	}
	current := ring[len(ring)-1]
	for _, old := range ring[:len(ring)-1] {
		old.users.Wait() // nobody begins to use it any more
	}
	// What is written from here on is behind all that was sealed with an old key,
	// even a write that nobody waits for any more.
	if err := s.resave(ctx, func(ring []*dataKey) []*dataKey { return ring }); err != nil {
		return err
	}
	unsealed := 0
	err := s.follow(ctx, subject("*", "*"), func(m message, synced bool) error {
		if synced {
			return errSynced
		}
		ok, err := s.sealOne(ctx, m, current)
		if !ok {
			unsealed++
		}
		return err
	})
	if !errors.Is(err, errSynced) {
		return err
	}
	err = s.resave(ctx, func(ring []*dataKey) []*dataKey { return ring[slices.Index(ring, current):] })
	if err == nil {
		s.log.Info("the store is sealed under its new key", "lost", unsealed)
	}
	return err
}

// resave writes the keyring as change makes it.
func (s *Store) resave(ctx context.Context, change func([]*dataKey) []*dataKey) error {
	select {
	case <-s.saving:
		defer func() { s.saving <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ring, _ := s.keys.all()
	return s.saveRing(ctx, change(ring))
}

// sealOne seals a value anew. Somebody who writes it meanwhile does that with the
// current key. It reports false for a value that does not open.
func (s *Store) sealOne(ctx context.Context, m message, current *dataKey) (ok bool, err error) {
	kind, key, ok := splitSubject(m.subject)
	if id, err := sealedWith(m.data); m.deleted || !ok || err == nil && id == current.id {
		return true, nil
	}
	v, err := s.keys.open(kind, key, m.data)
	if err != nil {
		s.log.Error("a value in the store is lost", "kind", kind, "revision", m.sequence, "err", err)
		return false, nil
	}
	if v.revision == 0 {
		v.revision = m.sequence
	}
	if v.expired(time.Now()) {
		err = s.remove(ctx, kind, key, found{sequence: m.sequence, until: v.until})
	} else {
		_, err = s.write(ctx, kind, key, v, m.sequence)
	}
	if errors.Is(err, errSequence) {
		err = nil
	}
	return true, err
}
