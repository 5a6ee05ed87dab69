package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A home is where programs of a test run, with a state folder of their own.
type home struct {
	dir string
	env []string
}

func newHome(t *testing.T) *home {
	t.Helper()
	dir, err := os.MkdirTemp("", "mcpagg") // shorter than t.TempDir: sockets go in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &home{dir, append(os.Environ(), "XDG_STATE_HOME="+dir+"/state", atOnce)}
}

func (h *home) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h *home) command(args ...string) *exec.Cmd {
	cmd := exec.Command("mcpagg", args...)
	cmd.Dir, cmd.Env = h.dir, h.env
	return cmd
}

// run runs mcpagg to its end.
func (h *home) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := h.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// status is what mcpagg status --json prints.
func (h *home) status(t *testing.T, args ...string) (s status) {
	t.Helper()
	stdout, stderr, code := h.run(t, append([]string{"status", "--json"}, args...)...)
	if code != 0 {
		t.Fatalf("status exits with %d: %s", code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// states are those of the upstreams, such as "notes connected".
func (s status) states() string {
	var all []string
	for _, u := range s.Upstreams {
		all = append(all, u.Name+" "+string(u.State))
	}
	return strings.Join(all, ", ")
}

// A gatewayProcess is a gateway that runs until the end of the test.
type gatewayProcess struct {
	*home
	cmd    *exec.Cmd
	url    string
	admin  string
	exited chan error

	mu     sync.Mutex
	output bytes.Buffer // guarded by mu
}

func (g *gatewayProcess) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.output.Write(p)
}

func (g *gatewayProcess) written() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.output.String()
}

// start starts a gateway with the file gateway.hcl and waits until it serves.
func (h *home) start(t *testing.T, args ...string) *gatewayProcess {
	t.Helper()
	g := &gatewayProcess{home: h, admin: freeAddress(t), exited: make(chan error, 1)}
	g.cmd = h.command(append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", g.admin}, args...)...)
	g.cmd.Stdout, g.cmd.Stderr = g, g
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { g.exited <- g.cmd.Wait() }()
	t.Cleanup(func() {
		_ = g.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by now
		<-g.exited
		if t.Failed() {
			t.Logf("the gateway wrote:\n%s", g.written())
		}
	})
	eventually(t, func() string {
		g.url = regexp.MustCompile(`http://127\.0\.0\.1:\d+/mcp`).FindString(g.written())
		if g.url == "" {
			return "no URL in " + g.written()
		}
		return ""
	})
	return g
}

// signal sends a signal that ends the gateway.
func (g *gatewayProcess) signal(t *testing.T, sig os.Signal) error {
	t.Helper()
	if err := g.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	err := <-g.exited
	g.exited <- err // for the end of the test
	return err
}

// note adds a note. The answer numbers the notes that the upstream's process
// has got.
func (g *gatewayProcess) note(t *testing.T) string {
	t.Helper()
	stdout, stderr, _ := g.run(t, "call", "notes_add", "--input", `{"text": "x"}`, "--url", g.url)
	return strings.TrimSpace(stdout + stderr)
}

func (g *gatewayProcess) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + g.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// lastPort is the last that freeAddress gave away; it begins anywhere, for other
// processes that do the same.
var lastPort = func() *atomic.Int64 {
	var port atomic.Int64
	port.Store(int64(rand.IntN(12_000)))
	return &port
}()

// freeAddress is one on which a program can listen: the system gives nobody a port
// below 32768 by itself, and no other test is given this one. It listens there for no
// moment: a process that another test starts just then would go on to.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprint("127.0.0.1:", 20_000+lastPort.Add(1)%12_000)
		conn, err := net.Dial("tcp", address)
		if err != nil { // nobody is there
			return address
		}
		_ = conn.Close()
	}
	t.Fatal("no port is free")
	return ""
}

