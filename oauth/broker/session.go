package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth/store"
)

// maxSessions bounds how many sessions a person has: who signs in once more loses
// the one that was used the longest time ago.
const maxSessions = 100

// A record is a session as it is stored: one sign-in of a person with a client.
type record struct {
	Person   string // the principal
	Name     string // what they are called; only to be read
	Provider string // the name of the auth block

	ClientID, ClientName, ClientHost string
	Scopes                           []string

	// Claims are those of the person's Identity, and Refresh the provider's refresh
	// token; "" if it gave none, so that the session cannot outlive its first access
	// token.
	Claims  []byte
	Refresh string

	Created, Refreshed, Ends time.Time
	// Key is what refresh tokens are made with, and Generation the number of the one
	// that counts, since Rotated.
	Key        []byte
	Generation uint32
	Rotated    time.Time
}

// A session is what is in memory of a record: what a request needs. The address
// stays the same while the session lasts.
type session struct {
	id   string
	now  atomic.Pointer[sessionData]
	once sync.Once
	over chan struct{} // closed when it ends
}

// sessionData is one state of a session. It never changes.
type sessionData struct {
	revision                         uint64
	person, name, provider           string
	clientID, clientName, clientHost string
	claims                           []byte
	created, refreshed, ends         time.Time
}

func (s *session) end() { s.once.Do(func() { close(s.over) }) }

func (r *record) data(revision uint64) *sessionData {
	return &sessionData{
		revision, r.Person, r.Name, r.Provider, r.ClientID, r.ClientName, r.ClientHost, r.Claims, r.Created, r.Refreshed, r.Ends,
	}
}

// applySession makes a session in memory what it is in the store.
func (s *State) applySession(e store.Event) {
	if e.Deleted {
		s.forget(e.Key, e.Revision)
		s.deleted(e.Key)
		return
	}
	var r record
	if err := json.Unmarshal(e.Value, &r); err != nil {
		s.log.Error("a session in the store cannot be read", "session", e.Key, "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = max(s.told, e.Revision)
	s.rememberLocked(e.Key, &r, e.Revision)
}

// remember takes what was just stored, unless the store has told of it by now: it
// is known then, or has ended since and must not come back.
func (s *State) remember(id string, r *record, revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision > s.told || s.sessions[id] != nil {
		s.rememberLocked(id, r, revision)
	}
}

func (s *State) rememberLocked(id string, r *record, revision uint64) {
	known := s.sessions[id]
	switch {
	case s.ended[id]:
		return
	case known == nil:
		known = &session{id: id, over: make(chan struct{})}
		s.sessions[id] = known
		s.persons[r.Person] = append(s.persons[r.Person], known)
	}
	if old := known.now.Load(); old == nil || old.revision < revision {
		known.now.Store(r.data(revision))
	}
}

// forget ends a session, unless it has changed since a revision; 0 means in any
// case.
func (s *State) forget(id string, revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = max(s.told, revision)
	known := s.sessions[id]
	if known == nil || revision != 0 && known.now.Load().revision > revision {
		return
	}
	person := known.now.Load().person
	delete(s.sessions, id)
	delete(s.unsaved, id)
	s.persons[person] = slices.DeleteFunc(s.persons[person], func(one *session) bool { return one == known })
	if len(s.persons[person]) == 0 {
		delete(s.persons, person)
	}
	known.end()
}

// end ends a session for ever: whatever the store still tells of it is from before.
func (s *State) end(id string) {
	s.mu.Lock()
	if s.sessions[id] != nil {
		s.ended[id] = true
	}
	s.mu.Unlock()
	s.forget(id, 0)
}

// deleted notes that the store has a session no more, and so cannot tell of it.
func (s *State) deleted(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ended, id)
}

// sessionIDs are those of the sessions in memory.
func (s *State) sessionIDs() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.sessions))
}

