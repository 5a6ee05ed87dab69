//go:build e2e

package e2e

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// quietClaude and quietOpenCode are the settings with which the agents neither
// report on their use nor look for news of themselves.
var (
	quietClaude = []string{
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1",
		"DISABLE_AUTOUPDATER=1", "DISABLE_BUG_COMMAND=1",
	}
	quietOpenCode = []string{
		"OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_SHARE=1",
		"OPENCODE_DISABLE_LSP_DOWNLOAD=1", "OPENCODE_DISABLE_DEFAULT_PLUGINS=1",
	}
)

// testClaudeCode runs Claude Code, which has to find and call one tool of a
// process, one of an HTTP server and one of a process that reads a file.
func testClaudeCode(t *testing.T, g *gateway, note string) {
	t.Parallel()
	s := newSandbox(t)
	p := watchVersions(t, g.url)
	m := startModel(t, agentScript("mcp__gateway__", note)...)
	checkClaude(t, s, m, p.url, agentResults...)
	if got := p.versions(); !slices.Contains(got, modernVersion) {
		t.Errorf("Claude Code speaks %v, want %s", got, modernVersion)
	}
}

// checkClaude runs Claude Code, which has to make the calls of a model.
func checkClaude(t *testing.T, s sandbox, m *model, gateway string, want ...string) {
	t.Helper()
	config := s.write(t, "mcp.json", encode(object{"mcpServers": object{"gateway": object{"type": "http", "url": gateway}}}))
	env := append([]string{
		"ANTHROPIC_BASE_URL=" + m.url, "ANTHROPIC_API_KEY=test",
		"ENABLE_TOOL_SEARCH=false", // or the tools are not in the request
	}, quietClaude...)
	out := s.run(t, env, claude, "-p", "Call the tools.", "--output-format", "json",
		"--mcp-config", config, "--strict-mcp-config", "--allowedTools", "mcp__gateway")
	checkAgent(t, m, out, want...)
}

// testOpenCode does the same with OpenCode.
func testOpenCode(t *testing.T, g *gateway, note string) {
	t.Parallel()
	s := newSandbox(t)
	p := watchVersions(t, g.url)
	m := startModel(t, agentScript("gateway_", note)...)
	s.write(t, "opencode.json", openCodeConfig(p.url, m.url))
	out := s.run(t, quietOpenCode, opencode, "run", "--format", "json", "Call the tools.")
	checkAgent(t, m, out, agentResults...)
	if got := p.versions(); !slices.Contains(got, legacyVersion) {
		t.Errorf("OpenCode speaks %v, want %s", got, legacyVersion)
	}
}

func openCodeConfig(gateway, model string) []byte {
	return encode(object{
		"autoupdate": false, "share": "disabled", "model": "scripted/scripted",
		"provider": object{"scripted": object{
			"npm": "@ai-sdk/openai-compatible", "name": "Scripted",
			"options": object{"baseURL": model + "/v1", "apiKey": "test"},
			"models":  object{"scripted": object{"name": "Scripted", "limit": object{"context": 200000, "output": 1000}}},
		}},
		"mcp": object{"gateway": object{"type": "remote", "url": gateway, "enabled": true}},
	})
}

func agentScript(prefix, note string) []scriptedCall {
	return []scriptedCall{
		{prefix + "local_echo", object{"message": "from the agent"}},
		{prefix + "remote_get-sum", object{"a": 40, "b": 2}},
		{prefix + "files_read_text_file", object{"path": note}},
	}
}

// agentResults are what the calls of agentScript give.
var agentResults = []string{"Echo: from the agent", "The sum of 40 and 2 is 42.", "A note for the reader"}

// checkAgent makes sure that the results came back to the model and that the
// agent printed its last word.
func checkAgent(t *testing.T, m *model, printed string, want ...string) {
	t.Helper()
	offered, results := m.seen()
	if len(results) != len(want) {
		t.Fatalf("the agent made %d calls, want %d\noffered %v\nresults %v\nprinted %s", len(results), len(want), offered, results, excerpt(printed, 30))
	}
	for i := range want {
		if !strings.Contains(results[i], want[i]) {
			t.Errorf("call %d gave the model %s, want %q", i, short(results[i]), want[i])
		}
	}
	if !strings.Contains(printed, "DONE") || !strings.Contains(printed, want[len(want)-1]) {
		t.Errorf("the agent does not print the last result:\n%s", excerpt(printed, 30))
	}
}

func testClaudeList(t *testing.T, g *gateway) {
	t.Parallel()
	s := newSandbox(t)
	s.run(t, quietClaude, claude, "mcp", "add", "--transport", "http", "--scope", "user", "gateway", g.url)
	out := s.run(t, quietClaude, claude, "mcp", "list")
	if !strings.Contains(out, "gateway: "+g.url) || !strings.Contains(out, "Connected") {
		t.Errorf("claude mcp list says\n%s", out)
	}
}

func testOpenCodeList(t *testing.T, g *gateway) {
	t.Parallel()
	s := newSandbox(t)
	s.write(t, "opencode.json", openCodeConfig(g.url, "http://127.0.0.1:9"))
	stdout, stderr, code := s.try(t, quietOpenCode, opencode, "mcp", "list")
	if code != 0 || !strings.Contains(stdout+stderr, "✓ gateway") || !strings.Contains(stdout+stderr, "connected") {
		t.Errorf("opencode mcp list says\n%s%s", stdout, stderr)
	}
}

// A watcher passes everything on to the gateway and notes which revisions of
// MCP were spoken.
type watcher struct {
	url string

	mu   sync.Mutex
	seen []string // guarded by mu
}

func watchVersions(t testing.TB, gateway string) *watcher {
	t.Helper()
	target, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			w.note(r.In.Header.Get("Mcp-Protocol-Version"))
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
		},
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	w.url = s.URL + target.Path
	return w
}

func (w *watcher) note(version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.seen, version) {
		w.seen = append(w.seen, version)
	}
}

func (w *watcher) versions() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}
