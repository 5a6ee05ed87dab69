package redirect_test

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// FuzzCheck looks for a URI that is accepted and leads somewhere else, as
// net/url or a browser reads it.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"http://localhost:5000/callback", "http://127.0.0.1:33418/", "http://[::1]:1/a?b=c", "https://vscode.dev/redirect", "cursor://anysphere.cursor-mcp/oauth/callback",
		"http://localhost:5000@evil.com/callback", "http://localhost.evil.com", `http://localhost\@evil.com`, "http:\\\\localhost", "http:/localhost", "http://127.1/", "http://0x7f000001/",
		"http://localhost/%2e%2e/a", "http://localhost/..;/", "ht\ntp://localhost/", "http://localhost#@evil.com", "http://[::1%25lo]/", "http://evil.com?@localhost/", "//localhost", "javascript://localhost/",
	} {
		f.Add(s)
	}
	r := rules()
	f.Fuzz(func(t *testing.T, raw string) {
		if r.Check(raw) != nil {
			return
		}
		if u, err := url.Parse(raw); err != nil || u.User != nil || u.Fragment != "" || u.String() != raw && !strings.ContainsRune(raw, '?') {
			t.Fatalf("net/url reads %q as %#v, %v", raw, u, err)
		}
		if !redirect.Match(raw, raw) {
			t.Fatalf("%q does not match itself", raw)
		}
		if slices.Contains(r.Allowed, raw) {
			return
		}
		if host, ok := readAsBrowser(raw); !ok || !isLoopbackHost(host) {
			t.Fatalf("a browser goes to %q (%v) for %q", host, ok, raw)
		}
	})
}

func isLoopbackHost(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// readAsBrowser is the host that a browser takes an http URL to have, after the
// URL Standard of the WHATWG: more lenient than anything else, and independent of
// the code that is tested.
func readAsBrowser(raw string) (host string, ok bool) {
	raw = strings.TrimFunc(raw, func(r rune) bool { return r <= ' ' })
	raw = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(raw)
	scheme, rest, ok := strings.Cut(raw, ":")
	if !ok || !strings.EqualFold(scheme, "http") {
		return "", false
	}
	rest = strings.TrimLeft(rest, `/\`)
	if i := strings.IndexAny(rest, `/\?#`); i >= 0 {
		rest = rest[:i]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		rest = rest[:i]
	}
	host, err := url.PathUnescape(rest)
	if err != nil {
		return "", false
	}
	host = strings.ToLower(host)
	if n, isNumber := addressOf(host); isNumber {
		return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String(), true
	}
	return host, host != ""
}

// addressOf reads the forms of IPv4 addresses that browsers know: up to four
// parts, decimal, octal or hexadecimal, of which the last one fills the rest.
func addressOf(host string) (addr uint64, ok bool) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return 0, false
	}
	for i, part := range parts {
		base := 10
		switch {
		case strings.HasPrefix(part, "0x"):
			part, base = "0"+part[2:], 16
		case strings.HasPrefix(part, "0") && len(part) > 1:
			part, base = part[1:], 8
		}
		n, err := strconv.ParseUint(part, base, 32)
		if err != nil {
			return 0, false
		}
		if i == len(parts)-1 {
			return addr<<(8*(5-len(parts))) | n, true
		}
		addr = addr<<8 | n
	}
	return 0, false
}
