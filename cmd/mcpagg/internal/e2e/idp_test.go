//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"
)

// An openIDProvider is a running idp.mjs.
type openIDProvider struct {
	*daemon
	issuer string

	mu      sync.Mutex
	entries []journalEntry // guarded by mu
	ended   map[string]int // guarded by mu; how often a user's refresh tokens were ended
}

// startOpenIDProvider runs one with scopes of its own, or options, and more
// environment variables.
func startOpenIDProvider(t testing.TB, env []string, more ...string) *openIDProvider {
	t.Helper()
	s, port := newSandbox(t), freePort(t)
	p := &openIDProvider{issuer: fmt.Sprintf("http://127.0.0.1:%d", port), ended: map[string]int{}}
	argv := append(s.scriptOf(t, idp, "idp.mjs"), fmt.Sprint(port), fmt.Sprint(int(accessTTL/time.Second)))
	r, w := io.Pipe()
	p.daemon = s.start(t, w, env, append(argv, more...)...)
	ready := make(chan struct{})
	go p.read(r, ready)
	go func() {
		<-p.exited
		w.Close()
	}()
	select {
	case <-ready:
	case <-p.exited:
		t.Fatalf("the provider ends with %v\n%s", p.err, p.stderr)
	}
	return p
}

// read takes in what the provider prints. The first line says that it is ready.
func (p *openIDProvider) read(r io.Reader, ready chan<- struct{}) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var line struct {
			Issuer, Ended string
			journalEntry
		}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			fmt.Fprintln(p.stderr, lines.Text()) // a notice of the library
			continue
		}
		line.At = time.Now()
		p.mu.Lock()
		switch {
		case line.Issuer != "":
			close(ready)
		case line.Ended != "":
			p.ended[line.Ended]++
		default:
			p.entries = append(p.entries, line.journalEntry)
		}
		p.mu.Unlock()
	}
}

// openResourceServer has clients sign in with a provider that the gateway only
// takes the tokens of.
func openResourceServer(t testing.TB) (*signInGateway, provider) {
	t.Helper()
	p := startOpenIDProvider(t, nil, "mcp:use")
	return startSignInGateway(t, signInConfig{blocks: fmt.Sprintf(`
auth "oidc" "independent" {
  mode       = "resource-server"
  issuer     = %q
  scopes     = ["mcp:use"]
  clock_skew = %q
}
`, p.issuer, clockSkew) + openPolicy}), p
}

func (p *openIDProvider) journal() []journalEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.entries)
}

func (p *openIDProvider) asks(user string) []journalEntry { return requests(about(user, p.journal())) }

func (p *openIDProvider) endRefresh(t testing.TB, user string) {
	t.Helper()
	before := p.ends(user)
	if _, err := fmt.Fprintln(p.stdin, user); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if p.ends(user) == before {
			return "the provider does not end the refresh tokens of " + user
		}
		return ""
	})
}

func (p *openIDProvider) ends(user string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended[user]
}
