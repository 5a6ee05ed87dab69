package upstream_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// faultyActs are servers with which something is wrong, or odd.
var faultyActs = map[string]func(){
	"exit": func() {
		fmt.Fprintln(os.Stderr, "starting")
		fmt.Fprintln(os.Stderr, "Error: no \x1b[31mtoken\x1b[0m given")
		fmt.Fprintln(os.Stderr, "    at main.js:3")
		fmt.Fprintln(os.Stderr, "\nNode.js v20.20.2")
		os.Exit(3)
	},
	"chatty": func() {
		fmt.Println(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		fmt.Println("Server listening on stdio...")
		fmt.Println("{not json}\n\n  \n[]\n{}\n42")
		fmt.Println(strings.Repeat("x", 100_000))
		s := tools(func(r *upstreamtest.Request) upstreamtest.Reply { return upstreamtest.Result(`{"ok":1}`) })
		serveStdio(s)
	},
	"exit-on-probe": func() { serveLegacyLines(func(string) { os.Exit(1) }) },
	"ignore-probe":  func() { serveLegacyLines(func(string) {}) },
	"mute-on-probe": func() { serveLegacyLines(func(string) { time.Sleep(time.Hour) }) },
	"refuse-probe": func() {
		serveLegacyLines(func(id string) {
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}`+"\n", id)
		})
	},
	"mute": func() {
		fmt.Fprintln(os.Stderr, "hello")
		_, _ = bufio.NewReader(os.Stdin).ReadString(0)
	},
	"faults": func() { serveStdio(tools(fault)) },
	"stubborn": func() {
		signal.Ignore(syscall.SIGTERM)
		startSleeper()
		serveStdio(tools(fault))
		time.Sleep(time.Hour) // stdin has ended, but the process has not
	},
	"parent": func() {
		startSleeper()
		serveStdio(tools(fault))
	},
	"deaf": func() {
		_, _ = os.Stdout.WriteString(`{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}` + "\n")
		time.Sleep(time.Hour)
	},
	"engine":   playEngine,
	"relay":    playRelay,
	"http":     serveInContainer,
	"sdk":      func() { serveSDK(&mcp.ServerOptions{}) },
	"sdk-slow": func() { time.Sleep(300 * time.Millisecond); serveSDK(&mcp.ServerOptions{}) },
}

// tools is a script with one tool and a reply to calls.
func tools(reply func(*upstreamtest.Request) upstreamtest.Reply) upstreamtest.Script {
	return upstreamtest.Script{LegacyOnly: true, Tools: []string{`{"name":"a"}`}, Reply: reply}
}

// fault is what goes wrong in the act "faults", by the tool's name.
func fault(r *upstreamtest.Request) upstreamtest.Reply {
	switch r.Name() {
	case "die":
		fmt.Fprintln(os.Stderr, "panic: out of cheese")
		os.Exit(2)
	case "pid":
		return upstreamtest.Result(strconv.Itoa(os.Getpid()))
	case "env":
		return upstreamtest.Result(fmt.Sprintf("%q", strings.Join(os.Environ(), "\n")))
	case "leak":
		fmt.Fprintln(os.Stderr, "my token is", os.Getenv("TOKEN"))
		fmt.Println("on stdout it is", os.Getenv("TOKEN"))
		fmt.Fprintln(os.Stderr, strings.Repeat("long ", 100_000))
	case "huge":
		return upstreamtest.Result(`"` + strings.Repeat("x", 20<<20) + `"`)
	case "huge-id-last":
		return upstreamtest.Raw(`{"result":{"a":"` + strings.Repeat("x", 20<<20) + `"},"jsonrpc":"2.0","id":` + string(r.ID) + `}`)
	case "huge-notification":
		r.Notify("notifications/message", `"`+strings.Repeat("x", 20<<20)+`"`)
	case "huge-mystery":
		return upstreamtest.Raw(`{"result":{"a":"` + strings.Repeat("x", 20<<20) + `"},"x":1}`)
	case "close-stdout":
		_ = os.Stdout.Close()
		time.Sleep(time.Hour)
	case "env-at-signal":
		waitForFile(os.Getenv("CHILD"))
		return upstreamtest.Result(fmt.Sprintf("%q", os.Getenv("TOKEN")))
	case "hang":
		<-r.Context.Done()
		return upstreamtest.Raw("")
	}
	return upstreamtest.Result(`{}`)
}

func waitForFile(path string) {
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// serveLegacyLines is an old server: it knows initialize and tools/list, one
// after the other, and does with the probe what it does with the unknown.
func serveLegacyLines(unknown func(id string)) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		id, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), `{"jsonrpc":"2.0","id":`), ",")
		switch {
		case strings.Contains(lines.Text(), `"initialize"`):
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"pid":%d}}}`+"\n", id, os.Getpid())
		case strings.Contains(lines.Text(), `"tools/list"`):
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"old"}]}}`+"\n", id)
		case strings.Contains(lines.Text(), `"server/discover"`):
			unknown(id)
		}
	}
}

// startSleeper starts a child that would outlive the server, and lets it hold
// the server's stdout.
func startSleeper() {
	child := exec.Command("sleep", "1000")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		panic(err)
	}
	_ = os.WriteFile(os.Getenv("CHILD"), []byte(strconv.Itoa(child.Process.Pid)), 0o600)
}

func serveSDK(opts *mcp.ServerOptions) {
	if err := sdkServer(opts).Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func sdkServer(opts *mcp.ServerOptions) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "sdk", Version: "1"}, opts)
	type in struct {
		N int `json:"n"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "double"}, func(_ context.Context, _ *mcp.CallToolRequest, i in) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strconv.Itoa(2 * i.N)}}}, nil, nil
	})
	return s
}

