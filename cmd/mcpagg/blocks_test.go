package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/aggregator/brake"
)

// TestBlockRequests asks the control socket's handler for blocks, and for what it must
// refuse.
func TestBlockRequests(t *testing.T) {
	o := idle(t, "notes")
	long := strings.Repeat("x", brake.MaxReason+1)
	for _, step := range []struct {
		what, method, target, body string
		status                     int
		want                       string
	}{
		{"nothing", "GET", "/blocks", "", 200, "[]"},
		{"no JSON", "POST", "/block", "x", 400, "invalid character"},
		{"what is that?", "POST", "/block", `{"knd": "tool"}`, 400, "unknown field"},
		{"too long", "POST", "/block", `{"what": "` + strings.Repeat("x", 64<<10) + `"}`, 400, "too large"},
		{"no kind", "POST", "/block", `{"what": "x"}`, 400, "neither person, client, tool nor upstream"},
		{"everybody", "POST", "/block", `{"kind": "person", "what": "*"}`, 400, "stop the gateway"},
		{"all", "POST", "/block", `{"all": true}`, 400, "one thing"},
		{"all of a kind", "POST", "/unblock", `{"all": true, "kind": "tool"}`, 400, "nothing else"},
		{"before now", "POST", "/block", `{"kind": "tool", "what": "x", "seconds": -1}`, 400, "ten years"},
		{"for ever, nearly", "POST", "/block", `{"kind": "tool", "what": "x", "seconds": 99999999999}`, 400, "ten years"},
		{"a long story", "POST", "/block", `{"kind": "tool", "what": "x", "reason": "` + long + `"}`, 409, "201 characters"},
		{"a tool", "POST", "/block", `{"kind": "tool", "what": "github/*", "seconds": 60, "reason": "incident"}`, 200, `"matches": "no tool"`},
		{"an upstream", "POST", "/block", `{"kind": "upstream", "what": "notes"}`, 200, `"matches": "1 upstream"`},
		{"a person", "POST", "/block", `{"kind": "person", "what": "Ann Example"}`, 200, `"matches": "no session"`},
		{"they are not kept", "POST", "/block", `{"kind": "client", "what": "opencode"}`, 200, `until the gateway stops`},
		{"all of them", "GET", "/blocks", "", 200, `"Ann Example"`},
		{"in the status", "GET", "/status", "", 200, `"blocks_kept": false`},
		{"one that is none", "POST", "/unblock", `{"kind": "person", "what": "Ann"}`, 200, `"unblocked": 0`},
		{"one", "POST", "/unblock", `{"kind": "person", "what": "Ann Example"}`, 200, `"unblocked": 1`},
		{"the rest", "POST", "/unblock", `{"all": true}`, 200, `"unblocked": 3`},
		{"a link", "GET", "/block", "", 405, "Method Not Allowed"},
	} {
		w := httptest.NewRecorder()
		controlHandler(o).ServeHTTP(w, httptest.NewRequest(step.method, step.target, strings.NewReader(step.body)))
		if w.Code != step.status || !strings.Contains(w.Body.String(), step.want) {
			t.Errorf("%s: %d %s, want %d %s", step.what, w.Code, w.Body, step.status, step.want)
		}
	}
	log, _ := o.audit.opened()
	path := o.audit.status().Path
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var acts []string
	for _, line := range auditLines(t, path) {
		if strings.HasSuffix(line.Act, "block") {
			acts = append(acts, strings.TrimSuffix(fmt.Sprintf("%s by %s: %s; %s -> %s (%.29s)", line.Act, line.Who, line.What, dateless(line.Old), dateless(line.New), line.Error), " ()"))
		}
	}
	want := []string{
		"block by unknown: tool x;  ->  (the reason has 201 characters)",
		"block by unknown: tool github/*;  -> until DATE: incident",
		"block by unknown: upstream notes;  -> until unblocked",
		"block by unknown: person Ann Example;  -> until unblocked",
		"block by unknown: client opencode;  -> until unblocked",
		"unblock by unknown: person Ann Example; until unblocked -> 1 block gone",
		"unblock by unknown: everything; client opencode until unblocked; tool github/* until DATE: incident; upstream notes until unblocked -> 3 blocks gone",
	}
	if diff := cmp.Diff(want, acts); diff != "" {
		t.Errorf("the audit log (-want +got)\n%s", diff)
	}
}

// dateless is a text without the date in it.
func dateless(text string) string {
	before, rest, ok := strings.Cut(text, "until 2")
	if _, after, is := strings.Cut(rest, "UTC"); ok && is {
		return before + "until DATE" + after
	}
	return text
}

