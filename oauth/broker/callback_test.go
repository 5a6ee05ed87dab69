package broker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// A tokenEndpoint stands in for that of the provider; nil asks the real one.
type tokenEndpoint func(form url.Values) (status int, body any)

// RoundTrip implements [http.RoundTripper].
func (e tokenEndpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, err
	}
	status, body := e(form)
	if status == 0 {
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(raw))
		return http.DefaultTransport.RoundTrip(r)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text)), Request: r,
	}, nil
}

// withTokens has a stage whose provider answers its token endpoint so.
func withTokens(e tokenEndpoint) func(*broker.Options) {
	return func(o *broker.Options) { o.HTTP = &http.Client{Transport: e} }
}

// with is a URL with other parameters in its query: pairs of name and value.
func with(to string, changes ...string) string {
	u, err := url.Parse(to)
	if err != nil {
		panic(err)
	}
	u.RawQuery = changed(u.Query(), changes...).Encode()
	return u.String()
}

// Test19Binding has browsers that come back from the provider and are not the one in
// which somebody agreed.
func Test19Binding(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	for _, tt := range []struct {
		name    string
		browser func() *browser
	}{
		{"19 no cookie", s.browser},
		{"19 cookie from before anybody agreed", func() *browser { return s.atConsent(registered) }},
		{"19 cookie of another sign-in", func() *browser {
			b := s.browser()
			b.agreed(s.request(registered))
			return b
		}},
	} {
		s.run(tt.name, func(t *testing.T) {
			back := s.browser().returned(s.request(registered))
			s.fake.ClearJournal()
			tt.browser().get(back).checkPage(t, http.StatusForbidden, "begun in another browser")
			if got := len(s.fake.Requests("token")) + s.storedOf("code"); got != 0 {
				t.Error("the provider's code was redeemed, or there is one for the client")
			}
		})
	}
	s.run("19 the consent's cookie under the other name", func(t *testing.T) {
		b := s.browser()
		back := b.returned(s.request(registered))
		at, err := url.Parse(s.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		cookies := b.http.Jar.Cookies(at)
		i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return strings.Contains(c.Name, "consent") })
		thief := s.browser()
		cookies[i].Name = strings.ReplaceAll(cookies[i].Name, "consent", "signin")
		thief.http.Jar.SetCookies(at, cookies[i:i+1])
		thief.get(back).checkPage(t, http.StatusForbidden, "begun in another browser")
		b.follow(b.get(back)) // for the right one it goes on
	})
}

