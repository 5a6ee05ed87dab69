package aggregator_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// An upstreamActor is an upstream whose answers are in a transcript.
type upstreamActor struct {
	t      *testing.T
	name   string
	opts   aggregator.Upstream
	script upstreamtest.Script
	show   []string
	srv    *upstreamtest.Server
	life   context.Context
	lines  chan string // what has come

	mu       sync.Mutex
	requests []*staged // by number, less one; guarded by mu
}

// A staged request waits for the transcript to answer it.
type staged struct {
	*upstreamtest.Request
	answer chan upstreamtest.Reply
}

func newUpstreamActor(t *testing.T, fields []string) *upstreamActor {
	u := &upstreamActor{t: t, name: fields[0], lines: make(chan string, 100), life: t.Context()}
	u.opts = aggregator.Upstream{Options: upstream.Options{Name: u.name}, Prefix: u.name}
	u.script.LegacyOnly, u.script.ModernOnly = fields[1] == "legacy", fields[1] == "modern"
	return u
}

func (u *upstreamActor) configure(key, value string) {
	switch key {
	case "tool":
		u.script.Tools = append(u.script.Tools, value)
	case "prompt":
		u.script.Prompts = append(u.script.Prompts, value)
	case "resource":
		u.script.Resources = append(u.script.Resources, value)
	case "template":
		u.script.Templates = append(u.script.Templates, value)
	case "page":
		u.script.PageSize, _ = strconv.Atoi(value)
	case "ttl":
		for ttl := range strings.SplitSeq(value, ",") {
			u.script.TTL = append(u.script.TTL, number(u.t, ttl))
		}
	case "instructions":
		u.script.Instructions = value
	case "capabilities":
		u.script.Capabilities = value
	case "prefix":
		u.opts.Prefix = strings.Trim(value, `"`)
	case "isolation":
		u.opts.Isolation = aggregator.Isolation(value)
	case "requests":
		u.opts.Requests = strings.Split(value, ",")
	case "show":
		u.show = strings.Split(value, ",")
	default:
		u.t.Fatalf("setup: unknown %q", key)
	}
}

func (u *upstreamActor) start() aggregator.Upstream {
	u.script.Before = u.before
	u.script.Reply = u.reply
	u.srv = upstreamtest.New(u.t, u.script)
	u.opts.URL = u.srv.URL
	return u.opts
}

// before sees what is answered without the transcript, or not at all.
func (u *upstreamActor) before(_ http.ResponseWriter, r *upstreamtest.Request) bool {
	switch {
	case r.Method == "":
		u.lines <- "answer " + string(r.Body)
	case slices.Contains(u.show, r.Method):
		u.lines <- u.line(r)
	case r.ID == nil && r.Method != "notifications/initialized":
		u.lines <- u.line(r)
	}
	return false
}

// reply answers a request with what the transcript says.
func (u *upstreamActor) reply(r *upstreamtest.Request) upstreamtest.Reply {
	if r.ID == nil || r.Method == "" {
		return upstreamtest.Raw("")
	}
	s := &staged{r, make(chan upstreamtest.Reply, 1)}
	u.mu.Lock()
	u.requests = append(u.requests, s)
	n := len(u.requests)
	u.mu.Unlock()
	u.lines <- fmt.Sprintf("%d %s", n, u.line(r))
	select {
	case reply := <-s.answer:
		return reply
	case <-r.Context.Done():
		if u.life.Err() == nil {
			u.lines <- fmt.Sprintf("%d cancelled", n)
		}
	case <-u.life.Done():
	}
	return upstreamtest.Raw("")
}

