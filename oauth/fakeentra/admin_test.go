package fakeentra_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

func (s *stage) admin(method, path, body string, header ...string) answer {
	s.t.Helper()
	r, err := http.NewRequest(method, s.AdminURL()+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return s.do(r, nil)
}

func TestAdmin(t *testing.T) {
	s := newStage(t)
	for _, tt := range []struct {
		method, path, body string
		want               string // in the answer
		after              func() bool
	}{
		{"GET", "/", "", "PATCH /switches", nil},
		{"PATCH", "/switches", `{"access_token_lifetime":"30s","emit_iss":true}`, `"access_token_lifetime":"30s"`, func() bool {
			return s.Switches().EmitIss && s.Switches().AccessTokenLifetime == 30*time.Second
		}},
		{"PATCH", "/switches", `{"overage_at":5}`, `"emit_iss":true`, func() bool { return s.Switches().OverageAt == 5 }},
		{"GET", "/switches", "", `"overage_at":5`, nil},
		{"POST", "/faults", `{"endpoint":"token","times":2,"latency":"1ms","status":503}`, `"latency":"1ms"`, func() bool { return len(s.Faults()) == 1 }},
		{"GET", "/faults", "", `"times":2`, nil},
		{"DELETE", "/faults", "", "[]", func() bool { return len(s.Faults()) == 0 }},
		{"POST", "/users", `{"name":"bob@contoso.example"}`, `"display_name":"bob"`, func() bool { _, ok := s.User("bob@contoso.example"); return ok }},
		{"PATCH", "/users/bob@contoso.example", `{"disabled":true}`, `"disabled":true`, func() bool { u, _ := s.User("bob@contoso.example"); return u.Disabled }},
		{"POST", "/users/bob@contoso.example/groups", `{"count":3}`, "groups", func() bool { u, _ := s.User("bob@contoso.example"); return len(u.Groups) == 3 }},
		{"POST", "/users/bob@contoso.example/revoke", "", "{}", nil},
		{"GET", "/users", "", "alice@contoso.example", nil},
		{"POST", "/groups", `{"name":"new"}`, `"id"`, func() bool { return len(s.Groups()) == 5 }},
		{"GET", "/groups", "", `"platform"`, nil},
		{"POST", "/apps", `{"name":"new","redirects":[{"uri":"http://localhost/x"}]}`, `"platform":"native"`, func() bool { return len(s.Apps()) == 3 }},
		{"GET", "/apps", "", `"mcp.access"`, nil},
		{"PUT", "/consents", `{"client":"c","resource":"r","scopes":["s"]}`, "{}", nil},
		{"DELETE", "/consents", `{"client":"c","resource":"r","scopes":["s"]}`, "{}", nil},
		{"POST", "/keys", `{"do":"rotate"}`, `"used":true`, func() bool { return len(s.Keys().List()) == 3 }},
		{"POST", "/keys", `{"do":"remove","kid":"` + s.Keys().List()[0].ID + `"}`, `"published":false`, nil},
		{"GET", "/keys", "", `"kid"`, nil},
		{"POST", "/token", `{"user":"alice@contoso.example","resource":"` + s.api.ClientID + `","lifetime":"1m"}`, `"token":"ey`, nil},
	} {
		a := s.admin(tt.method, tt.path, tt.body)
		if a.status != http.StatusOK || !strings.Contains(a.body, tt.want) || tt.after != nil && !tt.after() {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.path, tt.body, a.status, a.body)
		}
	}
	for _, tt := range [][3]string{
		{"PATCH", "/switches", `{"unknown":1}`},
		{"PATCH", "/switches", `{"clock_skew":3}`},
		{"PATCH", "/switches", `{`},
		{"PATCH", "/users/nobody", `{}`},
		{"POST", "/users/nobody/revoke", ``},
		{"POST", "/users/nobody/groups", `{"count":1}`},
		{"POST", "/keys", `{"do":"use","kid":"x"}`},
		{"POST", "/keys", `{"do":"eat"}`},
		{"POST", "/token", `{"user":"nobody"}`},
	} {
		if a := s.admin(tt[0], tt[1], tt[2]); a.status != http.StatusBadRequest {
			t.Errorf("%v: %d %s", tt, a.status, a.body)
		}
	}
}

