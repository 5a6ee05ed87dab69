package aggregator

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A Request is one request of a client, from either door.
type Request struct {
	Caller Caller
	Era    upstream.Era // of the client
	Method string
	Params rawjson.Object
	// ClientInfo and ClientCapabilities are what a modern client says of
	// itself with each request; nil for others.
	ClientInfo, ClientCapabilities json.RawMessage
	// Notify, if not nil, tells the client something ahead of the answer.
	Notify func(method string, params json.RawMessage)
}

// Serve answers one request with the raw result. Its errors are
// *jsonrpc.Error, unless ctx ended. ok is false for methods that are not the
// gateway's own, such as ping.
func (g *Gateway) Serve(ctx context.Context, r Request) (result json.RawMessage, ok bool, err error) {
	if err := checkCase(r.Params, "params"); err != nil {
		return nil, true, err
	}
	switch r.Method {
	case "tools/list":
		result, err = g.listTools(r)
	case "tools/call":
		result, err = g.callTool(ctx, r)
	case "prompts/list":
		result, err = g.listItems(r, "prompts", &g.Catalog().prompts)
	case "prompts/get":
		result, err = g.getPrompt(ctx, r)
	case "resources/list":
		result, err = g.listItems(r, "resources", &g.Catalog().resources)
	case "resources/templates/list":
		result, err = g.listItems(r, "resourceTemplates", &g.Catalog().templates)
	case "resources/read":
		result, err = g.readResource(ctx, r)
	case "completion/complete":
		result, err = g.complete(ctx, r)
	default:
		return nil, false, nil
	}
	return result, true, err
}

// callTool serves tools/call.
func (g *Gateway) callTool(ctx context.Context, r Request) (json.RawMessage, error) {
	name, _ := r.Params.GetString("name")
	tool, ok := g.Catalog().tools.get(name)
	if !ok {
		return nil, unknown("tool", name)
	}
	if err := g.rates.allow(r.Caller); err != nil {
		return nil, err
	}
	args, err := tool.arguments(r.Params.Get("arguments"))
	if err != nil {
		return nil, invalidParams("arguments of %s: %v", name, err)
	}
	r.Params.Set("name", rawjson.String(tool.Original))
	if args != nil {
		r.Params.Set("arguments", args)
	}
	era := eraOfConn(tool.conn)
	result, err := r.send(ctx, tool.conn)
	if err != nil {
		return nil, err
	}
	return finish(r, era, tool.conn, result, g.members[tool.Upstream].publishToolResult)
}

// getPrompt serves prompts/get.
func (g *Gateway) getPrompt(ctx context.Context, r Request) (json.RawMessage, error) {
	name, _ := r.Params.GetString("name")
	prompt, ok := g.Catalog().prompts.get(name)
	if !ok {
		return nil, unknown("prompt", name)
	}
	if err := checkArguments(r.Params.Get("arguments"), nil); err != nil {
		return nil, invalidParams("arguments of %s: %v", name, err)
	}
	r.Params.Set("name", rawjson.String(prompt.original))
	era := eraOfConn(prompt.member.conn)
	result, err := r.send(ctx, prompt.member.conn)
	if err != nil {
		return nil, err
	}
	return finish(r, era, prompt.member.conn, result, prompt.member.publishPromptResult)
}

// readResource serves resources/read.
func (g *Gateway) readResource(ctx context.Context, r Request) (json.RawMessage, error) {
	uri, _ := r.Params.GetString("uri")
	m, original, ok := g.route(uri)
	if !ok {
		return nil, notFoundIn(r.Era, noResource(uri))
	}
	r.Params.Set("uri", rawjson.String(original))
	era := eraOfConn(m.conn)
	result, err := r.send(ctx, m.conn)
	if err != nil {
		return nil, notFoundIn(r.Era, err)
	}
	return finish(r, era, m.conn, result, m.publishReadResult)
}

// complete serves completion/complete for a prompt's or a template's argument.
func (g *Gateway) complete(ctx context.Context, r Request) (json.RawMessage, error) {
	ref, err := rawjson.ParseObject(r.Params.Get("ref"))
	if err != nil {
		return nil, invalidParams("ref: %v", err)
	}
	if err := checkCase(ref, "ref"); err != nil {
		return nil, err
	}
	m, err := g.completer(&ref)
	if err != nil {
		return nil, err
	}
	r.Params.Set("ref", ref.Bytes())
	era := eraOfConn(m.conn)
	result, err := r.send(ctx, m.conn)
	if err != nil {
		return nil, err
	}
	return finish(r, era, m.conn, result, nil)
}

// completer finds who completes ref, and puts the original name or URI into it.
func (g *Gateway) completer(ref *rawjson.Object) (*member, error) {
	switch kind, _ := ref.GetString("type"); kind {
	case "ref/prompt":
		name, _ := ref.GetString("name")
		prompt, ok := g.Catalog().prompts.get(name)
		if !ok {
			return nil, unknown("prompt", name)
		}
		ref.Set("name", rawjson.String(prompt.original))
		return prompt.member, nil
	case "ref/resource":
		uri, _ := ref.GetString("uri")
		m, original, ok := g.route(uri)
		if !ok {
			return nil, unknown("resource", uri)
		}
		ref.Set("uri", rawjson.String(original))
		return m, nil
	default:
		return nil, invalidParams("ref.type %q is neither ref/prompt nor ref/resource", kind)
	}
}

// send passes the request on to its upstream.
func (r Request) send(ctx context.Context, to *upstream.Upstream) (json.RawMessage, error) {
	progress := r.progress()
	result, err := to.Call(ctx, upstream.Call{
		Method: r.Method, Params: r.Params.Bytes(),
		ClientInfo: r.ClientInfo, ClientCapabilities: withoutSampling(r.ClientCapabilities),
		Progress: progress != nil, Notify: progress,
	})
	if err != nil {
		return nil, callFailed(err)
	}
	return result, nil
}

// paramNames are the members of params, and of a completion's ref, that say
// what a request is about.
var paramNames = []string{"name", "arguments", "uri", "ref", "argument", "context", "cursor", "type", "_meta"}

// checkCase refuses members that equal a known one but for case: an upstream
// that ignores case would take them for it, and call what nobody allowed.
func checkCase(o rawjson.Object, where string) error {
	for _, m := range o {
		for _, known := range paramNames {
			if m.Name != known && strings.EqualFold(m.Name, known) {
				return invalidParams("%s: %q differs from %q in case only", where, m.Name, known)
			}
		}
	}
	return nil
}

// withoutSampling keeps an upstream from asking for what spends the client's
// model.
func withoutSampling(capabilities json.RawMessage) json.RawMessage {
	o, err := rawjson.ParseObject(capabilities)
	if err != nil || o.Get("sampling") == nil {
		return capabilities
	}
	o.Delete("sampling")
	return o.Bytes()
}

// progress passes the upstream's progress of this call on, under the client's
// own token. It is nil where the client wants none.
func (r Request) progress() func(method string, params json.RawMessage) {
	meta, err := rawjson.ParseObject(r.Params.Get("_meta"))
	token := meta.Get("progressToken")
	if err != nil || token == nil || r.Notify == nil {
		return nil
	}
	return func(method string, params json.RawMessage) {
		o, err := rawjson.ParseObject(params)
		if err != nil || method != "notifications/progress" {
			return
		}
		o.Set("progressToken", token)
		r.Notify(method, o.Bytes())
	}
}
