package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/oauth/client"
)

func TestPublicClient(t *testing.T) {
	p := &provider{}
	e := start(t, p, client.Credential{})
	if post(t, e); !e.Credential.Public() {
		t.Error("it is not public")
	}
	if got := p.took[0]; got.Get("client_id") != app || got.Has("client_secret") || got.Has("client_assertion") || p.got[0].Header.Get("Authorization") != "" {
		t.Errorf("the form is %v", got)
	}
}

// TestBasic takes the header apart as RFC 6749, section 2.3.1, says.
func TestBasic(t *testing.T) {
	for _, secret := range []string{"plain", "with:colon", "a b+c%d/ü&=", `"\`} {
		p := &provider{}
		e := start(t, p, client.Credential{Secret: static(secret), Basic: true})
		e.Credential.ClientID = "https://gw.example.com/client:1"
		post(t, e)
		user, pass, ok := p.got[0].BasicAuth()
		id, errID := url.QueryUnescape(user)
		got, err := url.QueryUnescape(pass)
		if !ok || errID != nil || err != nil || id != e.Credential.ClientID || got != secret {
			t.Errorf("sent were %q and %q, want %q", user, pass, secret)
		}
		if took := p.took[0]; took.Has("client_id") || took.Has("client_secret") {
			t.Errorf("the form is %v", took) // one proof in a request
		}
	}
}

func TestSecretIsReadAnew(t *testing.T) {
	p := &provider{}
	var value string
	var failure error
	e := start(t, p, client.Credential{Secret: func(context.Context) (string, error) { return value, failure }})
	for _, value = range []string{"first", "second"} {
		post(t, e)
		if got := p.took[len(p.took)-1].Get("client_secret"); got != value {
			t.Errorf("the secret was %q, want %q", got, value)
		}
	}
	value = ""
	wantError(t, e, "the client secret: it is empty")
	value, failure = secret, errors.New("Vault is sealed")
	wantError(t, e, "the client secret: Vault is sealed")
	if n := p.asked(); n != 2 {
		t.Errorf("it was asked %d times, want twice", n)
	}
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// certificate is one and its key in PEM, which counts for an hour from begin.
func certificate(t testing.TB, key, public any, begin time.Time) (file string, der []byte) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mcpagg"}, NotBefore: begin, NotAfter: begin.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return string(append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)), der
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.pem")
	p := &provider{}
	e := start(t, p, client.Credential{CertificateFile: file})
	var jtis []string
	for range 2 { // the second is another certificate
		text, der := certificate(t, rsaKey(), rsaKey().Public(), time.Now().Add(-time.Minute))
		write(t, file, text)
		post(t, e)
		form := p.took[len(p.took)-1]
		if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Has("client_secret") || form.Get("client_id") != app {
			t.Errorf("the form is %v", form)
		}
		jtis = append(jtis, checkAssertion(t, form.Get("client_assertion"), der, e.URL))
	}
	if jtis[0] == jtis[1] {
		t.Error("an assertion was used twice")
	}
}

// checkAssertion returns its jti.
func checkAssertion(t *testing.T, assertion string, der []byte, audience string) string {
	t.Helper()
	signed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.PS256})
	if err != nil {
		t.Fatal(err)
	}
	thumbprint := sha256.Sum256(der)
	if got := signed.Signatures[0].Header.ExtraHeaders["x5t#S256"]; got != base64.RawURLEncoding.EncodeToString(thumbprint[:]) {
		t.Errorf("x5t#S256 is %v", got)
	}
	payload, err := signed.Verify(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Iss, Sub, Aud, Jti string
		Iat, Nbf, Exp      int64
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Iss != app || claims.Sub != app || claims.Aud != audience || len(claims.Jti) < 20 {
		t.Errorf("the claims are %+v", claims)
	}
	if life := claims.Exp - claims.Iat; life <= 0 || life > 600 || claims.Nbf > time.Now().Unix() {
		t.Errorf("the assertion is for %d s, from %d", life, claims.Nbf)
	}
	return claims.Jti
}

func TestCertificatesThatCannotBeUsed(t *testing.T) {
	now := time.Now()
	good, _ := certificate(t, rsaKey(), rsaKey().Public(), now)
	late, _ := certificate(t, rsaKey(), rsaKey().Public(), now.Add(time.Hour))
	old, _ := certificate(t, rsaKey(), rsaKey().Public(), now.Add(-2*time.Hour))
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, _ := certificate(t, ec, ec.Public(), now)
	key, cert, _ := strings.Cut(good, "-----BEGIN CERTIFICATE")
	_, other, _ := strings.Cut(curve, "-----BEGIN CERTIFICATE")
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "does not hold a certificate and its private key"},
		{"no key", "-----BEGIN CERTIFICATE" + cert, "does not hold a certificate and its private key"},
		{"no certificate", key, "does not hold a certificate and its private key"},
		{"the key of another", key + "-----BEGIN CERTIFICATE" + other, "does not hold a certificate and its private key"},
		{"elliptic curve", curve, "not RSA"},
		{"not yet", late, "is the clock of this machine right"},
		{"no longer", old, "has expired on"},
		{"large", strings.Repeat("x", 65<<10), "larger than 64 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &provider{}
			file := filepath.Join(t.TempDir(), "app.pem")
			write(t, file, tt.text)
			wantError(t, start(t, p, client.Credential{CertificateFile: file}), tt.want, file)
			if p.asked() != 0 {
				t.Error("the provider was asked")
			}
		})
	}
	wantError(t, start(t, &provider{}, client.Credential{CertificateFile: "/nowhere/app.pem"}), "/nowhere/app.pem: no such file")
}

func TestFederatedToken(t *testing.T) {
	p := &provider{}
	file := filepath.Join(t.TempDir(), "token")
	e := start(t, p, client.Credential{FederatedTokenFile: file})
	for i, want := range []string{"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxIn0.c2ln", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIyIn0.c2ln"} {
		write(t, file, want+"\n")
		post(t, e)
		if got := p.took[i].Get("client_assertion"); got != want {
			t.Errorf("assertion %d is %q, want %q", i, got, want)
		}
	}
	for _, text := range []string{"", "eyJ.x", "eyJ one.two.three", "eyJ.a\x00.b", strings.Repeat("eyJ", 6<<10) + ".a.b"} {
		write(t, file, text)
		wantError(t, e, file, "does not hold a token")
	}
}

func FuzzFederatedToken(f *testing.F) {
	f.Add([]byte("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxIn0.c2ln\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----"))
	file := filepath.Join(f.TempDir(), "token")
	p := &provider{}
	e := start(f, p, client.Credential{FederatedTokenFile: file})
	f.Fuzz(func(t *testing.T, text []byte) {
		write(t, file, string(text))
		before := p.asked()
		if _, err := e.Post(t.Context(), nil); err != nil {
			return
		}
		got := p.took[before].Get("client_assertion")
		if got != strings.TrimSpace(string(text)) || strings.Count(got, ".") != 2 || strings.ContainsAny(got, " \r\n\x00") {
			t.Fatalf("%q is sent as %q", text, got)
		}
	})
}
