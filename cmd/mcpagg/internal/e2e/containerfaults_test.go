//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestContainerFaults has upstreams that cannot work, each for a reason of its
// own, beside one that works all the while.
func TestContainerFaults(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		registry := startRegistry(t, "faults")
		forged := startRegistry(t, "forged")
		forged.forge()
		closed := freeAddress(t)
		pulled := func(label, image string) upstream {
			return upstream{label: label, container: []string{fmt.Sprintf("runtime = %q", e.name), fmt.Sprintf("image = %q", image), `args = ["stdio"]`}}
		}
		faults := []struct {
			upstream
			want string // expression that the error matches
		}{
			{e.container("missing", "localhost/nosuch:1", nil), `the image localhost/nosuch:1 is not there, and pull = "never" forbids to pull it`},
			{pulled("digest", registry.host+"/contoso/probe@sha256:"+strings.Repeat("a", 64)), `pulling the image 127.*: manifest unknown; the registry does not have this tag or digest`},
			{pulled("tag", registry.host+"/contoso/probe:nosuch"), `pulling the image 127.*: manifest unknown; the registry does not have this tag or digest`},
			{pulled("forged", forged.host+"/contoso/probe@"+forged.digest), `pulling the image .*(?i:manifest) (does not match|verification failed).*sha256:`},
			{pulled("unreachable", closed+"/contoso/probe:1"), `pulling the image ` + closed + `.*connection refused; see that the registry can be reached from here`},
			{e.probe("exits", "exit 3"), `the container exited with status 3: probe: I do not like it here`},
			{e.probe("lost", "stdio", `network = "nosuch"`), `could not start the container: .*network.*; create the network, or see that its name is right`},
			{e.container("mode", probeImage, []string{"nosuchmode"}), `the container exited with status 1: probe: no mode "nosuchmode"`},
		}
		upstreams := []upstream{e.probe("well", "stdio"), e.probe("chatty", "chatty")}
		for _, f := range faults {
			upstreams = append(upstreams, f.upstream)
		}
		g := startContainerGateway(t, upstreams...)
		g.awaitTools(t, "well", "chatty")
		c := modern(t, g.url)
		checkEcho(t, c, "well")
		checkEcho(t, c, "chatty") // what is no message is skipped
		for _, f := range faults {
			want := regexp.MustCompile(f.want)
			eventually(t, func() string {
				if s := g.status(t, f.label); !want.MatchString(s.LastError) {
					return fmt.Sprintf("the error of %s is %q, want %q", f.label, s.LastError, f.want)
				}
				return ""
			})
			checkEcho(t, c, "well")
			g.checkHelpful(t, f.label)
		}
	})
}

// checkHelpful makes sure that an error does not send its reader to the help of
// another program, or show its inner life.
func (g *gateway) checkHelpful(t *testing.T, label string) {
	t.Helper()
	s := g.status(t, label).LastError
	if regexp.MustCompile(`--help|level=|\n|goroutine `).MatchString(s) || len(s) > 1000 {
		t.Errorf("the error of %s is no help: %q", label, s)
	}
}

// TestContainerMemory has a server use more memory than it may.
func TestContainerMemory(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		g := startContainerGateway(t, e.probe("hungry", "stdio", `memory = "64MiB"`), e.probe("well", "stdio"))
		g.awaitTools(t, "hungry", "well")
		c := modern(t, g.url)
		if got := text(t, c, "hungry_allocate", object{"mib": 20}); got != "20 MiB are in use" {
			t.Fatal(got)
		}
		got := text(t, c, "hungry_allocate", object{"mib": 200})
		if !strings.Contains(got, "hungry") || !strings.Contains(got, "64 MiB of memory") || !strings.Contains(got, "was killed") {
			t.Errorf("a call that needs too much memory gives %q", got)
		}
		checkEcho(t, c, "well")
		eventuallyText(t, c, "hungry_allocate", object{"mib": 1}, "1 MiB are in use")
	})
}

