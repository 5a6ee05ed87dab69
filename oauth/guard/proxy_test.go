package guard_test

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// startProxy serves HTTP CONNECT on loopback, and leads everything to one
// address. asked gets the targets.
func startProxy(t *testing.T, to string) (proxy *url.URL, asked chan string) {
	t.Helper()
	asked = make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Host
		out, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer out.Close()
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer in.Close()
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(out, in)
			_ = out.Close()
		}()
		_, _ = io.Copy(in, out)
	}))
	t.Cleanup(server.Close)
	proxy, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return proxy, asked
}

// through has the gateway go through a proxy.
func through(t *testing.T, n *internet) (asked chan string) {
	proxy, asked := startProxy(t, n.server.Listener.Addr().String())
	n.opts.Proxy = http.ProxyURL(proxy)
	return asked
}

func TestProxy(t *testing.T) {
	n := newInternet(t, func(http.ResponseWriter, *http.Request) {})
	asked := through(t, n)
	for _, resolves := range []bool{true, false} {
		if !resolves {
			n.mu.Lock()
			delete(n.names, host)
			n.mu.Unlock()
		}
		if got, err := n.get("https://" + host + "/"); got != "200 " || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
		if got := <-asked; got != host+":443" {
			t.Errorf("the proxy was asked for %q", got)
		}
	}
	if n.dials() != nil {
		t.Errorf("dialled %v besides the proxy", n.dials())
	}
}

// TestProxyIsNoWayAround refuses through a proxy what is refused without one.
func TestProxyIsNoWayAround(t *testing.T) {
	n := newInternet(t, nil)
	asked := through(t, n)
	n.rename(host, "93.184.216.34", "10.0.0.1")
	n.refuse(t, "https://"+host+"/")
	for _, raw := range []string{"http://" + host + "/", "https://169.254.169.254/", "https://db.internal/", "https://" + host + ":22/"} {
		if got, err := n.get(raw); err == nil {
			t.Errorf("%s is answered with %q", raw, got)
		}
	}
	if len(asked) != 0 {
		t.Errorf("the proxy was asked for %q", <-asked)
	}
}

func TestProxyDown(t *testing.T) {
	n := newInternet(t, nil)
	n.opts.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1", User: url.UserPassword("gateway", "hidden")})
	n.opts.Timeout = 5 * time.Second
	if cause := n.refuse(t, "https://"+host+"/"); strings.Contains(cause.Error(), "hidden") {
		t.Errorf("the cause %q has the proxy's password", cause)
	}
}

func TestProxyNotValid(t *testing.T) {
	n := newInternet(t, nil)
	n.opts.Proxy = func(*http.Request) (*url.URL, error) {
		return nil, errors.New(`invalid proxy address "http://gateway:hidden@[/"`)
	}
	if cause := n.refuse(t, "https://"+host+"/"); strings.Contains(cause.Error(), "hidden") {
		t.Errorf("the cause %q has the proxy's password", cause)
	}
}
