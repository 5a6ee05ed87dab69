package guard_test

import (
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEnvironment has a process with HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE, which
// are read once in the life of each.
func TestEnvironment(t *testing.T) {
	if os.Getenv("GUARD_TEST_CHILD") != "" {
		inEnvironment(t)
		return
	}
	n := newInternet(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "through the proxy") })
	proxy, asked := startProxy(t, n.server.Listener.Addr().String())
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestEnvironment$")
	child.Env = append(os.Environ(), "GUARD_TEST_CHILD=1", "HTTPS_PROXY="+proxy.String(), "https_proxy=", "NO_PROXY=direct.example.com", "no_proxy=", "SSL_CERT_FILE="+roots)
	if out, err := child.CombinedOutput(); err != nil || strings.Contains(string(out), "no tests to run") {
		t.Fatalf("%v: %s", err, out)
	}
	if len(asked) != 1 || <-asked != host+":443" {
		t.Error("the proxy was asked for something else")
	}
}

// inEnvironment is what the process does.
func inEnvironment(t *testing.T) {
	n := newInternet(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "directly") })
	n.opts.Proxy, n.opts.Roots = nil, nil
	n.name("direct.example.com", "93.184.216.34")
	for name, want := range map[string]string{host: "200 through the proxy", "direct.example.com": "200 directly"} {
		if got, err := n.get("https://" + name + "/"); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
}
