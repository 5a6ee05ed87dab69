//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inspect runs one method of the Inspector and decodes its result.
func inspect(t *testing.T, result any, target []string, method string, options ...string) {
	t.Helper()
	out := newSandbox(t).run(t, nil, inspectorCommand(target, method, options...)...)
	var answer struct{ Result json.RawMessage }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%s: %v in %s", method, err, short(out))
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		t.Fatalf("%s: %v in %s", method, err, short(out))
	}
}

// inspectorCommand has the target, a command line or a URL, at its end.
func inspectorCommand(target []string, method string, options ...string) []string {
	argv := append([]string{clients.bin("mcp-inspector"), "--cli", "--format", "json", "--method", method}, options...)
	if len(target) == 1 && strings.HasPrefix(target[0], "http") {
		return append(argv, "--transport", "http", target[0])
	}
	return append(append(argv, "--"), target...)
}

// testInspector compares what the Inspector finds with and without the gateway.
func testInspector(t *testing.T, g *gateway, local, remote server) {
	t.Parallel()
	gateway := []string{g.url}
	for _, era := range []string{"legacy", "modern"} {
		var tools struct{ Tools []struct{ Name string } }
		inspect(t, &tools, gateway, "tools/list", "--protocol-era", era)
		if len(tools.Tools) < 40 {
			t.Errorf("tools/list in the %s era: %v", era, tools)
		}
	}
	for _, label := range []string{local.label, remote.label} {
		var echo struct{ Content []struct{ Text string } }
		inspect(t, &echo, gateway, "tools/call", "--tool-name", label+"_echo", "--tool-arg", "message=hi")
		if len(echo.Content) != 1 || echo.Content[0].Text != "Echo: hi" {
			t.Errorf("%s_echo: %v", label, echo)
		}
	}
	compareResources(t, gateway, local, remote)
	comparePrompts(t, gateway, local, remote)
}

// compareResources expects each resource twice, since both upstreams are the
// same server.
func compareResources(t *testing.T, gateway []string, local, remote server) {
	t.Helper()
	type resources struct{ Resources []struct{ URI, Name string } }
	var merged, own resources
	inspect(t, &merged, gateway, "resources/list")
	inspect(t, &own, local.argv, "resources/list")
	if len(own.Resources) == 0 {
		t.Fatal("the server has no resources")
	}
	for _, label := range []string{local.label, remote.label} {
		for _, r := range own.Resources {
			r.URI = label + "+" + r.URI
			if !slices.Contains(merged.Resources, r) {
				t.Errorf("resources/list has no %v\ngot %v", r, merged.Resources)
			}
		}
	}
}

func comparePrompts(t *testing.T, gateway []string, local, remote server) {
	t.Helper()
	type prompts struct {
		Prompts []struct {
			Name      string
			Arguments json.RawMessage
		}
	}
	var mergedPrompts, ownPrompts prompts
	inspect(t, &mergedPrompts, gateway, "prompts/list")
	inspect(t, &ownPrompts, local.argv, "prompts/list")
	got, want := map[string]string{}, map[string]string{}
	for _, p := range mergedPrompts.Prompts {
		got[p.Name] = string(p.Arguments)
	}
	for _, p := range ownPrompts.Prompts {
		want[local.label+"_"+p.Name], want[remote.label+"_"+p.Name] = string(p.Arguments), string(p.Arguments)
	}
	if !maps.Equal(got, want) || len(got) == 0 {
		t.Errorf("prompts/list\ngot  %v\nwant %v", got, want)
	}
}

// testStrict lets the Inspector look for schemas that some clients or models
// refuse: behind the gateway it must find what it finds without it.
func testStrict(t *testing.T, g *gateway, all []server) {
	var want []string
	for _, s := range all {
		target := s.argv
		if s.url != "" {
			target = []string{s.url}
		}
		for _, f := range strict(t, s.env, target) {
			want = append(want, strings.Replace(f, `tool "`, `tool "`+s.label+"_", 1))
		}
	}
	got := strict(t, nil, []string{g.url})
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 {
		t.Error("the Inspector finds nothing at all; it is known to complain about some of these servers")
	}
	for _, f := range got {
		if !slices.Contains(want, f) {
			t.Errorf("only behind the gateway: %s", f)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d findings behind the gateway, %d without it", len(got), len(want))
	}
}

// finding matches what --strict prints for one place in a schema.
var finding = regexp.MustCompile(`(?m)^(Warning|Error): (tool ".*")\n  Path: (.*)\n  Issue: (.*)$`)

func strict(t *testing.T, env map[string]string, target []string) []string {
	t.Helper()
	options := []string{"--strict"}
	for name, value := range env {
		options = append(options, "-e", name+"="+value)
	}
	argv := inspectorCommand(target, "tools/list", options...)
	_, stderr, code := newSandbox(t).try(t, nil, argv...)
	const errorsFound = 6
	if code != 0 && code != errorsFound {
		t.Fatalf("%s exits with %d\n%s", strings.Join(argv, " "), code, excerpt(stderr, 30))
	}
	var list []string
	for _, m := range finding.FindAllStringSubmatch(stderr, -1) {
		list = append(list, fmt.Sprintf("%s: %s at %s: %s", m[1], m[2], m[3], m[4]))
	}
	return list
}
