package aggregator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// kindOf is the capability that a client needs for a request of an upstream.
var kindOf = map[string]string{
	"sampling/createMessage": "sampling", "elicitation/create": "elicitation", "roots/list": "roots",
}

var requestKinds = []string{"sampling", "elicitation", "roots"}

// defaultRequests are the kinds an upstream may ask for unless configured:
// sampling spends the client's money.
var defaultRequests = []string{"elicitation", "roots"}

func (m *member) may(kind string) bool {
	allowed := m.Requests
	if allowed == nil {
		allowed = defaultRequests
	}
	return kind != "" && slices.Contains(allowed, kind)
}

// announced are the capabilities of the gateway towards an upstream, over the
// connection whose lists are published: what it was configured to ask for, since
// some servers have tools only for clients that can be asked. By default, and
// over a connection that all clients share, there are none.
func (m *member) announced() json.RawMessage {
	if m.Requests == nil || m.Isolation == Shared || m.Isolation == "" && m.URL == nil {
		return json.RawMessage("{}")
	}
	return m.capabilities()
}

// capabilities are those of a client that can be asked for all that the
// upstream may ask.
func (m *member) capabilities() json.RawMessage {
	capabilities := rawjson.Object{}
	whole := map[string]string{
		"sampling": `{"tools":{},"context":{}}`, "elicitation": `{"form":{},"url":{}}`, "roots": `{"listChanged":true}`,
	}
	for _, kind := range requestKinds {
		if m.may(kind) {
			capabilities.Set(kind, json.RawMessage(whole[kind]))
		}
	}
	return capabilities.Bytes()
}

// A question is a live request of a legacy upstream to a session's client.
type question struct {
	from   *member
	conn   *upstream.Upstream // that it came on
	to     *session
	stream *responder // of the call that it belongs to; nil for the session's own
	method string
	params json.RawMessage
	sent   func() // called once it is on its way; may be nil
}

// ask asks the client, if it and the upstream may do so.
func (q question) ask(ctx context.Context) (json.RawMessage, error) {
	kind := kindOf[q.method]
	if !q.from.may(kind) || !canAnswer(q.to.capabilities(), kind, q.params) {
		if q.from.complaints.Allow() {
			q.from.log.Warn("refused a request of the upstream", "upstream", q.from.Name, "method", q.method)
		}
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "the client does not support this method"}
	}
	if kind == "elicitation" {
		var err error
		if q.params, err = q.from.signed(q.params); err != nil {
			return nil, invalidParams("%v", err)
		}
	}
	q.params = without(q.params, taskParam)
	send := q.to.tell
	if q.stream != nil {
		send = q.stream.send
	}
	result, err := q.to.ask(ctx, send, q)
	if errors.Is(err, errGone) && q.stream != nil { // the call's stream broke; the session's own may be there
		return q.to.ask(ctx, q.to.tell, q)
	}
	return result, err
}

// body is the request as the client gets it, under the gateway's id. That also
// takes the place of a progress token: those of two upstreams may be the same.
func (q question) body(id json.RawMessage) []byte {
	if token, meta := q.progressToken(); token != nil {
		meta.Set("progressToken", id)
		params, _ := rawjson.ParseObject(q.params)
		params.Set("_meta", meta.Bytes())
		q.params = params.Bytes()
	}
	return requestBody(id, q.method, q.params)
}

// heard reports whether anybody is there who can see the question.
func (q question) heard() bool {
	return q.to.listens() || q.stream != nil && !q.stream.hungUp()
}

// progressed passes on the client's progress in answering.
func (q question) progressed(ctx context.Context, progress rawjson.Object) {
	token, _ := q.progressToken()
	if token == nil {
		return
	}
	progress.Set("progressToken", token)
	_ = q.conn.Notify(ctx, "notifications/progress", progress.Bytes()) // lost with the connection
}

