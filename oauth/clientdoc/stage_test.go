package clientdoc_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/clientdoc"
	"github.com/mcpagg/mcpagg/oauth/guard"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// id is the client id of most tests, and host the host of it.
const (
	host = "app.example.com"
	id   = "https://app.example.com/oauth/client.json"
)

type object = map[string]any

// document is a good document of an id, with some members changed; nil removes one.
func document(id string, changes object) object {
	doc := object{
		"client_id": id, "client_name": "Example", "client_uri": "https://app.example.com/about", "redirect_uris": []string{"http://localhost/callback"},
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "token_endpoint_auth_method": "none",
	}
	for name, value := range changes {
		if doc[name] = value; value == nil {
			delete(doc, name)
		}
	}
	return doc
}

// An internet is what the gateway reaches: TLS servers in memory, so that its
// time is that of the test.
type internet struct {
	pipes chan net.Conn
	roots *x509.CertPool

	mu      sync.Mutex
	handler http.HandlerFunc          // guarded by mu
	addrs   map[string]netip.Addr     // of hosts that are not at a public address; guarded by mu
	fetched map[string]int            // requests, by URL; guarded by mu
	resolve func(string) []netip.Addr // in place of addrs; guarded by mu
}

func newInternet(t *testing.T) *internet {
	t.Helper()
	certificate, roots := newCertificate(t)
	n := &internet{pipes: make(chan net.Conn), roots: roots, addrs: map[string]netip.Addr{}, fetched: map[string]int{}}
	n.publish(id, document(id, nil))
	server := http.Server{Handler: n, ErrorLog: log.New(io.Discard, "", 0)}
	listener := &pipeListener{pipes: n.pipes, closed: make(chan struct{})}
	var done sync.WaitGroup
	done.Go(func() {
		_ = server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	})
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
		time.Sleep(2 * time.Second) // while pipes are closed
	})
	return n
}

// newCertificate is one for the hosts of the tests, which vouches for itself.
func newCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, DNSNames: []string{"*.example.com", "claude.ai", "vscode.dev", "chatgpt.com", "opencode.ai", "zed.dev"},
	}
	raw, err := x509.CreateCertificate(nil, &template, &template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: private}, roots
}

// client is what the gateway has in production, but for the certificate authority
// and the way out.
func (n *internet) client() *http.Client {
	return guard.NewClient(guard.Options{
		Roots: n.roots,
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		Resolve: func(_ context.Context, name string) ([]netip.Addr, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.resolve != nil {
				return n.resolve(name), nil
			}
			if addr, ok := n.addrs[name]; ok {
				return []netip.Addr{addr}, nil
			}
			return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
		},
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			if address != "93.184.216.34:443" {
				return nil, errors.New("a test must not dial " + address)
			}
			near, far := newPipe()
			select {
			case n.pipes <- far:
				return near, nil
			case <-ctx.Done():
				_ = near.Close()
				_ = far.Close()
				return nil, ctx.Err()
			}
		},
	})
}

// ServeHTTP counts a request and answers it.
func (n *internet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.fetched["https://"+r.Host+r.URL.RequestURI()]++
	handle := n.handler
	n.mu.Unlock()
	handle(w, r)
}

func (n *internet) handle(h http.HandlerFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handler = h
}

// publish answers one URL with a document, and all others with 404. Headers are
// "Name: value".
func (n *internet) publish(id string, doc any, headers ...string) {
	body, ok := doc.(string)
	if !ok {
		raw, err := json.Marshal(doc)
		if err != nil {
			panic(err)
		}
		body = string(raw)
	}
	n.handle(func(w http.ResponseWriter, r *http.Request) {
		if "https://"+r.Host+r.URL.RequestURI() != id {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, body)
	})
}

// breakDown answers everything with a status.
func (n *internet) breakDown(status int) {
	n.handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

// count is the requests so far, of one URL or of all.
func (n *internet) count(ids ...string) (total int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for url, times := range n.fetched {
		if len(ids) == 0 || url == ids[0] {
			total += times
		}
	}
	return total
}

// A stage is a fetcher and the internet it is in.
type stage struct {
	*clientdoc.Fetcher
	*internet
	t   *testing.T
	log *bytes.Buffer
}

func start(t *testing.T) *stage {
	t.Helper()
	return startWith(t, redirect.Rules{Loopback: true, Own: &url.URL{Scheme: "https", Host: "mcp.example.com"}})
}

func startWith(t *testing.T, rules redirect.Rules) *stage {
	t.Helper()
	s := &stage{internet: newInternet(t), t: t, log: &bytes.Buffer{}}
	s.Fetcher = clientdoc.New(clientdoc.Options{HTTP: s.client(), Rules: rules, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	return s
}

func (s *stage) get(id string) *clientdoc.Document {
	s.t.Helper()
	doc, err := s.Get(s.t.Context(), id)
	if err != nil {
		s.t.Fatalf("%s: %v\nlog: %s", id, err, s.log)
	}
	return doc
}

// refuse wants a *Refused with want in its text.
func (s *stage) refuse(id, want string) {
	s.t.Helper()
	doc, err := s.Get(s.t.Context(), id)
	var refused *clientdoc.Refused
	if doc != nil || !errors.As(err, &refused) {
		s.t.Fatalf("%s: %+v, %v; it must be refused\nlog: %s", id, doc, err, s.log)
	}
	if !strings.Contains(refused.Text, want) || !strings.HasSuffix(refused.Text, ".") || strings.Contains(refused.Text, "hunter2") {
		s.t.Errorf("%s is refused with %q; want %q in that", id, refused.Text, want)
	}
}

// unavailable wants an *Unavailable whose text says nothing of the cause, and the
// cause in the log.
func (s *stage) unavailable(id, wantLogged string) {
	s.t.Helper()
	doc, err := s.Get(s.t.Context(), id)
	var unavailable *clientdoc.Unavailable
	if doc != nil || !errors.As(err, &unavailable) {
		s.t.Fatalf("%s: %+v, %v; it must be unavailable", id, doc, err)
	}
	u, err := url.Parse(id)
	if err != nil {
		s.t.Fatal(err)
	}
	if want := "The client's metadata document could not be fetched: " + u.Hostname() + " does not answer over the public Internet as it should."; unavailable.Text != want {
		s.t.Errorf("%s is answered with %q, want %q", id, unavailable.Text, want)
	}
	if !strings.Contains(s.log.String(), wantLogged) {
		s.t.Errorf("the log does not have %q: %s", wantLogged, s.log)
	}
}
