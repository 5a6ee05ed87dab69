package doctor_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/doctor"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/authserver"
	oauthclient "github.com/mcpagg/mcpagg/oauth/client"
)

const callback = "/oauth2/callback"

// newBrokerStage is a stage on which the gateway signs people in itself, with nothing
// wrong.
func newBrokerStage(t *testing.T) *stage {
	t.Helper()
	s := newStage(t)
	s.registered, s.secret = []string{s.gateway.URL + callback}, "right"
	s.opts.SignIn.Facade = nil
	s.opts.SignIn.Providers[0].Behind = true
	s.opts.SignIn.Providers[0].Audiences = []string{gatewayClient}
	s.opts.Broker = &doctor.Broker{
		Credential: oauthclient.Credential{ClientID: gatewayClient, Secret: func(context.Context) (string, error) { return "right", nil }},
		Callback:   callback, Documents: true, Store: filepath.Join(t.TempDir(), "state"),
	}
	s.opts.New = newBroker
	signIn := newBroker(s.opts.SignIn)
	s.serve = func(http.Handler) http.Handler { return gatewayOf(signIn) }
	return s
}

const gatewayClient = "7e6f5a4b-0000-4000-8000-000000000000"

// newBroker is a gateway that has the metadata and keys of an authorization server.
func newBroker(o oauth.Options) *oauth.SignIn {
	server := authserver.New(o.PublicURL, slog.New(slog.DiscardHandler))
	m := server.Metadata([]string{"mcp.access"})
	m.JWKSURI, m.IssParameter, m.ClientDocuments = server.Base+"/oauth2/jwks", true, true
	server.HandleDocument(m, append(authserver.MetadataPaths, authserver.OpenIDPaths...)...)
	server.HandleDocument(map[string]any{"keys": []map[string]string{{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k", "x": "x", "y": "y"}}}, "/oauth2/jwks")
	o.Facade = server
	return oauth.New(o, nil)
}

// TestHealthyBroker has nothing wrong: every check says what it has seen.
func TestHealthyBroker(t *testing.T) {
	s := newBrokerStage(t)
	_, got := s.examine(t)
	want := `ok configuration: contoso: broker, with people of https://entra/` + tenant + `/v2.0
ok configuration: contoso: the client ` + gatewayClient + ` there has to have the redirect URI https://gateway/oauth2/callback, on the platform Web
ok metadata: contoso: the issuer is https://entra/` + tenant + `/v2.0, as configured
ok keys: contoso: key-1 (RSA 2048)
ok clock: within 5s of contoso's
ok clients: clients register by themselves, or by the URL of a document, which the gateway fetches from the internet
ok gateway: a request without a token is told where to sign in
ok gateway: /.well-known/oauth-protected-resource/mcp is as it should be
ok gateway: /.well-known/oauth-protected-resource is as it should be
ok gateway: /.well-known/oauth-authorization-server is as it should be
ok gateway: /.well-known/openid-configuration is as it should be
ok gateway: /oauth2/jwks has 1 of the gateway's keys (ES256)
ok sign-in: the gateway, https://gateway/oauth2/callback: Entra shows its sign-in page
ok credential: contoso knows the gateway by its credential
ok refresh: contoso is asked for refresh tokens
ok store: ` + s.opts.Broker.Store + ` is not there yet; the gateway makes it
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// asOIDC has the same provider be none of Entra's.
func (s *stage) asOIDC() {
	p := &s.opts.SignIn.Providers[0]
	p.Entra, p.Issuer = nil, s.entra.URL+"/"+tenant+"/v2.0"
}

// TestBrokerProblems makes one thing wrong each time, and wants it said.
func TestBrokerProblems(t *testing.T) {
	secret := func(text string) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return text, nil }
	}
	for name, test := range map[string]struct {
		spoil func(*stage)
		want  string // a line, or its beginning
	}{
		"redirect URI that is not registered": {
			func(s *stage) { s.registered = nil },
			"problem sign-in: the gateway, https://gateway/oauth2/callback: AADSTS50011 -> Add exactly this URI to the app under Authentication, on the platform Web.",
		},
		"app that there is not": {
			func(s *stage) { s.refuse = func(url.Values) int { return 700016 } },
			"problem sign-in: the gateway, https://gateway/oauth2/callback: AADSTS700016 -> The tenant has no app",
		},
		"wrong secret": {
			func(s *stage) { s.opts.Broker.Credential.Secret = secret("wrong") },
			"problem credential: contoso does not believe that the gateway is its client: invalid_client (AADSTS7000215) -> The client secret is wrong or has expired.",
		},
		"wrong secret, for several tenants": {
			func(s *stage) {
				s.asOIDC()
				s.opts.Broker.Credential.Secret = secret("wrong")
			},
			"problem credential: contoso does not believe that the gateway is its client: invalid_client (AADSTS7000215)",
		},
		"no certificate": {
			func(s *stage) {
				s.opts.Broker.Credential.Secret, s.opts.Broker.Credential.CertificateFile = nil, "/nowhere/mcpagg.pem"
			},
			"problem credential: contoso: /nowhere/mcpagg.pem: no such file or directory -> Correct what client_secret, certificate_file",
		},
		"a code is not redeemed, which is as it should be": {
			(*stage).asOIDC, "ok credential: contoso knows the gateway by its credential",
		},
		"another provider's page": {
			func(s *stage) { s.asOIDC(); s.refuse = func(url.Values) int { return 0 } },
			"ok sign-in: the gateway, https://gateway/oauth2/callback: contoso shows its sign-in page",
		},
		"another provider that refuses the redirect URI": {
			func(s *stage) {
				s.asOIDC()
				s.metadata = map[string]any{"authorization_endpoint": s.entra.URL + "/nowhere"}
			},
			"problem sign-in: the gateway, https://gateway/oauth2/callback: contoso answers HTTP 400 -> Register exactly this redirect URI",
		},
		"another provider that refuses a parameter": {
			func(s *stage) {
				s.asOIDC()
				s.opts.Broker.Parameters = map[string]string{"resource": "https://x"}
			},
			"problem sign-in: the gateway, https://gateway/oauth2/callback: contoso refuses: invalid_target, AADSTS9010010",
		},
		"token endpoint that fails": {
			func(s *stage) {
				s.asOIDC()
				s.metadata = map[string]any{"token_endpoint": s.gateway.URL + "/nowhere"}
			},
			"warning credential: contoso answers HTTP 404 at its token endpoint",
		},
		"no refresh tokens": {
			func(s *stage) { s.metadata = map[string]any{"grant_types_supported": []string{"authorization_code"}} },
			"warning refresh: contoso does not list the grant type refresh_token",
		},
		"another way to refresh tokens": {
			func(s *stage) {
				s.metadata = map[string]any{"scopes_supported": []string{"openid", "profile", "email"}}
			},
			"warning refresh: contoso does not list the scope offline_access",
		},
		"not asked for refresh tokens": {
			func(s *stage) { s.opts.Broker.Request = []string{"openid"} },
			"warning refresh: the gateway does not ask contoso for refresh tokens",
		},
		"asked for them as Google is": {
			func(s *stage) {
				s.opts.Broker.Request, s.opts.Broker.Parameters = []string{"openid"}, map[string]string{"access_type": "offline"}
			},
			"ok refresh: contoso is asked for refresh tokens",
		},
		"gateway of another configuration": {
			func(s *stage) {
				s.serve = func(http.Handler) http.Handler {
					other := s.opts.SignIn
					return gatewayOf(oauth.New(other, nil))
				}
			},
			"problem gateway: https://gateway/.well-known/oauth-authorization-server",
		},
		"keys of something else": {
			func(s *stage) {
				ours := newBroker(s.opts.SignIn)
				s.serve = func(http.Handler) http.Handler {
					mux := http.NewServeMux()
					mux.Handle("/", gatewayOf(ours))
					mux.HandleFunc("/oauth2/jwks", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"keys": s.keys}) })
					return mux
				}
			},
			"problem gateway: https://gateway/oauth2/jwks has a key that is none of the gateway's: key-1 (RSA 2048)",
		},
		"no keys": {
			func(s *stage) {
				ours := newBroker(s.opts.SignIn)
				s.serve = func(http.Handler) http.Handler {
					mux := http.NewServeMux()
					mux.Handle("/", gatewayOf(ours))
					mux.Handle("/oauth2/jwks", http.NotFoundHandler())
					return mux
				}
			},
			"problem gateway: https://gateway/oauth2/jwks answers 404 Not Found -> A proxy in front has to pass on",
		},
		"no documents": {
			func(s *stage) { s.opts.Broker.Documents = false },
			"ok clients: clients register by themselves\n",
		},
		"nothing kept": {
			func(s *stage) { s.opts.Broker.Store = "" },
			"ok store: who is signed in is kept in memory only",
		},
		"a token of its own": {
			func(s *stage) { s.opts.Token = token(s, map[string]any{"iss": s.gateway.URL}) },
			"warning token: it is one of the gateway's own, and only the gateway that runs can tell whether it counts",
		},
		"a token of its own that has expired": {
			func(s *stage) { s.opts.Token = token(s, map[string]any{"iss": s.gateway.URL, "exp": 1000000000}) },
			"problem token: it is one of the gateway's own, and has expired",
		},
		"a token of the provider": {
			func(s *stage) { s.opts.Token = token(s, map[string]any{"aud": gatewayClient}) },
			"problem token: the gateway refuses it: it is the identity provider's own",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newBrokerStage(t)
			test.spoil(s)
			report, got := s.examine(t)
			if !strings.Contains("\n"+got, "\n"+test.want) {
				t.Errorf("%q is missing in\n%s", test.want, got)
			}
			if s.opts.Token != "" {
				secretsIn(t, report, s.opts.Token)
			}
		})
	}
}

// TestStore looks at the folder of who is signed in.
func TestStore(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string)
		want    string
	}{
		"unused": {func(*testing.T, string) {}, "ok store: DIR is closed to others, and no gateway has it"},
		"used": {
			func(t *testing.T, dir string) {
				f := create(t, filepath.Join(dir, "store.lock"), 0o600)
				if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
					t.Fatal(err)
				}
			},
			"ok store: DIR is closed to others, and a gateway that runs has it",
		},
		"left behind": {
			func(t *testing.T, dir string) { create(t, filepath.Join(dir, "store.lock"), 0o600) },
			"ok store: DIR is closed to others, and no gateway has it",
		},
		"open to others": {
			func(t *testing.T, dir string) { chmod(t, dir, 0o750) },
			"problem store: others may look into DIR (mode 0750), so the gateway does not start -> chmod 700 DIR",
		},
		"a key that others can read": {
			func(t *testing.T, dir string) { create(t, filepath.Join(dir, "store.key"), 0o640) },
			"problem store: others may read DIR/store.key (mode 0640), so the gateway does not start -> chmod 600 DIR/store.key.",
		},
		"a key of its own": {
			func(t *testing.T, dir string) { create(t, filepath.Join(dir, "store.key"), 0o600) },
			"ok store: DIR is closed to others",
		},
		"a file": {
			func(t *testing.T, dir string) {
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
				create(t, dir, 0o600)
			},
			"problem store: DIR is no folder",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newBrokerStage(t)
			dir := s.opts.Broker.Store
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			test.prepare(t, dir)
			_, got := s.examine(t)
			if got = strings.ReplaceAll(got, dir, "DIR"); !strings.Contains("\n"+got, "\n"+test.want) {
				t.Errorf("%q is missing in\n%s", test.want, got)
			}
		})
	}
}

// create makes a file that is open until the test ends.
func create(t *testing.T, path string, mode os.FileMode) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	chmod(t, path, mode)
	return f
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
