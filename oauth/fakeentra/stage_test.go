package fakeentra_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// A stage is a stand-in with an API, a client and a person, and a browser.
type stage struct {
	*fakeentra.Server
	t       *testing.T
	api     fakeentra.App
	client  fakeentra.App
	alice   fakeentra.User
	browser *http.Client // follows no redirects
}

const (
	callback = "http://localhost/callback"
	verifier = "a-verifier-that-is-long-enough-for-everybody-here"
)

func newStage(t *testing.T) *stage {
	t.Helper()
	fake, err := fakeentra.Open(fakeentra.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	s := &stage{Server: fake, t: t}
	s.client = fake.AddApp(fakeentra.App{Name: "client", Redirects: []fakeentra.Redirect{{URI: callback}}})
	s.api = fake.AddApp(fakeentra.App{
		Name: "api", TokenVersion: 2, Scopes: []string{"mcp.access", "mcp.admin"}, AppRoles: []string{"Mcp.Agent"},
		Preauthorized: []string{s.client.ClientID}, AccessTokenGroups: true,
	})
	platform := fake.AddGroup(fakeentra.Group{Name: "platform"})
	s.alice = fake.AddUser(fakeentra.User{
		Name: "alice@contoso.example", DisplayName: "Alice Young", Groups: []string{platform.ID},
		Roles: map[string][]string{s.api.ClientID: {"Mcp.Admin"}},
	})
	s.newBrowser()
	return s
}

// newBrowser is one in which nobody is signed in.
func (s *stage) newBrowser() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// scope is a qualified scope of the API.
func (s *stage) scope(name string) string { return "api://" + s.api.ClientID + "/" + name }

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// query is that of an authorization request which succeeds; changes replace
// parameters or, if they are "-", take them away.
func (s *stage) query(changes map[string]string) url.Values {
	all := map[string]string{
		"client_id": s.client.ClientID, "response_type": "code", "redirect_uri": "http://localhost:5123/callback", "state": "a state",
		"scope": s.scope("mcp.access") + " openid offline_access", "nonce": "n", "code_challenge": challenge(verifier), "code_challenge_method": "S256",
	}
	maps.Copy(all, changes)
	v := url.Values{}
	for name, value := range all {
		if value != "-" {
			v.Set(name, value)
		}
	}
	return v
}

// An answer is what came, and where it leads.
type answer struct {
	status   int
	header   http.Header
	body     string
	location *url.URL // nil without one
}

// param is a parameter of the redirect.
func (a answer) param(name string) string {
	if a.location == nil {
		return ""
	}
	if v := a.location.Query().Get(name); v != "" {
		return v
	}
	v, _ := url.ParseQuery(a.location.Fragment)
	return v.Get(name)
}

// code is the AADSTS code of an answer, wherever it is.
func (a answer) code() string {
	text := a.body
	if a.location != nil {
		text = a.param("error_description")
	}
	if m := regexp.MustCompile(`AADSTS(\d+)`).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

func (s *stage) do(r *http.Request, err error) answer {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.browser.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
	if l := resp.Header.Get("Location"); l != "" {
		if a.location, err = url.Parse(l); err != nil {
			s.t.Fatal(err)
		}
	}
	return a
}

func (s *stage) get(url string) answer {
	s.t.Helper()
	return s.do(http.NewRequest(http.MethodGet, url, nil))
}

func (s *stage) post(url string, form url.Values) answer {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(form.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return s.do(r, err)
}

func (s *stage) endpoint(name string) string {
	return s.URL() + "/" + s.TenantID() + "/oauth2/v2.0/" + name
}

func (s *stage) authorize(changes map[string]string) answer {
	s.t.Helper()
	return s.get(s.endpoint("authorize") + "?" + s.query(changes).Encode())
}

// submit sends the first form of a page, with the fields of a person.
func (s *stage) submit(page answer, fields map[string]string) answer {
	s.t.Helper()
	action := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(page.body)
	flow := regexp.MustCompile(`name="flow" value="([^"]*)"`).FindStringSubmatch(page.body)
	if action == nil || flow == nil {
		s.t.Fatalf("there is no form on the page (%d):\n%s", page.status, page.body)
	}
	form := url.Values{"flow": {flow[1]}}
	for name, value := range fields {
		form.Set(name, value)
	}
	return s.post(s.URL()+action[1], form)
}

// signIn goes through the pages as alice, and returns the last answer.
func (s *stage) signIn(changes map[string]string) answer {
	s.t.Helper()
	a := s.authorize(changes)
	if a.status != http.StatusOK {
		return a
	}
	a = s.submit(a, map[string]string{"login": s.alice.Name})
	return s.submit(a, map[string]string{"login": s.alice.Name, "passwd": "anything"})
}

// code signs in and returns a code.
func (s *stage) code(changes map[string]string) string {
	s.t.Helper()
	a := s.signIn(changes)
	code := a.param("code")
	if code == "" {
		s.t.Fatalf("there is no code in %d %v\n%s", a.status, a.location, a.body)
	}
	return code
}

// tokens are the body of a success or an error.
type tokens struct {
	answer
	TokenType        string `json:"token_type"`
	Scope            string `json:"scope"`
	ExpiresIn        int    `json:"expires_in"`
	AccessToken      string `json:"access_token"`
	RefreshToken     string `json:"refresh_token"`
	IDToken          string `json:"id_token"`
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description"`
	ErrorCodes       []int  `json:"error_codes"`
	Suberror         string `json:"suberror"`
	Claims           string `json:"claims"`
}

func (s *stage) token(form url.Values, header ...string) tokens {
	s.t.Helper()
	return s.tokenAt(s.endpoint("token"), form, header...)
}

func (s *stage) tokenAt(endpoint string, form url.Values, header ...string) tokens {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	got := tokens{answer: s.do(r, nil)}
	if err := json.Unmarshal([]byte(got.body), &got); err != nil {
		s.t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	return got
}

// redeem is the form that redeems a code.
func (s *stage) redeem(code string, changes map[string]string) url.Values {
	all := map[string]string{
		"grant_type": "authorization_code", "client_id": s.client.ClientID, "code": code,
		"redirect_uri": "http://localhost:5123/callback", "code_verifier": verifier,
	}
	return form(all, changes)
}

// renew is the form that uses a refresh token.
func (s *stage) renew(token string, changes map[string]string) url.Values {
	return form(map[string]string{"grant_type": "refresh_token", "client_id": s.client.ClientID, "refresh_token": token}, changes)
}

func form(all, changes map[string]string) url.Values {
	maps.Copy(all, changes)
	v := url.Values{}
	for name, value := range all {
		if value != "-" {
			v.Set(name, value)
		}
	}
	return v
}

// claimsOf reads a token without verifying it.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	return part(t, token, 1)
}

func headerOf(t *testing.T, token string) map[string]any {
	t.Helper()
	return part(t, token, 0)
}

func part(t *testing.T, token string, i int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
