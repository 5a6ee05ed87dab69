//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// container is an upstream that runs an image that is there, with more
// attributes of its block.
func (e *engine) container(label, image string, args []string, attributes ...string) upstream {
	return upstream{label: label, container: append([]string{
		fmt.Sprintf("runtime = %q", e.name), fmt.Sprintf("image = %q", image), `pull = "never"`, fmt.Sprintf("args = %s", encode(args)),
	}, attributes...)}
}

// probe is an upstream that runs the probe in one of its modes.
func (e *engine) probe(label, mode string, attributes ...string) upstream {
	return e.container(label, probeImage, strings.Fields(mode), attributes...)
}

// startContainerGateway is startGateway for upstreams in containers, of which
// none may be left at the end.
func startContainerGateway(t testing.TB, upstreams ...upstream) *gateway {
	t.Helper()
	return startContainerGatewayWith(t, func(s sandbox) { s.write(t, "gateway.hcl", configuration(upstreams)) })
}

func startContainerGatewayWith(t testing.TB, write func(sandbox), env ...string) *gateway {
	t.Helper()
	engines, err := startEngines()
	if err != nil {
		t.Fatal(err)
	}
	// A later variable of a name holds.
	env = slices.Concat([]string{"PATH=" + nodeBin + ":" + os.Getenv("PATH")}, engines[0].env, engines[1].env, env)
	var g *gateway
	t.Cleanup(func() { // after the gateway's end
		if g == nil {
			return // it did not start
		}
		for _, e := range engines {
			if left := e.containersOf(t, g); len(left) > 0 {
				t.Errorf("the gateway has ended and left containers of %s: %v", e.name, left)
				_ = e.remove(left...)
			}
		}
	})
	g = startGatewayWith(t, write, env...)
	return g
}

// clear removes the containers of a gateway that was killed, and those that the
// engine was just about to make.
func (e *engine) clear(t testing.TB, g *gateway) {
	t.Helper()
	for calm := time.Now(); time.Since(calm) < time.Second; time.Sleep(100 * time.Millisecond) {
		names := e.containersOf(t, g)
		if len(names) == 0 {
			continue
		}
		if err := e.remove(names...); err != nil {
			t.Error(err)
		}
		calm = time.Now()
	}
}

// containersOf are the names of a gateway's containers.
func (e *engine) containersOf(t testing.TB, g *gateway) (names []string) {
	t.Helper()
	list := e.run(t, "ps", "--all", "--no-trunc", "--filter", "label=io.mcpagg.gateway", "--format", "{{.Names}} {{.Labels}}")
	for line := range strings.Lines(list) {
		if name, labels, _ := strings.Cut(line, " "); strings.Contains(labels, fmt.Sprintf("/%d/", g.cmd.Process.Pid)) {
			names = append(names, name)
		}
	}
	return names
}

// text calls a tool and returns the text of its result; an error is one, too.
func text(t testing.TB, c client, tool string, arguments object) string {
	t.Helper()
	result, err := callTool(t.Context(), c, tool, arguments)
	var answer struct{ Content []struct{ Text string } }
	if err != nil {
		return "error: " + err.Error()
	}
	if err := json.Unmarshal(result, &answer); err != nil || len(answer.Content) != 1 {
		t.Fatalf("%s gives %s", tool, short(string(result)))
	}
	return answer.Content[0].Text
}

// An upstreamStatus is what mcpagg status says of an upstream.
type upstreamStatus struct {
	Name, State string
	LastError   string `json:"last_error"`
	Doing       string
}

