package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxLength bounds a redirect URI, in bytes.
const MaxLength = 2048

// A URI is a redirect URI that means the same to everybody who reads it.
type URI struct {
	scheme, host, port string // port is "" if none is written
	path, query        string // path is "/" for http and https if none is written
	hasQuery           bool   // also if there is nothing in it
}

// IsLoopback reports whether it leads to the person's own machine by http, where
// nobody on the way can read it: localhost, 127.0.0.0/8 or [::1].
func (u *URI) IsLoopback() bool { return u.scheme == "http" }

// Parse reads a redirect URI. It is strict, since browsers, identity providers
// and net/url read what is odd in different ways, and only one of them is asked
// whether it is allowed:
//
//   - https, http with a loopback address, or a scheme of a program's own that is
//     followed by a slash; not one that runs or opens something in a browser
//   - no fragment, user name, wildcard, backslash, or other character that a URI
//     has not (RFC 3986 section 2)
//   - scheme and host in lower case, and addresses in their shortest form
//   - no dot segments, and no escape in the path that could hide one
//   - no parameter in the query that the answer will have
//
// Errors are worded to follow the URI: "has a fragment".
func Parse(raw string) (*URI, error) {
	switch {
	case raw == "":
		return nil, errors.New("is empty")
	case len(raw) > MaxLength:
		return nil, fmt.Errorf("is longer than %d characters", MaxLength)
	}
	if err := checkCharacters(raw); err != nil {
		return nil, err
	}
	scheme, rest, found := strings.Cut(raw, ":")
	if !found || !isScheme(scheme) {
		return nil, errors.New("does not begin with a scheme in lower case, such as https")
	}
	if slices.Contains(dangerous, scheme) {
		return nil, fmt.Errorf("has the scheme %q, which no sign-in ends at", scheme)
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	u := &URI{scheme: scheme, query: query, hasQuery: hasQuery}
	if err := u.parseHierarchy(rest); err != nil {
		return nil, err
	}
	for _, err := range []error{u.checkScheme(), checkPath(u.path), checkQuery(query)} {
		if err != nil {
			return nil, err
		}
	}
	return u, nil
}

// dangerous are schemes with which a browser does something else than to go to
// a page or to a program that has asked for the scheme.
var dangerous = []string{
	"about", "blob", "chrome", "content", "data", "file", "filesystem", "ftp", "intent", "jar", "javascript", "mailto",
	"ms-settings", "resource", "search-ms", "sms", "ssh", "tel", "vbscript", "view-source", "ws", "wss",
}

// checkCharacters lets through what RFC 3986 allows in a URI but for the
// fragment and the asterisk.
func checkCharacters(raw string) error {
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '#':
			return errors.New("has a fragment")
		case c == '*':
			return errors.New("has an asterisk; there are no wildcards in redirect URIs")
		case c == '%':
			if _, err := url.PathUnescape(raw[i:min(i+3, len(raw))]); err != nil {
				return errors.New("has a percent sign without two hexadecimal digits")
			}
		case isAlphanumeric(c), strings.IndexByte("-._~:/?[]@!$&'()+,;=", c) >= 0:
		case c == '\\':
			return errors.New("has a backslash")
		default:
			return fmt.Errorf("has the character %q, which no URI has unescaped", c)
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isScheme(s string) bool {
	return s != "" && 'a' <= s[0] && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// parseHierarchy reads what is between the scheme and the query.
func (u *URI) parseHierarchy(rest string) error {
	authority, found := strings.CutPrefix(rest, "//")
	web := u.scheme == "http" || u.scheme == "https"
	switch {
	case !found && web, !strings.HasPrefix(rest, "/"):
		return fmt.Errorf("does not continue with %q", u.scheme+"://")
	case !found: // as in com.example.app:/callback
		u.path = rest
		return nil
	}
	u.path = ""
	if i := strings.IndexByte(authority, '/'); i >= 0 {
		authority, u.path = authority[:i], authority[i:]
	}
	if web && u.path == "" {
		u.path = "/"
	}
	return u.parseAuthority(authority)
}

func (u *URI) parseAuthority(authority string) error {
	if strings.Contains(authority, "@") {
		return errors.New("has a user name before the host")
	}
	u.host = authority
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		u.host, u.port = authority[:i], authority[i+1:]
		if n, err := strconv.ParseUint(u.port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != u.port {
			return errors.New("has a port that is no number from 1 to 65535")
		}
	}
	if strings.HasPrefix(u.host, "[") {
		return checkIPv6(u.host)
	}
	return checkHost(u.host)
}

func checkIPv6(host string) error {
	addr, err := netip.ParseAddr(strings.TrimSuffix(host[1:], "]"))
	if err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" || "["+addr.String()+"]" != host {
		return errors.New("has a host in brackets that is no IPv6 address in its shortest form")
	}
	return nil
}

// checkHost takes names and IPv4 addresses. A browser takes any host whose last
// part is a number for an address, be it written "127.1" or "0x7f000001".
func checkHost(host string) error {
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return errors.New("has no host of lower-case letters, digits, dots and hyphens")
		}
	}
	last := labels[len(labels)-1]
	if last[0] < '0' || last[0] > '9' { // no top-level domain begins with a digit
		return nil
	}
	if addr, err := netip.ParseAddr(host); err != nil || !addr.Is4() {
		return errors.New("has a host that is neither a name nor an address of four numbers")
	}
	return nil
}

