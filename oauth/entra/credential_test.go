package entra_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// certificate is one and its key in PEM, which counts for an hour from begin.
func certificate(t testing.TB, key, public any, begin time.Time) (file, der []byte) {
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
	file = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return append(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), der
}

func write(t testing.TB, name string, text []byte) string {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(t.TempDir(), name)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func withCertificate(file string) func(*entra.GraphOptions) {
	return func(o *entra.GraphOptions) { o.Secret, o.CertificateFile = nil, file }
}

// TestCertificateIsReadAnew replaces it while the gateway runs.
func TestCertificateIsReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		text, _ := certificate(t, rsaKey(), rsaKey().Public(), time.Now())
		file := write(t, "app.pem", text)
		opts := options("http://entra.test")
		opts.HTTP = &http.Client{Transport: wire{m}}
		withCertificate(file)(&opts)
		g := entra.NewGraph(opts)
		wantGroups(t, g, alice, platform, finance)
		time.Sleep(2 * time.Hour)
		wantFailure(t, g, alice, "the certificate has expired on 2000-01-01", file)
		text, _ = certificate(t, rsaKey(), rsaKey().Public(), time.Now())
		write(t, file, text)
		time.Sleep(30 * time.Second)
		wantGroups(t, g, alice, platform, finance)
		if m.forms[0].Get("client_assertion") == m.forms[1].Get("client_assertion") {
			t.Error("the assertion was used twice")
		}
	})
}

func TestFederatedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		file := write(t, "token", []byte("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxIn0.c2ln\n"))
		opts := options("http://entra.test")
		opts.HTTP, opts.Secret, opts.FederatedTokenFile = &http.Client{Transport: wire{m}}, nil, file
		g := entra.NewGraph(opts)
		wantGroups(t, g, alice, platform, finance)
		write(t, file, []byte("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIyIn0.c2ln"))
		time.Sleep(time.Hour)
		wantGroups(t, g, alice, platform, finance)
		for i, want := range []string{"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxIn0.c2ln", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIyIn0.c2ln"} {
			if got := m.forms[i].Get("client_assertion"); got != want {
				t.Errorf("assertion %d is %q, want %q", i, got, want)
			}
		}
		for _, text := range []string{"", "eyJ.x", "eyJ one.two.three"} {
			write(t, file, []byte(text))
			time.Sleep(2 * time.Hour)
			wantFailure(t, g, alice, file, "does not hold a token")
		}
	})
}

func TestSecretRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		value, err := "first", error(nil)
		opts := options("http://entra.test")
		opts.HTTP = &http.Client{Transport: wire{m}}
		opts.Secret = func(context.Context) (string, error) { return value, err }
		g := entra.NewGraph(opts)
		wantGroups(t, g, alice, platform, finance)
		value = "second"
		time.Sleep(time.Hour)
		wantGroups(t, g, alice, platform, finance)
		if first, second := m.forms[0].Get("client_secret"), m.forms[1].Get("client_secret"); first != "first" || second != "second" {
			t.Errorf("the secrets were %q and %q", first, second)
		}
		value = ""
		time.Sleep(time.Hour)
		wantFailure(t, g, alice, "the client secret: it is empty")
		value, err = secret, errors.New("Vault is sealed")
		time.Sleep(time.Minute)
		wantFailure(t, g, alice, "the client secret: Vault is sealed")
		opts.Secret = nil
		wantFailure(t, entra.NewGraph(opts), alice, "there is no secret, certificate or federated token")
	})
}

// TestTokenIsKept counts how often a token is asked for.
func TestTokenIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		g := onWire(m)
		for range 24 * 60 {
			wantGroups(t, g, alice, platform, finance)
			time.Sleep(time.Minute)
		}
		if n := m.asked("/token"); n < 24 || n > 27 { // each lasts an hour, less 5 min
			t.Errorf("on one day, %d tokens were asked for", n)
		}
	})
}