// Test20State has answers that belong to no sign-in.
func Test20State(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	b := s.browser()
	back := b.returned(s.request(registered))
	state := b.stateOf(back)
	s.fake.ClearJournal()
	for _, tt := range []struct{ name, state string }{
		{"20 no state", ""},
		{"20 the client's state", "a state"},
		{"20 tampered", tampered(state)},
		{"20 longer", state + "A"},
		{"20 id alone", state[:strings.IndexByte(state, '.')]},
	} {
		s.run(tt.name, func(t *testing.T) {
			b.get(with(back, "state", tt.state)).checkPage(t, http.StatusBadRequest, "No sign-in is under way")
		})
	}
	for _, query := range []string{"&state=x", "&code=x", "&error=a&error=b"} {
		s.run("09 twice "+query, func(t *testing.T) {
			b.get(back+query).checkPage(t, http.StatusBadRequest, "more than once")
		})
	}
	b.get(back+"&x="+strings.Repeat("a", 16<<10)).checkPage(t, http.StatusBadRequest, "longer than 16 KiB")
	b.get(back+"&%zz").checkPage(t, http.StatusBadRequest, "cannot be read")
	if len(s.fake.Requests("token")) != 0 || s.storedOf("code") != 0 {
		t.Error("the provider's code was redeemed")
	}
	s.run("20 reused", func(t *testing.T) {
		at, err := url.Parse(s.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		cookies := b.http.Jar.Cookies(at)
		b.follow(b.get(back))
		b.get(back).checkPage(t, http.StatusForbidden, "")
		b.http.Jar.SetCookies(at, cookies)
		b.get(back).checkPage(t, http.StatusBadRequest, "completed already")
		if len(s.fake.Requests("token")) != 1 || s.storedOf("code") != 1 {
			t.Errorf("the provider was asked %d times, and there are %d codes", len(s.fake.Requests("token")), s.storedOf("code"))
		}
	})
	s.run("20 expired", func(t *testing.T) {
		back := b.returned(s.request(registered))
		id, _, _ := strings.Cut(b.stateOf(back), ".")
		if err := s.store.Delete(t.Context(), "login", id); err != nil { // as the store does after 10 min
			t.Fatal(err)
		}
		b.get(back).checkPage(t, http.StatusBadRequest, "No sign-in is under way")
	})
}

func (b *browser) stateOf(back string) string {
	b.Helper()
	u, err := url.Parse(back)
	if err != nil {
		b.Fatal(err)
	}
	return u.Query().Get("state")
}

// Test20AtOnce has a browser come back twice at the same time: one of them counts.
func Test20AtOnce(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	back := b.returned(s.request(s.register()))
	const times = 8
	answers := make(chan int, times)
	for range times {
		go func() { // with a response only, as t must not be failed from here
			resp, err := b.http.Get(back)
			if err != nil {
				answers <- 0
				return
			}
			_ = resp.Body.Close()
			answers <- resp.StatusCode
		}()
	}
	redirected := 0
	for range times {
		if status := <-answers; status == http.StatusFound {
			redirected++
		}
	}
	if redirected != 1 || s.storedOf("code") != 1 || len(s.fake.Requests("token")) != 1 {
		t.Errorf("%d were sent on, with %d codes", redirected, s.storedOf("code"))
	}
}

// Test21ProviderErrors has errors that the person comes back with.
func Test21ProviderErrors(t *testing.T) {
	const withQuery = "http://localhost:3118/callback?session=1"
	s := newStage(t)
	registered := s.register(redirectURI, withQuery)
	for _, tt := range []struct{ name, oauth, want string }{
		{"21 access_denied", "access_denied", "access_denied"},
		{"21 interaction_required", "interaction_required", "interaction_required"},
		{"21 login_required", "login_required", "login_required"},
		{"21 consent_required", "consent_required", "consent_required"},
		{"21 temporarily_unavailable", "temporarily_unavailable", "temporarily_unavailable"},
		{"21 invalid_request", "invalid_request", "server_error"},
		{"21 unauthorized_client", "unauthorized_client", "server_error"},
		{"21 invalid_client", "invalid_client", "server_error"},
		{"21 invalid_scope", "invalid_scope", "server_error"},
		{"21 server_error", "server_error", "server_error"},
		{"21 made up", "<script>\r\nX: y", "server_error"},
	} {
		s.run(tt.name, func(t *testing.T) {
			for _, uri := range []string{redirectURI, withQuery} {
				b := s.browser()
				back := b.returned(s.request(registered, "redirect_uri", uri))
				told := "AADSTS50105: The signed in user 'alice@contoso.example' is blocked.\r\nTrace ID: 0"
				a := b.get(with(back, "code", "", "error", tt.oauth, "error_description", told, "error_uri", "https://evil.example"))
				s.checkError(t, a, uri, "a state", tt.want)
				got := a.location().Query()
				if strings.Contains(got.Get("error_description"), "alice@") || got.Has("error_uri") {
					t.Errorf("the client is told %v", got)
				}
			}
		})
	}
	s.run("21 neither code nor error", func(t *testing.T) {
		b := s.browser()
		back := b.returned(s.request(registered))
		s.checkError(t, b.get(with(back, "code", "")), redirectURI, "a state", "server_error")
	})
	s.run("21 code and error", func(t *testing.T) {
		b := s.browser()
		back := b.returned(s.request(registered))
		s.checkError(t, b.get(with(back, "error", "access_denied")), redirectURI, "a state", "access_denied")
	})
	if len(s.fake.Requests("token")) != 0 || s.storedOf("code") != 0 {
		t.Error("a code was redeemed")
	}
	if strings.Contains(s.log.String(), alice) {
		t.Error("the log has who it was")
	}
}

// Test21Redirect is about an error for a client that may not be answered there any
// more.
func Test21Redirect(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	back := b.returned(s.request(s.register()))
	s.configure(func(o *broker.Options) { o.Redirects.Loopback = false })
	for _, to := range []string{back, with(back, "code", "", "error", "access_denied")} {
		b.get(to).checkPage(t, http.StatusBadRequest, "where this gateway does not send people")
	}
	if len(s.fake.Requests("token")) != 0 || s.storedOf("code") != 0 {
		t.Error("a code was redeemed")
	}
}

// Test22Issuer is about who the answer says that it is from (RFC 9207).
func Test22Issuer(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	for _, iss := range []string{"https://evil.example", s.fake.Issuer("") + "/", strings.ToUpper(s.fake.Issuer("")), s.server.URL, s.fake.IssuerV1("")} {
		s.run("22 "+iss, func(t *testing.T) {
			b := s.browser()
			back := b.returned(s.request(registered))
			b.get(with(back, "iss", iss)).checkPage(t, http.StatusBadRequest, "not from the identity provider")
			b.get(with(back, "iss", iss, "code", "", "error", "access_denied")).checkPage(t, http.StatusBadRequest, "not from the identity provider")
		})
	}
	if len(s.fake.Requests("token")) != 0 || s.storedOf("code") != 0 {
		t.Error("a code was redeemed")
	}
	s.run("22 the provider's own", func(t *testing.T) {
		s.fake.Switch(func(sw *fakeentra.Switches) { sw.EmitIss = true })
		if got := s.browser().signIn(s.request(registered)); got.Get("code") == "" || !slices.Equal(got["iss"], []string{s.server.URL}) {
			t.Errorf("the client gets %v", got)
		}
	})
}

// Test23IDTokens has ID tokens that do not say who the person is.
func Test23IDTokens(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	for _, tt := range []struct {
		name   string
		change func(*fakeentra.TokenRequest)
		good   bool
	}{
		{"23 as it should be", func(*fakeentra.TokenRequest) {}, true},
		{"23 nonce", func(r *fakeentra.TokenRequest) { r.Nonce = "another" }, false},
		{"23 no nonce", func(r *fakeentra.TokenRequest) { r.Remove = []string{"nonce"} }, false},
		{"23 nonce that is no text", func(r *fakeentra.TokenRequest) { r.Claims = map[string]any{"nonce": []string{r.Nonce}} }, false},
		{"23 audience", func(r *fakeentra.TokenRequest) { r.Claims = map[string]any{"aud": "another"} }, false},
		{"23 issued to another client", func(r *fakeentra.TokenRequest) { r.Claims = map[string]any{"azp": "another"} }, false},
		{"23 tenant", func(r *fakeentra.TokenRequest) { r.Claims = map[string]any{"tid": fakeentra.ConsumerTenant} }, false},
		{"23 issuer", func(r *fakeentra.TokenRequest) { r.Claims = map[string]any{"iss": "https://evil.example"} }, false},
		{"23 issuer of another tenant", func(r *fakeentra.TokenRequest) {
			r.Claims = map[string]any{"iss": s.fake.Issuer(fakeentra.ConsumerTenant), "tid": fakeentra.ConsumerTenant}
		}, false},
		{"23 no oid", func(r *fakeentra.TokenRequest) { r.Remove = []string{"oid"} }, false},
		{"23 expired", func(r *fakeentra.TokenRequest) { r.Claims = map[string]any{"exp": time.Now().Add(-time.Hour).Unix()} }, false},
		{"23 signature", func(r *fakeentra.TokenRequest) { r.BadSignature = true }, false},
		{"23 access token", func(r *fakeentra.TokenRequest) {
			r.ID, r.Resource, r.Header = false, r.Client, map[string]any{"typ": "at+jwt"}
		}, false},
		{"23 of a program", func(r *fakeentra.TokenRequest) { r.Claims = map[string]any{"idtyp": "app"} }, false},
		{"23 no ID token", nil, false},
	} {
		s.run(tt.name, func(t *testing.T) {
			var nonce string
			s.configure(withTokens(func(url.Values) (int, any) {
				answer := map[string]any{"token_type": "Bearer", "access_token": "x", "refresh_token": "y"}
				if tt.change == nil {
					return http.StatusOK, answer
				}
				r := fakeentra.TokenRequest{ID: true, User: alice, Client: s.app.ClientID, Nonce: nonce}
				tt.change(&r)
				token, err := s.fake.Token(r)
				if err != nil {
					return http.StatusInternalServerError, err.Error()
				}
				answer["id_token"] = token
				return http.StatusOK, answer
			}))
			b := s.browser()
			back := b.returned(s.request(registered))
			sent := s.fake.Requests("authorize")
			nonce = sent[len(sent)-1].Query.Get("nonce")
			a := b.get(back)
			if tt.good {
				if s.checkSentBack(t, a.location(), redirectURI, "a state").Get("code") == "" {
					t.Errorf("HTTP %d to %s", a.status, a.location())
				}
				return
			}
			s.checkError(t, a, redirectURI, "a state", "access_denied")
			if !strings.Contains(s.log.String(), "level=WARN msg=\"sign-in refused\" endpoint=callback") {
				t.Error("the log does not warn of it")
			}
		})
	}
	if got := s.storedOf("code"); got != 1 {
		t.Errorf("there are %d codes", got)
	}
}

// Test33Provider has a token endpoint that answers nothing of use when somebody
// comes back. The client hears of it, and the person can begin again.
func Test33Provider(t *testing.T) {
	impatient := func(o *broker.Options) {
		o.HTTP = &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 50 * time.Millisecond}}
	}
	s := newStage(t)
	registered := s.register()
	for name, fault := range map[string]fakeentra.Fault{
		"33 HTML":       {Status: http.StatusServiceUnavailable, Body: fakeentra.BodyHTML},
		"33 HTML as OK": {Body: fakeentra.BodyHTML},
		"33 500":        {Status: http.StatusInternalServerError},
		"33 429":        {Status: http.StatusTooManyRequests, RetryAfter: "60"},
		"33 redirect":   {Body: fakeentra.BodyRedirect},
		"33 endless":    {Body: fakeentra.BodyEndless},
		"33 huge":       {Body: fakeentra.BodyHuge},
		"33 cut":        {Body: fakeentra.BodyCut},
		"33 slow":       {Latency: time.Minute},
		"33 trouble":    {Status: http.StatusServiceUnavailable, Body: fakeentra.BodyTransient},
	} {
		s.run(name, func(t *testing.T) {
			if fault.Latency != 0 {
				s.configure(impatient)
				defer s.configure()
			}
			fault.Endpoint = "token"
			s.fake.Fail(fault)
			a := s.lastAnswer(registered)
			s.fake.ClearFaults()
			s.checkError(t, a, redirectURI, "a state", "temporarily_unavailable")
			if got := s.storedOf("code"); got != 0 {
				t.Errorf("there are %d codes", got)
			}
		})
	}
	if got := s.browser().signIn(s.request(registered)); got.Get("code") == "" {
		t.Errorf("once the provider works again, the client gets %v", got)
	}
}

