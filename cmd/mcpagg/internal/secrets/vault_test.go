package secrets

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// A vaultServer stands in for a Vault: the paths, headers, bodies and status
// codes are those of its HTTP API (auth/approle, auth/kubernetes, auth/token,
// kv version 2).
type vaultServer struct {
	*httptest.Server

	mu        sync.Mutex
	log       []string                  // of requests
	tokens    map[string]bool           // that are valid
	issued    int                       // so far
	lease     int                       // of a token, in seconds
	renewable bool                      // it is
	secrets   map[string]map[string]any // by path; nil for one whose newest version is deleted
	fail      func(w http.ResponseWriter, r *http.Request) bool
}

func newVaultServer(t *testing.T) *vaultServer {
	s := &vaultServer{tokens: map[string]bool{"hvs.root": true}, lease: 3600, secrets: map[string]map[string]any{
		"github":    {"value": "ghp_one", "user": "octocat"},
		"apps/db x": {"password": "p", "port": 5432, "ssl": true, "options": map[string]any{}, "none": nil},
		"deleted":   nil,
		"forbidden": {"value": "x"},
	}}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *vaultServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	s.log = append(s.log, r.Method+" "+path)
	token := r.Header.Get("X-Vault-Token")
	switch {
	case s.fail != nil && s.fail(w, r):
	case r.Header.Get("X-Vault-Request") != "true" || r.Header.Get("X-Vault-Namespace") != "team/a":
		vaultErrors(w, 400, "missing header")
	case path == "auth/approle/login":
		s.login(w, r, map[string]string{"role_id": "role-id-1", "secret_id": "secret-id-1"}, "invalid role or secret ID: secret-id-0")
	case path == "auth/k8s/login":
		s.login(w, r, map[string]string{"role": "mcpagg", "jwt": "eyJ.jwt.sig"}, "service account name not authorized")
	case !s.tokens[token]:
		vaultErrors(w, 403, "2 errors occurred:\n\t* permission denied\n\t* invalid token "+token+"\n\n")
	case path == "auth/token/lookup-self":
		reply(w, 200, map[string]any{"data": map[string]any{"ttl": s.lease, "renewable": s.renewable}})
	case path == "auth/token/renew-self":
		if !s.renewable {
			vaultErrors(w, 400, "lease is not renewable")
			return
		}
		reply(w, 200, s.auth(token))
	default:
		s.read(w, strings.TrimPrefix(path, "kv/data/"))
	}
}

func (s *vaultServer) login(w http.ResponseWriter, r *http.Request, want map[string]string, complaint string) {
	var got map[string]string
	_ = json.NewDecoder(r.Body).Decode(&got)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		vaultErrors(w, 400, complaint)
		return
	}
	s.issued++
	token := fmt.Sprintf("hvs.issued-%d", s.issued)
	s.tokens[token] = true
	reply(w, 200, s.auth(token))
}

func (s *vaultServer) auth(token string) any {
	return map[string]any{"auth": map[string]any{"client_token": token, "lease_duration": s.lease, "renewable": s.renewable}}
}

func (s *vaultServer) read(w http.ResponseWriter, path string) {
	data, ok := s.secrets[path]
	metadata := map[string]any{"created_time": "2026-11-01T10:00:00Z", "deletion_time": "", "destroyed": false, "version": 3}
	switch {
	case path == "forbidden":
		vaultErrors(w, 403, "1 error occurred:\n\t* permission denied\n\n")
	case !ok:
		vaultErrors(w, 404)
	case data == nil:
		metadata["deletion_time"] = "2026-11-02T10:00:00Z"
		reply(w, 404, map[string]any{"data": map[string]any{"data": nil, "metadata": metadata}})
	default:
		reply(w, 200, map[string]any{"data": map[string]any{"data": data, "metadata": metadata}})
	}
}

func vaultErrors(w http.ResponseWriter, status int, errors ...string) {
	reply(w, status, map[string]any{"errors": append([]string{}, errors...)})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// requests are those since the last call.
func (s *vaultServer) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := strings.Join(s.log, ", ")
	s.log = nil
	return log
}

