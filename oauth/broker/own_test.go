package broker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// authenticate is what each request of a client costs.
func (s *stage) authenticate(token string) (*oauth.Caller, *oauth.Refusal) {
	r := httptest.NewRequest(http.MethodPost, s.server.URL+"/mcp", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	return current.Authenticate(r)
}

func TestOwn44OnlyTheHeaderCounts(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		_, got := s.signedIn()
		form := url.Values{"access_token": {got.access}}
		if a := s.browser().post(s.server.URL+"/mcp?"+form.Encode(), form); a.status != http.StatusUnauthorized {
			s.Errorf("HTTP %d with the token in query and body", a.status)
		}
		r := httptest.NewRequest(http.MethodPost, s.server.URL+"/mcp", nil)
		r.Header["Authorization"] = []string{"Bearer " + got.access, "Bearer " + got.access}
		if _, refused := s.current.Authenticate(r); refused == nil || refused.Status != http.StatusBadRequest {
			s.Errorf("two headers: %+v", refused)
		}
	})
}

// TestOwn45Forged is about tokens that were not issued as access tokens.
func TestOwn45Forged(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		key := s.privateKey()
		evil, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			s.Fatal(err)
		}
		good, head := part(s, got.access, 1), map[jose.HeaderKey]any{"typ": "at+jwt"}
		with := func(name string, value any) map[string]any {
			c := maps.Clone(good)
			c[name] = value
			return c
		}
		public, err := json.Marshal(s.jwks().Keys[0])
		if err != nil {
			s.Fatal(err)
		}
		parts := strings.Split(got.access, ".")
		text := func(v any) string { raw, _ := json.Marshal(v); return base64.RawURLEncoding.EncodeToString(raw) }
		withKey := func(k any) jose.JSONWebKey { return jose.JSONWebKey{Key: k, KeyID: key.KeyID} }
		page := s.browser().authorize(s.request(client)).form()
		for name, token := range map[string]string{
			"alg none":                       text(map[string]any{"alg": "none", "typ": "at+jwt", "kid": key.KeyID}) + "." + parts[1] + ".",
			"HS256 with the public key":      signed(s, withKey([]byte(public)), jose.HS256, head, good),
			"the key's id, another key":      signed(s, withKey(evil), jose.ES256, head, good),
			"another key and id":             signed(s, jose.JSONWebKey{Key: evil, KeyID: "evil"}, jose.ES256, head, good),
			"its own key in the header":      signed(s, withKey(evil), jose.ES256, map[jose.HeaderKey]any{"typ": "at+jwt", "jwk": jose.JSONWebKey{Key: &evil.PublicKey}}, good),
			"a URL of keys in the header":    signed(s, withKey(evil), jose.ES256, map[jose.HeaderKey]any{"typ": "at+jwt", "jku": s.server.URL + "/jwks"}, good),
			"another payload":                parts[0] + "." + text(with("sub", "bob")) + "." + parts[2],
			"another session's":              parts[0] + "." + text(with("sid", "AAAAAAAAAAAAAAAAAAAAAA")) + "." + parts[2],
			"no signature":                   parts[0] + "." + parts[1] + ".",
			"the gateway's, of another type": signed(s, key, jose.ES256, map[jose.HeaderKey]any{"typ": "JWT"}, good),
			"the gateway's, without a type":  signed(s, key, jose.ES256, nil, good),
			"for another audience":           signed(s, key, jose.ES256, head, with("aud", "https://other.example/mcp")),
			"for several audiences":          signed(s, key, jose.ES256, head, with("aud", []string{s.server.URL + "/mcp", "x"})),
			"for the gateway as a whole":     signed(s, key, jose.ES256, head, with("aud", s.server.URL)),
			"of another issuer":              signed(s, key, jose.ES256, head, with("iss", "https://other.example")),
			"of another client":              signed(s, key, jose.ES256, head, with("client_id", s.register())),
			"of no session":                  signed(s, key, jose.ES256, head, with("sid", "")),
			"without an end":                 signed(s, key, jose.ES256, head, with("exp", 0)),
			"from the future":                signed(s, key, jose.ES256, head, with("iat", time.Now().Add(time.Minute).Unix())),
			"a refresh token":                got.refresh,
			"a client id":                    client,
			"what a client id signs":         strings.TrimPrefix(client, "mcpagg."),
			"a form":                         page.Get("request"),
			"an ID token":                    s.idTokenFor(s.app.ClientID),
			"the provider's tokens":          m.got[0],
			"the provider's other token":     m.got[1],
			"17 KiB":                         got.access + strings.Repeat("A", 17<<10),
		} {
			for range 2 { // the second time it may be known
				if c, refused := s.authenticate(token); refused == nil || refused.Status != http.StatusUnauthorized || !strings.Contains(refused.Challenge, "invalid_token") {
					s.Errorf("%s: %+v %+v", name, c, refused)
				}
			}
		}
		s.works(signed(s, key, jose.ES256, head, good), true) // or all of these prove nothing
	})
}

