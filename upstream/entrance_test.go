package upstream_test

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/upstream"
)

// entered is a container that plays an act, of an engine that runs on this
// machine and starts the gateway's program in it.
func (e *engine) entered(t *testing.T, act string) upstream.Options {
	t.Helper()
	program := e.path("enter")
	build := exec.Command("go", "build", "-o", program, "./testdata/enter")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e.write(t, "images/server", `{"User":"","Entrypoint":[`+strconv.Quote(self)+`],"Cmd":["not this"]}`)
	opts := e.boxed(act)
	opts.Env[actVar] = value(act)
	opts.Env["GORACE"] = value("atexit_sleep_ms=0")
	opts.Containers = upstream.NewContainers(0, slog.New(slog.DiscardHandler))
	opts.Containers.Program, opts.Containers.Dir = program, e.path("sockets")
	return opts
}

// playEntry is what an engine does with a container that has an entry point from
// the gateway: what is mounted is where it is here.
func playEntry(flags, rest []string) (program string, args []string) {
	mounts := map[string]string{}
	for i, flag := range flags {
		if source, target, ok := strings.Cut(flags[min(i+1, len(flags)-1)], ",target="); flag == "--mount" && ok {
			mounts[strings.TrimSuffix(target, ",readonly")] = strings.TrimPrefix(source, "type=bind,source=")
		}
	}
	program = mounts[flags[slices.Index(flags, "--entrypoint")+1]]
	args = append([]string{program}, rest...)
	args[3] = filepath.Join(mounts[filepath.Dir(args[3])], filepath.Base(args[3]))
	return program, args
}

// TestEntrance starts a container that gets nothing from its engine but the
// gateway's program.
func TestEntrance(t *testing.T) {
	e := newEngine(t)
	opts := e.entered(t, "faults")
	opts.Env["API_TOKEN"] = value("hunter2\nhunter2")
	r := run(t, opts)
	if env := r.mustTool(t, "env", "{}"); !strings.Contains(env, `API_TOKEN=hunter2\nhunter2`) || strings.Contains(env, "ENGINE=") {
		t.Errorf("the environment is %s", env)
	}
	asked := strings.Join(e.asked("run"), "\n")
	if strings.Contains(asked, "TOKEN") || !regexp.MustCompile(` --entrypoint (/\.mcpagg-[a-z0-9]{16}) --mount type=bind,source=`+e.path("enter")+`,target=(/\.mcpagg-[a-z0-9]{16}),readonly `).MatchString(asked) {
		t.Errorf("the engine was asked %s", asked)
	}
	if seen, err := os.ReadFile(e.path("environment")); err != nil || strings.Contains(string(seen), "hunter2") {
		t.Errorf("%v: the engine's program was given a secret", err)
	}
	_, err := r.tool(t.Context(), "die", "{}")
	wantError(t, err, "the container exited with status 2: panic: out of cheese")
	eventually(t, "it is back", func() bool { return r.Status().Restarts == 1 })
	r.mustTool(t, "pid", "{}")
	if places := regexp.MustCompile(`--entrypoint \S+`).FindAllString(strings.Join(e.asked("run"), "\n"), -1); len(places) != 2 || places[0] == places[1] {
		t.Errorf("the gateway's program is at %q, where an image may have something", places)
	}
	r.stop()
	if left, err := filepath.Glob(e.path("sockets/*/*")); err != nil || len(left) > 0 || len(e.containers(t)) > 0 {
		t.Errorf("%v: left are %q and the containers %q", err, left, e.containers(t))
	}
}

// TestEntranceOverHTTP has the engine log what the server prints.
func TestEntranceOverHTTP(t *testing.T) {
	e := newEngine(t)
	opts := e.entered(t, "http")
	opts.Env["ENGINE"] = value(e.dir)
	opts.Container.Port, opts.Container.Path, opts.Container.Network = 8000, "/own", "bridge"
	r := run(t, opts)
	if got := r.mustTool(t, "double", `{"n":21}`); !strings.Contains(got, `"42"`) {
		t.Errorf("the answer is %s", got)
	}
	eventually(t, "its output is logged", func() bool { return r.log.count("msg=stdout upstream=x line=listening") == 1 })
}

