package secrets

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	tenant   = "6c1f6c8e-0000-0000-0000-000000000000"
	clientID = "0b7a2f1c-0000-0000-0000-000000000000"
	version1 = "4387e9f3d6e14c459867679a90fd0f79"
)

// An azure stands in for the three servers of a Key Vault's client: the vault
// itself, with its challenge, the token endpoint of Microsoft Entra, and the
// metadata service of a machine (IMDS).
type azure struct {
	*httptest.Server

	mu      sync.Mutex
	log     []string
	logins  map[string]string // what a token request must hold, by grant parameter
	secrets map[string]string // by name or name/version
	fail    func(w http.ResponseWriter, r *http.Request) bool
}

func newAzure(t *testing.T) *azure {
	a := &azure{secrets: map[string]string{"github": "ghp_two", "github/" + version1: "ghp_one"}}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

// RoundTrip sends all requests to the stand-in, whatever their host.
func (a *azure) RoundTrip(req *http.Request) (*http.Response, error) {
	to, err := url.Parse(a.URL)
	if err != nil {
		return nil, err
	}
	sent := req.Clone(req.Context())
	sent.Header.Set("X-Scheme", req.URL.Scheme)
	sent.Host, sent.URL.Scheme, sent.URL.Host = req.URL.Host, to.Scheme, to.Host
	return a.Client().Transport.RoundTrip(sent)
}

func (a *azure) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = append(a.log, r.Method+" "+r.Host+r.URL.Path)
	switch {
	case a.fail != nil && a.fail(w, r):
	case r.Header.Get("X-Scheme") == "http" && r.Host == "169.254.169.254":
		a.metadata(w, r)
	case r.Host == "login.microsoftonline.com" && r.URL.Path == "/"+tenant+"/oauth2/v2.0/token":
		a.token(w, r)
	case r.Host == "login.microsoftonline.com" && strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		base := "https://login.microsoftonline.com/" + tenant
		reply(w, 200, map[string]any{
			"authorization_endpoint": base + "/oauth2/v2.0/authorize",
			"token_endpoint":         base + "/oauth2/v2.0/token", "issuer": base + "/v2.0",
		})
	case r.Host == "contoso.vault.azure.net" && r.Header.Get("X-Scheme") == "https":
		a.vault(w, r)
	default:
		http.Error(w, "not expected: "+r.Method+" "+r.Host+r.URL.String(), http.StatusTeapot)
	}
}

// metadata is the token endpoint of a machine.
func (a *azure) metadata(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case r.Header.Get("Metadata") != "true" || q.Get("resource") != "https://vault.azure.net":
		reply(w, 400, map[string]any{"error": "invalid_request", "error_description": "Required metadata header not specified"})
	case q.Get("client_id") != "" && q.Get("client_id") != clientID:
		reply(w, 400, map[string]any{"error": "invalid_request", "error_description": "Identity not found"})
	default:
		reply(w, 200, map[string]any{
			"access_token": "access", "expires_in": "86399", "expires_on": fmt.Sprint(time.Now().Add(24 * time.Hour).Unix()),
			"resource": "https://vault.azure.net", "token_type": "Bearer",
		})
	}
}

// token is the token endpoint of Entra, for client credentials.
func (a *azure) token(w http.ResponseWriter, r *http.Request) {
	for name, want := range a.logins {
		if got := r.FormValue(name); got != want && (want != "*" || got == "") {
			reply(w, 401, map[string]any{
				"error":             "invalid_client",
				"error_description": "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 0 Timestamp: 0. Got " + got,
				"error_codes":       []int{7000215},
			})
			return
		}
	}
	if r.FormValue("grant_type") != "client_credentials" || !strings.Contains(r.FormValue("scope"), "https://vault.azure.net/.default") {
		reply(w, 400, map[string]any{"error": "invalid_request", "error_description": "AADSTS900144"})
		return
	}
	reply(w, 200, map[string]any{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "access"})
}

func (a *azure) vault(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer access" {
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/`+tenant+`", resource="https://vault.azure.net"`)
		keyVaultError(w, 401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
		return
	}
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/secrets/"), "/")
	value, ok := a.secrets[name]
	switch {
	case r.URL.Query().Get("api-version") == "":
		keyVaultError(w, 400, "BadParameter", "api-version must be specified")
	case name == "denied":
		keyVaultError(w, 403, "Forbidden", "Caller is not authorized to perform action on resource.\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'")
	case name == "disabled":
		keyVaultError(w, 403, "Forbidden", "Operation get is not allowed on a disabled secret.")
	case !ok:
		keyVaultError(w, 404, "SecretNotFound", "A secret with (name/id) "+name+" was not found in this key vault.")
	default:
		reply(w, 200, map[string]any{"value": value, "id": "https://contoso.vault.azure.net/secrets/github/" + version1, "attributes": map[string]any{"enabled": true}})
	}
}

