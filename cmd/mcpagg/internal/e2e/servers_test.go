//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A server is a real MCP server and what it is asked, once by itself and once
// through the gateway.
type server struct {
	label string
	argv  []string          // to run it over stdio
	env   map[string]string // beside the sandbox's
	url   string            // of one that the test has started
	boxed []string          // attributes of its container
	calls []toolCall
}

// A toolCall is one that does no harm.
type toolCall struct {
	tool      string
	arguments object
	want      string // what the result or error contains
	varies    bool   // results differ from call to call
}

func (s server) upstream() upstream {
	if s.url != "" {
		return upstream{label: s.label, url: s.url}
	}
	if s.boxed != nil {
		return upstream{label: s.label, container: s.boxed}
	}
	return upstream{label: s.label, command: s.argv, env: s.env}
}

// connect reaches the server without the gateway.
func (s server) connect(t testing.TB) client {
	t.Helper()
	if s.url != "" {
		return legacy(t, s.url)
	}
	var env []string
	for name, value := range s.env {
		env = append(env, name+"="+value)
	}
	return stdio(t, newSandbox(t), env, s.argv...)
}

func everything() server {
	return server{
		label: "everything",
		argv:  []string{servers.bin("mcp-server-everything"), "stdio"},
		calls: []toolCall{
			{tool: "echo", arguments: object{"message": "1 < 2 && é \u2028"}, want: "Echo: 1 < 2"},
			{tool: "get-sum", arguments: object{"a": 2, "b": 3}, want: "The sum of 2 and 3 is 5."},
			{tool: "get-structured-content", arguments: object{"location": "Chicago"}, want: "structuredContent"},
			{tool: "get-tiny-image", want: "image/png"},
		},
	}
}

// everythingHTTP is server-everything over Streamable HTTP.
func everythingHTTP(t testing.TB) server {
	t.Helper()
	s := everything()
	s.label = "everything-http"
	s.url = startEverythingHTTP(t, newSandbox(t), freePort(t)).url
	return s
}

// An httpServer is one that the test runs beside the gateway.
type httpServer struct {
	*daemon
	url string
}

func startEverythingHTTP(t testing.TB, s sandbox, port int) httpServer {
	t.Helper()
	d := s.start(t, nil, []string{fmt.Sprintf("PORT=%d", port)}, servers.bin("mcp-server-everything"), "streamableHttp")
	d.await(t, `listening on port`)
	return httpServer{d, fmt.Sprintf("http://127.0.0.1:%d/mcp", port)}
}

func filesystem(t testing.TB) server {
	s := newSandbox(t)
	s.write(t, "note.txt", []byte("A note for the reader & nobody else.\n"))
	return server{
		label: "files",
		argv:  []string{servers.bin("mcp-server-filesystem"), s.work()},
		calls: []toolCall{
			{tool: "list_directory", arguments: object{"path": s.work()}, want: "note.txt"},
			{tool: "read_text_file", arguments: object{"path": s.work() + "/note.txt"}, want: "A note for the reader & nobody else."},
			{tool: "read_text_file", arguments: object{"path": "/etc/passwd"}, want: "Access denied"},
		},
	}
}

func memory() server {
	entity := object{"name": "mcpagg", "entityType": "gateway", "observations": []string{"stands for many"}}
	return server{
		label: "memory",
		argv:  []string{servers.bin("mcp-server-memory")},
		calls: []toolCall{
			{tool: "create_entities", arguments: object{"entities": []object{entity}}, varies: true},
			{tool: "read_graph", want: "stands for many"},
		},
	}
}

func notion() server {
	return server{
		label: "notion",
		argv:  []string{servers.bin("notion-mcp-server")},
		env:   map[string]string{"NOTION_TOKEN": "test"},
		calls: []toolCall{{tool: "API-get-self"}}, // an error, as there is no network
	}
}

// kubernetes has a configuration whose cluster is not there.
func kubernetes(t testing.TB) server {
	config := newSandbox(t).write(t, "kubeconfig", []byte(`{
  "apiVersion": "v1", "kind": "Config", "current-context": "x",
  "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
  "users": [{"name": "u", "user": {}}],
  "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]
}`))
	return server{
		label: "kubernetes",
		argv:  []string{servers.bin("mcp-server-kubernetes")},
		env:   map[string]string{"KUBECONFIG": config},
		calls: []toolCall{
			{tool: "ping", want: "content"},
			{tool: "kubectl_get", arguments: object{"resourceType": "pods", "namespace": "default"}, want: "Failed to get resource", varies: true},
		},
	}
}

func playwright(t testing.TB, page string) server {
	return server{
		label: "playwright",
		argv: []string{
			servers.bin("playwright-mcp"), "--caps", "vision,pdf,devtools,network,storage,testing,config",
			"--headless", "--isolated", "--no-sandbox", "--executable-path", program(t, "chromium"),
		},
		env: map[string]string{"TMPDIR": newSandbox(t).home},
		calls: []toolCall{
			{tool: "browser_navigate", arguments: object{"url": page}, want: "Page Title: A page", varies: true},
			{tool: "browser_snapshot", want: `heading \"Hello from the page\"`, varies: true},
		},
	}
}

