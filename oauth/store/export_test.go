package store

import (
	"context"
	"time"
)

// OpenForgetful is Open, with an engine that soon forgets what has expired.
func OpenForgetful(ctx context.Context, o Options) (*Store, error) {
	return openRemembering(ctx, o, time.Second)
}

// Swap puts what the engine has under each of two keys in the place of the other.
func (s *Store) Swap(ctx context.Context, kind, a, b string) error {
	first, err := s.Raw(ctx, kind, a)
	if err != nil {
		return err
	}
	second, err := s.Raw(ctx, kind, b)
	if err != nil {
		return err
	}
	if err := s.SetRaw(ctx, kind, a, second); err != nil {
		return err
	}
	return s.SetRaw(ctx, kind, b, first)
}

// Raw is what the engine has under a key.
func (s *Store) Raw(ctx context.Context, kind, key string) ([]byte, error) {
	m, err := s.engine.Load().last(ctx, subject(kind, key))
	return m.data, err
}

// SetRaw puts something unsealed under a key.
func (s *Store) SetRaw(ctx context.Context, kind, key string, data []byte) error {
	_, err := s.engine.Load().write(ctx, write{subject: subject(kind, key), data: data, expect: anySequence})
	return err
}

// DataKeys is how many data keys there are.
func (s *Store) DataKeys() int {
	ring, _ := s.keys.all()
	return len(ring)
}
