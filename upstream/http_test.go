package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// httpServer serves h until the test ends.
func httpServer(t *testing.T, h http.HandlerFunc) *url.URL {
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	u, _ := url.Parse(srv.URL + "/mcp")
	return u
}

func TestServerThatIsNoMCPServer(t *testing.T) {
	const page = "<!DOCTYPE html><title>Welcome</title>"
	for _, tc := range []struct {
		name        string
		status      int
		contentType string
		body        string
		want        string
	}{
		{"HTML", 200, "text/html; charset=utf-8", page, "answered with HTML, not JSON-RPC (HTTP 200, text/html)"},
		{"HTML gateway error", 502, "text/html", page, "answered with HTML, not JSON-RPC (HTTP 502, text/html)"},
		{"500", 500, "text/plain", "out of\ncheese", "answered HTTP 500 Internal Server Error: out of cheese"},
		{"404", 404, "text/plain", "404 page not found", "answered HTTP 404 Not Found: 404 page not found"},
		{"401", 401, "application/json", `{"error":"invalid_token"}`, `(HTTP 401 Unauthorized): {"error":"invalid_token"}`},
		{"403", 403, "text/plain", "no", "answered HTTP 403 Forbidden: no"},
		{"empty", 202, "", "", "answered with an empty body (HTTP 202 Accepted)"},
		{"other JSON", 200, "application/json", `{"hello":"world"}`, "answered with something else than JSON-RPC (HTTP 200, application/json)"},
		{"broken JSON", 200, "application/json", `{"jsonrpc":"2.0","id":1,`, "answered with something else than JSON-RPC"},
		{"text", 200, "text/plain", "OK", "answered with something else than JSON-RPC (HTTP 200, text/plain): OK"},
		{"JSON-RPC error", 400, "application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"go away"}}`, "answered with error -32000: go away"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run(t, upstream.Options{URL: httpServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tc.contentType)
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})})
			_, err := r.tool(t.Context(), "a", "{}")
			wantError(t, err, "not connected: initialize: ")
			wantError(t, err, tc.want)
		})
	}
}

func TestNobodyListens(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	u, _ := url.Parse(srv.URL + "/mcp?key=s3cret-s3cret")
	r := run(t, upstream.Options{URL: u})
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "not connected: dial tcp 127.0.0.1:")
	wantError(t, err, "connection refused")
	if strings.Contains(err.Error()+r.log.String(), "s3cret") {
		t.Errorf("the URL's query has leaked: %v", err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var stolen atomic.Bool
	other := httpServer(t, func(_ http.ResponseWriter, r *http.Request) { stolen.Store(true) })
	r := run(t, upstream.Options{
		Token: value("t0ken-t0ken"),
		URL: httpServer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.String()+"?code=s3cret-s3cret", http.StatusTemporaryRedirect)
		}),
	})
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "redirects to "+other.String()+", which is not followed (HTTP 307 Temporary Redirect)")
	if stolen.Load() || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("followed: %v, error: %v", stolen.Load(), err)
	}
}

func TestMuteServer(t *testing.T) {
	r := run(t, upstream.Options{
		ConnectTimeout: 300 * time.Millisecond,
		URL:            httpServer(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }),
	})
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "not connected: initialize: no answer within 300ms")
}

// plain is a server over HTTP that answers calls with reply.
func plainServer(t *testing.T, legacy bool, before func(http.ResponseWriter, *upstreamtest.Request) bool) *upstreamtest.Server {
	s := contract()
	s.LegacyOnly, s.Before = legacy, before
	return upstreamtest.New(t, s)
}

// badly makes a server answer the call of one tool badly.
func badly(name string, answer http.HandlerFunc) func(http.ResponseWriter, *upstreamtest.Request) bool {
	return func(w http.ResponseWriter, r *upstreamtest.Request) bool {
		if r.Name() != name {
			return false
		}
		answer(w, nil)
		return true
	}
}

