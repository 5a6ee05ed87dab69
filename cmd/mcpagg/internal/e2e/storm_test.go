//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	stormTime    = time.Minute
	stormEvery   = 100 * time.Millisecond
	stormCallers = 16
)

// TestReloadStorm reloads again and again under calls: each time one upstream
// has to be connected anew, and another one comes or goes. No call fails or
// loses what belongs to it, and streams that were open before are open after.
func TestReloadStorm(t *testing.T) {
	t.Parallel()
	server := everythingHTTP(t)
	write := func(s sandbox, n int) {
		upstreams := []upstream{{label: "kept", url: server.url}, {label: "changed", url: server.url}}
		if n%2 == 1 {
			upstreams = append(upstreams, upstream{label: "coming", url: server.url})
		}
		text := bytes.Replace(configuration(upstreams), []byte("server {\n"), []byte("server {\n  watch = false\n"), 1)
		text = bytes.Replace(text, []byte("upstream \"changed\" {\n"), fmt.Appendf(nil, "upstream \"changed\" {\n  headers = { X-Reload = \"%d\" }\n", n), 1)
		s.write(t, "gateway.hcl", text)
	}
	g := startGatewayWith(t, func(s sandbox) { write(s, 0) })
	g.awaitTools(t, "kept", "changed")
	events := legacy(t, g.url).get(t)
	listen := modern(t, g.url).stream(t, "subscriptions/listen", listenParams())
	listen.next(t, "notifications/subscriptions/acknowledged")

	var calls, over atomic.Int64
	var callers sync.WaitGroup
	for i := range stormCallers {
		door := g.doors(t)[i%2]
		label := []string{"kept", "changed"}[i/2%2]
		callers.Go(func() {
			for over.Load() == 0 && !t.Failed() {
				callWithProgress(t, door, label+"_trigger-long-running-operation")
				calls.Add(1)
			}
		})
	}
	reloads := 0
	for end := time.Now().Add(stormTime); time.Now().Before(end) && !t.Failed(); time.Sleep(stormEvery) {
		reloads++
		write(g.sandbox, reloads)
		if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	over.Store(1)
	callers.Wait()
	done := strings.Count(g.stderr.String(), "msg=reloaded ")
	t.Logf("%d calls during %d reloads, of %d that were asked for", calls.Load(), done, reloads)
	if done < reloads/2 { // two that come together are one
		t.Errorf("%d reloads of %d", done, reloads)
	}
	events.next(t, "notifications/tools/list_changed")
	listen.next(t, "notifications/tools/list_changed")
}

// callWithProgress makes a call of a tool that tells of its progress three times.
func callWithProgress(t *testing.T, c door, name string) {
	params := object{"name": name, "arguments": object{"duration": 0.15, "steps": 3}, "_meta": object{"progressToken": "p"}}
	header := c.sessionHeader()
	if c.session == "" {
		header, params = modernRequest("tools/call", params)
	}
	resp, err := c.post(t.Context(), request(c.ids.Add(1), "tools/call", params), header)
	if err != nil {
		t.Errorf("%s of the %s client: %v", name, c.era, err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	progress := strings.Count(string(body), `"method":"notifications/progress"`)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"result":`) || progress != 3 {
		t.Errorf("%s of the %s client: %v, %d, %d times progress, %s", name, c.era, err, resp.StatusCode, progress, short(string(body)))
	}
}
