package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

const (
	// stopGrace is how long a process may take to end by itself after its
	// stdin was closed, and again after SIGTERM.
	stopGrace = 2 * time.Second
	// pipeGrace is how long the output of a process that has ended may stay
	// open. It does if a descendant left the process group and lives on.
	pipeGrace = time.Second
	// maxStderrLine bounds what is logged of a line on stderr.
	maxStderrLine = 4 << 10
	// stderrLines a second are logged in the long run, and stderrBurst at once.
	stderrLines = 50
	stderrBurst = 500
)

// inherited are the variables that a process gets of the gateway's own.
var inherited = []string{"PATH", "HOME", "LANG"}

// A process is a running server and all that it started, in a process group
// of its own.
type process struct {
	cmd     *exec.Cmd
	log     *slog.Logger
	secrets secrets
	box     *box     // the container that it runs; nil for none
	stdin   *os.File // our ends of the pipes
	stdout  *os.File
	stderr  *os.File
	readers sync.WaitGroup // whoever reads stdout and stderr

	exited chan struct{} // closed once the process is reaped and cause is set
	cause  error         // how it ended
	gone   chan struct{} // closed after exited, once nothing is left of it

	mu        sync.Mutex
	lastWords string // last line on stderr that says something; guarded by mu
}

// A program is what a process runs.
type program struct {
	args    []string // the program itself first
	env     []string
	dir     string
	file    string // what it can read from its descriptor 3; "" for none
	secrets secrets
	box     *box // the container that it runs in the foreground, nil for none
}

// programOf is the program that serves the upstream over stdio, or runs the
// container that serves it.
func (u *Upstream) programOf(ctx context.Context) (*program, error) {
	if u.opts.Container != nil {
		return u.opts.Containers.boxUp(ctx, u.opts, u.image)
	}
	vars, used, err := variables(ctx, u.opts.Env)
	if err != nil {
		return nil, err
	}
	p := &program{args: u.opts.Command, dir: u.opts.Dir, secrets: used}
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			p.env = append(p.env, name+"="+value)
		}
	}
	for name, value := range vars {
		p.env = append(p.env, name+"="+value) // exec lets the last of a name win
	}
	return p, nil
}

// variables asks for the values of environment variables.
func variables(ctx context.Context, vars map[string]Secret) (values map[string]string, used secrets, err error) {
	values = make(map[string]string, len(vars))
	for name, secret := range vars {
		value, err := secret(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("environment variable %s: %w", name, err)
		}
		values[name] = value
		used = append(used, value)
	}
	return values, used, nil
}

// startProcess starts a program. The caller must call watch next.
func startProcess(run *program, log *slog.Logger) (*process, error) {
	p := &process{log: log, secrets: run.secrets, box: run.box, exited: make(chan struct{}), gone: make(chan struct{})}
	p.cmd = exec.Command(run.args[0], run.args[1:]...)
	p.cmd.Env, p.cmd.Dir = run.env, run.dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	theirs, err := p.pipes(run.file)
	if err == nil {
		theirs, err = p.start(theirs)
	}
	for _, f := range theirs {
		_ = f.Close()
	}
	if err != nil {
		p.closePipes()
		if p.box != nil {
			p.box.close()
		}
		return nil, fmt.Errorf("starting the process: %w", err)
	}
	return p, nil
}

// start starts the process, or, where it is to hand over to a container, begins
// that. It returns which of its files are still to be closed.
func (p *process) start(theirs []*os.File) ([]*os.File, error) {
	if p.box == nil || p.box.entrance == nil {
		return theirs, p.cmd.Start()
	}
	var given []*os.File
	if p.readsStdin() {
		// What the engine itself prints is stderr.
		given, theirs = theirs[:2], theirs[2:]
		p.cmd.Stdin, p.cmd.Stdout = nil, p.cmd.Stderr
	}
	err := p.cmd.Start()
	if err != nil {
		return append(theirs, given...), err
	}
	p.box.entrance.serve(given...)
	return theirs, nil
}

// watch has the process's stdout read by read, until it ends, and waits for
// the process.
func (p *process) watch(read func(stdout io.Reader)) {
	p.readers.Go(func() { read(p.stdout) })
	p.readers.Go(p.logStderr)
	if p.box != nil && p.box.outlet != nil {
		p.box.outlet.endWith(p.box, p.exited)
	}
	go p.reap()
}

// pipes makes the process's standard files and returns the ends that only the
// process is to keep. They are not made by exec.Cmd because its own would be
// closed as soon as the process ends, with the last output unread.
//
// What is in file, if anything, can be read from the process's descriptor 3.
func (p *process) pipes(file string) (theirs []*os.File, err error) {
	pipe := func(ours **os.File, write bool) *os.File {
		if err != nil {
			return nil
		}
		var r, w *os.File
		if r, w, err = os.Pipe(); err != nil {
			return nil
		}
		if write {
			r, w = w, r
		}
		*ours = r
		theirs = append(theirs, w)
		return w
	}
	p.cmd.Stdin = pipe(&p.stdin, true)
	p.cmd.Stdout = pipe(&p.stdout, false)
	p.cmd.Stderr = pipe(&p.stderr, false) // the order matters to start
	if file == "" || err != nil {
		return theirs, err
	}
	var ours *os.File
	p.cmd.ExtraFiles = []*os.File{pipe(&ours, true)}
	if err == nil {
		_, err = ours.WriteString(file) // a pipe has room for it
		_ = ours.Close()
	}
	return theirs, err
}

