// Package brake stops people, clients, tools and upstreams at once, at a word of the
// gateway's operator: whatever policies say, and where nobody signs in as well.
//
//	b, err := brake.Open(ctx, st, log)
//	…
//	go b.Run(ctx)
//	ctx, leave, blocked := b.Enter(ctx, brake.Subject{Person: caller.ID, Upstream: "github", Tool: "github/delete_repo"})
//	if blocked != nil {
//		return errors.New("denied: " + blocked.Message())
//	}
//	defer leave()
//	…
//	err = b.Block(ctx, brake.Block{Kind: brake.Tool, What: "github/delete_*", Until: time.Now().Add(4 * time.Hour)})
//
// A [Block] only ever takes rights away. It counts from the moment that Block returns,
// also for what is under way, and until its time is over or somebody unblocks.
package brake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpagg/mcpagg/oauth/store"
)

// MaxBlocks bounds how many there may be at a time.
const MaxBlocks = 1000

// ErrNotKept means that a block is in force, but could not be stored: it is gone when
// the gateway stops.
var ErrNotKept = errors.New("it is in force until the gateway stops, and could not be kept beyond that")

// A Brake holds what is blocked, and what is under way. It is safe for concurrent
// use.
type Brake struct {
	log     *slog.Logger
	flights flights
	rules   atomic.Pointer[rules] // nil while nothing is blocked

	writing  chan struct{} // holds a token while nobody changes what is blocked
	changed  chan struct{} // holds a token when Run is to look at the times again
	attached chan struct{} // closed once there is a store

	mu     sync.Mutex
	store  *store.Store       // nil while in memory only; guarded by mu
	blocks map[string]blocked // by the key in the store; guarded by mu
	gone   map[string]uint64  // the last revision of what was unblocked here, until the store tells of that; guarded by mu
}

// blocked is a block, and the revision that the store has it at: local if it is not
// as here in the store.
type blocked struct {
	Block
	revision uint64
}

// local is a revision that nothing in the store is newer than.
const local = ^uint64(0)

// Open reads what is blocked. With nil for the store, everything is in memory only
// until Keep. It starts no goroutine. log must not be nil.
func Open(ctx context.Context, st *store.Store, log *slog.Logger) (*Brake, error) {
	b := &Brake{
		log: log, writing: make(chan struct{}, 1), changed: make(chan struct{}, 1), attached: make(chan struct{}),
		blocks: map[string]blocked{}, gone: map[string]uint64{},
	}
	b.writing <- struct{}{}
	if st == nil {
		return b, nil
	}
	begin, err := b.Keep(ctx, st)
	if err != nil {
		return nil, err
	}
	return b, begin(ctx)
}

// Keep reads what is blocked in a store. Once begin is called, that is in force, and
// what is blocked is stored, also what was blocked in memory only; its error is
// ErrNotKept. There may be one store only, and it must stay open as long as the Brake
// is used.
func (b *Brake) Keep(ctx context.Context, st *store.Store) (begin func(context.Context) error, err error) {
	var there []store.Event
	err = st.List(ctx, storeKind, "", func(e store.Entry) error {
		there = append(there, store.Event{Entry: e})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is blocked: %w", err)
	}
	return func(ctx context.Context) error { return b.attach(ctx, st, there) }, nil
}

// attach has a store keep what is blocked, and takes over what is there.
func (b *Brake) attach(ctx context.Context, st *store.Store, there []store.Event) error {
	if err := b.begin(ctx); err != nil {
		return err
	}
	defer b.end()
	if b.Kept() {
		return errors.New("blocks are kept in a store already")
	}
	unkept := b.Blocks()
	for _, e := range there {
		b.apply(e)
	}
	b.mu.Lock()
	b.store = st
	b.mu.Unlock()
	close(b.attached)
	var err error
	for _, one := range unkept {
		err = errors.Join(err, b.keep(ctx, one))
	}
	return err
}

// Kept reports whether blocks outlive the gateway.
func (b *Brake) Kept() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.store != nil
}