// TestBlocksTable shows blocks as docs/operating.md does.
func TestBlocksTable(t *testing.T) {
	blocks := []brake.Block{
		{Kind: brake.Person, What: "Ann Example", Since: noon.Add(-3 * time.Minute), By: "uid 1000"},
		{Kind: brake.Tool, What: "github/delete_*", Since: noon.Add(-time.Minute), Until: noon.Add(4*time.Hour - time.Minute), By: "uid 0", Reason: "incident 4711"},
	}
	var out bytes.Buffer
	if err := printBlocks(&out, blocks, noon); err != nil {
		t.Fatal(err)
	}
	inDocs(t, "$ mcpagg block list -c gateway.hcl\n"+out.String())
	out.Reset()
	if err := printBlocks(&out, nil, noon); err != nil || out.String() != "Nothing is blocked.\n" {
		t.Errorf("%v, prints %q", err, out.String())
	}
	inDocs(t, "$ mcpagg block tool 'github/delete_*' --for 4h --reason \"incident 4711\"\n"+blockResult{Block: blocks[1], Matches: "2 tools"}.text())
	for want, r := range map[string]blockResult{
		"Blocked the person Ann Example until somebody unblocks it.\nNothing matches now: the gateway knows no session of that name.\n": {Block: blocks[0], Matches: "no session"},
		"Blocked the person Ann Example until somebody unblocks it.\n1 session matches now.\n":                                          {Block: blocks[0], Matches: "1 session"},
		"Blocked the person Ann Example until somebody unblocks it.\n":                                                                  {Block: blocks[0]},
	} {
		if got := r.text(); got != want {
			t.Errorf("prints %q, want %q", got, want)
		}
	}
	s := sampleStatus()
	s.Blocks = append(blocks, blocks[0], blocks[0], blocks[0], blocks[0])
	out.Reset()
	if err := screenOf(&out).show(s, noon); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"blocked        person Ann Example\n               tool github/delete_*, for another 3h59m\n", "and 1 more, see 'mcpagg block list'", "until the gateway stops"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the status has no %q:\n%s", want, out.String())
		}
	}
}

func TestParseFor(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"4h": 4 * time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "3650d": maxBlock,
		"": 0, "4": 0, "-4h": 0, "0d": 0, "500ms": 0, "3651d": 0, "9223372036854775807d": 0, "99999999h": 0, "d": 0, "1.5d": 0, "1w": 0,
	} {
		if got, err := parseFor(text); (err == nil) != (want > 0) || err == nil && got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

// slowUpstream is a server with a tool whose calls end when they are cancelled. The
// calls that have begun, and ended, are told.
func slowUpstream(t *testing.T) (url string, calls chan string) {
	t.Helper()
	calls = make(chan string, 10)
	s := mcp.NewServer(&mcp.Implementation{Name: "slow", Version: "1"}, nil)
	s.AddTool(&mcp.Tool{Name: "wait", InputSchema: json.RawMessage(`{"type": "object"}`)}, func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		calls <- "begun"
		<-ctx.Done()
		calls <- "ended"
		return &mcp.CallToolResult{}, nil
	})
	server := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL, calls
}