func keyVaultError(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, map[string]any{"error": map[string]any{"code": code, "message": message}})
}

func (a *azure) requests() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	log := strings.Join(a.log, ", ")
	a.log = nil
	return log
}

func (a *azure) keyVault(t *testing.T, opts KeyVaultOptions) *KeyVault {
	t.Helper()
	u, err := url.Parse("https://contoso.vault.azure.net")
	must(t, err)
	opts.URL = u
	k := NewKeyVault(opts)
	k.client.Transport = boundedAnswers{a}
	return k
}

// certificate writes one with its key, as PEM.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mcpagg"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	return written(t, string(text))
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestKeyVaultIdentities(t *testing.T) {
	const (
		challenge = "GET contoso.vault.azure.net/secrets/github/"
		entra     = "POST login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token"
		imds      = "GET 169.254.169.254/metadata/identity/oauth2/token"
		assertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	)
	for name, test := range map[string]struct {
		opts   KeyVaultOptions
		logins map[string]string
		want   string
		asked  string // for the token
	}{
		"client secret": {
			KeyVaultOptions{TenantID: tenant, ClientID: clientID, ClientSecret: constant("client-secret-1")},
			map[string]string{"client_id": clientID, "client_secret": "client-secret-1"},
			"ghp_two", entra,
		},
		"certificate": {
			KeyVaultOptions{TenantID: tenant, ClientID: clientID, CertificateFile: certificate(t)},
			map[string]string{"client_id": clientID, "client_assertion_type": assertion, "client_assertion": "*"},
			"ghp_two", entra,
		},
		"workload identity": {
			KeyVaultOptions{TenantID: tenant, ClientID: clientID, FederatedTokenFile: written(t, "eyJ.k8s.sig")},
			map[string]string{"client_id": clientID, "client_assertion_type": assertion, "client_assertion": "eyJ.k8s.sig"},
			"ghp_two", entra,
		},
		"machine":         {KeyVaultOptions{}, nil, "ghp_two", imds},
		"user-assigned":   {KeyVaultOptions{ClientID: clientID}, nil, "ghp_two", imds},
		"wrong client id": {KeyVaultOptions{ClientID: tenant}, nil, "down: the gateway's own sign-in failed with HTTP 400: Identity not found", imds},
		"wrong secret": {
			KeyVaultOptions{TenantID: tenant, ClientID: clientID, ClientSecret: constant("client-secret-0")},
			map[string]string{"client_secret": "client-secret-1"},
			"down: the gateway's own sign-in failed with HTTP 401: AADSTS7000215: Invalid client secret provided. Trace ID: 0 Timestamp: 0. Got [redacted]", entra,
		},
		"no certificate": {
			KeyVaultOptions{TenantID: tenant, ClientID: clientID, CertificateFile: written(t, "hunter2hunter2")},
			nil,
			"down: who the gateway is for the Key Vault: certificate_file holds no certificate with its private key as PEM, or as PKCS #12 without a password", "",
		},
		"no file": {
			KeyVaultOptions{TenantID: tenant, ClientID: clientID, CertificateFile: "/no/such/file"},
			nil,
			"down: certificate_file for the Key Vault: no such file or directory", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAzure(t)
			a.logins = test.logins
			k := a.keyVault(t, test.opts)
			expect(t, fetch(t, k, "github"), test.want)
			var asked []string
			for request := range strings.SplitSeq(a.requests(), ", ") {
				if request != challenge && !strings.Contains(request, "openid-configuration") && request != "" {
					asked = append(asked, request)
				}
			}
			expect(t, strings.Join(asked, ", "), test.asked)
			if test.want == "ghp_two" {
				expect(t, fetch(t, k, "github"), "ghp_two")
				expect(t, a.requests(), challenge) // with the token that it has
			}
		})
	}
}