// TestProviderRefuses has errors of the token endpoint.
func TestProviderRefuses(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	for _, tt := range []struct {
		oauth  string
		status int
		want   string
	}{
		{"invalid_grant", http.StatusBadRequest, "access_denied"},
		{"interaction_required", http.StatusBadRequest, "access_denied"},
		{"access_denied", http.StatusBadRequest, "access_denied"},
		{"invalid_client", http.StatusUnauthorized, "temporarily_unavailable"}, // of the gateway, not of the client
		{"unauthorized_client", http.StatusBadRequest, "temporarily_unavailable"},
		{"invalid_scope", http.StatusBadRequest, "temporarily_unavailable"},
		{"invalid_target", http.StatusBadRequest, "temporarily_unavailable"},
	} {
		s.run(tt.oauth, func(t *testing.T) {
			s.configure(withTokens(func(url.Values) (int, any) {
				return tt.status, map[string]any{"error": tt.oauth, "error_description": "AADSTS1: about alice@contoso.example", "error_codes": []int{7000215}}
			}))
			b := s.browser()
			a := b.get(b.returned(s.request(registered)))
			s.checkError(t, a, redirectURI, "a state", tt.want)
			if strings.Contains(a.location().String(), "alice%40") {
				t.Errorf("the client is told %s", a.location())
			}
		})
	}
}

