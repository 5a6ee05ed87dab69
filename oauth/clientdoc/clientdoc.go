// Package clientdoc reads client ID metadata documents: a client's id is an
// https URL, and what there is to know of the client is the JSON document at that
// URL (draft-ietf-oauth-client-id-metadata-document, MCP "Client ID Metadata
// Documents").
//
//	f := clientdoc.New(clientdoc.Options{Rules: rules})
//	if clientdoc.IsID(clientID) {
//		doc, err := f.Get(ctx, clientID)
//	}
//
// One id, in the order of things:
//
//	checkID  (id.go)        is it written as one, and in one way only?
//	cache    (cache.go)     is the document here, or was it refused a moment ago?
//	flight   (flight.go)    one fetch of it, shared by all who ask; few at once
//	fetch    (fetch.go)     the request, through package guard, and its answer
//	parse    (parse.go)     the document
//	usable   (redirects.go) which of its redirect URIs people are sent to
//
// Everything in a document is what its author says of himself. All that is
// certain is the host it came from.
package clientdoc

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/oauth/guard"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// Options of a Fetcher.
type Options struct {
	// HTTP fetches documents; nil means a client of package guard. Another one has
	// to guard against URLs that strangers choose, too.
	HTTP *http.Client
	// Rules are the redirect URIs that documents may name besides those that are
	// the client's own: loopback, what the operator has written down, and the
	// gateway's own URL, which is refused everywhere.
	Rules redirect.Rules
	// Log gets failures and changes; nil means none.
	Log *slog.Logger
}

// A Document is what a client says of itself. It must not be changed, since it
// is shared.
type Document struct {
	// ID is the client id: the URL of the document.
	ID string
	// Host is the host that the document came from.
	Host string
	// Name is for people, and not verified: at most 200 bytes of UTF-8, never empty,
	// with any characters in it.
	Name string
	// URI is a page about the client on Host; "" if there is none.
	URI string
	// Redirects are the redirect URIs of the document that people are sent to. There
	// is at least one. Check says whether one that is asked for is among them.
	Redirects []string
	// LoopbackOnly says that all Redirects lead to the person's own machine. Any
	// program there can then pretend to be this client: that Host is shown says
	// nothing of who asks.
	LoopbackOnly bool
	// GrantTypes are those the client says it uses (RFC 7591 section 2). They have
	// authorization_code among them.
	GrantTypes []string
	// TokenEndpointAuthMethod is always "none".
	TokenEndpointAuthMethod string

	leftOut []leftOut // redirect URIs that people are not sent to
}

// Refused says what the client's owner has to mend, in whole sentences that are
// for people. They may quote what a stranger wrote.
type Refused struct{ Text string }

func (r *Refused) Error() string { return r.Text }

// Unavailable says that nothing can be said about a client now, in a whole
// sentence that is for people. Cause is for the log of the operator, and nobody
// else; it was logged already.
type Unavailable struct {
	Text  string
	Cause error
}

func (u *Unavailable) Error() string { return u.Text }
func (u *Unavailable) Unwrap() error { return u.Cause }

// A Fetcher fetches documents and keeps them in memory. It is safe for concurrent
// use.
type Fetcher struct {
	// Set by New, never changed.
	http  *http.Client
	rules redirect.Rules
	log   *slog.Logger
	rate  *rate.Limiter

	mu      sync.Mutex
	cache   cache              // guarded by mu
	flights map[string]*flight // by id; guarded by mu
}

// New builds a Fetcher. It starts nothing.
func New(opts Options) *Fetcher {
	f := &Fetcher{
		http: opts.HTTP, rules: opts.Rules, log: opts.Log,
		rate:    rate.NewLimiter(fetchesPerSecond, fetchBurst),
		cache:   newCache(),
		flights: map[string]*flight{},
	}
	if f.http == nil {
		f.http = guard.NewClient(guard.Options{})
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f
}

// Known reports whether Get has an answer without a fetch.
func (f *Fetcher) Known(clientID string) bool {
	if _, err := checkID(clientID); err != nil {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	doc, err := f.cache.lookUp(clientID, time.Now())
	return doc != nil || err != nil
}

// Get returns the document of a client id, which may take as long as a fetch. A
// document that is due to be fetched again, but cannot be, counts for another
// day; those of some clients are known while theirs was never fetched. The error is
// a *Refused, an *Unavailable, or that of ctx.
func (f *Fetcher) Get(ctx context.Context, clientID string) (*Document, error) {
	host, err := checkID(clientID)
	if err != nil {
		return nil, err
	}
	doc, err := f.get(ctx, clientID, host)
	if err != nil {
		return f.orKnown(clientID, host, err)
	}
	return doc, nil
}

func (f *Fetcher) get(ctx context.Context, clientID, host string) (*Document, error) {
	f.mu.Lock()
	if doc, err := f.cache.lookUp(clientID, time.Now()); doc != nil || err != nil {
		f.mu.Unlock()
		return doc, err
	}
	fl, first, err := f.joinLocked(clientID)
	stale := f.cache.stale(clientID, time.Now())
	f.mu.Unlock()
	switch {
	case err != nil && stale != nil:
		return stale, nil
	case err != nil:
		return nil, err
	case first:
		f.fly(ctx, fl, clientID, host)
	}
	return fl.wait(ctx)
}
