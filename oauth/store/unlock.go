package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// unlock opens the keyring, or makes the first one.
func (s *Store) unlock(ctx context.Context, o Options) error {
	e := s.engine.Load()
	m, err := e.last(ctx, keyring)
	if errors.Is(err, ErrNotFound) {
		return s.begin(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("reading the keyring of the store: %w", err)
	}
	s.master, err = s.readMaster(ctx, o, false)
	if err != nil {
		return err
	}
	ring, err := s.master.open(m.data)
	if errors.Is(err, errWrongKey) && o.PreviousKey != nil {
		return s.rewrap(ctx, o, m)
	}
	if errors.Is(err, errWrongKey) {
		return s.wrongKey()
	}
	if err != nil {
		return damaged(s.dir, err)
	}
	s.keys.set(ring, m.sequence)
	return nil
}

// begin makes the first keyring of a store that is empty.
func (s *Store) begin(ctx context.Context, o Options) error {
	info, err := s.engine.Load().stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("looking into the store: %w", err)
	}
	if info.State.LastSeq > 0 {
		return damaged(s.dir, errors.New("its keyring is gone"))
	}
	s.master, err = s.readMaster(ctx, o, true)
	if err != nil {
		return err
	}
	first, err := newDataKey()
	if err != nil {
		return err
	}
	return s.saveRing(ctx, []*dataKey{first})
}

// rewrap seals the keyring under the key, which the previous one opens.
func (s *Store) rewrap(ctx context.Context, o Options, m message) error {
	text, err := o.PreviousKey(ctx)
	if err != nil {
		return fmt.Errorf("reading the previous key of the store: %w", err)
	}
	previous, err := newMaster(text)
	if err != nil {
		return fmt.Errorf("the previous key: %w", err)
	}
	ring, err := previous.open(m.data)
	if errors.Is(err, errWrongKey) {
		return s.wrongKey()
	}
	if err != nil {
		return damaged(s.dir, err)
	}
	s.keys.set(ring, m.sequence)
	if err := s.saveRing(ctx, ring); err != nil {
		return err
	}
	s.log.Info("the store is sealed under its new key")
	return nil
}

func (s *Store) wrongKey() error {
	return fmt.Errorf("the store in %s was sealed under another key: give it that key, as the previous key if it was replaced, or move %s away to begin anew: everybody has to sign in again then",
		s.dir, filepath.Join(s.dir, "store"))
}

// saveRing writes the keyring, and uses it from then on. That it is not what was
// last read or written is an error.
func (s *Store) saveRing(ctx context.Context, ring []*dataKey) error {
	sealed, err := s.master.seal(ring)
	if err != nil {
		return err
	}
	_, sequence := s.keys.all()
	sequence, err = s.publish(ctx, write{subject: keyring, data: sealed, expect: sequence})
	if err != nil {
		// It may have been written all the same.
		return fmt.Errorf("writing the keyring of the store: %w", errors.Join(err, s.reloadRing(ctx)))
	}
	s.keys.set(ring, sequence)
	return nil
}

// reloadRing uses the keyring that is stored.
func (s *Store) reloadRing(ctx context.Context) error {
	var m message
	err := s.do(context.WithoutCancel(ctx), func(ctx context.Context, e *engine) (err error) {
		m, err = e.last(ctx, keyring)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil // the first one was not written
	}
	if err != nil {
		return err
	}
	ring, err := s.master.open(m.data)
	if errors.Is(err, errWrongKey) {
		return nil // sealed under the previous key
	}
	if err != nil {
		return err
	}
	s.keys.set(ring, m.sequence)
	return nil
}

// readMaster returns the key of the keyring. One is generated for a store that is
// empty only.
func (s *Store) readMaster(ctx context.Context, o Options, empty bool) (master, error) {
	if s.dir == "" {
		return newMaster(rand.Text())
	}
	if o.Key != nil {
		text, err := o.Key(ctx)
		if err != nil {
			return master{}, fmt.Errorf("reading the key of the store: %w", err)
		}
		return newMaster(text)
	}
	path := filepath.Join(s.dir, "store.key")
	text, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) && empty {
		text, err = makeKeyFile(path)
	} else if errors.Is(err, fs.ErrNotExist) {
		return master{}, fmt.Errorf("%s is missing, and nothing else opens what is in %s: put it back from a backup, or move that away to begin anew: everybody has to sign in again then", path, s.data())
	}
	if err != nil {
		return master{}, err
	}
	return newMaster(text)
}
