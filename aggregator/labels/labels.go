// Package labels remembers of each caller what kinds of data they have had through
// the gateway lately, and how many calls they have made: what policies see as
// context.session.
//
//	l, err := labels.Open(ctx, st, labels.Options{TTL: 24 * time.Hour, Log: log})
//	…
//	go l.Run(ctx)
//	calls, set := l.Of(caller.ID, app)
//	…
//	if err := l.Mark(ctx, caller.ID, app, []string{"private-data"}); err != nil {
//		return err // and do not call the tool
//	}
//
// Labels belong to a caller with one app, the client program: that is what carries
// data from one call to the next. A new session of the same program has them, too,
// since nothing says that it has forgotten what it read. The app "" is one that is
// not known, and counts as one.
//
// A label is never lost before its time: it is in the store before Mark returns, and
// Mark fails where it cannot be. Counts are in memory only.
package labels

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/oauth/store"
)

const (
	// MaxMarked bounds how many pairs of caller and app may have labels.
	MaxMarked = 100_000
	// MaxLabels bounds the labels of one, and MaxLength each of them, in bytes.
	MaxLabels = 100
	MaxLength = 100

	defaultTTL = 24 * time.Hour
	// markTimeout bounds how long a call may wait for the store.
	markTimeout = 10 * time.Second
)

// ErrFull means that so many callers have labels that no other may get one.
var ErrFull = fmt.Errorf("%d callers have labels, and no more can be remembered", MaxMarked)

// Options describe Labels.
type Options struct {
	// TTL is how long a label lasts after the last call that has set it; 0 means 24
	// hours. See [Labels.SetTTL].
	TTL time.Duration
	// Log must not be nil.
	Log *slog.Logger
}

// Labels are those of all callers. They are safe for concurrent use.
type Labels struct {
	// Set by Open, never changed.
	writer   string // this process, in what it stores
	log      *slog.Logger
	attached chan struct{} // closed once there is a store

	store atomic.Pointer[store.Store] // nil while in memory only

	ttl    atomic.Int64 // a time.Duration
	counts counts

	mu      sync.RWMutex
	marked  map[owner]*marks        // guarded by mu
	storing map[owner]chan struct{} // closed when it is done; guarded by mu
	looked  time.Time               // when somebody last looked for what is over; guarded by mu
}

// An owner is who has labels.
type owner struct{ caller, app string }

// Open reads what is stored. With nil for the store, everything is in memory only
// until Keep. It starts no goroutine.
func Open(ctx context.Context, st *store.Store, opts Options) (*Labels, error) {
	l := &Labels{
		writer: rand.Text(), log: opts.Log, attached: make(chan struct{}),
		marked: map[owner]*marks{}, storing: map[owner]chan struct{}{},
	}
	l.SetTTL(opts.TTL)
	if st == nil {
		return l, nil
	}
	begin, err := l.Keep(ctx, st)
	if err != nil {
		return nil, err
	}
	return l, begin(ctx)
}

// unkept are the labels that are in memory only, which from now on count as not
// stored.
func (l *Labels) unkept() map[owner][]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[owner][]string{}
	for o, m := range l.marked {
		if names := m.now(time.Now()); len(names) > 0 {
			all[o] = names
		}
		l.marked[o] = m.unstored()
	}
	return all
}

// Keep reads the labels in a store. Once begin is called, they count, and labels are
// stored from then on, those that are set already at once; its error is that this
// failed. There may be one store only, and it must stay open as long as the Labels are
// used.
func (l *Labels) Keep(ctx context.Context, st *store.Store) (begin func(context.Context) error, err error) {
	type stored struct {
		owner    owner
		revision uint64
		labels   map[string]time.Time
	}
	var there []stored
	err = st.List(ctx, storeKind, "", func(e store.Entry) error {
		r, err := parse(e)
		there = append(there, stored{owner{r.Caller, r.App}, e.Revision, r.stored()})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the labels of callers: %w", err)
	}
	return func(ctx context.Context) error {
		if !l.store.CompareAndSwap(nil, st) {
			return errors.New("labels are kept in a store already")
		}
		unkept := l.unkept()
		for _, s := range there {
			l.takeOver(s.owner, s.revision, s.labels)
		}
		close(l.attached)
		for o, names := range unkept {
			if err := l.keep(ctx, o, names, time.Duration(l.ttl.Load())); err != nil {
				return fmt.Errorf("keeping the labels of callers: %w", err)
			}
		}
		return nil
	}, nil
}

// SetTTL changes how long labels last that are set from now on; 0 means 24 hours.
func (l *Labels) SetTTL(ttl time.Duration) { l.ttl.Store(int64(cmp.Or(ttl, defaultTTL))) }

// Run follows what the store says and forgets what is over, until ctx ends.
func (l *Labels) Run(ctx context.Context) {
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { l.follow(ctx) })
	look := time.NewTicker(time.Minute)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			l.mu.Lock()
			l.forgetLocked(time.Now())
			l.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// Of is what is known of a caller who uses an app: how many calls they have made,
// without the one that is to be decided about, and the labels that they have now,
// sorted. Those must not be changed.
func (l *Labels) Of(caller, app string) (calls int64, labels []string) {
	o := owner{caller, app}
	calls = l.counts.of(o)
	l.mu.RLock()
	m := l.marked[o]
	l.mu.RUnlock()
	if m == nil {
		return calls, nil
	}
	return calls, m.now(time.Now())
}

// Count counts a call.
func (l *Labels) Count(caller, app string) { l.counts.add(owner{caller, app}) }

// Mark gives a caller labels. When it returns nil, every Of that begins has them, and
// they outlive a restart; otherwise what would have set them must not go on. It waits
// for the store where a label is new, or was last stored long ago, 10 seconds at
// the most.
func (l *Labels) Mark(ctx context.Context, caller, app string, labels []string) error {
	if len(labels) == 0 {
		return nil
	}
	for _, label := range labels {
		if label == "" || len(label) > MaxLength || !utf8.ValidString(label) {
			return errors.New("a label is a text of up to 100 bytes")
		}
	}
	o, ttl := owner{caller, app}, time.Duration(l.ttl.Load())
	if l.prolong(o, labels, ttl) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	if err := l.keep(ctx, o, labels, ttl); err != nil {
		return fmt.Errorf("keeping a label of the caller: %w", err)
	}
	return nil
}

// prolong is Mark where it need not wait for the store, and reports whether that is
// so.
func (l *Labels) prolong(o owner, labels []string, ttl time.Duration) bool {
	l.mu.RLock() // nobody may forget or replace the marks meanwhile
	defer l.mu.RUnlock()
	m := l.marked[o]
	return m != nil && m.prolong(labels, time.Now(), ttl)
}

// room fails if the owner would be one too many.
func (l *Labels) room(o owner) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.marked[o] != nil || len(l.marked) < MaxMarked {
		return nil
	}
	if now.Sub(l.looked) >= time.Second {
		l.forgetLocked(now)
	}
	if len(l.marked) >= MaxMarked {
		return ErrFull
	}
	return nil
}

// forgetLocked forgets whose labels are all over.
func (l *Labels) forgetLocked(now time.Time) {
	l.looked = now
	for o, m := range l.marked {
		if len(m.stored(now)) == 0 {
			delete(l.marked, o)
		}
	}
}

// Marked is how many pairs of caller and app have labels.
func (l *Labels) Marked() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.marked)
}
