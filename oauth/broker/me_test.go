package broker_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
	"github.com/mcpagg/mcpagg/oauth/pages"
)

// openPage signs a person in to their own page.
func (b *browser) openPage(person string) *answer {
	b.Helper()
	b.fake.Switch(func(sw *fakeentra.Switches) { sw.AutoSignIn = person })
	defer b.fake.Switch(func(sw *fakeentra.Switches) { sw.AutoSignIn = alice })
	a := b.post(b.server.URL+"/me/sign-in", url.Values{})
	for range 10 {
		to := a.location()
		if a.status != http.StatusFound && a.status != http.StatusSeeOther {
			break
		}
		a = b.get(to.String())
	}
	if a.status != http.StatusOK || a.form().Get("token") == "" {
		b.Fatalf("no page: HTTP %d %s\n%s", a.status, a.body, b.log)
	}
	return a
}

func (b *browser) page() *answer { return b.get(b.server.URL + "/me") }

// isSignedIn reports whether the person's page is shown, and not the way to it.
func (a *answer) isSignedIn() bool { return strings.Contains(a.body, "/me/sign-out") }

var sessionField = regexp.MustCompile(`name="session" value="([^"*]+)"`)

// sessions are the ids of those on a page.
func (a *answer) sessions() []string {
	var ids []string
	for _, m := range sessionField.FindAllStringSubmatch(a.body, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

func TestMe(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		s.signedIn()
		b := s.browser()
		if a := b.page(); a.status != http.StatusOK || a.isSignedIn() || !strings.Contains(a.body, "/me/sign-in") {
			s.Fatalf("before: HTTP %d %s", a.status, a.body)
		}
		a := b.openPage(alice)
		for _, want := range []string{"Alice Example", "search", "forbidden_tool", "because", "Test client"} {
			if !strings.Contains(a.body, want) {
				s.Errorf("the page does not have %q", want)
			}
		}
		if len(a.sessions()) != 1 {
			s.Errorf("sessions: %v", a.sessions())
		}
		if a.header.Get("Cache-Control") != "no-store" || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
			s.Errorf("the headers are %v", a.header)
		}
		for _, path := range []string{"/me", "/me/"} {
			if !b.get(s.server.URL + path).isSignedIn() {
				s.Errorf("%s is not the page", path)
			}
		}
		if s.browser().page().isSignedIn() {
			s.Error("another browser sees the page")
		}
	}, func(o *broker.Options) {
		o.Tools = func(c *oauth.Caller) ([]pages.Tool, string) {
			return []pages.Tool{{Name: "search", Upstream: "demo"}}, ""
		}
		o.Denials = func(c *oauth.Caller) []pages.Denial {
			return []pages.Denial{{Tool: "forbidden_tool", Why: "because", Time: time.Now()}}
		}
	})
}

func TestMeRevokesOwnSessions(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		s.fake.AddUser(fakeentra.User{Name: "bob@contoso.example", DisplayName: "Bob Example"})
		client := s.register()
		one, two, bobs := s.signInAs(client, alice), s.signInAs(client, alice), s.signInAs(client, "bob@contoso.example")
		bob := s.browser()
		foreign := bob.openPage("bob@contoso.example").sessions()
		b := s.browser()
		page := b.openPage(alice)
		if len(page.sessions()) != 2 || len(foreign) != 1 {
			s.Fatalf("Alice sees %d sessions, Bob %d", len(page.sessions()), len(foreign))
		}
		revoke := func(id string) *answer {
			return b.post(s.server.URL+"/me/revoke", url.Values{"token": {page.form().Get("token")}, "session": {id}})
		}
		for _, id := range []string{foreign[0], "x", ""} {
			if a := revoke(id); a.status != http.StatusSeeOther {
				s.Errorf("HTTP %d", a.status)
			}
		}
		if n := len(s.state.Sessions()); n != 3 {
			s.Errorf("%d sessions are left of three", n)
		}
		s.works(bobs.access, true)
		revoke(page.sessions()[0])
		if n := len(b.page().sessions()); n != 1 {
			s.Errorf("%d sessions are left", n)
		}
		revoke(pages.AllSessions)
		s.works(one.access, false)
		s.works(two.access, false)
		s.works(bobs.access, true)
		if !b.page().isSignedIn() {
			s.Error("the page has gone, too")
		}
	})
}