// session is the one with an id, or nil if there is none, or it has ended by
// itself.
func (s *State) session(id string) *session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := s.sessions[id]
	if found == nil || time.Now().After(found.now.Load().ends) {
		return nil
	}
	return found
}

// createSession keeps a new one.
func (s *State) createSession(ctx context.Context, r *record) (id string, err error) {
	if err := s.makeRoom(ctx, r.Person); err != nil {
		return "", err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	id = randomID()
	revision, err := s.store.Create(ctx, kindSession, id, text, time.Until(r.Ends))
	if err != nil {
		return "", s.noted(err)
	}
	s.remember(id, r, revision)
	return id, s.noted(nil)
}

// makeRoom ends the sessions of a person that are too many for another one.
func (s *State) makeRoom(ctx context.Context, person string) error {
	s.mu.RLock()
	own := slices.Clone(s.persons[person])
	s.mu.RUnlock()
	if len(own) < maxSessions {
		return nil
	}
	slices.SortFunc(own, func(a, b *session) int { return b.now.Load().refreshed.Compare(a.now.Load().refreshed) })
	for _, old := range own[maxSessions-1:] {
		if err := s.endSession(ctx, old.id, "the person has too many"); err != nil {
			return err
		}
	}
	return nil
}

// record is a session as it is stored, and its revision.
func (s *State) record(ctx context.Context, id string) (*record, uint64, error) {
	e, err := s.store.Get(ctx, kindSession, id)
	if err != nil {
		return nil, 0, err
	}
	var r record
	if err := json.Unmarshal(e.Value, &r); err != nil {
		return nil, 0, fmt.Errorf("a session in the store cannot be read: %w", err)
	}
	r.Refresh = first(s.unsavedOf(id), r.Refresh)
	return &r, e.Revision, nil
}

// updateSession replaces what is stored, if it is still at a revision.
func (s *State) updateSession(ctx context.Context, id string, r *record, revision uint64) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	next, err := s.store.Update(ctx, kindSession, id, text, revision, time.Until(r.Ends))
	if err != nil {
		if !errors.Is(err, store.ErrConflict) {
			s.keepUnsaved(id, r.Refresh)
		}
		return s.noted(err)
	}
	s.keepUnsaved(id, "")
	s.remember(id, r, next)
	return s.noted(nil)
}

// maxUnsaved bounds the refresh tokens that could not be stored.
const maxUnsaved = 10_000

// keepUnsaved remembers a refresh token of the provider until one is stored, for
// which it is "": the one in the store may not count any more.
func (s *State) keepUnsaved(id, refresh string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.unsaved, id)
	if refresh != "" && s.sessions[id] != nil && len(s.unsaved) < maxUnsaved {
		s.unsaved[id] = refresh
	}
}

// unsavedOf is the refresh token that could not be stored, or "".
func (s *State) unsavedOf(id string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.unsaved[id]
}

// endTimeout bounds how long the store may take to forget a session.
const endTimeout = 10 * time.Second

// endSession ends one, at once and for ever, also if ctx ends meanwhile: whoever asked
// for it may have hung up. It has ended here even if the store cannot be written; then
// the error says so, and deleteEnded tries again.
func (s *State) endSession(ctx context.Context, id, why string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	known := s.session(id)
	s.end(id)
	err := s.noted(s.store.Delete(ctx, kindSession, id))
	if known != nil {
		d := known.now.Load()
		s.log.Info("session ended", "caller", d.person, "client", logID(d.clientID), "session", id, "why", why)
	}
	return err
}

// deleteEnded deletes the sessions that have ended here, and that the store may
// still have: it could not be written, or has not told of it yet.
func (s *State) deleteEnded(ctx context.Context) error {
	s.mu.RLock()
	ids := slices.Collect(maps.Keys(s.ended))
	s.mu.RUnlock()
	for _, id := range ids {
		if err := s.store.Delete(ctx, kindSession, id); err != nil {
			return s.noted(err)
		}
	}
	return nil
}
