package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// A Session is a session as its operator sees it.
type Session struct {
	ID string
	// Person is the principal, Name what they are called, and Provider the auth block
	// that they signed in with.
	Person, Name, Provider string
	// Client is the client id, ClientName what the client calls itself, and
	// ClientHost where its metadata document is from; "" if it has none.
	Client, ClientName, ClientHost string
	// Created is when they signed in, Refreshed when the provider was last asked, and
	// Ends when the session does unless it is refreshed before.
	Created, Refreshed, Expires time.Time
}

// Sessions are all of them, the latest sign-in first.
func (s *State) Sessions() []Session {
	s.mu.RLock()
	all := make([]Session, 0, len(s.sessions))
	for id, one := range s.sessions {
		all = append(all, one.now.Load().shown(id))
	}
	s.mu.RUnlock()
	return latestFirst(slices.DeleteFunc(all, func(one Session) bool { return time.Now().After(one.Expires) }))
}

func latestFirst(all []Session) []Session {
	slices.SortFunc(all, func(a, b Session) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

func (d *sessionData) shown(id string) Session {
	return Session{id, d.person, d.name, d.provider, d.clientID, d.clientName, d.clientHost, d.created, d.refreshed, d.ends}
}

// sessionsOf are those of one person, the latest sign-in first.
func (s *State) sessionsOf(person string) []Session {
	s.mu.RLock()
	var own []Session
	for _, one := range s.persons[person] {
		own = append(own, one.now.Load().shown(one.id))
	}
	s.mu.RUnlock()
	return latestFirst(own)
}

// A Match says which sessions are meant. What is "" means any; Person is the
// principal, the subject in it with or without the tenant or issuer, or the name, as
// a whole; Client the id or the name.
type Match struct{ ID, Person, Client string }

// Matches reports whether a session is meant.
func (m Match) Matches(one Session) bool {
	return (m.ID == "" || m.ID == one.ID) &&
		(m.Person == "" || m.Person == one.Name || isPerson(m.Person, one.Person)) &&
		(m.Client == "" || m.Client == one.Client || m.Client == one.ClientName)
}

// isPerson reports whether a text is a principal, what it has between its quotes, or
// the part of that which the provider gave: "<tenant>/<object id>" or
// "<issuer>#<subject>" without what is before the sign.
func isPerson(text, person string) bool {
	subject := subjectOf(person)
	_, own, ok := strings.Cut(subject, "#") // which no issuer has in it
	if !ok {
		_, own, _ = strings.Cut(subject, "/")
	}
	return slices.Contains([]string{person, subject, own}, text)
}

// subjectOf is what a principal has between its quotes.
func subjectOf(person string) string {
	_, rest, _ := strings.Cut(person, `"`)
	return strings.TrimSuffix(rest, `"`)
}

// revokeTimeout bounds how long the store may take to forget all that is meant.
const revokeTimeout = 2 * time.Minute

// Revoke ends all sessions that are meant, and says how many. What somebody has signed
// in for and is no session yet comes to nothing, and where a person is named, and no
// client, their pages in browsers end as well. It goes on if ctx ends, for two
// minutes at most.
func (s *State) Revoke(ctx context.Context, m Match) (int, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	ended := 0
	failed := s.deleteEnded(ctx)
	if m.ID == "" { // first, so that no code becomes a session behind our back
		failed = errors.Join(failed, s.dropCodes(ctx, m))
	}
	for _, one := range s.Sessions() {
		if m.Matches(one) {
			failed = errors.Join(failed, s.endSession(ctx, one.ID, "an operator revoked it"))
			ended++
		}
	}
	if m.ID == "" && m.Client == "" {
		failed = errors.Join(failed, s.endPages(ctx, m))
	}
	return ended, failed
}
