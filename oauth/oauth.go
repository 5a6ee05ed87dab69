// Package oauth says who is calling: it verifies the bearer token of each
// request, and tells clients where to get one.
//
//	s := oauth.New(opts, nil)
//	go s.Run(ctx) // fetches the providers' keys, and keeps them fresh
//	caller, refused := s.Authenticate(request)
//
// One token, from the header to the caller:
//
//	Authenticate  (oauth.go)     the header; a token seen lately ends here
//	                             (so does one of the gateway's own: Options.Own)
//	parseToken    (token.go)     size, base64url, JSON without duplicate members, header
//	verify        (provider.go)  issuer, audience, tenant, times; the signature by go-oidc
//	                             with a key of the issuer (keys.go)
//	caller        (identity.go)  kind of token, client, scopes, groups
//
// What is refused is answered as RFC 6750 says, and no further; why is in the
// log. A [SignIn] is also the handler of the metadata of RFC 9728, and of the
// authorization server's endpoints where the gateway has them (Options.Facade).
package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

// A SignIn says who is calling. It is safe for concurrent use.
type SignIn struct {
	// Set by New, never changed.
	opts       Options
	http       *http.Client
	providers  []*provider
	issuers    map[string][]*issuer // by iss
	behind     map[string][]*issuer // the same, of the provider that the gateway is a client of
	sources    []*keySource
	unresolved map[*provider]*atomic.Pointer[[]string] // group aliases that Graph does not know
	seen       *seen
	log        *slog.Logger
	strangers  *refusals // of tokens that anybody can make
	known      *refusals // of those that a provider has signed
}

// New builds a SignIn. It fetches nothing before Run. What previous, which may be
// nil, has fetched stays where the provider is the same.
func New(opts Options, previous *SignIn) *SignIn {
	s := &SignIn{
		opts: opts, http: opts.HTTP, issuers: map[string][]*issuer{}, behind: map[string][]*issuer{},
		unresolved: map[*provider]*atomic.Pointer[[]string]{},
		seen:       newSeen(), log: opts.Log, strangers: newRefusals(), known: newRefusals(),
	}
	switch {
	case s.http != nil:
	case previous != nil && previous.opts.HTTP == nil:
		s.http = previous.http
	default:
		s.http = newHTTPClient()
	}
	for _, o := range opts.Providers {
		p := newProvider(o, func(discovery, issuer string) *keySource { return s.source(discovery, issuer, previous) })
		s.providers = append(s.providers, p)
		s.unresolved[p] = &atomic.Pointer[[]string]{}
		issuers := s.issuers
		if p.Behind {
			issuers = s.behind
		}
		for _, is := range p.issuers {
			issuers[is.url] = append(issuers[is.url], is)
		}
	}
	return s
}

// source is where keys come from: one for each provider, also over reloads.
func (s *SignIn) source(discovery, issuer string, previous *SignIn) *keySource {
	known := s.sources
	if previous != nil {
		known = append(known[:len(known):len(known)], previous.sources...)
	}
	for _, k := range known {
		if k.sameKeys(discovery, issuer, s.http) {
			s.keep(k)
			return k
		}
	}
	k := newKeySource(discovery, issuer, s.http)
	s.keep(k)
	return k
}

func (s *SignIn) keep(k *keySource) {
	for _, kept := range s.sources {
		if kept == k {
			return
		}
	}
	s.sources = append(s.sources, k)
}

// Run fetches the providers' keys and keeps them fresh, and finds out which groups
// the configuration's aliases are, until ctx ends.
func (s *SignIn) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for _, k := range s.sources {
		running.Go(func() { k.run(ctx, s.reporter(k)) })
	}
	for _, p := range s.providers {
		if p.asksGraph() && len(s.aliased()) > 0 {
			running.Go(func() { s.resolveAliases(ctx, p) })
		}
	}
}

// reporter logs what comes of fetching keys, each change once.
func (s *SignIn) reporter(k *keySource) func(error) {
	last := ""
	return func(err error) {
		now := ""
		if err != nil {
			now = err.Error()
		}
		if now == last {
			return
		}
		last = now
		if err != nil {
			s.log.Error("the keys of a provider could not be fetched", "issuer", k.issuer, "err", err)
			return
		}
		set := k.current.Load()
		s.log.Info("have the keys of a provider", "issuer", k.issuer, "keys", len(set.byID), "unusable", set.skipped)
	}
}

var (
	// ErrNotOwn means that the gateway has not issued a token itself.
	ErrNotOwn = errors.New("it is not one of the gateway's own")
	// ErrForged means that somebody pretends that it has.
	ErrForged = errors.New("its signature is wrong, though it names a key of the gateway")
	// ErrExpired is the end of every token, and ErrEnded means that its session ended
	// before it.
	ErrExpired = errors.New("it has expired")
	ErrEnded   = errors.New("its session has ended")
)

