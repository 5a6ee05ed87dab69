package guard_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/guard"
)

// host has the certificate of httptest.
const host = "app.example.com"

// An internet is a TLS server on loopback that stands for every public address,
// and the names that lead to those.
type internet struct {
	server *httptest.Server
	opts   guard.Options

	mu      sync.Mutex
	names   map[string][][]netip.Addr // the answers for a name, one after the other; the last one stays; guarded by mu
	dialled []string                  // guarded by mu
}

func newInternet(t *testing.T, handler http.HandlerFunc) *internet {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	n := &internet{server: server, names: map[string][][]netip.Addr{}}
	n.opts = guard.Options{Resolve: n.resolve, Dial: n.dial, Proxy: noProxy, Roots: x509.NewCertPool()}
	n.opts.Roots.AddCert(server.Certificate())
	n.name(host, "93.184.216.34")
	return n
}

// name adds an answer for a name.
func (n *internet) name(name string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var answer []netip.Addr
	for _, a := range addrs {
		answer = append(answer, netip.MustParseAddr(a))
	}
	n.names[name] = append(n.names[name], answer)
}

// rename replaces the answers for a name.
func (n *internet) rename(name string, addrs ...string) {
	n.mu.Lock()
	delete(n.names, name)
	n.mu.Unlock()
	n.name(name, addrs...)
}

func (n *internet) resolve(_ context.Context, name string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	answers := n.names[name]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, Server: "10.0.0.53:53", IsNotFound: true}
	}
	if len(answers) > 1 {
		n.names[name] = answers[1:]
	}
	return answers[0], nil
}

func (n *internet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, address)
	n.mu.Unlock()
	if strings.HasPrefix(address, "198.41.") {
		return nil, errors.New("no route to " + address)
	}
	return new(net.Dialer).DialContext(ctx, network, n.server.Listener.Addr().String())
}

func (n *internet) dials() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dialled
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

func (n *internet) get(raw string) (string, error) {
	resp, err := guard.NewClient(n.opts).Get(raw)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", string(b)), err
}

// refuse gets a URL, which must fail and say nothing of what is inside.
func (n *internet) refuse(t *testing.T, raw string) error {
	t.Helper()
	got, err := n.get(raw)
	if err == nil {
		t.Fatalf("%s is answered with %q", raw, got)
	}
	var failed *guard.Error
	if !errors.As(err, &failed) {
		t.Fatalf("%s: %v is no *guard.Error", raw, err)
	}
	if failed.Host != host || failed.Error() != host+" could not be reached" {
		t.Errorf("the error is %q of %q", failed, failed.Host)
	}
	for _, inside := range []string{"127.0.0", "10.0.0", "169.254", "::", "private", "loopback", "no such host", "refused", n.server.Listener.Addr().String()} {
		if strings.Contains(err.Error(), inside) {
			t.Errorf("the error %q says %q", err, inside)
		}
	}
	return failed.Cause
}

func TestFetch(t *testing.T) {
	n := newInternet(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %v", r.Host, r.UserAgent(), r.Header.Get("Accept-Encoding"), r.TLS.Version >= tls.VersionTLS12)
	})
	got, err := n.get("https://" + host + "/client.json")
	if want := "200 " + host + " mcpagg identity true"; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got := n.dials(); len(got) != 1 || got[0] != "93.184.216.34:443" {
		t.Errorf("dialled %v", got)
	}
}