// A call that fails is not the end of the connection.
func TestOneCallFails(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "oops", 500) }, "answered HTTP 500 Internal Server Error: oops"},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>login</html>") }, "answered with HTML, not JSON-RPC (HTTP 200, text/html)"},
		{"wrong id", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":4711,"result":{}}`)
		}, "answered without an answer to this request"},
		{"stream without answer", events(`{"jsonrpc":"2.0","id":4711,"result":{}}`), "the server ended its stream without an answer"},
		{"stream of text", events(`hello`), "answered with an event that is no JSON-RPC"},
		{"large body", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 20<<20)) }, "message larger than 16777216 bytes"},
		{"large event", events(strings.Repeat("x", 20<<20)), "message larger than 16777216 bytes"},
		{"broken off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"jsonrpc"`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "the connection broke before the answer was complete"},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the server closed the connection without an answer"},
	} {
		for _, era := range []upstream.Era{upstream.LegacyEra, upstream.ModernEra} {
			t.Run(tc.name+" "+string(era), func(t *testing.T) {
				srv := plainServer(t, era == upstream.LegacyEra, badly("bad", tc.answer))
				srv.Config.ErrorLog = nil
				r := run(t, upstream.Options{URL: srv.URL})
				_, err := r.tool(t.Context(), "bad", "{}")
				wantError(t, err, tc.want)
				if got := r.mustTool(t, "odd", "{}"); got != odd {
					t.Errorf("next call: %s", got)
				}
				if got := r.Status(); got.Connects != 1 || got.State != upstream.Connected {
					t.Errorf("status %+v, want the first connection", got)
				}
			})
		}
	}
}

// events answers with an event stream.
func events(data ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, d := range data {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", d)
		}
	}
}

