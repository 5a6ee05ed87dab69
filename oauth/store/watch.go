package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// patience is how long a watch waits for the one who reads its events. Somebody who
// is slower could miss a deletion.
const patience = markerTTL / 2

// An Event is one thing that a watch tells.
type Event struct {
	// Entry is what is stored now. Of one that is deleted, only Key and Revision
	// are known.
	Entry
	// Deleted means that the entry was deleted or taken, or has expired, of which a
	// watch tells about two seconds late. The entry may be one it never told.
	Deleted bool
	// Synced means that everything there was has been told. It has no entry.
	Synced bool
}

// A Watch tells what is stored of a kind, and what changes.
type Watch struct{ events chan Event }

// Events returns first what is there, then one event that is Synced, then the
// changes; of several changes of one entry maybe only the last, and one may come
// twice. It is closed when the context of the watch ends, when the store is closed
// or cannot be read any more, and if nobody takes an event for half an hour.
func (w *Watch) Events() <-chan Event { return w.events }

// Watch starts to tell what is stored of a kind, until ctx ends. Values that do
// not open are left out, and logged. It starts a goroutine that ends with it.
func (s *Store) Watch(ctx context.Context, kind string) (*Watch, error) {
	if err := checkKind(kind); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	w := &Watch{events: make(chan Event)}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	s.running.Go(func() {
		defer cancel()
		defer stop()
		defer close(w.events)
		err := s.follow(ctx, subject(kind, "*"), func(m message, synced bool) error {
			return s.tell(ctx, w, m, synced)
		})
		if ctx.Err() == nil {
			s.log.Error("a watch of the store ended", "kind", kind, "err", err)
		}
	})
	return w, nil
}

// tell sends the event of a message, if there is one.
func (s *Store) tell(ctx context.Context, w *Watch, m message, synced bool) error {
	event := Event{Synced: synced}
	if !synced {
		kind, key, ok := splitSubject(m.subject)
		if !ok {
			return nil
		}
		f, ok := s.tryOpen(kind, key, m)
		if !ok || !f.there && !f.deleted || f.deleted && m.initial {
			return nil // one that has expired is told with its marker
		}
		event.Entry, event.Deleted = f.entry, f.deleted
		if f.deleted {
			event.Entry = Entry{Key: key, Revision: m.sequence}
		}
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case w.events <- event:
		return nil
	case <-timer.C:
		return fmt.Errorf("nobody took an event for %s", patience)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryOpen opens a value, or logs that it does not open. The key is left out of the
// log, as it may be one that nobody is to know.
func (s *Store) tryOpen(kind, key string, m message) (found, bool) {
	f, err := s.opened(kind, key, m)
	if err != nil {
		s.log.Error("a value in the store is left out", "kind", kind, "revision", m.sequence, "err", err)
	}
	return f, err == nil
}

// List calls each with what is stored of a kind under keys that start with prefix,
// in the order in which it was stored, until each returns an error. What is stored
// anew meanwhile may be listed twice, and what is deleted may be listed. Values that
// do not open are left out, and logged. It reads all of the kind.
func (s *Store) List(ctx context.Context, kind, prefix string, each func(Entry) error) error {
	if err := checkKind(kind); err != nil {
		return err
	}
	err := s.follow(ctx, subject(kind, "*"), func(m message, synced bool) error {
		if synced {
			return errSynced
		}
		_, key, ok := splitSubject(m.subject)
		if !ok || m.deleted || !strings.HasPrefix(key, prefix) {
			return nil
		}
		f, ok := s.tryOpen(kind, key, m)
		if !ok || !f.there {
			return nil
		}
		return each(f.entry)
	})
	if err == nil || errors.Is(err, errSynced) {
		return nil
	}
	return fmt.Errorf("listing the %s entries: %w", kind, err)
}
