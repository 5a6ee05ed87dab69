//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStop ends a gateway in the midst of its work.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, everything().upstream(), growing(t, "growing"), growing(t, "another"))
			g.awaitTools(t, "everything", "growing", "another")
			if got := len(g.processes()); got != 4 {
				t.Errorf("%d processes, want the gateway and its 3 upstreams: %v", got, g.processes())
			}
			legacy(t, g.url).get(t)
			modern(t, g.url).stream(t, "subscriptions/listen", listenParams()).next(t, "notifications/subscriptions/acknowledged")
			for _, door := range g.doors(t) {
				go callTool(t.Context(), door, "growing_wait", object{"name": door.era})
				g.await(t, door.era+" begins")
			}
			if err := g.signal(t, sig); err != nil {
				t.Errorf("the gateway ends with %v", err)
			}
			g.checkGone(t)
		})
	}
}

// TestAbandonedSessions begins more sessions with processes of their own than
// there may be processes, and ends none: the longest idle ones give way.
func TestAbandonedSessions(t *testing.T) {
	t.Parallel()
	g := startGateway(t, upstream{label: "up", command: []string{os.Getenv(everythingServerEnv)}, isolation: "session"})
	g.awaitTools(t, "up")
	clients := make([]*httpClient, 60)
	for i := range clients {
		clients[i] = legacy(t, g.url)
		eventually(t, func() string { // whoever has just been served does not give way
			if _, err := callTool(t.Context(), clients[i], "up_test_simple_text", object{}); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	eventually(t, func() string { // those that gave way take a moment to end
		if got := len(g.processes()); got != 52 {
			return fmt.Sprintf("%d processes, want the gateway, 50 of sessions and the one that is shared", got)
		}
		return ""
	})
	if _, err := callTool(t.Context(), clients[0], "up_test_simple_text", object{}); err != nil {
		t.Errorf("a session whose process gave way: %v", err)
	}
	for _, c := range clients {
		c.close(t)
	}
	eventually(t, func() string {
		if got := len(g.processes()); got != 2 {
			return fmt.Sprintf("%d processes after the sessions have ended", got)
		}
		return ""
	})
}

// TestKilled ends a gateway that cannot clean up. Its upstreams must see that
// it has gone: none may hold open what another reads from.
func TestKilled(t *testing.T) {
	t.Parallel()
	g := startGateway(t, growing(t, "one"), growing(t, "two"), growing(t, "three"))
	g.awaitTools(t, "one", "two", "three")
	if err := g.signal(t, syscall.SIGKILL); err == nil {
		t.Error("the gateway survives SIGKILL")
	}
	eventually(t, func() string {
		if left := g.processes(); len(left) > 0 {
			return fmt.Sprintf("processes are left: %v", left)
		}
		return ""
	})
}

// TestUpstreamKilled kills upstreams under running sessions, to which their
// tools must come back.
func TestUpstreamKilled(t *testing.T) {
	t.Parallel()
	home, port := newSandbox(t), freePort(t)
	remote := startEverythingHTTP(t, home, port)
	local := everything().upstream()
	local.label = "local"
	g := startGateway(t, local, upstream{label: "remote", url: remote.url}, growing(t, "other"))
	g.awaitTools(t, "local", "remote", "other")
	doors := g.doors(t)
	for _, c := range doors {
		checkEcho(t, c, "local")
		checkEcho(t, c, "remote")
	}

	before := g.find(t, "mcp-server-everything")
	if err := syscall.Kill(before.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, c := range doors {
		checkOthers(t, c, "local")
		awaitEcho(t, c, "local")
	}
	if after := g.find(t, "mcp-server-everything"); after.pid == before.pid {
		t.Errorf("%v was not killed", before)
	}

	remote.signal(t, syscall.SIGKILL)
	for _, c := range doors {
		checkOthers(t, c, "remote")
	}
	remote = startEverythingHTTP(t, home, port)
	for _, c := range doors {
		awaitEcho(t, c, "remote")
	}

	// A restart between two calls, which forgets the gateway's session.
	remote.signal(t, syscall.SIGKILL)
	startEverythingHTTP(t, home, port)
	for _, c := range doors {
		awaitEcho(t, c, "remote")
	}
}

func checkEcho(t *testing.T, c client, label string) {
	t.Helper()
	if got := outcome(callTool(t.Context(), c, label+"_echo", object{"message": "hi"})); !strings.Contains(got, "Echo: hi") {
		t.Fatalf("%s_echo gives %s", label, got)
	}
}

// checkOthers makes sure that a lost upstream disturbs no other, keeps its
// tools listed and is named in the error of a call.
func checkOthers(t *testing.T, c client, lost string) {
	t.Helper()
	got := outcome(callTool(t.Context(), c, lost+"_echo", object{"message": "hi"}))
	if !strings.Contains(got, "Echo: hi") && !strings.Contains(got, lost) { // it may be back already
		t.Errorf("a call of a lost upstream gives %s, want an error that names %q", got, lost)
	}
	got = outcome(callTool(t.Context(), c, "other_grow", object{"name": "a"}))
	if !strings.Contains(got, `grow {\"name\":\"a\"}`) {
		t.Errorf("with %s lost, another upstream's tool gives %s", lost, got)
	}
	list, err := listTools(t.Context(), c)
	if err != nil || !slices.Contains(names(list), lost+"_echo") {
		t.Errorf("with %s lost, its tools are not listed: %v, %v", lost, names(list), err)
	}
}

func awaitEcho(t *testing.T, c client, label string) {
	t.Helper()
	began, errors := time.Now(), map[string]bool{}
	eventually(t, func() string {
		got := outcome(callTool(t.Context(), c, label+"_echo", object{"message": "hi"}))
		if strings.Contains(got, "Echo: hi") {
			return ""
		}
		errors[got] = true
		return got
	})
	t.Logf("%s is back after %v; until then %v", label, time.Since(began).Round(time.Millisecond), slices.Collect(maps.Keys(errors)))
}

// find returns the only process of the gateway's with a word in its command line.
func (g *gateway) find(t *testing.T, word string) process {
	t.Helper()
	var found []process
	for _, p := range g.processes() {
		if strings.Contains(strings.Join(p.args, " "), word) {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d processes with %q: %v", len(found), word, found)
	}
	return found[0]
}

// TestLeaks compares a gateway that has served many clients, also rude ones,
// with one that has served a single one.
func TestLeaks(t *testing.T) {
	t.Parallel()
	const many = 40
	quiet, busy := startLeakGateway(t), startLeakGateway(t)
	serveClients(t, quiet, 1)
	serveClients(t, busy, 1)
	files := openFiles(busy)
	serveClients(t, busy, many)
	eventually(t, func() string {
		if now := openFiles(busy); now > files {
			return fmt.Sprintf("%d files are open after %d clients, %d after the first", now, many, files)
		}
		return ""
	})
	want, got := goroutines(t, quiet), goroutines(t, busy)
	const margin = 5 // idle connections
	t.Logf("goroutines: %d after one client, %d after %d", total(want), total(got), many)
	if total(got) > total(want)+margin {
		t.Errorf("%d goroutines after %d clients, %d after one%s", total(got), many, total(want), growth(want, got))
	}
}

func startLeakGateway(t *testing.T) *gateway {
	t.Helper()
	g := startGateway(t, everything().upstream(), everythingHTTP(t).upstream(), growing(t, "growing"))
	g.awaitTools(t, "everything", "everything-http", "growing")
	return g
}

// serveClients serves clients of both eras, one after the other. Each opens a
// stream, makes calls and leaves one that is running.
func serveClients(t *testing.T, g *gateway, n int) {
	t.Helper()
	for i := range n {
		old, young := legacy(t, g.url), modern(t, g.url)
		events := old.get(t)
		listen := young.stream(t, "subscriptions/listen", listenParams())
		listen.next(t, "notifications/subscriptions/acknowledged")
		for _, c := range []*httpClient{old, young} {
			checkEcho(t, c, "everything")
			checkEcho(t, c, "everything-http")
		}
		leaveCall(t, g, young, fmt.Sprintf("young-%d-%d", n, i), func(string) {})
		leaveCall(t, g, old, fmt.Sprintf("old-%d-%d", n, i), func(id string) { old.cancel(t, id) })
		events.close()
		listen.close()
		old.close(t)
		young.http.CloseIdleConnections()
	}
}

// leaveCall begins a call and hangs up. The upstream must hear of it.
func leaveCall(t *testing.T, g *gateway, c *httpClient, name string, cancel func(id string)) {
	t.Helper()
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		callTool(ctx, c, "growing_wait", object{"name": name})
	}()
	g.await(t, name+" begins")
	cancel(fmt.Sprint(c.ids.Load()))
	hangUp()
	<-ended
	g.await(t, name+" is cancelled")
}

func openFiles(g *gateway) int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", g.cmd.Process.Pid))
	return len(files)
}

// goroutines ends the gateway and counts what its goroutines were started for.
func goroutines(t *testing.T, g *gateway) map[string]int {
	t.Helper()
	_ = g.signal(t, syscall.SIGQUIT) // it ends with an error, after printing them
	counts := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^created by (\S+)`).FindAllStringSubmatch(g.stderr.String(), -1) {
		counts[m[1]]++
	}
	if len(counts) == 0 {
		t.Fatalf("the gateway prints no goroutines on SIGQUIT\n%s", excerpt(g.stderr.String(), 30))
	}
	return counts
}

func total(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

func growth(before, after map[string]int) string {
	var b strings.Builder
	for name, n := range after {
		if n > before[name] {
			fmt.Fprintf(&b, "\n%d more of %s", n-before[name], name)
		}
	}
	return b.String()
}

func listenParams() object { return object{"notifications": object{"toolsListChanged": true}} }

// An eventStream is an answer that is still coming.
type eventStream struct {
	lines *bufio.Scanner
	close func()
}

// stream sends a request and does not wait for its answer.
func (c *httpClient) stream(t *testing.T, method string, params object) *eventStream {
	t.Helper()
	header := c.sessionHeader()
	if c.session == "" {
		header, params = modernRequest(method, params)
	}
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := c.post(ctx, request(c.ids.Add(1), method, params), header)
	return newEventStream(t, resp, err, cancel)
}

// get opens the stream on which a legacy server speaks of its own accord.
func (c *httpClient) get(t *testing.T) *eventStream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = c.sessionHeader()
	req.Header.Set("Accept", "text/event-stream")
	resp, err := c.http.Do(req)
	return newEventStream(t, resp, err, cancel)
}

func newEventStream(t *testing.T, resp *http.Response, err error, cancel func()) *eventStream {
	t.Helper()
	t.Cleanup(cancel)
	if err != nil {
		t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("status %d, %s: %s; want an event stream", resp.StatusCode, kind, short(string(body)))
	}
	return &eventStream{bufio.NewScanner(resp.Body), func() {
		cancel()
		resp.Body.Close()
	}}
}

// next waits for the first event and fails unless it has the method.
func (s *eventStream) next(t *testing.T, method string) {
	t.Helper()
	timeout := time.AfterFunc(time.Minute, s.close)
	defer timeout.Stop()
	for s.lines.Scan() {
		data, ok := strings.CutPrefix(s.lines.Text(), "data:")
		if !ok || strings.TrimSpace(data) == "" {
			continue
		}
		if !strings.Contains(data, `"`+method+`"`) {
			t.Fatalf("got the event %s, want %s", short(data), method)
		}
		return
	}
	t.Fatalf("the stream ends without %s: %v", method, s.lines.Err())
}

// cancel tells a legacy gateway that an answer is no longer wanted.
func (c *httpClient) cancel(t *testing.T, id string) {
	t.Helper()
	params := object{"requestId": json.RawMessage(id), "reason": "test"}
	resp, err := c.post(t.Context(), object{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}, c.sessionHeader())
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("cancelling: %v, %v", resp, err)
	}
	resp.Body.Close()
}