func TestJSONRPCErrorWithHTTPStatus(t *testing.T) {
	srv := plainServer(t, false, badly("bad", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"header mismatch","data":`+odd+`}}`)
	}))
	r := run(t, upstream.Options{URL: srv.URL})
	_, err := r.tool(t.Context(), "bad", "{}")
	wantAnswer(t, err, -32020, odd)
}

func TestServerDiesAndComesBack(t *testing.T) {
	for _, legacy := range []bool{true, false} {
		t.Run(fmt.Sprintf("legacy %v", legacy), func(t *testing.T) {
			srv := plainServer(t, legacy, nil)
			handler := srv.Config.Handler
			var down atomic.Bool
			srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if down.Load() {
					panic(http.ErrAbortHandler)
				}
				handler.ServeHTTP(w, r)
			})
			r := run(t, upstream.Options{URL: srv.URL})
			var calls sync.WaitGroup
			calls.Go(func() {
				_, err := r.tool(t.Context(), "hang", "{}")
				wantError(t, err, "the server closed the connection without an answer")
			})
			eventually(t, "the call is there", func() bool { return len(srv.Requests("tools/call")) == 1 })
			down.Store(true)
			srv.CloseClientConnections()
			calls.Wait()
			_, err := r.tool(t.Context(), "odd", "{}")
			wantError(t, err, "")
			if legacy {
				srv.ForgetSessions()
			}
			down.Store(false)
			srv.Change(func(s *upstreamtest.Script) { s.Tools = append(s.Tools, `{"name":"new"}`) })
			eventually(t, "calls work again", func() bool {
				got, err := r.tool(t.Context(), "odd", "{}")
				return err == nil && string(got) == odd
			})
			eventually(t, "the new tool is listed", func() bool { return len(r.Listing().Tools) == 4 })
		})
	}
}

func TestSessionIsBegunAnew(t *testing.T) {
	srv := plainServer(t, true, nil)
	r := run(t, upstream.Options{URL: srv.URL})
	eventually(t, "the stream is open", func() bool { return srv.Streams() == 1 })
	time.Sleep(600 * time.Millisecond) // a session that never works is not begun anew at once
	srv.ForgetSessions()
	var calls sync.WaitGroup
	for range 10 {
		calls.Go(func() {
			if got := r.mustTool(t, "odd", "{}"); got != odd {
				t.Errorf("got %s", got)
			}
		})
	}
	calls.Wait()
	if alive, begun := srv.Sessions(); alive != 1 || begun != 2 {
		t.Errorf("%d sessions alive of %d, want 1 of 2", alive, begun)
	}
	if n := len(srv.Requests("server/discover")); n != 1 {
		t.Errorf("asked %d times for the era, want once", n)
	}
	if r.changes() != 1 {
		t.Errorf("the listing changed %d times, want once", r.changes())
	}
	r.stop()
	if alive, _ := srv.Sessions(); alive != 0 {
		t.Errorf("%d sessions left, want none", alive)
	}
}

func TestListChanged(t *testing.T) {
	eachHTTP(t, func(t *testing.T, srv *upstreamtest.Server, r *running) {
		eventually(t, "a stream is open", func() bool { return srv.Streams() == 1 })
		before := len(srv.Requests("prompts/list"))
		for i := range 5 { // a burst is one change
			srv.Change(func(s *upstreamtest.Script) { s.Tools = append(s.Tools, fmt.Sprintf(`{"name":"new%d"}`, i)) })
		}
		eventually(t, "the tools are listed", func() bool { return len(r.Listing().Tools) == 8 })
		if got := r.changes(); got != 2 {
			t.Errorf("Changed called %d times, want 2", got)
		}
		eventually(t, "prompts too", func() bool { return len(srv.Requests("prompts/list")) == before+1 })

		// What happens while the stream is broken is noticed as well.
		srv.DropStreams()
		srv.Change(func(s *upstreamtest.Script) { s.Tools = s.Tools[:1] })
		eventually(t, "the tools are listed again", func() bool { return len(r.Listing().Tools) == 1 })
		if got := r.Status(); got.Connects != 1 || got.State != upstream.Connected {
			t.Errorf("status %+v, want the first connection", got)
		}
	})
}

// eachHTTP runs a test over HTTP in both eras.
func eachHTTP(t *testing.T, test func(*testing.T, *upstreamtest.Server, *running)) {
	for _, era := range []upstream.Era{upstream.LegacyEra, upstream.ModernEra} {
		t.Run(string(era), func(t *testing.T) {
			srv := plainServer(t, era == upstream.LegacyEra, nil)
			test(t, srv, run(t, upstream.Options{URL: srv.URL}))
		})
	}
}

func TestHeaders(t *testing.T) {
	srv := plainServer(t, false, nil)
	var asked atomic.Int64
	r := run(t, upstream.Options{
		URL: srv.URL,
		Headers: map[string]upstream.Secret{
			"Host":      value("mcp.example.com"),
			"X-Api-Key": value("k3y"),
		},
		Token: func(context.Context) (string, error) { return fmt.Sprintf("token-%d", asked.Add(1)), nil },
	})
	r.mustTool(t, "echo", "{}")
	got := srv.Requests("tools/call")[0].Header
	for name, want := range map[string]string{
		"Host":                 "mcp.example.com",
		"X-Api-Key":            "k3y",
		"Accept":               "application/json, text/event-stream",
		"Content-Type":         "application/json",
		"Mcp-Protocol-Version": "2026-07-28",
		"Mcp-Method":           "tools/call",
		"Mcp-Name":             "echo",
		"Authorization":        fmt.Sprintf("Bearer token-%d", asked.Load()),
	} {
		if got.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Get(name), want)
		}
	}
	if first := srv.Requests("server/discover")[0].Header.Get("Authorization"); first != "Bearer token-1" {
		t.Errorf("first token %q", first)
	}
}

func TestNoSecretsInErrors(t *testing.T) {
	srv := plainServer(t, false, nil)
	echo := func(w http.ResponseWriter, r *upstreamtest.Request) bool {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(w, "bad credentials: %v", r.Header)
		return true
	}
	srv.Change(func(s *upstreamtest.Script) { s.Before = echo })
	r := run(t, upstream.Options{
		URL:     srv.URL,
		Headers: map[string]upstream.Secret{"X-Api-Key": value("k3y-k3y-k3y")},
		Token:   value("t0ken-t0ken"),
	})
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "refuses the configured credentials, or asks for some (HTTP 401 Unauthorized): bad credentials")
	wantError(t, err, "[redacted]")
	for _, text := range []string{err.Error(), r.log.String(), r.Status().LastError} {
		if strings.Contains(text, "k3y-k3y") || strings.Contains(text, "t0ken") {
			t.Errorf("a secret shows in %s", text)
		}
	}
}

func TestTokenFails(t *testing.T) {
	srv := plainServer(t, false, nil)
	r := run(t, upstream.Options{URL: srv.URL, Token: func(context.Context) (string, error) { return "", errors.New("the vault is closed") }})
	_, err := r.tool(t.Context(), "a", "{}")
	wantError(t, err, "token: the vault is closed")
}

func TestUserInTheURL(t *testing.T) {
	srv := plainServer(t, false, nil)
	to := *srv.URL
	to.User = url.UserPassword("ann", "pw")
	run(t, upstream.Options{URL: &to})
	if got, want := srv.Requests("tools/list")[0].Header.Get("Authorization"), "Basic YW5uOnB3"; got != want {
		t.Errorf("Authorization %q, want %q", got, want)
	}
}

func TestParamHeaders(t *testing.T) {
	srv := plainServer(t, false, nil)
	srv.Change(func(s *upstreamtest.Script) {
		s.Tools = []string{`{"name":"echo","inputSchema":{"type":"object","properties":{` +
			`"region":{"type":"string","x-mcp-header":"Region"},` +
			`"in":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"},"big":{"type":"integer","x-mcp-header":"Big"}}},` +
			`"yes":{"type":"boolean","x-mcp-header":"Yes"},"bad":{"type":"string","x-mcp-header":"no token"},"free":true}}}`}
	})
	r := run(t, upstream.Options{URL: srv.URL})
	r.mustTool(t, "echo", `{"region":"Österreich","in":{"n":42,"big":9007199254740993},"yes":false,"bad":"x"}`)
	got := map[string]string{}
	for name, values := range srv.Requests("tools/call")[0].Header {
		if strings.HasPrefix(name, "Mcp-Param-") {
			got[name] = values[0]
		}
	}
	want := map[string]string{"Mcp-Param-Region": "=?base64?w5ZzdGVycmVpY2g=?=", "Mcp-Param-N": "42", "Mcp-Param-Yes": "false"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("headers %v, want %v", got, want)
	}
}

