package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// readyTimeout bounds the start of a process.
	readyTimeout = 30 * time.Second
	// stopTimeout is how long a process may take to end by itself.
	stopTimeout = 3 * time.Second
	// pollPause lies between two looks at whether a process is ready.
	pollPause = time.Millisecond
)

// A process is a running upstream, reverse proxy or gateway. It ends with the
// context that start got, or with stop.
type process struct {
	name  string
	pid   int
	log   *tail
	stop  func() // may be called twice; waits for the end
	ended chan struct{}
}

// start runs a program with its standard input held open: our own roles end
// when it closes, so that they do not outlive even a killed bench.
func start(ctx context.Context, name string, argv ...string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &process{name: name, log: &tail{}, ended: make(chan struct{})}
	p.stop = func() {
		cancel()
		<-p.ended
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = dieWithParent()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.pid = cmd.Process.Pid
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended after a signal says nothing
		_ = stdin.Close()
	}()
	return p, nil
}

// await polls until ready succeeds.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %w\n%s", p.name, err, p.log)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, p.log)
		case <-time.After(pollPause):
		}
	}
}

// endWithInput ends the returned context when standard input does, which is
// how our own roles learn that the bench is gone.
func endWithInput(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return ctx
}

// A tail keeps the end of what a process printed.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// tailBytes bounds a tail.
const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