// TestStoreDown is about a store that is gone when somebody agrees or comes back.
func TestStoreDown(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	b := s.browser()
	page := b.authorize(s.request(registered))
	back := b.returned(s.request(registered))
	s.state.Close()
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	deny := b.post(s.server.URL+"/oauth2/consent", changed(page.form(), "answer", "deny"))
	for _, a := range []*answer{b.approve(page), deny, b.get(back)} {
		a.checkPage(t, http.StatusServiceUnavailable, "cannot remember anything at the moment")
		if a.header.Get("Retry-After") == "" {
			t.Error("there is no Retry-After")
		}
	}
}

// someClaims are what a provider wants of the next sign-in.
const someClaims = `{"access_token":{"polids":{"essential":true,"values":["p1"]}}}`

// TestClaimsChallenge is about a provider that finds a sign-in too weak when its code
// is redeemed. No client knows what claims are, so the gateway sends the person back.
func TestClaimsChallenge(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	for _, tt := range []struct {
		name    string
		refused int // how often
		ends    string
	}{
		{"once", 1, ""},
		{"twice", 2, ""},
		{"always", 100, "access_denied"},
	} {
		s.run(tt.name, func(t *testing.T) {
			left := tt.refused
			s.configure(withTokens(func(url.Values) (int, any) {
				if left--; left < 0 {
					return 0, nil
				}
				return http.StatusBadRequest, map[string]any{"error": "interaction_required", "error_codes": []int{50076}, "claims": someClaims}
			}))
			s.fake.ClearJournal()
			b := s.browser()
			got := s.checkSentBack(t, b.follow(b.approve(b.authorize(s.request(registered)))), redirectURI, "a state")
			if got.Get("error") != tt.ends || got.Has("code") != (tt.ends == "") {
				t.Errorf("the client gets %v", got)
			}
			legs := s.fake.Requests("authorize")
			if want := min(tt.refused, 2) + 1; len(legs) != want {
				t.Errorf("the person was sent to the provider %d times, want %d", len(legs), want)
			}
			seen := map[string]bool{}
			for i, leg := range legs {
				if want := map[bool]string{true: "", false: someClaims}[i == 0]; leg.Query.Get("claims") != want {
					t.Errorf("the provider is asked for claims %q, want %q", leg.Query.Get("claims"), want)
				}
				for _, name := range []string{"state", "nonce", "code_challenge"} {
					if seen[leg.Query.Get(name)] {
						t.Errorf("%s is that of the sign-in before", name)
					}
					seen[leg.Query.Get(name)] = true
				}
			}
		})
	}
}

