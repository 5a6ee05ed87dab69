package broker_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/client"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// TestCertificateOfTheGateway proves to Entra who the gateway is by a certificate,
// which is replaced while people are signed in.
func TestCertificateOfTheGateway(t *testing.T) {
	s := newStage(t)
	file := filepath.Join(t.TempDir(), "gateway.pem")
	s.useCertificate(file)
	s.configure(func(o *broker.Options) {
		o.Credential = client.Credential{ClientID: s.app.ClientID, CertificateFile: file}
	})
	clientID, got := s.signedIn()
	s.useCertificate(file)
	got = s.refresh(clientID, got.refresh).tokens(t)
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.refresh(clientID, got.refresh).refused(t, http.StatusServiceUnavailable, "temporarily_unavailable")
	s.useCertificate(file)
	s.refresh(clientID, got.refresh).tokens(t)
}

// useCertificate makes a certificate the only proof that Entra takes, and writes it
// to a file.
func (s *stage) useCertificate(file string) {
	s.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		s.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.Fatal(err)
	}
	var text bytes.Buffer
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&text, block); err != nil {
			s.Fatal(err)
		}
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		s.Fatal(err)
	}
	s.fake.ChangeApp(s.app.ClientID, func(a *fakeentra.App) {
		a.Secrets, a.Certificates = nil, []*x509.Certificate{certificate}
	})
}

// TestFederatedTokenOfTheGateway does so by a token that a cluster issues, and
// replaces from time to time.
func TestFederatedTokenOfTheGateway(t *testing.T) {
	const cluster, account = "https://cluster.contoso.example", "system:serviceaccount:mcp:mcpagg"
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	issue := func(lifetime time.Duration) {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := json.Marshal(map[string]any{
			"iss": cluster, "sub": account, "aud": "api://AzureADTokenExchange",
			"iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(lifetime).Unix(),
		})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := newStage(t)
	s.fake.ChangeApp(s.app.ClientID, func(a *fakeentra.App) {
		a.Secrets = nil
		a.Federated = []fakeentra.FederatedCredential{{
			Issuer: cluster, Subject: account, Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1"}}},
		}}
	})
	s.configure(func(o *broker.Options) {
		o.Credential = client.Credential{ClientID: s.app.ClientID, FederatedTokenFile: file}
	})
	issue(time.Hour)
	clientID, got := s.signedIn()
	issue(-30 * time.Minute)
	s.refresh(clientID, got.refresh).refused(t, http.StatusServiceUnavailable, "temporarily_unavailable")
	issue(time.Hour)
	s.refresh(clientID, got.refresh).tokens(t)
}
