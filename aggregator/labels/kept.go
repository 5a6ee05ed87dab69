package labels

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mcpagg/mcpagg/oauth/store"
)

// storeKind is that of labels in the store.
const storeKind = "labels"

// A record is what is stored of one owner.
type record struct {
	Caller string           `json:"caller"`
	App    string           `json:"app"`
	Labels map[string]int64 `json:"labels"` // until when they last, in Unix ms
	Writer string           `json:"writer"`
}

// key is what an owner's labels are stored under. Names of keys can be read on the
// disk, so that it tells nothing.
func (o owner) key() string {
	sum := sha256.Sum256([]byte(o.caller + "\x00" + o.app))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// begin waits until nobody else stores labels of an owner. Of many calls at once, one
// stores what all of them need.
func (l *Labels) begin(ctx context.Context, o owner) (end func(), err error) {
	for {
		l.mu.Lock()
		other := l.storing[o]
		if other == nil {
			done := make(chan struct{})
			l.storing[o] = done
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.storing, o)
				l.mu.Unlock()
				close(done)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// keep stores labels, and then remembers them. Another gateway may store others of the
// same owner meanwhile: then this one begins anew with those, so that none are lost.
func (l *Labels) keep(ctx context.Context, o owner, names []string, ttl time.Duration) error {
	end, err := l.begin(ctx, o)
	if err != nil {
		return err
	}
	defer end()
	if l.prolong(o, names, ttl) { // somebody else was faster
		return nil
	}
	if err := l.room(o); err != nil {
		return err
	}
	l.mu.RLock()
	known := l.marked[o]
	l.mu.RUnlock()
	for {
		now := time.Now()
		next := known.stored(now)
		for _, name := range names {
			next[name] = later(next[name], now.Add(ttl+ttl/2))
		}
		if len(next) > MaxLabels {
			return fmt.Errorf("a caller may have %d labels", MaxLabels)
		}
		revision, err := l.write(ctx, o, known, next)
		if err == nil {
			l.remember(o, revision, next, names, now.Add(ttl))
			return nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return err
		}
		if known, err = l.read(ctx, o); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// write stores an owner's labels in the place of those that are known.
func (l *Labels) write(ctx context.Context, o owner, known *marks, next map[string]time.Time) (uint64, error) {
	st := l.store.Load()
	if st == nil {
		return 0, nil
	}
	r := record{Caller: o.caller, App: o.app, Labels: map[string]int64{}, Writer: l.writer}
	var last time.Time
	for name, at := range next {
		r.Labels[name] = at.UnixMilli()
		last = later(last, at)
	}
	value, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	ttl := max(time.Until(last), time.Second) // 0 would be for ever
	if known.at() == 0 {
		return st.Create(ctx, storeKind, o.key(), value, ttl)
	}
	return st.Update(ctx, storeKind, o.key(), value, known.revision, ttl)
}

// read is what the store has of an owner, or nil.
func (l *Labels) read(ctx context.Context, o owner) (*marks, error) {
	e, err := l.store.Load().Get(ctx, storeKind, o.key())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := parse(e)
	if err != nil {
		return nil, err
	}
	var none *marks
	return none.merged(e.Revision, r.stored()), nil
}

func parse(e store.Entry) (r record, err error) {
	if err := json.Unmarshal(e.Value, &r); err != nil {
		return r, fmt.Errorf("labels in the store are none: %w", err)
	}
	if o := (owner{r.Caller, r.App}); o.key() != e.Key {
		return r, errors.New("labels in the store are of somebody else")
	}
	return r, nil
}

func (r record) stored() map[string]time.Time {
	all := map[string]time.Time{}
	for name, ms := range r.Labels {
		all[name] = time.UnixMilli(ms)
	}
	return all
}

// remember has an owner have labels that are stored at a revision; those of names
// until a time.
func (l *Labels) remember(o owner, revision uint64, stored map[string]time.Time, names []string, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.marked[o]
	next := known.merged(max(revision, known.at()), stored)
	for _, name := range names {
		one, was := next.get(name), known.get(name)
		if one != was { // nobody else has it yet
			one.until.Store(0)
		}
		if was != nil {
			one.prolong(was.until.Load())
		}
		one.prolong(until.UnixNano())
	}
	l.marked[o] = next
}

// takeOver has an owner have what is stored at a revision, unless a later one is known.
func (l *Labels) takeOver(o owner, revision uint64, stored map[string]time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.marked[o]; revision > known.at() {
		l.marked[o] = known.merged(revision, stored)
	}
}

// follow takes over what others store, until ctx ends. What is deleted is over, which
// everybody knows by themselves.
func (l *Labels) follow(ctx context.Context) {
	select {
	case <-l.attached:
	case <-ctx.Done():
		return
	}
	l.store.Load().Follow(ctx, store.Follower{
		Kind:  storeKind,
		Apply: l.apply,
		Known: func() []string { return nil },
		Log:   l.log,
	})
}

func (l *Labels) apply(e store.Event) {
	if e.Deleted {
		return
	}
	r, err := parse(e.Entry)
	switch {
	case err != nil:
		l.log.Error("labels in the store are left out", "revision", e.Revision, "err", err)
	case r.Writer != l.writer: // which would last longer than they are to
		l.takeOver(owner{r.Caller, r.App}, e.Revision, r.stored())
	}
}
