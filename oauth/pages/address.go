package pages

import (
	"html/template"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// active are schemes of URLs that do something in the browser instead of leading
// to somebody.
var active = []string{"about", "blob", "chrome", "data", "file", "filesystem", "ftp", "javascript", "view-source", "vbscript", "ws", "wss"}

var (
	customScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
	webOrigin    = regexp.MustCompile(`^https?://[a-z0-9]([a-z0-9.-]{0,252})(:[0-9]{1,5})?$`)
)

// maxTargets bounds the further sources of one form.
const maxTargets = 8

// formSources writes where a form may be sent: to the gateway, and to those of
// the targets that name one origin, one scheme of a program's own, or all of
// https. Others are left out, and the browser does not go there.
func formSources(targets []string) string {
	sources := "'self'"
	for _, target := range targets[:min(len(targets), maxTargets)] {
		if harmlessSource(target) {
			sources += " " + target
		}
	}
	return sources
}

func harmlessSource(s string) bool {
	if webOrigin.MatchString(s) {
		return true
	}
	scheme, isScheme := strings.CutSuffix(s, ":")
	return isScheme && customScheme.MatchString(scheme) && !slices.Contains(active, scheme) && scheme != "http"
}

// followable is a URL that a page may lead to, or "" if it may not: that of a web
// page, or one that a program has claimed the scheme of.
func followable(raw string) template.URL {
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }) {
		return ""
	}
	scheme, _, isURL := strings.Cut(raw, ":")
	if !isURL || !customScheme.MatchString(scheme) || slices.Contains(active, scheme) {
		return ""
	}
	return template.URL(raw)
}

// A destination says in words where the answer to a program is sent.
type destination struct {
	Host   string // of an https redirect URI, with its port; "" if it stays on this computer
	Port   string // on this computer; "" if none is known
	Scheme string // that a program on this computer has claimed; "" with http and https
	// Local says that a program on this computer gets the answer, whichever it is:
	// any of them can listen at a port, or claim a scheme.
	Local bool
}

// destinationOf reads a redirect URI. One that it cannot read is shown as a
// whole, in place of a host.
func destinationOf(redirect string) destination {
	u, err := url.Parse(redirect)
	switch {
	case err != nil || u.Scheme == "":
		return destination{Host: redirect}
	case u.Scheme != "http" && u.Scheme != "https":
		return destination{Scheme: u.Scheme, Local: true}
	case isLoopback(u.Hostname()):
		return destination{Port: u.Port(), Local: true}
	}
	return destination{Host: u.Host}
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
