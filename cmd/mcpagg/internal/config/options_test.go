package config

import (
	"context"
	"encoding/json"
	"net/netip"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/policy/lock"
	"github.com/mcpagg/mcpagg/upstream"
)

// reveal makes secrets comparable.
func reveal(s upstream.Secret) string {
	if s == nil {
		return "none"
	}
	value, err := s(context.Background())
	if err != nil {
		return err.Error()
	}
	return value
}

var compareOptions = cmp.Options{
	cmp.Transformer("reveal", reveal),
	cmp.Transformer("URL", func(u *url.URL) string {
		if u == nil {
			return ""
		}
		return u.String()
	}),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(upstream.Options{}, "Fingerprint"), // see TestFingerprint
}

func secretOf(value string) upstream.Secret {
	return func(context.Context) (string, error) { return value, nil }
}

func parseURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	must(t, err)
	return u
}

// TestOptions checks what becomes of a configuration in which everything is set.
func TestOptions(t *testing.T) {
	a, err := txtar.ParseFile("testdata/valid/everything.txtar")
	must(t, err)
	out := run(t, a)
	must(t, out.err)

	dir, err := os.Getwd()
	must(t, err)
	server := Server{
		Listen: "[::1]:9000", Admin: "localhost:9090", Drain: 90 * time.Second,
		Socket: dir + "/run/mcpagg.sock", SocketFrom: "server.socket",
	}
	if out.config.Server != server {
		t.Errorf("server is %+v, want %+v", out.config.Server, server)
	}
	want := aggregator.Options{
		Names:          aggregator.Names{Max: 60, Separator: "__"},
		ContainerDir:   dir + "/run/containers",
		Limits:         aggregator.Limits{RequestBytes: 512 << 10, SessionsPerUser: 20, CallsPerMinute: 600},
		PublicURL:      parseURL(t, "https://mcp.contoso.com/tools"),
		AllowedOrigins: []string{"https://inspector.contoso.com", "vscode-webview://abc", "http://localhost:6274"},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		Upstreams: []aggregator.Upstream{
			{
				Options: upstream.Options{
					Name:            "github",
					URL:             parseURL(t, "https://api.githubcopilot.com/mcp/?mode=full"),
					Headers:         map[string]upstream.Secret{"X-Mode": secretOf("full"), "Host": secretOf("github.example")},
					Token:           secretOf("literal"),
					Protocol:        upstream.Modern,
					ConnectTimeout:  time.Second,
					CallTimeout:     2 * time.Minute,
					ToolsGrace:      time.Hour,
					MaxMessageBytes: 20_000_000,
				},
				Tags:        []string{"scm", "production"},
				IdleTimeout: 15 * time.Minute,
				Observe:     true, TrustHints: true, Drift: lock.Hide, ExtraArguments: true,
				Tools: aggregator.ToolRules{
					Allow: []string{"*"},
					Deny:  []string{"delete_*"},
					Overrides: map[string]aggregator.Override{
						"create_issue": {
							Name:        "open_issue",
							Description: "Open an issue.",
							Labels:      []string{"writes-public"},
							Annotations: map[string]bool{
								"readOnlyHint": false, "destructiveHint": false, "idempotentHint": false, "openWorldHint": true,
							},
							Require: []string{"repo"},
							Set: map[string]json.RawMessage{
								"owner": []byte(`"contoso"`), "labels": []byte(`["a",{"b":null}]`),
								"big": []byte(`9007199254740993`), "half": []byte(`0.5`),
							},
						},
						"a.tool with odd/name": {},
					},
				},
			},
			{
				Options: upstream.Options{
					Name:            "files",
					Command:         []string{dir + "/bin/npx", "./as-it-is"},
					Dir:             dir + "/bin",
					Env:             map[string]upstream.Secret{"KEY": secretOf("value")},
					Protocol:        upstream.Legacy,
					ConnectTimeout:  5 * time.Second,
					CallTimeout:     2 * time.Minute,
					ToolsGrace:      10 * time.Minute,
					MaxMessageBytes: 20_000_000,
				},
				Prefix:      "files",
				IdleTimeout: 15 * time.Minute,
				Drift:       lock.Warn,
			},
		},
	}
	if diff := cmp.Diff(want, out.config.Gateway, compareOptions); diff != "" {
		t.Errorf("options differ (-want +got):\n%s", diff)
	}
}

// TestAllowNothing checks that an empty list of patterns stays one: nil would
// publish every tool.
func TestAllowNothing(t *testing.T) {
	a, err := txtar.ParseFile("testdata/valid/allow_nothing.txtar")
	must(t, err)
	out := run(t, a)
	must(t, out.err)
	if allow := out.config.Gateway.Upstreams[0].Tools.Allow; allow == nil {
		t.Error("allow is nil, want an empty list")
	}
}

// TestSecretsReachUpstreams checks that what is not printed still arrives.
func TestSecretsReachUpstreams(t *testing.T) {
	a, err := txtar.ParseFile("testdata/valid/secrets.txtar")
	must(t, err)
	out := run(t, a)
	must(t, out.err)
	ups := out.config.Gateway.Upstreams
	for _, s := range []struct {
		name, got, want string
	}{
		{"token", reveal(ups[0].Token), "ghp_0123456789"},
		{"X-One", reveal(ups[0].Headers["X-One"]), "Bearer hunter2hunter2"},
		{"X-Three", reveal(ups[0].Headers["X-Three"]), "hunter2hunter2ghp_0123456789"},
		{"url", ups[0].URL.Host, "internal.contoso.com"},
		{"command", ups[1].Command[2], "hunter2hunter2"},
		{"env", reveal(ups[1].Env["B"]), "hunter2hunter2"},
		{"set", string(ups[1].Tools.Overrides["a"].Set["nested"]), `{"keys":["hunter2hunter2"]}`},
		{"X-Hidden", reveal(ups[3].Headers["X-Hidden"]), "hidden-value"},
	} {
		if s.got != s.want {
			t.Errorf("%s is %q, want %q", s.name, s.got, s.want)
		}
	}
}
