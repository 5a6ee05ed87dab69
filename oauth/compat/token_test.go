package compat_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/oauth/compat"
)

const apiID = "aaaaaaaa-0000-4000-8000-000000000000"

// inAnHour is when a token ends that lasts an hour from the stage's clock on.
var inAnHour = time.Date(2026, 11, 27, 19, 0, 0, 0, time.UTC).Unix()

var (
	accessToken = mint(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "1"}, map[string]any{"aud": apiID, "exp": inAnHour, "scp": "mcp.access"})
	idToken     = mint(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "1"}, map[string]any{"aud": clientID, "exp": inAnHour - 600, "oid": "x"})
	graphToken  = mint(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "1", "nonce": "n"}, map[string]any{"aud": "00000003-0000-0000-c000-000000000000", "exp": inAnHour})
)

// entraGives are the members of a whole answer of Entra, but for changes.
func entraGives(changes map[string]any) map[string]any {
	members := map[string]any{
		"token_type": "Bearer", "scope": apiScope + " openid profile", "expires_in": 4000, "ext_expires_in": 4000,
		"access_token": accessToken, "refresh_token": "next-refresh-token", "id_token": idToken, "client_info": "x",
	}
	for name, value := range changes {
		members[name] = value
		if value == nil {
			delete(members, name)
		}
	}
	return members
}

func idTokens(o *compat.Options) { o.IDToken = true }

func TestCodeIsRedeemed(t *testing.T) {
	s := newStage(t, gives(entraGives(nil)))
	r := s.token(codeForm())
	want := map[string]any{"access_token": accessToken, "token_type": "Bearer", "expires_in": 3600.0, "refresh_token": "next-refresh-token", "scope": "mcp.access"}
	if diff := cmp.Diff(want, r.json(t)); diff != "" || r.status != http.StatusOK {
		t.Errorf("HTTP %d, answer (-want +got):\n%s", r.status, diff)
	}
	if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", r.header)
	}
	req := s.onlyRequest()
	if req.URL.Path != "/"+tenant+"/oauth2/v2.0/token" || req.URL.RawQuery != "" {
		t.Errorf("Entra was asked at %s", req.URL)
	}
	wantForm := url.Values{
		"client_id": {clientID}, "grant_type": {"authorization_code"}, "code": {"the-code"}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	}
	if diff := cmp.Diff(wantForm, req.PostForm); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
}

func TestRefreshTokenIsRedeemed(t *testing.T) {
	s := newStage(t, gives(entraGives(nil)))
	r := s.do(http.MethodPost, "/token", refreshForm("scope", "mcp.access offline_access", "resource", publicURL).Encode(), "Content-Type", formType+"; charset=UTF-8")
	if got := r.json(t)["refresh_token"]; got != "next-refresh-token" {
		t.Errorf("refresh token %v", got)
	}
	want := url.Values{"client_id": {clientID}, "grant_type": {"refresh_token"}, "refresh_token": {"the-refresh-token"}, "scope": {upstreamScope}}
	if diff := cmp.Diff(want, s.onlyRequest().PostForm); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
}

func TestScopesOfTokenRequests(t *testing.T) {
	all := apiScope + " " + readScope + " openid profile offline_access"
	for _, tt := range []struct {
		name string
		form url.Values
		want string
	}{
		{"code", codeForm(), ""},
		{"code with scopes", codeForm("scope", "mcp.access offline_access"), upstreamScope},
		{"refresh", refreshForm(), all},
		{"refresh with scopes", refreshForm("scope", "mcp.access"), upstreamScope},
		{"refresh with unknown scopes", refreshForm("scope", "User.Read offline_access"), all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, gives(entraGives(nil)))
			s.token(tt.form)
			if got := s.onlyRequest().PostForm.Get("scope"); got != tt.want {
				t.Errorf("Entra is asked for %q, want %q", got, tt.want)
			}
		})
	}
}

func Test30OtherGrants(t *testing.T) {
	s := newStage(t, never(t))
	for _, grant := range []string{"client_credentials", "password", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange", "Authorization_Code", "implicit"} {
		s.wantError(s.token(codeForm("grant_type", grant, "username", "ada", "password", "secret", "assertion", "ey")), http.StatusBadRequest, "unsupported_grant_type", "is not supported")
	}
	s.wantError(s.token(codeForm("grant_type", "")), http.StatusBadRequest, "invalid_request", "grant_type is missing")
}