// eventually asks until the answer is "", and fails with the last other one.
func eventually(t *testing.T, ask func() (problem string)) {
	t.Helper()
	deadline := time.Now().Add(45 * time.Second) // upstreams are tried again after up to 30 s
	for {
		problem := ask()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("still not: " + problem)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awaitStates waits until status shows the upstreams in these states.
func (g *gatewayProcess) awaitStates(t *testing.T, want string) status {
	t.Helper()
	var s status
	eventually(t, func() string {
		if s = g.status(t); s.states() != want {
			return fmt.Sprintf("%s, want %s", s.states(), want)
		}
		return ""
	})
	return s
}

const (
	notesBlock = "upstream \"notes\" {\n  command = [\"mcpagg\", \"dev\", \"upstream\", \"notes\"]\n}\n"
	clockBlock = "upstream \"clock\" {\n  command = [\"mcpagg\", \"dev\", \"upstream\", \"clock\"]\n}\n"
)

// TestStatusOfLateUpstream watches an upstream that is down, and then comes.
func TestStatusOfLateUpstream(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, command := range []string{"status", "reload"} {
		_, stderr, code := h.run(t, command)
		if code != 1 || !strings.Contains(stderr, "no gateway answers at "+h.dir+"/state/mcpagg/run/mcpagg.sock") || !strings.Contains(stderr, "mcpagg serve -c") {
			t.Errorf("%s without a gateway: exit code %d, %s", command, code, stderr)
		}
	}
	address := freeAddress(t)
	h.write(t, "gateway.hcl", notesBlock+"upstream \"late\" {\n  url = \"http://"+address+"/mcp\"\n}\n")
	g := h.start(t)
	g.awaitStates(t, "notes connected, late connecting")
	g.note(t)
	var s status
	eventually(t, func() string {
		s = g.status(t)
		if s.Upstreams[1].LastError == "" {
			return "there is no error yet"
		}
		return ""
	})
	if u := s.Upstreams[0]; u.Calls != 1 || u.Failed != 0 || u.InFlight != 0 || u.Latency == nil || u.Latency.P50 <= 0 || u.Restarts != 0 {
		t.Errorf("notes: %+v", u)
	}
	if u := s.Upstreams[1]; !strings.Contains(u.LastError, "refused") || u.Calls != 0 {
		t.Errorf("late: %+v", u)
	}
	if s.PID != g.cmd.Process.Pid || len(s.Config.Files) != 1 || s.Catalog.Tools != 2 {
		t.Errorf("status %+v", s)
	}
	stdout, _, code := h.run(t, "status")
	if code != 0 || !regexp.MustCompile(`(?m)^notes +connected .*\nlate +connecting .*\n  .*refused`).MatchString(stdout) {
		t.Errorf("exit code %d, screen:\n%s", code, stdout)
	}
	if status, metrics := g.get(t, "/metrics"); status != 200 || !strings.Contains(metrics, `mcpagg_upstream_up{upstream="late"} 0`) ||
		!strings.Contains(metrics, `mcpagg_upstream_calls_total{outcome="answered",upstream="notes"} 1`) {
		t.Errorf("status %d, metrics\n%s", status, metrics)
	}

	other := newHome(t)
	other.write(t, "gateway.hcl", clockBlock)
	remote := other.command("serve", "--listen", address)
	if err := remote.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = remote.Process.Signal(syscall.SIGTERM)
		_ = remote.Wait()
	})
	g.awaitStates(t, "notes connected, late connected")
	stdout, _, _ = h.run(t, "status")
	if !regexp.MustCompile(`(?m)^late +connected .*\n  before: .*refused`).MatchString(stdout) {
		t.Errorf("screen:\n%s", stdout)
	}
}

// TestReloadWays changes the configuration in each of the three ways, and back,
// by a mistake that is refused. The notes are the same process all the time.
func TestReloadWays(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name, config string
		trigger      func(*testing.T, *gatewayProcess)
	}{
		{"changed file", "", func(*testing.T, *gatewayProcess) {}},
		{"SIGHUP", "server {\n  watch = false\n}\n", func(t *testing.T, g *gatewayProcess) {
			if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}},
		{"command", "server {\n  watch = false\n}\n", func(t *testing.T, g *gatewayProcess) { g.run(t, "reload") }},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write(t, "gateway.hcl", way.config+notesBlock)
			g := h.start(t)
			g.awaitStates(t, "notes connected")
			if got := g.note(t); got != "Noted as number 1." {
				t.Errorf("a note gives %q", got)
			}
			h.write(t, "gateway.hcl", way.config+notesBlock+clockBlock)
			way.trigger(t, g)
			before := g.awaitStates(t, "notes connected, clock connected")

			h.write(t, "gateway.hcl", way.config+clockBlock+"nonsense = 1\n")
			way.trigger(t, g)
			eventually(t, func() string {
				if f := g.status(t).Config.Failure; f == nil || len(f.Mistakes) != 1 || f.Mistakes[0].Summary != "Unknown attribute" {
					return fmt.Sprintf("the status tells %+v", f)
				}
				return ""
			})
			if after := g.status(t); after.states() != before.states() || after.Config.Digest != before.Config.Digest {
				t.Errorf("a mistake changes the gateway: %+v", after)
			}
			if log := g.written(); !strings.Contains(log, "not reloaded") || !strings.Contains(log, "Unknown attribute") {
				t.Errorf("the log does not tell")
			}
			if status, body := g.get(t, "/health/ready"); status != 200 || !strings.Contains(body, `"reload_failed"`) || !strings.Contains(body, "nonsense") {
				t.Errorf("status %d, %s", status, body)
			}
			if _, body := g.get(t, "/metrics"); !strings.Contains(body, "mcpagg_config_last_reload_successful 0") {
				t.Errorf("the metrics do not tell")
			}
			if got := g.note(t); got != "Noted as number 2." {
				t.Errorf("a note gives %q", got)
			}

			h.write(t, "gateway.hcl", way.config+clockBlock)
			way.trigger(t, g)
			g.awaitStates(t, "clock connected")
			if _, body := g.get(t, "/health/ready"); strings.Contains(body, "reload_failed") {
				t.Errorf("the mistake is fixed, but: %s", body)
			}
		})
	}
}