// TestEntranceIsShut has an engine in whose containers the gateway's program
// cannot run: it is done without.
func TestEntranceIsShut(t *testing.T) {
	for name, refuse := range map[string]func(e *engine){
		"by the engine": func(e *engine) {
			e.write(t, "status", "created")
			e.write(t, "refuse-entry", "docker: Error response from daemon: exec: \"INSIDE\": permission denied\n")
		},
		"in the container": func(e *engine) {
			e.write(t, "refuse-entry", "connecting to the gateway: dial unix INSIDE.d/entry.sock: connect: permission denied\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			opts := e.entered(t, "faults")
			refuse(e)
			r := start(t, opts)
			eventually(t, "it is connected all the same", func() bool { return r.Status().State == upstream.Connected })
			asked := e.asked("run")
			if len(asked) != 2 || strings.Contains(asked[1], "--entrypoint") {
				t.Errorf("the engine was asked %q", asked)
			}
		})
	}
}

// TestEntranceStaysOpen has containers end before the gateway's program in them
// has connected: whatever the image did to that, the engine gets no secrets.
func TestEntranceStaysOpen(t *testing.T) {
	e := newEngine(t)
	e.write(t, "refuse-entry", "fatal error: malformed GOMEMLIMIT; see `go doc runtime/debug.SetMemoryLimit`\n")
	r := start(t, e.entered(t, "faults"))
	eventually(t, "it was tried twice", func() bool { return len(e.asked("run")) > 1 })
	r.stop()
	for _, asked := range e.asked("run") {
		if !strings.Contains(asked, "--entrypoint") {
			t.Errorf("the engine was asked %q", asked)
		}
	}
	if r.log.count("from the engine") > 0 {
		t.Error("the log says that the engine hands over the environment")
	}
}

// TestEntranceIsShutForOneImage has one image refuse the gateway's program, which
// changes nothing for the other.
func TestEntranceIsShutForOneImage(t *testing.T) {
	e := newEngine(t)
	opts := e.entered(t, "faults")
	e.write(t, "refuse-entry", "connecting to the gateway: dial unix INSIDE.d/entry.sock: connect: permission denied\n")
	first := besides(t, opts)
	if err := os.Remove(e.path("refuse-entry")); err != nil {
		t.Fatal(err)
	}
	other := *opts.Container
	other.Image = "server:2"
	text, err := os.ReadFile(e.path("images/server"))
	if err != nil {
		t.Fatal(err)
	}
	e.write(t, "images/server:2", string(text))
	opts.Container = &other
	second := besides(t, opts)
	asked := e.asked("run")
	if last := asked[len(asked)-1]; !strings.Contains(last, "--entrypoint") || !strings.Contains(last, " server:2 ") {
		t.Errorf("the engine was asked %q", asked)
	}
	first.stop()
	second.stop()
}

// TestEntranceWaitsForItsTurn has another process hold the lock of the folders.
func TestEntranceWaitsForItsTurn(t *testing.T) {
	e := newEngine(t)
	opts := e.entered(t, "faults")
	if err := os.Mkdir(e.path("sockets"), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(e.path("sockets/lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	r := start(t, opts)
	eventually(t, "it is about to start", func() bool { return len(e.asked("ps")) == 1 })
	r.stop() // which fails if it takes long
	opts.ConnectTimeout = 100 * time.Millisecond
	r = run(t, opts)
	_, err = r.tool(t.Context(), "pid", "{}")
	wantError(t, err, "making a folder for a socket: ")
	if asked := e.asked("run"); len(asked) > 0 {
		t.Errorf("the engine was asked %q", asked)
	}
}

// TestImageWithAnotherRoot has a user of its own whose number is 0, if the tests
// run as root.
func TestImageWithAnotherRoot(t *testing.T) {
	e := newEngine(t)
	opts := e.entered(t, "faults")
	text, err := os.ReadFile(e.path("images/server"))
	if err != nil {
		t.Fatal(err)
	}
	e.write(t, "images/server", strings.Replace(string(text), `"User":""`, `"User":"toor"`, 1))
	r := run(t, opts)
	_, err = r.tool(t.Context(), "pid", "{}")
	if os.Getuid() == 0 {
		wantError(t, err, "the image's user is root, by another name; set container.user")
	} else if err != nil {
		t.Error(err)
	}
}

// TestImageWithoutProgram has neither an entry point nor a command.
func TestImageWithoutProgram(t *testing.T) {
	e := newEngine(t)
	opts := e.entered(t, "faults")
	e.write(t, "images/server", `{"User":""}`)
	opts.Container.Args = nil
	r := run(t, opts)
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "the image server does not say which program to run; name it in container.args")
}