// TestForkBomb has a server start processes as long as it can.
func TestForkBomb(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		g := startContainerGateway(t, e.probe("bomb", "stdio", "pids = 40"), e.probe("well", "stdio"), growing(t, "other"))
		g.awaitTools(t, "bomb", "well", "other")
		c := modern(t, g.url)
		got := text(t, c, "bomb_fork", object{})
		var n int
		if _, err := fmt.Sscanf(got, "%d processes, then", &n); (err != nil || n < 1 || n >= 40) && !strings.HasPrefix(got, "error: ") { // Go ends if it gets no thread
			t.Errorf("a fork bomb gives %q", got)
		}
		t.Logf("a fork bomb gives %q", got)
		checkEcho(t, c, "well")
		checkOthers(t, c, "well")
	})
}

// TestDeafContainer has servers end that ignore the end of their stdin, and
// SIGTERM.
func TestDeafContainer(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		g := startContainerGateway(t, e.probe("one", "deaf"), e.probe("two", "deaf"))
		g.awaitTools(t, "one", "two")
		checkEcho(t, modern(t, g.url), "one")
		began := time.Now()
		g.stop(t)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the gateway took %v to end", took)
		}
		if left := e.containersOf(t, g); len(left) > 0 {
			t.Errorf("containers are left: %v", left)
		}
	})
}

// TestContainerLeftovers kills a gateway, whose containers the next one removes,
// and no others.
func TestContainerLeftovers(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		lives := startContainerGateway(t, e.probe("up", "stdio"))
		lives.awaitTools(t, "up")
		dies := startContainerGateway(t, e.probe("deaf", "deaf"), e.probe("up", "stdio"), e.probe("out", "deaf", egressTo("127.0.0.1:1")...))
		dies.awaitTools(t, "deaf", "up", "out")
		left := dies.signal(t, syscall.SIGKILL)
		if left == nil {
			t.Error("the gateway survives SIGKILL")
		}
		if got := e.containersOf(t, dies); len(got) == 0 {
			t.Error("nothing is left of a gateway that was killed, so this tests nothing")
		}
		began := time.Now()
		next := startContainerGateway(t, e.probe("up", "stdio"))
		next.awaitTools(t, "up")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the next gateway took %v to come up", took)
		}
		if got := e.containersOf(t, dies); len(got) > 0 {
			t.Errorf("after the next gateway's start, these are left: %v", got)
		}
		for _, g := range []*gateway{lives, next} {
			checkEcho(t, modern(t, g.url), "up")
			if got := e.containersOf(t, g); len(got) != 1 {
				t.Errorf("a gateway that lives has the containers %v, want one", got)
			}
		}
	})
}

// TestNoEngine starts a gateway where there is no engine to run containers.
func TestNoEngine(t *testing.T) {
	t.Parallel()
	any := upstream{label: "any", container: []string{`image = "localhost/probe:1"`}}
	one := upstream{label: "one", container: []string{`image = "localhost/probe:1"`, `runtime = "/usr/bin/nosuchengine"`}}
	g := startGatewayWith(t, func(s sandbox) { s.write(t, "gateway.hcl", configuration([]upstream{any, one, growing(t, "other")})) }, "PATH="+t.TempDir())
	g.awaitTools(t, "other")
	for label, want := range map[string]string{
		"any": "no container engine: neither podman nor docker is on PATH; install one of them, or say where it is with runtime",
		"one": "no container engine: /usr/bin/nosuchengine is not",
	} {
		eventually(t, func() string {
			if got := g.status(t, label).LastError; !strings.Contains(got, want) {
				return fmt.Sprintf("the error of %s is %q, want %q", label, got, want)
			}
			return ""
		})
	}
	if got := outcome(callTool(t.Context(), modern(t, g.url), "other_grow", object{"name": "a"})); !strings.Contains(got, "grow") {
		t.Errorf("another upstream's tool gives %s", got)
	}
}

