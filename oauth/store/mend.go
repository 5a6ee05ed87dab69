package store

import (
	"context"
	"fmt"
	"time"
)

// mendEvery is how often it is tried to start the engine anew.
const mendEvery = time.Second

// do has the engine do something, and waits maxWait at the most. An engine whose
// disk was full refuses to write until it is started anew; that is done as soon as
// there is space, and reading goes on until then.
func (s *Store) do(ctx context.Context, op func(context.Context, *engine) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	var err error
	for range 3 {
		if s.life.Err() != nil {
			return ErrClosed
		}
		e := s.engine.Load()
		err = op(ctx, e)
		if err == nil || !isBroken(err) {
			return err
		}
		if err := s.mend(ctx, e, err); err != nil {
			return err
		}
	}
	return fmt.Errorf("the store's engine does not come back: %w", err)
}

// mend starts an engine anew that failed, unless somebody else has.
func (s *Store) mend(ctx context.Context, e *engine, cause error) error {
	select {
	case <-s.mending:
		defer func() { s.mending <- struct{}{} }()
	case <-s.life.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.engine.Load() != e || s.life.Err() != nil {
		return nil
	}
	if s.dir == "" {
		return fmt.Errorf("the store in memory: %w", cause)
	}
	if time.Since(s.mended) > mendEvery {
		s.broken = s.restart(ctx, e, cause)
		s.mended = time.Now()
	}
	return s.broken
}

// restart starts the engine anew if the disk can be written to.
func (s *Store) restart(ctx context.Context, e *engine, cause error) error {
	if err := probe(s.dir); err != nil {
		return diskError(s.dir, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	s.log.Warn("the store starts its engine anew", "err", cause)
	if err := e.close(); err != nil {
		return err
	}
	next, err := s.start(ctx)
	if err != nil {
		return err
	}
	s.engine.Store(next)
	return nil
}
