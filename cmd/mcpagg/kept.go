package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/aggregator/labels"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// kept is what outlives configurations, and the gateway: what is blocked, which labels
// callers have, and who is signed in. The store is opened once, when there is
// something to keep, and stays open: nobody signs in anew because of a reload, and
// calls in flight when the gateway stops still know who makes them.
type kept struct {
	// Set by newKept, never changed.
	life   context.Context
	end    context.CancelFunc
	log    *slog.Logger
	brake  *brake.Brake
	labels *labels.Labels

	running sync.WaitGroup
	opening chan struct{} // holds a token while nobody opens anything

	mu   sync.Mutex
	now  keeping       // guarded by mu
	want *config.State // of the configuration that is served; nil before the first; guarded by mu
}

// keeping is what is open.
type keeping struct {
	store *store.Store  // nil if none is
	as    *config.State // as which they were opened
	state *broker.State // of who is signed in; nil while nobody needs it
}

// newKept opens nothing. Only the values of life count, not when it ends.
func newKept(life context.Context, log *slog.Logger) *kept {
	k := &kept{log: log, opening: make(chan struct{}, 1)}
	k.opening <- struct{}{}
	k.life, k.end = context.WithCancel(context.WithoutCancel(life))
	// In memory, these cannot fail.
	k.brake, _ = brake.Open(k.life, nil, log)
	k.labels, _ = labels.Open(k.life, nil, labels.Options{Log: log})
	k.running.Go(func() { k.brake.Run(k.life) })
	k.running.Go(func() { k.labels.Run(k.life) })
	return k
}

// openTimeout bounds how long opening may take, with fetching its key.
const openTimeout = time.Minute

// open opens what a configuration needs and is not open yet, and returns who is signed
// in, or nil if that is not kept. settle must be called, and says whether the
// configuration is served: if it is not, what was opened for it is closed.
func (k *kept) open(ctx context.Context, want *config.State) (state *broker.State, settle func(served bool), err error) {
	select {
	case <-k.opening:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	next, err := k.next(ctx, want)
	if err != nil {
		k.opening <- struct{}{}
		return nil, nil, err
	}
	return next.state, func(served bool) {
		defer func() { k.opening <- struct{}{} }()
		if served {
			k.serve(next, want)
		} else {
			next.close(k.opened(), k.log)
		}
	}, nil
}

// A preparedKeeping is what a configuration needs to be open.
type preparedKeeping struct {
	keeping
	begin []func(context.Context) error // what keeps something in a store that was not open
}

// next opens what a configuration needs. It closes all of it again if that fails.
func (k *kept) next(ctx context.Context, want *config.State) (n preparedKeeping, err error) {
	n.keeping = k.opened()
	defer func() {
		if err != nil {
			n.close(k.opened(), k.log)
		}
	}()
	if n.store == nil && (want.Needed || k.left(want)) {
		if err := k.openStore(ctx, want, &n); err != nil {
			return n, err
		}
	}
	if n.state == nil && want.Brokers {
		n.state, err = broker.OpenState(ctx, broker.StateOptions{Store: n.store, RotateEvery: want.RotateEvery, Log: k.log})
		if err != nil {
			return n, fmt.Errorf("reading who is signed in: %w", err)
		}
		n.as = n.as.BrokeringAs(want)
	}
	return n, nil
}

// left reports whether a gateway before may have left something in the store that the
// first configuration does not ask for: what is blocked.
func (k *kept) left(want *config.State) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.want == nil && !want.Store.Memory && want.Store.Dir != "" && store.Exists(want.Store.Dir)
}

// openStore opens the store, and reads what is blocked and which labels callers have.
// If nothing needs one, it is no mistake that another gateway has it.
func (k *kept) openStore(ctx context.Context, want *config.State, n *preparedKeeping) (err error) {
	if want.Store.Dir == "" && !want.Store.Memory {
		return errors.New("there is no folder to keep anything in, since neither XDG_STATE_HOME nor HOME is set; name one with store.dir")
	}
	opts := want.Store
	opts.Log = k.log
	st, err := store.Open(ctx, opts)
	switch {
	case errors.Is(err, store.ErrInUse) && !want.Needed:
		k.log.Warn("blocks are not kept beyond this gateway, and those of the other one are not in force here", "err", err)
		return nil
	case err != nil:
		return fmt.Errorf("opening what the gateway keeps: %w", err)
	}
	n.store, n.as = st, want
	if want.Store.Memory { // where nothing outlives the gateway anyway
		return nil
	}
	blocks, err := k.brake.Keep(ctx, st)
	if err != nil {
		return err
	}
	marks, err := k.labels.Keep(ctx, st)
	if err != nil {
		return err
	}
	n.begin = []func(context.Context) error{blocks, marks}
	return nil
}

// serve keeps what has been opened.
func (k *kept) serve(n preparedKeeping, want *config.State) {
	for _, begin := range n.begin {
		if err := begin(k.life); err != nil {
			k.log.Error("some of what is blocked, or of the labels of callers, is not kept", "err", err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if n.state != nil && k.now.state == nil {
		k.running.Go(func() { n.state.Run(k.life) })
	}
	k.now, k.want = n.keeping, want
}

// close closes what is open and was not before.
func (n *keeping) close(before keeping, log *slog.Logger) {
	if n.state != nil && n.state != before.state {
		n.state.Close()
	}
	if n.store == nil || n.store == before.store {
		return
	}
	if err := n.store.Close(); err != nil {
		log.Error("the store was not closed well", "err", err)
	}
}

// opened is what is open.
func (k *kept) opened() keeping {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// keepBlocks has what is blocked outlive the gateway from now on, and returns why it
// cannot, or nil.
func (k *kept) keepBlocks(ctx context.Context) error {
	if k.brake.Kept() {
		return nil
	}
	k.mu.Lock()
	want := *k.want
	k.mu.Unlock()
	if now := k.opened(); now.store != nil || want.Store.Memory {
		return errors.New("an auth block is ephemeral, or was when the gateway started, so that nothing is kept")
	}
	want.Needed = true
	_, settle, err := k.open(ctx, &want)
	if err != nil {
		return err
	}
	settle(true)
	return nil
}

// close closes what is open, if anything is. It is the last thing that a gateway
// does: whoever uses it must have ended. Nothing may be opened any more.
func (k *kept) close() {
	k.end()
	k.running.Wait()
	now := k.opened()
	now.close(keeping{}, k.log)
}

// A brokerStatus says how the gateway does as an authorization server.
type brokerStatus struct {
	Sessions   int       `json:"sessions"`
	Key        string    `json:"signing_key"`
	KeyCreated time.Time `json:"signing_key_created,omitzero"`
	// Store is the folder of what is kept, "" if it is in memory only.
	Store string `json:"store"`
	// LastError is why something could not be kept lately.
	LastError string `json:"last_error,omitempty"`
	// ProviderError is why the provider let nobody sign in or go on the last time.
	ProviderError string `json:"provider_error,omitempty"`
}

// brokerStatus is nil where nobody is kept who is signed in.
func (k *kept) brokerStatus() *brokerStatus {
	now := k.opened()
	if now.state == nil {
		return nil
	}
	s := now.state.Status()
	status := &brokerStatus{Sessions: s.Sessions, Key: s.KeyID, KeyCreated: s.KeyCreated}
	if !now.as.Store.Memory {
		status.Store = now.as.Store.Dir
	}
	if s.Err != nil {
		status.LastError = s.Err.Error()
	}
	if s.Provider != nil {
		status.ProviderError = s.Provider.Error()
	}
	return status
}
