//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An upstream is a block of the gateway's configuration.
type upstream struct {
	label   string
	command []string
	env     map[string]string
	url     string

	container []string // attributes of the block, one a line; nil for none

	prefix    *string // nil is the label
	isolation string
	requests  []string

	maxInstances int // 0 is the default
}

// configuration writes upstreams as a gateway.hcl. The time to connect is
// generous, since all the servers start at once on few cores; the time to
// finish calls at the end is short, since some never end.
func configuration(upstreams []upstream) []byte {
	var b strings.Builder
	b.WriteString("server {\n  drain = \"2s\"\n}\n")
	b.WriteString("defaults \"upstream\" {\n  connect_timeout = \"60s\"\n}\n")
	for _, u := range upstreams {
		fmt.Fprintf(&b, "upstream %q {\n", u.label)
		switch {
		case u.url != "":
			fmt.Fprintf(&b, "  url = %q\n", u.url)
		case u.container != nil:
			fmt.Fprintf(&b, "  container {\n    %s\n  }\n", strings.Join(u.container, "\n    "))
		default:
			fmt.Fprintf(&b, "  command = %s\n", encode(u.command))
		}
		if len(u.env) > 0 {
			b.WriteString("  env = {\n")
			for _, name := range slices.Sorted(maps.Keys(u.env)) {
				fmt.Fprintf(&b, "    %s = %q\n", name, u.env[name])
			}
			b.WriteString("  }\n")
		}
		if u.prefix != nil {
			fmt.Fprintf(&b, "  prefix = %q\n", *u.prefix)
		}
		if u.isolation != "" {
			fmt.Fprintf(&b, "  isolation = %q\n", u.isolation)
		}
		if u.maxInstances != 0 {
			fmt.Fprintf(&b, "  max_instances = %d\n", u.maxInstances)
		}
		if u.requests != nil {
			fmt.Fprintf(&b, "  requests = %s\n", encode(u.requests))
		}
		b.WriteString("}\n")
	}
	return []byte(b.String())
}

// A gateway is a running mcpagg.
type gateway struct {
	*daemon
	url string
}

// startGateway runs mcpagg until the end of the test, which also makes sure
// that it ends well and leaves nothing behind.
func startGateway(t testing.TB, upstreams ...upstream) *gateway {
	t.Helper()
	return startGatewayWith(t, func(s sandbox) { s.write(t, "gateway.hcl", configuration(upstreams)) })
}

// startGatewayWith is startGateway for a configuration that write makes, and
// more environment variables.
func startGatewayWith(t testing.TB, write func(sandbox), env ...string) *gateway {
	t.Helper()
	s := newSandbox(t)
	write(s)
	return s.serve(t, env)
}

// serve is startGateway for a sandbox that has the configuration, more
// environment variables and flags.
func (s sandbox) serve(t testing.TB, env []string, flags ...string) *gateway {
	t.Helper()
	argv := append([]string{os.Getenv(binaryEnv), "serve", "--listen", "127.0.0.1:0"}, flags...)
	g := &gateway{daemon: s.start(t, nil, append(env, "GOTRACEBACK=all"), argv...)}
	g.logLines = 50
	g.url = g.await(t, `http://127\.0\.0\.1:\d+/mcp`)[0]
	t.Cleanup(func() { g.stop(t) })
	return g
}

// A door is where clients of one era come in.
type door struct {
	era string
	*httpClient
}

func (g *gateway) doors(t testing.TB) []door {
	t.Helper()
	return []door{{"legacy", legacy(t, g.url)}, {"modern", modern(t, g.url)}}
}

// stop ends the gateway the way a service manager does.
func (g *gateway) stop(t testing.TB) {
	t.Helper()
	select {
	case <-g.exited: // a test has already ended it
		return
	default:
	}
	if err := g.signal(t, syscall.SIGTERM); err != nil {
		t.Errorf("the gateway ends with %v on SIGTERM", err)
	}
	g.checkGone(t)
	for _, line := range regexp.MustCompile(`(?m)^.*(panic:|DATA RACE|fatal error:).*$`).FindAllString(g.stderr.String(), -1) {
		if !strings.Contains(line, "msg=stderr ") { // or an upstream did
			t.Errorf("the gateway wrote %q", line)
		}
	}
}

// checkGone fails if anything of a gateway that has ended is still there. Podman's
// monitor of a container that is gone ends by itself, in its own time.
func (g *gateway) checkGone(t testing.TB) {
	t.Helper()
	left := g.processes()
	for range 40 {
		if !slices.ContainsFunc(left, func(p process) bool { return strings.Contains(p.String(), "/conmon ") }) {
			break
		}
		time.Sleep(50 * time.Millisecond)
		left = g.processes()
	}
	if len(left) > 0 {
		t.Errorf("the gateway has ended and left %d processes behind: %v", len(left), left)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(g.url, "http://"), "/mcp")
	if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		conn.Close()
		t.Errorf("the gateway has ended and %s still accepts connections", address)
	}
}

// A tool is one definition of a list.
type tool struct {
	name string
	raw  json.RawMessage
}

func newTool(raw json.RawMessage) (tool, error) {
	var named struct{ Name string }
	err := json.Unmarshal(raw, &named)
	return tool{named.Name, raw}, err
}

// listTools joins the pages of tools/list.
func listTools(ctx context.Context, c client) ([]tool, error) {
	var tools []tool
	params := object{}
	for {
		result, err := c.call(ctx, "tools/list", params)
		if err != nil {
			return nil, fmt.Errorf("tools/list: %w", err)
		}
		var page struct {
			Tools      []json.RawMessage
			NextCursor string
		}
		if err := json.Unmarshal(result, &page); err != nil {
			return nil, fmt.Errorf("tools/list: %w", err)
		}
		for _, raw := range page.Tools {
			tool, err := newTool(raw)
			if err != nil {
				return nil, fmt.Errorf("tools/list: %w", err)
			}
			tools = append(tools, tool)
		}
		if page.NextCursor == "" {
			return tools, nil
		}
		params = object{"cursor": page.NextCursor}
	}
}

func names(tools []tool) []string {
	list := make([]string, len(tools))
	for i, t := range tools {
		list[i] = t.name
	}
	return list
}

func definitions(tools []tool) []json.RawMessage {
	list := make([]json.RawMessage, len(tools))
	for i, t := range tools {
		list[i] = t.raw
	}
	return list
}

// awaitTools waits until every upstream has published its tools.
func (g *gateway) awaitTools(t testing.TB, labels ...string) []tool {
	t.Helper()
	c := legacy(t, g.url)
	defer c.close(t)
	var tools []tool
	eventually(t, func() string {
		var err error
		if tools, err = listTools(t.Context(), c); err != nil {
			return err.Error()
		}
		for _, label := range labels {
			if len(published(tools, label)) == 0 {
				return fmt.Sprintf("upstream %q has no tools yet\n%s", label, excerpt(g.stderr.String(), 30))
			}
		}
		return ""
	})
	return tools
}

// published selects the tools of one upstream.
func published(tools []tool, label string) []tool {
	var list []tool
	for _, tool := range tools {
		if strings.HasPrefix(tool.name, label+"_") {
			list = append(list, tool)
		}
	}
	return list
}
