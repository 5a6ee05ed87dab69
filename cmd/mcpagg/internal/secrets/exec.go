package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Exec is a program that prints a secret on its standard output. It is started
// with the name as its last argument, and without a shell. A line break at the
// end is not part of the value. The program and all that it starts are ended
// when the time is over.
type Exec struct {
	Command []string // the program and its first arguments
	// Env yields variables for the program, by name, in addition to PATH, HOME
	// and LANG of the gateway.
	Env map[string]func(context.Context) (string, error)
}

// inherited are the variables that the program gets of the gateway's own.
var inherited = []string{"PATH", "HOME", "LANG"}

// pipeGrace is how long the output may stay open after the program has ended.
const pipeGrace = time.Second

// maxErrors bounds what is kept of the program's standard error, in bytes.
const maxErrors = 4 << 10

// Get implements [Source].
func (e Exec) Get(ctx context.Context, name string) (string, error) {
	env, hide, err := e.environment(ctx)
	if err != nil {
		return "", err
	}
	args := append(append([]string{}, e.Command[1:]...), name)
	cmd := exec.CommandContext(ctx, e.Command[0], args...)
	out, complaint := &bounded{max: MaxValue + 3}, &bounded{max: maxErrors}
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, complaint
	cmd.WaitDelay = pipeGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killGroup := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = killGroup
	err = cmd.Run()
	if cmd.Process != nil {
		_ = killGroup() // what it left behind
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.As(err, &exit):
		hide = append(hide, withoutLineEnd(out.String()))
		return "", fmt.Errorf("%s failed (%v)%s", e.Command[0], exit, quoting(complaint.String(), hide...))
	case errors.Is(err, exec.ErrWaitDelay):
		return "", fmt.Errorf("%s has left a program behind that holds its output open", e.Command[0])
	case err != nil:
		return "", fmt.Errorf("running %s: %w", e.Command[0], cause(err))
	}
	return withoutLineEnd(out.String()), nil
}

// environment is that of the program, and the values in it that are secret.
func (e Exec) environment(ctx context.Context) (env, hide []string, err error) {
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for name, secret := range e.Env {
		value, err := secret(ctx)
		if err != nil {
			return nil, nil, lacking("environment variable "+name, err)
		}
		env = append(env, name+"="+value)
		hide = append(hide, value)
	}
	return env, hide, nil
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	text []byte
	max  int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.text = append(b.text, p[:min(len(p), b.max-len(b.text))]...)
	return len(p), nil
}

func (b *bounded) String() string { return string(b.text) }