// Authenticate says who sends a request. Identity is taken from this request
// alone: no session, cookie or query can stand for a token.
func (s *SignIn) Authenticate(r *http.Request) (*Caller, *Refusal) {
	token, refused := s.bearer(r)
	if refused != nil {
		return nil, refused
	}
	if s.opts.Own != nil {
		c, err := s.opts.Own(r.Context(), token)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, ErrForged): // which anybody can make
			return nil, s.refuse(r, s.strangers, "", err)
		case !errors.Is(err, ErrNotOwn):
			return nil, s.refuse(r, s.known, "", err)
		}
	}
	digest := digestOf(token)
	if c := s.seen.get(digest); c != nil {
		return c, nil
	}
	v, err := s.verify(r.Context(), token)
	if err != nil {
		return nil, s.refuse(r, s.strangers, "", err)
	}
	c, until, err := s.caller(r.Context(), v)
	if err != nil {
		return nil, s.refuse(r, s.known, v.identity().subject(), err)
	}
	if s.seen.put(digest, c, v, until) {
		s.log.Info("signed in", "caller", c.ID, "provider", c.Provider, "client", c.Client.ID, "remote", r.RemoteAddr)
	}
	return c, nil
}

// verify checks a token by the provider that it says it is from.
func (s *SignIn) verify(ctx context.Context, token string) (*verified, error) {
	t, err := parseToken(token)
	if err != nil {
		return nil, err
	}
	is, err := s.issuerOf(t)
	if err != nil {
		return nil, err
	}
	return is.verify(ctx, t)
}

// issuerOf chooses by what a token says of itself; what is chosen verifies it.
func (s *SignIn) issuerOf(t *jwt) (*issuer, error) {
	candidates := s.issuers[t.claims.Issuer]
	if len(candidates) == 0 {
		return nil, s.strangeIssuer(t)
	}
	return choose(candidates, t)
}

// choose is the one of some issuers of the same name that a token is meant for.
func choose(candidates []*issuer, t *jwt) (*issuer, error) {
	for _, is := range candidates {
		if is.provider.admits(t.claims.Audience) {
			return is, nil
		}
	}
	if is := candidates[0]; is.tenant != "" && is.provider.Entra.Cloud.IsGraph(t.claims.Audience...) {
		return nil, errors.New("it is for Microsoft Graph; the client must ask for a scope of this gateway's API")
	}
	return nil, fmt.Errorf("it is for %.100q (aud), not for this gateway, which is %.100q; correct audiences, or the scope and resource that clients ask for",
		t.claims.Audience[:min(len(t.claims.Audience), 5)], candidates[0].provider.Audiences)
}

var errProvidersOwn = errors.New("it is the identity provider's own, and the gateway takes those that it issues itself; the client must sign in at the gateway")

// strangeIssuer says what is wrong with a token that none of the providers issued.
func (s *SignIn) strangeIssuer(t *jwt) error {
	switch {
	case s.opts.Own != nil && t.claims.Issuer == s.publicURL(""):
		return errors.New("the gateway issued it, and has forgotten the key by now")
	case len(s.behind[t.claims.Issuer]) > 0:
		return errProvidersOwn
	}
	for _, p := range s.providers {
		if p.Entra == nil || !entra.IsTenantID(t.claims.Tenant) {
			continue
		}
		v2, v1 := p.Entra.Cloud.IssuerV2(t.claims.Tenant), p.Entra.Cloud.IssuerV1(t.claims.Tenant)
		switch {
		case t.claims.Issuer == v1 && len(s.behind[v2]) > 0:
			return errProvidersOwn
		case t.claims.Issuer == v2 || t.claims.Issuer == v1:
			return fmt.Errorf("it is of the tenant %s, which is not one of allowed_tenants", t.claims.Tenant)
		}
	}
	return fmt.Errorf("its issuer %.200q is that of no auth block", t.claims.Issuer)
}

// bearer is the token of a request (RFC 6750, section 2.1).
func (s *SignIn) bearer(r *http.Request) (string, *Refusal) {
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return "", &Refusal{Status: http.StatusBadRequest, Message: "there is more than one Authorization header"}
	}
	if len(headers) == 0 {
		return "", s.challenge(r, http.StatusUnauthorized, "", "sign-in required")
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if token = strings.Trim(token, " "); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", s.challenge(r, http.StatusUnauthorized, "", "sign-in required: the Authorization header has no bearer token")
	}
	return token, nil
}
