package upstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// actVar names the act that the test binary plays as a stdio server instead of
// running tests.
const actVar = "UPSTREAM_TEST_ACT"

func TestMain(m *testing.M) {
	if name := os.Getenv(actVar); name != "" {
		play := acts[name]
		if play == nil {
			play = faultyActs[name]
		}
		play()
		return
	}
	os.Exit(runTests(m))
}

// coverDir is where the processes of acts put what a coverage run wants of them.
var coverDir string

func runTests(m *testing.M) int {
	var err error
	if coverDir, err = os.MkdirTemp("", "upstream"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(coverDir)
	return m.Run()
}

// act is the command and environment of a process that plays an act.
func act(name string) upstream.Options {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return upstream.Options{Command: []string{self}, Env: map[string]upstream.Secret{
		actVar:       value(name),
		"GORACE":     value("atexit_sleep_ms=0"), // or every process takes a second to end
		"GOCOVERDIR": value(coverDir),
	}}
}

func value(s string) upstream.Secret {
	return func(context.Context) (string, error) { return s, nil }
}

// A running is an upstream that runs during a test.
type running struct {
	*upstream.Upstream
	changes func() int // calls of Changed so far
	log     *logBuffer
	stop    func()
	beside  bool // others run, so that goroutines are left when it stops
}

// besides is run for an upstream that others run beside.
func besides(t *testing.T, opts upstream.Options) *running {
	t.Helper()
	r := run(t, opts)
	r.beside = true
	return r
}

// run runs an upstream until the test ends, and waits for its first attempt.
// prepare is done to it before.
func run(t *testing.T, opts upstream.Options, prepare ...func(*upstream.Upstream)) *running {
	t.Helper()
	r := start(t, opts, prepare...)
	select {
	case <-r.Attempted():
	case <-time.After(30 * time.Second):
		t.Fatal("the first attempt to connect does not end")
	}
	return r
}

func start(t *testing.T, opts upstream.Options, prepare ...func(*upstream.Upstream)) *running {
	t.Helper()
	r := &running{log: &logBuffer{}}
	var mu sync.Mutex
	var changes int
	opts.Changed = func() {
		mu.Lock()
		defer mu.Unlock()
		changes++
	}
	r.changes = func() int {
		mu.Lock()
		defer mu.Unlock()
		return changes
	}
	if opts.Name == "" {
		opts.Name = "x"
	}
	opts.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.Upstream = upstream.New(opts)
	for _, p := range prepare {
		p(r.Upstream)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Error("Run does not return")
				return
			}
			if !r.beside {
				checkGoroutines(t)
			}
		})
	}
	t.Cleanup(r.stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

// checkGoroutines checks that nothing of the package runs any more. The
// goroutines of network connections end soon after those have been closed.
func checkGoroutines(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := ourGoroutines()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
			return
		}
	}
}

func ourGoroutines() []string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return slices.DeleteFunc(strings.Split(string(stacks), "\n\n"), func(stack string) bool {
		return strings.Contains(stack, "upstream_test.") || !strings.Contains(stack, "mcpagg/upstream.") &&
			!strings.Contains(stack, "net/http.(*persistConn)") && !strings.Contains(stack, "os/exec.")
	})
}

// tool calls a tool.
func (r *running) tool(ctx context.Context, name, arguments string) (json.RawMessage, error) {
	return r.Call(ctx, upstream.Call{Method: "tools/call", Params: toolParams(name, arguments)})
}

func toolParams(name, arguments string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"name":%q,"arguments":%s}`, name, arguments))
}

// mustTool calls a tool that answers.
func (r *running) mustTool(t *testing.T, name, arguments string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	result, err := r.tool(ctx, name, arguments)
	if err != nil {
		t.Fatalf("calling %s: %v", name, err)
	}
	return string(result)
}

// eventually waits for a condition that another goroutine or process brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) count(text string) int { return strings.Count(l.String(), text) }

// wantError checks that err names the upstream and says what is wanted.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	if _, ok := err.(*upstream.Error); !ok {
		t.Errorf("error is a %T, want *upstream.Error", err)
	}
	if got := err.Error(); !strings.HasPrefix(got, `upstream "x": `) || !strings.Contains(got, want) {
		t.Errorf("error %q, want one about upstream \"x\" with %q", got, want)
	}
}

var acts = map[string]func(){
	"contract": func() { serveStdio(contract()) },
	"contract-legacy": func() {
		s := contract()
		s.LegacyOnly = true
		serveStdio(s)
	},
	"live":     func() { serveStdio(live()) },
	"updating": serveUpdating,
}

func serveStdio(s upstreamtest.Script) {
	if err := upstreamtest.Stdio(s, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// wantAnswer checks that err is the server's own error, with nothing added.
func wantAnswer(t *testing.T, err error, code int64, data string) {
	t.Helper()
	answer, ok := err.(*jsonrpc.Error)
	if !ok {
		t.Fatalf("error is %T %v, want a bare *jsonrpc.Error", err, err)
	}
	if answer.Code != code || string(answer.Data) != data {
		t.Errorf("error %d with data %s, want %d with %s", answer.Code, answer.Data, code, data)
	}
}

func countNew(n *atomic.Int64) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
}
