package broker_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/redirect"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// Test17ForeignForms has answers that the person's own browser, at the page that it
// was shown, has not given.
func Test17ForeignForms(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	for _, tt := range []struct {
		name    string
		change  func(form url.Values)
		headers []string
	}{
		{"17 no token", func(form url.Values) { form.Del("token") }, nil},
		{"17 other token", func(form url.Values) { form.Set("token", tampered(form.Get("token"))) }, nil},
		{"17 token of another page", func(form url.Values) {
			form.Set("token", s.browser().authorize(s.request(registered)).form().Get("token"))
		}, nil},
		{"17 request of another page", func(form url.Values) {
			form.Set("request", s.browser().authorize(s.request(registered)).form().Get("request"))
		}, nil},
		{"17 no request", func(form url.Values) { form.Del("request") }, nil},
		{"17 tampered request", func(form url.Values) { form.Set("request", tampered(form.Get("request"))) }, nil},
		{"17 registration for a request", func(form url.Values) { form.Set("request", strings.TrimPrefix(registered, "mcpagg.")) }, nil},
		{"17 other origin", func(url.Values) {}, []string{"Origin", "https://evil.example"}},
		{"17 other site", func(url.Values) {}, []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}},
		{"17 other site below the same domain", func(url.Values) {}, []string{"Sec-Fetch-Site", "same-site"}},
		{"17 two cookies of the name", func(url.Values) {}, []string{"Cookie", "twice"}},
	} {
		for _, answer := range []string{"approve", "deny"} {
			s.run(tt.name+", "+answer, func(t *testing.T) {
				b := s.browser()
				page := b.authorize(s.request(registered))
				form := changed(page.form(), "answer", answer)
				tt.change(form)
				headers := slices.Clone(tt.headers)
				if len(headers) > 1 && headers[1] == "twice" {
					right, _, _ := strings.Cut(page.header.Get("Set-Cookie"), ";")
					name, _, _ := strings.Cut(right, "=")
					headers[1] = right + "; " + name + "=x"
				}
				a := b.post(s.server.URL+"/oauth2/consent", form, headers...)
				a.checkPage(t, http.StatusForbidden, "was not sent by the page that belongs to it")
				checkNoCookies(t, a)
			})
		}
	}
	s.run("17 other browser", func(t *testing.T) {
		form := changed(s.browser().authorize(s.request(registered)).form(), "answer", "approve")
		for _, b := range []*browser{s.browser(), s.atConsent(registered)} {
			b.post(s.server.URL+"/oauth2/consent", form).checkPage(t, http.StatusForbidden, "was not sent by the page")
		}
	})
	if s.stored() != 0 || s.asked() != 0 {
		t.Errorf("%d things are stored, and the provider was asked %d times", s.stored(), s.asked())
	}
}

// atConsent is a browser that shows a consent page.
func (s *stage) atConsent(clientID string) *browser {
	s.Helper()
	b := s.browser()
	if page := b.authorize(s.request(clientID)); page.status != http.StatusOK {
		s.Fatalf("HTTP %d", page.status)
	}
	return b
}

// TestConsentForms has forms that cannot be read as one.
func TestConsentForms(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	form := changed(b.authorize(s.request(s.register())).form(), "answer", "approve").Encode()
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"32 JSON", "application/json", `{"answer":"approve"}`, http.StatusUnsupportedMediaType},
		{"32 multipart", "multipart/form-data; boundary=x", form, http.StatusUnsupportedMediaType},
		{"32 no type", "", form, http.StatusUnsupportedMediaType},
		{"32 large", "application/x-www-form-urlencoded", form + "&x=" + strings.Repeat("a", 32<<10), http.StatusRequestEntityTooLarge},
		{"32 escapes", "application/x-www-form-urlencoded", form + "&%zz", http.StatusBadRequest},
		{"32 answer twice", "application/x-www-form-urlencoded", form + "&answer=deny", http.StatusBadRequest},
		{"32 request twice", "application/x-www-form-urlencoded", form + "&request=x", http.StatusBadRequest},
	} {
		s.run(tt.name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodPost, s.server.URL+"/oauth2/consent", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", tt.contentType)
			b.do(r).checkPage(t, tt.status, "")
		})
	}
	b.get(s.server.URL+"/oauth2/consent?"+form).checkPage(t, http.StatusMethodNotAllowed, "")
	if s.stored() != 0 || s.asked() != 0 {
		t.Errorf("%d things are stored, and the provider was asked %d times", s.stored(), s.asked())
	}
}

