package fakeentra_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// mint makes a token and returns its claims.
func (s *stage) mint(r fakeentra.TokenRequest) map[string]any {
	s.t.Helper()
	token, err := s.Token(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return claimsOf(s.t, token)
}

// TestClaims tells the kinds of tokens apart, as a gateway has to.
func TestClaims(t *testing.T) {
	s := newStage(t)
	uri := "api://" + s.api.ClientID
	person := fakeentra.TokenRequest{User: s.alice.ID, Client: s.client.ClientID, Resource: uri, Scopes: []string{"mcp.access"}}
	v1, id, graph, program := person, person, person, person
	v1.Version, id.ID = 1, true
	graph.Resource, graph.Scopes = fakeentra.GraphApp, []string{"User.Read"}
	program.User, program.Scopes = "", nil
	for _, tt := range []struct {
		name   string
		req    fakeentra.TokenRequest
		want   map[string]any
		absent []string
	}{
		{
			"version 2", person,
			map[string]any{"ver": "2.0", "iss": s.Issuer(""), "aud": s.api.ClientID, "azp": s.client.ClientID, "azpacr": "0", "scp": "mcp.access", "preferred_username": s.alice.Name, "oid": s.alice.ID, "tid": s.TenantID(), "name": "Alice Young"},
			[]string{"appid", "upn", "unique_name", "idp", "nonce", "acct"},
		},
		{
			"version 1", v1,
			map[string]any{"ver": "1.0", "iss": s.IssuerV1(""), "aud": uri, "appid": s.client.ClientID, "appidacr": "0", "scp": "mcp.access", "upn": s.alice.Name, "unique_name": s.alice.Name, "given_name": "Alice", "family_name": "Young"},
			[]string{"azp", "preferred_username"},
		},
		{
			"ID token", id,
			map[string]any{"ver": "2.0", "iss": s.Issuer(""), "aud": s.client.ClientID, "preferred_username": s.alice.Name, "oid": s.alice.ID},
			[]string{"scp", "azp", "appid", "groups", "roles", "at_hash"},
		},
		{
			"Graph", graph,
			map[string]any{"ver": "1.0", "iss": s.IssuerV1(""), "aud": fakeentra.GraphApp, "appid": s.client.ClientID, "scp": "User.Read"},
			[]string{"azp", "groups", "roles"},
		},
		{
			"program", program,
			map[string]any{"ver": "2.0", "azp": s.client.ClientID, "aud": s.api.ClientID},
			[]string{"scp", "name", "preferred_username", "roles", "groups", "idtyp"},
		},
	} {
		c := s.mint(tt.req)
		for name, want := range tt.want {
			if c[name] != want {
				t.Errorf("%s: %s is %v; want %v", tt.name, name, c[name], want)
			}
		}
		for _, name := range tt.absent {
			if _, has := c[name]; has {
				t.Errorf("%s: there is %s, %v", tt.name, name, c[name])
			}
		}
		for _, name := range []string{"iat", "nbf", "exp", "sub", "uti", "rh", "aio"} {
			if c[name] == nil {
				t.Errorf("%s: there is no %s", tt.name, name)
			}
		}
	}
	if a, b := s.mint(person)["sub"], s.mint(id)["sub"]; a == b || a != s.mint(person)["sub"] {
		t.Errorf("sub is %v for one app and %v for another", a, b)
	}
}

func TestGroupsAndRoles(t *testing.T) {
	s := newStage(t)
	parent := s.AddGroup(fakeentra.Group{Name: "everybody"})
	child := s.AddGroup(fakeentra.Group{Name: "child", Parents: []string{parent.ID}})
	s.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Groups = []string{child.ID} })
	access := fakeentra.TokenRequest{User: s.alice.ID, Client: s.client.ClientID, Resource: s.api.ClientID, Scopes: []string{"mcp.access"}}
	c := s.mint(access)
	want := []any{child.ID, parent.ID}
	slices.SortFunc(want, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	if got, _ := c["groups"].([]any); !slices.Equal(got, want) {
		t.Errorf("the groups are %v; want %v, also through others", c["groups"], want)
	}
	if roles, _ := c["roles"].([]any); !slices.Equal(roles, []any{"Mcp.Admin"}) {
		t.Errorf("the roles are %v", c["roles"])
	}
	s.ChangeApp(s.api.ClientID, func(a *fakeentra.App) { a.AccessTokenGroups = false })
	if _, has := s.mint(access)["groups"]; has {
		t.Error("there are groups although the API does not want any")
	}
	s.ChangeApp(s.client.ClientID, func(a *fakeentra.App) { a.IDTokenGroups = true })
	if got, _ := s.mint(fakeentra.TokenRequest{ID: true, User: s.alice.ID, Client: s.client.ClientID})["groups"].([]any); len(got) != 2 {
		t.Errorf("the groups of an ID token are %v", got)
	}
}