func Test31ForeignParameters(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		s := newStage(t, never(t))
		for _, tt := range []struct {
			form   url.Values
			header []string
			status int
			oauth  string
			says   string
		}{
			{codeForm("client_secret", "s3cr3t"), nil, 400, "invalid_request", "client_secret was sent"},
			{codeForm("client_assertion", "ey"), nil, 400, "invalid_request", "client_assertion was sent"},
			{codeForm("client_assertion_type", "x"), nil, 400, "invalid_request", "client_assertion_type was sent"},
			{codeForm(), []string{"Authorization", "Basic eDp5"}, 400, "invalid_request", "Authorization was sent"},
			{codeForm("client_id", "11111111-0000-4000-8000-000000000000"), nil, 401, "invalid_client", "is not registered"},
			{codeForm("client_id", ""), nil, 400, "invalid_request", "client_id is missing"},
			{codeForm("resource", "https://other.example"), nil, 400, "invalid_target", "is not this gateway"},
			{codeForm("code", ""), nil, 400, "invalid_request", "code is missing"},
			{codeForm("redirect_uri", ""), nil, 400, "invalid_request", "redirect_uri is missing"},
			{codeForm("redirect_uri", "https://evil.example/"), nil, 400, "invalid_grant", "is not one"},
			{codeForm("code_verifier", ""), nil, 400, "invalid_request", "code_verifier is missing"},
			{codeForm("code_verifier", "short"), nil, 400, "invalid_grant", "code_verifier is not one"},
			{codeForm("code_verifier", strings.Repeat("a", 129)), nil, 400, "invalid_grant", "code_verifier is not one"},
			{codeForm("code_verifier", strings.Repeat("ä", 50)), nil, 400, "invalid_grant", "code_verifier is not one"},
			{refreshForm("refresh_token", ""), nil, 400, "invalid_request", "refresh_token is missing"},
		} {
			s.wantError(s.token(tt.form, tt.header...), tt.status, tt.oauth, tt.says)
		}
	})
	t.Run("dropped", func(t *testing.T) {
		s := newStage(t, gives(entraGives(nil)))
		form := refreshForm("resource", publicURL+"/mcp", "claims", "{}", "requested_token_use", "on_behalf_of", "assertion", "ey", "tenant", "x", "code", "c", "username", "ada")
		form.Set("client_secret", "") // as good as absent
		if r := s.token(form); r.status != http.StatusOK {
			t.Errorf("HTTP %d: %s", r.status, r.body)
		}
		if form := s.onlyRequest().PostForm; len(form) != 4 {
			t.Errorf("Entra got %v", form)
		}
	})
}

func Test32OtherBodies(t *testing.T) {
	s := newStage(t, never(t))
	form := codeForm().Encode()
	for _, tt := range []struct {
		name, method, contentType, body string
		status                          int
	}{
		{"JSON", "POST", "application/json", `{"grant_type":"refresh_token"}`, http.StatusUnsupportedMediaType},
		{"multipart", "POST", "multipart/form-data; boundary=x", "--x--", http.StatusUnsupportedMediaType},
		{"no type", "POST", "", form, http.StatusUnsupportedMediaType},
		{"large", "POST", formType, form + "&x=" + strings.Repeat("a", 16<<10), http.StatusRequestEntityTooLarge},
		{"twice", "POST", formType, form + "&code=other", http.StatusBadRequest},
		{"twice, of no use", "POST", formType, form + "&x=&x=", http.StatusBadRequest},
		{"no form", "POST", formType, "a;b", http.StatusBadRequest},
		{"empty", "POST", formType, "", http.StatusBadRequest},
		{"GET", "GET", formType, "", http.StatusMethodNotAllowed},
		{"PUT", "PUT", formType, form, http.StatusMethodNotAllowed},
	} {
		r := s.do(tt.method, "/oauth2/token", tt.body, "Content-Type", tt.contentType)
		if r.status != tt.status || r.json(t)["error"] != "invalid_request" {
			t.Errorf("%s: HTTP %d with %s, want %d", tt.name, r.status, r.body, tt.status)
		}
	}
	if r := s.do(http.MethodPost, "/oauth2/token?"+form, "", "Content-Type", formType); r.status != http.StatusBadRequest {
		t.Errorf("in the query: HTTP %d with %s", r.status, r.body)
	}
}

