package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// A box is a container that was started. The process of the engine's program
// stands for it: it carries its stdin, stdout and stderr, and ends when it does.
type box struct {
	containers *Containers
	engine     *engine
	spec       *Container
	name       string
	outlet     *outlet   // its only way out; nil for none
	entrance   *entrance // the way its environment gets in; nil where the engine has to do
	relay      bool      // it is part of an outlet, which removes it
	release    func()    // gives back its memory
	hangs      bool      // the engine did not answer when it was asked how it ended
}

// boxUp makes a container ready to be started, and the program that does.
func (cs *Containers) boxUp(ctx context.Context, opts Options, image imageFacts) (*program, error) {
	c := opts.Container
	e, err := cs.engine(ctx, c.Runtime)
	if err != nil {
		return nil, err
	}
	cs.sweep(ctx, e)
	vars, used, err := variables(ctx, opts.Env)
	if err != nil {
		return nil, err
	}
	if c.Network == Egress {
		vars = withOutlet(vars)
	}
	release, err := cs.reserve(ctx, c.Memory)
	if err != nil {
		return nil, err
	}
	b := &box{containers: cs, engine: e, spec: c, name: newName(opts.Name), release: release}
	run, err := b.open(ctx, opts, image, vars)
	if err != nil {
		b.close()
		return nil, err
	}
	run.secrets = used
	return run, nil
}

// open opens the ways in and out of the container, and returns the program that
// starts it.
func (b *box) open(ctx context.Context, opts Options, image imageFacts, vars map[string]string) (*program, error) {
	cs, e, c := b.containers, b.engine, *b.spec
	run := &program{env: engineEnvironment(), box: b}
	var flags []string
	var err error
	if b.entrance, err = cs.openEntrance(ctx, e, &c, image, vars); err != nil {
		return nil, err
	}
	if b.entrance != nil {
		flags, c.Args = b.entrance.flags(), b.entrance.args()
	} else {
		var env []string
		if flags, env, run.file, err = environmentArgs(vars); err != nil {
			return nil, err
		}
		run.env = append(run.env, env...)
	}
	volumes, err := c.volumeFlags(e, image)
	if err != nil {
		return nil, err
	}
	flags = append(flags, volumes...)
	network := c.Network
	if network == Egress {
		if b.outlet, err = cs.openOutlet(ctx, e, b.name, volumes, opts); err != nil {
			return nil, err
		}
		network = b.outlet.network()
	}
	run.args = append([]string{e.program}, c.runArgs(e, b.name, network, cs.labels(opts), flags, c.userOf(image))...)
	return run, nil
}

// labels are those of the containers of an upstream.
func (cs *Containers) labels(opts Options) []string {
	return []string{ownerLabel + "=" + cs.own.String(), upstreamLabel + "=" + opts.Name}
}

// close gives back what the container had, which is gone or was never started.
func (b *box) close() {
	if b.outlet != nil {
		b.outlet.close()
	}
	if b.entrance != nil {
		b.entrance.close()
	}
	b.release()
}

// Statuses of the engine's program that are its own, and not the container's
// (docker-run(1), podman-run(1), "Exit status").
const (
	notStarted = 125
	notRunning = 126 // the image's program is none
	notFound   = 127
	killed     = 128 + 9
)

// A startError says that an engine could not start a container, so that nothing
// in it has run.
type startError struct{ text string }

func (e *startError) Error() string { return e.text }