// TestOwn55 is about claims that two readers could understand in two ways.
func TestOwn55Duplicates(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		_, got := s.signedIn()
		key := s.privateKey()
		text, _ := json.Marshal(part(s, got.access, 1))
		for name, payload := range map[string]string{
			"duplicate members": `{"sub": "x", ` + string(text[1:]),
			"no UTF-8":          `{"x": "` + "\xff" + `", ` + string(text[1:]),
			"a list":            "[" + string(text) + "]",
		} {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("at+jwt"))
			if err != nil {
				s.Fatal(err)
			}
			signature, err := signer.Sign([]byte(payload))
			if err != nil {
				s.Fatal(err)
			}
			token, err := signature.CompactSerialize()
			if err != nil {
				s.Fatal(err)
			}
			if _, refused := s.authenticate(token); refused == nil || refused.Status != http.StatusUnauthorized {
				s.Errorf("%s: %+v", name, refused)
			}
		}
	})
}

func TestOwn49Expires(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		_, got := s.signedIn()
		time.Sleep(15*time.Minute + 9*time.Second)
		s.works(got.access, true) // within the skew
		time.Sleep(2 * time.Second)
		s.works(got.access, false)
		s.logs("INFO", "it has expired")
	})
}

func TestOwnAfterThePublicURLChanged(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client, got := s.signedIn()
		other, err := url.Parse("https://mcp.example.com")
		if err != nil {
			s.Fatal(err)
		}
		change := s.changeSignIn
		s.changeSignIn = func(o *oauth.Options) { change(o); o.PublicURL = other }
		s.configure(func(o *broker.Options) { o.PublicURL = other })
		s.works(got.access, false)
		s.logs("WARN", "which the gateway was called before")
		s.works(s.refresh(client, got.refresh).tokens(s).access, true) // nobody signs in again
	})
}

// TestOwn52SessionEnds is about requests that are under way when a session ends.
func TestOwn52SessionEnds(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		_, got := s.signedIn()
		c, refused := s.authenticate(got.access)
		if refused != nil {
			s.Fatal(refused.Message)
		}
		select {
		case <-c.Ended:
			s.Fatal("it has ended before")
		default:
		}
		if again, _ := s.authenticate(got.access); again != c {
			s.Error("a known token makes another caller")
		}
		if n, err := s.state.Revoke(t.Context(), broker.Match{ID: c.Session}); n != 1 || err != nil {
			s.Fatal(n, err)
		}
		select {
		case <-c.Ended:
		default:
			s.Error("the caller goes on")
		}
		s.works(got.access, false)
	})
}