// progressToken is the upstream's own; nil if it wants no progress.
func (q question) progressToken() (token json.RawMessage, meta rawjson.Object) {
	if !mentions(q.params, "progressToken") {
		return nil, nil
	}
	params, _ := rawjson.ParseObject(q.params) // malformed, it asks for nothing
	meta, _ = rawjson.ParseObject(params.Get("_meta"))
	return meta.Get("progressToken"), meta
}

// signed shows who asks, in the message of an elicitation: people must not take
// an upstream's question for the gateway's or another upstream's.
func (m *member) signed(elicitation json.RawMessage) (json.RawMessage, error) {
	o, err := rawjson.ParseObject(elicitation)
	if err != nil {
		return nil, fmt.Errorf("has a malformed elicitation: %w", err)
	}
	dropLookalikes(&o, "message", "mode", "url", "requestedSchema", "elicitationId")
	message, _ := o.GetString("message")
	o.Set("message", rawjson.String("["+m.Name+"] "+message))
	return o.Bytes(), nil
}

// dropLookalikes drops members that equal one of names but for case: a client
// that ignores case would take them for it, and show what nobody has checked.
func dropLookalikes(o *rawjson.Object, names ...string) {
	*o = slices.DeleteFunc(*o, func(member rawjson.Member) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			return member.Name != name && strings.EqualFold(member.Name, name)
		})
	})
}

// canAnswer reports whether a client with the capabilities can be asked. One
// that names no mode of elicitation has forms (MCP 2025-11-25, "Elicitation"),
// and a model is given tools only by one that says so ("Sampling").
func canAnswer(capabilities rawjson.Object, kind string, params json.RawMessage) bool {
	raw := capabilities.Get(kind)
	if raw == nil || string(raw) == "null" || kind == "roots" {
		return raw != nil && string(raw) != "null"
	}
	able, _ := rawjson.ParseObject(raw) // malformed, it names nothing
	o, _ := rawjson.ParseObject(params)
	if kind == "sampling" {
		return o.Get("tools") == nil && o.Get("toolChoice") == nil || able.Get("tools") != nil
	}
	if mode, _ := o.GetString("mode"); mode == "url" {
		return able.Get("url") != nil
	}
	return able.Get("form") != nil || able.Get("url") == nil
}

// can reports whether the request's client can be asked.
func (r Request) can(kind string, params json.RawMessage) bool {
	if r.session != nil {
		return canAnswer(r.session.capabilities(), kind, params)
	}
	capabilities, _ := rawjson.ParseObject(r.ClientCapabilities) // the door has looked at them
	return canAnswer(capabilities, kind, params)
}

// tasks are not passed on, so neither side must hear that the other has them
// (MCP 2025-11-25 "Tasks", MCP 2026-07-28 extension of that name).
const (
	tasksCapability = "tasks"
	tasksExtension  = "io.modelcontextprotocol/tasks"
	taskParam       = "task" // asks for a request to be run as one
)

// mayAsk leaves of a client's capabilities what the upstream may use; nil
// stays nil.
func (m *member) mayAsk(capabilities json.RawMessage) json.RawMessage {
	mentioned := func(kind string) bool { return !m.may(kind) && bytes.Contains(capabilities, []byte(kind)) }
	if !bytes.ContainsRune(capabilities, '\\') && !mentioned(tasksCapability) && !slices.ContainsFunc(requestKinds, mentioned) {
		return capabilities // as most are; an escape may hide a name
	}
	o, err := rawjson.ParseObject(capabilities)
	if err != nil {
		return nil
	}
	for _, kind := range requestKinds {
		if !m.may(kind) {
			o.Delete(kind)
		}
	}
	o.Delete(tasksCapability)
	if extensions, err := rawjson.ParseObject(o.Get("extensions")); err == nil && extensions.Get(tasksExtension) != nil {
		extensions.Delete(tasksExtension)
		o.Set("extensions", extensions.Bytes())
	}
	return o.Bytes()
}

