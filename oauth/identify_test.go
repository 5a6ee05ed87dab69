package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

// behindEntra and behindOIDC are providers that the gateway is a client of.
func behindEntra() oauth.Provider {
	p := entraProvider()
	p.Behind = true
	return p
}

func behindOIDC() oauth.Provider {
	return oauth.Provider{Name: "idp", Issuer: oidcIssuer, Behind: true, Audiences: []string{"gateway"}}
}

// oidcIDToken is the payload of an ID token of another provider.
func oidcIDToken() object {
	return object{"iss": oidcIssuer, "aud": "gateway", "sub": "alice", "name": "Alice Example", "iat": time.Now().Unix(), "exp": time.Now().Unix() + 600, "nonce": "n"}
}

func TestIdentify(t *testing.T) {
	for _, tt := range []struct {
		name     string
		provider oauth.Provider
		payload  any
		header   object
		nonce    string
		refused  string // "" if it says who it is
	}{
		{name: "Entra", provider: behindEntra(), payload: with(idToken(), object{"nonce": "n"}), nonce: "n"},
		{name: "Entra's refreshed", provider: behindEntra(), payload: idToken()},
		{name: "another", provider: behindOIDC(), payload: oidcIDToken(), nonce: "n"},
		{name: "another's refreshed", provider: behindOIDC(), payload: with(oidcIDToken(), object{"nonce": nil})},
		{name: "azp is the gateway", provider: behindOIDC(), payload: with(oidcIDToken(), object{"aud": []string{"gateway", "x"}, "azp": "gateway"}), nonce: "n"},

		{name: "23 no nonce", provider: behindEntra(), payload: idToken(), nonce: "n", refused: "nonce"},
		{name: "23 another nonce", provider: behindEntra(), payload: with(idToken(), object{"nonce": "m"}), nonce: "n", refused: "nonce"},
		{name: "23 a nonce that is none", provider: behindOIDC(), payload: with(oidcIDToken(), object{"nonce": 7}), nonce: "n", refused: "nonce"},
		{name: "23 another audience", provider: behindEntra(), payload: with(idToken(), object{"aud": clientApp}), refused: "not for this gateway"},
		{name: "23 another tenant", provider: behindEntra(), payload: with(idToken(), object{"tid": otherTenant}), refused: "(tid)"},
		{name: "23 another tenant's issuer", provider: behindEntra(), payload: with(idToken(), object{"iss": entra.Clouds["global"].IssuerV2(otherTenant), "tid": otherTenant}), refused: "not one of allowed_tenants"},
		{name: "23 no object id", provider: behindEntra(), payload: with(idToken(), object{"oid": nil}), refused: "(oid)"},
		{name: "version 1", provider: behindEntra(), payload: with(idToken(), object{"iss": entra.Clouds["global"].IssuerV1(tenant), "ver": "1.0"}), refused: "identity provider's own"},
		{name: "another client (azp)", provider: behindOIDC(), payload: with(oidcIDToken(), object{"azp": "x"}), refused: "(azp)"},
		{name: "no subject", provider: behindOIDC(), payload: with(oidcIDToken(), object{"sub": nil}), refused: "(sub)"},
		{name: "another issuer", provider: behindOIDC(), payload: with(oidcIDToken(), object{"iss": "https://evil.example"}), refused: "iss"},
		{name: "an access token", provider: behindEntra(), payload: with(accessToken(), object{"azp": nil}), refused: "access token"},
		{name: "a client's access token", provider: behindEntra(), payload: accessToken(), refused: "(azp)"},
		{name: "an access token by its type", provider: behindOIDC(), payload: oidcIDToken(), header: object{"typ": "at+jwt"}, refused: "access token"},
		{name: "a program", provider: behindOIDC(), payload: with(oidcIDToken(), object{"sub": "cli", "azp": "gateway", "client_id": "cli"}), refused: "program"},
		{name: "a logout token", provider: behindOIDC(), payload: with(oidcIDToken(), object{"events": object{}}), refused: "not an access token"},
		{name: "expired", provider: behindOIDC(), payload: with(oidcIDToken(), object{"exp": time.Now().Add(-2 * time.Minute).Unix()}), refused: "expired"},
		{name: "45 none", provider: behindOIDC(), payload: oidcIDToken(), header: object{"alg": "none"}, refused: "not accepted"},
		{name: "45 HS256", provider: behindEntra(), payload: idToken(), header: object{"alg": "HS256"}, refused: "not accepted"},
		{name: "45 an unknown key", provider: behindOIDC(), payload: oidcIDToken(), header: object{"kid": "key-9"}, refused: "key"},
		{name: "55 duplicate members", provider: behindOIDC(), payload: `{"iss": "a", "iss": "b"}`, refused: "duplicate"},
		{name: "more than 32 KiB", provider: behindOIDC(), payload: with(oidcIDToken(), object{"x": strings.Repeat("x", 40<<10)}), refused: "no more than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, newInternet(), tt.provider)
			who, err := s.Identify(t.Context(), sign(t, tt.payload, tt.header), tt.nonce)
			if tt.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("got %v, want an error about %q", err, tt.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := map[bool]string{true: `User::"` + tenant + `/` + alice + `"`, false: `User::"` + oidcIssuer + `#alice"`}[tt.provider.Entra != nil]
			if who.ID() != want || who.Name() != "Alice Example" {
				t.Errorf("it is %s, %s", who.ID(), who.Name())
			}
		})
	}
}