func (g *gateway) status(t testing.TB, label string) upstreamStatus {
	t.Helper()
	var status struct{ Upstreams []upstreamStatus }
	if err := json.Unmarshal([]byte(g.run(t, nil, os.Getenv(binaryEnv), "status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(status.Upstreams, func(u upstreamStatus) bool { return u.Name == label })
	if i < 0 {
		t.Fatalf("there is no upstream %q in the status", label)
	}
	return status.Upstreams[i]
}

// TestEngines has both engines run the probe, without mcpagg.
func TestEngines(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		out, err := e.tryWith(strings.NewReader("a line\n"), "run", "--rm", "--interactive", "--network", "none", "--pull", "never", probeImage, "lines")
		if err != nil || out != "a line\n" {
			t.Errorf("got %q, %v", out, err)
		}
	})
}

// nodeServer is a server of an npm package, as a process and in a container.
func (e *engine) nodeServer(s server, script string, args []string, attributes ...string) (process, boxed server) {
	boxed = s
	boxed.label = "boxed-" + s.label
	args = append([]string{"/app/node_modules/@modelcontextprotocol/" + script}, args...)
	boxed.boxed = e.container(boxed.label, nodeImage, args, attributes...).container
	return s, boxed
}

// TestContainers puts three npm servers in containers behind a gateway, beside
// the same ones as processes, and one over HTTP.
func TestContainers(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		everything, boxedEverything := e.nodeServer(everything(), "server-everything/dist/index.js", []string{"stdio"})
		files := filesystem(t)
		dir := files.argv[len(files.argv)-1]
		files, boxedFiles := e.nodeServer(files, "server-filesystem/dist/index.js", []string{dir}, fmt.Sprintf("mounts = [%q]", dir+":"+dir))
		memory, boxedMemory := e.nodeServer(memory(), "server-memory/dist/index.js", nil, `env = { MEMORY_FILE_PATH = "/tmp/memory.jsonl" }`)
		processes := []server{everything, files, memory}
		boxes := []server{boxedEverything, boxedFiles, boxedMemory}
		all := slices.Concat(processes, boxes, []server{everythingHTTP(t)})
		var upstreams []upstream
		var labels []string
		for _, s := range all {
			upstreams, labels = append(upstreams, s.upstream()), append(labels, s.label)
		}
		g := startContainerGateway(t, upstreams...)
		tools := g.awaitTools(t, labels...)
		for i, s := range boxes {
			direct := processes[i].connect(t)
			list, err := listTools(t.Context(), direct)
			if err != nil {
				t.Fatal(err)
			}
			checkPublished(t, s.label, list, tools)
			for _, door := range g.doors(t) {
				testCalls(t, s, direct, door)
			}
		}
		if got := len(e.containersOf(t, g)); got != len(boxes) {
			t.Errorf("%d containers run, want %d", got, len(boxes))
		}
		t.Run("Claude Code", func(t *testing.T) { testClaudeContainers(t, g, dir+"/note.txt") })
	})
}

// testClaudeContainers has Claude Code call a tool of each server in a
// container, of a process, and of one over HTTP.
func testClaudeContainers(t *testing.T, g *gateway, note string) {
	s := newSandbox(t)
	entity := object{"name": "Claude", "entityType": "client", "observations": []string{"was here"}}
	const prefix = "mcp__gateway__"
	m := startModel(t,
		scriptedCall{prefix + "boxed-everything_echo", object{"message": "into a container"}},
		scriptedCall{prefix + "boxed-files_read_text_file", object{"path": note}},
		scriptedCall{prefix + "boxed-memory_create_entities", object{"entities": []object{entity}}},
		scriptedCall{prefix + "everything_echo", object{"message": "to a process"}},
		scriptedCall{prefix + "everything-http_echo", object{"message": "over HTTP"}},
	)
	checkClaude(t, s, m, g.url, "Echo: into a container", "A note for the reader", "was here", "Echo: to a process", "Echo: over HTTP")
}

// TestConfinement asks a program in a container what it may do.
func TestConfinement(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/note", []byte("a note"), 0o644); err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0") // of this machine
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		mounts := fmt.Sprintf("mounts = [%q, %q]", dir+":/readable", dir+":/writable:rw")
		g := startContainerGateway(t, e.probe("plain", "stdio"), e.probe("more", "stdio", mounts, `user = "1234:1234"`, `memory = "64MiB"`, "pids = 32", "cpus = 0.5"))
		g.awaitTools(t, "plain", "more")
		c := modern(t, g.url)

		const none = "0000000000000000"
		for _, own := range []struct{ label, user, limits string }{
			{"plain", "65534", fmt.Sprintf("%d %d 256 1000000000", 512<<20, 512<<20)},
			{"more", "1234", fmt.Sprintf("%d %d 32 500000000", 64<<20, 64<<20)},
		} {
			said := text(t, c, own.label+"_confinement", object{})
			for _, want := range []string{
				"Uid=" + strings.Repeat(","+own.user, 4)[1:], "Gid=" + strings.Repeat(","+own.user, 4)[1:],
				"CapInh=" + none, "CapPrm=" + none, "CapEff=" + none, "CapBnd=" + none, "CapAmb=" + none, "NoNewPrivs=1", "Seccomp=2",
				"interfaces=lo", "core=0",
				"writable /=false", "writable /dev=false", "writable /run=false", "writable /var=false", "writable /tmp=true",
			} {
				if !slices.Contains(strings.Split(said, "\n"), want) {
					t.Errorf("%s: no %q in\n%s", own.label, want, said)
				}
			}
			names, err := e.containers("label=io.mcpagg.upstream=" + own.label)
			if err != nil {
				t.Fatal(err)
			}
			names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(e.containersOf(t, g), name) })
			if len(names) != 1 || !strings.HasPrefix(names[0], "mcpagg-"+own.label+"-") {
				t.Fatalf("the containers of %s are %v", own.label, names)
			}
			got := strings.TrimSpace(e.run(t, "inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}}", names[0]))
			if got != own.limits {
				t.Errorf("%s: memory, with swap, pids and CPU are %s, want %s", own.label, got, own.limits)
			}
		}

		for _, call := range []struct {
			tool      string
			arguments object
			want      string
		}{
			{"plain_write", object{"path": "/probe"}, "read-only file system"},
			{"plain_write", object{"path": "/tmp/file"}, "written"},
			{"plain_dial", object{"address": ln.Addr().String()}, "connection refused"},
			{"plain_dial", object{"address": "169.254.169.254:80"}, "network is unreachable"}, // where clouds keep credentials
			{"plain_dial", object{"address": "localhost:80"}, "refused"},
			{"plain_dial", object{"address": "example.com:80"}, "lookup example.com"},
			{"more_read", object{"path": "/readable/note"}, "a note"},
			{"more_write", object{"path": "/readable/file"}, "read-only file system"},
			{"more_write", object{"path": "/writable/file"}, "written"},
		} {
			if got := text(t, c, call.tool, call.arguments); !strings.Contains(got, call.want) {
				t.Errorf("%s %v gives %q, want %q", call.tool, call.arguments, got, call.want)
			}
		}
	})
}

