package upstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mcpagg/mcpagg/upstream/egress"
	"github.com/mcpagg/mcpagg/upstream/entry"
)

// An entrance is how a container gets its environment, and its stdin and stdout
// where it is spoken to over them, past its engine; see package entry. The
// gateway's own program is in the container for it, and becomes the image's.
type entrance struct {
	folder   *socketFolder
	listener *net.UnixListener
	program  string   // the file of the gateway's own
	inside   inside   // where the container has it, and the folder
	argv     []string // the image's program
	handover entry.Handover

	end  context.CancelFunc // of the goroutine that hands over
	done chan struct{}      // closed when it has ended, and err is set
	err  error              // why nothing was handed over
}

const (
	entrySocket = "entry.sock"

	// settleTime is how long it may take to notice that a container that has ended
	// had been handed over all.
	settleTime = 200 * time.Millisecond
)

// openEntrance makes the entrance of a container, which must be closed. It is
// nil where the engine has to do.
//
// What fails for the moment only is an error: the engine would keep the secrets.
func (cs *Containers) openEntrance(ctx context.Context, e *engine, c *Container, image imageFacts, vars map[string]string) (*entrance, error) {
	program := cs.entryProgram(e, c.Image)
	if program == "" {
		return nil, nil
	}
	argv := slices.Concat(image.Entrypoint, c.Args)
	if len(c.Args) == 0 {
		argv = slices.Concat(image.Entrypoint, image.Cmd)
	}
	if len(argv) == 0 {
		return nil, fmt.Errorf("the image %s does not say which program to run; name it in container.args", c.Image)
	}
	folder, err := makeSocketFolder(ctx, cs.Dir)
	if err != nil {
		return nil, fmt.Errorf("making a folder for a socket: %w", err)
	}
	l, err := egress.Listen(folder.path(entrySocket))
	if err != nil {
		folder.remove()
		var system syscall.Errno
		if errors.As(err, &system) {
			return nil, fmt.Errorf("making a socket: %w", err)
		}
		cs.withoutEntrance(e, allImages, err) // the path is too long
		return nil, nil
	}
	return &entrance{
		folder: folder, listener: l.(*net.UnixListener), program: program, inside: newInside(), argv: argv,
		handover: entry.Handover{Env: vars, Root: c.userOf(image) != ""}, end: func() {}, done: make(chan struct{}),
	}, nil
}

// entryProgram is the file of the gateway's program, "" if it cannot run in the
// containers of an image.
func (cs *Containers) entryProgram(e *engine, image string) string {
	cs.mu.Lock()
	shut := cs.noEntrance[way{e.program, allImages}] || cs.noEntrance[way{e.program, image}]
	cs.mu.Unlock()
	if shut {
		return ""
	}
	program, err := cs.ownProgram()
	if !e.isLocal() {
		err = errors.New("it runs them elsewhere")
	}
	if err != nil {
		cs.withoutEntrance(e, allImages, err)
		return ""
	}
	return program
}

// A way is that of an engine with the containers of an image, or of allImages.
type way struct{ program, image string }

const allImages = ""

// withoutEntrance notes that an image's containers get all from the engine, and
// says so once. What an image may be the cause of holds for no other.
func (cs *Containers) withoutEntrance(e *engine, image string, why error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.noEntrance[way{e.program, image}] {
		return
	}
	cs.noEntrance[way{e.program, image}] = true
	attrs := []any{"engine", e, "err", why}
	if image != allImages {
		attrs = append(attrs, "image", image)
	}
	cs.log.Warn("containers get their environment from the engine, which shows it to whoever may ask it", attrs...)
}

// An inside is where a container has the gateway's program, and the folder with
// its sockets. No image can have anything there: at a place that is known
// beforehand, a link to one of its volumes would have its own program run instead.
type inside string

func newInside() inside { return inside("/.mcpagg-" + strings.ToLower(rand.Text()[:16])) }

func (i inside) program() string { return string(i) }
func (i inside) folder() string  { return string(i) + ".d" }

// flags are what the engine is asked for in addition, and args what stands behind
// the image.
func (en *entrance) flags() []string {
	return []string{
		"--entrypoint", en.inside.program(),
		"--mount", Mount{Source: en.program, Target: en.inside.program()}.flag(),
		"--mount", Mount{Source: en.folder.sockets, Target: en.inside.folder()}.flag(),
	}
}

func (en *entrance) args() []string {
	return append([]string{"enter", "--socket", en.inside.folder() + "/" + entrySocket, "--"}, en.argv...)
}

// serve hands over as soon as the container is there, and closes its own copies
// of the files.
func (en *entrance) serve(files ...*os.File) {
	var ctx context.Context
	ctx, en.end = context.WithCancel(context.Background())
	en.handover.Files = files
	go func() {
		defer close(en.done)
		en.err = en.handover.Serve(ctx, en.listener)
		for _, f := range files {
			_ = f.Close()
		}
		en.handover = entry.Handover{} // which holds secrets
	}()
}

// close ends the entrance. The container has ended, or was never started.
func (en *entrance) close() {
	en.end()
	_ = en.listener.Close()
	en.folder.remove()
}

// isUsed reports whether the container has been handed over what it needs. The
// container must have ended.
func (en *entrance) isUsed() bool {
	select {
	case <-en.done:
	case <-time.After(settleTime):
		en.end()
		<-en.done
	}
	return en.err == nil
}

// isToBlame reports whether the container could not be started because of the
// entrance: what the engine could not do has to do with it, or the gateway's
// program ran, and could not connect. One that was ended by something else before
// is not: it is started in the same way again.
func (en *entrance) isToBlame(state boxState, lastWords string) bool {
	if en.isUsed() {
		return false
	}
	if state.Status == "exited" {
		return strings.Contains(lastWords, entry.CannotConnect)
	}
	return slices.ContainsFunc([]string{string(en.inside), en.program, en.folder.sockets}, func(path string) bool {
		return strings.Contains(lastWords, path)
	})
}