func TestExitAtOnce(t *testing.T) {
	r := run(t, act("exit"))
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, `not connected: initialize: exited with status 3: Error: no`)
	if status := r.Status(); status.State != upstream.Connecting || !strings.Contains(status.LastError, "status 3") {
		t.Errorf("status %+v, want connecting after status 3", status)
	}
	if r.Listing() != nil {
		t.Error("there is a listing")
	}
}

func TestNoSuchProgram(t *testing.T) {
	r := run(t, upstream.Options{Command: []string{"/no/such/program"}})
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "not connected: starting the process: fork/exec /no/such/program: no such file or directory")
}

func TestTextOnStdout(t *testing.T) {
	r := run(t, act("chatty"))
	if got := r.mustTool(t, "a", "{}"); got != `{"ok":1}` {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(r.log.String(), "Server listening on stdio...") {
		t.Error("the text is not in the log")
	}
	if strings.Contains(r.log.String(), strings.Repeat("x", 1000)) {
		t.Error("long text is in the log in full")
	}
}

func TestLegacyServersThatChokeOnTheProbe(t *testing.T) {
	for _, name := range []string{"exit-on-probe", "ignore-probe", "mute-on-probe", "refuse-probe"} {
		t.Run(name, func(t *testing.T) {
			opts := act(name)
			opts.ConnectTimeout = 2 * time.Second
			r := run(t, opts)
			if name != "mute-on-probe" { // which takes a second attempt
				if got := r.Status().State; got != upstream.Connected {
					t.Fatalf("not connected: %+v", r.Status())
				}
			}
			eventually(t, "it is connected", func() bool { return r.Status().State == upstream.Connected })
			l := r.Listing()
			if l.Era != upstream.LegacyEra || l.Version != "2024-11-05" || len(l.Tools) != 1 {
				t.Errorf("listing %+v, want a legacy one with a tool", l)
			}
		})
	}
}

func TestMuteProcess(t *testing.T) {
	opts := act("mute")
	opts.ConnectTimeout = time.Second
	r := run(t, opts)
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "not connected: initialize: no answer within 1s")
}