func Test33TroubleAtEntra(t *testing.T) {
	bomb := func() []byte {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(bytes.Repeat([]byte(" "), 8<<20))
		_ = z.Close()
		return packed.Bytes()
	}()
	write := func(status int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, tt := range []struct {
		name  string
		entra http.HandlerFunc
		wait  string
		cause string // in the log
	}{
		{"HTML", write(200, "<html>Sign in</html>", "Content-Type", "text/html"), "10", "no tokens"},
		{"HTML with 503", write(503, "<html>", "Retry-After", "7"), "7", "HTTP 503"},
		{"wait of a year", write(503, "<html>", "Retry-After", "31536000"), "300", "HTTP 503"},
		{"wait of nonsense", write(429, "", "Retry-After", "soon"), "10", "HTTP 429"},
		{"asked too often", write(429, "", "Retry-After", "7"), "7", "See which client asks so often."},
		{"400 without OAuth", write(400, `{"error":{"code":"x"}}`), "10", "HTTP 400"},
		{"redirect", write(302, "", "Location", "/elsewhere"), "10", "HTTP 302"},
		{"redirect that keeps the form", write(307, "", "Location", "/elsewhere"), "10", "HTTP 307"},
		{"nothing", write(200, ""), "10", "no tokens"},
		{"null", write(200, "null"), "10", "no tokens"},
		{"twice the same member", write(200, `{"token_type":"Bearer","access_token":"a","access_token":"b"}`), "10", "no tokens"},
		{"other kind of token", gives(entraGives(map[string]any{"token_type": "DPoP"})), "10", "no tokens"},
		{"no access token", gives(entraGives(map[string]any{"access_token": nil})), "10", "no access token"},
		{"no JWT", gives(entraGives(map[string]any{"access_token": "a.b.c"})), "10", "no JWT"},
		{"expired", gives(entraGives(map[string]any{"access_token": mint(map[string]any{"alg": "RS256"}, map[string]any{"aud": apiID, "exp": inAnHour - 3600})})), "10", "has expired already"},
		{"large", write(200, `{"token_type":"Bearer","access_token":"`+strings.Repeat("a", 1<<20)+`"}`), "10", "larger than 1 MiB"},
		{"gzip bomb", write(200, string(bomb), "Content-Encoding", "gzip"), "10", "no tokens"},
		{"temporarily unavailable", fails(400, "temporarily_unavailable", 90033, "AADSTS90033: A transient error has occurred."), "10", "AADSTS90033"},
		{"server error", fails(500, "server_error", 90006, "AADSTS90006: x"), "10", "AADSTS90006"},
		{"throttled", fails(429, "invalid_request", 90055, "AADSTS90055: x"), "10", "AADSTS90055"},
		{"broken off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
		}, "10", "reading the answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, tt.entra)
			r := s.token(refreshForm())
			s.wantError(r, http.StatusServiceUnavailable, "temporarily_unavailable", "E")
			if got := r.header.Get("Retry-After"); got != tt.wait {
				t.Errorf("Retry-After %q, want %q", got, tt.wait)
			}
			s.onlyRequest()
			s.wantLogged(tt.cause)
		})
	}
}

func Test33EntraIsGone(t *testing.T) {
	s := newStage(t, never(t), func(o *compat.Options) { o.Cloud.Authority = "http://127.0.0.1:1" })
	s.wantError(s.token(refreshForm()), http.StatusServiceUnavailable, "temporarily_unavailable", "cannot be reached")
	s.wantLogged("connection refused")
	s.wantLogged("level=ERROR")
}

