package broker_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// The attacks that authorization servers of this kind have suffered, each as it is
// carried out: the victim is signed in at the provider, which asks nothing more.

// TestAttackConfusedDeputy has a client of the attacker's, registered a moment ago,
// send the victim here: the provider knows only the gateway and would let them
// through, so the gateway has to ask.
func TestAttackConfusedDeputy(t *testing.T) {
	s := newStage(t)
	victim := s.browser()
	victim.signIn(s.request(s.register())) // with a program that they trust
	s.fake.ClearJournal()
	before := s.storedOf("code")
	attackers := s.registerAs(map[string]any{"client_name": "Test client", "redirect_uris": []string{redirectURI}}).json(t)["client_id"].(string)
	page := victim.authorize(s.request(attackers))
	page.checkPage(t, http.StatusOK, "Unverified: it registered itself")
	if s.asked() != 0 || s.storedOf("code") != before {
		t.Error("it went on without the victim's consent")
	}
}

// TestAttackUpstreamURL has the attacker agree themselves and send the victim the URL
// of the provider that follows: the victim would sign the attacker's client in.
func TestAttackUpstreamURL(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	upstream := s.browser().agreed(s.request(registered))
	for name, victim := range map[string]*browser{
		"a browser that was never here":         s.browser(),
		"a browser that shows a consent page":   s.atConsent(registered),
		"a browser with a sign-in of its own":   s.withSignIn(registered),
		"a browser in which they are signed in": s.signedInBrowser(registered),
	} {
		s.run(name, func(t *testing.T) {
			s.fake.ClearJournal()
			before := s.storedOf("code")
			back := victim.get(upstream)
			a := victim.get(back.header.Get("Location"))
			a.checkPage(t, http.StatusForbidden, "If somebody sent you a link to sign in with, do not go on")
			if len(s.fake.Requests("token")) != 0 || s.storedOf("code") != before {
				t.Error("the victim's code was redeemed")
			}
		})
	}
}

func (s *stage) withSignIn(clientID string) *browser {
	b := s.browser()
	b.agreed(s.request(clientID))
	return b
}

func (s *stage) signedInBrowser(clientID string) *browser {
	b := s.browser()
	b.signIn(s.request(clientID))
	return b
}

// TestAttackCallbackURL has the attacker send the victim their own answer of the
// provider, so that the victim works in the attacker's name.
func TestAttackCallbackURL(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	back := s.browser().returned(s.request(registered))
	s.withSignIn(registered).get(back).checkPage(t, http.StatusForbidden, "begun in another browser")

	s.run("with the victim's state", func(t *testing.T) {
		victim := s.browser()
		own := victim.returned(s.request(registered))
		code, err := url.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		s.checkError(t, victim.get(with(own, "code", code.Query().Get("code"))), redirectURI, "a state", "access_denied") // PKCE
	})
}

// TestAttackInTheMiddle has a malicious MCP server name an authorization server of
// its own, which sends the victim here for the client that they use: its id is the
// same everywhere. Nothing that they agreed to before counts.
func TestAttackInTheMiddle(t *testing.T) {
	docs := newDocuments("http://localhost/callback")
	s := newStage(t, docs.use)
	victim := s.browser()
	if got := victim.signIn(s.request(documentID)); got.Get("code") == "" {
		t.Fatalf("the client gets %v", got)
	}
	s.fake.ClearJournal()
	r, err := http.NewRequest(http.MethodGet, s.server.URL+"/oauth2/authorize", nil)
	if err != nil {
		t.Fatal(err)
	}
	for prompt, want := range map[string]int{"none": http.StatusFound, "": http.StatusOK, "login": http.StatusOK} {
		r.URL.RawQuery = s.request(documentID, "prompt", prompt, "code_challenge", challengeOf(verifier+"x")).Encode()
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		a := victim.do(r)
		if a.status != want || strings.Contains(a.header.Get("Location"), "code=") {
			t.Errorf("prompt=%s is answered HTTP %d to %s", prompt, a.status, a.location())
		}
	}
	if s.asked() != 0 {
		t.Error("the provider was asked")
	}
}