func TestKeyVaultReads(t *testing.T) {
	k := newAzure(t).keyVault(t, KeyVaultOptions{})
	for name, want := range map[string]string{
		"github":             "ghp_two",
		"github/" + version1: "ghp_one",
		"missing":            "refused: the Key Vault has no such secret, or no such version of it",
		"denied":             "refused: the Key Vault does not give the secret to the gateway: Caller is not authorized to perform action on resource. Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'",
		"disabled":           "refused: the Key Vault does not give the secret to the gateway: Operation get is not allowed on a disabled secret.",
		"../keys":            "refused: a name there is made of letters, digits and -, with a version after / if need be",
	} {
		expect(t, fetch(t, k, name), want)
	}
}

func TestKeyVaultClientSecretRotates(t *testing.T) {
	a := newAzure(t)
	a.logins = map[string]string{"client_secret": "client-secret-2"}
	path := written(t, "client-secret-1\n")
	files := NewCache(File{Dir: filepath.Dir(path)}, Options{TTL: time.Nanosecond})
	defer files.Close()
	secret := func(ctx context.Context) (string, error) { return files.Get(ctx, filepath.Base(path)) }
	k := a.keyVault(t, KeyVaultOptions{TenantID: tenant, ClientID: clientID, ClientSecret: secret})
	if got := fetch(t, k, "github"); !strings.Contains(got, "AADSTS7000215") {
		t.Errorf("with the old secret: %s", got)
	}
	must(t, os.WriteFile(path, []byte("client-secret-2\n"), 0o600))
	expect(t, fetch(t, k, "github"), "ghp_two")
}

func TestKeyVaultFails(t *testing.T) {
	vaultOnly := func(f http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Host != "contoso.vault.azure.net" {
				return false
			}
			f(w, r)
			return true
		}
	}
	challenge := func(with string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", with)
			w.WriteHeader(401)
		}
	}
	for name, test := range map[string]struct {
		fail http.HandlerFunc
		want string
	}{
		"throttled": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "20")
			keyVaultError(w, 429, "Throttled", "Request was not processed because too many requests were received.")
		}, "down: the Key Vault answered HTTP 429 (busy): Request was not processed because too many requests were received."},
		"broken": {func(w http.ResponseWriter, _ *http.Request) {
			keyVaultError(w, 500, "Internal", strings.Repeat("no ", 1000))
		}, "down: the Key Vault answered HTTP 500: " + strings.Repeat("no ", 66) + "no…"},
		"another's challenge": {
			challenge(`Bearer authorization="https://login.microsoftonline.com/` + tenant + `", resource="https://storage.azure.com"`),
			`down: the Key Vault cannot be read: challenge resource "https://storage.azure.com" doesn't match the requested domain`,
		},
		"no challenge":        {challenge(""), "down: the Key Vault answered HTTP 401"},
		"malformed challenge": {challenge(`Bearer authorization="x", resource="https://vault.azure.net"`), "down: the vault's answer makes no sense"},
		"flood": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"value":"`+strings.Repeat("x", 2<<20)+`"}`)
		}, "down: the Key Vault cannot be read: "},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere/", http.StatusFound)
		}, "down: the Key Vault answered HTTP 302"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAzure(t)
			a.fail = vaultOnly(test.fail)
			got := fetch(t, a.keyVault(t, KeyVaultOptions{}), "github")
			if !strings.HasPrefix(got, test.want) || len(got) > 400 || strings.ContainsAny(got, "\r\n") {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	t.Run("left alone", func(t *testing.T) {
		a := newAzure(t)
		a.fail = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "20")
			keyVaultError(w, 429, "Throttled", "")
			return true
		}
		_, err := a.keyVault(t, KeyVaultOptions{}).Get(t.Context(), "github")
		if pause := pauseAfter(err); pause != 20*time.Second {
			t.Errorf("left alone for %v after %v", pause, err)
		}
	})
}

// The metadata address is never asked through a proxy.
func TestNoProxyForMetadata(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.contoso.com:3128")
	for _, host := range []string{"169.254.169.254", "127.0.0.1:40342"} {
		req, err := http.NewRequest(http.MethodGet, "http://"+host+"/metadata", nil)
		must(t, err)
		if proxy, err := proxyUnlessLocal(req); proxy != nil || err != nil {
			t.Errorf("%s is asked through %v (%v)", host, proxy, err)
		}
	}
}

func FuzzKeyVaultName(f *testing.F) {
	f.Add("github/" + version1)
	f.Add("../x?y")
	f.Fuzz(func(t *testing.T, name string) {
		if CheckKeyVaultName(name) == nil && strings.ContainsAny(name, "?#%. \\") {
			t.Errorf("%q is a name", name)
		}
	})
}