// TestClaimsOfEntra is the same with a policy of the stand-in's, which is content once
// it is asked for what it wants.
func TestClaimsOfEntra(t *testing.T) {
	s := newStage(t)
	s.fake.Switch(func(sw *fakeentra.Switches) { sw.Challenge = someClaims })
	if got := s.browser().signIn(s.request(s.register(), "prompt", "login")); got.Get("code") == "" {
		t.Errorf("the client gets %v", got)
	}
	legs := s.fake.Requests("authorize")
	if len(legs) != 2 || legs[0].Query.Has("claims") || legs[1].Query.Get("claims") != someClaims || legs[1].Query.Get("prompt") != "login" {
		t.Errorf("the provider was asked with %v", legs)
	}
}

// TestChallengedSignInIsTied makes sure that a sign-in that begins anew goes on in the
// browser of the first one alone.
func TestChallengedSignInIsTied(t *testing.T) {
	s := newStage(t)
	s.fake.Switch(func(sw *fakeentra.Switches) { sw.Challenge = someClaims })
	b := s.browser()
	second := b.get(b.returned(s.request(s.register())))
	if second.status != http.StatusFound || len(second.header.Values("Set-Cookie")) != 2 {
		t.Fatalf("HTTP %d %v", second.status, second.header)
	}
	back := b.get(second.header.Get("Location")).header.Get("Location")
	s.browser().get(back).checkPage(t, http.StatusForbidden, "begun in another browser")
	if got := s.checkSentBack(t, b.follow(b.get(back)), redirectURI, "a state"); got.Get("code") == "" {
		t.Errorf("the client gets %v", got)
	}
}