// Block stops what a block is about, in place of a block that says the same of
// another time. Once it returns, nothing that fits begins any more, and what was
// under way is cancelled. That holds if the error is ErrNotKept, too.
func (b *Brake) Block(ctx context.Context, one Block) error {
	if one.Since.IsZero() {
		one.Since = time.Now()
	}
	one.Since, one.Until = one.Since.UTC().Truncate(time.Second), one.Until.UTC()
	if err := one.check(time.Now()); err != nil {
		return err
	}
	if err := b.begin(ctx); err != nil {
		return err
	}
	defer b.end()
	if err := b.add(one); err != nil {
		return err
	}
	b.log.Warn("blocked by the operator", "kind", one.Kind, "what", one.What, "until", one.Until, "reason", one.Reason, "by", one.By)
	if !b.Kept() {
		return nil
	}
	return b.keep(ctx, one)
}

// add puts a block into force.
func (b *Brake) add(one Block) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropExpiredLocked(time.Now())
	key := one.key()
	if _, there := b.blocks[key]; !there && len(b.blocks) >= MaxBlocks {
		return fmt.Errorf("there are %d blocks, and may be no more: block what they have in common, such as an upstream", MaxBlocks)
	}
	b.blocks[key] = blocked{one, local}
	delete(b.gone, key)
	b.changedLocked()
	return nil
}

// keep stores a block that is in force.
func (b *Brake) keep(ctx context.Context, one Block) error {
	revision, err := b.put(ctx, one)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if key := one.key(); !one.over(time.Now()) {
		b.blocks[key] = blocked{one, revision}
	}
	return nil
}

// Unblock lets go of what is blocked under exactly that name, and says how many
// blocks these were: 0 or 1, or with "" for what all of the kind, and with "" for
// the kind all. What cannot be deleted from the store stays blocked.
func (b *Brake) Unblock(ctx context.Context, kind Kind, what string) (int, error) {
	if err := b.begin(ctx); err != nil {
		return 0, err
	}
	defer b.end()
	n := 0
	for _, one := range b.Blocks() {
		if (kind != "" && kind != one.Kind) || (what != "" && what != one.What) {
			continue
		}
		if err := b.remove(ctx, one); err != nil {
			return n, fmt.Errorf("unblocking %s %s: %w", one.Kind, one.What, err)
		}
		b.log.Warn("unblocked by the operator", "kind", one.Kind, "what", one.What)
		n++
	}
	return n, nil
}

func (b *Brake) remove(ctx context.Context, one Block) error {
	key := one.key()
	b.mu.Lock()
	st := b.store
	b.mu.Unlock()
	if st != nil {
		if err := st.Delete(ctx, storeKind, key); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if was := b.blocks[key]; st != nil && was.revision != local {
		b.gone[key] = was.revision
	}
	delete(b.blocks, key)
	b.changedLocked()
	return nil
}

// begin waits until nobody else changes what is blocked.
func (b *Brake) begin(ctx context.Context) error {
	select {
	case <-b.writing:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *Brake) end() { b.writing <- struct{}{} }

// Blocks are all that are in force, by kind and name.
func (b *Brake) Blocks() []Block {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	all := make([]Block, 0, len(b.blocks))
	for _, one := range b.blocks {
		if !one.over(now) {
			all = append(all, one.Block)
		}
	}
	slices.SortFunc(all, func(x, y Block) int {
		if c := strings.Compare(string(x.Kind), string(y.Kind)); c != 0 {
			return c
		}
		return strings.Compare(x.What, y.What)
	})
	return all
}

// changedLocked has everybody know what is blocked now, and cancels what is.
func (b *Brake) changedLocked() {
	b.rules.Store(newRules(b.blocks))
	b.flights.cancel(b.rules.Load())
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// Run ends blocks when their time is over, and follows what the store says, until ctx
// ends. Without it a block ends in time as well, but is not forgotten.
func (b *Brake) Run(ctx context.Context) {
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { b.follow(ctx) })
	for {
		timer := time.NewTimer(b.expire())
		select {
		case <-timer.C:
		case <-b.changed:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// forGood is how long to wait where no block ends.
const forGood = 1 << 62

// expire ends what is over, and says how long it is until the next.
func (b *Brake) expire() (next time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.dropExpiredLocked(now)
	next = forGood
	for _, one := range b.blocks {
		if !one.Until.IsZero() {
			next = min(next, one.Until.Sub(now))
		}
	}
	return next
}

func (b *Brake) dropExpiredLocked(now time.Time) {
	dropped := false
	for key, one := range b.blocks {
		if one.over(now) {
			b.log.Info("a block is over", "kind", one.Kind, "what", one.What)
			delete(b.blocks, key)
			dropped = true
		}
	}
	if dropped {
		b.rules.Store(newRules(b.blocks))
	}
}