// change changes what the server does.
func (s *vaultServer) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *vaultServer) vault(t *testing.T, with func(*VaultOptions)) *Vault {
	t.Helper()
	u, err := url.Parse(s.URL)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	opts := VaultOptions{URL: u, Namespace: "team/a", Mount: "kv", RootCAs: pool}
	with(&opts)
	return NewVault(opts)
}

func constant(s string) credential {
	return func(context.Context) (string, error) { return s, nil }
}

func withAppRole(o *VaultOptions) {
	o.AppRole = &AppRole{Mount: "approle", RoleID: constant("role-id-1"), SecretID: constant("secret-id-1")}
}

func TestVaultReads(t *testing.T) {
	s := newVaultServer(t)
	v := s.vault(t, withAppRole)
	for name, want := range map[string]string{
		"github":             "ghp_one",
		"github#user":        "octocat",
		"apps/db x#password": "p",
		"apps/db x#port":     "5432",
		"apps/db x#ssl":      "true",
		"apps/db x#options":  "refused: the field is neither text nor a number",
		"apps/db x#none":     "refused: the field is neither text nor a number",
		"apps/db x":          `refused: the secret "apps/db x" has no field "value"; name one as in "apps/db x#field"`,
		"nothing":            `refused: Vault has no secret "nothing" in the engine "kv"`,
		"kv/github":          `refused: Vault has no secret "kv/github" in the engine "kv"; write the path without "kv/"`,
		"data/github":        `refused: Vault has no secret "data/github" in the engine "kv"; write the path without "data/"`,
		"deleted":            `refused: the newest version of "deleted" was deleted in Vault; undelete it, or write another one`,
		"forbidden":          "refused: Vault does not let the gateway read kv/data/forbidden: 1 error occurred: * permission denied; a policy of its role has to",
		"../sys/health":      "refused: its path has an empty part, or one of dots",
	} {
		expect(t, fetch(t, v, name), want)
	}
	if s.issued != 1 {
		t.Errorf("logged in %d times, want once", s.issued)
	}
}

func TestVaultLogins(t *testing.T) {
	for name, test := range map[string]struct {
		with        func(*VaultOptions)
		want, asked string
	}{
		"approle": {withAppRole, "ghp_one", "POST auth/approle/login, GET kv/data/github"},
		"kubernetes": {func(o *VaultOptions) {
			o.Kubernetes = &Kubernetes{Mount: "k8s", Role: "mcpagg", JWT: constant("eyJ.jwt.sig")}
		}, "ghp_one", "POST auth/k8s/login, GET kv/data/github"},
		"token": {func(o *VaultOptions) { o.Token = constant("hvs.root") }, "ghp_one", "GET auth/token/lookup-self, GET kv/data/github"},
		"wrong approle": {func(o *VaultOptions) {
			o.AppRole = &AppRole{Mount: "approle", RoleID: constant("role-id-1"), SecretID: constant("secret-id-0")}
		}, "down: the AppRole login at auth/approle: Vault answered HTTP 400: invalid role or secret ID: [redacted]", "POST auth/approle/login"},
		"wrong service account": {func(o *VaultOptions) {
			o.Kubernetes = &Kubernetes{Mount: "k8s", Role: "other", JWT: constant("eyJ.jwt.sig")}
		}, "down: the Kubernetes login at auth/k8s: Vault answered HTTP 400: service account name not authorized", "POST auth/k8s/login"},
		"no service account": {func(o *VaultOptions) {
			o.Kubernetes = &Kubernetes{Mount: "k8s", JWT: func(context.Context) (string, error) { return "", errors.New("no such file") }}
		}, "down: jwt for the Kubernetes login to Vault: no such file", ""},
		"wrong token": {
			func(o *VaultOptions) { o.Token = constant("hvs.wrong") },
			"down: Vault does not let the gateway read kv/data/github, and its token is not valid: the configured token has expired, was revoked, or has no policy; configure another one",
			"GET auth/token/lookup-self, GET kv/data/github, GET auth/token/lookup-self",
		},
		"no token": {
			func(o *VaultOptions) { o.Token = constant("hvs.a\nX-Other: b") },
			"down: the token for Vault has characters that no token has", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newVaultServer(t)
			expect(t, fetch(t, s.vault(t, test.with), "github"), test.want)
			expect(t, s.requests(), test.asked)
		})
	}
}