// TestReloadCommand checks what the command prints, as docs/operating.md shows it.
func TestReloadCommand(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	still := "server {\n  watch = false\n}\n"
	h.write(t, "gateway.hcl", still+notesBlock)
	h.start(t)

	h.write(t, "gateway.hcl", still+strings.Replace(notesBlock, "}", "  tags = [\"text\"]\n}", 1)+clockBlock)
	stdout, stderr, code := h.run(t, "reload", "-c", "gateway.hcl")
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	inDocs(t, "$ mcpagg reload -c gateway.hcl\n"+stdout)

	h.write(t, "gateway.hcl", still+notesBlock+strings.Replace(clockBlock, "command", "comand", 1))
	stdout, stderr, code = h.run(t, "reload", "-c", "gateway.hcl")
	if code != 2 || stdout != "" {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	inDocs(t, "$ mcpagg reload -c gateway.hcl\n"+stderr)
	stdout, stderr, code = h.run(t, "reload", "--json")
	var result reloadResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != 2 || stderr != "" || result.Reloaded || len(result.Failure.Mistakes) != 2 {
		t.Errorf("exit code %d, %v, %s%s", code, err, stdout, stderr)
	}

	h.write(t, "gateway.hcl", "server {\n  socket = \"/tmp/elsewhere.sock\"\n}\n"+notesBlock)
	_, stderr, code = h.run(t, "reload", "--socket", h.dir+"/state/mcpagg/run/mcpagg.sock")
	if code != 0 || !strings.Contains(stderr, "warning: the change of server.socket shows only after a restart") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestSocketOfItsOwn follows the socket through the life of gateways.
func TestSocketOfItsOwn(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	socket := h.dir + "/run/s"
	h.write(t, "gateway.hcl", "server {\n  socket = \"run/s\"\n}\n"+notesBlock)
	g := h.start(t)
	for path, want := range map[string]os.FileMode{socket: 0o600 | os.ModeSocket, h.dir + "/run": 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", path, info, err, want)
		}
	}
	if s := h.status(t, "--socket", socket); s.PID != g.cmd.Process.Pid {
		t.Errorf("--socket leads to %d", s.PID)
	}

	// A second one with the same configuration does not start.
	_, stderr, code := h.run(t, "serve", "--listen", "127.0.0.1:0")
	if code != 1 || !strings.Contains(stderr, socket+": another gateway that is running has it") {
		t.Errorf("a second gateway: exit code %d, %s", code, stderr)
	}
	if s := h.status(t); s.PID != g.cmd.Process.Pid {
		t.Errorf("the socket leads to %d after that", s.PID)
	}

	// One that is killed leaves it behind, for the next to take over.
	if err := g.signal(t, syscall.SIGKILL); err == nil {
		t.Error("the gateway survives SIGKILL")
	}
	if _, err := os.Lstat(socket); err != nil {
		t.Errorf("nothing is left behind: %v", err)
	}
	if _, stderr, code := h.run(t, "status"); code != 1 || !strings.Contains(stderr, "Is it running?") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	next := h.start(t)
	if s := h.status(t); s.PID != next.cmd.Process.Pid {
		t.Errorf("the socket leads to %d", s.PID)
	}
	if err := next.signal(t, syscall.SIGTERM); err != nil {
		t.Errorf("the gateway ends with %v", err)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}

	// A folder that others may enter is refused.
	if err := os.Chmod(h.dir+"/run", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := h.run(t, "serve", "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(stderr, "chmod 700") || !strings.Contains(stderr, "server.socket") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestDefaultSocket has two gateways that name no socket.
func TestDefaultSocket(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(t, "gateway.hcl", notesBlock)
	h.write(t, "other.hcl", clockBlock)
	g := h.start(t)
	second := h.start(t, "-c", "other.hcl")
	if log := second.written(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "server.socket") {
		t.Errorf("the second gateway does not tell that it has no socket:\n%s", log)
	}
	if s := h.status(t); s.PID != g.cmd.Process.Pid {
		t.Errorf("the socket leads to %d", s.PID)
	}
	for _, command := range []string{"status", "reload"} {
		if _, stderr, code := h.run(t, command, "-c", "other.hcl"); code != 1 || !strings.Contains(stderr, "not with "+h.dir+"/other.hcl") {
			t.Errorf("%s takes one gateway for the other: exit code %d, %s", command, code, stderr)
		}
	}
}

// TestWatchedStatus reads two lines of JSON and interrupts.
func TestWatchedStatus(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(t, "gateway.hcl", notesBlock)
	g := h.start(t)
	watch := h.command("status", "--watch", "--json")
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(out)
	for range 2 {
		var s status
		if err := lines.Decode(&s); err != nil || s.PID != g.cmd.Process.Pid {
			t.Errorf("%v, %+v", err, s)
		}
	}
	if err := watch.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := watch.Wait(); err != nil {
		t.Errorf("interrupted, it ends with %v", err)
	}
}