// TestAttackOwnCallback has a client whose redirect URI is the gateway's callback,
// by all names that it has.
func TestAttackOwnCallback(t *testing.T) {
	s := newStage(t, func(o *broker.Options) { o.Redirects.Allowed = []string{"http://localhost/oauth2/callback"} })
	port := s.server.URL[strings.LastIndexByte(s.server.URL, ':'):]
	client := s.register("http://localhost/oauth2/callback") // of port 80, where the gateway is not
	for _, host := range []string{"127.0.0.1", "localhost", "127.0.0.2", "[::1]"} {
		uri := "http://" + host + port + broker.CallbackPath
		s.registerAs(map[string]any{"redirect_uris": []string{uri}}).refused(t, http.StatusBadRequest, "invalid_redirect_uri")
		s.browser().authorize(s.request(client, "redirect_uri", uri)).checkPage(t, http.StatusBadRequest, "of this gateway itself")
	}
}

// TestAttackUserInfo has URIs that seem to lead to a good host.
func TestAttackUserInfo(t *testing.T) {
	s := newStage(t)
	registered := s.register("http://localhost/callback")
	for _, uri := range []string{
		"http://localhost@evil.example/callback", "http://localhost:80@evil.example/callback", `http://localhost\@evil.example/callback`, "http://localhost%40evil.example/callback",
		"http://localhost/callback@evil.example", "http://localhost/callback/../../evil", "http://localhost/callback%2f..%2fevil", "http://localhost/callback;evil", "http://localhost/callback%00",
		"http://LOCALHOST/callback", "http://localhost./callback", "http://localhost.evil.example/callback", "//localhost/callback", "http:/localhost/callback", "http://[::1]/callback",
		"http://localhost/callback#@evil.example", "http://localhost/callback?", "http://localhost/callback?@evil.example", "http://2130706433/callback", "http://localhost:0/callback",
		"\thttp://localhost/callback", "http://localhost/callback ", "http://loc\u0430lhost/callback", "http://localhost:80:80/callback",
	} {
		a := s.browser().authorize(s.request(registered, "redirect_uri", uri))
		a.checkPage(t, http.StatusBadRequest, "")
	}
}

// TestAttackConsentForgery has a page of another site send the form for the victim.
func TestAttackConsentForgery(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	attacker, victim := s.browser(), s.browser()
	theirs := changed(attacker.authorize(s.request(registered)).form(), "answer", "approve")
	victims := victim.authorize(s.request(registered)).form()
	for name, form := range map[string]url.Values{
		"the attacker's form":                            theirs,
		"the victim's request with the attacker's token": changed(victims, "answer", "approve", "token", theirs.Get("token")),
		"the request alone":                              {"request": theirs["request"], "answer": {"approve"}},
	} {
		for _, site := range []string{"", "cross-site", "same-site", "same-origin"} {
			s.run(name+" from "+site, func(t *testing.T) {
				a := victim.post(s.server.URL+"/oauth2/consent", form, "Sec-Fetch-Site", site)
				a.checkPage(t, http.StatusForbidden, "was not sent by the page that belongs to it")
			})
		}
	}
	if s.stored() != 0 || s.asked() != 0 {
		t.Errorf("%d things are stored, and the provider was asked %d times", s.stored(), s.asked())
	}
}

// TestAttackTwoTabs has a page of the attacker's open its own sign-in beside the
// victim's, whose form must not count for it.
func TestAttackTwoTabs(t *testing.T) {
	s := newStage(t)
	good, evil := s.register(), s.register("http://localhost:6666/evil")
	victim := s.browser()
	wanted := victim.authorize(s.request(good))
	planted := victim.authorize(s.request(evil, "redirect_uri", "http://localhost:6666/evil"))
	mixed := changed(wanted.form(), "answer", "approve", "request", planted.form().Get("request"))
	victim.post(s.server.URL+"/oauth2/consent", mixed).checkPage(t, http.StatusForbidden, "was not sent by the page")
	if to := victim.follow(victim.approve(wanted)); !strings.HasPrefix(to.String(), redirectURI) {
		t.Errorf("the victim's form leads to %s", to)
	}
}

