package broker

import (
	"net/http"
	"strings"
	"time"
)

// Cookies bind what happens to one browser. Each sign-in has its own, so that two
// of them at once do not get in each other's way.
const (
	consentCookie = "mcpagg-consent-" // before the person has agreed
	signInCookie  = "mcpagg-signin-"  // since then, and until the provider sends them back
	meCookie      = "mcpagg-me"       // on their own page

	// maxCookies bounds how many of a kind a browser keeps.
	maxCookies = 8
)

// cookieName is that of a cookie that no other host and no page without TLS can
// set (RFC 6265bis, section 4.1.3.2). Without TLS, on the own machine, there is
// no such name.
func (b *broker) cookieName(kind, id string) string {
	if b.secure() {
		return "__Host-" + kind + id
	}
	return kind + id
}

// setCookie sets one, and takes those back that are too many.
func (b *broker) setCookie(w http.ResponseWriter, r *http.Request, kind, id, value string, life time.Duration) {
	var others []string
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, b.cookieName(kind, "")) && c.Name != b.cookieName(kind, id) {
			others = append(others, c.Name)
		}
	}
	for i, name := range others {
		if len(others)-i >= maxCookies {
			b.writeCookie(w, name, "", -time.Second)
		}
	}
	b.writeCookie(w, b.cookieName(kind, id), value, life)
}

func (b *broker) dropCookie(w http.ResponseWriter, kind, id string) {
	b.writeCookie(w, b.cookieName(kind, id), "", -time.Second)
}

// writeCookie lets the cookie come with a navigation from the provider (Lax), and
// with nothing else of another site.
func (b *broker) writeCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second), Secure: b.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// cookie is the value of one, or "" if there is none or there are several.
func (b *broker) cookie(r *http.Request, kind, id string) string {
	all := r.CookiesNamed(b.cookieName(kind, id))
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

// fromOwnPage reports whether a form was sent by a page of the gateway, as far as
// the browser says. These pages have no referrer, for which Origin is "null".
func (b *broker) fromOwnPage(r *http.Request) bool {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	own := b.opts.PublicURL.Scheme + "://" + b.opts.PublicURL.Host
	return (origin == "" || origin == "null" || strings.EqualFold(origin, own)) && (site == "" || site == "same-origin" || site == "none")
}
