package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth/store"
)

// A login is a sign-in that the person agreed to, until the provider sends them
// back.
type login struct {
	Request request
	// Provider is where the person signs in; see provider.name.
	Provider string
	// Binding is the digest of the cookie that the browser has to have.
	Binding string
	// Claims is the parameter for the provider, and Hint whom it is about; both are
	// "" unless a sign-in before this one was not enough.
	Claims, Hint string
	// Repeats is how often that was so.
	Repeats int
	// Used says that the provider has sent the person back.
	Used bool
}

// createLogin keeps a sign-in that a person agreed to.
func (s *State) createLogin(ctx context.Context, l *login) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = s.store.Create(ctx, kindLogin, l.Request.ID, text, loginTTL)
	return s.noted(err)
}

// repeatedLogin makes sure that a sign-in that is there already is the same, and
// still under way.
func (s *State) repeatedLogin(ctx context.Context, l *login) error {
	known, _, err := s.login(ctx, l.Request.ID)
	switch {
	case err != nil:
		return err
	case known.Used || known.Binding != l.Binding:
		return errUsed
	}
	return nil
}

func (s *State) login(ctx context.Context, id string) (*login, uint64, error) {
	e, err := s.store.Get(ctx, kindLogin, id)
	if err != nil {
		return nil, 0, err
	}
	var l login
	if err := json.Unmarshal(e.Value, &l); err != nil {
		return nil, 0, fmt.Errorf("a sign-in in the store cannot be read: %w", err)
	}
	return &l, e.Revision, nil
}

// useLogin makes a sign-in one that the provider has sent the person back from,
// which happens once. That it was used is known for a while, so that it cannot begin
// again.
func (s *State) useLogin(ctx context.Context, l *login, revision uint64) error {
	text, err := json.Marshal(login{Binding: l.Binding, Used: true})
	if err != nil {
		return err
	}
	_, err = s.store.Update(ctx, kindLogin, l.Request.ID, text, revision, loginTTL+consentTTL)
	if errors.Is(err, store.ErrConflict) {
		return errUsed
	}
	return s.noted(err)
}

// dropLogin ends a sign-in that may be under way.
func (s *State) dropLogin(ctx context.Context, id string) error {
	return s.noted(s.store.Delete(ctx, kindLogin, id))
}

// A code stands for a sign-in until the client redeems it.
type code struct {
	Person, Name                     string // as in a record
	ClientID, ClientName, ClientHost string
	RedirectURI                      string
	Challenge                        string
	Scopes                           []string
	Provider                         string
	Claims                           []byte // of the person's Identity
	Refresh                          string // the provider's refresh token; "" if it gave none
	Expires                          time.Time
	// Session is the one that it was redeemed for; "" before.
	Session string
}

const (
	codeTTL = time.Minute
	// spentTTL is for how long it is known that a code was redeemed.
	spentTTL = 10 * time.Minute
)

func (s *State) createCode(ctx context.Context, text string, c *code) error {
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = s.store.Create(ctx, kindCode, digest(text), value, codeTTL)
	return s.noted(err)
}

func (s *State) code(ctx context.Context, text string) (*code, uint64, error) {
	e, err := s.store.Get(ctx, kindCode, digest(text))
	if err != nil {
		return nil, 0, err
	}
	var c code
	if err := json.Unmarshal(e.Value, &c); err != nil {
		return nil, 0, fmt.Errorf("a code in the store cannot be read: %w", err)
	}
	return &c, e.Revision, nil
}

// spendCode notes which session a code was redeemed for, and forgets the rest.
func (s *State) spendCode(ctx context.Context, text string, revision uint64, session string) error {
	value, err := json.Marshal(code{Session: session})
	if err != nil {
		return err
	}
	_, err = s.store.Update(ctx, kindCode, digest(text), value, revision, spentTTL)
	return s.noted(err)
}

// dropCodes has codes that are meant come to nothing.
func (s *State) dropCodes(ctx context.Context, m Match) error {
	var keys []string
	err := s.store.List(ctx, kindCode, "", func(e store.Entry) error {
		var c code
		if json.Unmarshal(e.Value, &c) == nil && c.Session == "" &&
			m.Matches(Session{Person: c.Person, Name: c.Name, Client: c.ClientID, ClientName: c.ClientName}) {
			keys = append(keys, e.Key)
		}
		return nil
	})
	for _, key := range keys {
		err = errors.Join(err, s.store.Delete(ctx, kindCode, key))
	}
	return s.noted(err)
}

// A challenge is what the next sign-in of a person has to satisfy.
type challenge struct{ Claims string }

const challengeTTL = 24 * time.Hour

// challenge makes the next sign-in of a person satisfy claims.
func (s *State) putChallenge(ctx context.Context, person, claims string) error {
	value, err := json.Marshal(challenge{claims})
	if err != nil {
		return err
	}
	_, err = s.store.Put(ctx, kindChallenge, digest(person), value, challengeTTL)
	return s.noted(err)
}

// challengeOf is what the next sign-in of a person has to satisfy, or "".
func (s *State) challengeOf(ctx context.Context, person string) (string, error) {
	e, err := s.store.Get(ctx, kindChallenge, digest(person))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var c challenge
	if err := json.Unmarshal(e.Value, &c); err != nil {
		return "", fmt.Errorf("a challenge in the store cannot be read: %w", err)
	}
	return c.Claims, nil
}

func (s *State) dropChallenge(ctx context.Context, person string) error {
	return s.noted(s.store.Delete(ctx, kindChallenge, digest(person)))
}
