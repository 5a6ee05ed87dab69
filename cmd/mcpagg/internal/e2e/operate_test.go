//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestReload changes the configuration in each of the three ways, under calls
// that are in flight and a stream that is open in clients of both eras.
func TestReload(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name    string
		watch   bool
		trigger func(*testing.T, *gateway)
	}{
		{"changed file", true, func(*testing.T, *gateway) {}},
		{"SIGHUP", false, func(t *testing.T, g *gateway) {
			if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}},
		{"command", false, func(t *testing.T, g *gateway) {
			if got := g.run(t, nil, os.Getenv(binaryEnv), "reload"); got != "added        another\n" {
				t.Errorf("reload prints %q", got)
			}
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			write := func(s sandbox, more string, upstreams ...upstream) {
				text := bytes.Replace(configuration(upstreams), []byte("server {\n"), fmt.Appendf(nil, "server {\n  watch = %v\n", way.watch), 1)
				s.write(t, "gateway.hcl", append(text, more...))
			}
			kept := growing(t, "growing")
			g := startGatewayWith(t, func(s sandbox) { write(s, "", kept) })
			g.awaitTools(t, "growing")
			before := g.processes()

			events := legacy(t, g.url).get(t)
			listen := modern(t, g.url).stream(t, "subscriptions/listen", listenParams())
			listen.next(t, "notifications/subscriptions/acknowledged")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan string, 2)
			for _, door := range g.doors(t) {
				go func() { ended <- outcome(callTool(ctx, door, "growing_wait", object{"name": door.era})) }()
				g.await(t, door.era+" begins")
			}

			write(g.sandbox, "nonsense = 1\n", kept)
			if stdout, stderr, code := g.try(t, nil, os.Getenv(binaryEnv), "reload"); code != 2 || stdout != "" || !strings.Contains(stderr, "gateway.hcl:") {
				t.Errorf("reload of a bad file exits with %d: %s%s", code, stdout, stderr)
			}
			g.await(t, "not reloaded")

			write(g.sandbox, "", kept, growing(t, "another"))
			way.trigger(t, g)
			events.next(t, "notifications/tools/list_changed")
			listen.next(t, "notifications/tools/list_changed")
			g.awaitTools(t, "growing", "another")
			after := g.processes()
			for _, p := range before {
				if !slices.ContainsFunc(after, func(q process) bool { return p.pid == q.pid }) {
					t.Errorf("%v has ended", p)
				}
			}
			select {
			case got := <-ended:
				t.Errorf("a call that was in flight ends with %s", got)
			default:
			}
			var status struct {
				Upstreams []struct {
					Name     string
					InFlight int `json:"in_flight"`
				}
			}
			if err := json.Unmarshal([]byte(g.run(t, nil, os.Getenv(binaryEnv), "status", "--json")), &status); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(status.Upstreams); got != "[{growing 2} {another 0}]" {
				t.Errorf("calls in flight: %s", got)
			}
		})
	}
}
