package broker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// graceTTL is how long a refresh token may be used again after it was: a client's
// processes share one, and answers get lost. They all get the same successor.
const graceTTL = time.Minute

// refreshTimeout bounds a refresh. It goes on if the client hangs up: the provider
// may have replaced its own refresh token.
const refreshTimeout = 30 * time.Second

// refresh lets a client go on (RFC 6749 section 6), if the provider lets the person.
func (b *broker) refresh(r *http.Request, p authserver.Params, clientID string) (*granted, *authserver.Problem) {
	token := p.Get("refresh_token")
	if token == "" {
		return nil, authserver.InvalidRequest("The parameter refresh_token is missing.")
	}
	id, generation, ok := parseRefresh(token)
	if !ok {
		return nil, invalidGrant("it is no refresh token of the gateway")
	}
	turn, err := b.state.refreshes.take(r.Context(), id)
	if err != nil {
		return nil, authserver.Unavailable("The session is being refreshed; try again.", err.Error(), "")
	}
	defer turn()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), refreshTimeout)
	defer cancel()
	rec, revision, err := b.state.record(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, invalidGrant("the session has ended")
	case err != nil:
		return nil, b.storeProblem(err)
	case !rec.isOwn(token, id, generation):
		return nil, invalidGrant("the refresh token is forged")
	case !equal(rec.ClientID, clientID):
		return nil, invalidGrant("the refresh token is another client's")
	case b.state.session(id) == nil || time.Now().After(rec.Ends):
		return nil, invalidGrant("the session has ended")
	}
	scopes, refusal := narrower(b.configured(rec.Scopes), p.Get("scope"))
	if refusal != nil {
		return nil, refusal
	}
	if refusal := b.advance(ctx, id, rec, revision, generation); refusal != nil {
		return nil, refusal
	}
	shown := *rec
	shown.Scopes = scopes
	return b.grant(id, &shown)
}

// configured are those of the scopes of a session that there still are. If there are none,
// the session has to begin anew with those that there are now.
func (b *broker) configured(scopes []string) []string {
	names := b.scopeNames()
	return slices.DeleteFunc(slices.Clone(scopes), func(name string) bool { return !slices.Contains(names, name) })
}

// narrower are the scopes that an access token gets for a refresh: those that are
// asked for, of those that the session has (RFC 6749 section 6).
func narrower(have []string, asked string) ([]string, *authserver.Problem) {
	var scopes []string
	for name := range strings.FieldsSeq(asked) {
		switch {
		case slices.Contains(have, name):
			if !slices.Contains(scopes, name) {
				scopes = append(scopes, name)
			}
		case !slices.Contains(openIDScopes, name):
			return nil, &authserver.Problem{
				Status: http.StatusBadRequest, OAuth: "invalid_scope",
				Text: "The scope " + authserver.Brief(name) + " was not granted when the person signed in; sign in again to ask for it.",
			}
		}
	}
	if scopes == nil {
		scopes = have
	}
	if len(scopes) == 0 {
		return nil, invalidGrant("none of the session's scopes is in the configuration any more")
	}
	return scopes, nil
}

// advance makes the next refresh token of a session the one that counts. The one
// before it gets the same successor for a while; after that, whoever has it has
// stolen it, or was stolen from (RFC 9700 section 4.14.2).
func (b *broker) advance(ctx context.Context, id string, rec *record, revision uint64, generation uint32) *authserver.Problem {
	switch {
	case generation == rec.Generation:
		return b.recheck(ctx, id, rec, revision)
	case generation+1 == rec.Generation && time.Since(rec.Rotated) < graceTTL:
		return nil
	}
	if err := b.state.endSession(ctx, id, "an old refresh token was used again"); err != nil {
		return b.storeProblem(err)
	}
	refusal := invalidGrant("the refresh token was used before; its session has ended")
	refusal.Level = slog.LevelWarn
	return refusal
}

// recheck asks the provider whether the person may still sign in, and who they are
// by now: an account that was disabled, or a group that was left, counts from
// here on.
func (b *broker) recheck(ctx context.Context, id string, rec *record, revision uint64) *authserver.Problem {
	// Another provider, be it of the same name, must not get to see the refresh token.
	before, err := b.signIn.Recall(rec.Claims)
	if err != nil || rec.Provider != b.opts.Provider {
		return b.endedBy(ctx, id, "its provider is not in the configuration any more")
	}
	if wait := b.state.refreshes.paused(rec.Person); wait > 0 {
		return askedTooOften(wait, "AADSTS50196", slog.LevelInfo)
	}
	if !b.state.asked.allow(rec.Person) {
		return askedTooOften(askEvery, "the person's clients refresh their sessions without a pause", slog.LevelWarn)
	}
	g, err := b.provider.refresh(ctx, rec.Refresh)
	if err != nil {
		return b.notRefreshed(ctx, id, rec, err)
	}
	who, err := b.provider.reidentify(ctx, g, before)
	switch {
	case errors.Is(err, errUserinfo):
		// The provider's refresh token may have been replaced by now, and the client's
		// must not be lost for that: the person is who they were.
		b.log.Warn("a person's claims could not be read anew; the last ones count", "caller", rec.Person, "err", err)
	case err != nil:
		return b.endedBy(ctx, id, "what the provider says of the person now does not count: "+err.Error())
	case who != nil && who.ID() != rec.Person:
		return b.endedBy(ctx, id, "the provider's new ID token is another person's")
	}
	return b.rotate(ctx, id, rec, revision, g, who)
}

