package aggregator_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// boxedEnv makes the test binary a server in a container. Its value is a folder.
const boxedEnv = "AGGREGATOR_TEST_BOXED"

// serveBoxed holds a call until the file "hold" in the folder is gone.
func serveBoxed(dir string) {
	_ = upstreamtest.Stdio(upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			if strings.Contains(string(r.Params), "hold") {
				_ = os.WriteFile(filepath.Join(dir, "called"), nil, 0o600)
				for exists(filepath.Join(dir, "hold")) {
					time.Sleep(time.Millisecond)
				}
			}
			return upstreamtest.Result(`{"content":[]}`)
		},
	}, os.Stdin, os.Stdout)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// boxed is an upstream in a container of an engine that does no more than run
// the test binary.
func boxed(t *testing.T, dir, name string) aggregator.Upstream {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`#!/bin/sh
case "$1" in
--version) echo "Docker version 28.2.2, build 0123456" ;;
image) echo '{"User":""}' ;;
inspect) echo '{"Status":"exited"}' ;;
run) %s=%s GORACE=atexit_sleep_ms=0 exec %s ;;
esac
`, boxedEnv, dir, self)
	program := filepath.Join(dir, "docker")
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return aggregator.Upstream{
		Options:   upstream.Options{Name: name, Container: &upstream.Container{Runtime: program, Image: "server", Memory: 64 << 20}},
		Prefix:    name,
		Isolation: aggregator.PerUser,
	}
}

// The containers of all upstreams share the memory: the one that was idle for
// longest gives way to one of another upstream.
func TestMemoryOfAllContainers(t *testing.T) {
	dir := t.TempDir()
	g, url := start(t, aggregator.Options{
		Upstreams:       []aggregator.Upstream{boxed(t, dir, "a"), boxed(t, dir, "b")},
		ContainerMemory: 3 * 64 << 20, // the two that are shared, and one
		Authenticate:    byHeader,
	})
	ann, bob := as(t, url, "ann"), as(t, url, "bob")
	instances := func() [2]int { return [2]int{g.Upstreams()[0].Instances, g.Upstreams()[1].Instances} }
	call := func(c *httpClient, tool, text string) reply {
		return c.modern("tools/call", tool, `"name":"`+tool+`","arguments":{"a":"`+text+`"},`)
	}
	if r := call(ann, "a_t", ""); !strings.Contains(r.body, `"result"`) || instances() != [2]int{1, 0} {
		t.Fatalf("%s; instances %v, want one of a", r.body, instances())
	}
	// A container is idle a moment after the client has its answer.
	eventually(t, "the idle container does not give way", func() bool { return strings.Contains(call(bob, "b_t", "").body, `"result"`) })
	if instances() != [2]int{0, 1} {
		t.Fatalf("instances %v, want one of b in the place of that of a", instances())
	}
	if f := g.Figures(); f.Memory != 3*64<<20 || f.MemoryLimit != 3*64<<20 {
		t.Errorf("%d bytes of %d are taken, want all", f.Memory, f.MemoryLimit)
	}

	hold := filepath.Join(dir, "hold")
	if err := os.WriteFile(hold, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held := make(chan reply, 1)
	go func() { held <- call(bob, "b_t", "hold") }()
	eventually(t, "the call is served", func() bool { return exists(filepath.Join(dir, "called")) })
	if r := call(ann, "a_t", ""); !strings.Contains(r.body, "-32000") || !strings.Contains(r.body, "leave no memory for another one (containers.memory), and all of them are in use") {
		t.Errorf("while all are in use: %s", r.body)
	}
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	if r := <-held; !strings.Contains(r.body, `"result"`) {
		t.Errorf("the call that was in flight: %s", r.body)
	}
	eventually(t, "there is no room once the call has ended", func() bool { return strings.Contains(call(ann, "a_t", "").body, `"result"`) })
}