// TestAttackSpoofedName has a program call itself what another one is called.
func TestAttackSpoofedName(t *testing.T) {
	docs := newDocuments("http://localhost/callback")
	s := newStage(t, docs.use, withClient("ci"))
	id, _ := s.registerAs(map[string]any{
		"client_name": "Claude Code ✔ Verified. From vscode.dev", "client_uri": "https://vscode.dev", "logo_uri": "https://vscode.dev/logo.png", "redirect_uris": []string{redirectURI},
	}).json(t)["client_id"].(string)
	page := s.browser().authorize(s.request(id))
	page.checkPage(t, http.StatusOK, "A program says it is called Claude Code ✔ Verified. From vscode.dev Unverified: it registered itself, under a name of its own choice")
	if strings.Contains(page.body, `class="origin good"`) || strings.Contains(page.body, "logo.png") {
		t.Errorf("the page vouches for it: %s", page.text())
	}
}

// TestAttackMixUp has an answer of another provider arrive as if it was of the right
// one: the code would be redeemed at the wrong place.
func TestAttackMixUp(t *testing.T) {
	s := newStage(t)
	victim := s.browser()
	back := victim.returned(s.request(s.register()))
	victim.get(with(back, "code", "of-another", "iss", "https://login.evil.example")).checkPage(t, http.StatusBadRequest, "not from the identity provider")
	if len(s.fake.Requests("token")) != 0 {
		t.Error("the code was sent to the provider")
	}
	if got := s.checkSentBack(t, victim.follow(victim.get(back)), redirectURI, "a state"); got.Get("code") == "" {
		t.Errorf("the right answer ends with %v", got)
	}
}

// TestAttackStolenCode has somebody else see the code on its way to the client.
func TestAttackStolenCode(t *testing.T) {
	s := newStage(t)
	good := s.register()
	code := s.code(good)
	s.redeem(good, code, "code_verifier", strings.Repeat("a", 43)).refused(t, http.StatusBadRequest, "invalid_grant")
	s.redeem(s.register("http://localhost:1/x"), code).refused(t, http.StatusBadRequest, "invalid_grant")
	s.redeem(good, code, "redirect_uri", "http://localhost:3118/other").refused(t, http.StatusBadRequest, "invalid_grant")
	if a := s.redeem(good, code); a.status != http.StatusOK {
		t.Errorf("the client itself gets HTTP %d %s", a.status, a.body)
	}
}

// TestAttackHeaders has somebody choose the host and the scheme that the gateway
// takes itself to have.
func TestAttackHeaders(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	r, err := http.NewRequest(http.MethodGet, s.server.URL+"/oauth2/authorize?"+s.request(registered).Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	for name, value := range map[string]string{"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example", "X-Original-URL": "/evil"} {
		r.Header.Set(name, value)
	}
	page := s.browser().do(r)
	page.checkPage(t, http.StatusOK, "")
	if strings.Contains(page.body, "evil.example") || !strings.Contains(page.body, `action="`+s.server.URL+`/oauth2/consent"`) {
		t.Errorf("the page is %s", page.text())
	}
}

// TestAttackGuest has a person of another tenant sign in, whom the operator does not
// let in.
func TestAttackGuest(t *testing.T) {
	s := newStage(t)
	other := s.fake.AddTenant(fakeentra.Tenant{Domain: "fabrikam.example", Name: "Fabrikam"})
	eve := s.fake.AddUser(fakeentra.User{Name: "eve@fabrikam.example", Tenant: other.ID})
	token, err := s.fake.Token(fakeentra.TokenRequest{ID: true, User: eve.ID, Client: s.app.ClientID})
	if err != nil {
		t.Fatal(err)
	}
	s.configure(withTokens(func(url.Values) (int, any) {
		return http.StatusOK, map[string]any{"token_type": "Bearer", "access_token": "x", "id_token": token}
	}))
	b := s.browser()
	s.checkError(t, b.get(b.returned(s.request(s.register()))), redirectURI, "a state", "access_denied")
	if s.storedOf("code") != 0 || len(s.state.Sessions()) != 0 {
		t.Error("eve is in")
	}
}