// playwrightHTTP answers only requests whose Host is the one it listens on.
func playwrightHTTP(t testing.TB, page string) server {
	t.Helper()
	s := playwright(t, page)
	s.label = "playwright-http"
	port := fmt.Sprint(freePort(t))
	d := newSandbox(t).start(t, nil, nil, append(s.argv, "--port", port)...)
	d.await(t, `Listening on|listening on`)
	s.url = "http://localhost:" + port + "/mcp"
	return s
}

func devtools(t testing.TB, page string) server {
	return server{
		label: "devtools",
		argv: []string{
			servers.bin("chrome-devtools-mcp"), "--no-usage-statistics", "--no-performance-crux",
			"--headless", "--isolated", "--chromeArg=--no-sandbox", "--executablePath", program(t, "chromium"),
		},
		env: map[string]string{"TMPDIR": newSandbox(t).home},
		calls: []toolCall{
			{tool: "new_page", arguments: object{"url": page}, want: "A page (" + page + ") [selected]", varies: true},
			{tool: "list_pages", want: "## Pages", varies: true},
		},
	}
}

// allServers are the seven servers, two of them over HTTP as well.
func allServers(t testing.TB) []server {
	t.Helper()
	page := servePage(t)
	return []server{
		everything(), everythingHTTP(t), filesystem(t), memory(), notion(), kubernetes(t),
		playwright(t, page), playwrightHTTP(t, page), devtools(t, page),
	}
}

// servePage serves a page for the browsers.
func servePage(t testing.TB) (url string) {
	const page = `<!doctype html><title>A page</title><link rel="icon" href="data:,"><h1>Hello from the page</h1>`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// TestServers puts the seven servers behind one gateway.
func TestServers(t *testing.T) {
	t.Parallel()
	all := allServers(t)
	var upstreams []upstream
	var labels []string
	for _, s := range all {
		upstreams, labels = append(upstreams, s.upstream()), append(labels, s.label)
	}
	g := startGateway(t, upstreams...)

	direct := map[string]client{}
	lists := map[string][]tool{}
	for _, s := range all {
		direct[s.label] = s.connect(t)
		var err error
		if lists[s.label], err = listTools(t.Context(), direct[s.label]); err != nil {
			t.Fatalf("%s: %v", s.label, err)
		}
	}
	g.awaitTools(t, labels...)

	for _, door := range g.doors(t) {
		t.Run("definitions/"+door.era, func(t *testing.T) { testDefinitions(t, door, lists) })
		for _, s := range all {
			t.Run("calls/"+door.era+"/"+s.label, func(t *testing.T) { testCalls(t, s, direct[s.label], door) })
		}
		for _, label := range []string{"everything", "everything-http"} {
			t.Run("features/"+door.era+"/"+label, func(t *testing.T) { testFeatures(t, label, direct[label], door) })
		}
	}
	t.Run("environment", func(t *testing.T) { testEnvironment(t, modern(t, g.url)) })
	t.Run("recorded", func(t *testing.T) { testRecorded(t, recordedFiles(t, lists)) })
	t.Run("inspector --strict", func(t *testing.T) { testStrict(t, g, all) })
}

// testDefinitions compares the gateway's list with those of the servers.
func testDefinitions(t *testing.T, door client, lists map[string][]tool) {
	list, err := listTools(t.Context(), door)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for label, tools := range lists {
		checkPublished(t, label, tools, list)
		total += len(tools)
	}
	if len(list) != total || total < 185 {
		t.Errorf("%d tools are published, want the %d of all servers", len(list), total)
	}
}

// testCalls makes each call by itself and through the gateway.
func testCalls(t *testing.T, s server, direct, door client) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, call := range s.calls {
		if call.arguments == nil {
			call.arguments = object{}
		}
		want := outcome(callTool(ctx, direct, call.tool, call.arguments))
		got := outcome(callTool(ctx, door, s.label+"_"+call.tool, call.arguments))
		if !strings.Contains(got, call.want) {
			t.Errorf("%s %s: got %s\nwant something with %q, as without the gateway: %s", s.label, call.tool, short(got), call.want, short(want))
		}
		if !call.varies && got != want {
			t.Errorf("%s %s: the result is not that of the server%s", s.label, call.tool, difference([]byte(got), []byte(want)))
		}
	}
}

// hopMembers are the members of a result that every hop has to set by itself.
// The servers here speak the legacy era, which knows none but _meta.
var hopMembers = []string{"_meta", "resultType", "ttlMs", "cacheScope"}

// outcome is a result or an error as text, without what belongs to one hop.
func outcome(result json.RawMessage, err error) string {
	var answer *rpcError
	switch {
	case errors.As(err, &answer):
		return answer.Error()
	case err != nil:
		return "no answer: " + err.Error()
	}
	members, err := membersOf(result)
	if err != nil {
		return err.Error() + " in " + string(result)
	}
	var b bytes.Buffer
	for _, m := range members {
		if !slices.Contains(hopMembers, m.name) {
			fmt.Fprintf(&b, "%q:%s\n", m.name, m.value)
		}
	}
	return b.String()
}

// program finds what the installation has put on PATH.
func program(t testing.TB, name string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// nextPort begins outside the range from which clients get theirs.
var nextPort atomic.Int32

// freePort finds a port for a server that cannot choose one by itself.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20000 + int(nextPort.Add(1))
		l, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}
