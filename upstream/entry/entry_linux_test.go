package entry

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// The test binary is what the engine starts if socketVar is set, and the image's
// program if programVar is.
const (
	socketVar  = "ENTRY_TEST_SOCKET"
	programVar = "ENTRY_TEST_PROGRAM"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(programVar) != "":
		playProgram()
	case os.Getenv(socketVar) != "":
		err := Enter(os.Getenv(socketVar), os.Args[1:])
		fmt.Fprintln(os.Stderr, err)
		os.Exit(127)
	default:
		os.Exit(m.Run())
	}
}

// playProgram prints its arguments and environment, and then echoes lines.
func playProgram() {
	text, _ := json.Marshal(map[string]any{"args": os.Args[1:], "env": os.Environ()})
	fmt.Println(string(text))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println("echo " + lines.Text())
	}
	fmt.Println("end of input")
}

// A container is the test binary as an engine starts it.
type container struct {
	*exec.Cmd
	stderr strings.Builder
}

func newContainer(t *testing.T, socket string, argv ...string) *container {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &container{Cmd: exec.Command(self, argv...)}
	c.Env = []string{socketVar + "=" + socket, "GORACE=atexit_sleep_ms=0", "IMAGE=from the image", "BOTH=from the image", "PATH=/nowhere"}
	c.Stderr = &c.stderr
	return c
}

func listen(t *testing.T) (*net.UnixListener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	return l, path
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	return r, w
}

func TestHandover(t *testing.T) {
	l, path := listen(t)
	self, _ := os.Executable()
	theirIn, in := pipe(t)
	out, theirOut := pipe(t)
	h := Handover{
		Env:   map[string]string{programVar: "1", "TOKEN": "two\nlines = \"x\"", "BOTH": "from the gateway", "PATH": filepath.Dir(self), "BIG": strings.Repeat("x", 100_000)},
		Root:  true, // as which the tests may run
		Files: []*os.File{theirIn, theirOut},
	}
	c := newContainer(t, path, filepath.Base(self), "serve", "--all")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := h.Serve(t.Context(), l); err != nil {
		t.Fatal(err, c.stderr.String())
	}
	_, _ = theirIn.Close(), theirOut.Close()

	lines := bufio.NewReader(out)
	var got struct{ Args, Env []string }
	line, err := lines.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &got) != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if want := []string{"serve", "--all"}; !slices.Equal(got.Args, want) {
		t.Errorf("arguments %q, want %q", got.Args, want)
	}
	for _, want := range []string{"TOKEN=two\nlines = \"x\"", "BOTH=from the gateway", "IMAGE=from the image", "BIG=" + strings.Repeat("x", 100_000)} {
		if !slices.Contains(got.Env, want) {
			t.Errorf("the environment lacks %.40q", want)
		}
	}
	fmt.Fprintln(in, "hello")
	if line, err := lines.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	_ = in.Close() // is the end of its input: nobody else holds the pipe
	if rest, err := io.ReadAll(lines); string(rest) != "end of input\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		t.Error("somebody else can connect")
	}
}

func TestHandoverWithoutFiles(t *testing.T) {
	l, path := listen(t)
	self, _ := os.Executable()
	c := newContainer(t, path, self)
	c.Stdin = strings.NewReader("x\n")
	var stdout strings.Builder
	c.Stdout = &stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := (Handover{Env: map[string]string{programVar: "1"}, Root: true}).Serve(t.Context(), l); err != nil {
		t.Fatal(err, c.stderr.String())
	}
	if err := c.Wait(); err != nil || !strings.HasSuffix(stdout.String(), "echo x\nend of input\n") {
		t.Errorf("%v: %s", err, stdout.String())
	}
}

func TestNoSuchProgram(t *testing.T) {
	for program, want := range map[string]string{
		"serve":         `the image has no program "serve": executable file not found in $PATH`,
		"/no/such/file": `the image has no program "/no/such/file": no such file or directory`,
		"/etc/passwd":   `the image has no program "/etc/passwd": permission denied`,
	} {
		l, path := listen(t)
		c := newContainer(t, path, program)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if err := (Handover{Root: true}).Serve(t.Context(), l); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err == nil || strings.TrimSpace(c.stderr.String()) != want {
			t.Errorf("%v: %s, want %s", err, c.stderr.String(), want)
		}
	}
}

func TestRootIsAdmittedWhereItMayBe(t *testing.T) {
	for _, test := range []struct {
		root bool
		uid  int
		want bool
	}{{true, 0, true}, {false, 0, false}, {false, 1, true}, {true, 1, true}} {
		if err := (Handover{Root: test.root}).admits(test.uid); (err == nil) != test.want {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestNobodyComes(t *testing.T) {
	before := runtime.NumGoroutine()
	l, path := listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := (Handover{}).Serve(ctx, l); err == nil {
		t.Error("nobody came, and there is no error")
	}
	c := newContainer(t, path, "x")
	if err := c.Run(); err == nil || !strings.Contains(c.stderr.String(), CannotConnect) {
		t.Errorf("%v: %s", err, c.stderr.String())
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, before %d", after, before)
	}
}

// TestSomebodyElseComes has one who takes nothing, and one who goes at once.
func TestSomebodyElseComes(t *testing.T) {
	for _, read := range []int{0, 4} {
		l, path := listen(t)
		served := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { served <- Handover{Env: map[string]string{"BIG": strings.Repeat("x", 2<<20)}}.Serve(ctx, l) }()
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadFull(conn, make([]byte, read))
		if read == 0 {
			_ = conn.Close()
		} else {
			cancel()
		}
		if err := <-served; err == nil {
			t.Errorf("after %d bytes: no error", read)
		}
		cancel()
		_ = conn.Close()
	}
}

// TestLiesOfTheOtherEnd are sizes and contents that Enter must not believe.
func TestLiesOfTheOtherEnd(t *testing.T) {
	for _, said := range []string{"", "\x00", "\xff\xff\xff\xff", "\x00\x00\x00\x05{}", "\x00\x00\x00\x02[]", "\x00\x00\x00\x07{\"a\":1}", "\x00\x00\x00\x12{\"Env\":{\"A\":1}}  "} {
		l, path := listen(t)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_, _ = conn.Write([]byte(said))
				_ = conn.Close()
			}
		}()
		if h, files, err := takeOver(dial(t, path)); err == nil {
			t.Errorf("%q is taken for %v, %v", said, h, files)
		}
		_ = l.Close()
	}
}

// FuzzTakeOver sends anything instead of a handover.
func FuzzTakeOver(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x11{\"Env\":{\"A\":\"b\"}}xx"))
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, said []byte) {
		l, path := listen(t)
		defer l.Close()
		go func() {
			if conn, err := l.Accept(); err == nil {
				_, _ = conn.Write(said)
				_ = conn.Close()
			}
		}()
		h, files, err := takeOver(dial(t, path))
		if err == nil && (len(said) < 6 || len(files) > 0) {
			t.Errorf("%q is taken for %v, %v", said, h, files)
		}
	})
}