// TestEngineDown takes docker's service away, before the gateway's start and
// later, and brings it back.
func TestEngineDown(t *testing.T) {
	t.Parallel()
	engines, err := startEngines()
	if err != nil {
		t.Fatal(err)
	}
	docker := engines[1]
	front := newSocketFront(t, strings.TrimPrefix(docker.env[0], "DOCKER_HOST=unix://"))
	g := startContainerGatewayWith(t, func(s sandbox) {
		s.write(t, "gateway.hcl", configuration([]upstream{docker.probe("up", "stdio"), growing(t, "other")}))
	}, "DOCKER_HOST=unix://"+front.path)
	g.awaitTools(t, "other")
	down := func() string {
		if s := g.status(t, "up"); s.State == "connected" || !strings.Contains(s.LastError, "start the engine's service") {
			return fmt.Sprintf("with docker down, the status is %+v", s)
		}
		return ""
	}
	eventually(t, down)
	front.open(t)
	g.awaitTools(t, "up")
	c := modern(t, g.url)
	checkEcho(t, c, "up")

	front.close()
	eventually(t, down)
	if got := text(t, c, "up_echo", object{"message": "hi"}); !strings.Contains(got, `upstream "up"`) {
		t.Errorf("with docker down, a call gives %q", got)
	}
	if got := outcome(callTool(t.Context(), c, "other_grow", object{"name": "a"})); !strings.Contains(got, "grow") {
		t.Errorf("with docker down, another upstream's tool gives %s", got)
	}
	front.open(t)
	awaitEcho(t, c, "up")
	eventually(t, func() string { // that of before the outage goes as well
		if got := docker.containersOf(t, g); len(got) != 1 {
			return fmt.Sprintf("the containers are %v, want one", got)
		}
		return ""
	})
}

// A socketFront passes connections on to a Unix socket while it is open.
type socketFront struct {
	path, target string

	mu    sync.Mutex
	ln    net.Listener // nil while it is closed; guarded by mu
	conns []net.Conn   // guarded by mu
}

func newSocketFront(t testing.TB, target string) *socketFront {
	dir, err := os.MkdirTemp("", "front-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &socketFront{path: filepath.Join(dir, "socket"), target: target}
	t.Cleanup(f.close)
	return f
}

func (f *socketFront) open(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ln = ln
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed
			}
			go f.pass(conn)
		}
	}()
}

// pass keeps halves of connections open, as docker needs for stdio.
func (f *socketFront) pass(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("unix", f.target)
	if err != nil {
		return
	}
	defer to.Close()
	f.mu.Lock()
	f.conns = append(f.conns, from, to)
	f.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0])
			_ = way[1].(*net.UnixConn).CloseWrite()
		})
	}
	both.Wait()
}

// close ends all connections, as the end of a service does.
func (f *socketFront) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ln != nil {
		f.ln.Close()
	}
	for _, c := range f.conns {
		c.Close()
	}
	f.ln, f.conns = nil, nil
}

// TestPinImage replaces a tag by its digest, and runs what that stands for.
func TestPinImage(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		registry := startRegistry(t, "pinned with "+e.name)
		registry.slowDown(3 * time.Second)
		ref := registry.host + "/contoso/probe"
		u := upstream{label: "up", container: []string{fmt.Sprintf("runtime = %q", e.name), fmt.Sprintf("image = %q", ref+":1"), `args = ["stdio"]`}}
		g := startContainerGateway(t, u)
		eventually(t, func() string { // while it is being pulled
			if got := g.status(t, "up").Doing; !strings.Contains(got, "pulling "+ref+":1 for ") {
				return fmt.Sprintf("the status says %q", got)
			}
			return ""
		})
		g.awaitTools(t, "up")
		checkEcho(t, modern(t, g.url), "up")
		g.await(t, `pulled an image`)

		env := append([]string{"PATH=" + os.Getenv("PATH")}, e.env...)
		out := g.run(t, env, os.Getenv(binaryEnv), "image", "pin")
		pinned, err := os.ReadFile(filepath.Join(g.work(), "gateway.hcl"))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%q", ref+"@"+registry.digest); !strings.Contains(string(pinned), want) {
			t.Fatalf("after pinning there is no %s in\n%s\nprinted: %s", want, pinned, out)
		}
		if _, stderr, code := g.try(t, env, os.Getenv(binaryEnv), "image", "pin", "--check"); code != 0 {
			t.Errorf("image pin --check exits with %d: %s", code, stderr)
		}
		g.await(t, `msg=reloaded`)
		eventually(t, func() string {
			for _, p := range g.processes() {
				if slices.Contains(p.args, ref+"@"+registry.digest) {
					return ""
				}
			}
			return fmt.Sprintf("the pinned image is not run: %v", g.processes())
		})
		awaitEcho(t, modern(t, g.url), "up")
	})
}
