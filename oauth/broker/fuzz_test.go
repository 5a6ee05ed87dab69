package broker_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// strangers count who has asked, so that each has an address of its own and nobody
// is told to come back later.
type strangers struct {
	*stage
	n atomic.Int64
}

// serve has the gateway answer without a connection.
func (s *strangers) serve(r *http.Request) *httptest.ResponseRecorder {
	n := s.n.Add(1)
	r.RemoteAddr = "10." + strconv.FormatInt(n>>16&255, 10) + "." + strconv.FormatInt(n>>8&255, 10) + "." + strconv.FormatInt(n&255, 10) + ":1"
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s *strangers) get(path, query string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.URL.RawQuery = query
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return s.serve(r)
}

func (s *strangers) post(path, contentType, body string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return s.serve(r)
}

const formType = "application/x-www-form-urlencoded"

// consentPage is one that somebody sees, and the cookie that they get with it.
func (s *strangers) consentPage(query string) (form url.Values, cookies []*http.Cookie) {
	w := s.get("/oauth2/authorize", query)
	return (&answer{body: w.Body.String()}).form(), w.Result().Cookies()
}

// checkPageOnly makes sure that an answer is a page that leads nowhere.
func checkPageOnly(t *testing.T, w *httptest.ResponseRecorder, statuses ...int) {
	t.Helper()
	h := w.Header()
	if !slices.Contains(statuses, w.Code) || h.Get("Location") != "" || h.Get("Refresh") != "" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("it is answered HTTP %d, %v", w.Code, h)
	}
}

// checkAnswer makes sure that an error is sent to a redirect URI as it should be.
func (s *strangers) checkAnswer(t *testing.T, w *httptest.ResponseRecorder, uri, state string) {
	t.Helper()
	location := w.Header().Get("Location")
	to, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(location, uri) || strings.ContainsFunc(location, func(r rune) bool { return r <= ' ' || r > '~' }) {
		t.Fatalf("it leads to %q: %v", location, err)
	}
	got := to.Query()
	if !slices.Equal(got["iss"], []string{s.server.URL}) || got.Get("state") != state || len(got["error"]) != 1 || got.Has("code") {
		t.Fatalf("the client is told %v", got)
	}
}

// FuzzAuthorize looks for a request that leads to anything but a page or a redirect
// URI that the client has registered, or that leaves anything behind.
func FuzzAuthorize(f *testing.F) {
	s := &strangers{stage: newStage(f)}
	uris := []string{redirectURI, cursorURI, "http://127.0.0.1/cb?session=1"}
	id := s.register(uris...)
	v := s.request("CLIENT")
	f.Add(v.Encode())
	f.Add(changed(maps.Clone(v), "redirect_uri", cursorURI, "prompt", "none login", "code_challenge", "").Encode())
	f.Add(changed(maps.Clone(v), "redirect_uri", "http://127.0.0.1:1/cb?session=1", "response_type", "token", "state", "\r\n\"<é").Encode())
	f.Add("client_id=CLIENT&redirect_uri=http://localhost:1/callback&state=%0d%0a&client_id=x;y&iss=x")
	f.Add("client_id=CLIENT&redirect_uri=http://localhost:3118/callback&state=%ff&redirect_uri=//evil")
	rules := s.opts.Redirects
	f.Fuzz(func(t *testing.T, query string) {
		query = strings.ReplaceAll(query, "CLIENT", id)
		w := s.get("/oauth2/authorize", query)
		asked, err := url.ParseQuery(query)
		switch w.Code {
		case http.StatusBadRequest:
			checkPageOnly(t, w, http.StatusBadRequest)
		case http.StatusOK:
			checkPageOnly(t, w, http.StatusOK)
			fallthrough
		case http.StatusFound:
			uri := asked.Get("redirect_uri")
			registered := slices.ContainsFunc(uris, func(one string) bool { return redirect.Match(one, uri) })
			if err != nil || asked.Get("client_id") != id || len(asked["redirect_uri"]) != 1 || len(asked["client_id"]) != 1 || !registered || rules.Check(uri) != nil {
				t.Fatalf("%q is answered HTTP %d to %q", query, w.Code, w.Header().Get("Location"))
			}
			if w.Code == http.StatusFound {
				s.checkAnswer(t, w, uri, asked.Get("state"))
			}
		default:
			t.Fatalf("%q is answered HTTP %d", query, w.Code)
		}
		if set := w.Result().Cookies(); (w.Code == http.StatusOK) != (len(set) == 1) {
			t.Fatalf("%q sets %v", query, set)
		}
		if got := len(s.fake.Requests("authorize")); got != 0 {
			t.Fatalf("%q reaches the provider", query)
		}
	})
}