// TestIdentityIsRecalled keeps who somebody is, and nothing of how they signed in.
func TestIdentityIsRecalled(t *testing.T) {
	n := newInternet()
	s := start(t, n, behindEntra())
	who, err := s.Identify(t.Context(), sign(t, with(idToken(), object{
		"nonce": "n", "sid": "s", "uti": "u", "rh": "r", "aio": "a", "acrs": []string{"c1"}, "email": "x@example.com",
	}), nil), "n")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nonce", "sid", "uti", "rh", "aio", "nbf"} {
		if strings.Contains(string(who.Claims()), `"`+name+`"`) {
			t.Errorf("it keeps %s", name)
		}
	}
	again, err := s.Recall(who.Claims())
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != who.ID() || again.Name() != who.Name() || again.Username() != "alice@example.com" {
		t.Errorf("it is %s, %s, %s", again.ID(), again.Name(), again.Username())
	}
	if string(again.Claims()) != string(who.Claims()) {
		t.Error("its claims are others")
	}
	expires := time.Now().Add(time.Hour)
	c, _ := s.Person(t.Context(), again, expires)
	if c.ID != who.ID() || c.Provider != "contoso" || !c.Expires.Equal(expires) || !slices.Equal(c.Groups.IDs, []string{platform}) || !c.Groups.Complete || !slices.Equal(c.Roles, []string{"Mcp.User"}) {
		t.Errorf("the caller is %+v", c)
	}
	other := behindEntra()
	other.Audiences = []string{"another-client"}
	elsewhere := behindEntra()
	elsewhere.Entra.Tenant = otherTenant
	for name, s := range map[string]*signIn{
		"another client of the provider": start(t, n, other), "another tenant": start(t, n, elsewhere),
		"a provider that is not behind": start(t, n, entraProvider()), "another provider": start(t, n, behindOIDC()),
	} {
		if _, err := s.Recall(who.Claims()); err == nil {
			t.Errorf("%s: it still counts", name)
		}
	}
	for _, broken := range []string{"", "{", "[]", `{"iss": 1}`, `{"iss": "a", "iss": "b"}`} {
		if _, err := s.Recall([]byte(broken)); err == nil {
			t.Errorf("%q is somebody", broken)
		}
	}
}

func TestIdentityWithUserinfo(t *testing.T) {
	s := start(t, newInternet(), behindOIDC())
	for _, tt := range []struct {
		name, userinfo string
		wantGroups     []string
		wantName       string
		refused        string
	}{
		{"groups", `{"sub": "alice", "groups": ["a", "b"]}`, []string{"a", "b"}, "Alice Example", ""},
		{"nothing", `{"sub": "alice"}`, nil, "Alice Example", ""},
		{"another name", `{"sub": "alice", "name": "Mallory", "iss": "https://evil.example", "aud": "x"}`, nil, "Alice Example", ""},
		{"another person", `{"sub": "bob", "groups": ["admins"]}`, nil, "", "another person"},
		{"nobody", `{"groups": ["admins"]}`, nil, "", "no subject"},
		{"a subject that is none", `{"sub": ["alice"]}`, nil, "", "no subject"},
		{"duplicate members", `{"sub": "alice", "groups": [], "groups": ["admins"]}`, nil, "", "duplicate"},
		{"a token", "a.b.c", nil, "", "JSON"},
		{"more than 32 KiB", `{"sub": "alice", "x": "` + strings.Repeat("x", 40<<10) + `"}`, nil, "", "fewer groups"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			who, err := s.Identify(t.Context(), sign(t, oidcIDToken(), nil), "n")
			if err != nil {
				t.Fatal(err)
			}
			if !who.NeedsUserinfo() {
				t.Error("nothing is missing")
			}
			more, err := who.With([]byte(tt.userinfo))
			if tt.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("got %v, want an error about %q", err, tt.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c, _ := s.Person(t.Context(), more, time.Now().Add(time.Hour))
			if !slices.Equal(c.Groups.IDs, tt.wantGroups) || c.Name != tt.wantName || c.ID != who.ID() {
				t.Errorf("the caller is %+v", c)
			}
			if again, err := s.Recall(more.Claims()); err != nil || again.ID() != who.ID() {
				t.Errorf("it is not recalled: %v", err)
			}
		})
	}
}

