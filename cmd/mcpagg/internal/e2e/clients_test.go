//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestClients puts real clients in front of one gateway, which has a process
// and an HTTP server behind it, and one whose list grows.
func TestClients(t *testing.T) {
	t.Parallel()
	local, remote, files := everything(), everythingHTTP(t), filesystem(t)
	local.label, remote.label = "local", "remote"
	g := startGateway(t, local.upstream(), remote.upstream(), files.upstream(), growing(t, "growing"))
	g.awaitTools(t, "local", "remote", "files", "growing")
	checkHealth(t, g)
	note := files.calls[1].arguments["path"].(string)

	// The gateway must stay until its clients are done.
	t.Run("clients", func(t *testing.T) {
		t.Run("Claude Code", func(t *testing.T) { testClaudeCode(t, g, note) })
		t.Run("claude mcp list", func(t *testing.T) { testClaudeList(t, g) })
		t.Run("OpenCode", func(t *testing.T) { testOpenCode(t, g, note) })
		t.Run("opencode mcp list", func(t *testing.T) { testOpenCodeList(t, g) })
		t.Run("Inspector", func(t *testing.T) { testInspector(t, g, local, remote) })
		t.Run("mcp-remote", func(t *testing.T) { testRemoteProxy(t, g) })
		t.Run("mcp-remote-client", func(t *testing.T) { testRemoteClient(t, g) })
		t.Run("mcpagg call", func(t *testing.T) { testCommand(t, g) })
		t.Run("TypeScript 1", func(t *testing.T) { testTypeScript(t, g, "typescript1.mjs", legacyVersion) })
		t.Run("TypeScript 2", func(t *testing.T) { testTypeScript(t, g, "typescript2.mjs", modernVersion) })
	})
}

func checkHealth(t *testing.T, g *gateway) {
	t.Helper()
	resp, err := http.Get(strings.TrimSuffix(g.url, "/mcp") + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/health answers %d", resp.StatusCode)
	}
}

// testCommand uses the gateway through mcpagg itself.
func testCommand(t *testing.T, g *gateway) {
	t.Parallel()
	for _, label := range []string{"local", "remote"} {
		input := fmt.Sprintf(`{"message": "from the command line to %s"}`, label)
		out := newSandbox(t).run(t, nil, os.Getenv(binaryEnv), "call", label+"_echo", "--input", input, "--url", g.url)
		if want := "Echo: from the command line to " + label; strings.TrimSpace(out) != want {
			t.Errorf("mcpagg call prints %q, want %q", out, want)
		}
	}
	out := newSandbox(t).run(t, nil, os.Getenv(binaryEnv), "catalog", "--url", g.url)
	for _, name := range []string{"local_echo", "remote_get-sum", "files_read_text_file", "growing_grow"} {
		if !strings.Contains(out, name) {
			t.Errorf("mcpagg catalog does not print %s:\n%s", name, excerpt(out, 60))
		}
	}
}

// testRemoteProxy uses the gateway through mcp-remote, which is a server over
// stdio to its client.
func testRemoteProxy(t *testing.T, g *gateway) {
	t.Parallel()
	c := stdio(t, newSandbox(t), nil, clients.bin("mcp-remote"), g.url, "--allow-http")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	list, err := listTools(ctx, c)
	if err != nil || !slices.Contains(names(list), "remote_echo") {
		t.Fatalf("mcp-remote lists %v, %v", names(list), err)
	}
	for _, label := range []string{"local", "remote"} {
		got := outcome(callTool(ctx, c, label+"_echo", object{"message": "through mcp-remote"}))
		if !strings.Contains(got, "Echo: through mcp-remote") {
			t.Errorf("%s_echo gives %s", label, got)
		}
	}
}

func testRemoteClient(t *testing.T, g *gateway) {
	t.Parallel()
	d := newSandbox(t).start(t, nil, nil, clients.bin("mcp-remote-client"), g.url, "--allow-http")
	d.await(t, `(?s)Tools:.*local_echo.*remote_echo`)
}

// testTypeScript runs a script in testdata that lists, calls a tool, makes the
// list of an upstream grow and waits until it is told so.
func testTypeScript(t *testing.T, g *gateway, script, wantVersion string) {
	t.Parallel()
	s := newSandbox(t)
	grown := strings.TrimSuffix(script, ".mjs")
	out := s.run(t, nil, append(s.script(t, script), g.url, grown)...)
	var got struct {
		Version       string
		Before, After []string
		Text          string
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.Version != wantVersion {
		t.Errorf("version %q is spoken, want %q", got.Version, wantVersion)
	}
	if !slices.Contains(got.Before, "local_echo") || got.Text != "Echo: from "+grown {
		t.Errorf("tools %v, echo %q", got.Before, got.Text)
	}
	if name := "growing_" + grown; slices.Contains(got.Before, name) || !slices.Contains(got.After, name) {
		t.Errorf("after list_changed there is no %q\nbefore %v\nafter  %v", name, got.Before, got.After)
	}
}

// script makes a client's script in testdata ready to run.
func (s sandbox) script(t testing.TB, name string) (argv []string) {
	t.Helper()
	return s.scriptOf(t, clients, name)
}

// scriptOf makes a script in testdata ready to run, beside the packages that it
// imports, and returns the command without arguments.
func (s sandbox) scriptOf(t testing.TB, packages toolset, name string) (argv []string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	file := s.write(t, name, source)
	if err := os.Symlink(filepath.Join(packages.dir(), "node_modules"), filepath.Join(s.work(), "node_modules")); err != nil {
		t.Fatal(err)
	}
	return []string{filepath.Join(nodeBin, "node"), file}
}