// transport is an Entra of a few lines.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Test33EntraIsSlow has Entra hang before, and inside of, its answer.
func Test33EntraIsSlow(t *testing.T) {
	hang := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	begin := func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(endless{r})}, nil
	}
	for name, entra := range map[string]transport{"no answer": hang, "no end": begin} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := options("https://login.example", io.Discard)
				opts.HTTP = &http.Client{Transport: entra}
				w, began := httptest.NewRecorder(), time.Now()
				compat.New(opts).ServeHTTP(w, formRequest(refreshForm()))
				if w.Code != http.StatusServiceUnavailable || time.Since(began) != 20*time.Second {
					t.Errorf("HTTP %d after %v with %s", w.Code, time.Since(began), w.Body)
				}
			})
		})
	}
}

// endless gives a byte a second.
type endless struct{ r *http.Request }

func (e endless) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		return copy(p, " "), nil
	case <-e.r.Context().Done():
		return 0, e.r.Context().Err()
	}
}

func formRequest(form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", formType)
	return r
}

// Test33ManyWait has more people wait for Entra than it is to be asked for.
func Test33ManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options("https://login.example", io.Discard)
		asked := make(chan struct{}, 1000)
		opts.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			asked <- struct{}{}
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		f, codes := compat.New(opts), make(chan int, 150)
		for range cap(codes) {
			go func() {
				w := httptest.NewRecorder()
				f.ServeHTTP(w, formRequest(refreshForm()))
				codes <- w.Code
			}()
		}
		synctest.Wait()
		if len(asked) != 100 || len(codes) != 50 {
			t.Errorf("Entra is asked %d times at once, and %d are answered", len(asked), len(codes))
		}
		for range cap(codes) {
			if code := <-codes; code != http.StatusServiceUnavailable {
				t.Errorf("HTTP %d", code)
			}
		}
	})
}

// TestClientHangsUp has a client that does not wait for Entra, which nobody has
// to mend.
func TestClientHangsUp(t *testing.T) {
	log := &logBuffer{}
	opts := options("https://login.example", log)
	ctx, hangUp := context.WithCancel(t.Context())
	opts.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		hangUp()
		<-r.Context().Done()
		return nil, r.Context().Err()
	})}
	compat.New(opts).ServeHTTP(httptest.NewRecorder(), formRequest(refreshForm()).WithContext(ctx))
	if text := log.String(); !strings.Contains(text, "the client hung up") || !strings.Contains(text, "level=INFO") {
		t.Errorf("logged: %s", text)
	}
}

// Test32SlowBody has clients that begin a body and do not go on.
func Test32SlowBody(t *testing.T) {
	for path, want := range map[string]int{"/oauth2/token": http.StatusBadRequest, "/register": http.StatusUnsupportedMediaType, "/authorize": http.StatusMethodNotAllowed} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := serveOne(t, compat.New(options("https://login.example", io.Discard)))
				began := time.Now()
				if _, err := io.WriteString(client, "POST "+path+" HTTP/1.1\r\nHost: mcp.example\r\nContent-Type: "+formType+"\r\nContent-Length: 1000\r\n\r\ngrant_type="); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.StatusCode != want || time.Since(began) != 10*time.Second {
					t.Errorf("HTTP %d after %v, want %d after 10s", resp.StatusCode, time.Since(began), want)
				}
			})
		})
	}
}

// serveOne serves a connection in memory, whose deadlines are those of the
// bubble, and returns its other end.
func serveOne(t *testing.T, h http.Handler) net.Conn {
	client, server := net.Pipe()
	l := &oneConn{conns: make(chan net.Conn, 1)}
	l.conns <- server
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = client.Close()
		_ = srv.Close()
		<-done
	})
	return client
}

// oneConn is a listener for one connection.
type oneConn struct {
	conns chan net.Conn
	once  sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.conns) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

func Test34NoIDToken(t *testing.T) {
	s := newStage(t, gives(entraGives(map[string]any{"id_token": nil, "access_token": graphToken})), idTokens)
	for _, form := range []url.Values{codeForm(), refreshForm()} {
		r := s.token(form)
		s.wantError(r, http.StatusBadRequest, "invalid_grant", "no ID token")
		if strings.Contains(r.body, graphToken) {
			t.Errorf("the Graph token is in the answer %s", r.body)
		}
	}
}