// A token that was revoked is replaced without anybody noticing.
func TestVaultTokenRevoked(t *testing.T) {
	s := newVaultServer(t)
	v := s.vault(t, withAppRole)
	expect(t, fetch(t, v, "github"), "ghp_one")
	s.change(func() { s.tokens = map[string]bool{} })
	_ = s.requests()
	expect(t, fetch(t, v, "github"), "ghp_one")
	expect(t, s.requests(), "GET kv/data/github, GET auth/token/lookup-self, POST auth/approle/login, GET kv/data/github")
	_ = fetch(t, v, "forbidden")
	expect(t, s.requests(), "GET kv/data/forbidden, GET auth/token/lookup-self") // denied is no reason to log in again
}

func TestVaultConfiguredTokenRotates(t *testing.T) {
	s := newVaultServer(t)
	token := "hvs.root"
	v := s.vault(t, func(o *VaultOptions) {
		o.Token = func(context.Context) (string, error) { return token, nil }
	})
	expect(t, fetch(t, v, "github"), "ghp_one")
	s.change(func() { s.tokens = map[string]bool{"hvs.new": true} })
	if got := fetch(t, v, "github"); !strings.HasPrefix(got, "down: ") {
		t.Errorf("with a revoked token: %s", got)
	}
	token = "hvs.new"
	expect(t, fetch(t, v, "github"), "ghp_one")
}

// age makes the token of v older.
func (v *Vault) age(by time.Duration) { v.token.obtained = v.token.obtained.Add(-by) }

func TestVaultTokenAges(t *testing.T) {
	s := newVaultServer(t)
	v := s.vault(t, withAppRole)
	s.renewable = true
	expect(t, fetch(t, v, "github"), "ghp_one")
	_ = s.requests()

	v.age(45 * time.Minute) // of an hour
	expect(t, fetch(t, v, "github"), "ghp_one")
	expect(t, s.requests(), "POST auth/token/renew-self, GET kv/data/github")

	v.age(45 * time.Minute)
	s.change(func() { s.renewable = false }) // its greatest age is reached
	expect(t, fetch(t, v, "github"), "ghp_one")
	expect(t, s.requests(), "POST auth/token/renew-self, POST auth/approle/login, GET kv/data/github")

	v.age(2 * time.Hour)
	expect(t, fetch(t, v, "github"), "ghp_one")
	expect(t, s.requests(), "POST auth/approle/login, GET kv/data/github")
}

func TestVaultFails(t *testing.T) {
	for name, test := range map[string]struct {
		fail http.HandlerFunc
		want string
	}{
		"sealed": {
			func(w http.ResponseWriter, _ *http.Request) { vaultErrors(w, 503, "Vault is sealed") },
			"down: the AppRole login at auth/approle: Vault answered HTTP 503 (sealed, or under maintenance): Vault is sealed",
		},
		"rate limit": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "17")
				vaultErrors(w, 429, `request path "auth/approle/login": rate limit quota exceeded`)
			},
			`down: the AppRole login at auth/approle: Vault answered HTTP 429 (too many requests): request path "auth/approle/login": rate limit quota exceeded`,
		},
		"something else": {
			func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
			"down: the AppRole login at auth/approle brought no token",
		},
		"flood": {
			func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 2<<20)) },
			"down: the answer of Vault is larger than 1 MiB",
		},
		"out of TLS": {
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
			},
			"down: Vault cannot be reached: it redirects from https to http, which is not followed",
		},
		"in a circle": {
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			},
			"down: Vault cannot be reached: it redirects again and again",
		},
		"long complaint": {
			func(w http.ResponseWriter, _ *http.Request) {
				vaultErrors(w, 400, strings.Repeat("no ", 1000)+"\x1b[31m")
			},
			"down: the AppRole login at auth/approle: Vault answered HTTP 400: " + strings.Repeat("no ", 66) + "no…",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newVaultServer(t)
			s.fail = func(w http.ResponseWriter, r *http.Request) bool { test.fail(w, r); return true }
			got := fetch(t, s.vault(t, withAppRole), "github")
			expect(t, got, test.want)
		})
	}
	t.Run("gone", func(t *testing.T) {
		s := newVaultServer(t)
		v := s.vault(t, withAppRole)
		s.Close()
		if got := fetch(t, v, "github"); !strings.Contains(got, "Vault cannot be reached") || !strings.Contains(got, "connection refused") {
			t.Error(got)
		}
	})
	t.Run("unknown authority", func(t *testing.T) {
		s := newVaultServer(t)
		v := s.vault(t, func(o *VaultOptions) { withAppRole(o); o.RootCAs = x509.NewCertPool() })
		if got := fetch(t, v, "github"); !strings.Contains(got, "certificate signed by unknown authority") {
			t.Error(got)
		}
	})
	t.Run("busy", func(t *testing.T) {
		a := vaultAnswer{status: 429, header: http.Header{"Retry-After": {"17"}}}
		if pause := pauseAfter(a.failure("x")); pause != 17*time.Second {
			t.Errorf("left alone for %v", pause)
		}
	})
}