func TestJournal(t *testing.T) {
	s := newStage(t)
	s.token(s.redeem("a-secret-code", nil), "X-Extra", "1")
	entries := s.Requests("token")
	if len(entries) != 1 || entries[0].Form.Get("code") != "a-secret-code" || entries[0].Header.Get("X-Extra") != "1" || entries[0].Status != http.StatusBadRequest || entries[0].Method != http.MethodPost {
		t.Fatalf("the journal is %+v", s.Journal())
	}
	s.authorize(nil)
	if all := s.Journal(); len(all) != 2 || all[1].Endpoint() != "authorize" || all[1].Query.Get("state") != "a state" {
		t.Errorf("the journal is %+v", all)
	}
	var read []fakeentra.Entry
	if a := s.admin("GET", "/journal?endpoint=token", ""); json.Unmarshal([]byte(a.body), &read) != nil || len(read) != 1 || read[0].Form.Get("code") != "a-secret-code" {
		t.Errorf("the admin API says %s", a.body)
	}
	if a := s.admin("DELETE", "/journal", ""); a.status != http.StatusOK || len(s.Journal()) != 0 {
		t.Errorf("after clearing: %d, %v", a.status, s.Journal())
	}
	handler := s.Handler()
	for range 2010 {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/assets/page.css", nil))
	}
	if n := len(s.Journal()); n != 2000 {
		t.Errorf("the journal has %d entries; want 2000 at most", n)
	}
}

// TestAdminRefusesBrowsers, since any page could otherwise read the journal.
func TestAdminRefusesBrowsers(t *testing.T) {
	s := newStage(t)
	if a := s.admin("GET", "/journal", "", "Origin", "https://evil.example"); a.status != http.StatusForbidden {
		t.Errorf("with an Origin: %d", a.status)
	}
	if a := s.admin("GET", "/journal", "", "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden {
		t.Errorf("of another site: %d", a.status)
	}
	r, err := http.NewRequest(http.MethodGet, s.AdminURL()+"/journal", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	if a := s.do(r, nil); a.status != http.StatusForbidden {
		t.Errorf("by another name: %d", a.status)
	}
}

func TestOpen(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0", "127.0.0.1"} {
		if fake, err := fakeentra.Open(fakeentra.Options{Addr: addr}); err == nil {
			fake.Close()
			t.Errorf("it listens on %s", addr)
		}
	}
	if _, err := fakeentra.New(fakeentra.Options{}); err == nil {
		t.Error("there is a stand-in without a URL")
	}
	s := newStage(t)
	if _, err := fakeentra.Open(fakeentra.Options{AdminAddr: strings.TrimPrefix(s.AdminURL(), "http://")}); err == nil {
		t.Error("it listens where another does")
	}
	s.Close()
	s.Close()
}

// TestDemo is the data that people and examples rely on.
func TestDemo(t *testing.T) {
	s := newStage(t)
	demo := s.AddDemo()
	about := map[string]string{}
	for _, u := range demo.Users {
		about[u.DisplayName] = s.About(u.ID)
	}
	for name, want := range map[string]string{
		"Alice Young": "platform · data · Mcp.Admin", "Bob Hansen": "data", "Carol Guest": "guest", "Dave Moreno": "300 groups", "Erin Okafor": "disabled",
	} {
		if about[name] != want {
			t.Errorf("%s is %q; want %q", name, about[name], want)
		}
	}
	daemon := s.token(s.credentials(demo.Daemon.ClientID, map[string]string{"client_secret": demo.Daemon.Secrets[0], "scope": demo.API.ClientID + "/.default"}))
	if roles, _ := claimsOf(t, daemon.AccessToken)["roles"].([]any); len(roles) != 1 || roles[0] != "Mcp.Agent" {
		t.Errorf("the daemon's token is %s", daemon.body)
	}
	graph := s.token(s.credentials(demo.Graph.ClientID, map[string]string{"client_secret": demo.Graph.Secrets[0], "scope": s.GraphURL() + "/.default"}))
	a := s.graph(http.MethodGet, "/v1.0/users/"+demo.Users[3].ID+"/transitiveMemberOf/microsoft.graph.group?$top=999", "", graph.AccessToken)
	if len(a.Value) != 300 {
		t.Errorf("dave is in %d groups; want 300", len(a.Value))
	}
	for _, uri := range []string{"http://localhost:6274/oauth/callback", "http://localhost:3118/callback", "http://127.0.0.1:33418", "cursor://anysphere.cursor-mcp/oauth/callback"} {
		s.newBrowser()
		s.Switch(func(sw *fakeentra.Switches) { sw.LoopbackIPPort = fakeentra.PortIgnore })
		got := s.authorize(map[string]string{"client_id": demo.Client.ClientID, "redirect_uri": uri, "scope": demo.API.ClientID + "/mcp.access"})
		if got.status != http.StatusOK {
			t.Errorf("%s: AADSTS%s", uri, got.code())
		}
	}
}
