package aggregator_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// held is what a process holds that may leak.
type held struct {
	goroutines, descriptors int
	heap                    uint64
}

func holding() held {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, _ := os.ReadDir("/proc/self/fd") // none elsewhere than on Linux
	return held{runtime.NumGoroutine(), len(open), m.HeapAlloc}
}

// pooled is how many more idle connections there may be afterwards: as many as
// requests were under way at once, which differs. Each has three goroutines and
// two descriptors, its server's included.
const pooled = 8

// awaitRelease fails unless what is held becomes what it was before, but for
// idle connections.
func awaitRelease(t *testing.T, before held) {
	t.Helper()
	var now held
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		now = holding()
		if now.goroutines <= before.goroutines+3*pooled && now.descriptors <= before.descriptors+2*pooled && now.heap <= before.heap+2<<20 {
			t.Logf("before %+v, now %+v", before, now)
			return
		}
	}
	stacks := make([]byte, 1<<20)
	t.Fatalf("before %+v, now %+v\n%s", before, now, stacks[:runtime.Stack(stacks, true)])
}

// Ten thousand sessions that were used and then ended, or left to themselves,
// leave nothing behind, shared upstream or not.
func TestDroppedSessionsLeaveNothing(t *testing.T) {
	const sessions, parallel = 10_000, pooled
	legacy := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Forget: true, Tools: []string{plainTool}})
	modern := upstreamtest.New(t, upstreamtest.Script{ModernOnly: true, Forget: true, Tools: []string{plainTool}, Reply: func(*upstreamtest.Request) upstreamtest.Reply {
		return upstreamtest.Result(`{"content":[],"resultType":"complete"}`)
	}})
	own := at(t, "own", legacy.URL.String())
	own.MaxInstances = 100
	g, _ := start(t, aggregator.Options{
		Log:       slog.New(slog.DiscardHandler), // a test's log stays in memory
		Upstreams: []aggregator.Upstream{own, at(t, "shared", modern.URL.String())},
		Limits:    aggregator.Limits{SessionIdle: time.Second},
	})
	use := func(from, to int) {
		var running sync.WaitGroup
		for p := range parallel {
			running.Go(func() {
				for i := from + p; i < to; i += parallel {
					useSession(t, g.Handler(), i)
				}
			})
		}
		running.Wait()
		eventually(t, "no instance is left", func() bool { return g.Upstreams()[0].Instances == 0 })
		eventually(t, "no session is left at the server", func() bool { alive, _ := legacy.Sessions(); return alive == 1 })
		http.DefaultClient.CloseIdleConnections()
	}
	use(0, 200) // pools and caches fill
	before := holding()
	use(200, sessions)
	awaitRelease(t, before)
}

// useSession opens a session, uses it as its number says, and ends it or not.
func useSession(t *testing.T, h http.Handler, i int) {
	session := ""
	post := func(method, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost/mcp", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		if session != "" {
			r.Header.Set("Mcp-Session-Id", session)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	w := post("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
	session = w.Header().Get("Mcp-Session-Id")
	tool := "shared_t"
	if i%10 == 0 {
		tool = "own_t"
	}
	w = post("POST", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q}}`, tool))
	if !strings.Contains(w.Body.String(), `"result"`) {
		t.Errorf("session %d: %s", i, w.Body)
	}
	if i%3 == 0 {
		post("DELETE", "")
	}
}

// A thousand deaths of upstreams, each under calls and followed by a recovery,
// leave nothing behind.
func TestDeathsLeaveNothing(t *testing.T) {
	const servers, processes = 90, 10
	var ups []failing
	for i := range servers {
		ups = append(ups, newFailingServer(t, eras[i%2]))
	}
	for i := range processes {
		ups = append(ups, newFailingProcess(t, eras[i%2]))
	}
	opts := aggregator.Options{Log: slog.New(slog.DiscardHandler)}
	for i := range ups {
		ups[i].options.Name, ups[i].options.Prefix = fmt.Sprintf("u%d", i), fmt.Sprintf("u%d", i)
		opts.Upstreams = append(opts.Upstreams, ups[i].options)
	}
	g, url := start(t, opts)
	deaths := func(each int) {
		var running sync.WaitGroup
		for i, up := range ups {
			era := eras[i/2%2]
			c := connect(t, url, era)
			running.Go(func() {
				for range each {
					dieAndRecover(t, c, up, fmt.Sprintf("u%d_t", i), i >= servers)
				}
				if era == upstream.LegacyEra {
					c.do("DELETE", "", nil)
				}
			})
		}
		running.Wait()
		eventually(t, "instances of sessions that have ended are gone", func() bool {
			for _, u := range g.Upstreams() {
				if u.Instances > 1 { // that of the modern clients stays
					return false
				}
			}
			return true
		})
		http.DefaultClient.CloseIdleConnections()
	}
	deaths(1)
	before, children := holding(), len(childProcesses(t))
	if runtime.GOOS == "linux" && children < processes {
		t.Errorf("%d processes, want %d at least", children, processes)
	}
	deaths(10)
	awaitRelease(t, before)
	if now := len(childProcesses(t)); now != children {
		t.Errorf("%d processes, %d before", now, children)
	}
}

// dieAndRecover has the upstream die under a call and waits until another one is
// answered.
func dieAndRecover(t *testing.T, c *httpClient, up failing, tool string, process bool) {
	mode := "absent"
	if process {
		mode = "killed"
	}
	up.set(mode)
	callTool(c, tool)
	up.set("")
	for end := time.Now().Add(faultPatience); !strings.Contains(callTool(c, tool).body, `"content"`); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s does not work again", tool)
			return
		}
	}
}

// childProcesses are those of this process, none elsewhere than on Linux.
func childProcesses(t *testing.T) []string {
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range files {
		raw, _ := os.ReadFile(file) // the thread may have ended
		all = append(all, strings.Fields(string(raw))...)
	}
	return all
}
