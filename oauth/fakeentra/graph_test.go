package fakeentra_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// A graphAnswer is what Graph answers.
type graphAnswer struct {
	status int
	Value  []json.RawMessage `json:"value"`
	Next   string            `json:"@odata.nextLink"`
	ID     string            `json:"id"`
	Error  struct {
		Code string `json:"code"`
	} `json:"error"`
}

func (s *stage) graph(method, url, body, token string) graphAnswer {
	s.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = s.GraphURL() + url
	}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	got := s.do(r, nil)
	a := graphAnswer{status: got.status}
	if err := json.Unmarshal([]byte(got.body), &a); err != nil {
		s.t.Fatalf("%s %s: %d %s", method, url, got.status, got.body)
	}
	return a
}

// graphToken is one of a program with permissions.
func (s *stage) graphToken(roles ...string) string {
	s.t.Helper()
	token, err := s.Token(fakeentra.TokenRequest{Resource: fakeentra.GraphApp, Claims: map[string]any{"roles": roles}})
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func TestMemberOf(t *testing.T) {
	s := newStage(t)
	if _, err := s.SetGroupCount(s.alice.ID, 250); err != nil {
		t.Fatal(err)
	}
	token := s.graphToken("GroupMember.Read.All")
	seen := map[string]bool{}
	url, pages := "/v1.0/users/"+s.alice.ID+"/transitiveMemberOf/microsoft.graph.group?$select=id", 0
	for url != "" {
		a := s.graph(http.MethodGet, url, "", token)
		if a.status != http.StatusOK || a.Next != "" && !strings.HasPrefix(a.Next, s.GraphURL()+"/v1.0/users/") {
			t.Fatalf("a page is %+v", a)
		}
		for _, raw := range a.Value {
			var g map[string]any
			if err := json.Unmarshal(raw, &g); err != nil || g["displayName"] != nil {
				t.Fatalf("a group is %s", raw)
			}
			seen[g["id"].(string)] = true
		}
		url = a.Next
		pages++
	}
	if len(seen) != 250 || pages != 3 {
		t.Errorf("there are %d groups on %d pages; want 250 on 3", len(seen), pages)
	}
	if a := s.graph(http.MethodGet, "/v1.0/users/"+s.alice.ID+"/transitiveMemberOf/microsoft.graph.group?$top=999", "", token); len(a.Value) != 250 || a.Next != "" {
		t.Errorf("a page of 999 has %d, next is %q", len(a.Value), a.Next)
	}
	if a := s.graph(http.MethodPost, "/v1.0/users/"+s.alice.ID+"/getMemberObjects", `{"securityEnabledOnly":true}`, token); len(a.Value) != 250 {
		t.Errorf("getMemberObjects: %d %v", a.status, a.Error)
	}
}

func TestGraphRefuses(t *testing.T) {
	s := newStage(t)
	reader := s.graphToken("GroupMember.Read.All")
	mine := "/v1.0/users/" + s.alice.ID + "/transitiveMemberOf/microsoft.graph.group"
	mint := func(r fakeentra.TokenRequest) string {
		t.Helper()
		token, err := s.Token(r)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	stranger := s.AddUser(fakeentra.User{Name: "eve@fabrikam.example", Tenant: s.AddTenant(fakeentra.Tenant{Domain: "fabrikam.example"}).ID})
	for _, tt := range []struct {
		name, method, path, body, token string
		wantStatus                      int
		wantCode                        string
	}{
		{"no token", "GET", mine, "", "", 401, "InvalidAuthenticationToken"},
		{"no JWT", "GET", mine, "", "x", 401, "InvalidAuthenticationToken"},
		{"for another API", "GET", mine, "", mint(fakeentra.TokenRequest{Resource: s.api.ClientID, Claims: map[string]any{"roles": []string{"GroupMember.Read.All"}}}), 401, "InvalidAuthenticationToken"},
		{"expired", "GET", mine, "", mint(fakeentra.TokenRequest{Resource: fakeentra.GraphApp, Lifetime: -time.Minute}), 401, "InvalidAuthenticationToken"},
		{"bad signature", "GET", mine, "", mint(fakeentra.TokenRequest{Resource: fakeentra.GraphApp, BadSignature: true}), 401, "InvalidAuthenticationToken"},
		{"no permission", "GET", mine, "", s.graphToken("Mail.Read"), 403, "Authorization_RequestDenied"},
		{"nobody", "GET", strings.Replace(mine, s.alice.ID, "nobody", 1), "", reader, 404, "Request_ResourceNotFound"},
		{"of another tenant", "GET", strings.Replace(mine, s.alice.ID, stranger.ID, 1), "", reader, 404, "Request_ResourceNotFound"},
		{"me of a program", "GET", "/v1.0/me/memberOf", "", reader, 400, "BadRequest"},
		{"page of 1000", "GET", mine + "?$top=1000", "", reader, 400, "Request_UnsupportedQuery"},
		{"skiptoken", "GET", mine + "?$skiptoken=x", "", reader, 400, "Directory_ExpiredPageToken"},
		{"no parameter", "POST", "/v1.0/users/" + s.alice.ID + "/getMemberObjects", "{}", reader, 400, "Request_BadRequest"},
		{"no group", "GET", "/v1.0/groups/x", "", reader, 404, "Request_ResourceNotFound"},
		{"filter", "GET", "/v1.0/groups?$filter=startswith(displayName,'a')", "", reader, 400, "Request_UnsupportedQuery"},
		{"no ids", "POST", "/v1.0/directoryObjects/getByIds", "{}", reader, 400, "Request_BadRequest"},
		{"elsewhere", "GET", "/v1.0/drives", "", reader, 400, "BadRequest"},
	} {
		if a := s.graph(tt.method, tt.path, tt.body, tt.token); a.status != tt.wantStatus || a.Error.Code != tt.wantCode {
			t.Errorf("%s: %d %s; want %d %s", tt.name, a.status, a.Error.Code, tt.wantStatus, tt.wantCode)
		}
	}
}

func TestGraphNames(t *testing.T) {
	s := newStage(t)
	token := s.graphToken("Group.Read.All")
	data := s.AddGroup(fakeentra.Group{Name: "data"})
	if a := s.graph(http.MethodGet, "/v1.0/groups/"+data.ID, "", token); a.ID != data.ID {
		t.Errorf("a group is %+v", a)
	}
	for name, a := range map[string]graphAnswer{
		"getByIds": s.graph(http.MethodPost, "/v1.0/directoryObjects/getByIds", `{"ids":["`+data.ID+`","unknown"],"types":["group"]}`, token),
		"filter":   s.graph(http.MethodGet, "/v1.0/groups?$filter=id%20in%20('"+data.ID+"','unknown')", "", token),
	} {
		if len(a.Value) != 1 || !strings.Contains(string(a.Value[0]), `"displayName":"data"`) {
			t.Errorf("%s: %d %s", name, a.status, a.Value)
		}
	}
	if a := s.graph(http.MethodGet, "/v1.0/groups", "", token); len(a.Value) != 2 {
		t.Errorf("all groups are %s", a.Value)
	}
}

// TestMe is for a token of the person's own.
func TestMe(t *testing.T) {
	s := newStage(t)
	token, err := s.Token(fakeentra.TokenRequest{User: s.alice.ID, Resource: s.GraphURL(), Scopes: []string{"User.Read"}})
	if err != nil {
		t.Fatal(err)
	}
	if a := s.graph(http.MethodGet, "/v1.0/me", "", token); a.ID != s.alice.ID {
		t.Errorf("me is %+v", a)
	}
	if got := s.get(s.GraphURL() + "/oidc/userinfo"); got.status != http.StatusUnauthorized {
		t.Errorf("userinfo of nobody is %d %s", got.status, got.body)
	}
	if a := s.graph(http.MethodGet, "/oidc/userinfo", "", token); a.status != http.StatusOK {
		t.Errorf("userinfo is %+v", a)
	}
	if a := s.graph(http.MethodPost, "/v1.0/me/getMemberObjects", `{"securityEnabledOnly":false}`, token); len(a.Value) != 1 {
		t.Errorf("my groups are %+v", a)
	}
	if a := s.graph(http.MethodGet, "/v1.0/users/"+s.alice.ID+"/memberOf", "", token); a.status != http.StatusForbidden {
		t.Errorf("as somebody of all: %d", a.status)
	}
}
