package oauth_test

import (
	"testing"

	"github.com/mcpagg/mcpagg/oauth"
)

// FuzzToken sends any text as a token. Whatever it is, it is refused without a
// word of it in the answer, since nobody but the provider can sign.
func FuzzToken(f *testing.F) {
	n := newInternet()
	s := startWith(f, oauth.Options{HTTP: n.client(), Providers: []oauth.Provider{entraProvider(), oidcProvider()}})
	for _, payload := range []object{accessToken(), idToken(), appToken(), oidcToken()} {
		token := sign(f, payload, nil)
		f.Add(token[:len(token)-4] + "AAAA")
	}
	for _, token := range []string{"", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.", "opaque"} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, refused := s.Authenticate(request(token))
		if refused == nil {
			t.Fatalf("admitted %s", c.ID)
		}
		if refused.Status != 401 && refused.Status != 403 {
			t.Errorf("status %d", refused.Status)
		}
		if len(refused.Challenge) > 400 {
			t.Errorf("the challenge has %d bytes", len(refused.Challenge))
		}
	})
}

// FuzzClaims sends any payload, signed by the provider: what comes of it is a
// caller of that provider, or a refusal.
func FuzzClaims(f *testing.F) {
	s := start(f, newInternet(), entraProvider(), oidcProvider())
	for _, payload := range []string{
		`{}`, `{"iss":"https://idp.example.com","aud":"https://mcp.example.com/mcp","sub":"a","scope":"mcp:read mcp:write","iat":1,"exp":9999999999}`,
		`{"iss":"https://login.microsoftonline.com/` + tenant + `/v2.0","aud":["` + api + `"],"tid":"` + tenant + `","oid":"` + alice + `","ver":"2.0","scp":"mcp.access","groups":["a"]}`,
	} {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		r := s.Inspect(t.Context(), signText(t, payload, object{"alg": "RS256", "kid": "key-1"}))
		if (r.Caller == nil) == (r.Problem == nil) {
			t.Fatalf("caller %v, problem %v", r.Caller, r.Problem)
		}
		if r.Caller != nil && r.Caller.Provider != "idp" && r.Caller.Tenant != tenant {
			t.Errorf("caller %+v", r.Caller)
		}
	})
}
