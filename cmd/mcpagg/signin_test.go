package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

// TestSignInStays checks that a reload replaces who says who is calling only
// where that changes, and only once it is served.
func TestSignInStays(t *testing.T) {
	const provider = "auth \"oidc\" \"idp\" {\n  mode   = \"resource-server\"\n  issuer = \"http://127.0.0.1:%d\"\n}\n" + openPolicy
	s := newTestSignIns(t, slog.New(slog.DiscardHandler))
	steps := []struct {
		what, text string
		served     bool
		replaced   bool
	}{
		{"the first", fmt.Sprintf(provider, 1), true, true},
		{"the same, and another upstream", fmt.Sprintf(provider, 1) + fmt.Sprintf(configured, "another"), true, false},
		{"another provider, refused", fmt.Sprintf(provider, 2), false, false},
		{"another provider", fmt.Sprintf(provider, 2), true, true},
		{"none", "", true, true},
		{"none again", "", true, false},
		{"one again", fmt.Sprintf(provider, 2), true, true},
	}
	for _, step := range steps {
		before := s.current
		cfg := loaded(t, step.text+fmt.Sprintf(configured, "first"))
		prepared(t, s, cfg)(step.served)
		if replaced := s.current != before; replaced != step.replaced {
			t.Errorf("%s: replaced is %v, want %v", step.what, replaced, step.replaced)
		}
		if step.served && (s.current != nil) != (cfg.Gateway.Authenticate != nil) {
			t.Errorf("%s: the gateway does not ask who is calling as it should", step.what)
		}
	}
}

// newTestSignIns are signIns that end with the test.
func newTestSignIns(t *testing.T, log *slog.Logger) *signIns {
	t.Helper()
	kept := newKept(t.Context(), log)
	t.Cleanup(kept.close)
	life, end := context.WithCancel(t.Context())
	s := newSignIns(life, "127.0.0.1:8080", kept, log)
	t.Cleanup(s.running.Wait)
	t.Cleanup(end)
	return s
}

func prepared(t *testing.T, s *signIns, cfg *config.Config) (settle func(bool)) {
	t.Helper()
	settle, err := s.prepare(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return settle
}

// loaded is a configuration that has no mistakes.
func loaded(t *testing.T, text string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load([]string{path}, testEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// testEnv is the environment, with a state folder of the test's own.
func testEnv(t *testing.T) func(string) (string, bool) {
	state := filepath.Join(filepath.Dir(t.TempDir()), "state") // the same at each call
	return func(name string) (string, bool) {
		if name == "XDG_STATE_HOME" {
			return state, true
		}
		return os.LookupEnv(name)
	}
}

func TestPublicURL(t *testing.T) {
	given, _ := url.Parse("https://mcp.contoso.com")
	for _, tt := range []struct {
		configured       *url.URL
		listen, listener string
		want             string
	}{
		{nil, "127.0.0.1:0", "127.0.0.1:4711", "http://127.0.0.1:4711"},
		{nil, "localhost:8080", "127.0.0.1:8080", "http://localhost:8080"},
		{nil, "[::1]:0", "[::1]:4711", "http://[::1]:4711"},
		{given, ":8443", "[::]:8443", "https://mcp.contoso.com"},
	} {
		cfg := &config.Config{Server: config.Server{Listen: tt.listen}, Gateway: aggregator.Options{PublicURL: tt.configured}}
		if got := publicURL(cfg, tt.listener).String(); got != tt.want {
			t.Errorf("listening on %s: %s, want %s", tt.listen, got, tt.want)
		}
	}
}
