package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// A standIn answers like the key-value engine of a Vault, once it is up.
type standIn struct {
	address string

	mu     sync.Mutex
	values map[string]string // by path; guarded by mu
}

const vaultToken = "hvs.CAESIJ-gateways-own"

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.values[strings.TrimPrefix(r.URL.Path, "/v1/secret/data/")]
	answer, status := any(map[string]any{"errors": []string{}}), http.StatusNotFound
	switch {
	case r.Header.Get("X-Vault-Token") != vaultToken:
		answer, status = map[string]any{"errors": []string{"permission denied"}}, http.StatusForbidden
	case r.URL.Path == "/v1/auth/token/lookup-self":
		answer, status = map[string]any{"data": map[string]any{"ttl": 0}}, http.StatusOK
	case ok:
		answer, status = map[string]any{"data": map[string]any{"data": map[string]string{"value": value}}}, http.StatusOK
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the gateway may be gone
}

func (s *standIn) set(path, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[path] = value
}

func (s *standIn) start(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() { _ = server.Serve(ln); close(done) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
}

// TestSecretsOfARunningGateway follows secrets through an outage of their source
// at the start, a rotation and garbage, and looks for their values in all that
// can be seen from outside.
func TestSecretsOfARunningGateway(t *testing.T) {
	t.Parallel()
	vault := &standIn{address: freeAddress(t), values: map[string]string{
		"db": "db-password-0123456789", "github": "ghp_first0123456789",
	}}
	server := upstreamtest.New(t, upstreamtest.Script{Tools: []string{`{"name":"whoami","inputSchema":{"type":"object"}}`}})
	h := newHome(t)
	h.env = append(h.env, "VAULT_TOKEN="+vaultToken)
	h.write(t, "gateway.hcl", fmt.Sprintf(`
secrets "vault" "kv" {
  url   = "http://%s"
  token = env("VAULT_TOKEN")
  ttl   = "200ms"
}
upstream "http" {
  url   = "%s"
  token = secret("kv", "github")
}
upstream "nothing" {
  command = ["mcpagg", "dev", "upstream", "clock"]
  env     = { KEY = secret("kv", "nothing") }
}
`, vault.address, server.URL)+clockBlock+strings.TrimSuffix(notesBlock, "}\n")+`  env = { DATABASE_URL = "postgres://app:${secret("kv", "db")}@db/app" }
}
`)
	g := h.start(t)
	seen := &strings.Builder{} // all that can be seen from outside
	see := func(args ...string) string {
		stdout, stderr, _ := g.run(t, args...)
		seen.WriteString(stdout + stderr)
		return strings.Join(strings.Fields(stdout+stderr), " ") // lines are wrapped
	}
	shows := func(args []string, want string) {
		t.Helper()
		eventually(t, func() string {
			if got := see(args...); !regexp.MustCompile(want).MatchString(got) {
				return fmt.Sprintf("%q shows %s\nwant %s", args, got, want)
			}
			return ""
		})
	}
	whoami := []string{"call", "http_whoami", "--url", g.url}

	// The source is down, and whoever needs nothing of it works.
	shows([]string{"status"}, `http .*token: secret kv/github: .*Vault cannot be reached: .*connection refused.*`+
		`nothing .*environment variable KEY: secret kv/nothing: .*clock +connected.*notes .*environment variable DATABASE_URL: secret kv/db: `)
	shows([]string{"validate", "--live"}, `http .*secret kv/github.*clock +modern, 1 tool.*notes .*secret kv/db: `)

	// It comes, without anybody doing anything about it.
	vault.start(t)
	g.awaitStates(t, "http connected, nothing connecting, clock connected, notes connected")
	shows([]string{"status"}, `environment variable KEY: secret kv/nothing: Vault has no secret "nothing" in the engine "secret"`)
	authorization := func() string {
		see(whoami...)
		calls := server.Requests("tools/call")
		if len(calls) == 0 {
			return ""
		}
		return calls[len(calls)-1].Header.Get("Authorization")
	}
	if got, want := authorization(), "Bearer ghp_first0123456789"; got != want {
		t.Errorf("the call was sent with %q, want %q", got, want)
	}
	if env := processesWith(t, g.cmd.Process.Pid, "DATABASE_URL=postgres://app:db-password-0123456789@db/app"); env != 1 {
		t.Errorf("%d processes have the secret in their environment, want 1", env)
	}

	// A rotated value is used, one that cannot be is not, and neither fails others.
	vault.set("github", "ghp_second0123456789")
	eventually(t, func() string {
		if got, want := authorization(), "Bearer ghp_second0123456789"; got != want {
			return fmt.Sprintf("the call was sent with %q, want %q", got, want)
		}
		return ""
	})
	vault.set("github", "ghp_third0123456789\r\nX-Admin: yes")
	shows(whoami, `upstream "http": token: secret kv/github: its value contains a line break or another control character, which an HTTP header cannot hold`)
	if note := g.note(t); !strings.Contains(note, "Noted as number") {
		t.Errorf("another upstream: %s", note)
	}

	see("config", "show")
	see("config", "show", "--json")
	see("status", "--json")
	_, metrics := g.get(t, "/metrics")
	_, ready := g.get(t, "/health/ready")
	seen.WriteString(metrics + ready + commandLines(t))
	_ = g.signal(t, syscall.SIGQUIT) // the runtime prints all stacks
	if !strings.Contains(g.written(), "SIGQUIT: quit") {
		t.Errorf("there is no dump")
	}
	seen.WriteString(g.written())
	for _, value := range []string{"db-password", "ghp_first", "ghp_second", "ghp_third", vaultToken} {
		if i := strings.Index(seen.String(), value); i >= 0 {
			t.Errorf("%s was printed: %s", value, seen.String()[max(0, i-200):i+100])
		}
	}
}

// processesWith counts the children of a process with a variable.
func processesWith(t *testing.T, parent int, variable string) (n int) {
	t.Helper()
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environs {
		stat, _ := os.ReadFile(filepath.Dir(path) + "/status") // it may be gone
		text, _ := os.ReadFile(path)
		if strings.Contains(string(stat), "PPid:\t"+strconv.Itoa(parent)+"\n") && strings.Contains(string(text), variable) {
			n++
		}
	}
	return n
}

// commandLines are those of all processes.
func commandLines(t *testing.T) string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d processes, %v", len(paths), err)
	}
	var all strings.Builder
	for _, path := range paths {
		text, _ := os.ReadFile(path) // it may be gone
		all.Write(text)
	}
	return all.String()
}