// line shows a request or notification, without what differs from run to run.
func (u *upstreamActor) line(r *upstreamtest.Request) string {
	params, _ := rawjson.ParseObject(r.Params)
	if id := params.Get("requestId"); id != nil {
		params.Set("requestId", json.RawMessage(fmt.Sprintf("<id %d>", u.numberOf(id))))
	}
	if meta, err := rawjson.ParseObject(params.Get("_meta")); err == nil {
		u.showMeta(&params, meta)
	}
	line := r.Method
	if params != nil {
		line += " " + string(params.Bytes())
	}
	if slices.Contains(u.show, "headers") {
		for _, name := range slices.Sorted(keys(r.Header)) {
			if strings.HasPrefix(name, "Mcp-") && name != "Mcp-Session-Id" {
				line += fmt.Sprintf(" [%s: %s]", name, r.Header.Get(name))
			}
		}
	}
	return line
}

func keys(h http.Header) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range h {
			if !yield(name) {
				return
			}
		}
	}
}

func (u *upstreamActor) showMeta(params *rawjson.Object, meta rawjson.Object) {
	if meta.Get("progressToken") != nil {
		meta.Set("progressToken", json.RawMessage("<token>"))
	}
	if !slices.Contains(u.show, "meta") {
		meta.Delete("io.modelcontextprotocol/protocolVersion")
		meta.Delete("io.modelcontextprotocol/clientInfo")
		if string(meta.Get("io.modelcontextprotocol/clientCapabilities")) == "{}" {
			meta.Delete("io.modelcontextprotocol/clientCapabilities")
		}
	}
	if params.Set("_meta", meta.Bytes()); len(meta) == 0 {
		params.Delete("_meta")
	}
}

// numberOf is the newest request with the id.
func (u *upstreamActor) numberOf(id json.RawMessage) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, s := range slices.Backward(u.requests) {
		if string(s.ID) == string(id) {
			return i + 1
		}
	}
	return 0
}

func (u *upstreamActor) act(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "notify":
		method, params, _ := strings.Cut(rest, " ")
		u.awaitStreams(1)
		u.srv.Broadcast(fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":%s}`, method, cmp.Or(params, "{}")))
	case "update":
		eventually(u.t, "somebody has subscribed", func() bool { return u.srv.Update(rest) > 0 })
	case "tools":
		u.awaitStreams(1)
		u.srv.Change(func(s *upstreamtest.Script) {
			if rest != "same" {
				s.Tools = []string{rest}
			}
		})
	case "streams":
		u.awaitStreams(number(u.t, rest))
	case "drop":
		u.srv.DropStreams()
	case "forget":
		u.srv.ForgetSessions()
	default:
		u.actOn(number(u.t, verb), rest)
	}
}

// actOn says something on the stream of a request, or answers it.
func (u *upstreamActor) actOn(n int, line string) {
	u.mu.Lock()
	if n > len(u.requests) {
		u.mu.Unlock()
		u.t.Fatalf("%s: there is no request %d yet", u.name, n)
	}
	s := u.requests[n-1]
	u.mu.Unlock()
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "result":
		s.answer <- upstreamtest.Result(rest)
	case "error":
		s.answer <- upstreamtest.Error(rest)
	case "notify":
		method, params, _ := strings.Cut(rest, " ")
		meta, _ := rawjson.ParseObject(object(s.Params).Get("_meta"))
		s.Notify(method, strings.ReplaceAll(params, "<token>", string(meta.Get("progressToken"))))
	case "resource":
		u.srv.SetResources(s.Request, rest)
	case "ask":
		fields := strings.SplitN(rest+" {}", " ", 3)
		params := strings.TrimSuffix(fields[2], " {}")
		s.Send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, fields[0], fields[1], params))
	default:
		u.t.Fatalf("%s: unknown %q", u.name, verb)
	}
}

func (u *upstreamActor) awaitStreams(n int) {
	eventually(u.t, fmt.Sprintf("%s has %d streams", u.name, n), func() bool { return u.srv.Streams() >= n })
}

func (u *upstreamActor) expect(string) string { return await(u.t, u.lines) }

func (u *upstreamActor) rest() []string { return drained(u.lines) }

func object(raw json.RawMessage) rawjson.Object {
	o, _ := rawjson.ParseObject(raw)
	return o
}

// eventually waits for something that no message tells of.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
