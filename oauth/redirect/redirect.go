// Package redirect says where the answer of a sign-in may be sent: the one rule
// for redirect URIs, wherever a client names one.
//
// An authorization code is worth as much as the person it stands for, and who
// chooses the redirect URI gets it. [Rules] therefore know two kinds: addresses
// of the person's own machine, where native programs listen on a port that is
// free (RFC 8252 section 7.3), and URIs that are written down, byte for byte.
// There are no patterns.
//
//	rules := redirect.Rules{Loopback: true, Allowed: redirect.Vendors["vscode"]}
//	err := rules.Check("http://localhost:5000/callback")
package redirect

import (
	"errors"
	"net/url"
	"slices"
)

// Rules say which redirect URIs clients may use. The zero value allows none.
// They are safe for concurrent use while nobody changes them.
type Rules struct {
	// Loopback allows http URIs of the person's own machine, with any port and path.
	Loopback bool
	// Allowed are the other ones. Each must be one that [Parse] accepts.
	Allowed []string
	// Own is the gateway's own URL, to which nothing is redirected, as it would be
	// given a code that is meant for a client; nil if it has none.
	Own *url.URL
}

// Vendors are the URIs of well-known clients. Those on the person's own machine
// are among them as far as their port is fixed: such a client registers all of its
// URIs at once, and is refused for one of them.
var Vendors = map[string][]string{
	"vscode": {"https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect", "http://127.0.0.1:33418/", "http://127.0.0.1:33418", "http://127.0.0.1/", "http://127.0.0.1"},
	"cursor": {"cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"},
	"claude": {"https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"},
}

// Check reports why a client may not register or use a URI. The error is worded
// to follow it: "has a fragment".
func (r Rules) Check(raw string) error {
	uri, err := Parse(raw)
	switch {
	case err != nil:
		return err
	case r.Own != nil && uri.isAt(r.Own):
		return errors.New("is an address of this gateway itself")
	case slices.Contains(r.Allowed, raw):
		return nil
	case !uri.IsLoopback():
		return errors.New("is not one that this gateway sends people to; its operator can add it, exactly as it is, to the redirects")
	case !r.Loopback:
		return errors.New(`is on the person's own machine, where this gateway does not send people; its operator can add "loopback" to the redirects`)
	}
	return nil
}

// Match reports whether a requested URI is a registered one: on a loopback
// address with any port (RFC 8252 section 7.3), and otherwise byte for byte. One
// that [Parse] refuses matches nothing.
func Match(registered, requested string) bool {
	is, err := Parse(requested)
	if err != nil {
		return false
	}
	if registered == requested {
		return true
	}
	want, err := Parse(registered)
	if err != nil || !want.IsLoopback() || !is.IsLoopback() {
		return false
	}
	return want.host == is.host && want.path == is.path && want.query == is.query && want.hasQuery == is.hasQuery
}
