package store

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// A Follower keeps something in memory as the store has it.
type Follower struct {
	Kind string
	// Apply is told what is stored, and what is not any more, one event at a time.
	Apply func(Event)
	// Known are the keys of what is in memory. Those that the store does not have any
	// more are told as deleted, with revision 0 if the store knows nothing of them.
	Known func() []string
	// Ready, if not nil, is called once: with nil when all that is stored has been
	// told, or with why it cannot be.
	Ready func(error)
	// Log gets why the store does not tell of changes. It must not be nil.
	Log *slog.Logger
}

// retryWatch is how long Follow waits until it tries again.
const retryWatch = 5 * time.Second

var errWatchEnded = errors.New("it stopped telling of changes")

// Follow tells f what is stored of a kind, and what changes, until ctx ends. It begins
// anew if the store stops telling.
func (s *Store) Follow(ctx context.Context, f Follower) {
	ready := f.Ready
	for {
		err := s.followOnce(ctx, f, func() {
			if ready != nil {
				ready(nil)
				ready = nil
			}
		})
		if ctx.Err() != nil {
			return
		}
		if ready != nil {
			ready(err)
			ready = nil
		}
		f.Log.Error("the store does not tell of changes; trying again", "kind", f.Kind, "err", err)
		select {
		case <-time.After(retryWatch):
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) followOnce(ctx context.Context, f Follower, synced func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w, err := s.Watch(ctx, f.Kind)
	if err != nil {
		return err
	}
	told := map[string]bool{}
	for e := range w.Events() {
		if e.Synced {
			s.dropGone(ctx, f, told)
			told = nil
			synced()
			continue
		}
		if told != nil && !e.Deleted {
			told[e.Key] = true
		}
		f.Apply(e)
	}
	return errWatchEnded
}

// dropGone tells what the store does not have any more, after a time in which it did
// not tell of changes. What it has not told may be newer.
func (s *Store) dropGone(ctx context.Context, f Follower, told map[string]bool) {
	for _, key := range f.Known() {
		if told[key] {
			continue
		}
		if found, err := s.find(ctx, f.Kind, key); err == nil && !found.there && !found.sealed {
			f.Apply(Event{Entry: Entry{Key: key, Revision: found.sequence}, Deleted: true})
		}
	}
}