// Test18ConsentPage is about what keeps the page from being shown in another one.
func Test18ConsentPage(t *testing.T) {
	s := newStage(t)
	page := s.browser().authorize(s.request(s.register()))
	page.checkPage(t, http.StatusOK, "Test client")
	_, forms, _ := strings.Cut(page.header.Get("Content-Security-Policy"), "form-action ")
	if want := "'self' https: " + s.fake.URL() + " http://localhost:3118"; forms != want {
		t.Errorf("the form may lead to %s, want %s", forms, want)
	}
	for _, want := range []string{"Unverified: it registered itself", "a program on this computer, port 3118", "contoso (Microsoft Entra ID)", "mcp.access"} {
		if !strings.Contains(page.text(), want) {
			t.Errorf("the page does not say %q: %s", want, page.text())
		}
	}
}

// Test18DoubleSubmit is about a person who presses the button twice: both lead to
// the same sign-in.
func Test18DoubleSubmit(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	page := b.authorize(s.request(s.register()))
	first, second := b.approve(page), b.approve(page)
	if first.header.Get("Location") != second.header.Get("Location") || first.header.Get("Set-Cookie") != second.header.Get("Set-Cookie") {
		t.Errorf("they lead to\n%v\n%v", first.header, second.header)
	}
	if got := s.storedOf("login"); got != 1 {
		t.Errorf("%d sign-ins are under way", got)
	}
	if got := s.checkSentBack(t, b.follow(second), redirectURI, "a state"); got.Get("code") == "" {
		t.Errorf("the client gets %v", got)
	}
	b.approve(page).checkPage(t, http.StatusBadRequest, "This sign-in was completed already")
	b.get(first.header.Get("Location")) // at the provider
	if got := s.storedOf("code"); got != 1 {
		t.Errorf("there are %d codes", got)
	}
}

// TestTwoTabs is about two sign-ins at once in one browser.
func TestTwoTabs(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	b := s.browser()
	one, two := b.authorize(s.request(registered, "state", "1")), b.authorize(s.request(registered, "state", "2"))
	atTwo, atOne := b.approve(two), b.approve(one)
	for state, a := range map[string]*answer{"1": atOne, "2": atTwo} {
		if got := s.checkSentBack(t, b.follow(a), redirectURI, state); got.Get("code") == "" {
			t.Errorf("tab %s gets %v", state, got)
		}
	}
}