// FuzzConsent looks for a form that counts and is not the one that was shown.
func FuzzConsent(f *testing.F) {
	s := &strangers{stage: newStage(f)}
	id := s.register()
	form, cookies := s.consentPage(s.request(id).Encode())
	other, _ := s.consentPage(s.request(id).Encode())
	f.Add("request=REQUEST&token=TOKEN&answer=approve", true)
	f.Add("request=REQUEST&token=TOKEN&answer=deny", true)
	f.Add("request=REQUEST&token=TOKEN&answer=approve", false)
	f.Add("request=OTHER&token=TOKEN&answer=approve", true)
	f.Add("request=REQUEST&token=TOKEN&answer=approve&answer=deny&%zz", true)
	f.Fuzz(func(t *testing.T, body string, withCookie bool) {
		body = strings.NewReplacer("REQUEST", form.Get("request"), "TOKEN", form.Get("token"), "OTHER", other.Get("request")).Replace(body)
		var sent []*http.Cookie
		if withCookie {
			sent = cookies
		}
		w := s.post("/oauth2/consent", formType, body, sent...)
		if w.Code != http.StatusSeeOther {
			checkPageOnly(t, w, http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge)
			return
		}
		got, err := url.ParseQuery(body)
		if err != nil || !withCookie || !slices.Equal(got["request"], form["request"]) || !slices.Equal(got["token"], form["token"]) || len(got["answer"]) > 1 {
			t.Fatalf("%q counts", body)
		}
		if got.Get("answer") != "approve" {
			s.checkAnswer(t, w, redirectURI, "a state")
		} else if !strings.HasPrefix(w.Header().Get("Location"), s.fake.URL()+"/") {
			t.Fatalf("%q leads to %q", body, w.Header().Get("Location"))
		}
	})
}

// FuzzCallback looks for an answer that is taken for the provider's, or leads to
// anywhere but the client. The provider redeems no code, so that none may come of it.
func FuzzCallback(f *testing.F) {
	redeemed := 0
	s := &strangers{stage: newStage(f, withTokens(func(url.Values) (int, any) {
		redeemed++
		return http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": "\r\n<b>no</b>"}
	}))}
	id := s.register()
	f.Add("state=STATE&code=a-code", true)
	f.Add("state=STATE&code=a-code", false)
	f.Add("state=STATE&error=access_denied&error_description=AADSTS65004%3A+x%0d%0a", true)
	f.Add("state=STATE&error=%0d%0a%22&iss=ISSUER&code=a", true)
	f.Add("state=STATE&iss=https://evil.example&code=a", true)
	f.Add("state=STATE&state=x&code=a", true)
	f.Fuzz(func(t *testing.T, query string, withCookie bool) {
		s.state.AbandonSignIns() // of which there would soon be too many
		form, cookies := s.consentPage(s.request(id).Encode())
		agreed := s.post("/oauth2/consent", formType, changed(form, "answer", "approve").Encode(), cookies...)
		upstream, err := url.Parse(agreed.Header().Get("Location"))
		if err != nil || agreed.Code != http.StatusSeeOther {
			t.Fatalf("HTTP %d, %v", agreed.Code, err)
		}
		state := upstream.Query().Get("state")
		query = strings.NewReplacer("STATE", state, "ISSUER", s.fake.Issuer("")).Replace(query)
		if withCookie {
			cookies = append(cookies, agreed.Result().Cookies()...)
		}
		redeemed = 0
		w := s.get("/oauth2/callback", query, cookies...)
		if w.Code != http.StatusFound {
			checkPageOnly(t, w, http.StatusBadRequest, http.StatusForbidden)
			if redeemed != 0 {
				t.Fatalf("%q has a code redeemed", query)
			}
			return
		}
		s.checkAnswer(t, w, redirectURI, "a state")
		got, err := url.ParseQuery(query)
		if err != nil || !withCookie || !slices.Equal(got["state"], []string{state}) || len(got["iss"]) > 1 || got.Get("iss") != "" && got.Get("iss") != s.fake.Issuer("") {
			t.Fatalf("%q counts", query)
		}
		if again := s.get("/oauth2/callback", query, cookies...); again.Code != http.StatusBadRequest {
			t.Fatalf("%q counts twice", query)
		}
	})
}

