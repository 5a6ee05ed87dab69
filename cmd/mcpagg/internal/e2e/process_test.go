//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A sandbox is a throw-away home for programs. Its path, which they inherit in
// HOME, also tells which processes came from here.
type sandbox struct{ home string }

func newSandbox(t testing.TB) sandbox {
	t.Helper()
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "work"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := sandbox{home}
	t.Cleanup(func() { s.empty(t) })
	return s
}

// empty kills what has outlived its parent, such as a browser, which would
// write into a folder that is being removed.
func (s sandbox) empty(t testing.TB) {
	eventually(t, func() string {
		left := s.processes()
		for _, p := range left {
			_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may have ended by now
		}
		if len(left) > 0 {
			return fmt.Sprintf("processes do not end: %v", left)
		}
		return ""
	})
}

func (s sandbox) work() string { return filepath.Join(s.home, "work") }

// write makes a file in the working directory and returns its path.
func (s sandbox) write(t testing.TB, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(s.work(), name)
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// environment is all that a program in the sandbox sees of this machine.
// Programs that would report on their use are told not to.
func (s sandbox) environment(extra ...string) []string {
	return append([]string{
		"PATH=" + nodeBin + ":/usr/local/bin:/usr/bin:/bin",
		"HOME=" + s.home,
		"XDG_STATE_HOME=" + filepath.Join(s.home, "state"),
		"TMPDIR=" + s.home,
		"LANG=C.UTF-8",
		"TERM=dumb",
		"NO_COLOR=1",
		"DO_NOT_TRACK=1",
	}, extra...)
}

// processes lists the live processes that came from the sandbox.
func (s sandbox) processes() []process {
	return slices.DeleteFunc(processes(), func(p process) bool { return !slices.Contains(p.env, "HOME="+s.home) })
}

// run runs a program in the sandbox to its end and returns what it wrote to
// stdout; it must exit with 0 in time.
func (s sandbox) run(t testing.TB, env []string, argv ...string) string {
	t.Helper()
	stdout, stderr, code := s.try(t, env, argv...)
	if code != 0 {
		t.Fatalf("%s exits with %d\nstdout: %s\nstderr: %s", strings.Join(argv, " "), code, excerpt(stdout, 30), excerpt(stderr, 30))
	}
	return stdout
}

// try is run for programs whose exit code is of interest.
func (s sandbox) try(t testing.TB, env []string, argv ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := s.command(ctx, env, argv...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("%s: %v\nstdout: %s\nstderr: %s", strings.Join(argv, " "), err, excerpt(out.String(), 30), excerpt(errs.String(), 30))
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// command is a program in a process group of its own, killed with its children
// when the context ends.
func (s sandbox) command(ctx context.Context, env []string, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = s.work()
	cmd.Env = s.environment(env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// A daemon is a program that runs until it is stopped.
type daemon struct {
	sandbox
	argv   []string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *output // and stdout, unless it goes elsewhere

	logLines int // how much of its output a failed test shows

	exited chan struct{} // closed when the program has ended
	err    error         // why it ended; read it after exited
}

// start starts a program that the end of the test kills if it still runs. What
// it writes to stdout goes to a writer or, if that is nil, beside stderr.
func (s sandbox) start(t testing.TB, stdout io.Writer, env []string, argv ...string) *daemon {
	t.Helper()
	ctx, kill := context.WithCancel(context.Background())
	d := &daemon{sandbox: s, argv: argv, stderr: newOutput(), logLines: 8, exited: make(chan struct{})}
	d.cmd = s.command(ctx, env, argv...)
	d.cmd.Stdout, d.cmd.Stderr = stdout, d.stderr
	if stdout == nil {
		d.cmd.Stdout = d.stderr
	}
	var err error
	if d.stdin, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.exited)
	}()
	t.Cleanup(func() {
		kill()
		<-d.exited
		if t.Failed() {
			t.Logf("%s wrote:\n%s", strings.Join(argv, " "), excerpt(d.stderr.String(), d.logLines))
		}
	})
	return d
}

// await returns the submatches of the first output that matches.
func (d *daemon) await(t testing.TB, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(time.Minute)
	for {
		text, more := d.stderr.snapshot()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		select {
		case <-more:
		case <-d.exited:
			if m := re.FindStringSubmatch(d.stderr.String()); m != nil {
				return m
			}
			t.Fatalf("%s ended without writing %q: %v", strings.Join(d.argv, " "), pattern, d.err)
		case <-timeout:
			t.Fatalf("%s does not write %q", strings.Join(d.argv, " "), pattern)
		}
	}
}

// signal sends a signal and waits until the program has ended.
func (d *daemon) signal(t testing.TB, sig syscall.Signal) error {
	t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	select {
	case <-d.exited:
	case <-time.After(time.Minute):
		t.Fatalf("%s does not end on %v", strings.Join(d.argv, " "), sig)
	}
	return d.err
}

// An output keeps what a program writes. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{} // guarded by mu; closed and replaced by each write
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.buf.Write(p)
}

// snapshot returns what is there and a channel that is closed when more comes.
func (o *output) snapshot() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String(), o.more
}

func (o *output) String() string {
	text, _ := o.snapshot()
	return text
}

// A process is one of this machine, or of the namespace the tests run in.
type process struct {
	pid  int
	args []string
	env  []string
}

func (p process) String() string { return fmt.Sprintf("%d %s", p.pid, strings.Join(p.args, " ")) }

// processes lists all processes that this one may look into. Those that ended
// in the meantime or wait to be reaped have no environment and are left out.
func processes() []process {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var list []process
	for _, dir := range dirs {
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || len(env) == 0 {
			continue
		}
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		pid, _ := strconv.Atoi(filepath.Base(dir))
		list = append(list, process{pid, fields(args), fields(env)})
	}
	return list
}

func fields(nulEnded []byte) []string {
	return strings.Split(strings.TrimRight(string(nulEnded), "\x00"), "\x00")
}

// eventually asks until the answer is "", and fails with the last other answer.
func eventually(t testing.TB, ask func() (problem string)) {
	t.Helper()
	timeout := time.After(time.Minute)
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		problem := ask()
		if problem == "" {
			return
		}
		select {
		case <-pause.C:
		case <-timeout:
			t.Fatalf("still after a minute: %s", problem)
		}
	}
}

// excerpt returns the first and the last lines of a text, each cut to a
// readable length.
func excerpt(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	if len(all) > lines {
		all = slices.Concat(all[:lines/3], []string{"…"}, all[len(all)-lines+lines/3:])
	}
	for i, line := range all {
		all[i] = short(line)
	}
	return strings.Join(all, "\n")
}

// short cuts a text for a failure message.
func short(text string) string {
	const enough = 500
	if len(text) > enough {
		return text[:enough] + "…"
	}
	return text
}