func Test34GraphTokenIsNeverReturned(t *testing.T) {
	header := map[string]any{"alg": "RS256"}
	for name, token := range map[string]string{
		"whole":          graphToken,
		"audience":       mint(header, map[string]any{"aud": "00000003-0000-0000-c000-000000000000", "exp": inAnHour}),
		"URL":            mint(header, map[string]any{"aud": "https://graph.microsoft.com", "exp": inAnHour}),
		"URL with slash": mint(header, map[string]any{"aud": "https://graph.microsoft.us/", "exp": inAnHour}),
		"other cloud":    mint(header, map[string]any{"aud": "https://login.example/graph", "exp": inAnHour}),
		"several":        mint(header, map[string]any{"aud": []string{apiID, "https://graph.microsoft.com"}, "exp": inAnHour}),
		"nonce":          mint(map[string]any{"alg": "RS256", "nonce": "n"}, map[string]any{"aud": apiID, "exp": inAnHour}),
		"Azure AD":       mint(header, map[string]any{"aud": "00000002-0000-0000-c000-000000000000", "exp": inAnHour}),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, gives(entraGives(map[string]any{"access_token": token})), func(o *compat.Options) { o.Cloud.Graph = "https://login.example/graph" })
			r := s.token(codeForm())
			s.wantError(r, http.StatusServiceUnavailable, "temporarily_unavailable", "token for Microsoft Graph")
			if strings.Contains(r.body, token) || strings.Contains(r.body, "next-refresh-token") {
				t.Errorf("the answer has a token: %s", r.body)
			}
			s.wantLogged("Expose a scope on the API app")
		})
	}
}

func Test34UnreadableTokenIsNotReturned(t *testing.T) {
	for name, token := range map[string]string{"opaque": "EwBoOpaque", "encrypted": "a.b.c.d.e"} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, gives(entraGives(map[string]any{"access_token": token})))
			r := s.token(refreshForm())
			s.wantError(r, http.StatusServiceUnavailable, "temporarily_unavailable", "cannot read")
			if strings.Contains(r.body, token) {
				t.Errorf("the answer has the token: %s", r.body)
			}
			s.wantLogged("do not let the app encrypt its tokens")
		})
	}
}

func Test35WhatIsReturned(t *testing.T) {
	for _, tt := range []struct {
		name    string
		entra   map[string]any
		change  func(*compat.Options)
		want    string // access token
		expires float64
	}{
		{"access token", nil, nil, accessToken, 3600},
		{"access token that Entra gives less time", map[string]any{"expires_in": 1800}, nil, accessToken, 1800},
		{"time in quotes", map[string]any{"expires_in": "1800"}, nil, accessToken, 1800},
		{"no time", map[string]any{"expires_in": nil}, nil, accessToken, 3600},
		{"ID token", nil, idTokens, idToken, 3000},
		{"ID token beside one for Graph", map[string]any{"access_token": graphToken}, idTokens, idToken, 3000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change == nil {
				tt.change = func(*compat.Options) {}
			}
			s := newStage(t, gives(entraGives(tt.entra)), tt.change)
			for _, form := range []url.Values{codeForm(), refreshForm()} {
				want := map[string]any{"access_token": tt.want, "token_type": "Bearer", "expires_in": tt.expires, "refresh_token": "next-refresh-token", "scope": "mcp.access"}
				if diff := cmp.Diff(want, s.token(form).json(t)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", form.Get("grant_type"), diff)
				}
			}
		})
	}
}