// TestManyTabs is about a page that opens one sign-in after the other: cookies of
// the browser do not become more and more.
func TestManyTabs(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	b := s.browser()
	var last *answer
	for range 20 {
		last = b.authorize(s.request(registered))
	}
	at, err := url.Parse(s.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(b.http.Jar.Cookies(at)); got != 8 {
		t.Errorf("the browser has %d cookies", got)
	}
	b.follow(b.approve(last))
}

// Test24Deny is about a person who does not agree.
func Test24Deny(t *testing.T) {
	const withQuery = "http://localhost:3118/callback?session=1"
	s := newStage(t)
	registered := s.register(redirectURI, withQuery)
	for _, answer := range []string{"deny", "", "APPROVE", "approve "} {
		for _, uri := range []string{redirectURI, withQuery} {
			s.run("24 "+answer, func(t *testing.T) {
				b := s.browser()
				page := b.authorize(s.request(registered, "redirect_uri", uri))
				deny := b.post(s.server.URL+"/oauth2/consent", changed(page.form(), "answer", answer))
				s.checkError(t, deny, uri, "a state", "access_denied")
				b.approve(page).checkPage(t, http.StatusForbidden, "was not sent by the page")
			})
		}
	}
	s.run("24 the redirect URI is not allowed any more", func(t *testing.T) {
		b := s.browser()
		page := b.authorize(s.request(registered))
		s.configure(func(o *broker.Options) { o.Redirects.Loopback = false })
		for _, answer := range []string{"deny", "approve"} {
			a := b.post(s.server.URL+"/oauth2/consent", changed(page.form(), "answer", answer))
			a.checkPage(t, http.StatusBadRequest, "where this gateway does not send people")
			checkNoCookies(t, a)
		}
	})
	if s.stored() != 0 || s.asked() != 0 {
		t.Errorf("%d things are stored, and the provider was asked %d times", s.stored(), s.asked())
	}
}

// Test24DenyAfterAll is about a person who agrees, goes back and does not agree. What
// they said last counts.
func Test24DenyAfterAll(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	page := b.authorize(s.request(s.register()))
	back := b.get(b.approve(page).header.Get("Location")).header.Get("Location")
	deny := b.post(s.server.URL+"/oauth2/consent", changed(page.form(), "answer", "deny"))
	s.checkError(t, deny, redirectURI, "a state", "access_denied")
	b.get(back).checkPage(t, http.StatusBadRequest, "No sign-in is under way")
	b.approve(page).checkPage(t, http.StatusForbidden, "was not sent by the page")
	if s.stored() != 0 || len(s.fake.Requests("token")) != 0 {
		t.Errorf("%d things are stored", s.stored())
	}
}

// TestIPv6 is about programs at an address that no content security policy can name:
// a page comes between the form and what follows it.
func TestIPv6(t *testing.T) {
	const uri = "http://[::1]:3118/callback"
	s := newStage(t)
	registered := s.register(uri)
	b := s.browser()
	page := b.authorize(s.request(registered, "redirect_uri", uri))
	to := b.approve(page).onward(t)
	if !strings.HasPrefix(to.String(), s.fake.URL()) {
		t.Errorf("it goes on to %s", to)
	}
	if got := s.checkSentBack(t, b.follow(b.get(to.String())), uri, "a state"); got.Get("code") == "" {
		t.Errorf("the client gets %v", got)
	}
	page = b.authorize(s.request(registered, "redirect_uri", uri))
	deny := b.post(s.server.URL+"/oauth2/consent", changed(page.form(), "answer", "deny"))
	got := s.checkSentBack(t, deny.onward(t), uri, "a state")
	if got.Get("error") != "access_denied" || got.Has("code") {
		t.Errorf("the client gets %v", got)
	}
}

// TestStaleConsent is about pages that somebody left open.
func TestStaleConsent(t *testing.T) {
	s := newStage(t, withClient("ci"))
	b := s.browser()
	page := b.authorize(s.request("ci"))
	aged := func(by time.Duration) *answer {
		form := changed(page.form(), "answer", "approve")
		return b.post(s.server.URL+"/oauth2/consent", changed(form, "request", s.state.Aged(form.Get("request"), by)))
	}
	aged(11*time.Minute).checkPage(t, http.StatusBadRequest, "begun too long ago")
	s.run("the client is not there any more", func(t *testing.T) {
		s.configure()
		b.approve(page).checkPage(t, http.StatusBadRequest, "is not registered")
	})
	if s.stored() != 0 {
		t.Errorf("%d things are stored", s.stored())
	}
	s.configure(withClient("ci"))
	if a := aged(9 * time.Minute); a.status != http.StatusSeeOther {
		t.Errorf("HTTP %d: %s", a.status, a.text())
	}
}

// withClient has a client of the operator's, at the redirect URI.
func withClient(id string) func(*broker.Options) {
	return func(o *broker.Options) {
		o.Clients = []broker.Client{{ID: id, Redirects: redirect.Rules{Loopback: true}}}
	}
}

// Test25Names is about programs that call themselves something that they are not.
func Test25Names(t *testing.T) {
	s := newStage(t)
	for _, tt := range []struct {
		name, called string
		want         string // on the page; "" if it is not registered
	}{
		{"25 markup", `<img src=x onerror=alert(1)><b>Claude`, `<img src=x onerror=alert(1)><b>Claude`},
		{"25 attribute", `"><script>alert(1)</script>`, `"><script>alert(1)</script>`},
		{"25 right to left", "Claude\u202egnp.exe", "Claudegnp.exe"},
		{"25 no width", "Cla\u200bude\u2060", "Claude"},
		{"25 line breaks", "Claude\r\n\r\nVerified by Contoso", "Claude Verified by Contoso"},
		{"25 controls", "\x1b[2JClaude", "[2JClaude"},
		{"25 long", strings.Repeat("a", 200), strings.Repeat("a", 59) + "…"},
		{"25 10 kB", strings.Repeat("a", 10<<10), ""},
	} {
		s.run(tt.name, func(t *testing.T) {
			a := s.registerAs(map[string]any{"client_name": tt.called, "redirect_uris": []string{redirectURI}})
			if tt.want == "" {
				a.refused(t, http.StatusBadRequest, "invalid_client_metadata")
				return
			}
			id, _ := a.json(t)["client_id"].(string)
			page := s.browser().authorize(s.request(id))
			page.checkPage(t, http.StatusOK, "A program says it is called "+tt.want+" Unverified: it registered itself, under a name of its own choice")
		})
	}
}

// TestCookies is about what ties a sign-in to a browser, as it is over TLS: no other
// host, script or page without TLS can set or read it.
func TestCookies(t *testing.T) {
	s := newStageBehind(t, httptest.NewTLSServer)
	b := s.browser()
	page := b.authorize(s.request(s.register()))
	agreed := b.approve(page)
	back := b.get(b.get(agreed.header.Get("Location")).header.Get("Location"))
	if back.location().Query().Get("code") == "" {
		t.Fatalf("HTTP %d to %s", back.status, back.location())
	}
	for _, tt := range []struct {
		name   string
		a      *answer
		prefix string
		maxAge int
	}{
		{"consent", page, "__Host-mcpagg-consent-", 600},
		{"sign-in", agreed, "__Host-mcpagg-signin-", 600},
		{"after the sign-in", back, "__Host-mcpagg-signin-", -1},
	} {
		cookies := (&http.Response{Header: tt.a.header}).Cookies()
		if len(cookies) != 1 {
			t.Errorf("%s: %q", tt.name, tt.a.header.Values("Set-Cookie"))
			continue
		}
		c := cookies[0]
		if !strings.HasPrefix(c.Name, tt.prefix) || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != tt.maxAge {
			t.Errorf("%s: %s", tt.name, c)
		}
	}
}

// TestKilled goes on after the gateway was killed, between any two steps.
func TestKilled(t *testing.T) {
	s := newStage(t)
	dir := filepath.Join(t.TempDir(), "state")
	s.openStore(store.Options{Dir: dir})
	s.configure()
	registered := s.register()
	b := s.browser()
	s.reopen(dir)
	page := b.authorize(s.request(registered))
	s.reopen(dir)
	agreed := b.approve(page)
	s.reopen(dir)
	if again := b.approve(page); again.header.Get("Location") != agreed.header.Get("Location") {
		t.Errorf("the same form leads to %s and then to %s", agreed.header.Get("Location"), again.header.Get("Location"))
	}
	back := b.get(agreed.header.Get("Location"))
	s.reopen(dir)
	code := s.checkSentBack(t, b.follow(back), redirectURI, "a state").Get("code")
	s.reopen(dir)
	b.get(back.header.Get("Location")).checkPage(t, http.StatusForbidden, "")
	b.approve(page).checkPage(t, http.StatusBadRequest, "This sign-in was completed already")
	got := s.redeem(registered, code).tokens(t)
	s.reopen(dir)
	if _, status := s.mcp(got.access); status != http.StatusOK {
		t.Errorf("HTTP %d", status)
	}
	s.redeem(registered, code).refused(t, http.StatusBadRequest, "invalid_grant")
}
