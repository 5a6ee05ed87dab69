package upstream_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/upstream"
)

// An engine is a stand-in for docker, whose containers are acts of the test
// binary. What the real ones do is seen in the end-to-end tests.
type engine struct {
	dir string // bin/docker, and a file for each image, container and request
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"bin", "images", "containers"} {
		if err := os.Mkdir(filepath.Join(e.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script := fmt.Sprintf("#!/bin/sh\n%s=engine ENGINE=%s GORACE=atexit_sleep_ms=0 GOCOVERDIR=%s exec %s \"$@\"\n", actVar, e.dir, coverDir, self)
	e.write(t, "bin/docker", script)
	if err := os.Chmod(e.path("bin/docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	e.write(t, "images/server", `{"User":""}`)
	return e
}

func (e *engine) path(name string) string { return filepath.Join(e.dir, name) }

func (e *engine) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(e.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// asked are the command lines so far that begin with a word.
func (e *engine) asked(word string) []string {
	text, _ := os.ReadFile(e.path("asked"))
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line == word+"\n" || strings.HasPrefix(line, word+" ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// containers are the names of those that are there.
func (e *engine) containers(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(e.path("containers"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// boxed is a container that plays an act.
func (e *engine) boxed(act string) upstream.Options {
	return upstream.Options{
		Container: &upstream.Container{Runtime: e.path("bin/docker"), Image: "server", Args: []string{act}},
		Env:       map[string]upstream.Secret{},
	}
}

// playEngine is the engine's program.
func playEngine() {
	dir, args := os.Getenv("ENGINE"), os.Args[1:]
	log, _ := os.OpenFile(filepath.Join(dir, "asked"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	fmt.Fprintln(log, strings.Join(args, " "))
	_ = log.Close()
	if text, err := os.ReadFile(filepath.Join(dir, "fail-"+args[0])); err == nil {
		fmt.Fprint(os.Stderr, string(text))
		os.Exit(125)
	}
	last := args[len(args)-1]
	switch args[0] {
	case "--version":
		fmt.Println("Docker version 28.2.2, build 0123456")
	case "image":
		facts, err := os.ReadFile(filepath.Join(dir, "images", strings.ReplaceAll(last, "/", "_")))
		if err != nil {
			fmt.Fprintf(os.Stderr, "Error response from daemon: No such image: %s\n", last)
			os.Exit(1)
		}
		fmt.Println(string(facts))
	case "pull":
		fmt.Println("latest: Pulling from " + last)
		for i := 0; ; i++ {
			if _, err := os.Stat(filepath.Join(dir, "let-pull")); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		_ = os.WriteFile(filepath.Join(dir, "images", last), []byte(`{"User":"node"}`), 0o600)
	case "run":
		runContainer(dir, args)
	case "ps":
		entries, _ := os.ReadDir(filepath.Join(dir, "containers"))
		for _, entry := range entries {
			fmt.Println(entry.Name())
		}
	case "inspect":
		inspectContainers(dir, args)
	case "port":
		addr, err := os.ReadFile(filepath.Join(dir, "containers", args[1]+".port"))
		if err != nil {
			os.Exit(1)
		}
		fmt.Println(string(addr))
	case "kill", "rm":
		for _, name := range args[3:] {
			killContainer(dir, name)
			if args[0] == "rm" {
				_ = os.Remove(filepath.Join(dir, "containers", name))
				_ = os.Remove(filepath.Join(dir, "containers", name+".port"))
			}
		}
	}
}

// A box is what the stand-in keeps of a container.
type box struct {
	PID   int
	Owner string // the label's value
}

func runContainer(dir string, args []string) {
	var b box
	var name string
	env := []string{"ENGINE=" + dir, "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	image := slices.IndexFunc(args, func(arg string) bool { return arg == "server" || arg == "server:2" })
	flags, rest := args[1:image], args[image+1:]
	for i, flag := range flags {
		switch flag {
		case "--name":
			name = flags[i+1]
		case "--label":
			if owner, ok := strings.CutPrefix(flags[i+1], "io.mcpagg.gateway="); ok {
				b.Owner = owner
			}
		case "--env":
			if key, _, given := strings.Cut(flags[i+1], "="); key == actVar {
				continue // the first argument says which act it is
			} else if given {
				env = append(env, flags[i+1])
			} else {
				env = append(env, key+"="+os.Getenv(key))
			}
		case "--mount":
			if sockets, ok := strings.CutSuffix(flags[i+1], ".d"); ok && !strings.HasSuffix(sockets, ",readonly") {
				sockets, _, _ = strings.Cut(sockets, ",target=")
				env = append(env, "SOCKETS="+strings.TrimPrefix(sockets, "type=bind,source="))
			}
		case "--env-file":
			file, err := os.ReadFile(flags[i+1])
			if err != nil {
				panic(err)
			}
			env = append(env, strings.Split(strings.TrimSpace(string(file)), "\n")...)
		}
	}
	b.PID = os.Getpid()
	text, _ := json.Marshal(b)
	if err := os.WriteFile(filepath.Join(dir, "containers", name), text, 0o600); err != nil {
		panic(err)
	}
	if i := slices.Index(flags, "--entrypoint"); i >= 0 && rest[0] == "enter" {
		if text, err := os.ReadFile(filepath.Join(dir, "refuse-entry")); err == nil {
			fmt.Fprint(os.Stderr, strings.ReplaceAll(string(text), "INSIDE", flags[i+1]))
			os.Exit(126)
		}
		_ = os.WriteFile(filepath.Join(dir, "environment"), []byte(strings.Join(os.Environ(), "\n")), 0o600)
		program, args := playEntry(flags, rest)
		panic(syscall.Exec(program, args, []string{"CONTAINER_NAME=" + name, "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}))
	}
	if code, err := strconv.Atoi(rest[0]); err == nil {
		fmt.Fprintln(os.Stderr, strings.Join(rest[1:], " "))
		os.Exit(code)
	}
	if _, err := os.Stat(filepath.Join(dir, "relay-fails")); err == nil {
		env = append(env, "RELAY_FAILS=1")
	}
	self, _ := os.Executable()
	env = append(env, actVar+"="+rest[0], "CONTAINER_NAME="+name, "CONTAINER_ARGS="+strings.Join(rest[1:], " "))
	panic(syscall.Exec(self, []string{self}, env))
}

func inspectContainers(dir string, args []string) {
	if strings.Contains(args[4], "OOMKilled") {
		_, err := os.Stat(filepath.Join(dir, "oom"))
		status, _ := os.ReadFile(filepath.Join(dir, "status"))
		fmt.Printf(`{"Status":%q,"OOMKilled":%v}`, cmp.Or(string(status), "exited"), err == nil)
		return
	}
	for _, name := range args[5:] {
		var b box
		text, _ := os.ReadFile(filepath.Join(dir, "containers", name))
		_ = json.Unmarshal(text, &b)
		owner, _ := json.Marshal(b.Owner)
		fmt.Println(name, string(owner))
	}
}

func killContainer(dir, name string) {
	var b box
	text, err := os.ReadFile(filepath.Join(dir, "containers", name))
	if err != nil {
		fmt.Fprintf(os.Stderr, "Error response from daemon: No such container: %s\n", name)
		os.Exit(1)
	}
	if json.Unmarshal(text, &b) == nil && b.PID > 1 {
		_ = syscall.Kill(b.PID, syscall.SIGKILL)
	}
}

// serveInContainer is a server over HTTP, whose port the engine knows after a
// while.
func serveInContainer() {
	ln, err := net.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:0"))
	if err != nil {
		panic(err)
	}
	time.Sleep(20 * time.Millisecond)
	path := filepath.Join(os.Getenv("ENGINE"), "containers", os.Getenv("CONTAINER_NAME")+".port")
	if err := os.WriteFile(path, []byte(ln.Addr().String()+"\n[::1]:1"), 0o600); err != nil {
		panic(err)
	}
	fmt.Println("listening")
	server := sdkServer(&mcp.ServerOptions{})
	http.Handle("/own", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	panic(http.Serve(ln, nil))
}

func TestContainerIsHardened(t *testing.T) {
	e := newEngine(t)
	opts := e.boxed("faults")
	opts.Name = "files"
	opts.Env["API_TOKEN"] = value("hunter2-hunter2")
	opts.Env["PATH"] = value("/hunter2/bin")
	opts.Container.Mounts = []upstream.Mount{{Source: "/srv/docs", Target: "/docs"}, {Source: "notes", Target: "/notes", Writable: true}}
	r := run(t, opts)
	asked := e.asked("run")
	if len(asked) != 1 {
		t.Fatalf("the engine was asked %q", asked)
	}
	line := regexp.MustCompile(`files-[a-z0-9]{10} `).ReplaceAllString(asked[0], "files-NAME ")
	line = regexp.MustCompile(`gateway=\S+`).ReplaceAllString(line, "gateway=OWNER")
	want := "run --name mcpagg-files-NAME --pull never --no-healthcheck --label io.mcpagg.gateway=OWNER --label io.mcpagg.upstream=files" +
		" --interactive --network none --read-only --cap-drop all --security-opt no-new-privileges" +
		" --memory 536870912 --memory-swap 536870912 --pids-limit 256 --cpus 1" +
		" --user 65534:65534 --env HOME=/tmp --tmpfs /tmp:rw,nosuid,nodev,mode=1777,size=64m,uid=65534" +
		" --mount type=bind,source=/srv/docs,target=/docs,readonly --mount type=volume,source=notes,target=/notes" +
		" --log-driver none --ulimit core=0 --env API_TOKEN --env-file /dev/fd/3 server faults"
	if line != want {
		t.Errorf("the engine was asked\n%s\nwant\n%s", line, want)
	}
	env := r.mustTool(t, "env", "{}")
	for _, variable := range []string{"API_TOKEN=hunter2-hunter2", "PATH=/hunter2/bin", "HOME=/tmp"} {
		if !strings.Contains(env, variable) {
			t.Errorf("the environment lacks %s: %s", variable, env)
		}
	}
	r.stop()
	if left := e.containers(t); len(left) > 0 {
		t.Errorf("containers are left: %q", left)
	}
	if strings.Contains(r.log.String(), "hunter2") {
		t.Error("a secret is in the log")
	}
}

func TestContainerRunsAsTheImagesUserUnlessThatIsRoot(t *testing.T) {
	for image, want := range map[string]string{
		"": "65534:65534", "root": "65534:65534", "0": "65534:65534", "0:0": "65534:65534", "000:1": "65534:65534", "+0": "65534:65534", "-0:1": "65534:65534", "root:node": "65534:65534",
		"node": "", "1000:0": "", "10": "",
	} {
		e := newEngine(t)
		e.write(t, "images/server", fmt.Sprintf(`{"User":%q}`, image))
		run(t, e.boxed("faults")).stop()
		asked := strings.Join(e.asked("run"), "\n")
		if got := strings.Contains(asked, "--user "); got != (want != "") || got && !strings.Contains(asked, "--user "+want+" ") {
			t.Errorf("the image's user %q: %s", image, asked)
		}
	}
}

// TestVolumesOfImages are not on this machine's disk.
func TestVolumesOfImages(t *testing.T) {
	e := newEngine(t)
	e.write(t, "images/server", `{"User":"","Volumes":{"/data/":{},"/tmp":{},"/notes":{},"/var/lib/x":{}}}`)
	opts := e.boxed("faults")
	opts.Container.Mounts = []upstream.Mount{{Source: "notes", Target: "/notes", Writable: true}}
	run(t, opts).stop()
	asked := strings.Join(e.asked("run"), "\n")
	var got []string
	for _, found := range regexp.MustCompile(`--tmpfs (/[^:]*):rw,nosuid,nodev,mode=1777,size=64m,uid=65534 `).FindAllStringSubmatch(asked, -1) {
		got = append(got, found[1])
	}
	if want := []string{"/tmp", "/data", "/var/lib/x"}; !slices.Equal(got, want) {
		t.Errorf("in memory are %q, want %q: %s", got, want, asked)
	}

	e.write(t, "images/server", `{"User":"1000:1000","Volumes":{"/data":{}}}`)
	run(t, e.boxed("faults")).stop()
	if asked := strings.Join(e.asked("run"), "\n"); !strings.Contains(asked, "--tmpfs /data:rw,nosuid,nodev,mode=1777,size=64m,uid=1000 ") {
		t.Errorf("the image's own user does not have its volume: %s", asked)
	}

	e.write(t, "images/server", `{"User":"","Volumes":{"/data:exec":{}}}`)
	r := run(t, e.boxed("faults"))
	_, err := r.tool(t.Context(), "pid", "{}")
	wantError(t, err, `declares a volume at "/data:exec", which cannot be given to the engine`)
}

// TestContainerIsRestarted kills one under a call.
func TestContainerIsRestarted(t *testing.T) {
	e := newEngine(t)
	r := run(t, e.boxed("faults"))
	first := e.containers(t)
	_, err := r.tool(t.Context(), "die", "{}")
	wantError(t, err, "the container exited with status 2: panic: out of cheese")
	eventually(t, "it is back", func() bool { return r.Status().Restarts == 1 })
	r.mustTool(t, "pid", "{}")
	if now := e.containers(t); len(first) != 1 || len(now) != 1 || now[0] == first[0] {
		t.Errorf("containers %q, before %q", now, first)
	}
}

func TestWhyContainersEnd(t *testing.T) {
	for _, test := range []struct {
		name, want string
		args       []string
		files      map[string]string // of the stand-in
	}{
		{"the engine's error", "docker could not start the container: Error response from daemon: network db-only not found; create the network", []string{"125", "docker: Error response from daemon: network db-only not found.\nSee 'docker run --help'."}, map[string]string{"status": "created"}},
		{"no program", "docker could not start the container: exec: \"serve\": executable file not found in $PATH; see that the image has this program", []string{"127", `docker: exec: "serve": executable file not found in $PATH`}, map[string]string{"status": "created"}},
		{"a program of its own is missing", "the container exited with status 127: sh: jq: not found", []string{"127", "sh: jq: not found"}, nil},
		{
			"the engine goes", "docker lost the container: error waiting for container: unexpected EOF",
			[]string{"125", "docker: error waiting for container: unexpected EOF"},
			map[string]string{"fail-inspect": "Cannot connect to the Docker daemon"},
		},
		{"out of memory", "needed more than its 512 MiB of memory and was killed; raise container.memory", []string{"137", "x"}, map[string]string{"oom": ""}},
		{"killed", "the container was killed from outside, or by its own hand", []string{"137", "x"}, nil},
		{"its own error", "the container exited with status 3: no token given", []string{"3", "no token given"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEngine(t)
			for name, text := range test.files {
				e.write(t, name, text)
			}
			opts := e.boxed("")
			opts.Container.Args = test.args
			r := run(t, opts)
			_, err := r.tool(t.Context(), "a", "{}")
			wantError(t, err, test.want)
			r.stop()
			if left := e.containers(t); len(left) > 0 {
				t.Errorf("containers are left: %q", left)
			}
		})
	}
}

// TestContainerThatCannotStart is not tried twice, for the other era.
func TestContainerThatCannotStart(t *testing.T) {
	e := newEngine(t)
	e.write(t, "status", "created")
	opts := e.boxed("")
	opts.Container.Args = []string{"125", "no"}
	run(t, opts)
	if asked := e.asked("run"); len(asked) != 1 {
		t.Errorf("%d containers were started", len(asked))
	}
}

func TestStubbornContainer(t *testing.T) {
	e := newEngine(t)
	opts := e.boxed("stubborn")
	opts.Protocol = upstream.Legacy
	opts.Env["CHILD"], opts.Env["PATH"] = value(e.path("child")), value(os.Getenv("PATH"))
	r := run(t, opts)
	pid, _ := strconv.Atoi(r.mustTool(t, "pid", "{}"))
	r.stop()
	if alive(pid) || len(e.containers(t)) > 0 || len(e.asked("kill")) != 1 {
		t.Errorf("alive %v, containers %q, kills %q", alive(pid), e.containers(t), e.asked("kill"))
	}
}

func TestContainerOverHTTP(t *testing.T) {
	e := newEngine(t)
	opts := e.boxed("http")
	opts.Container.Port, opts.Container.Path, opts.Container.Network = 8000, "/own", "bridge"
	r := run(t, opts)
	if got := r.mustTool(t, "double", `{"n":21}`); !strings.Contains(got, `"42"`) {
		t.Errorf("the answer is %s", got)
	}
	asked := strings.Join(e.asked("run"), "\n")
	if !strings.Contains(asked, " --publish 127.0.0.1::8000 --network bridge ") || strings.Contains(asked, "--interactive") {
		t.Errorf("the engine was asked %s", asked)
	}
	eventually(t, "its output is logged", func() bool { return r.log.count("msg=stdout upstream=x line=listening") == 1 })

	name := e.containers(t)[0]
	killContainer(e.dir, name)
	eventually(t, "its end is noticed", func() bool { return r.Status().Restarts == 1 })
	if got := r.mustTool(t, "double", `{"n":4}`); !strings.Contains(got, `"8"`) {
		t.Errorf("the answer is %s", got)
	}
	if r.log.count("was ended: signal: killed") == 0 {
		t.Error("nothing says how the container ended")
	}
	r.stop()
	if left := e.containers(t); len(left) > 0 {
		t.Errorf("containers are left: %q", left)
	}
}

// TestPortIsPublishedElsewhere has an engine that did not do what it was asked to.
func TestPortIsPublishedElsewhere(t *testing.T) {
	e := newEngine(t)
	opts := e.boxed("http")
	opts.Env["LISTEN"] = value("0.0.0.0:0")
	opts.Container.Port, opts.Container.Path, opts.Container.Network = 8000, "/own", "bridge"
	r := run(t, opts)
	_, err := r.tool(t.Context(), "double", `{"n":21}`)
	wantError(t, err, "docker has published the port 8000 of the container at [::]:")
}

// TestContainerServesNothing has a port at which nobody speaks MCP.
func TestContainerServesNothing(t *testing.T) {
	e := newEngine(t)
	opts := e.boxed("mute")
	opts.Container.Port, opts.Container.Network = 8000, "bridge"
	opts.ConnectTimeout = 300 * time.Millisecond
	r := run(t, opts)
	_, err := r.tool(t.Context(), "double", "{}")
	wantError(t, err, "the port 8000 of the container is not published on this machine")
}

func TestImageIsPulled(t *testing.T) {
	e := newEngine(t)
	if err := os.Remove(e.path("images/server")); err != nil {
		t.Fatal(err)
	}
	r := start(t, e.boxed("faults"))
	eventually(t, "the status says that it is pulled", func() bool {
		return strings.Contains(r.Status().Doing, "latest: Pulling from server")
	})
	e.write(t, "let-pull", "")
	r.mustTool(t, "pid", "{}")
	if doing := r.Status().Doing; doing != "" {
		t.Errorf("the status still says %q", doing)
	}
	if asked := e.asked("run"); len(asked) != 1 || strings.Contains(asked[0], "--user") {
		t.Errorf("asked %q, want the image's own user", asked)
	}
	if r.log.count("pulled an image") != 1 {
		t.Error("the log does not say that it was pulled")
	}
}

// TestPullIsGivenUp stops an upstream that waits for an image.
func TestPullIsGivenUp(t *testing.T) {
	e := newEngine(t)
	opts := e.boxed("faults")
	opts.Container.Pull = upstream.PullAlways
	r := start(t, opts)
	eventually(t, "it is pulled", func() bool { return len(e.asked("pull")) == 1 })
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

func TestImageCannotBeHad(t *testing.T) {
	for _, test := range []struct {
		name, pull, engineSays, want string
	}{
		{"not allowed", "never", "", `the image gone:1 is not there, and pull = "never" forbids to pull it; build or pull it`},
		{
			"built here", "missing", "",
			"the image localhost/gone:1 is not there; what begins with localhost/ was built on this machine and is in no registry, so build it beforehand",
		},
		{
			"no registry", "missing", "Error response from daemon: Get \"http://localhost:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused\n",
			"pulling the image gone:1: docker: Error response from daemon: Get \"http://localhost:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused; see that the registry can be reached",
		},
		{
			"no such digest", "missing", "Error response from daemon: manifest for gone:1 not found: manifest unknown: manifest unknown\n",
			"the registry does not have this tag or digest",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEngine(t)
			if test.engineSays != "" {
				e.write(t, "fail-pull", test.engineSays)
			}
			opts := e.boxed("faults")
			opts.Container.Image, opts.Container.Pull = "gone:1", upstream.Pull(test.pull)
			if test.name == "built here" {
				opts.Container.Image = "localhost/gone:1"
			}
			r := run(t, opts)
			_, err := r.tool(t.Context(), "a", "{}")
			wantError(t, err, test.want)
		})
	}
}

func TestEngineCannotBeUsed(t *testing.T) {
	e := newEngine(t)
	const words = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
	e.write(t, "fail-image", words+"\n")
	r := run(t, e.boxed("faults"))
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "looking for the image server: docker: "+words+"; start the engine's service")
	if err := os.Remove(e.path("fail-image")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it comes back by itself", func() bool { return r.Status().State == upstream.Connected })
}

func TestNoEngine(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	r := run(t, upstream.Options{Container: &upstream.Container{Image: "server"}})
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "no container engine: neither podman nor docker is on PATH; install one of them")
	r = run(t, upstream.Options{Container: &upstream.Container{Image: "server", Runtime: "docker"}})
	_, err = r.tool(t.Context(), "a", "{}")
	wantError(t, err, "no container engine: docker is not a program on PATH; install it")
}

// TestLeftoversAreRemoved starts beside containers of gateways that have ended,
// and of one that has not.
func TestLeftoversAreRemoved(t *testing.T) {
	e := newEngine(t)
	first := besides(t, e.boxed("faults"))
	mine := e.containers(t)[0]
	var b box
	text, err := os.ReadFile(e.path("containers/" + mine))
	if err != nil || json.Unmarshal(text, &b) != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "1000") // the container of a gateway that was killed
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(b.Owner, "/")
	killed := strings.Join([]string{parts[0], parts[1], parts[2], strconv.Itoa(dead.Process.Pid), parts[4]}, "/")
	e.write(t, "containers/killed", fmt.Sprintf(`{"PID":%d,"Owner":%q}`, sleeper.Process.Pid, killed))
	e.write(t, "containers/elsewhere", fmt.Sprintf(`{"Owner":%q}`, "0123456789ab"+killed[12:]))
	strange, err := json.Marshal(box{Owner: "x\n" + mine + " " + killed}) // as an image may have it
	if err != nil {
		t.Fatal(err)
	}
	e.write(t, "containers/strange", string(strange))

	second := besides(t, e.boxed("faults"))
	if state := sleeper.Wait(); state == nil {
		t.Error("the container of the killed gateway lives")
	}
	names := e.containers(t)
	if len(names) != 4 || slices.Contains(names, "killed") || !slices.Contains(names, mine) {
		t.Errorf("containers %q, want mine, a new one, and those elsewhere and strange", names)
	}
	first.mustTool(t, "pid", "{}")
	second.stop()
	first.stop()
	checkGoroutines(t)
	if names := e.containers(t); !slices.Equal(names, []string{"elsewhere", "strange"}) {
		t.Errorf("containers %q are left", names)
	}
}

// TestLeftoversThatStay cannot be removed, which keeps nothing from starting.
func TestLeftoversThatStay(t *testing.T) {
	e := newEngine(t)
	e.write(t, "fail-ps", "Cannot connect to the Docker daemon\n")
	r := run(t, e.boxed("faults"))
	r.mustTool(t, "pid", "{}")
	if r.log.count("containers that were left behind could not be removed") != 1 {
		t.Error("the log does not say so")
	}
}

// TestContainerIsRemovedLater has an engine that could not remove one.
func TestContainerIsRemovedLater(t *testing.T) {
	e := newEngine(t)
	removals := &logBuffer{}
	opts := e.boxed("faults")
	opts.Containers = upstream.NewContainers(0, slog.New(slog.NewTextHandler(removals, nil)))
	r := run(t, opts)
	e.write(t, "fail-rm", "Cannot connect to the Docker daemon\n")
	_, err := r.tool(t.Context(), "die", "{}")
	wantError(t, err, "status 2")
	eventually(t, "it was tried", func() bool { return removals.count("a container could not be removed") > 0 })
	if used, _ := opts.Containers.Usage(); used == 0 {
		t.Error("its memory is given back, though it may still use it")
	}
	if err := os.Remove(e.path("fail-rm")); err != nil {
		t.Fatal(err)
	}
	left := e.containers(t)[0]
	eventually(t, "it is removed with the start of another one", func() bool {
		if !slices.Contains(e.containers(t), left) {
			return true
		}
		_, _ = r.tool(t.Context(), "die", "{}") // it may have been tried just before, and is not again for a while
		return false
	})
	eventually(t, "it is back", func() bool { return r.Status().State == upstream.Connected })
	if used, _ := opts.Containers.Usage(); used != 512<<20 {
		t.Errorf("%d bytes are taken, want those of one container", used)
	}
}

func TestMemoryOfContainers(t *testing.T) {
	e := newEngine(t)
	var gaveWay atomic.Int32
	full := upstream.NewContainers(1<<30, slog.New(slog.DiscardHandler)) // room for two
	full.MakeRoom = func() bool { gaveWay.Add(1); return false }
	boxed := func() upstream.Options {
		opts := e.boxed("faults")
		opts.Containers = full
		return opts
	}
	first, second, third := besides(t, boxed()), besides(t, boxed()), besides(t, boxed())
	_, err := third.tool(t.Context(), "a", "{}")
	wantError(t, err, "no memory for another container: it may use 512 MiB, and 1024 MiB of the 1024 MiB of containers.memory are taken")
	if used, limit := full.Usage(); used != 1<<30 || limit != 1<<30 || gaveWay.Load() == 0 {
		t.Errorf("used %d of %d, asked for room %d times", used, limit, gaveWay.Load())
	}
	first.stop()
	eventually(t, "there is room", func() bool { return third.Status().State == upstream.Connected })
	second.stop()
	third.stop()
	checkGoroutines(t)
	if used, _ := full.Usage(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
}

// TestMemoryThatGivesWay has one container end for another.
func TestMemoryThatGivesWay(t *testing.T) {
	e := newEngine(t)
	full := upstream.NewContainers(512<<20, slog.New(slog.DiscardHandler))
	opts := e.boxed("faults")
	opts.Containers = full
	first := besides(t, opts)
	var once sync.Once
	full.MakeRoom = func() bool {
		once.Do(func() { go first.stop() })
		return true
	}
	besides(t, opts).mustTool(t, "pid", "{}")
	if names := e.containers(t); len(names) != 1 {
		t.Errorf("containers %q, want one", names)
	}
}
