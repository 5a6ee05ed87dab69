package oauth_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/oauth"
)

func TestCaller(t *testing.T) {
	s := startWith(t, oauth.Options{
		HTTP: newInternet().client(), Providers: []oauth.Provider{entraProvider()},
		GroupAliases: map[string]string{platform: "platform"}, ClientAliases: map[string]string{clientApp: "vscode"},
	})
	signedIn := time.Now().Add(-time.Hour).Truncate(time.Second)
	payload := with(accessToken(), object{
		"scp": "other.read mcp.access", "roles": []string{"b", "a", "a"}, "acrs": []string{"c1"}, "amr": []string{"pwd", "mfa"},
		"auth_time": signedIn.Unix(), "groups": []string{"z-unknown", platform}, "acct": 1,
	})
	got := *s.admit(sign(t, payload, nil))
	if time.Until(got.Expires).Round(time.Minute) != 61*time.Minute || !strings.Contains(string(got.Claims), "pairwise") {
		t.Errorf("expires %s, claims %s", got.Expires, got.Claims)
	}
	got.Expires, got.Claims = time.Time{}, nil
	want := oauth.Caller{
		ID: `User::"` + tenant + `/` + alice + `"`, Provider: "contoso", Issuer: payload["iss"].(string), Tenant: tenant, Subject: alice,
		Name:   "Alice Example",
		Groups: oauth.Groups{IDs: []string{platform, "z-unknown"}, Names: []string{"platform", "z-unknown"}, Complete: true},
		Roles:  []string{"a", "b"}, Scopes: []string{"mcp.access", "other.read"},
		Client: oauth.Client{ID: clientApp, Alias: "vscode"}, Guest: true,
		AuthContexts: []string{"c1"}, AuthMethods: []string{"mfa", "pwd"}, AuthTime: signedIn,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("caller (-want +got):\n%s", diff)
	}
}

func TestGuests(t *testing.T) {
	s := start(t, newInternet(), entraProvider())
	for _, tt := range []struct {
		name   string
		claims object
		want   bool
	}{
		{"a member", nil, false},
		{"a member by acct", object{"acct": 0}, false},
		{"a guest by acct", object{"acct": 1}, true},
		{"a guest by idp", object{"idp": "https://sts.windows.net/" + otherTenant + "/"}, true},
		{"a member by idp", object{"idp": "https://sts.windows.net/" + tenant + "/"}, false},
		{"a personal account", object{"idp": "live.com"}, true},
	} {
		if got := s.admit(sign(t, with(accessToken(), tt.claims), nil)).Guest; got != tt.want {
			t.Errorf("%s: guest %v", tt.name, got)
		}
	}
}

// TestGroupsInTokens tells no group from groups that are not known.
func TestGroupsInTokens(t *testing.T) {
	s := start(t, newInternet(), entraProvider())
	for _, tt := range []struct {
		name                  string
		claims                object
		complete, unavailable bool
	}{
		{"groups", nil, true, false},
		{"no group", object{"groups": []string{}}, true, false},
		{"no claim", object{"groups": nil}, false, false},
		{"a claim that is no list", object{"groups": "platform"}, false, false},
		{"51 too many", object{"groups": nil, "_claim_names": object{"groups": "src1"}, "_claim_sources": object{"src1": object{"endpoint": "https://graph.windows.net/x"}}}, false, true},
		{"51 hasgroups", object{"groups": nil, "hasgroups": true}, false, true},
		{"51 hasgroups as text", object{"groups": nil, "hasgroups": "true"}, false, true},
		{"51 too many, and some", object{"hasgroups": true}, false, true},
	} {
		g := s.admit(sign(t, with(accessToken(), tt.claims), nil)).Groups
		if g.Complete != tt.complete || g.Unavailable != tt.unavailable || g.Complete == (g.Why != "") {
			t.Errorf("%s: %+v", tt.name, g)
		}
	}
}

func TestClaimsOfOthers(t *testing.T) {
	p := oidcProvider()
	p.GroupsClaim, p.RolesClaim = "https://example.com/groups", "realm_access.roles"
	s := start(t, newInternet(), p)
	c := s.admit(sign(t, with(oidcToken(), object{
		"https://example.com/groups": []string{"b", "a"}, "realm_access": object{"roles": []string{"admin"}}, "acr": "gold",
	}), nil))
	if !slices.Equal(c.Groups.IDs, []string{"a", "b"}) || !slices.Equal(c.Roles, []string{"admin"}) || !slices.Equal(c.AuthContexts, []string{"gold"}) {
		t.Errorf("caller %+v", c)
	}
}

// TestSubjectsCannotPretend keeps a subject inside the quotes of its principal.
func TestSubjectsCannotPretend(t *testing.T) {
	s := start(t, newInternet(), oidcProvider())
	c := s.admit(sign(t, with(oidcToken(), object{"sub": `a" || User::"b\`}), nil))
	if want := `User::"https://idp.example.com#a\" || User::\"b\\"`; c.ID != want {
		t.Errorf("the principal is %s, want %s", c.ID, want)
	}
}
