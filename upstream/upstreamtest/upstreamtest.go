// Package upstreamtest is an MCP server for tests. It answers with exactly the
// bytes a [Script] gives and records exactly the bytes that came, over HTTP in
// both eras, HTTP+SSE and stdio:
//
//	srv := upstreamtest.New(t, upstreamtest.Script{
//		Tools: []string{`{"name":"add","inputSchema":{"type":"object"}}`},
//		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
//			return upstreamtest.Result(`{"content":[],"n":9007199254740993}`)
//		},
//	})
//	u := upstream.New(upstream.Options{Name: "x", URL: srv.URL, ...})
package upstreamtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const modernVersion = "2026-07-28"

// A Script is how a server behaves. The zero value is a server of both eras
// that offers nothing.
type Script struct {
	// Raw definitions. The server declares the capability of a kind that is
	// not nil.
	Tools, Prompts, Resources, Templates []string
	// PageSize is how many definitions are listed at once; 0 means all.
	PageSize     int
	Instructions string
	// TTL is the ttlMs of page n of a list to a modern client, counted from 0;
	// the last one is that of all further pages, and none means 0.
	TTL []int
	// Capabilities replace those that the definitions imply, an object.
	Capabilities string
	// LegacyOnly servers do not know server/discover, ModernOnly ones not
	// initialize.
	LegacyOnly, ModernOnly bool
	// Version is the legacy revision it agrees to; "" means 2025-11-25.
	Version string
	// Stream makes it answer over HTTP with event streams. It does anyway once
	// a reply sends notifications.
	Stream bool
	// Reply answers what is neither handshake nor list. nil answers {}.
	Reply func(*Request) Reply
	// Answered, if not nil, gets the client's answers to requests of the server.
	Answered func(*Request)
	// Forget keeps no record of what came, so that it holds no memory.
	Forget bool
	// Before, if not nil, sees every POST /mcp first. If it returns true, it has
	// written the response.
	Before func(http.ResponseWriter, *Request) bool
}

// A Request is what the server received.
type Request struct {
	Method string
	Params json.RawMessage // as they came; nil if there were none
	ID     json.RawMessage // nil for a notification
	// Body is the whole message.
	Body json.RawMessage
	// Modern says that the request says to be of revision 2026-07-28.
	Modern bool
	// Header is that of the HTTP request, with "Host". nil over stdio.
	Header http.Header
	// Context ends when the client cancels the request or goes away.
	Context context.Context

	core  *core
	scope string           // session, in which ID is unique
	send  func(raw string) // to the client, on the request's own stream
}

// Send sends any message ahead of the reply.
func (r *Request) Send(raw string) { r.send(raw) }

// Notify sends a notification ahead of the reply.
func (r *Request) Notify(method, params string) {
	r.send(fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":%s}`, method, params))
}

// Ask sends a request ahead of the reply, and returns the client's answer to
// it, the whole message. It returns nil if the client cancels or goes away
// before. id is a JSON value, which no other request of the session has.
func (r *Request) Ask(id, method, params string) json.RawMessage {
	answer := make(chan json.RawMessage, 1)
	key := r.scope + " " + id
	r.core.mu.Lock()
	r.core.asked[key] = answer
	r.core.mu.Unlock()
	r.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, params))
	select {
	case raw := <-answer:
		return raw
	case <-r.Context.Done():
		return nil
	}
}

// answered passes on the client's answer to a request of the server.
func (c *core) answered(r *Request) {
	c.mu.Lock()
	answer := c.asked[r.scope+" "+string(r.ID)]
	delete(c.asked, r.scope+" "+string(r.ID))
	c.mu.Unlock()
	if answer != nil {
		answer <- r.Body
	}
}

// Progress sends progress, if the request asks for it. more is any further
// members, such as `,"message":"half"`.
func (r *Request) Progress(progress float64, more string) {
	meta, _ := rawjson.ParseObject(object(r.Params).Get("_meta"))
	if token := meta.Get("progressToken"); token != nil {
		r.Notify("notifications/progress", fmt.Sprintf(`{"progressToken":%s,"progress":%v%s}`, token, progress, more))
	}
}

// Name is the tool or prompt that the request is about.
func (r *Request) Name() string {
	name, _ := object(r.Params).GetString("name")
	return name
}

func object(raw json.RawMessage) rawjson.Object {
	o, _ := rawjson.ParseObject(raw)
	return o
}

// A Reply is the member of the answer that a request gets: raw JSON.
type Reply struct{ result, err, raw string }

// Result replies with a result.
func Result(raw string) Reply { return Reply{result: raw} }

// Error replies with a JSON-RPC error, an object.
func Error(raw string) Reply { return Reply{err: raw} }

// Raw replies with a whole message, which need not be one. "" does not reply;
// over HTTP it ends the response.
func Raw(message string) Reply { return Reply{raw: message} }

// message is the whole answer; "" for none.
func (p Reply) message(id json.RawMessage) string {
	switch {
	case p.result != "":
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, id, p.result)
	case p.err != "":
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":%s}`, id, p.err)
	}
	return p.raw
}

// core is what a server does whatever the transport.
type core struct {
	mu       sync.Mutex
	script   Script                            // guarded by mu
	received []Request                         // guarded by mu
	live     map[string]context.CancelFunc     // requests under way, by scope and id; guarded by mu
	asked    map[string]chan<- json.RawMessage // requests to the client, by scope and id; guarded by mu
	own      map[string][]string               // resources of single sessions, by scope; guarded by mu
}

