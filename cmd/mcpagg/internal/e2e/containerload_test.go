//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestContainerLatency measures what a call costs more in a container than in a
// process, of a server that does next to nothing and of one of npm's. It runs
// alone: it is not parallel.
func TestContainerLatency(t *testing.T) {
	const (
		warmups = 50
		rounds  = 400

		mostMore  = 200 * time.Microsecond // of the Go server
		mostRatio = 1.2                    // of the npm server
	)
	engines, err := startEngines()
	if err != nil {
		t.Fatal(err)
	}
	upstreams := []upstream{{label: "go-process", command: []string{os.Getenv(probeEnv), "stdio"}}}
	npm := everything().upstream()
	npm.label = "npm-process"
	upstreams = append(upstreams, npm)
	for _, e := range engines {
		upstreams = append(upstreams, e.probe("go-"+e.name, "stdio"), e.container("npm-"+e.name, nodeImage, []string{"/app/node_modules/@modelcontextprotocol/server-everything/dist/index.js", "stdio"}))
	}
	var labels []string
	for _, u := range upstreams {
		labels = append(labels, u.label)
	}
	g := startContainerGateway(t, upstreams...)
	g.awaitTools(t, labels...)
	c := modern(t, g.url)
	took := map[string][]time.Duration{}
	for i := range warmups + rounds {
		for _, label := range labels { // in turn, so that whatever else happens hits all alike
			began := time.Now()
			checkEcho(t, c, label)
			if i >= warmups {
				took[label] = append(took[label], time.Since(began))
			}
		}
	}
	for _, label := range labels {
		slices.Sort(took[label])
		t.Logf("%-12s p50 %v, p95 %v", label, took[label][rounds/2].Round(time.Microsecond), took[label][rounds*95/100].Round(time.Microsecond))
	}
	median := func(label string) time.Duration { return took[label][rounds/2] }
	for _, e := range engines {
		if more := median("go-"+e.name) - median("go-process"); more > mostMore {
			t.Errorf("a call of the Go server takes %v more in a container of %s, want at most %v", more, e.name, mostMore)
		}
		if ratio := float64(median("npm-"+e.name)) / float64(median("npm-process")); ratio > mostRatio {
			t.Errorf("a call of the npm server takes %.2f times as long in a container of %s, want at most %v", ratio, e.name, mostRatio)
		}
	}
}

// TestContainerStorm kills and ends about a hundred containers of each engine under
// calls from many sides. Nothing is left of them.
func TestContainerStorm(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		const (
			starts  = 104
			workers = 8
		)
		start := func() *gateway {
			own := e.probe("own", "stdio", `memory = "64MiB"`)
			own.isolation = "session"
			g := startContainerGateway(t, own, e.probe("shared", "stdio"))
			g.awaitTools(t, "own", "shared")
			return g
		}
		quiet, busy := start(), start()
		e.useContainers(t, quiet, 1)
		e.useContainers(t, busy, 1)
		files := openFiles(busy)

		var over atomic.Bool
		var calls atomic.Int64
		var caller, storm sync.WaitGroup
		caller.Go(func() {
			c := modern(t, busy.url)
			for !over.Load() && !t.Failed() {
				if got := outcome(callTool(t.Context(), c, "shared_echo", object{"message": "hi"})); !strings.Contains(got, "Echo: hi") {
					t.Errorf("shared_echo gives %s", got)
				}
				calls.Add(1)
			}
		})
		began := time.Now()
		for range workers {
			storm.Go(func() { e.useContainers(t, busy, starts/workers) })
		}
		storm.Wait()
		over.Store(true)
		caller.Wait()
		t.Logf("%d starts took %v, with %d calls of another container", starts/workers*workers, time.Since(began).Round(time.Millisecond), calls.Load())

		eventually(t, func() string {
			if left := e.containersOf(t, busy); len(left) != 2 { // shared by all
				return fmt.Sprintf("the containers are %v, want 2", left)
			}
			if now := openFiles(busy); now > files {
				return fmt.Sprintf("%d files are open, %d before", now, files)
			}
			return ""
		})
		want, got := goroutines(t, quiet), goroutines(t, busy)
		for _, g := range []*gateway{quiet, busy} { // which had no time to remove them
			e.clear(t, g)
		}
		const margin = 5 // idle connections
		if total(got) > total(want)+margin {
			t.Errorf("%d goroutines after %d containers, %d after one%s", total(got), starts, total(want), growth(want, got))
		}
	})
}

// useContainers begins sessions, one after the other, whose containers are
// killed under a call or left to end with the session, in turn.
func (e *engine) useContainers(t *testing.T, g *gateway, sessions int) {
	for i := range sessions {
		c := legacy(t, g.url)
		// An engine names the host in a container after the container's id.
		quoted, _, _ := strings.Cut(text(t, c, "own_variable", object{"name": "HOSTNAME"}), " ")
		id, err := strconv.Unquote(quoted)
		if err != nil {
			t.Errorf("own_variable gives %s", quoted)
			return
		}
		if i%2 == 0 {
			if err := e.kill(id); err != nil {
				t.Errorf("killing a container: %v", err)
			}
			_, _ = callTool(t.Context(), c, "own_count", object{}) // it may fail, and may not hang
		}
		c.close(t)
		c.http.CloseIdleConnections()
	}
}