func (p *process) closePipes() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// reap waits for the process, ends what it left behind, and says how it ended.
func (p *process) reap() {
	err := p.cmd.Wait()
	// The kernel gives the group's id to nobody else while the group has members.
	p.signal(syscall.SIGKILL)
	if p.box != nil && p.box.entrance != nil {
		p.box.entrance.isUsed() // or else the pipes that it holds would stay open
	}
	// What was written before the end is still to be read.
	late := time.AfterFunc(pipeGrace, p.closePipes)
	p.readers.Wait()
	late.Stop()
	p.closePipes()
	p.cause = p.epitaph(err)
	close(p.exited)
	if p.box != nil && !p.box.relay {
		p.box.remove()
	}
	close(p.gone)
}

// epitaph says how the process ended, with its last words.
func (p *process) epitaph(err error) error {
	if p.box != nil {
		return &brokenError{p.box.epitaph(err, p.said())}
	}
	text := "exited with status 0"
	about := ": "
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		text = fmt.Sprintf("exited with status %d", exit.ExitCode())
	case errors.As(err, &exit):
		text = "was ended by a " + exit.String() // "signal: killed"
		about = "; the last line on its stderr was: "
	case err != nil:
		text = "exited: " + err.Error()
	}
	if words := p.said(); words != "" {
		text += about + words
	}
	return &brokenError{errors.New(text)}
}

// said is the last line on stderr that says something.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastWords
}

// stop ends the process: its stdin is closed, then, each time grace later, its
// group gets SIGTERM and SIGKILL. Of a container, that is the engine's program,
// which passes SIGTERM on. It returns when the process is reaped, and nothing is
// left of the container.
func (p *process) stop(grace time.Duration) {
	defer func() { <-p.gone }()
	_ = p.stdin.Close()
	if p.readsStdin() && p.waitExit(grace) {
		return
	}
	p.signal(syscall.SIGTERM)
	if p.waitExit(grace) {
		return
	}
	if p.box != nil {
		p.box.kill()
		if p.waitExit(grace) {
			return
		}
	}
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// readsStdin reports whether the process may notice that its stdin is closed.
func (p *process) readsStdin() bool { return p.box == nil || p.box.spec.Port == 0 }

func (p *process) waitExit(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// signal sends s to the whole process group.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// logStderr logs what the server says on stderr.
func (p *process) logStderr() { p.logLines("stderr", p.stderr) }

// logLines logs what comes from a stream, line by line.
func (p *process) logLines(stream string, from io.Reader) {
	lines := newLineReader(from, maxStderrLine)
	allowed := rate.NewLimiter(stderrLines, stderrBurst)
	dropped := 0
	for {
		line, _, err := lines.next()
		if err != nil {
			return
		}
		if !allowed.Allow() {
			dropped++
			continue
		}
		if dropped > 0 {
			p.log.Warn("dropped lines on "+stream+", which come too fast", "lines", dropped)
			dropped = 0
		}
		text := p.secrets.redact(string(line))
		p.remember(text)
		if text = printable(text, maxStderrLine); text != "" {
			p.log.Info(stream, "line", text)
		}
	}
}

// runtimeTrailer is what Node.js prints below an uncaught error.
var runtimeTrailer = regexp.MustCompile(`^Node\.js v\d`)

// remember keeps the last line that can stand for why the process ended: none
// that is indented, as stack traces are, and no trailer of a runtime.
func (p *process) remember(line string) {
	if strings.TrimLeft(line, " \t}^") != line || line == "" || runtimeTrailer.MatchString(line) || helpTrailer.MatchString(line) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastWords = printable(line, 300)
}

// A lineReader reads lines of bounded length.
type lineReader struct {
	r   *bufio.Reader
	max int
}

func newLineReader(r io.Reader, max int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10), max: max}
}

// tailSize is how much of the end of a line that is too long is kept.
const tailSize = 256

// next returns the next line without its LF, in memory of its own. Of a line
// over the limit it returns the beginning, and in tail the end.
func (l *lineReader) next() (line, tail []byte, err error) {
	for {
		chunk, err := l.r.ReadSlice('\n')
		switch {
		case err == nil:
			chunk = chunk[:len(chunk)-1]
		case err != bufio.ErrBufferFull && len(chunk)+len(line) == 0:
			return nil, nil, err
		}
		if room := l.max - len(line); tail == nil && len(chunk) <= room {
			line = append(line, chunk...)
		} else {
			if tail == nil {
				line = append(line, chunk[:room]...)
				chunk = chunk[room:]
			}
			tail = append(tail, chunk...)
			tail = append([]byte{}, tail[max(0, len(tail)-tailSize):]...)
		}
		if err != bufio.ErrBufferFull {
			return line, tail, nil // at the end of the input, what there is counts as a line
		}
	}
}