// TestNothingTellsWhoAsks sends no header by which a request could use rights
// that the caller has.
func TestNothingTellsWhoAsks(t *testing.T) {
	var seen http.Header
	var seenHost string
	n := newInternet(t, func(_ http.ResponseWriter, r *http.Request) { seen, seenHost = r.Header, r.Host })
	req, err := http.NewRequest(http.MethodGet, "https://"+host+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer x"}, "Cookie": {"a=b"}, "Referer": {"https://mcp.example/"}, "User-Agent": {"other"}, "Accept": {"application/json"}}
	req.Host = "db.internal"
	resp, err := guard.NewClient(n.opts).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if seenHost != host {
		t.Errorf("asked for the host %q", seenHost)
	}
	if len(seen) != 4 || seen.Get("Accept") != "application/json" || seen.Get("User-Agent") != "mcpagg" {
		t.Errorf("sent %v, want Accept, Accept-Encoding, Connection and User-Agent", seen)
	}
	if req.Header.Get("Authorization") == "" {
		t.Error("the caller's request was changed")
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	n := newInternet(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://other.example.com/")
		w.WriteHeader(http.StatusFound)
	})
	got, err := n.get("https://" + host + "/")
	if got != "302 " || err != nil || len(n.dials()) != 1 {
		t.Errorf("got %q, %v after dialling %v", got, err, n.dials())
	}
}

// Test42Addresses has the name lead to each kind of address that is not public.
func Test42Addresses(t *testing.T) {
	for _, addr := range []string{
		"0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.9.9.9", "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1", // mapped, compatible, translated
		"64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::7f00:1", // NAT64
		"2002:7f00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", // 6to4 and Teredo
	} {
		t.Run(addr, func(t *testing.T) {
			n := newInternet(t, func(http.ResponseWriter, *http.Request) {})
			for _, answer := range [][]string{{addr}, {"93.184.216.34", addr}, {addr, "93.184.216.34"}} {
				n.rename(host, answer...)
				if cause := n.refuse(t, "https://"+host+"/"); !strings.Contains(cause.Error(), "not public") {
					t.Errorf("the cause is %q", cause)
				}
			}
			if got := n.dials(); got != nil {
				t.Errorf("dialled %v", got)
			}
		})
	}
}

func TestPublicAddresses(t *testing.T) {
	for _, addr := range []string{"93.184.216.34", "8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"} {
		n := newInternet(t, func(http.ResponseWriter, *http.Request) {})
		n.rename(host, addr)
		if got, err := n.get("https://" + host + "/"); got != "200 " || err != nil {
			t.Errorf("%s: got %q, %v", addr, got, err)
		}
	}
}

// Test42Rebinding has a name lead to loopback when it is asked a second time: it
// is asked once for each connection, and that answer is dialled.
func Test42Rebinding(t *testing.T) {
	n := newInternet(t, func(http.ResponseWriter, *http.Request) {})
	n.name(host, "127.0.0.1")
	if got, err := n.get("https://" + host + "/"); got != "200 " || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	n.refuse(t, "https://"+host+"/")
	if got := n.dials(); len(got) != 1 || got[0] != "93.184.216.34:443" {
		t.Errorf("dialled %v", got)
	}
}

func TestNextAddressIsTried(t *testing.T) {
	n := newInternet(t, func(http.ResponseWriter, *http.Request) {})
	n.rename(host, "198.41.0.4", "93.184.216.34")
	if got, err := n.get("https://" + host + "/"); got != "200 " || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	n.rename(host, "198.41.0.4", "198.41.0.5")
	if cause := n.refuse(t, "https://"+host+"/"); !strings.Contains(cause.Error(), "198.41.0.5") {
		t.Errorf("the cause %q does not say what failed", cause)
	}
}

func TestUnknownName(t *testing.T) {
	n := newInternet(t, nil)
	n.rename(host)
	n.refuse(t, "https://"+host+"/")
	delete(n.names, host)
	if cause := n.refuse(t, "https://"+host+"/"); !strings.Contains(cause.Error(), "no such host") {
		t.Errorf("the cause is %q", cause)
	}
}

func TestCertificate(t *testing.T) {
	n := newInternet(t, nil)
	n.opts.Roots = x509.NewCertPool()
	if cause := n.refuse(t, "https://"+host+"/"); !strings.Contains(cause.Error(), "certificate") {
		t.Errorf("the cause is %q", cause)
	}
}

func TestOldTLS(t *testing.T) {
	n := newInternet(t, nil)
	n.server.TLS.MaxVersion = tls.VersionTLS11
	n.server.TLS.MinVersion = tls.VersionTLS10
	if cause := n.refuse(t, "https://"+host+"/"); !strings.Contains(cause.Error(), "protocol version") {
		t.Errorf("the cause is %q", cause)
	}
}

// TestSlow has a server stop at each point of an answer.
func TestSlow(t *testing.T) {
	stall := func(r *http.Request) { <-r.Context().Done() }
	for _, tt := range []struct {
		name   string
		handle http.HandlerFunc
	}{
		{"header", func(_ http.ResponseWriter, r *http.Request) { stall(r) }},
		{"body", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			stall(r)
		}},
		{"drops", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newInternet(t, tt.handle)
			n.opts.Timeout = 200 * time.Millisecond
			began := time.Now()
			got, err := n.get("https://" + host + "/")
			if took := time.Since(began); err == nil || took < n.opts.Timeout || took > 5*time.Second {
				t.Errorf("got %d bytes and %v after %v", len(got), err, took)
			}
			var failed *guard.Error
			if !errors.As(err, &failed) || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("the error is %q", err)
			}
		})
	}
}

// TestEndsTooLate has a server end its answer as it should, after the time of the
// request, on a connection that is slow to close.
func TestEndsTooLate(t *testing.T) {
	late := make(chan struct{})
	n := newInternet(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-late
		_, _ = io.WriteString(w, "late")
	})
	n.opts.Timeout = 200 * time.Millisecond
	n.opts.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := n.dial(ctx, network, address)
		return slowToClose{Conn: conn, closing: func() { close(late) }}, err
	}
	if got, err := n.get("https://" + host + "/"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %q, %v", got, err)
	}
}

// slowToClose stays open until the other end closes it.
type slowToClose struct {
	net.Conn
	closing func()
}

func (c slowToClose) Close() error {
	c.closing()
	return nil
}

// TestSilent has a server that accepts connections and says nothing.
func TestSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := newInternet(t, nil)
	n.opts.Timeout = 200 * time.Millisecond
	n.opts.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, l.Addr().String())
	}
	if got, err := n.get("https://" + host + "/"); err == nil || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestHeaderBomb(t *testing.T) {
	n := newInternet(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Bomb", strings.Repeat("a", 64<<10))
	})
	n.refuse(t, "https://"+host+"/")
}

// TestNotDecompressed hands a compressed body on as it is.
func TestNotDecompressed(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	n := newInternet(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	})
	if got, err := n.get("https://" + host + "/"); err != nil || len(got) != len("200 ")+packed.Len() {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, packed.Len())
	}
}

// TestURLsAreChecked sees that the client itself refuses what CheckURL does.
func TestURLsAreChecked(t *testing.T) {
	n := newInternet(t, nil)
	for _, raw := range []string{"http://" + host + "/", "https://" + host + ":8443/", "https://a:b@" + host + "/", "https://127.0.0.1/", "https://localhost/"} {
		if got, err := n.get(raw); err == nil {
			t.Errorf("%s is answered with %q", raw, got)
		}
	}
	if n.dials() != nil {
		t.Errorf("dialled %v", n.dials())
	}
}