// checkScheme keeps plain http to where it cannot be read on the way.
func (u *URI) checkScheme() error {
	if u.scheme == "http" && !isLoopback(u.host) {
		return errors.New("is not https; http is for localhost, 127.0.0.0/8 and [::1] only")
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" || host == "[::1]" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Is4() && addr.IsLoopback()
}

// checkPath looks for what is resolved away before the path is used, also by
// somebody who unescapes it once or twice.
func checkPath(path string) error {
	for i := range len(path) {
		if path[i] == '%' {
			switch c := path[i+1 : i+3]; strings.ToLower(c) {
			case "2e", "2f", "5c", "25":
				return fmt.Errorf("has the escape %q in its path", "%"+c)
			}
		}
	}
	if err := checkEscapes(path); err != nil {
		return err
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return errors.New("has a dot segment in its path")
		}
	}
	return nil
}

// checkEscapes looks for control characters.
func checkEscapes(s string) error {
	for i := range len(s) {
		if s[i] != '%' {
			continue
		}
		if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err != nil || c < 0x20 || c == 0x7f {
			return errors.New("has an escaped control character")
		}
	}
	return nil
}

// answers are the parameters that an authorization server adds.
var answers = []string{"code", "state", "iss", "error", "error_description", "error_uri", "session_state"}

func checkQuery(query string) error {
	if err := checkEscapes(query); err != nil {
		return err
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("has a query that is not of the form name=value&name=value")
	}
	for _, name := range answers {
		if values.Has(name) {
			return fmt.Errorf("has the parameter %q, which the answer will have", name)
		}
	}
	return nil
}

// isAt reports whether the URI leads to where own is served. On one machine, all
// loopback addresses are taken for the same.
func (u *URI) isAt(own *url.URL) bool {
	ownHost := strings.ToLower(own.Hostname())
	if strings.Contains(ownHost, ":") {
		ownHost = "[" + ownHost + "]"
	}
	if u.host != ownHost && !(isLoopback(u.host) && isLoopback(ownHost)) {
		return false
	}
	return portOf(u.scheme, u.port) == portOf(own.Scheme, own.Port())
}

func portOf(scheme, port string) string {
	switch {
	case port != "":
		return port
	case scheme == "http":
		return "80"
	case scheme == "https":
		return "443"
	}
	return ""
}