// TestBlockCommand stops things at a gateway at which nobody signs in: what is under
// way ends within a second, and what is blocked stays so after a kill.
func TestBlockCommand(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	slow, calls := slowUpstream(t)
	h.write(t, "gateway.hcl", notesBlock+fmt.Sprintf("\nupstream \"slow\" {\n  url = %q\n}\n", slow))
	expect := func(code int, want string, args ...string) string {
		t.Helper()
		stdout, stderr, got := h.run(t, args...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q exits with %d: %s%s; want %d and %q", args, got, stdout, stderr, code, want)
		}
		return stdout
	}
	for _, args := range [][]string{{"block", "tool", "x"}, {"block", "list"}, {"unblock", "tool", "x"}} {
		expect(exitRunTime, "no gateway answers at", args...)
	}
	g := h.start(t)
	g.awaitStates(t, "notes connected, slow connected")
	store := filepath.Join(h.dir, "state/mcpagg/store")
	expect(0, "Nothing is blocked.", "block", "list")
	if _, err := os.Stat(store); err == nil {
		t.Error("there is a store, which nobody needs")
	}

	ended := make(chan string, 1)
	go func() {
		stdout, stderr, code := h.run(t, "call", "slow_wait", "--url", g.url)
		ended <- fmt.Sprint(code, stdout, stderr)
	}()
	if got := <-calls; got != "begun" {
		t.Fatal(got)
	}
	began := time.Now()
	expect(0, "1 tool matches now.", "block", "tool", "slow/w*", "--for", "4h", "--reason", "incident 4711")
	if got := <-calls; got != "ended" || time.Since(began) > 5*time.Second { // with the time that the command takes to start
		t.Errorf("the call has %s after %s", got, time.Since(began))
	}
	if got := <-ended; !strings.Contains(got, "denied: ") || !strings.Contains(got, "blocked by the operator: incident 4711; until ") || !strings.Contains(got, "\nReference: ") {
		t.Errorf("the caller hears %q", got)
	}
	expect(exitRunTime, "blocked by the operator: incident 4711", "call", "slow_wait", "--url", g.url)
	expect(0, "slow_wait", "catalog", "--url", g.url) // it is still there to be seen
	expect(0, "Nothing matches now: the gateway knows no upstream of that name.", "block", "upstream", "github")
	expect(0, "That is everybody: nobody signs in at this gateway.", "block", "person", "anonymous")
	expect(0, "Nothing matches now: the gateway knows no person of that name.", "block", "person", "ann")
	expect(0, "Unblocked 1 block.", "unblock", "person", "ann")
	expect(0, "1 tool matches now.", "block", "tool", "notes_add")
	expect(0, "Unblocked 1 block.", "unblock", "tool", "notes/add") // its other name
	expect(0, "1 tool matches now.", "block", "tool", "notes/add")
	expect(0, "Unblocked 1 block.", "unblock", "tool", "notes_add")
	if got := g.note(t); !strings.Contains(got, "blocked by the operator") {
		t.Errorf("an anonymous call: %s", got)
	}
	if list := expect(0, "person", "block", "list"); !strings.Contains(list, "slow/w*") || !strings.Contains(list, fmt.Sprintf("uid %d", os.Getuid())) {
		t.Errorf("blocked is\n%s", list)
	}
	if s := h.status(t); len(s.Blocks) != 3 || !s.BlocksKept {
		t.Errorf("the status has %+v, kept %v", s.Blocks, s.BlocksKept)
	}
	if _, metrics := g.get(t, "/metrics"); !strings.Contains(metrics, "mcpagg_blocks{kind=\"person\"} 1\n") || !strings.Contains(metrics, "mcpagg_blocks{kind=\"client\"} 0\n") {
		t.Errorf("metrics\n%s", metrics)
	}

	_ = g.signal(t, syscall.SIGKILL) // which is how it ends
	g = h.start(t)
	g.awaitStates(t, "notes connected, slow connected")
	if got := g.note(t); !strings.Contains(got, "blocked by the operator") {
		t.Errorf("an anonymous call after a restart: %s", got)
	}
	expect(0, "Unblocked 1 block.", "unblock", "person", "anonymous")
	if got := g.note(t); strings.Contains(got, "blocked") {
		t.Errorf("an anonymous call: %s", got)
	}
	expect(exitRunTime, "'mcpagg block list' prints what is", "unblock", "person", "anonymous")
	expect(0, `"unblocked": 2`, "unblock", "--all", "--json")
	expect(0, "Nothing is blocked.", "unblock", "--all")
	expect(0, "[]", "block", "list", "--json")
}

// TestBlockUsage tries what is no name of a block.
func TestBlockUsage(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for want, args := range map[string][]string{
		"which person, client, tool or upstream?": {"block"},
		"neither person, client, tool":            {"block", "team", "x"},
		"every person":                            {"block", "person", "*"},
		"whole name":                              {"unblock", "client", "x*"},
		"is not how long":                         {"block", "tool", "x", "--for", "4"},
		"it may have 200":                         {"block", "tool", "x", "--reason", strings.Repeat("x", 201)},
		"--all goes with nothing else":            {"unblock", "tool", "x", "--all"},
		"unexpected \"x\"":                        {"block", "list", "x"},
	} {
		if stdout, stderr, code := h.run(t, args...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%q exits with %d: %s%s, want %q", args, code, stdout, stderr, want)
		}
	}
	for _, kind := range []string{"person", "client", "tool", "upstream"} {
		stdout, stderr, code := h.run(t, "block", kind, "--help")
		if code != 0 || !strings.Contains(stdout, "mcpagg block "+kind+" ") || !strings.Contains(stdout, "is named by") || !strings.Contains(stdout, "--for") {
			t.Errorf("the help of %s exits with %d: %s%s", kind, code, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"block", "--help"}, {"block", "list", "--help"}, {"unblock", "--help"}} {
		if stdout, stderr, code := h.run(t, args...); code != 0 || !strings.Contains(stdout, "mcpagg "+args[0]) {
			t.Errorf("%q exits with %d: %s%s", args, code, stdout, stderr)
		}
	}
}
