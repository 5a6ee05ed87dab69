//go:build e2e

package e2e

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// outageTime is long enough for the pauses between attempts to have grown.
const outageTime = time.Minute

// TestOutage has a server answer 500 for a minute, and another one refuse
// connections, under calls all the time. Calls to a third are as fast as ever,
// and both work again at once in the same client sessions.
func TestOutage(t *testing.T) {
	t.Parallel()
	server := everythingHTTP(t)
	var broken atomic.Bool
	address := freeAddress(t)
	failing, refusing := newFront(t, server.url, freeAddress(t), &broken), newFront(t, server.url, address, nil)
	g := startGateway(t, upstream{label: "failing", url: failing.url}, upstream{label: "refusing", url: refusing.url},
		upstream{label: "well", url: server.url})
	g.awaitTools(t, "failing", "refusing", "well")
	doors := g.doors(t)
	for _, door := range doors {
		for _, label := range []string{"failing", "refusing", "well"} {
			checkEcho(t, door, label)
		}
	}

	broken.Store(true)
	refusing.server.Close()
	var slowest time.Duration
	for end := time.Now().Add(outageTime); time.Now().Before(end) && !t.Failed(); time.Sleep(200 * time.Millisecond) {
		for _, door := range doors {
			for _, label := range []string{"failing", "refusing"} {
				got := outcome(callTool(t.Context(), door, label+"_echo", object{"message": "hi"}))
				if strings.Contains(got, "Echo: hi") || !strings.Contains(got, label) {
					t.Errorf("during the outage %s_echo gives %s", label, got)
				}
			}
			began := time.Now()
			checkEcho(t, door, "well")
			slowest = max(slowest, time.Since(began))
		}
	}
	t.Logf("the slowest call to the other upstream took %v", slowest)
	if slowest > 2*time.Second {
		t.Errorf("a call to the other upstream took %v", slowest)
	}

	broken.Store(false)
	newFront(t, server.url, address, nil)
	began := time.Now()
	for _, door := range doors {
		awaitEcho(t, door, "failing")
		awaitEcho(t, door, "refusing")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("after the outage it took %v until all worked again", took)
	}
}

// A front passes requests on to a server, unless it is broken.
type front struct {
	server *http.Server
	url    string
}

func newFront(t *testing.T, target, address string, broken *atomic.Bool) front {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	path := to.Path
	to.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.FlushInterval = -1
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken != nil && broken.Load() {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(ln) }() // until Close
	t.Cleanup(func() { server.Close() })
	return front{server, "http://" + address + path}
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
