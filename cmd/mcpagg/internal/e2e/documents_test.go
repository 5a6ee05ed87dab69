//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// claudeDocument is the client id of Claude Code, and where its metadata is.
const claudeDocument = "https://claude.ai/oauth/claude-code-client-metadata"

// documents are metadata documents of clients: servers that stand in for their
// owners' on the Internet, and a proxy through which a gateway reaches them.
type documents struct {
	proxy     string       // URL
	authority string       // file with the certificate of who vouches for the servers
	strayed   atomic.Int32 // requests for anything else
}

// startDocuments serves Claude Code's document.
func startDocuments(t testing.TB) *documents {
	t.Helper()
	site, err := url.Parse(claudeDocument)
	if err != nil {
		t.Fatal(err)
	}
	d := &documents{authority: filepath.Join(t.TempDir(), "authority.pem")}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != site.Host || r.URL.Path != site.Path {
			d.strayed.Add(1)
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(encode(object{ // as it was there in 2026
			"client_id": claudeDocument, "client_name": "Claude Code", "client_uri": "https://claude.ai",
			"redirect_uris": []string{"http://localhost/callback", "http://127.0.0.1/callback"},
			"grant_types":   []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
			"token_endpoint_auth_method": "none",
		}))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificateFor(t, site.Host, d.authority)}}
	server.StartTLS()
	proxy := httptest.NewServer(d.connect(site.Host+":443", server.Listener.Addr().String()))
	d.proxy = proxy.URL
	t.Cleanup(func() {
		for _, s := range []*httptest.Server{proxy, server} {
			s.CloseClientConnections()
			s.Close()
		}
	})
	return d
}

// connect is a proxy that leads one name to a server of this machine, and nowhere
// else.
func (d *documents) connect(name, server string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != name {
			d.strayed.Add(1)
			http.Error(w, "There is nothing there.", http.StatusBadGateway)
			return
		}
		there, err := net.Dial("tcp", server)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer there.Close()
		w.WriteHeader(http.StatusOK)
		here, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		done := make(chan struct{}, 2)
		for _, way := range []struct {
			to   io.Writer
			from io.Reader
		}{{there, buffered}, {here, there}} {
			go func() {
				_, _ = io.Copy(way.to, way.from) // until one of them hangs up
				done <- struct{}{}
			}()
		}
		<-done
	}
}

// environment is what a gateway needs to reach the servers. What is on loopback it
// reaches without.
func (d *documents) environment() []string {
	return []string{"HTTPS_PROXY=" + d.proxy, "NO_PROXY=127.0.0.1,localhost", "SSL_CERT_FILE=" + d.authority}
}

// check makes sure that nothing else was asked for.
func (d *documents) check(t testing.TB) {
	t.Helper()
	if n := d.strayed.Load(); n != 0 {
		t.Errorf("the gateway has asked for %d things that nobody has", n)
	}
}

// certificateFor makes a certificate for a host, and writes that of who signed it
// into a file.
func certificateFor(t testing.TB, host, authorityFile string) tls.Certificate {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of these tests"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issued := sign(t, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err := os.WriteFile(authorityFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued}), 0o644); err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{host},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	return tls.Certificate{Certificate: [][]byte{sign(t, leaf, authority, &key.PublicKey, authorityKey)}, PrivateKey: key}
}

func sign(t testing.TB, certificate, by *x509.Certificate, key *ecdsa.PublicKey, signer *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, certificate, by, key, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