func TestDeathDuringACallAndReturn(t *testing.T) {
	r := run(t, act("faults"))
	first := r.Listing()
	pid := r.mustTool(t, "pid", "{}")
	var hanging sync.WaitGroup
	hanging.Go(func() {
		_, err := r.tool(t.Context(), "hang", "{}")
		wantError(t, err, "exited with status 2: panic: out of cheese")
	})
	time.Sleep(20 * time.Millisecond)
	_, err := r.tool(t.Context(), "die", "{}")
	wantError(t, err, "exited with status 2: panic: out of cheese")
	hanging.Wait()
	eventually(t, "it is connected again", func() bool { return r.Status().Connects == 2 })
	if again := r.mustTool(t, "pid", "{}"); again == pid {
		t.Errorf("still process %s", pid)
	}
	if r.Listing() != first || r.changes() != 1 {
		t.Errorf("the listing was replaced (%d changes), though it is the same", r.changes())
	}
	if got := r.Status().LastError; !strings.Contains(got, "out of cheese") {
		t.Errorf("last error %q, want how the connection ended", got)
	}
}

func TestMessageTooLarge(t *testing.T) {
	r := run(t, act("faults"))
	pid := r.mustTool(t, "pid", "{}")
	for _, name := range []string{"huge", "huge-id-last"} {
		_, err := r.tool(t.Context(), name, "{}")
		wantError(t, err, "message larger than 16777216 bytes")
	}
	if got := r.mustTool(t, "huge-notification", "{}"); got != "{}" {
		t.Errorf("after a large notification: got %s", got)
	}
	if again := r.mustTool(t, "pid", "{}"); again != pid {
		t.Error("the process was replaced, though it is known which call failed")
	}
	_, err := r.tool(t.Context(), "huge-mystery", "{}")
	wantError(t, err, "message larger than 16777216 bytes")
	eventually(t, "it is connected again", func() bool { return r.Status().Connects == 2 })
}

func TestProcessClosesStdout(t *testing.T) {
	r := run(t, act("faults"))
	_, err := r.tool(t.Context(), "close-stdout", "{}")
	wantError(t, err, "has closed its output")
	eventually(t, "it is connected again", func() bool { return r.Status().Connects == 2 })
}

// A process that never reads holds up nobody: calls end in time, and so does
// the upstream.
func TestDeafProcess(t *testing.T) {
	opts := act("deaf")
	opts.Protocol = upstream.Legacy
	opts.CallTimeout = 500 * time.Millisecond
	r := run(t, opts)
	big := strings.Repeat("x", 1<<20)
	began := time.Now()
	_, err := r.tool(t.Context(), "a", fmt.Sprintf(`{"x":%q}`, big))
	wantError(t, err, "")
	_, err = r.tool(t.Context(), "a", fmt.Sprintf(`{"x":%q}`, big))
	wantError(t, err, "")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("calls took %v", took)
	}
	eventually(t, "the connection is given up", func() bool {
		return strings.Contains(r.Status().LastError, "does not read its input")
	})
}

func TestEnvironment(t *testing.T) {
	t.Setenv("GATEWAY_SECRET", "s3cret")
	opts := act("faults")
	opts.Env["ADDED"] = value("yes")
	r := run(t, opts)
	got := r.mustTool(t, "env", "{}")
	for _, want := range []string{"PATH=", "HOME=", "ADDED=yes"} {
		if !strings.Contains(got, want) {
			t.Errorf("environment %s lacks %s", got, want)
		}
	}
	if strings.Contains(got, "GATEWAY_SECRET") {
		t.Error("the gateway's environment has leaked")
	}
}

