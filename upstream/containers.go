package upstream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// pullTimeout bounds the pulling of one image.
	pullTimeout = 10 * time.Minute
	// pullNews is how often a pull that goes on is logged.
	pullNews = 5 * time.Second
	// sweepTimeout bounds looking for what was left behind and removing it, and
	// sweepPause is at least between one that failed and the next.
	sweepTimeout = 5 * time.Second
	sweepPause   = 10 * time.Second
)

// Containers are what all containers of one gateway have in common: how much
// memory they may use together, the images being pulled, and what an earlier
// gateway has left behind. It is safe for concurrent use.
type Containers struct {
	log *slog.Logger
	own owner // of this process

	// MakeRoom, if not nil, is called when a container has to wait for memory.
	// It ends one that nobody uses, and reports whether there was one. It must
	// not block, and is set before the first container is started.
	MakeRoom func() bool

	// Dir is where the sockets are that containers share with the gateway; ""
	// means a folder for temporary files. It is made if need be, for the
	// gateway's user alone. Program is the file of the gateway's program, which
	// runs in containers, too; "" means that of this process. Both are set before
	// the first container is started.
	Dir, Program string

	mu         sync.Mutex
	limit      int64                    // of memory, in bytes; 0 for none; guarded by mu
	used       int64                    // guarded by mu
	released   chan struct{}            // closed and replaced when memory is given back; guarded by mu
	engines    map[string]*engine       // by Container.Runtime; guarded by mu
	sweeps     map[string]sweep         // by program; guarded by mu
	noEntrance map[way]bool             // whose containers have none; guarded by mu
	locks      map[string]chan struct{} // one at a time, by what for; guarded by mu
}

// NewContainers returns the common part of containers that may use memory bytes
// together; 0 means any number.
func NewContainers(memory int64, log *slog.Logger) *Containers {
	return &Containers{
		log: log, own: thisProcess(), limit: memory, released: make(chan struct{}),
		engines: map[string]*engine{}, sweeps: map[string]sweep{}, noEntrance: map[way]bool{}, locks: map[string]chan struct{}{},
	}
}

// Limit changes how many bytes of memory the containers may use together. Those
// that run go on.
func (cs *Containers) Limit(memory int64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.limit = memory
	cs.wakeLocked()
}

// Usage is how many bytes of memory the containers that run may use, and how
// many they all may; 0 means any number.
func (cs *Containers) Usage() (used, limit int64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.used, cs.limit
}

// HasRoom reports whether there is memory for a container at the moment.
func (cs *Containers) HasRoom(c *Container) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.limit == 0 || cs.used+c.withDefaults().Memory <= cs.limit
}

func (cs *Containers) wakeLocked() {
	close(cs.released)
	cs.released = make(chan struct{})
}