// TestContainerHTTP runs a server that is spoken to over HTTP.
func TestContainerHTTP(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		g := startContainerGateway(t, e.probe("web", "http :8000", "port = 8000", `network = "bridge"`, `path = "/any"`))
		g.awaitTools(t, "web")
		for _, door := range g.doors(t) {
			checkEcho(t, door, "web")
		}
		name := e.containersOf(t, g)[0]
		if got := strings.TrimSpace(e.run(t, "port", name, "8000")); !strings.HasPrefix(got, "127.0.0.1:") {
			t.Errorf("the port is published at %s", got)
		}
		if err := e.kill(name); err != nil {
			t.Fatal(err)
		}
		c := modern(t, g.url)
		if got := text(t, c, "web_echo", object{"message": "hi"}); !strings.Contains(got, "Echo: hi") && !strings.Contains(got, "the container was killed") && !strings.Contains(got, "closed the connection") {
			t.Errorf("after its container was killed, a call gives %q", got)
		}
		awaitEcho(t, c, "web")
		if got := g.status(t, "web").LastError; got != "" && !strings.Contains(got, "the container was killed") {
			t.Errorf("after its container was killed, the error is %q", got)
		}
	})
}

// kill kills the processes of a container.
func (e *engine) kill(name string) error {
	_, err := e.try("kill", "--signal", "KILL", name)
	return err
}

// TestContainerIsolation gives sessions containers of their own, no more than
// there may be.
func TestContainerIsolation(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		up := e.probe("up", "stdio", `memory = "64MiB"`)
		up.isolation, up.maxInstances = "session", 2
		g := startContainerGateway(t, up)
		g.awaitTools(t, "up")
		first := countInSession(t, g, "up")
		if got := text(t, first, "up_count", object{}); got != "2" {
			t.Errorf("the second count of a session is %s", got)
		}
		countInSession(t, g, "up")
		countInSession(t, g, "up")   // pushes out the first
		e.awaitContainers(t, g, 1+2) // with the one that is shared
		eventuallyText(t, first, "up_count", object{}, "1")
	})
}

// TestMemoryBudget has containers of two upstreams give way to each other
// where there is no memory for more.
func TestMemoryBudget(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		one, two := e.probe("one", "stdio", `memory = "64MiB"`), e.probe("two", "stdio", `memory = "64MiB"`)
		one.isolation, two.isolation = "session", "session"
		const room = 4 // for the 2 that are shared, and for 2 of sessions
		g := startContainerGatewayWith(t, func(s sandbox) {
			text := configuration([]upstream{one, two})
			s.write(t, "gateway.hcl", fmt.Appendf(text, "containers {\n  memory = \"%dMiB\"\n}\n", room*64))
		})
		g.awaitTools(t, "one", "two")
		first := countInSession(t, g, "one")
		for _, label := range []string{"two", "one", "two"} {
			countInSession(t, g, label) // pushes out the one before the last
		}
		e.awaitContainers(t, g, room)
		eventuallyText(t, first, "one_count", object{}, "1")
		e.awaitContainers(t, g, room)
	})
}

// countInSession begins a session and makes its first call to an upstream.
func countInSession(t *testing.T, g *gateway, label string) *httpClient {
	t.Helper()
	c := legacy(t, g.url)
	eventuallyText(t, c, label+"_count", object{}, "1") // whoever has just been served does not give way
	return c
}

// awaitContainers waits until a gateway has so many containers.
func (e *engine) awaitContainers(t *testing.T, g *gateway, want int) {
	t.Helper()
	eventually(t, func() string {
		if got := e.containersOf(t, g); len(got) != want {
			return fmt.Sprintf("the containers are %v, want %d", got, want)
		}
		return ""
	})
}

// eventuallyText calls a tool until its text is as wanted.
func eventuallyText(t testing.TB, c client, tool string, arguments object, want string) {
	t.Helper()
	eventually(t, func() string {
		if got := text(t, c, tool, arguments); !strings.Contains(got, want) {
			return fmt.Sprintf("%s gives %s, want %q", tool, got, want)
		}
		return ""
	})
}