func TestOverage(t *testing.T) {
	s := newStage(t)
	access := fakeentra.TokenRequest{User: s.alice.ID, Resource: s.api.ClientID, Scopes: []string{"mcp.access"}}
	in := func(count int) map[string]any {
		t.Helper()
		if _, err := s.SetGroupCount(s.alice.ID, count); err != nil {
			t.Fatal(err)
		}
		return s.mint(access)
	}
	if c := in(200); len(c["groups"].([]any)) != 200 || c["_claim_names"] != nil {
		t.Errorf("with 200 groups: %v", c)
	}
	c := in(201)
	names, _ := c["_claim_names"].(map[string]any)
	sources, _ := c["_claim_sources"].(map[string]any)
	source, _ := sources["src1"].(map[string]any)
	endpoint, _ := source["endpoint"].(string)
	if c["groups"] != nil || names["groups"] != "src1" || !strings.HasPrefix(endpoint, "https://graph.windows.net/") {
		t.Errorf("with 201 groups: %v", c)
	}
	s.Switch(func(sw *fakeentra.Switches) { sw.HasGroups = true })
	if c := in(201); c["hasgroups"] != true || c["groups"] != nil || c["_claim_names"] != nil {
		t.Errorf("with hasgroups: %v", c)
	}
	s.Switch(func(sw *fakeentra.Switches) { sw.OverageAt = 5 })
	if c := in(6); c["hasgroups"] != true {
		t.Errorf("above 5: %v", c)
	}
	if c := in(0); c["groups"] != nil || c["hasgroups"] != nil {
		t.Errorf("without groups: %v", c)
	}
	if _, err := s.SetGroupCount(s.alice.ID, -1); err == nil {
		t.Error("somebody is in -1 groups")
	}
}

func TestGuest(t *testing.T) {
	s := newStage(t)
	home := s.AddTenant(fakeentra.Tenant{Domain: "fabrikam.example"})
	carol := s.AddUser(fakeentra.User{Name: "carol@fabrikam.example", HomeTenant: home.ID})
	s.ChangeApp(s.api.ClientID, func(a *fakeentra.App) { a.OptionalClaims = []string{"acct", "email"} })
	c := s.mint(fakeentra.TokenRequest{User: carol.ID, Resource: s.api.ClientID, Scopes: []string{"mcp.access"}})
	if c["tid"] != s.TenantID() || c["idp"] != s.IssuerV1(home.ID) || c["acct"] != 1.0 || c["email"] != carol.Name {
		t.Errorf("a guest's token is %v", c)
	}
	if c := s.mint(fakeentra.TokenRequest{User: s.alice.ID, Resource: s.api.ClientID}); c["idp"] != nil || c["acct"] != 0.0 {
		t.Errorf("a member's token is %v", c)
	}
}

// TestAuthenticationContext is asked for by the parameter claims.
func TestAuthenticationContext(t *testing.T) {
	s := newStage(t)
	code := s.code(map[string]string{"claims": `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`})
	got := s.token(s.redeem(code, nil))
	if acrs, _ := claimsOf(t, got.AccessToken)["acrs"].([]any); !slices.Equal(acrs, []any{"c1"}) {
		t.Errorf("acrs is %v", acrs)
	}
}

// TestOddTokens are those that no sign-in gives.
func TestOddTokens(t *testing.T) {
	s := newStage(t)
	base := fakeentra.TokenRequest{User: s.alice.ID, Resource: s.api.ClientID, Scopes: []string{"mcp.access"}}
	with := func(change func(*fakeentra.TokenRequest)) string {
		t.Helper()
		r := base
		change(&r)
		token, err := s.Token(r)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	odd := with(func(r *fakeentra.TokenRequest) {
		r.Claims, r.Remove = map[string]any{"aud": []string{"a", "b"}, "extra": 1}, []string{"exp"}
		r.Header = map[string]any{"typ": "at+jwt", "jku": "https://evil.example"}
		r.Tenant = "11111111-1111-1111-1111-111111111111"
	})
	c, h := claimsOf(t, odd), headerOf(t, odd)
	if c["exp"] != nil || c["extra"] != 1.0 || len(c["aud"].([]any)) != 2 || c["iss"] != s.Issuer("11111111-1111-1111-1111-111111111111") || h["jku"] != "https://evil.example" || h["typ"] != "at+jwt" {
		t.Errorf("it is %v %v", h, c)
	}
	if h := headerOf(t, with(func(r *fakeentra.TokenRequest) { r.NoKeyID = true })); h["kid"] != nil || h["x5t"] != nil {
		t.Errorf("without a key id: %v", h)
	}
	raw := with(func(r *fakeentra.TokenRequest) { r.Payload = []byte(`{"iss":"a","iss":"b"}`) })
	if c := claimsOf(t, raw); len(c) != 1 || c["iss"] != "b" {
		t.Errorf("with a payload of its own: %v", c)
	}
	if c := claimsOf(t, with(func(r *fakeentra.TokenRequest) { r.Lifetime = 10 * time.Second })); c["exp"].(float64)-c["iat"].(float64) != 310 {
		t.Errorf("with 10 s: from %v to %v; want 5 minutes before to 10 s after", c["iat"], c["exp"])
	}
	for name, r := range map[string]fakeentra.TokenRequest{
		"nobody":                 {User: "nobody"},
		"an ID token for nobody": {ID: true},
		"an unknown key":         {User: s.alice.ID, Key: "x"},
	} {
		if token, err := s.Token(r); err == nil {
			t.Errorf("%s: %s", name, token)
		}
	}
}