// reserve takes memory for a container. Where there is none left, it waits for a
// container that gives way. release gives the memory back.
func (cs *Containers) reserve(ctx context.Context, memory int64) (release func(), err error) {
	for {
		cs.mu.Lock()
		limit, used, released := cs.limit, cs.used, cs.released
		if limit == 0 || used+memory <= limit {
			cs.used += memory
			cs.mu.Unlock()
			return sync.OnceFunc(func() { cs.release(memory) }), nil
		}
		cs.mu.Unlock()
		if cs.MakeRoom == nil || !cs.MakeRoom() {
			return nil, fmt.Errorf("no memory for another container: it may use %s, and %s of the %s of containers.memory are taken by those that run, all of them in use",
				inMiB(memory), inMiB(used), inMiB(limit))
		}
		select {
		case <-released:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (cs *Containers) release(memory int64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.used -= memory
	cs.wakeLocked()
}

func inMiB(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

// lock lets one at a time go on. It fails if ctx ends first.
func (cs *Containers) lock(ctx context.Context, what string) (unlock func(), err error) {
	cs.mu.Lock()
	turn := cs.locks[what]
	if turn == nil {
		turn = make(chan struct{}, 1)
		cs.locks[what] = turn
	}
	cs.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// engine finds the engine of a container, which must be there from now on.
func (cs *Containers) engine(ctx context.Context, runtime string) (*engine, error) {
	cs.mu.Lock()
	e := cs.engines[runtime]
	cs.mu.Unlock()
	if e != nil {
		return e, nil
	}
	e, err := findEngine(ctx, runtime)
	if err != nil {
		return nil, err
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.engines[runtime] = e
	return e, nil
}

// fetch sees to it that the image of a container is there, which may take
// minutes. progress gets what the engine says, if it pulls.
func (cs *Containers) fetch(ctx context.Context, c *Container, progress func(string)) (imageFacts, error) {
	e, err := cs.engine(ctx, c.Runtime)
	if err != nil {
		return imageFacts{}, err
	}
	facts, err := e.image(ctx, c.Image)
	switch {
	case err != nil && !isMissing(err):
		return imageFacts{}, fmt.Errorf("looking for the image %s: %w", c.Image, err)
	case err == nil && c.Pull != PullAlways:
		return facts, nil
	case c.Pull == PullMissing && strings.HasPrefix(c.Image, "localhost/"):
		return imageFacts{}, fmt.Errorf("the image %s is not there; what begins with localhost/ was built on this machine and is in no registry, so build it beforehand", c.Image)
	case c.Pull == PullNever:
		return imageFacts{}, fmt.Errorf("the image %s is not there, and pull = %q forbids to pull it; build or pull it beforehand", c.Image, PullNever)
	}
	unlock, err := cs.lock(ctx, "pull "+e.program+" "+c.Image)
	if err != nil {
		return imageFacts{}, err
	}
	defer unlock()
	if facts, err = e.image(ctx, c.Image); err == nil && c.Pull == PullMissing {
		return facts, nil // somebody else has pulled it meanwhile
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pullTimeout, noAnswer(pullTimeout))
	defer cancel()
	progress("asking the registry")
	if err := e.pull(ctx, c.Image, progress); err != nil {
		return imageFacts{}, fmt.Errorf("pulling the image %s: %w", c.Image, err)
	}
	return e.image(ctx, c.Image)
}

// sweep removes what gateways that are not there any more have left behind,
// once for each engine, and what this one could not remove. What it cannot do
// keeps no container from being started; it is tried again with a later one.
func (cs *Containers) sweep(ctx context.Context, e *engine) {
	unlock, err := cs.lock(ctx, "sweep "+e.program)
	if err != nil {
		return
	}
	defer unlock()
	cs.mu.Lock()
	s := cs.sweeps[e.program]
	cs.mu.Unlock()
	if s.done && len(s.owed) == 0 || time.Since(s.last) < sweepPause {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	var left []string
	if !s.done {
		left, err = cs.leftovers(ctx, e)
	}
	for _, b := range s.owed {
		left = append(left, b.name)
	}
	if err == nil && len(left) > 0 {
		err = e.remove(ctx, left...)
	}
	cs.swept(e, len(s.owed), err)
	switch {
	case err != nil:
		cs.log.Warn("containers that were left behind could not be removed; it will be tried again", "engine", e, "err", err)
	case len(left) > 0:
		cs.log.Info("removed containers that were left behind", "engine", e, "containers", len(left))
	}
}

// swept notes what came of a sweep, which has removed the first few of those
// that are owed.
func (cs *Containers) swept(e *engine, removed int, err error) {
	var gone []owedBox
	cs.mu.Lock()
	s := cs.sweeps[e.program]
	if err != nil {
		s.last = time.Now()
	} else {
		s.done, gone, s.owed = true, s.owed[:removed], s.owed[removed:]
	}
	cs.sweeps[e.program] = s
	cs.mu.Unlock()
	for _, b := range gone {
		b.release()
	}
}

// A sweep is what was done about the containers left behind in one engine.
type sweep struct {
	done bool      // there are no others of gateways that have ended
	last time.Time // when it failed
	owed []owedBox // containers of this process that could not be removed
}

// An owedBox is a container that is still to be removed, and may still use its
// memory.
type owedBox struct {
	name    string
	release func()
}

// ownerFormat is a line for each container. The label is JSON, since images have
// labels, too, with any text in them. Podman knows .Id in this form only.
const ownerFormat = `{{.Id}} {{json (index .Config.Labels "` + ownerLabel + `")}}`

// leftovers are the containers whose gateway is not there any more.
func (cs *Containers) leftovers(ctx context.Context, e *engine) ([]string, error) {
	out, err := e.ask(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+ownerLabel)
	ids := strings.Fields(out)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	// It fails if one of them has gone meanwhile, and prints the others.
	out, err = e.ask(ctx, append([]string{"inspect", "--type", "container", "--format", ownerFormat}, ids...)...)
	if err != nil && !isMissing(err) {
		return nil, err
	}
	var left []string
	for line := range strings.Lines(out) {
		id, label, _ := strings.Cut(line, " ")
		var owner string
		if err := json.Unmarshal([]byte(label), &owner); err != nil {
			return nil, fmt.Errorf("%v: what inspect prints of a container: %w", e, err)
		}
		if slices.Contains(ids, id) && cs.own.outlived(owner) {
			left = append(left, id)
		}
	}
	return left, nil
}

// remove removes containers, with the volumes that only they use, whatever
// they are doing. It is no error if they are not there.
func (e *engine) remove(ctx context.Context, containers ...string) error {
	args := []string{"rm", "--force", "--volumes"}
	if e.podman {
		args = append(args, "--time", "0") // it would ask nicely first
	}
	_, err := e.ask(ctx, append(args, containers...)...)
	switch {
	case isMissing(err):
		return nil
	case hasDependents(err) && len(containers) > 1: // which are gone now, or among the others
		var errs []error
		for _, c := range containers {
			errs = append(errs, e.remove(ctx, c))
		}
		return errors.Join(errs...)
	}
	return err
}

// newName is the name of a container that is about to be started.
func newName(upstream string) string {
	return "mcpagg-" + upstream + "-" + strings.ToLower(rand.Text()[:10])
}