// TestMeForeignForms is about forms that another site, or another browser, sends.
func TestMeForeignForms(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		_, got := s.signedIn()
		b, other := s.browser(), s.browser()
		token := b.openPage(alice).form().Get("token")
		others := other.openPage(alice).form().Get("token")
		all := func(token string) url.Values { return url.Values{"session": {pages.AllSessions}, "token": {token}} }
		for name, tt := range map[string]struct {
			b       *browser
			form    url.Values
			headers []string
		}{
			"another site's origin":      {b, all(token), []string{"Origin", "https://evil.example"}},
			"another port's origin":      {b, all(token), []string{"Origin", "http://127.0.0.1:9"}},
			"sent by another site":       {b, all(token), []string{"Sec-Fetch-Site", "cross-site"}},
			"sent by a neighbour":        {b, all(token), []string{"Sec-Fetch-Site", "same-site"}},
			"no token":                   {b, all(""), nil},
			"another browser's token":    {b, all(others), nil},
			"another browser":            {other, all(token), nil},
			"a browser without a cookie": {s.browser(), all(token), nil},
			"a token that is cut":        {b, all(token[:40]), nil},
		} {
			for _, path := range []string{"/me/revoke", "/me/sign-out"} {
				if a := tt.b.post(s.server.URL+path, tt.form, tt.headers...); a.status != http.StatusForbidden {
					s.Errorf("%s, %s: HTTP %d", name, path, a.status)
				}
			}
		}
		if a := b.post(s.server.URL+"/me/sign-in", url.Values{}, "Origin", "https://evil.example"); a.status != http.StatusForbidden {
			s.Errorf("signing in from another site: HTTP %d", a.status)
		}
		for _, path := range []string{"/me/revoke", "/me/sign-out", "/me/sign-in"} {
			if a := b.get(s.server.URL + path + "?" + all(token).Encode()); a.status != http.StatusMethodNotAllowed {
				s.Errorf("GET %s: HTTP %d", path, a.status)
			}
		}
		s.works(got.access, true)
		if !b.page().isSignedIn() {
			s.Error("signed out")
		}
		for _, origin := range []string{s.server.URL, "null"} { // as browsers send it
			if a := b.post(s.server.URL+"/me/revoke", url.Values{"token": {token}}, "Origin", origin, "Sec-Fetch-Site", "same-origin"); a.status != http.StatusSeeOther {
				s.Errorf("the own page's form with the origin %s: HTTP %d", origin, a.status)
			}
		}
	})
}

func TestMeEnds(t *testing.T) {
	for name, ends := range map[string]func(*stage, *browser){
		"by signing out": func(s *stage, b *browser) {
			b.post(s.server.URL+"/me/sign-out", url.Values{"token": {b.page().form().Get("token")}})
		},
		"after an hour":         func(*stage, *browser) { time.Sleep(time.Hour + time.Second) },
		"by the operator":       func(s *stage, _ *browser) { s.revoked(broker.Match{Person: "Alice Example"}) },
		"with everything":       func(s *stage, _ *browser) { s.revoked(broker.Match{}) },
		"with its provider":     func(s *stage, _ *browser) { s.withoutProvider() },
		"with another's cookie": func(s *stage, b *browser) { b.tamper("mcpagg-me") },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(s *stage, _ *middleman) {
				b := s.browser()
				b.openPage(alice)
				cookies := b.http.Jar.Cookies(mustParse(s, s.server.URL))
				ends(s, b)
				if b.page().isSignedIn() {
					s.Error("the page is still there")
				}
				if name == "with another's cookie" {
					return
				}
				b.http.Jar.SetCookies(mustParse(s, s.server.URL), cookies) // as somebody who kept them
				if b.page().isSignedIn() {
					s.Error("the cookie still counts")
				}
			})
		})
	}
}

// TestMeStays is about what does not end a page.
func TestMeStays(t *testing.T) {
	for name, happens := range map[string]func(*stage){
		"another person is cut off":  func(s *stage) { s.revoked(broker.Match{Person: "Bob Example"}) },
		"a client is cut off":        func(s *stage) { s.revoked(broker.Match{Client: "Test client"}) },
		"59 minutes":                 func(*stage) { time.Sleep(59 * time.Minute) },
		"a reload":                   func(s *stage) { s.configure() },
		"other keys":                 func(s *stage) { _, _ = s.state.RotateKeys(s.Context()) },
		"the provider is not there":  func(s *stage) { s.fake.Fail(fakeentra.Fault{Status: 503}) },
		"all of the own sessions go": func(s *stage) { s.revoked(broker.Match{Person: "Alice Example", Client: "Test client"}) },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(s *stage, _ *middleman) {
				b := s.browser()
				b.openPage(alice)
				happens(s)
				if !b.page().isSignedIn() {
					s.Errorf("the page is gone\n%s", s.log)
				}
			})
		})
	}
}

func (s *stage) revoked(m broker.Match) {
	s.Helper()
	if _, err := s.state.Revoke(s.Context(), m); err != nil {
		s.Fatal(err)
	}
}

// withoutProvider is a reload with the gateway as another client of the provider.
func (s *stage) withoutProvider() {
	change := s.changeSignIn
	s.changeSignIn = func(o *oauth.Options) {
		change(o)
		o.Providers[0].Audiences = []string{"another-client"}
	}
	s.configure()
}

// tamper changes a cookie.
func (b *browser) tamper(name string) {
	u := mustParse(b, b.server.URL)
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == name {
			c.Value = strings.Repeat("A", len(c.Value))
			b.http.Jar.SetCookies(u, []*http.Cookie{c})
		}
	}
}

func mustParse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
