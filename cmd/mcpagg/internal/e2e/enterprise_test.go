//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEnterprise runs examples/enterprise with its one command.
func TestEnterprise(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		g := startEnterprise(t, e)
		tools := names(g.awaitPrefixes(t, "github_", "jira_", "confluence_", "notes_"))
		for name, published := range map[string]bool{
			"github_list_issues": true, "github_merge_pull_request": true, "github_delete_repository": false,
			"jira_search": true, "jira_delete_issue_forever": true, "jira_delete_issue": false,
			"confluence_search": true, "confluence_delete_page": false, "notes_add": true,
		} {
			if slices.Contains(tools, name) != published {
				t.Errorf("published: %v, want %s among them: %v", tools, name, published)
			}
		}
		for _, d := range g.doors(t) {
			t.Run(d.era, func(t *testing.T) { useEnterprise(t, d) })
		}
		// Each server shares the network of a container that only holds it.
		boxes := slices.DeleteFunc(e.containersOf(t, g), func(name string) bool { return strings.HasSuffix(name, "-egress") })
		if len(boxes) != 2 {
			t.Errorf("the gateway runs %v, want a container of github and one of atlassian", boxes)
		}
		for _, name := range boxes {
			state := strings.TrimSpace(e.run(t, "inspect", "--format", "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.PidsLimit}} {{.HostConfig.NetworkMode}}", name))
			if !strings.HasPrefix(state, "true 64 container:") {
				t.Errorf("%s: read-only root, limit of processes and network are %s", name, state)
			}
		}
	})
}

// useEnterprise calls tools of the servers.
func useEnterprise(t *testing.T, d door) {
	for _, call := range []struct {
		tool      string
		arguments object
		want      string // in the text of the result
	}{
		{"github_search_repositories", object{"query": "shop"}, `"contoso/shop"`},
		{"github_create_issue", object{"repo": "shop", "title": "from " + d.era}, "from " + d.era},
		{"github_list_issues", object{"owner": "contoso", "repo": "shop"}, "from " + d.era},
		{"github_list_pull_requests", object{"owner": "contoso", "repo": "shop"}, "Remember the cart"},
		{"jira_create_issue", object{"project_key": "SHOP", "summary": "from " + d.era}, "gateway@contoso.com"},
		{"jira_search", object{"query": "from " + d.era}, "from " + d.era},
		{"confluence_search", object{"query": "release"}, "Every Tuesday"},
		{"github_delete_repository", object{"owner": "contoso", "repo": "shop"}, "error: "},
	} {
		if got := text(t, d, call.tool, call.arguments); !strings.Contains(got, call.want) {
			t.Errorf("%s gives %s, want %s in it", call.tool, short(got), call.want)
		}
	}
}

// startEnterprise runs the example's command with an engine.
func startEnterprise(t *testing.T, e *engine) *gateway {
	t.Helper()
	script, err := filepath.Abs("../../../../examples/enterprise/run.sh")
	if err != nil {
		t.Fatal(err)
	}
	env := append([]string{"ENGINE=" + e.name, "MCPAGG=" + os.Getenv(binaryEnv), "PATH=" + os.Getenv("PATH")}, e.env...)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"} { // what HOME would tell
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, fmt.Sprintf("%s=%s", name, strings.TrimSpace(string(value))))
	}
	s := newSandbox(t)
	g := &gateway{daemon: s.start(t, nil, env, script, "--listen", "127.0.0.1:0")}
	g.logLines = 50
	t.Cleanup(func() {
		if left := e.containersOf(t, g); len(left) > 0 {
			t.Errorf("the gateway has ended and left containers: %v", left)
			_ = e.remove(left...)
		}
	})
	g.url = g.await(t, `http://127\.0\.0\.1:\d+/mcp`)[0]
	t.Cleanup(func() { g.stop(t) })
	return g
}

// awaitPrefixes waits until there are tools with each of the prefixes.
func (g *gateway) awaitPrefixes(t *testing.T, prefixes ...string) []tool {
	t.Helper()
	c := legacy(t, g.url)
	defer c.close(t)
	var tools []tool
	eventually(t, func() string {
		var err error
		if tools, err = listTools(t.Context(), c); err != nil {
			return err.Error()
		}
		for _, prefix := range prefixes {
			if !slices.ContainsFunc(tools, func(tool tool) bool { return strings.HasPrefix(tool.name, prefix) }) {
				return fmt.Sprintf("there is no tool %s… yet\n%s", prefix, excerpt(g.stderr.String(), 30))
			}
		}
		return ""
	})
	return tools
}
