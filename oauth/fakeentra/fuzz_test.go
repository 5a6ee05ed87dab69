package fakeentra_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// newFuzzed is a stand-in without listeners.
func newFuzzed(f *testing.F) (*fakeentra.Server, fakeentra.Demo) {
	f.Helper()
	s, err := fakeentra.New(fakeentra.Options{URL: "http://entra.test"})
	if err != nil {
		f.Fatal(err)
	}
	return s, s.AddDemo()
}

// FuzzAuthorize sends any query. Whatever it is, an answer is only ever sent to
// a registered redirect URI.
func FuzzAuthorize(f *testing.F) {
	s, demo := newFuzzed(f)
	s.Switch(func(sw *fakeentra.Switches) {
		sw.AutoSignIn, sw.LoopbackIPPort = "alice@contoso.example", fakeentra.PortIgnore
	})
	base := url.Values{
		"client_id": {demo.Client.ClientID}, "response_type": {"code"}, "redirect_uri": {"http://localhost:1/callback"},
		"scope": {demo.API.ClientID + "/mcp.access openid"}, "state": {"s"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()
	for _, more := range []string{"", "&resource=http%3A%2F%2Fgw%2Fmcp", "&prompt=consent", "&state=t", "&claims=%7B", "&response_mode=form_post", ";"} {
		f.Add(s.TenantID(), base+more)
	}
	f.Add("common", strings.Replace(base, "localhost", "localhost:1@evil.example", 1))
	f.Add("consumers", "client_id="+demo.Client.ClientID+"&redirect_uri=http://[::1]/")
	handler := s.Handler()
	f.Fuzz(func(t *testing.T, tenant, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path, r.URL.RawQuery = "/"+url.PathEscape(tenant)+"/oauth2/v2.0/authorize", query
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%q: %d %s", query, w.Code, w.Body)
		}
		to := w.Header().Get("Location")
		if to == "" || strings.HasPrefix(to, "/") {
			return
		}
		u, err := url.Parse(to)
		if err != nil || u.User != nil || !registeredHost(u) {
			t.Errorf("%q is sent to %q", query, to)
		}
	})
}

func registeredHost(u *url.URL) bool {
	switch u.Hostname() {
	case "localhost", "127.0.0.1":
		return u.Scheme == "http"
	case "vscode.dev", "insiders.vscode.dev":
		return u.Scheme == "https" && u.Path == "/redirect"
	case "anysphere.cursor-mcp":
		return u.Scheme == "cursor"
	}
	return false
}

// FuzzToken sends any form. Without a code, a refresh token or a secret, none is
// answered with a token.
func FuzzToken(f *testing.F) {
	s, demo := newFuzzed(f)
	f.Add("grant_type=authorization_code&code=x&client_id="+demo.Client.ClientID, "")
	f.Add("grant_type=refresh_token&refresh_token=x&client_id="+demo.Client.ClientID, "")
	f.Add("grant_type=client_credentials&scope=x%2F.default&client_id="+demo.Daemon.ClientID, "")
	f.Add("grant_type=client_credentials&client_assertion=a.b.c&client_assertion_type="+url.QueryEscape(assertionType)+"&client_id="+demo.Daemon.ClientID, "")
	f.Add("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&requested_token_use=on_behalf_of&assertion=a.b.c&client_secret=x&client_id="+demo.Daemon.ClientID, "")
	f.Add("a=1&a=2;%", "Basic YTpi")
	handler := s.Handler()
	f.Fuzz(func(t *testing.T, body, authorization string) {
		if strings.Contains(body, "demo-") || strings.Contains(authorization, "Basic ") && len(authorization) > 60 {
			return // it may know a secret
		}
		r := httptest.NewRequest(http.MethodPost, "/"+s.TenantID()+"/oauth2/v2.0/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code < 400 || w.Code >= 500 {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
