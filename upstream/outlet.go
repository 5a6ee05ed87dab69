package upstream

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/mcpagg/mcpagg/upstream/egress"
)

// Egress is the Network of containers that reach what Container.Allow lists,
// and nothing else.
const Egress = "egress"

const (
	// proxyAddress is where a container with an outlet finds the proxy.
	proxyAddress = "127.0.0.1:3128"
	outSocket    = "out.sock"
	inSocket     = "in.sock"
	// relayMemory and relayPids bound the relay's container, which does not
	// count in what all containers may use.
	relayMemory = 64 << 20
	relayPids   = 32
)

// An outlet is the only way out of one container, and the way in to its port: a
// network namespace with loopback only, held by a small container of its own in
// which a relay runs; a folder with Unix sockets that the relay and the gateway
// both see; and the gateway's proxy behind one of them.
type outlet struct {
	folder  *socketFolder
	relay   *process           // nil before it is started
	endsOut context.CancelFunc // ends the proxy
	running group              // the proxy, and what watches the relay
}

// openOutlet makes the outlet of the container of opts, which has this name. The
// relay's has the same image, and so the same volumes. It must be closed.
func (cs *Containers) openOutlet(ctx context.Context, e *engine, name string, volumes []string, opts Options) (*outlet, error) {
	program, err := cs.ownProgram()
	if err != nil {
		return nil, fmt.Errorf("network = %q has the gateway's own program run in a container: %w", Egress, err)
	}
	folder, err := makeSocketFolder(ctx, cs.Dir)
	if err != nil {
		return nil, fmt.Errorf("making a folder for sockets: %w", err)
	}
	o := &outlet{folder: folder, endsOut: func() {}}
	if err = o.startProxy(opts); err == nil {
		err = o.startRelay(ctx, cs.relay(e, program, folder, name, volumes, opts), opts)
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// ownProgram is the file of this program, which runs in containers.
func (cs *Containers) ownProgram() (string, error) {
	program, err := cs.Program, error(nil)
	if program == "" {
		program, err = os.Executable()
	}
	if err == nil {
		err = egress.CheckStatic(program)
	}
	return program, err
}

func (o *outlet) startProxy(opts Options) error {
	l, err := egress.Listen(o.folder.path(outSocket))
	if err != nil {
		return err
	}
	proxy := egress.New(egress.Options{Upstream: opts.Name, Allow: opts.Container.Allow, Log: opts.Log, Via: http.ProxyFromEnvironment, Tally: &opts.Tally.egress})
	var ctx context.Context
	ctx, o.endsOut = context.WithCancel(context.Background())
	o.running.start(func() {
		if err := proxy.Serve(ctx, l); err != nil {
			opts.Log.Error("the container has no way out any more", "err", err)
		}
	})
	return nil
}

// relay is the program that runs the relay's container. Its image is that of
// the container it is for, since that is there; nothing in it is run.
func (cs *Containers) relay(e *engine, own string, folder *socketFolder, name string, volumes []string, opts Options) *program {
	inside := newInside()
	args := []string{"relay", "--out", proxyAddress, "--out-socket", inside.folder() + "/" + outSocket}
	if port := opts.Container.Port; port != 0 {
		args = append(args, "--in", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "--in-socket", inside.folder()+"/"+inSocket)
	}
	b := &box{containers: cs, engine: e, name: name + "-egress", relay: true, release: func() {}, spec: &Container{
		Image: opts.Container.Image, Args: args, Memory: relayMemory, Pids: relayPids, CPUs: defaultCPUs,
		Mounts: []Mount{{Source: own, Target: inside.program()}, {Source: folder.sockets, Target: inside.folder(), Writable: true}},
	}}
	// SELinux would keep the container from the sockets.
	more := append([]string{"--entrypoint", inside.program(), "--security-opt", "label=disable"}, volumes...)
	return &program{args: append([]string{e.program}, b.spec.runArgs(e, b.name, "none", cs.labels(opts), more, nobody)...), env: engineEnvironment(), box: b}
}

// startRelay starts the relay and waits until it listens.
func (o *outlet) startRelay(ctx context.Context, run *program, opts Options) error {
	var err error
	if o.relay, err = startProcess(run, opts.Log.With("container", run.box.name)); err != nil {
		return err
	}
	ready := make(chan struct{})
	o.relay.watch(func(stdout io.Reader) {
		if line, _, err := newLineReader(stdout, maxStderrLine).next(); err == nil && string(line) == "ready" {
			close(ready)
		}
		_, _ = io.Copy(io.Discard, stdout)
	})
	select {
	case <-ready:
		return nil
	case <-o.relay.exited:
		return fmt.Errorf("starting the relay of its network: %w", o.relay.cause)
	case <-ctx.Done():
		return fmt.Errorf("starting the relay of its network: %w", context.Cause(ctx))
	}
}

// network is the Network of the container that the outlet is for.
func (o *outlet) network() string { return networkOf + o.relay.box.name }

// networkOf begins the Network of a container that is in the one of another.
const networkOf = "container:"

// endWith ends a container as soon as the relay has ended, without which it
// reaches nothing and is not reached. exited is closed when the container has.
func (o *outlet) endWith(b *box, exited <-chan struct{}) {
	o.running.start(func() {
		select {
		case <-exited:
			return
		case <-o.relay.exited:
		}
		for {
			b.kill() // which fails as long as the container is being started
			select {
			case <-exited:
				return
			case <-time.After(killPause):
			}
		}
	})
}

const killPause = 500 * time.Millisecond

// broken is how the relay ended, nil if it has not.
func (o *outlet) broken() error {
	select {
	case <-o.relay.exited:
		return o.relay.cause
	default:
		return nil
	}
}

// dialIn connects to the port of the container.
func (o *outlet) dialIn(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", o.folder.path(inSocket))
}

// close ends all of it. The container that it is for must be gone.
func (o *outlet) close() {
	if o.relay != nil {
		o.relay.stop(stopGrace)
		o.relay.box.remove() // not before, since the other container holds on to it
	}
	o.endsOut()
	o.running.wait()
	o.folder.remove()
}

// outletEnvironment leads programs to the proxy.
var outletEnvironment = map[string]string{
	"HTTPS_PROXY": "http://" + proxyAddress, "https_proxy": "http://" + proxyAddress,
	"HTTP_PROXY": "http://" + proxyAddress, "http_proxy": "http://" + proxyAddress,
	"NO_PROXY": "localhost,127.0.0.1,::1", "no_proxy": "localhost,127.0.0.1,::1",
	"NODE_USE_ENV_PROXY": "1", // without it, Node.js uses none of them
}

// withOutlet adds the environment of an outlet to a container's own, which wins.
func withOutlet(vars map[string]string) map[string]string {
	all := maps.Clone(outletEnvironment)
	maps.Copy(all, vars)
	return all
}