// A standby server sends requests on to the active one.
func TestVaultStandby(t *testing.T) {
	s := newVaultServer(t)
	standby := newVaultServer(t)
	standby.fail = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, s.URL+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}
	v := standby.vault(t, withAppRole)
	expect(t, fetch(t, v, "github"), "ghp_one")
}

// Without TLS, which is for the loopback only, no other host gets the token.
func TestVaultFollowsNobodyWithoutTLS(t *testing.T) {
	for _, test := range []struct {
		from, to string
		ok       bool
	}{
		{"http://127.0.0.1:8200/v1/x", "http://127.0.0.1:8300/v1/x", true},
		{"http://127.0.0.1:8200/v1/x", "https://vault.example/v1/x", true},
		{"http://127.0.0.1:8200/v1/x", "http://vault.example/v1/x", false},
		{"https://vault.example/v1/x", "https://active.example/v1/x", true},
		{"https://vault.example/v1/x", "http://vault.example/v1/x", false},
	} {
		from, err := http.NewRequest(http.MethodGet, test.from, nil)
		must(t, err)
		to, err := http.NewRequest(http.MethodGet, test.to, nil)
		must(t, err)
		if err := followStandby(to, []*http.Request{from}); (err == nil) != test.ok {
			t.Errorf("%s to %s: %v", test.from, test.to, err)
		}
	}
}

func FuzzVaultAnswer(f *testing.F) {
	f.Add(200, []byte(`{"data":{"data":{"value":"x"},"metadata":{"deletion_time":"","destroyed":false}}}`), "github", "value")
	f.Add(404, []byte(`{"errors":[]}`), "github", "value")
	f.Add(200, []byte(`{"auth":{"client_token":"hvs.x","lease_duration":-1}}`), "", "")
	f.Fuzz(func(t *testing.T, status int, body []byte, path, field string) {
		v := &Vault{opts: VaultOptions{Mount: "kv"}}
		a := vaultAnswer{status: status, body: body}
		if value, err := v.field(a, path, field); err == nil && status != http.StatusOK {
			t.Errorf("HTTP %d yields %q", status, value)
		}
		if token, err := a.token("logging in"); err == nil && !isToken(token.text) {
			t.Errorf("%q is no token", token.text)
		}
	})
}

func FuzzVaultName(f *testing.F) {
	f.Add("apps/github#token")
	f.Add("../../sys/seal#x")
	f.Fuzz(func(t *testing.T, name string) {
		if CheckVaultName(name) != nil {
			return
		}
		path, _, _ := strings.Cut(name, "#")
		u, err := url.Parse("https://vault.contoso.com:8200/prefix")
		must(t, err)
		if got, want := u.JoinPath("v1", escaped("kv/data/"+path)).Path, "/prefix/v1/kv/data/"+path; got != want {
			t.Errorf("%q leads to %q, want %q", name, got, want)
		}
	})
}