// TestStepUp is about a tool that wants more than the person did: their next sign-in
// has to satisfy it.
func TestStepUp(t *testing.T) {
	s := newStage(t)
	registered, got := s.signedIn()
	weak, _ := s.mcp(got.access)
	if len(weak.Contexts) != 0 {
		t.Fatalf("the caller is %+v", weak)
	}
	session := s.state.Sessions()[0].ID
	if err := s.state.StepUp(t.Context(), &oauth.Caller{ID: weak.ID, Session: session}, "c1"); err != nil {
		t.Fatal(err)
	}
	if _, status := s.mcp(got.access); status != http.StatusUnauthorized {
		t.Errorf("the session goes on: HTTP %d", status)
	}
	s.refresh(registered, got.refresh).refused(t, http.StatusBadRequest, "invalid_grant")
	s.fake.ClearJournal()
	strong, status := s.mcp(s.redeem(registered, s.code(registered)).tokens(t).access)
	if status != http.StatusOK || !slices.Equal(strong.Contexts, []string{"c1"}) {
		t.Errorf("HTTP %d, the caller is %+v", status, strong)
	}
	legs := s.fake.Requests("authorize")
	if len(legs) != 2 || !strings.Contains(legs[1].Query.Get("claims"), `"acrs":{"essential":true,"value":"c1"}`) || legs[1].Query.Get("login_hint") != alice {
		t.Errorf("the provider was asked with %v", legs)
	}
	s.run("the one after is as before", func(t *testing.T) {
		s.fake.ClearJournal()
		s.code(registered)
		if legs := s.fake.Requests("authorize"); len(legs) != 1 || legs[0].Query.Has("claims") {
			t.Errorf("the provider was asked with %v", legs)
		}
	})
}

// TestCustomScheme is about a program that is told by the operating system: a page
// says that it is done.
func TestCustomScheme(t *testing.T) {
	const cursor = "cursor://anysphere.cursor-mcp/oauth/callback"
	s := newStage(t)
	registered := s.register(cursor)
	b := s.browser()
	page := b.authorize(s.request(registered, "redirect_uri", cursor))
	if forms := page.header.Get("Content-Security-Policy"); !strings.HasSuffix(forms, " cursor:") {
		t.Errorf("Content-Security-Policy: %s", forms)
	}
	a := b.get(b.get(b.approve(page).header.Get("Location")).header.Get("Location"))
	if !strings.Contains(a.text(), "Alice Example") {
		t.Errorf("the page says %s", a.text())
	}
	got := s.checkSentBack(t, a.onward(t), cursor, "a state")
	if a := s.redeem(registered, got.Get("code"), "redirect_uri", cursor); a.status != http.StatusOK {
		t.Errorf("HTTP %d %s", a.status, a.body)
	}
	deny := b.authorize(s.request(registered, "redirect_uri", cursor))
	s.checkError(t, b.post(s.server.URL+"/oauth2/consent", changed(deny.form(), "answer", "deny")), cursor, "a state", "access_denied")
}

// TestLog makes sure that nobody who reads the log can go on with a sign-in.
func TestLog(t *testing.T) {
	s := newStage(t)
	const state = "a-state-of-the-client"
	registered := s.register()
	b := s.browser()
	page := b.authorize(s.request(registered, "state", state))
	agreed := b.approve(page)
	back := b.get(agreed.header.Get("Location"))
	code := b.follow(back).Query().Get("code")
	got := s.redeem(registered, code).tokens(t)
	s.redeem(registered, code)
	b.get(back.header.Get("Location"))
	secrets := map[string]string{
		"the state": state, "the code": code, "the provider's code": back.location().Query().Get("code"), "the provider's state": back.location().Query().Get("state"),
		"the access token": got.access, "the refresh token": got.refresh, "the secret": gatewaySecret, "the form's token": page.form().Get("token"), "a name": "Alice Example", "an address": alice,
	}
	for _, a := range []*answer{page, agreed} {
		for _, c := range (&http.Response{Header: a.header}).Cookies() {
			secrets["the cookie "+c.Name] = c.Value
		}
	}
	for what, secret := range secrets {
		if secret == "" || strings.Contains(s.log.String(), secret) {
			t.Errorf("the log has %s (%q)", what, secret)
		}
	}
	if !strings.Contains(s.log.String(), fmt.Sprintf("caller=%q", `User::"`+s.fake.TenantID()+"/"+s.alice.ID+`"`)) {
		t.Errorf("the log does not say who signed in: %s", s.log)
	}
}
