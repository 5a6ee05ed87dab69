package clientdoc

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// leftOut is a redirect URI of a document that people are not sent to, and why,
// worded to follow the URI.
type leftOut struct {
	uri string
	why error
}

// setRedirects sorts the redirect URIs of a document into those that people are
// sent to and the others. It returns what is wrong with the document as a whole,
// worded to follow it; "" if nothing is.
//
// The draft lets an authorization server tie redirect URIs to the id (section
// 8.1): where a client's codes may go is otherwise nothing that its id vouches for.
// Here they lead to the host of the id or one below it, have a scheme that is that
// name turned around (RFC 8252 section 7.1), or are what the rules allow. What
// else a document names does no harm as long as nobody is sent there, and may be
// good elsewhere, as there is one document for all authorization servers. But a
// URI that can lead nobody anywhere is a mistake, or worse.
func (d *Document) setRedirects(uris []string, rules redirect.Rules) string {
	if len(uris) == 0 || len(uris) > maxRedirects {
		return fmt.Sprintf("has %d redirect_uris; there must be 1 to %d", len(uris), maxRedirects)
	}
	rules.Allowed = slices.Concat(rules.Allowed, slices.DeleteFunc(slices.Clone(uris), func(uri string) bool { return !isOf(uri, d.Host) }))
	d.LoopbackOnly = true
	for _, uri := range uris {
		parsed, err := redirect.Parse(uri)
		if err != nil {
			return fmt.Sprintf("has the redirect URI %.200q, which %v", uri, err)
		}
		if err := rules.Check(uri); err != nil {
			d.leftOut = append(d.leftOut, leftOut{uri: uri, why: err})
			continue
		}
		d.Redirects = append(d.Redirects, uri)
		d.LoopbackOnly = d.LoopbackOnly && (parsed.IsLoopback() || !strings.HasPrefix(uri, "https://"))
	}
	if len(d.Redirects) == 0 {
		return fmt.Sprintf("has no redirect URI that this gateway sends people to; %.200q %v", d.leftOut[0].uri, d.leftOut[0].why)
	}
	return ""
}

// isOf reports whether a redirect URI is in the hands of whoever has a host: it is
// https there or below, or has the scheme of that name turned around.
func isOf(uri, host string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	name := u.Hostname()
	if u.Scheme != "https" {
		labels := strings.Split(u.Scheme, ".")
		slices.Reverse(labels)
		name = strings.Join(labels, ".")
	}
	return name == host || strings.HasSuffix(name, "."+host)
}

// Check reports why a redirect URI that a client asks for is none of its
// document: on a loopback address the port does not count, and everything else
// must be the same byte for byte. The error is worded to follow the URI.
func (d *Document) Check(uri string) error {
	for _, registered := range d.Redirects {
		if redirect.Match(registered, uri) {
			return nil
		}
	}
	for _, other := range d.leftOut {
		if redirect.Match(other.uri, uri) {
			return other.why
		}
	}
	return errors.New("is not in the redirect_uris of the client's metadata document")
}