func newCore(s Script) *core {
	return &core{script: s, live: map[string]context.CancelFunc{}, asked: map[string]chan<- json.RawMessage{}, own: map[string][]string{}}
}

func (c *core) current() Script {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.script
}

// receive parses and records a message.
func (c *core) receive(ctx context.Context, body []byte, send func(string)) (*Request, error) {
	body = bytes.TrimSpace(body)
	o, err := rawjson.ParseObject(body)
	if err != nil {
		return nil, err
	}
	r := &Request{Body: body, Params: o.Get("params"), ID: o.Get("id"), Context: ctx, core: c, send: send}
	r.Method, _ = o.GetString("method")
	meta, _ := rawjson.ParseObject(object(r.Params).Get("_meta"))
	r.Modern = string(meta.Get("io.modelcontextprotocol/protocolVersion")) == strconv.Quote(modernVersion)
	return r, nil
}

func (c *core) record(r *Request) {
	if c.current().Forget {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = append(c.received, *r)
}

// answer returns the answer to r; "" for none.
func (c *core) answer(r *Request) string {
	if r.ID == nil {
		if r.Method == "notifications/cancelled" {
			c.cancel(r.scope + " " + string(object(r.Params).Get("requestId")))
		}
		return ""
	}
	if r.Method == "" {
		c.answered(r)
		if answered := c.current().Answered; answered != nil {
			answered(r)
		}
		return ""
	}
	ctx, cancel := context.WithCancel(r.Context)
	defer cancel()
	r.Context = ctx
	c.mu.Lock()
	c.live[r.scope+" "+string(r.ID)] = cancel
	c.mu.Unlock()
	defer c.cancel(r.scope + " " + string(r.ID))
	return c.reply(r).message(r.ID)
}

func (c *core) cancel(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.live[key]; cancel != nil {
		cancel()
		delete(c.live, key)
	}
}

func (c *core) reply(r *Request) Reply {
	s := c.current()
	c.mu.Lock()
	if own, ok := c.own[r.scope]; ok {
		s.Resources = own
	}
	c.mu.Unlock()
	modernMethod := r.Method == "server/discover" || r.Method == "subscriptions/listen"
	switch {
	case s.LegacyOnly && (modernMethod || r.Modern), s.ModernOnly && !r.Modern:
		return Error(`{"code":-32601,"message":"Method not found"}`)
	case r.Method == "server/discover":
		versions := fmt.Sprintf("%q,%q", modernVersion, s.legacyVersion())
		if s.ModernOnly {
			versions = strconv.Quote(modernVersion)
		}
		return Result(fmt.Sprintf(`{"resultType":"complete","supportedVersions":[%s],"capabilities":%s,"instructions":%s,`+
			`"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"fake","version":"1"}}}`,
			versions, s.capabilities(), rawjson.String(s.Instructions)))
	case r.Method == "initialize":
		return Result(fmt.Sprintf(`{"protocolVersion":%q,"capabilities":%s,"serverInfo":{"name":"fake","version":"1"},"instructions":%s}`,
			s.legacyVersion(), s.capabilities(), rawjson.String(s.Instructions)))
	case r.Method == "ping":
		return Result(`{}`)
	}
	for _, k := range s.kinds() {
		if r.Method == k.method {
			return s.page(r, k)
		}
	}
	if s.Reply == nil {
		return Result(`{}`)
	}
	return s.Reply(r)
}

func (s Script) legacyVersion() string { return cmp.Or(s.Version, "2025-11-25") }

type kind struct {
	method, member, capability string
	definitions                []string
}

func (s Script) kinds() []kind {
	return []kind{
		{"tools/list", "tools", "tools", s.Tools},
		{"prompts/list", "prompts", "prompts", s.Prompts},
		{"resources/list", "resources", "resources", s.Resources},
		{"resources/templates/list", "resourceTemplates", "resources", s.Templates},
	}
}

func (s Script) capabilities() json.RawMessage {
	if s.Capabilities != "" {
		return json.RawMessage(s.Capabilities)
	}
	declared := rawjson.Object{}
	for _, k := range s.kinds() {
		if k.definitions != nil {
			declared.Set(k.capability, json.RawMessage(`{"listChanged":true}`))
		}
	}
	return declared.Bytes()
}

// page answers a list request; the cursor is where the page begins.
func (s Script) page(r *Request, k kind) Reply {
	cursor, _ := object(r.Params).GetString("cursor")
	from, _ := strconv.Atoi(cursor)
	to := len(k.definitions)
	more := ""
	if s.PageSize > 0 && from+s.PageSize < to {
		to = from + s.PageSize
		more = fmt.Sprintf(`,"nextCursor":"%d"`, to)
	}
	if r.Modern {
		ttl := 0
		if n := len(s.TTL); n > 0 {
			ttl = s.TTL[min(from/max(s.PageSize, 1), n-1)]
		}
		more += fmt.Sprintf(`,"resultType":"complete","ttlMs":%d,"cacheScope":"public"`, ttl)
	}
	return Result(fmt.Sprintf(`{%q:[%s]%s}`, k.member, strings.Join(k.definitions[min(from, to):to], ","), more))
}

func (c *core) requests(method string) []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.received), func(r Request) bool { return method != "" && r.Method != method })
}