// rotate keeps what the provider gave, and the next refresh token.
func (b *broker) rotate(ctx context.Context, id string, rec *record, revision uint64, g *grant, who *oauth.Identity) *authserver.Problem {
	now := time.Now()
	if who != nil {
		rec.Claims, rec.Name = who.Claims(), who.Name()
	}
	rec.Refresh = first(g.RefreshToken, rec.Refresh)
	rec.Refreshed, rec.Rotated, rec.Ends = now, now, now.Add(b.lifetime(rec.Refresh))
	rec.Generation++
	err := b.state.updateSession(ctx, id, rec, revision)
	if errors.Is(err, store.ErrConflict) {
		return b.overtaken(ctx, id, rec)
	}
	if err != nil {
		return b.storeProblem(err)
	}
	b.log.Debug("session refreshed", "caller", rec.Person, "client", logID(rec.ClientID), "session", id)
	return nil
}

// overtaken takes what another gateway on the same store has made of a session at
// the same time.
func (b *broker) overtaken(ctx context.Context, id string, rec *record) *authserver.Problem {
	now, _, err := b.state.record(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && now.Generation != rec.Generation:
		return invalidGrant("the session ended meanwhile")
	case err != nil:
		return b.storeProblem(err)
	}
	*rec = *now
	return nil
}

// notRefreshed says what becomes of a session that the provider does not refresh:
// it stays while the provider has trouble, and ends if the person may not go on.
func (b *broker) notRefreshed(ctx context.Context, id string, rec *record, err error) *authserver.Problem {
	var refused *entra.TokenError
	if !errors.As(err, &refused) {
		return b.unreachable(err)
	}
	switch {
	case isLoop(refused):
		b.state.refreshes.pause(rec.Person, pauseAfterLoop)
		return askedTooOften(pauseAfterLoop, "AADSTS50196", slog.LevelWarn)
	case !isAboutPerson(refused):
		return b.refusedBy(refused)
	}
	problem := b.endedBy(ctx, id, "the provider does not let the person go on: "+refused.Error())
	if refused.Claims != "" { // the session has ended whatever comes of this
		if err := b.state.putChallenge(ctx, rec.Person, refused.Claims); err != nil {
			return b.storeProblem(err)
		}
	}
	return problem
}

// askedTooOften is the answer while the provider is not asked about a person.
func askedTooOften(wait time.Duration, cause string, level slog.Level) *authserver.Problem {
	p := authserver.Unavailable("The identity provider was asked too often for this person; try again later.", cause, "")
	p.Level, p.Wait = level, wait
	return p
}

func (b *broker) endedBy(ctx context.Context, id, why string) *authserver.Problem {
	if err := b.state.endSession(ctx, id, why); err != nil {
		return b.storeProblem(err)
	}
	return invalidGrant(why)
}

// flights let one request at a time refresh a session, and remember whom not to
// ask the provider about for a while.
type flights struct {
	mu     sync.Mutex
	turns  map[string]*turn     // by session; guarded by mu
	pauses map[string]time.Time // by person, until when; guarded by mu
}

// A turn is one session's.
type turn struct {
	taken chan struct{} // holds a token while somebody has it
	users int           // that have or want it; guarded by flights.mu
}

func newFlights() *flights {
	return &flights{turns: map[string]*turn{}, pauses: map[string]time.Time{}}
}

const (
	// askEvery is how often the provider is asked about a person in the long run, and
	// askBurst how often at once: each of their sessions may be due. A client that
	// refreshes without a pause would have the provider turn the gateway away, and with
	// it everybody.
	askEvery = time.Second / 2
	askBurst = 2 * maxSessions
)

// maxQueue bounds how many requests wait to refresh one session.
const maxQueue = 20

var errQueue = errors.New("too many requests refresh this session at once")

// take waits for the turn of a session; release gives it on.
func (f *flights) take(ctx context.Context, id string) (release func(), err error) {
	f.mu.Lock()
	t := f.turns[id]
	if t == nil {
		t = &turn{taken: make(chan struct{}, 1)}
		f.turns[id] = t
	}
	if t.users >= maxQueue {
		f.mu.Unlock()
		return nil, errQueue
	}
	t.users++
	f.mu.Unlock()
	select {
	case t.taken <- struct{}{}:
		return func() { <-t.taken; f.leave(id, t) }, nil
	case <-ctx.Done():
		f.leave(id, t)
		return nil, context.Cause(ctx)
	}
}

func (f *flights) leave(id string, t *turn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(f.turns, id)
	}
}

// maxPauses bounds whom is remembered.
const maxPauses = 1000

func (f *flights) pause(person string, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pauses) >= maxPauses {
		clear(f.pauses)
	}
	f.pauses[person] = time.Now().Add(d)
}

// paused is for how long a person is not asked about.
func (f *flights) paused(person string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := time.Until(f.pauses[person])
	if left <= 0 {
		delete(f.pauses, person)
		return 0
	}
	return left
}
