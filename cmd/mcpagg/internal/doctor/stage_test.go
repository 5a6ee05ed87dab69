package doctor_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/doctor"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/compat"
	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

const (
	tenant = "6c1f6c8e-0000-4000-8000-000000000000"
	client = "0b7a2f1c-0000-4000-8000-000000000000"
	api    = "9d3e5a7b-0000-4000-8000-000000000000"
	person = "3c2b1a00-0000-4000-8000-000000000000"
)

// A stage is an Entra, whose answers the test says, and a gateway that runs.
type stage struct {
	entra, gateway *httptest.Server
	opts           doctor.Options

	// What Entra does, set before the examination.
	issuer     string                          // in its metadata
	ahead      time.Duration                   // its clock
	keys       []jose.JSONWebKey               // that it publishes
	registered []string                        // redirect URIs
	refuse     func(q url.Values) (code int)   // 0 for the sign-in page
	serve      func(http.Handler) http.Handler // around the gateway
	secret     string                          // of the app that asks Graph, or that the gateway is
	metadata   map[string]any                  // more of it
	known      []string                        // ids of groups
}

var key = sync.OnceValue(func() *rsa.PrivateKey { return newKey(2048) })

func newKey(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func publicKey(id string, k *rsa.PrivateKey) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: id, Use: "sig", Key: &k.PublicKey}
}

// newStage starts both, in the mode entra-compat and with nothing wrong.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{keys: []jose.JSONWebKey{publicKey("key-1", key())}}
	for _, c := range doctor.Clients {
		s.registered = append(s.registered, c.Redirects...)
	}
	s.entra = httptest.NewServer(s)
	t.Cleanup(s.entra.Close)
	var behind http.Handler
	s.gateway = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := behind
		if s.serve != nil {
			h = s.serve(h)
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.gateway.Close)
	s.opts.SignIn = s.signIn(t)
	signIn := oauth.New(s.opts.SignIn, nil)
	behind = gatewayOf(signIn)
	s.issuer = s.cloud().IssuerV2(tenant)
	return s
}

func (s *stage) cloud() entra.Cloud {
	return entra.Cloud{Authority: s.entra.URL, STS: s.entra.URL + "/sts", Graph: s.entra.URL + "/graph"}
}

func (s *stage) signIn(t *testing.T) oauth.Options {
	public, err := url.Parse(s.gateway.URL)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	rules := redirect.Rules{Loopback: true, Allowed: slices.Concat(redirect.Vendors["vscode"], redirect.Vendors["cursor"])}
	return oauth.Options{
		PublicURL: public, Log: log,
		Providers: []oauth.Provider{{
			Name: "contoso", Audiences: []string{api}, Scopes: []oauth.Scope{{Name: "mcp.access", Advertised: "mcp.access"}},
			Entra: &oauth.EntraTenant{Cloud: s.cloud(), Tenant: tenant},
		}},
		Facade: compat.New(compat.Options{
			PublicURL: public, Cloud: s.cloud(), Tenant: tenant, ClientID: client, Redirects: rules, Log: log,
			Scopes: []compat.Scope{{Name: "mcp.access", Qualified: api + "/mcp.access"}},
		}),
	}
}

// gatewayOf is a gateway that serves nothing but signing in.
func gatewayOf(s *oauth.SignIn) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/mcp" {
			s.ServeHTTP(w, r)
			return
		}
		_, refused := s.Authenticate(r)
		w.Header().Set("WWW-Authenticate", refused.Challenge)
		w.WriteHeader(refused.Status)
	})
}

// resourceServer puts the stage into the other mode.
func (s *stage) resourceServer() {
	public := s.gateway.URL + "/mcp"
	s.opts.SignIn.Facade = nil
	s.opts.SignIn.Providers[0].Scopes = []oauth.Scope{{Name: "mcp.access", Advertised: public + "/mcp.access"}}
	signIn := oauth.New(s.opts.SignIn, nil)
	s.serve = func(http.Handler) http.Handler { return gatewayOf(signIn) }
}