func TestNameHeaderOfOddNames(t *testing.T) {
	srv := plainServer(t, false, nil)
	r := run(t, upstream.Options{URL: srv.URL})
	for _, name := range []string{"größe", " x ", "a\nb", "=?base64?eA==?=", "x y"} {
		// The server compares the header with the body.
		_, err := r.tool(t.Context(), name, "{}")
		wantAnswer(t, err, -32602, "")
	}
}

// Connections are used again: many calls after another need few.
func TestConnectionsAreReused(t *testing.T) {
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream %v", stream), func(t *testing.T) {
			srv := plainServer(t, false, nil)
			srv.Change(func(s *upstreamtest.Script) { s.Stream = stream })
			var opened atomic.Int64
			counting := httptest.NewUnstartedServer(srv.Config.Handler)
			counting.Config.ConnState = countNew(&opened)
			counting.Start()
			defer counting.Close()
			u, _ := url.Parse(counting.URL + "/mcp")
			r := run(t, upstream.Options{URL: u})
			for range 100 {
				r.mustTool(t, "odd", "{}")
			}
			r.stop()
			if n := opened.Load(); n > 10 {
				t.Errorf("%d connections for 100 calls", n)
			}
		})
	}
}

func TestStreamIsResumed(t *testing.T) {
	srv := plainServer(t, true, badly("broken", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "id: e7\nretry: 10\ndata:\n\n")
	}))
	var asked atomic.Int64
	handler := srv.Config.Handler
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Last-Event-ID") == "" {
			handler.ServeHTTP(w, r)
			return
		}
		if got := r.Header.Get("Last-Event-ID"); got != fmt.Sprintf("e%d", 7+asked.Load()) {
			t.Errorf("resumed after %q", got)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if asked.Add(1) == 1 {
			_, _ = io.WriteString(w, "id: e8\ndata:\n\n")
			return
		}
		call := srv.Requests("tools/call")[0]
		_, _ = fmt.Fprintf(w, "id: e9\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\n\n", call.ID, odd)
	})
	r := run(t, upstream.Options{URL: srv.URL})
	if got := r.mustTool(t, "broken", "{}"); got != odd {
		t.Errorf("got %s, want %s", got, odd)
	}
	if n := len(srv.Requests("tools/call")); n != 1 {
		t.Errorf("the tool was called %d times", n)
	}
}

