package upstream_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/egress"
)

// playRelay is the gateway's own program in the relay's container. It listens
// elsewhere, since all containers of the stand-in have one network.
func playRelay() {
	args := strings.Fields(os.Getenv("CONTAINER_ARGS"))
	if os.Getenv("RELAY_FAILS") != "" {
		fmt.Fprintln(os.Stderr, "mcpagg: listen tcp 127.0.0.1:3128: address already in use")
		os.Exit(1)
	}
	r := egress.Relay{Out: "127.0.0.1:0"}
	flags := flag.NewFlagSet("relay", flag.PanicOnError)
	flags.String("out", "", "")
	flags.StringVar(&r.OutSocket, "out-socket", "", "")
	flags.StringVar(&r.In, "in", "", "")
	flags.StringVar(&r.InSocket, "in-socket", "", "")
	_ = flags.Parse(args)
	r.OutSocket = filepath.Join(os.Getenv("SOCKETS"), filepath.Base(r.OutSocket))
	if r.InSocket != "" {
		r.InSocket = filepath.Join(os.Getenv("SOCKETS"), filepath.Base(r.InSocket))
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := r.Run(ctx, func() { fmt.Println("ready") }); err != nil {
		panic(err)
	}
}

// staticProgram is one that needs no libraries, in place of the gateway's own.
var staticProgram = sync.OnceValues(func() (string, error) {
	source := filepath.Join(coverDir, "static.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(coverDir, "static"), source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return filepath.Join(coverDir, "static"), err
})

// outlets is what containers with an outlet have in common.
func outlets(t *testing.T) *upstream.Containers {
	t.Helper()
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1") // so that there is no entrance, which is tested elsewhere
	cs := upstream.NewContainers(0, slog.New(slog.DiscardHandler))
	var err error
	if cs.Program, err = staticProgram(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "egress") // shorter than t.TempDir: sockets go in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cs.Dir = filepath.Join(dir, "run")
	return cs
}

// withOutlet is a container that plays an act and may connect to a few places.
func (e *engine) withOutlet(t *testing.T, act string, allow ...string) upstream.Options {
	t.Helper()
	opts := e.boxed(act)
	opts.Containers = outlets(t)
	opts.Container.Network = upstream.Egress
	for _, text := range allow {
		rule, err := egress.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		opts.Container.Allow = append(opts.Container.Allow, rule)
	}
	return opts
}

// socketFolders are those of all outlets.
func socketFolders(t *testing.T, cs *upstream.Containers) []string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(cs.Dir, "*", "s"))
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// askProxy asks a container's proxy for a connection.
func askProxy(t *testing.T, cs *upstream.Containers, target string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(socketFolders(t, cs)[0], "out.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\n\r\n", target)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.StatusCode, ""
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestOutlet(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := newEngine(t)
	opts := e.withOutlet(t, "faults", l.Addr().String())
	opts.Name = "jira"
	opts.Env["https_proxy"] = value("http://my.own:1")
	r := run(t, opts)

	asked := strings.Join(e.asked("run"), "\n")
	asked = regexp.MustCompile(`jira-[a-z0-9]{10}`).ReplaceAllString(asked, "jira-NAME")
	asked = regexp.MustCompile(`gateway=\S+`).ReplaceAllString(asked, "gateway=OWNER")
	asked = regexp.MustCompile(`/\.mcpagg-[a-z0-9]{16}\b`).ReplaceAllString(asked, "INSIDE")
	asked = strings.NewReplacer(socketFolders(t, opts.Containers)[0], "SOCKETS", opts.Containers.Program, "PROGRAM").Replace(asked)
	const labels = " --pull never --no-healthcheck --label io.mcpagg.gateway=OWNER --label io.mcpagg.upstream=jira --interactive"
	const hardened = " --read-only --cap-drop all --security-opt no-new-privileges"
	want := "run --name mcpagg-jira-NAME-egress" + labels + " --network none" + hardened +
		" --memory 67108864 --memory-swap 67108864 --pids-limit 32 --cpus 1 --user 65534:65534 --env HOME=/tmp" +
		" --tmpfs /tmp:rw,nosuid,nodev,mode=1777,size=64m,uid=65534 --mount type=bind,source=PROGRAM,target=INSIDE,readonly" +
		" --mount type=bind,source=SOCKETS,target=INSIDE.d --log-driver none --ulimit core=0" +
		" --entrypoint INSIDE --security-opt label=disable server relay --out 127.0.0.1:3128 --out-socket INSIDE.d/out.sock\n" +
		"run --name mcpagg-jira-NAME" + labels + " --network container:mcpagg-jira-NAME-egress" + hardened +
		" --memory 536870912 --memory-swap 536870912 --pids-limit 256 --cpus 1 --user 65534:65534 --env HOME=/tmp" +
		" --tmpfs /tmp:rw,nosuid,nodev,mode=1777,size=64m,uid=65534 --log-driver none --ulimit core=0" +
		" --env NODE_USE_ENV_PROXY --env-file /dev/fd/3 server faults"
	if asked != want {
		t.Errorf("the engine was asked\n%s\nwant\n%s", asked, want)
	}
	env := r.mustTool(t, "env", "{}")
	for _, variable := range []string{
		"HTTPS_PROXY=http://127.0.0.1:3128", "HTTP_PROXY=http://127.0.0.1:3128", "http_proxy=http://127.0.0.1:3128",
		"NO_PROXY=localhost,127.0.0.1,::1", "no_proxy=localhost,127.0.0.1,::1", "NODE_USE_ENV_PROXY=1", "https_proxy=http://my.own:1",
	} {
		if !strings.Contains(env, variable) {
			t.Errorf("the environment lacks %s: %s", variable, env)
		}
	}

	if status, _ := askProxy(t, opts.Containers, l.Addr().String()); status != http.StatusOK {
		t.Errorf("what is listed is answered with %d", status)
	}
	status, body := askProxy(t, opts.Containers, "169.254.169.254:80")
	if status != http.StatusForbidden || !strings.Contains(body, `mcpagg: upstream "jira": 169.254.169.254:80 is not listed`) {
		t.Errorf("what is not listed is answered with %d %q", status, body)
	}
	eventually(t, "it is logged", func() bool {
		return r.log.count("egress refused") == 1 && strings.Contains(r.log.String(), "upstream=jira to=169.254.169.254:80")
	})
	if used, _ := opts.Containers.Usage(); used != 512<<20 {
		t.Errorf("%d bytes of memory are counted", used)
	}
	r.stop()
	if removed := e.asked("rm"); len(removed) != 2 || strings.Contains(removed[0], "-egress") || !strings.HasSuffix(removed[1], "-egress") {
		t.Errorf("removed were %q", removed)
	}
	nothingIsLeft(t, e, opts.Containers)
}

// nothingIsLeft checks that all of an outlet is gone.
func nothingIsLeft(t *testing.T, e *engine, cs *upstream.Containers) {
	t.Helper()
	if left := e.containers(t); len(left) > 0 {
		t.Errorf("containers are left: %q", left)
	}
	if left := socketFolders(t, cs); len(left) > 0 {
		t.Errorf("folders are left: %q", left)
	}
	if used, _ := cs.Usage(); used != 0 {
		t.Errorf("%d bytes of memory are still counted", used)
	}
}

// TestOutletBreaks has the relay die under a container.
func TestOutletBreaks(t *testing.T) {
	e := newEngine(t)
	opts := e.withOutlet(t, "faults", "127.0.0.1:1")
	r := run(t, opts)
	first := e.containers(t)
	killContainer(e.dir, first[1])
	eventually(t, "it is back", func() bool { return r.Status().Restarts == 1 })
	r.mustTool(t, "pid", "{}")
	if said := r.Status().LastError; !strings.Contains(said, "the container was ended, since the one that holds its network has: ") {
		t.Errorf("the last error is %q", said)
	}
	if now := e.containers(t); len(first) != 2 || len(now) != 2 || now[0] == first[0] || now[1] != now[0]+"-egress" {
		t.Errorf("containers %q, before %q", now, first)
	}
	if removed := e.asked("rm"); len(removed) != 2 || !strings.HasSuffix(removed[0], first[0]) || !strings.HasSuffix(removed[1], first[1]) {
		t.Errorf("removed were %q, want %q in this order, since podman refuses the other", removed, first)
	}
	if folders := socketFolders(t, opts.Containers); len(folders) != 1 {
		t.Errorf("folders %q", folders)
	}
	r.stop()
	nothingIsLeft(t, e, opts.Containers)
}

// TestOutletWithPort speaks to a server that is reached through the relay only.
func TestOutletWithPort(t *testing.T) {
	e := newEngine(t)
	opts := e.withOutlet(t, "http", "127.0.0.1:1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opts.Container.Port, opts.Container.Path = l.Addr().(*net.TCPAddr).Port, "/own"
	opts.Env["LISTEN"] = value(l.Addr().String())
	_ = l.Close()
	r := run(t, opts)
	if got := r.mustTool(t, "double", `{"n":21}`); !strings.Contains(got, `"42"`) {
		t.Errorf("the answer is %s", got)
	}
	if asked := strings.Join(e.asked("run"), "\n"); strings.Contains(asked, "--publish") {
		t.Errorf("the engine was asked %s", asked)
	}
	if asked := e.asked("port"); len(asked) > 0 {
		t.Errorf("the engine was asked %s", asked)
	}
	r.stop()
	nothingIsLeft(t, e, opts.Containers)
}

func TestOutletCannotBeMade(t *testing.T) {
	for name, test := range map[string]struct {
		want  string
		spoil func(t *testing.T, e *engine, opts *upstream.Options)
	}{
		"the relay ends": {"the container exited with status 1: mcpagg: listen tcp 127.0.0.1:3128: address already in use", func(t *testing.T, e *engine, _ *upstream.Options) {
			e.write(t, "relay-fails", "")
		}},
		"the engine fails": {"the container exited with status 125: Error response from daemon: no space left on device", func(t *testing.T, e *engine, _ *upstream.Options) {
			e.write(t, "fail-run", "Error response from daemon: no space left on device\n")
		}},
		"it needs libraries": {"build it with CGO_ENABLED=0 for Linux, as make build does", func(t *testing.T, e *engine, opts *upstream.Options) {
			opts.Containers.Program = e.path("bin/docker")
		}},
		"others may enter the folder": {"must be a directory of the gateway's user that nobody else may enter", func(t *testing.T, _ *engine, opts *upstream.Options) {
			if err := os.Mkdir(opts.Containers.Dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}},
		"the path is too long": {"that of a socket may have 107 at most", func(_ *testing.T, _ *engine, opts *upstream.Options) {
			opts.Containers.Dir += "/" + strings.Repeat("x", 100)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			opts := e.withOutlet(t, "faults", "127.0.0.1:1")
			test.spoil(t, e, &opts)
			r := run(t, opts)
			_, err := r.tool(t.Context(), "pid", "{}")
			wantError(t, err, test.want)
			r.stop()
			nothingIsLeft(t, e, opts.Containers)
		})
	}
}

// TestSocketsLeftBehind has one folder of a process that is gone, and one of a
// process that lives.
func TestSocketsLeftBehind(t *testing.T) {
	e := newEngine(t)
	opts := e.withOutlet(t, "faults", "127.0.0.1:1")
	left := filepath.Join(opts.Containers.Dir, "0123456789", "s")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, opts)
	lives := socketFolders(t, opts.Containers)
	if len(lives) != 1 || lives[0] == left {
		t.Fatalf("folders %q", lives)
	}
	other := e.withOutlet(t, "faults", "127.0.0.1:1")
	other.Containers.Dir = opts.Containers.Dir
	r := run(t, other)
	r.beside = true
	if now := socketFolders(t, opts.Containers); len(now) != 2 {
		t.Errorf("folders %q, of which %q is in use", now, lives)
	}
	r.stop()
	if now := socketFolders(t, opts.Containers); len(now) != 1 || now[0] != lives[0] {
		t.Errorf("folders %q, of which %q is in use", now, lives)
	}
}