// publishInputRequests makes what a modern upstream asks for, in place of an
// answer, into what the client gets: signed, and only what the upstream may
// ask (MCP 2026-07-28, "Multi Round-Trip Requests").
func (m *member) publishInputRequests(r Request, result *rawjson.Object) error {
	raw := result.Get("inputRequests")
	if raw == nil {
		return nil
	}
	requests, err := rawjson.ParseObject(raw)
	if err != nil {
		return fmt.Errorf("has malformed inputRequests: %w", err)
	}
	for i, request := range requests {
		o, err := rawjson.ParseObject(request.Value)
		if err != nil {
			return fmt.Errorf("has a malformed input request: %w", err)
		}
		dropLookalikes(&o, "method", "params")
		method, _ := o.GetString("method")
		if err := m.mayAskOf(r, method, o.Get("params")); err != nil {
			return err
		}
		if kindOf[method] == "elicitation" {
			params, err := m.signed(o.Get("params"))
			if err != nil {
				return err
			}
			o.Set("params", params)
		}
		requests[i].Value = o.Bytes()
	}
	result.Set("inputRequests", requests.Bytes())
	return nil
}

// mayAskOf makes sure that the upstream may ask the request's client for
// something, and that the client can answer.
func (m *member) mayAskOf(r Request, method string, params json.RawMessage) error {
	switch kind := kindOf[method]; {
	case !m.may(kind):
		return fmt.Errorf("asks for %q, which is not among the upstream's requests", method)
	case !r.can(kind, params):
		return fmt.Errorf("asks for %q, which the client does not support", method)
	}
	return nil
}

// codeURLElicitation is the error of a call that needs somebody to visit a URL
// first (MCP 2025-11-25, "URL Elicitation Required Error"). Its data list
// elicitations.
const codeURLElicitation = -32042

// signError shows who asks in an error that asks for something, if the upstream
// may ask and the client can be asked.
func (m *member) signError(r Request, err error) error {
	var answer *jsonrpc.Error
	if !errors.As(err, &answer) || answer.Code != codeURLElicitation {
		return err
	}
	data, err := rawjson.ParseObject(answer.Data)
	dropLookalikes(&data, "elicitations")
	switch {
	case len(answer.Data) == 0 || string(answer.Data) == "null" || err == nil && data.Get("elicitations") == nil:
		return answer
	case !m.may("elicitation"):
		return badResult(m, errors.New("asks somebody to visit a URL, and elicitation is not among the upstream's requests"))
	case !r.can("elicitation", json.RawMessage(`{"mode":"url"}`)):
		return badResult(m, errors.New("asks somebody to visit a URL, which the client does not support"))
	}
	if err != nil {
		return badResult(m, fmt.Errorf("asks for input, but is malformed: %w", err))
	}
	elicitations, err := rawjson.ParseArray(data.Get("elicitations"))
	if err != nil {
		return badResult(m, fmt.Errorf("asks for input, but is malformed: %w", err))
	}
	for i, raw := range elicitations {
		if elicitations[i], err = m.signed(raw); err != nil {
			return badResult(m, err)
		}
	}
	data.Set("elicitations", rawjson.Array(elicitations))
	return &jsonrpc.Error{Code: answer.Code, Message: answer.Message, Data: data.Bytes()}
}

// capabilities are what the client said it can do when it opened the session.
func (s *session) capabilities() rawjson.Object {
	o, _ := rawjson.ParseObject(s.client.capabilities) // none, if they are malformed
	return o
}

// without is an object without one of its members.
func without(raw json.RawMessage, name string) json.RawMessage {
	if !mentions(raw, name) {
		return raw
	}
	o, err := rawjson.ParseObject(raw)
	if err != nil || o.Get(name) == nil {
		return raw
	}
	o.Delete(name)
	return o.Bytes()
}

// mentions is a quick look for the name of a member, which an escape may hide.
func mentions(raw json.RawMessage, name string) bool {
	return bytes.Contains(raw, []byte(name)) || bytes.ContainsRune(raw, '\\')
}