// epitaph says how the container ended. err is that of the engine's program.
func (b *box) epitaph(err error, lastWords string) error {
	if b.outlet != nil {
		if err := b.outlet.broken(); err != nil {
			return fmt.Errorf("the container was ended, since the one that holds its network has: %w", err)
		}
	}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || !exit.Exited()) {
		return fmt.Errorf("the program of %v that ran the container was ended: %w", b.engine, err)
	}
	status := 0
	if exit != nil {
		status = exit.ExitCode()
	}
	state, known := b.state()
	switch engines := status == notStarted || status == notRunning || status == notFound; {
	case b.relay && (state.OOMKilled || status == killed):
		return errors.New("it was killed")
	case b.entrance != nil && b.entrance.isToBlame(state, lastWords):
		b.containers.withoutEntrance(b.engine, b.spec.Image, fmt.Errorf("the gateway's own program cannot run in them: %s", lastWords))
		return &startError{fmt.Sprintf("%v could not start the container as it was asked to, and will be asked in another way next: %s", b.engine, lastWords)}
	case state.OOMKilled:
		return fmt.Errorf("the container needed more than its %s of memory and was killed; raise container.memory", inMiB(b.spec.Memory))
	case status == killed && !b.engine.podman:
		return errors.New("the container was killed from outside, or by its own hand")
	case status == killed:
		return fmt.Errorf("the container was killed, as happens when it needs more than its %s of memory (container.memory)", inMiB(b.spec.Memory))
	case engines && !known:
		return fmt.Errorf("%v lost the container: %s", b.engine, withRemedy(lastLine(lastWords)))
	case engines && state.Status != "exited":
		return &startError{fmt.Sprintf("%v could not start the container: %s", b.engine, withRemedy(lastLine(lastWords)))}
	}
	text := "the container exited with status " + strconv.Itoa(status)
	if lastWords != "" {
		text += ": " + lastWords
	}
	return errors.New(text)
}

// A boxState is what an engine knows of a container that has ended.
type boxState struct {
	Status    string // "" if it was never made, "created" if it was not started
	OOMKilled bool   // for the memory it used; podman does not always know
}

// state asks the engine, and reports whether it knows.
func (b *box) state() (s boxState, known bool) {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	out, err := b.engine.ask(ctx, "inspect", "--type", "container", "--format", `{"Status":{{json .State.Status}},"OOMKilled":{{json .State.OOMKilled}}}`, b.name)
	if err == nil {
		err = json.Unmarshal([]byte(out), &s)
	}
	b.hangs = errors.Is(err, context.DeadlineExceeded)
	return s, err == nil || isMissing(err)
}

// kill ends the container, whatever its processes do about signals.
func (b *box) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if _, err := b.engine.ask(ctx, "kill", "--signal", "KILL", b.name); err != nil {
		b.containers.log.Debug("killing a container", "container", b.name, "err", err)
	}
}

// remove removes what is left of the container, now or, if the engine cannot be
// asked, before the next one is started.
func (b *box) remove() {
	defer b.close()
	release := b.release
	b.release = func() {} // the memory is given back with what takes it
	limit := engineTimeout
	if b.hangs {
		limit = endTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := b.engine.remove(ctx, b.name)
	if err == nil {
		release()
	} else {
		b.containers.owe(b.engine, owedBox{b.name, release})
		b.containers.log.Warn("a container could not be removed; it will be tried again", "container", b.name, "err", err)
	}
}

// owe notes a container that is still to be removed.
func (cs *Containers) owe(e *engine, b owedBox) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	s := cs.sweeps[e.program]
	s.owed = append(s.owed, b)
	cs.sweeps[e.program] = s
}

// address is where the container's port is published, or found through its
// outlet. The engine knows once it has started the container.
func (b *box) address(ctx context.Context, exited <-chan struct{}) (string, error) {
	if b.outlet != nil {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.spec.Port)), nil // within its network
	}
	for {
		out, err := b.engine.ask(ctx, "port", b.name, strconv.Itoa(b.spec.Port)+"/tcp")
		if addr, _, _ := strings.Cut(strings.TrimSpace(out), "\n"); err == nil && addr != "" {
			if at, err := netip.ParseAddrPort(addr); err != nil || !at.Addr().IsLoopback() {
				return "", fmt.Errorf("%v has published the port %d of the container at %s, not at a loopback address of this machine", b.engine, b.spec.Port, printable(addr, 100))
			}
			return addr, nil
		}
		select {
		case <-exited:
			return "", errExited
		case <-ctx.Done():
			return "", fmt.Errorf("the port %d of the container is not published on this machine: %w", b.spec.Port, cmp.Or(err, context.Cause(ctx)))
		case <-time.After(portPoll):
		}
	}
}

const portPoll = 50 * time.Millisecond

// errExited says that a container ended before it could be spoken to. Its
// epitaph says why.
var errExited = errors.New("the container ended")