func TestOldSSE(t *testing.T) {
	t.Run("found by falling back", func(t *testing.T) {
		s := contract()
		s.LegacyOnly = true
		srv := upstreamtest.New(t, s)
		r := run(t, upstream.Options{URL: srv.SSEURL})
		if got := r.mustTool(t, "odd", "{}"); got != odd {
			t.Errorf("got %s", got)
		}
		srv.DropStreams()
		eventually(t, "it is connected again", func() bool { return r.Status().Connects == 2 })
		if got := r.Status().LastError; !strings.Contains(got, "the server ended its stream") {
			t.Errorf("last error %q", got)
		}
		r.mustTool(t, "odd", "{}")
	})
	t.Run("configured", func(t *testing.T) {
		s := contract()
		s.LegacyOnly = true
		r := run(t, upstream.Options{URL: upstreamtest.New(t, s).SSEURL, Protocol: upstream.SSE})
		r.mustTool(t, "odd", "{}")
	})
	t.Run("endpoint elsewhere", func(t *testing.T) {
		r := run(t, upstream.Options{Protocol: upstream.SSE, URL: httpServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: endpoint\ndata: http://evil.example.com/x\n\n")
		})})
		_, err := r.tool(t.Context(), "a", "{}")
		wantError(t, err, "not connected: the event stream names an endpoint on another host, evil.example.com")
	})
}

func TestSDKServerOverHTTP(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts mcp.StreamableHTTPOptions
		p    upstream.Protocol
		era  upstream.Era
	}{
		{"stateful", mcp.StreamableHTTPOptions{}, upstream.Auto, upstream.LegacyEra},
		{"stateful json", mcp.StreamableHTTPOptions{JSONResponse: true}, upstream.Auto, upstream.LegacyEra},
		{"stateless", mcp.StreamableHTTPOptions{Stateless: true}, upstream.Auto, upstream.ModernEra},
		{"stateless json", mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}, upstream.Auto, upstream.ModernEra},
		{"stateless as legacy", mcp.StreamableHTTPOptions{Stateless: true}, upstream.Legacy, upstream.LegacyEra},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := sdkServer(&mcp.ServerOptions{})
			h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &tc.opts)
			r := run(t, upstream.Options{URL: httpServer(t, h.ServeHTTP), Protocol: tc.p})
			checkSDK(t, r, tc.p)
			if got := r.Listing().Era; got != tc.era {
				t.Errorf("era %s, want %s", got, tc.era)
			}
			time.Sleep(20 * time.Millisecond) // changes are told to those who listen by then
			mcp.AddTool(server, &mcp.Tool{Name: "later"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
				return nil, nil, nil
			})
			if tc.name != "stateless as legacy" {
				eventually(t, "the new tool is listed", func() bool { return len(r.Listing().Tools) == 2 })
			}
		})
	}
}

func TestSDKServerOverSSE(t *testing.T) {
	server := sdkServer(&mcp.ServerOptions{})
	h := mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return server }, nil)
	checkSDK(t, run(t, upstream.Options{URL: httpServer(t, h.ServeHTTP)}), upstream.SSE)
}

// A server that is replaced by one of the other era is found out anew.
func TestModernServerBecomesLegacy(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{ModernOnly: true, Tools: []string{`{"name":"t","inputSchema":{"type":"object"}}`}})
	u := run(t, upstream.Options{URL: srv.URL})
	if era := u.Status().Era; era != upstream.ModernEra {
		t.Fatalf("era %s", era)
	}
	time.Sleep(600 * time.Millisecond) // it is not connected to anew at once, or it could be again and again
	srv.Change(func(s *upstreamtest.Script) {
		s.ModernOnly, s.LegacyOnly = false, true
		s.Before = func(w http.ResponseWriter, r *upstreamtest.Request) bool {
			if !r.Modern {
				return false
			}
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Unsupported protocol version"}}`)
			return true
		}
	})
	var era upstream.Era
	if _, err := u.Call(t.Context(), upstream.Call{Method: "tools/call", Params: []byte(`{"name":"t"}`), Era: &era}); err != nil {
		t.Errorf("the call that finds out: %v", err)
	}
	if now := u.Status(); era != upstream.LegacyEra || now.Era != era || !strings.Contains(now.LastError, "no longer speaks revision 2026-07-28") {
		t.Errorf("called in the era %q, status %+v", era, now)
	}
}