func TestSecretsAreNotLogged(t *testing.T) {
	opts := act("faults")
	opts.Env["TOKEN"] = value("hunter2-hunter2")
	r := run(t, opts)
	r.mustTool(t, "leak", "{}")
	eventually(t, "the lines are logged", func() bool {
		return r.log.count("my token is [redacted]") == 1 && r.log.count("on stdout it is [redacted]") == 1 && strings.Contains(r.log.String(), "long long")
	})
	if strings.Contains(r.log.String(), "hunter2") {
		t.Error("the secret is in the log")
	}
	if n := len(r.log.String()); n > 20_000 {
		t.Errorf("%d bytes of log: the long line was not cut", n)
	}
}

func TestSecretFails(t *testing.T) {
	opts := act("faults")
	opts.Env["TOKEN"] = func(context.Context) (string, error) { return "", fmt.Errorf("the vault is closed") }
	r := run(t, opts)
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "not connected: environment variable TOKEN: the vault is closed")
}

// Nothing of a server survives it: neither a process that ignores what it is
// told nor what it has started.
func TestStopEndsTheWholeGroup(t *testing.T) {
	for _, name := range []string{"stubborn", "parent"} {
		t.Run(name, func(t *testing.T) {
			opts := act(name)
			opts.Protocol = upstream.Legacy
			childFile := t.TempDir() + "/child"
			opts.Env["CHILD"] = value(childFile)
			r := run(t, opts)
			pid, err := strconv.Atoi(r.mustTool(t, "pid", "{}"))
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(childFile)
			if err != nil {
				t.Fatal(err)
			}
			child, _ := strconv.Atoi(string(text))
			if !alive(pid) || !alive(child) {
				t.Fatal("not alive from the beginning")
			}
			began := time.Now()
			r.stop()
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("stopping took %v", took)
			}
			eventually(t, "both processes are gone", func() bool { return !alive(pid) && !alive(child) })
		})
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	return !strings.Contains(string(stat), ") Z ")
}

func TestProcessLeavesChildBehind(t *testing.T) {
	opts := act("parent")
	opts.Protocol = upstream.Legacy
	childFile := t.TempDir() + "/child"
	opts.Env["CHILD"] = value(childFile)
	r := run(t, opts)
	text, err := os.ReadFile(childFile)
	if err != nil {
		t.Fatal(err)
	}
	child, _ := strconv.Atoi(string(text))
	_, err = r.tool(t.Context(), "die", "{}")
	wantError(t, err, "exited with status 2: panic: out of cheese")
	eventually(t, "the child is gone", func() bool { return !alive(child) })
}

func TestSDKServerOverStdio(t *testing.T) {
	for _, p := range []upstream.Protocol{upstream.Auto, upstream.Legacy, upstream.Modern} {
		t.Run(string(p), func(t *testing.T) {
			opts := act("sdk")
			opts.Protocol = p
			checkSDK(t, run(t, opts), p)
		})
	}
}

// checkSDK checks a connection to sdkServer.
func checkSDK(t *testing.T, r *running, p upstream.Protocol) {
	t.Helper()
	l := r.Listing()
	if l == nil {
		t.Fatalf("not connected: %+v", r.Status())
	}
	if p == upstream.Legacy && l.Era != upstream.LegacyEra || p == upstream.Modern && l.Era != upstream.ModernEra {
		t.Errorf("era %s with protocol %s", l.Era, p)
	}
	if len(l.Tools) != 1 || !strings.Contains(string(l.Tools[0]), `"double"`) {
		t.Errorf("tools %s", l.Tools)
	}
	if got := r.mustTool(t, "double", `{"n":21}`); !strings.Contains(got, `"text":"42"`) {
		t.Errorf("got %s, want 42", got)
	}
	_, err := r.tool(t.Context(), "triple", `{}`)
	if answer, ok := err.(*jsonrpc.Error); !ok || answer.Code != jsonrpc.CodeInvalidParams {
		t.Errorf("unknown tool: %v, want a JSON-RPC error", err)
	}
}