func TestErrorsOfEntra(t *testing.T) {
	for _, tt := range []struct {
		status int
		oauth  string
		code   int
		want   int
		as     string
		logged string
	}{
		{400, "invalid_grant", 54005, 400, "invalid_grant", "the client sent it twice"},
		{400, "invalid_grant", 501481, 400, "invalid_grant", "PKCE"},
		{400, "invalid_grant", 700082, 400, "invalid_grant", "not used for long"},
		{400, "invalid_grant", 50173, 400, "invalid_grant", "revoked"},
		{400, "interaction_required", 50076, 400, "invalid_grant", "multi-factor"},
		{400, "interaction_required", 53003, 400, "invalid_grant", "Conditional Access"},
		{400, "consent_required", 65001, 400, "invalid_grant", "admin consent"},
		{400, "access_denied", 50105, 400, "invalid_grant", "not assigned"},
		{400, "invalid_request", 90009, 400, "invalid_request", "names itself by its App ID URI"},
		{400, "invalid_scope", 70011, 400, "invalid_scope", "Expose an API"},
		{401, "invalid_client", 7000218, 503, "temporarily_unavailable", "Mobile and desktop applications instead of Web"},
		{401, "invalid_client", 7000215, 503, "temporarily_unavailable", "Certificates"},
		{400, "unauthorized_client", 700016, 503, "temporarily_unavailable", "tenant_id"},
		{400, "invalid_resource", 500011, 503, "temporarily_unavailable", "service principal"},
		{400, "invalid_target", 9010010, 503, "temporarily_unavailable", "App ID URI"},
		{400, "something_new", 1234567, 503, "temporarily_unavailable", "something_new, AADSTS1234567"},
	} {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			s := newStage(t, fails(tt.status, tt.oauth, tt.code, fmt.Sprintf("AADSTS%d: About 'ada@contoso.com' \"in\" the tenant.", tt.code)))
			r := s.token(refreshForm())
			s.wantError(r, tt.want, tt.as, fmt.Sprintf("AADSTS%d: About '(address)' 'in' the tenant. (trace id 11111111-2222-4333-8444-555555555555, correlation id 66666666-7777-4888-8999-000000000000)", tt.code))
			s.wantLogged(tt.logged)
			s.wantLogged("66666666-7777-4888-8999-000000000000")
			if strings.Contains(r.body, "ada@") || strings.Contains(s.log.String(), "About") {
				t.Errorf("the person is named in %s, or Entra's text is in the log:\n%s", r.body, s.log)
			}
		})
	}
}

// TestSecretsAreNotLogged has everything refused that holds something secret.
func TestSecretsAreNotLogged(t *testing.T) {
	const secret = "s3cr3t-value-that-nobody-may-read"
	long := secret + strings.Repeat("a", 43)
	jwt := mint(map[string]any{"nonce": secret}, map[string]any{"aud": apiID, "exp": inAnHour, "name": secret})
	var log strings.Builder
	for _, answer := range []map[string]any{
		entraGives(nil),
		entraGives(map[string]any{"access_token": jwt, "id_token": jwt, "refresh_token": secret}),
		{"error": "invalid_grant", "claims": secret},
	} {
		entra := func(w http.ResponseWriter, r *http.Request) {
			if answer["error"] != nil {
				w.WriteHeader(http.StatusBadRequest)
			}
			gives(answer)(w, r)
		}
		s := newStage(t, entra, func(o *compat.Options) {
			o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		for _, params := range []url.Values{
			authorizeParams("state", secret),
			authorizeParams("state", secret, "code_challenge", ""),
			authorizeParams("state", secret, "client_id", "x"),
			authorizeParams("state", secret, "redirect_uri", "http://evil.example/?code="+secret),
			authorizeParams("state", secret, "redirect_uri", "http://u:"+secret+"@localhost/#"+secret),
			authorizeParams("state", secret, "resource", "https://u:"+secret+"@evil.example/?code="+secret),
			authorizeParams("code_challenge", secret, "request", secret),
			authorizeParams("login_hint", secret, "id_token_hint", secret, "claims", secret),
		} {
			s.authorize(params)
		}
		for _, form := range []url.Values{
			codeForm("code", secret, "code_verifier", long),
			codeForm("code", secret, "code_verifier", secret[:10]+"!"),
			codeForm("code", secret, "client_id", "x", "client_secret", secret),
			codeForm("code", secret, "grant_type", "password", "password", secret),
			refreshForm("refresh_token", secret),
			refreshForm("refresh_token", secret, "client_assertion", secret),
			refreshForm("refresh_token", secret, "resource", "https://evil.example/?code="+secret),
		} {
			s.token(form, "Cookie", "a="+secret)
			s.token(form, "Authorization", "Bearer "+secret)
		}
		s.register(`{"redirect_uris":["http://evil.example/?code=` + secret + `"],"client_secret":"` + secret + `"}`)
	}
	if text := log.String(); strings.Contains(text, secret[:10]) || !strings.Contains(text, "sign-in refused") {
		t.Errorf("the log has a secret, or nothing:\n%s", text)
	}
}
