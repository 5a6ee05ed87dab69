package fakeentra

import (
	"net/url"
	"strings"
)

// findRedirect finds the registered URI that a requested one is, by Entra's rule:
// on localhost the port does not matter, that of 127.0.0.1 is a matter of the
// switch, [::1] is never one, and everything else is compared as it is.
func (a *App) findRedirect(requested string, sw Switches) (Redirect, *failure) {
	switch {
	case len(a.Redirects) == 0:
		return Redirect{}, fail(500113, "invalid_request", "No reply address is registered for the application.")
	case requested == "":
		return Redirect{}, fail(900971, "invalid_request", "No reply address provided.")
	}
	u, err := url.Parse(requested)
	if err != nil || u.Scheme == "" || u.Opaque != "" || !isPrintable(requested) {
		return Redirect{}, fail(50102, "invalid_request", "The 'redirect_uri' value '%s' is not a valid absolute URI.", clip(requested))
	}
	for _, r := range a.Redirects {
		if matches(r.URI, requested, u, sw) {
			return r, nil
		}
	}
	return Redirect{}, fail(50011, "invalid_request", "The redirect URI '%s' specified in the request does not match the redirect URIs configured for the application '%s'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal.", clip(requested), a.ClientID)
}

func matches(registered, requested string, u *url.URL, sw Switches) bool {
	if u.User != nil || u.Fragment != "" || strings.Contains(requested, "#") || u.Hostname() == "::1" {
		return false
	}
	if withPath(registered) == withPath(requested) {
		return true
	}
	reg, err := url.Parse(registered)
	if err != nil || reg.Scheme != "http" || u.Scheme != "http" || reg.Hostname() != u.Hostname() {
		return false
	}
	portCounts := true
	switch u.Hostname() {
	case "localhost":
		portCounts = false
	case "127.0.0.1":
		portCounts = sw.LoopbackIPPort != PortIgnore
	}
	return !portCounts && pathOf(reg) == pathOf(u) && reg.RawQuery == u.RawQuery
}

func pathOf(u *url.URL) string {
	if u.EscapedPath() == "" {
		return "/"
	}
	return u.EscapedPath()
}

// withPath adds the slash of a URI that has no path, as Entra does.
func withPath(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || strings.Contains(rest, "/") || scheme != "http" && scheme != "https" {
		return uri
	}
	host, query, has := strings.Cut(rest, "?")
	if has {
		query = "?" + query
	}
	return scheme + "://" + host + "/" + query
}

// withParameters adds the answer to a redirect URI, in its query or fragment.
func withParameters(uri, mode string, answer url.Values) string {
	uri = withPath(uri)
	separator := "?"
	switch {
	case mode == "fragment":
		separator = "#"
	case strings.Contains(uri, "?"):
		separator = "&"
	}
	return uri + separator + answer.Encode()
}