func TestWhatTheTokenEndpointAnswers(t *testing.T) {
	const json = "application/json"
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"a wrong secret", answer(401, json, string(body("invalid_client", "Invalid client secret "+secret, 7000215, ""))), "AADSTS7000215 (trace id " + traceID + ", correlation id " + correlationID + "): Create a new secret"},
		{"a strange code", answer(400, json, string(body("invalid_request", "x", 1234567, ""))), "AADSTS1234567"},
		{"a web page", answer(502, "text/html", "<html>"+secret), "HTTP 502"},
		{"a web page as success", answer(200, "text/html", "<html>"), "a web page"},
		{"garbage", answer(200, json, "x"), "not the JSON"},
		{"nothing", answer(200, json, ""), "not the JSON"},
		{"no token", answer(200, json, `{"token_type":"Bearer","expires_in":3599}`), "no bearer token"},
		{"another kind of token", answer(200, json, `{"token_type":"mac","expires_in":3599,"access_token":"x"}`), "no bearer token"},
		{"a token with a line end", answer(200, json, `{"token_type":"Bearer","expires_in":3599,"access_token":"x\r\nHost: y"}`), "no bearer token"},
		{"a token without life", answer(200, json, `{"token_type":"Bearer","access_token":"x"}`), "how long it lives"},
		{"a token of yesterday", answer(200, json, `{"token_type":"Bearer","expires_in":-1,"access_token":"x"}`), "how long it lives"},
		{"two tokens", answer(200, json, `{"token_type":"Bearer","expires_in":1,"access_token":"x","access_token":"y"}`), "not the JSON"},
		{"too much", func(w http.ResponseWriter, _ *http.Request) { endless(w) }, "larger than 1 MiB"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/"+tenant+"/token", http.StatusTemporaryRedirect)
		}, "a redirect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMicrosoft()
			m.tokenAnswers(tt.answer)
			g := onNetwork(t, m)
			wantFailure(t, g, alice, "as the application "+app, tt.want)
			wantFailure(t, g, bob, tt.want)
			if n := m.asked("/"); n != 1 {
				t.Errorf("there were %d requests, want one", n)
			}
		})
	}
}

func TestEntraIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		m.tokenAnswers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "90")
			answer(429, "application/json", string(body("temporarily_unavailable", "x", 90033, "")))(w, nil)
		})
		g := onWire(m)
		wantFailure(t, g, alice, "AADSTS90033")
		m.set(nil)
		time.Sleep(89 * time.Second)
		wantFailure(t, g, bob, "AADSTS90033")
		time.Sleep(31 * time.Second) // bob's failure is remembered that long
		wantGroups(t, g, alice, platform, finance)
		wantGroups(t, g, bob, platform)
	})
}

// TestLifeOfTokens takes no token for longer than it lives.
func TestLifeOfTokens(t *testing.T) {
	for _, tt := range []struct {
		life string
		want time.Duration
	}{
		{"60", 54 * time.Second},
		{"86399.5", 86399*time.Second + 500*time.Millisecond - 5*time.Minute},
		{"1e300", 24*time.Hour - 5*time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMicrosoft()
			m.tokenAnswers(answer(200, "application/json", `{"token_type":"bearer","expires_in":`+tt.life+`,"access_token":"token-1"}`))
			m.accepted = "token-1"
			g := onWire(m)
			wantGroups(t, g, alice, platform, finance)
			time.Sleep(tt.want - time.Nanosecond)
			wantGroups(t, g, bob, platform)
			if n := m.asked("/token"); n != 1 {
				t.Errorf("a token for %s s was asked for %d times before its end", tt.life, n)
			}
			time.Sleep(5 * time.Minute) // they count no longer
			wantGroups(t, g, alice, platform, finance)
			if n := m.asked("/token"); n != 2 {
				t.Errorf("a token for %s s was asked for %d times after its end", tt.life, n)
			}
		})
	}
}
