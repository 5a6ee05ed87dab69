package broker

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpagg/mcpagg/oauth/clientdoc"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// The kinds of what is stored.
const (
	kindSecret    = "secret"    // of the broker; by "broker"
	kindKey       = "signkey"   // for access tokens; by kid
	kindLogin     = "login"     // until the provider sends somebody back; by the request's id
	kindCode      = "code"      // by digest
	kindSession   = "session"   // by id
	kindPage      = "page"      // a browser on /me; by the cookie's digest
	kindChallenge = "challenge" // what the next sign-in of a person has to satisfy; by the person's digest
)

// StateOptions describe a State.
type StateOptions struct {
	// Store must not be nil. Whoever opened it closes it, after the State.
	Store *store.Store
	// RotateEvery is how old a signing key may get; 0 means 90 days.
	RotateEvery time.Duration
	// Log must not be nil.
	Log *slog.Logger
}

// manySessions are so many that reading them has taken much memory which nothing needs
// from then on.
const manySessions = 10_000

const defaultRotateEvery = 90 * 24 * time.Hour

// State is what outlives a broker's configuration: sessions and keys, and what is
// under way. What a request of a client needs is in memory; the rest is in the
// store. It is safe for concurrent use,
// until Close.
type State struct {
	// Set by OpenState, never changed.
	store       *store.Store
	rotateEvery time.Duration
	secret      secret
	log         *slog.Logger
	life        context.Context // until Close
	stop        context.CancelFunc
	running     sync.WaitGroup

	refreshes *flights
	logins    *underWay
	asked     *personRates // the provider, for refreshes
	signIns   *personRates

	keys     atomic.Pointer[signingKeys]
	failure  atomic.Pointer[error] // why the store was not written lately; nil if it was
	provider atomic.Pointer[error] // why the provider gave no tokens lately; nil if it did

	mu       sync.RWMutex
	sessions map[string]*session   // by id; guarded by mu
	persons  map[string][]*session // the same, by person; guarded by mu
	ended    map[string]bool       // sessions that have ended here, until the store tells of it; guarded by mu
	told     uint64                // the last revision of a session that the store has told of; guarded by mu
	unsaved  map[string]string     // refresh tokens of the provider, by session; guarded by mu

	documents     *clientdoc.Fetcher // of the last broker that fetches any; guarded by mu
	documentsFrom clientdoc.Options  // that it was made of; guarded by mu
}