// TestOwnNeverWaitsForTheDisk closes the store below the gateway.
func TestOwnNeverWaitsForTheDisk(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client, known := s.signedIn()
		s.works(known.access, true)
		unseen := s.refresh(client, known.refresh).tokens(s)
		if err := s.store.Close(); err != nil {
			s.Fatal(err)
		}
		before := time.Now()
		for name, token := range map[string]string{"known": known.access, "new": unseen.access} {
			if _, refused := s.authenticate(token); refused != nil {
				s.Errorf("the %s token is refused: %s", name, refused.Message)
			}
		}
		if took := time.Since(before); took != 0 {
			s.Errorf("it waited for %s", took)
		}
		s.refresh(client, unseen.refresh).refused(s, http.StatusServiceUnavailable, "temporarily_unavailable")
		s.logs("ERROR", "store.dir")
		n, err := s.state.Revoke(t.Context(), broker.Match{Person: "Alice Example"})
		if n != 1 || err == nil {
			s.Errorf("%d sessions ended, and the error is %v", n, err)
		}
		s.works(unseen.access, false) // cut off here, at least
		if s.state.Status().Err == nil {
			s.Error("the status does not say that the store cannot be written")
		}
	})
}

// TestOwn48Strangers has a thousand tokens with keys that nobody knows.
func TestOwn48Strangers(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		_, got := s.signedIn()
		evil, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			s.Fatal(err)
		}
		before := len(s.fake.Journal())
		for i := range 1000 {
			claims := part(s, got.access, 1)
			if i%2 == 0 {
				claims["iss"] = s.fake.Issuer(s.fake.TenantID())
			}
			key := jose.JSONWebKey{Key: evil, KeyID: strconv.Itoa(i)}
			if _, refused := s.authenticate(signed(s, key, jose.ES256, map[jose.HeaderKey]any{"typ": "at+jwt"}, claims)); refused == nil || refused.Status != http.StatusUnauthorized {
				s.Fatalf("%+v", refused)
			}
		}
		if asked := s.fake.Journal()[before:]; len(asked) != 0 {
			s.Errorf("the provider was asked %d times", len(asked))
		}
		s.works(got.access, true)
	})
}

// TestOwn51Overage is about groups that are too many for the ID token, where Graph
// may not be asked.
func TestOwn51Overage(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		one, two := s.fake.AddGroup(fakeentra.Group{Name: "one"}), s.fake.AddGroup(fakeentra.Group{Name: "two"})
		s.fake.ChangeUser(alice, func(u *fakeentra.User) { u.Groups = []string{one.ID, two.ID} })
		s.fake.Switch(func(sw *fakeentra.Switches) { sw.OverageAt = 1 })
		client, got := s.signedIn()
		c, status := s.mcp(got.access)
		if status != http.StatusOK || c.Groups.Complete || !c.Groups.Unavailable || c.Groups.Why == "" {
			s.Errorf("HTTP %d for %+v", status, c)
		}
		s.fake.Switch(func(sw *fakeentra.Switches) { sw.OverageAt = 0 })
		if c, _ := s.mcp(s.refresh(client, got.refresh).tokens(s).access); !c.Groups.Complete || len(c.Groups.IDs) != 2 {
			s.Errorf("the groups are %+v", c.Groups)
		}
	})
}

// TestOwn53HostMeansNothing is about what a proxy, or a stranger, says of the host.
func TestOwn53HostMeansNothing(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		for _, path := range []string{
			"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/oauth-protected-resource/mcp", "/mcp", "/me", "/oauth2/authorize",
		} {
			r, err := http.NewRequest(http.MethodGet, s.server.URL+path, nil)
			if err != nil {
				s.Fatal(err)
			}
			r.Host = "evil.example"
			r.Header.Set("X-Forwarded-Host", "evil.example")
			r.Header.Set("X-Forwarded-Proto", "https")
			r.Header.Set("Forwarded", "host=evil.example;proto=https")
			a := s.browser().do(r)
			if said := a.body + a.header.Get("WWW-Authenticate") + a.header.Get("Location"); strings.Contains(said, "evil.example") {
				s.Errorf("%s: HTTP %d %s", path, a.status, said)
			}
		}
	})
}
