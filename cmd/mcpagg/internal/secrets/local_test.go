package secrets

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func fetch(t *testing.T, s Source, name string) string {
	t.Helper()
	value, err := s.Get(t.Context(), name)
	switch {
	case isRefused(err):
		return "refused: " + err.Error()
	case err != nil:
		return "down: " + err.Error()
	}
	return value
}

func TestEnv(t *testing.T) {
	e := Env{Prefix: "MCP_", LookUp: func(name string) (string, bool) {
		return "value of " + name, name == "MCP_TOKEN"
	}}
	expect(t, fetch(t, e, "TOKEN"), "value of MCP_TOKEN")
	expect(t, fetch(t, e, "OTHER"), "refused: the environment variable MCP_OTHER is not set; set it and start the gateway anew")
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, "secrets", name) }
	for name, text := range map[string]string{
		"..data_1/token": "one\n", "unix": "two\n\n", "dos": "three\r\n", "bare": "four", "huge": strings.Repeat("x", MaxValue+10),
	} {
		must(t, os.MkdirAll(filepath.Dir(in(name)), 0o700))
		must(t, os.WriteFile(in(name), []byte(text), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, "outside"), []byte("no business of yours"), 0o600))
	must(t, os.Symlink("..data_1", in("..data"))) // as Kubernetes does
	must(t, os.Symlink("..data/token", in("token")))
	must(t, os.Symlink("../outside", in("escape")))
	must(t, syscall.Mkfifo(in("pipe"), 0o600))
	f := File{Dir: in("")}
	for name, want := range map[string]string{
		"token": "one", "unix": "two\n", "dos": "three", "bare": "four",
		"missing":    "refused: there is no such file in the folder",
		"pipe":       "refused: this is not a regular file",
		"..data_1":   "refused: this is not a regular file",
		"escape":     "refused: it leads out of the folder; set dir to the folder it is in",
		"../outside": "refused: it leads out of the folder; set dir to the folder it is in",
	} {
		expect(t, fetch(t, f, name), want)
	}
	if n := len(fetch(t, f, "huge")); n <= MaxValue || n > MaxValue+3 {
		t.Errorf("%d bytes were read of a file that is too large", n)
	}
	// Kubernetes replaces the link.
	must(t, os.MkdirAll(in("..data_2"), 0o700))
	must(t, os.WriteFile(in("..data_2/token"), []byte("rotated"), 0o600))
	must(t, os.Remove(in("..data")))
	must(t, os.Symlink("..data_2", in("..data")))
	expect(t, fetch(t, f, "token"), "rotated")
	expect(t, fetch(t, File{Dir: in("nowhere")}, "x"), "down: the folder cannot be opened: no such file or directory")
}

func TestExec(t *testing.T) {
	shell := func(script string) Exec { return Exec{Command: []string{"/bin/sh", "-c", script, "sh"}} }
	expect(t, fetch(t, shell(`printf '%s of %s\n' value "$1"`), "a b;c"), "value of a b;c")
	expect(t, fetch(t, shell(`exit 3`), "x"), "down: /bin/sh failed (exit status 3)")
	expect(t, fetch(t, shell("printf 'half\\n'; printf 'not \\033[31mhalf\\nat all' >&2; exit 1"), "x"),
		"down: /bin/sh failed (exit status 1): not [31m[redacted] at all")
	expect(t, fetch(t, Exec{Command: []string{"/no/such/program"}}, "x"), "down: running /no/such/program: no such file or directory")
	if n := len(fetch(t, shell(`head -c 100000000 /dev/zero`), "x")); n != MaxValue+3 {
		t.Errorf("%d bytes were kept of endless output", n)
	}
	if got := fetch(t, shell(`head -c 1000000 /dev/zero | tr '\0' x >&2; exit 1`), "x"); len(got) > 400 {
		t.Errorf("the error has %d bytes", len(got))
	}
}

func TestExecEnvironment(t *testing.T) {
	t.Setenv("GATEWAYS_OWN", "not to be seen")
	e := Exec{
		Command: []string{"/bin/sh", "-c", `echo "$TOKEN,$GATEWAYS_OWN"; test "$1" = fine || { echo "bad $TOKEN" >&2; exit 1; }`, "sh"},
		Env: map[string]func(context.Context) (string, error){
			"TOKEN": func(context.Context) (string, error) { return "hunter2hunter2", nil },
		},
	}
	expect(t, fetch(t, e, "fine"), "hunter2hunter2,")
	expect(t, fetch(t, e, "x"), "down: /bin/sh failed (exit status 1): bad [redacted]")
	e.Env["TOKEN"] = func(context.Context) (string, error) { return "", errors.New("not there") }
	expect(t, fetch(t, e, "x"), "down: environment variable TOKEN: not there")
}

// A program that hangs is ended with all that it has started.
func TestExecHangs(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pid")
	e := Exec{Command: []string{"/bin/sh", "-c", `sleep 1000 & echo $! >"$0"; trap "" TERM; wait`, pids}}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("no time"))
	defer cancel()
	_, err := e.Get(ctx, "x")
	if err == nil || err.Error() != "no time" {
		t.Fatalf("Get returned %v", err)
	}
	text, err := os.ReadFile(pids)
	must(t, err)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(text)) + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") {
			break // gone, or waits for its new parent to notice
		}
		if time.Now().After(deadline) {
			t.Fatalf("what the program started lives on: %s", state)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzSaid(f *testing.F) {
	f.Add("permission denied\n\x1b[31mhunter2hunter2\x00", "hunter2hunter2")
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := said(text, secret)
		if len(got) > maxSaid+len("…") || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q", got)
		}
	})
}
