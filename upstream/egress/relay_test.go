package egress_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/upstream/egress"
)

// startRelay runs a relay until the returned function is called.
func startRelay(t *testing.T, r egress.Relay) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("Run: %v", err)
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serveEcho serves connections until the test has ended.
func serveEcho(t *testing.T, network, address string) string {
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go echo(conn)
		}
	}()
	return l.Addr().String()
}

// through sends text and returns all that comes back.
func through(t *testing.T, network, address, text string) (string, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	got, err := io.ReadAll(conn)
	return string(got), err
}

func TestRelay(t *testing.T) {
	before := runtime.NumGoroutine()
	dir := t.TempDir()
	r := egress.Relay{
		Out: freeAddress(t), OutSocket: filepath.Join(dir, "out.sock"),
		In: serveEcho(t, "tcp", "127.0.0.1:0"), InSocket: filepath.Join(dir, "in.sock"),
	}
	serveEcho(t, "unix", r.OutSocket)
	if err := os.WriteFile(r.InSocket, nil, 0o600); err != nil { // as one that was left behind
		t.Fatal(err)
	}
	stop := startRelay(t, r)
	for _, c := range []struct{ network, address string }{{"tcp", r.Out}, {"unix", r.InSocket}} {
		if got, err := through(t, c.network, c.address, "hello "); got != "hello bye" || err != nil {
			t.Errorf("through %s: %q, %v", c.address, got, err)
		}
	}
	if info, err := os.Stat(r.InSocket); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("socket is %v, %v", info, err)
	}
	// Ends with connections open.
	open, err := net.Dial("tcp", r.Out)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	_ = open.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadAll(open); os.IsTimeout(err) {
		t.Error("a connection outlives the relay")
	}
	_ = open.Close()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+2 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before+2 { // the two servers
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// TestRelayWithoutGateway has nobody behind the socket.
func TestRelayWithoutGateway(t *testing.T) {
	r := egress.Relay{Out: freeAddress(t), OutSocket: filepath.Join(t.TempDir(), "out.sock")}
	defer startRelay(t, r)()
	if got, err := through(t, "tcp", r.Out, ""); got != "" || os.IsTimeout(err) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRelayCannotListen(t *testing.T) {
	busy := serveEcho(t, "tcp", "127.0.0.1:0")
	for want, r := range map[string]egress.Relay{
		"address already in use":    {Out: busy, OutSocket: "out.sock"},
		"no such file or directory": {Out: freeAddress(t), OutSocket: "out.sock", In: busy, InSocket: filepath.Join(t.TempDir(), "none", "in.sock")},
	} {
		err := r.Run(t.Context(), func() { t.Error("is ready") })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

func TestCheckStatic(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := egress.CheckStatic(source); err == nil || !strings.Contains(err.Error(), "is no Linux program") {
		t.Errorf("of a text: %v", err)
	}
	if err := egress.CheckStatic(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("of nothing: %v", err)
	}
	for mode, want := range map[string]string{"exe": "", "pie": "CGO_ENABLED=0"} {
		program := filepath.Join(dir, mode)
		build := exec.Command("go", "build", "-buildmode="+mode, "-o", program, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		err := egress.CheckStatic(program)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("of a program built with -buildmode=%s: %v, want %q", mode, err, want)
		}
	}
}
