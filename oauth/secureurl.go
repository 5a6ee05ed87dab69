package oauth

import (
	"net/netip"
	"net/url"
	"strings"
)

// IsSecureURL reports whether what comes from a URL can be believed: it is https,
// or on this machine.
func IsSecureURL(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

func isHTTPS(raw string) bool { return strings.HasPrefix(raw, "https://") }

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