// ServeHTTP is Entra.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", time.Now().Add(s.ahead).UTC().Format(http.TimeFormat))
	switch path := strings.TrimPrefix(r.URL.Path, "/"+tenant); path {
	case "/v2.0/.well-known/openid-configuration":
		metadata := map[string]any{
			"issuer": s.issuer, "jwks_uri": s.entra.URL + "/" + tenant + "/discovery/v2.0/keys",
			"authorization_endpoint": s.entra.URL + "/" + tenant + "/oauth2/v2.0/authorize", "token_endpoint": s.entra.URL + "/" + tenant + "/oauth2/v2.0/token",
			"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		}
		maps.Copy(metadata, s.metadata)
		answer(w, metadata)
	case "/.well-known/openid-configuration":
		answer(w, map[string]any{"issuer": s.cloud().IssuerV1(tenant), "jwks_uri": s.entra.URL + "/" + tenant + "/discovery/v2.0/keys"})
	case "/discovery/v2.0/keys":
		answer(w, jose.JSONWebKeySet{Keys: s.keys})
	case "/oauth2/v2.0/authorize":
		s.authorize(w, r.URL.Query())
	case "/oauth2/v2.0/token":
		if r.FormValue("client_secret") != s.secret {
			refuse(w, http.StatusUnauthorized, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret.","error_codes":[7000215]}`)
			return
		}
		if r.FormValue("grant_type") == "authorization_code" {
			refuse(w, http.StatusBadRequest, `{"error":"invalid_grant"}`)
			return
		}
		answer(w, map[string]any{"access_token": "graph-token", "token_type": "Bearer", "expires_in": 3600})
	case "/graph/v1.0/groups":
		groups := []map[string]string{}
		for _, id := range s.known {
			groups = append(groups, map[string]string{"id": id, "displayName": "group"})
		}
		answer(w, map[string]any{"value": groups})
	default:
		refuse(w, http.StatusBadRequest, `{"error":"invalid_tenant","error_description":"AADSTS90002: Tenant 'x' not found."}`)
	}
}

func refuse(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

// askGraph gives the gateway a secret of the app that asks Graph, and names for
// groups.
func (s *stage) askGraph(secret string, aliases map[string]string) {
	s.secret = "right"
	s.opts.SignIn.GroupAliases = aliases
	s.opts.SignIn.Providers[0].Entra.Graph = entra.NewGraph(entra.GraphOptions{
		Cloud: s.cloud(), Tenant: tenant, ClientID: client, HTTP: s.entra.Client(),
		Secret: func(context.Context) (string, error) { return secret, nil },
	})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// authorize shows the sign-in page, or an error on a page of its own, or sends
// the error to the client, as Entra does with resource.
func (s *stage) authorize(w http.ResponseWriter, q url.Values) {
	to := q.Get("redirect_uri")
	registered := slices.ContainsFunc(s.registered, func(uri string) bool { return redirect.Match(uri, to) })
	code := 0
	if s.refuse != nil {
		code = s.refuse(q)
	}
	switch {
	case code != 0:
		fmt.Fprintf(w, `<html><script>$Config={"strServiceExceptionMessage":"AADSTS%d: no."}</script></html>`, code)
	case !registered:
		fmt.Fprintf(w, "<html>AADSTS50011: The redirect URI '%s' does not match.</html>", to)
	case q.Get("resource") != "" && !strings.HasPrefix(q.Get("scope"), q.Get("resource")+"/"):
		w.Header().Set("Location", to+"?"+url.Values{"error": {"invalid_target"}, "error_description": {"AADSTS9010010: The resource parameter does not match."}}.Encode())
		w.WriteHeader(http.StatusFound)
	default:
		fmt.Fprint(w, "<html>Sign in</html>")
	}
}

// token signs claims, which replace those of a good token; nil removes one.
func token(s *stage, change map[string]any) string {
	claims := map[string]any{
		"ver": "2.0", "iss": s.cloud().IssuerV2(tenant), "aud": api, "tid": tenant, "oid": person, "sub": "pairwise", "azp": client,
		"scp": "mcp.access", "roles": []string{"Mcp.User"}, "groups": []string{"g-1", "g-2"}, "preferred_username": "ada@contoso.com",
		"iat": time.Now().Unix(), "nbf": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{KeyID: "key-1", Key: key()}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return raw
}

// examine has the doctor look, and gives its findings as lines.
func (s *stage) examine(t *testing.T) (*doctor.Report, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	report := doctor.Examine(ctx, s.opts)
	var b strings.Builder
	for _, f := range report.Findings {
		fmt.Fprintf(&b, "%s %s: %s", f.Verdict, f.Check, f.Seen)
		if f.Remedy != "" {
			b.WriteString(" -> " + f.Remedy)
		}
		b.WriteString("\n")
	}
	text := strings.NewReplacer(s.entra.URL, "https://entra", s.gateway.URL, "https://gateway").Replace(b.String())
	return report, text
}
