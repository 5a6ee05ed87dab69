package upstream_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// listing runs an upstream whose server answers the requests of one method
// with what reply returns.
func listing(t *testing.T, method string, reply func(r *upstreamtest.Request) string) *running {
	srv := plainServer(t, false, func(w http.ResponseWriter, r *upstreamtest.Request) bool {
		if r.Method != method {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,%s}`, r.ID, reply(r))
		return true
	})
	return run(t, upstream.Options{URL: srv.URL, Protocol: upstream.Modern})
}

func TestListsThatCannotBe(t *testing.T) {
	var page atomic.Int64
	for _, tc := range []struct {
		name  string
		reply func(r *upstreamtest.Request) string
		want  string
	}{
		{"repeated cursor", func(*upstreamtest.Request) string { return `"result":{"tools":[],"nextCursor":"again"}` }, "a page's cursor came twice"},
		{"endless pages", func(*upstreamtest.Request) string {
			return fmt.Sprintf(`"result":{"tools":[],"nextCursor":"%d"}`, page.Add(1))
		}, "more than 1000 pages"},
		{"too many", func(*upstreamtest.Request) string {
			return `"result":{"tools":[0` + strings.Repeat(",0", 100_000) + `]}`
		}, "more than 100000 of them"},
		{"error", func(*upstreamtest.Request) string { return `"error":{"code":-32603,"message":"no database"}` }, "answered with error -32603: no database"},
		{"no list", func(*upstreamtest.Request) string { return `"result":{"tools":{}}` }, "tools: not a JSON array"},
		{"no object", func(*upstreamtest.Request) string { return `"result":[]` }, "result: not a JSON object"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := listing(t, "tools/list", tc.reply)
			_, err := r.tool(t.Context(), "a", "{}")
			wantError(t, err, "not connected: listing tools: "+tc.want)
			if r.Listing() != nil {
				t.Error("there is a listing")
			}
		})
	}
}

func TestListsThatAreForgiven(t *testing.T) {
	for _, tc := range []struct {
		name, method, reply string
	}{
		{"declared but unknown", "tools/list", `"error":{"code":-32601,"message":"Method not found"}`},
		{"null", "tools/list", `"result":{"tools":null,"nextCursor":null}`},
		{"prompts fail", "prompts/list", `"error":{"code":-32603,"message":"no database"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := listing(t, tc.method, func(*upstreamtest.Request) string { return tc.reply })
			l := r.Listing()
			if l == nil {
				t.Fatalf("not connected: %+v", r.Status())
			}
			if tc.method == "tools/list" && (l.Tools == nil || len(l.Tools) != 0) {
				t.Errorf("tools %s, want an empty list", l.Tools)
			}
			if tc.method == "prompts/list" && (l.Prompts != nil || len(l.Tools) != 3) {
				t.Errorf("prompts %s, %d tools; want nil and 3", l.Prompts, len(l.Tools))
			}
		})
	}
}

func TestNoCapabilities(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{})
	r := run(t, upstream.Options{URL: srv.URL, Name: "bare"})
	l := r.Listing()
	if l == nil || l.Tools != nil || l.Prompts != nil || l.Resources != nil || l.Templates != nil {
		t.Errorf("listing %+v, want an empty one", l)
	}
	if r.Name() != "bare" {
		t.Errorf("name %q", r.Name())
	}
	if n := len(srv.Requests("")); n != 1 {
		t.Errorf("%d requests, want only server/discover", n)
	}
}

func TestUnknownVersion(t *testing.T) {
	s := contract()
	s.LegacyOnly, s.Version = true, "1999-12-31"
	r := run(t, upstream.Options{URL: upstreamtest.New(t, s).URL})
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, `not connected: initialize: speaks the unknown protocol version "1999-12-31"`)
}

func TestOlderVersion(t *testing.T) {
	s := contract()
	s.LegacyOnly, s.Version = true, "2025-03-26"
	srv := upstreamtest.New(t, s)
	r := run(t, upstream.Options{URL: srv.URL})
	if got := r.Listing().Version; got != "2025-03-26" {
		t.Errorf("version %s", got)
	}
	if got := srv.Requests("tools/list")[0].Header.Get("Mcp-Protocol-Version"); got != "2025-03-26" {
		t.Errorf("header %q", got)
	}
}

func TestModernIsConfiguredButNotSpoken(t *testing.T) {
	s := contract()
	s.LegacyOnly = true
	r := run(t, upstream.Options{URL: upstreamtest.New(t, s).URL, Protocol: upstream.Modern})
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "not connected: answered with error -32000: Bad Request: no session")
}

// Run ends at once even while it connects, and that ends the first attempt.
func TestStopWhileConnecting(t *testing.T) {
	mute := httpServer(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	for name, opts := range map[string]upstream.Options{"http": {URL: mute}, "sse": {URL: mute, Protocol: upstream.SSE}, "stdio": act("mute")} {
		t.Run(name, func(t *testing.T) {
			r := start(t, opts)
			time.Sleep(50 * time.Millisecond)
			began := time.Now()
			r.stop()
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("stopping took %v", took)
			}
			<-r.Attempted()
			_, err := r.tool(t.Context(), "a", "{}")
			wantError(t, err, "stopped")
		})
	}
}