// FuzzRegister looks for a registration with a redirect URI that is not allowed, or an
// id that does not hold what was registered.
func FuzzRegister(f *testing.F) {
	s := &strangers{stage: newStage(f)}
	f.Add(`{"client_name":"Claude Code (gw)","redirect_uris":["http://localhost:3118/callback"],"grant_types":["authorization_code"]}`)
	f.Add(`{"redirect_uris":["http://localhost:3118/callback","javascript:x"],"x":[{"a":1}]}`)
	f.Add(`{"redirect_uris":["http://localhost/","http://\u006cocalhost@evil.example"],"client_name":"\u202e<b>"}`)
	f.Fuzz(func(t *testing.T, body string) {
		w := s.post("/register", "application/json", body)
		var got struct {
			ClientID     string   `json:"client_id"`
			RedirectURIs []string `json:"redirect_uris"`
			Error        string   `json:"error"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%q is answered %s: %v", body, w.Body, err)
		}
		if w.Code != http.StatusCreated {
			if got.Error == "" || got.ClientID != "" {
				t.Fatalf("%q is answered HTTP %d with %s", body, w.Code, w.Body)
			}
			return
		}
		var asked struct {
			RedirectURIs []string `json:"redirect_uris"`
		}
		if err := jsonv2.Unmarshal([]byte(body), &asked); err != nil || !slices.Equal(asked.RedirectURIs, got.RedirectURIs) || len(got.RedirectURIs) == 0 {
			t.Fatalf("%q is answered %s", body, w.Body)
		}
		for _, uri := range got.RedirectURIs {
			if err := s.opts.Redirects.Check(uri); err != nil {
				t.Fatalf("%s %v, and is registered", uri, err)
			}
			if page := s.get("/oauth2/authorize", s.request(got.ClientID, "redirect_uri", uri).Encode()); page.Code != http.StatusOK {
				t.Fatalf("%q cannot be used: HTTP %d", uri, page.Code)
			}
		}
	})
}

// FuzzClientID looks for a client id that was not given out and counts, or has
// something fetched that is no https URL.
func FuzzClientID(f *testing.F) {
	docs := newDocuments("http://localhost/callback")
	s := &strangers{stage: newStage(f, docs.use, withClient("ci"))}
	id := s.register()
	s.consentPage(s.request(documentID).Encode()) // while documents are still fetched: there may be too many later
	for _, seed := range []string{"CLIENT", "ci", documentID, documentID + "#", "https://app.example.com/%6fauth/client.json", "mcpagg.", "mcpagg.e30.x", "https://127.0.0.1/a", "https:app.example.com/x", "CLIENT.x"} {
		f.Add(seed)
	}
	body, mac, _ := strings.Cut(id, ".")
	f.Add(body + "." + mac + "=")
	f.Fuzz(func(t *testing.T, clientID string) {
		clientID = strings.ReplaceAll(clientID, "CLIENT", id)
		before := docs.count()
		w := s.get("/oauth2/authorize", s.request("x", "client_id", clientID).Encode())
		checkPageOnly(t, w, http.StatusOK, http.StatusBadRequest, http.StatusServiceUnavailable)
		if known := clientID == id || clientID == "ci" || clientID == documentID; known != (w.Code == http.StatusOK) {
			t.Fatalf("%q is answered HTTP %d", clientID, w.Code)
		}
		if docs.count() != before && !strings.HasPrefix(clientID, "https://") {
			t.Fatalf("%q is fetched", clientID)
		}
		w = s.post("/token", formType, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_id": {clientID}}.Encode())
		if w.Code == http.StatusOK || w.Header().Get("Cache-Control") != "no-store" || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%q is answered HTTP %d %s", clientID, w.Code, w.Body)
		}
	})
}