func TestNeedsUserinfo(t *testing.T) {
	complete := with(oidcIDToken(), object{"groups": []string{}, "roles": []string{}})
	for name, tt := range map[string]struct {
		provider oauth.Provider
		payload  object
		want     bool
	}{
		"complete":     {behindOIDC(), complete, false},
		"no groups":    {behindOIDC(), with(complete, object{"groups": nil}), true},
		"no roles":     {behindOIDC(), with(complete, object{"roles": nil}), true},
		"no name":      {behindOIDC(), with(complete, object{"name": nil}), true},
		"Entra's have": {behindEntra(), with(idToken(), object{"nonce": "n", "groups": nil, "roles": nil}), false},
	} {
		who, err := start(t, newInternet(), tt.provider).Identify(t.Context(), sign(t, tt.payload, nil), "n")
		if err != nil {
			t.Fatal(name, err)
		}
		if who.NeedsUserinfo() != tt.want {
			t.Errorf("%s: %t, want %t", name, !tt.want, tt.want)
		}
	}
}

// TestBehind is about tokens of a provider that clients must not send.
func TestBehind(t *testing.T) {
	s := start(t, newInternet(), behindEntra(), oidcProvider())
	for name, payload := range map[string]object{"an access token": accessToken(), "46 an ID token": idToken(), "46 of version 1": with(accessToken(), object{"iss": entra.Clouds["global"].IssuerV1(tenant), "ver": "1.0"})} {
		t.Run(name, func(t *testing.T) {
			s.refuse(sign(t, payload, nil), http.StatusUnauthorized, "the identity provider's own")
		})
	}
	s.admit(sign(t, oidcToken(), nil)) // another block beside it
	if _, err := s.Identify(t.Context(), sign(t, oidcToken(), nil), ""); err == nil {
		t.Error("somebody is identified by a token of a provider that is not behind")
	}
	for issuer, want := range map[string]bool{entra.Clouds["global"].IssuerV2(tenant): true, entra.Clouds["global"].IssuerV2(otherTenant): false, oidcIssuer: false, "": false} {
		if s.IsProvider(issuer) != want {
			t.Errorf("%q is the provider: %t", issuer, !want)
		}
	}
}

func TestProviderMetadata(t *testing.T) {
	n := newInternet()
	n.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s := start(t, n, behindOIDC())
	if m := s.ProviderMetadata(); m != nil {
		t.Errorf("before: %s", m)
	}
	s = start(t, newInternet(), oidcProvider(), behindOIDC())
	if _, err := s.Identify(t.Context(), sign(t, oidcIDToken(), nil), ""); err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(s.ProviderMetadata(), &m); err != nil || m["authorization_endpoint"] != oidcIssuer+"/auth" {
		t.Errorf("it is %v", m)
	}
}

// TestOwn has a gateway that knows tokens of its own.
func TestOwn(t *testing.T) {
	own := &oauth.Caller{ID: `User::"own"`}
	asked := 0
	s := startWith(t, oauth.Options{
		HTTP: newInternet().client(), Providers: []oauth.Provider{oidcProvider()},
		Own: func(_ context.Context, token string) (*oauth.Caller, error) {
			asked++
			switch token {
			case "token-GOOD":
				return own, nil
			case "token-ENDED":
				return nil, oauth.ErrEnded
			case "token-EXPIRED":
				return nil, fmt.Errorf("%w, an hour ago", oauth.ErrExpired)
			case "token-FORGED":
				return nil, errors.New("it is forged")
			}
			return nil, oauth.ErrNotOwn
		},
	})
	if s.admit("token-GOOD") != own {
		t.Error("it is somebody else")
	}
	s.refuse("token-ENDED", http.StatusUnauthorized, `level=INFO msg="refused a token" reason="its session has ended"`)
	s.refuse("token-EXPIRED", http.StatusUnauthorized, `level=INFO msg="refused a token" reason="it has expired`)
	s.refuse("token-FORGED", http.StatusUnauthorized, `level=WARN msg="refused a token" reason="it is forged"`)
	s.admit(sign(t, oidcToken(), nil))
	s.refuse(sign(t, with(oidcToken(), object{"iss": publicURL}), nil), http.StatusUnauthorized, "the gateway issued it, and has forgotten the key")
	s.refuse("opaque-token", http.StatusUnauthorized, "it is not a JWT")
	if asked != 7 {
		t.Errorf("it was asked %d times", asked)
	}
	if _, refused := s.Authenticate(request("")); refused == nil || asked != 7 {
		t.Error("it was asked without a token")
	}
}