// OpenState reads what is stored, and makes keys if there are none. It returns
// once all sessions are known.
func OpenState(ctx context.Context, opts StateOptions) (*State, error) {
	s := &State{
		refreshes: newFlights(), logins: newUnderWay(),
		asked: newPersonRates(askEvery, askBurst), signIns: newPersonRates(signInEvery, signInBurst),
		store: opts.Store, rotateEvery: cmp.Or(opts.RotateEvery, defaultRotateEvery), log: opts.Log,
		sessions: map[string]*session{}, persons: map[string][]*session{}, unsaved: map[string]string{}, ended: map[string]bool{},
	}
	s.keys.Store(&signingKeys{})
	s.life, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if s.secret, err = s.openSecret(ctx); err != nil {
		s.stop()
		return nil, err
	}
	for _, f := range []follower{{kindKey, s.applyKey, s.keyIDs}, {kindSession, s.applySession, s.sessionIDs}} {
		if err := s.follow(ctx, f); err != nil {
			s.Close()
			return nil, err
		}
	}
	if s.Status().Sessions > manySessions {
		debug.FreeOSMemory()
	}
	if s.keys.Load().active() == nil {
		if err := s.newKey(ctx); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// openSecret is what registrations and forms are signed with. It is made once, and
// not replaced with the other keys: clients would have to register anew.
func (s *State) openSecret(ctx context.Context) (secret, error) {
	_, err := s.store.Create(ctx, kindSecret, "broker", []byte(random()), 0)
	if err != nil && !errors.Is(err, store.ErrExists) {
		return nil, fmt.Errorf("making the broker's secret: %w", err)
	}
	e, err := s.store.Get(ctx, kindSecret, "broker")
	if err != nil {
		return nil, fmt.Errorf("reading the broker's secret: %w", err)
	}
	text, err := base64.RawURLEncoding.DecodeString(string(e.Value))
	if err != nil || len(text) < 32 {
		return nil, errors.New("the broker's secret in the store is damaged")
	}
	return text, nil
}

// A follower keeps what is in memory of one kind as the store has it.
type follower struct {
	kind  string
	apply func(store.Event)
	known func() []string // the keys of what is in memory
}

// follow starts to keep something as the store has it, and returns once it is.
func (s *State) follow(ctx context.Context, f follower) error {
	ready := make(chan error, 1)
	s.running.Go(func() { s.keepFollowing(f, ready) })
	select {
	case err := <-ready:
		return err
	case <-ctx.Done():
		return fmt.Errorf("reading the store: %w", context.Cause(ctx))
	}
}

// keepFollowing begins anew if the store stops telling of changes.
func (s *State) keepFollowing(f follower, ready chan<- error) {
	for {
		err := s.watchOnce(f, ready)
		if s.life.Err() != nil {
			return
		}
		select { // whoever waits for the first time gives up
		case ready <- fmt.Errorf("reading the store: %w", err):
		default:
		}
		s.log.Error("the store does not tell of changes; trying again", "kind", f.kind, "err", err)
		select {
		case <-time.After(retryWatch):
		case <-s.life.Done():
			return
		}
	}
}

const retryWatch = 5 * time.Second

var errWatchEnded = errors.New("it stopped telling of changes")

func (s *State) watchOnce(f follower, ready chan<- error) error {
	ctx, stop := context.WithCancel(s.life)
	defer stop()
	w, err := s.store.Watch(ctx, f.kind)
	if err != nil {
		return err
	}
	kept := map[string]bool{}
	for e := range w.Events() {
		switch {
		case e.Synced:
			s.dropGone(ctx, f, kept)
			kept = nil
			select {
			case ready <- nil:
			default:
			}
		default:
			if kept != nil && !e.Deleted {
				kept[e.Key] = true
			}
			f.apply(e)
		}
	}
	return errWatchEnded
}

// dropGone forgets what the store does not have any more, after a time in which it did
// not tell of changes. What was not among the keys that it told of may be newer.
func (s *State) dropGone(ctx context.Context, f follower, told map[string]bool) {
	for _, key := range f.known() {
		if told[key] {
			continue
		}
		if _, err := s.store.Get(ctx, f.kind, key); errors.Is(err, store.ErrNotFound) {
			f.apply(store.Event{Entry: store.Entry{Key: key}, Deleted: true})
		}
	}
}

// fetcher is one for metadata documents, the same as before a reload if nothing about
// it has changed: it knows those of the clients that are there.
func (s *State) fetcher(opts clientdoc.Options) *clientdoc.Fetcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.documents == nil || s.documentsFrom.HTTP != opts.HTTP || !reflect.DeepEqual(s.documentsFrom.Rules, opts.Rules) {
		s.documents, s.documentsFrom = clientdoc.New(opts), opts
	}
	return s.documents
}

// Close stops following the store.
func (s *State) Close() {
	s.stop()
	s.running.Wait()
}

// Run replaces keys that are old, and deletes what could not be deleted before,
// until ctx ends.
func (s *State) Run(ctx context.Context) {
	const look = time.Hour
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		if k := s.keys.Load().active(); k != nil && time.Since(k.created) > s.rotateEvery {
			if _, err := s.RotateKeys(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("the keys could not be rotated; trying again in an hour", "err", err)
			}
		}
		if err := s.deleteEnded(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sessions that have ended are still in the store, and would be there again after a restart; trying again in an hour", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Status is how a State does.
type Status struct {
	Sessions   int
	KeyID      string
	KeyCreated time.Time
	Err        error // why the store could not be written the last time; nil if it could
	// Provider is why the provider gave no tokens the last time that it was asked,
	// unless that was for the person; nil otherwise.
	Provider error
}

// Status says how it does.
func (s *State) Status() Status {
	st := Status{}
	s.mu.RLock()
	st.Sessions = len(s.sessions)
	s.mu.RUnlock()
	if k := s.keys.Load().active(); k != nil {
		st.KeyID, st.KeyCreated = k.id, k.created
	}
	if err := s.failure.Load(); err != nil {
		st.Err = *err
	}
	if err := s.provider.Load(); err != nil {
		st.Provider = *err
	}
	return st
}

// noted remembers whether the store could be written, and passes the error on.
func (s *State) noted(err error) error {
	switch {
	case err == nil:
		s.failure.Store(nil)
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict), errors.Is(err, context.Canceled):
	default:
		s.failure.Store(&err)
	}
	return err
}
