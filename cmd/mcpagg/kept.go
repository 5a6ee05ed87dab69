package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// kept is what the gateway keeps of who is signed in. It is opened once, for the
// first configuration that needs it, and outlives all of them: nobody signs in anew
// because of a reload, and calls in flight when the gateway stops still know who
// makes them.
type kept struct {
	// Set by newKept, never changed.
	life context.Context
	log  *slog.Logger

	running sync.WaitGroup
	mu      sync.Mutex
	store   *store.Store       // nil while nothing is open; guarded by mu
	state   *broker.State      // as the store; guarded by mu
	as      *config.State      // as which it was opened; guarded by mu
	end     context.CancelFunc // of the state; guarded by mu
}

// newKept opens nothing. Only the values of life count, not when it ends.
func newKept(life context.Context, log *slog.Logger) *kept {
	return &kept{life: context.WithoutCancel(life), log: log}
}

// openTimeout bounds how long opening may take, with fetching its key.
const openTimeout = time.Minute

// open makes sure that it is open, and says whether it was not before. Nothing is
// opened for nil, which needs nothing kept. The configuration is that of the first
// open until close.
func (k *kept) open(ctx context.Context, want *config.State) (state *broker.State, fresh bool, err error) {
	if state, _ := k.opened(); state != nil || want == nil {
		return state, false, nil
	}
	if want.Store.Dir == "" && !want.Store.Memory {
		return nil, false, errors.New("there is no folder to keep in who is signed in, since neither XDG_STATE_HOME nor HOME is set; name one with store.dir")
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	opts := want.Store
	opts.Log = k.log
	st, err := store.Open(ctx, opts)
	if err != nil {
		return nil, false, fmt.Errorf("opening what is kept of who is signed in: %w", err)
	}
	state, err = broker.OpenState(ctx, broker.StateOptions{Store: st, RotateEvery: want.RotateEvery, Log: k.log})
	if err != nil {
		return nil, false, errors.Join(fmt.Errorf("reading what is kept of who is signed in: %w", err), st.Close())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.store, k.state, k.as = st, state, want
	life, end := context.WithCancel(k.life)
	k.end = end
	k.running.Go(func() { state.Run(life) })
	return state, true, nil
}

// opened is what is open, and as what, or nil.
func (k *kept) opened() (*broker.State, *config.State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state, k.as
}

// close closes what is open, if anything is. It is the last thing that a gateway
// does: whoever uses the state must have ended.
func (k *kept) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state == nil {
		return
	}
	k.end()
	k.running.Wait()
	k.state.Close()
	if err := k.store.Close(); err != nil {
		k.log.Error("what is kept of who is signed in was not closed well", "err", err)
	}
	k.store, k.state, k.as = nil, nil, nil
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

// status is nil where nothing is kept.
func (k *kept) status() *brokerStatus {
	state, as := k.opened()
	if state == nil {
		return nil
	}
	s := state.Status()
	status := &brokerStatus{Sessions: s.Sessions, Key: s.KeyID, KeyCreated: s.KeyCreated}
	if !as.Store.Memory {
		status.Store = as.Store.Dir
	}
	if s.Err != nil {
		status.LastError = s.Err.Error()
	}
	if s.Provider != nil {
		status.ProviderError = s.Provider.Error()
	}
	return status
}
