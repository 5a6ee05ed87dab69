package aggregator

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A Request is one request of a client, from either door.
type Request struct {
	Caller *oauth.Caller
	Era    upstream.Era // of the client
	Method string
	Params rawjson.Object
	// ClientInfo and ClientCapabilities are what a modern client says of
	// itself with each request; nil for others.
	ClientInfo, ClientCapabilities json.RawMessage
	// LogLevel is the level at which a modern client wants log messages with
	// this request; nil for none.
	LogLevel json.RawMessage
	// Notify, if not nil, tells the client something ahead of the answer.
	Notify func(method string, params json.RawMessage)

	catalog    *Catalog   // that it is served from, set by Serve
	idempotent bool       // it does no harm if it is served twice
	session    *session   // of a legacy client; nil for others
	stream     *responder // where a legacy client is asked; nil in a batch
}

// Serve answers one request with the raw result. Its errors are
// *jsonrpc.Error, unless ctx ended. ok is false for methods that are not the
// gateway's own, such as ping. A caller whose session ends meanwhile gets no
// result.
func (g *Gateway) Serve(ctx context.Context, r Request) (result json.RawMessage, ok bool, err error) {
	if err := checkCase(r.Params, "params"); err != nil {
		return nil, true, err
	}
	r.catalog = g.catalogOf(r)
	if err = g.admit(r); err != nil {
		return nil, true, answerOf(err)
	}
	result, ok, err = g.serve(ctx, r)
	if hasEnded(r.Caller) {
		return nil, true, errSignedOut
	}
	return result, ok, answerOf(err)
}

// serve answers a request whose caller is admitted.
func (g *Gateway) serve(ctx context.Context, r Request) (result json.RawMessage, ok bool, err error) {
	switch r.Method {
	case "tools/list":
		result, err = g.listTools(r)
	case "tools/call":
		result, err = g.callTool(ctx, r)
	case "prompts/list":
		result, err = g.listItems(r, "prompts", &r.catalog.prompts)
	case "prompts/get":
		result, err = g.getPrompt(ctx, r)
	case "resources/list":
		result, err = g.listItems(r, "resources", &r.catalog.resources)
	case "resources/templates/list":
		result, err = g.listItems(r, "resourceTemplates", &r.catalog.templates)
	case "resources/read":
		result, err = g.readResource(ctx, r)
	case "resources/subscribe":
		result, err = g.subscribe(ctx, r)
	case "resources/unsubscribe":
		result, err = g.unsubscribe(ctx, r)
	case "logging/setLevel":
		result, err = g.setLevel(r)
	case "completion/complete":
		result, err = g.complete(ctx, r)
	default:
		return nil, false, nil
	}
	return result, true, err
}

// admit refuses who may be in groups that are not known now: nothing can be
// said about what such a caller may do.
func (g *Gateway) admit(r Request) error {
	why := unknownGroups(r.Caller)
	if why == "" {
		return nil
	}
	err := &denied{"groups unavailable", &jsonrpc.Error{Code: codeDenied, Message: "denied: " + why}}
	if r.Method == "tools/call" {
		name, _ := r.Params.GetString("name")
		tool, _ := g.catalogOf(r).tools.get(name)
		g.noteDenial(r.Caller, tool, err)
	}
	return err
}

// unknownGroups says why nobody knows which groups the caller is in, "" if they
// are known.
func unknownGroups(c *oauth.Caller) string {
	if !c.Groups.Unavailable {
		return ""
	}
	return "your groups are unavailable, since " + c.Groups.Why + "; try again later, or ask the gateway's operator"
}

// callTool serves tools/call.
func (g *Gateway) callTool(ctx context.Context, r Request) (result json.RawMessage, err error) {
	name, _ := r.Params.GetString("name")
	tool, ok := r.catalog.tools.get(name)
	if !ok {
		return nil, unknown("tool", name)
	}
	defer func() { g.noteDenial(r.Caller, tool, err) }()
	if err := g.rates.allow(r.Caller); err != nil {
		return nil, err
	}
	args, err := tool.arguments(r.Params.Get("arguments"))
	if err != nil {
		return nil, &denied{"arguments", invalidParams("arguments of %s: %v", name, err)}
	}
	r.Params.Set("name", rawjson.String(tool.Original))
	if args != nil {
		r.Params.Set("arguments", args)
	}
	r.Params.Delete(taskParam)
	r.idempotent = tool.idempotent
	return g.pass(ctx, r, tool.member, tool.member.publishToolResult)
}

// getPrompt serves prompts/get.
func (g *Gateway) getPrompt(ctx context.Context, r Request) (json.RawMessage, error) {
	name, _ := r.Params.GetString("name")
	prompt, ok := r.catalog.prompts.get(name)
	if !ok {
		return nil, unknown("prompt", name)
	}
	if err := checkArguments(r.Params.Get("arguments"), nil); err != nil {
		return nil, invalidParams("arguments of %s: %v", name, err)
	}
	r.Params.Set("name", rawjson.String(prompt.original))
	return g.pass(ctx, r, prompt.member, prompt.member.publishPromptResult)
}

// readResource serves resources/read.
func (g *Gateway) readResource(ctx context.Context, r Request) (json.RawMessage, error) {
	uri, _ := r.Params.GetString("uri")
	m, original, ok := r.catalog.route(uri)
	if !ok {
		return nil, notFoundIn(r.Era, upstream.LegacyEra, noResource(uri))
	}
	r.Params.Set("uri", rawjson.String(original))
	result, from, err := g.passTo(ctx, r, m, m.publishReadResult)
	return result, notFoundIn(r.Era, from, err)
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
	m, err := r.catalog.completer(&ref)
	if err != nil {
		return nil, err
	}
	r.Params.Set("ref", ref.Bytes())
	return g.pass(ctx, r, m, nil)
}

// completer finds who completes ref, and puts the original name or URI into it.
func (c *Catalog) completer(ref *rawjson.Object) (*member, error) {
	switch kind, _ := ref.GetString("type"); kind {
	case "ref/prompt":
		name, _ := ref.GetString("name")
		prompt, ok := c.prompts.get(name)
		if !ok {
			return nil, unknown("prompt", name)
		}
		ref.Set("name", rawjson.String(prompt.original))
		return prompt.member, nil
	case "ref/resource":
		uri, _ := ref.GetString("uri")
		m, original, ok := c.route(uri)
		if !ok {
			return nil, unknown("resource", uri)
		}
		ref.Set("uri", rawjson.String(original))
		return m, nil
	default:
		return nil, invalidParams("ref.type %q is neither ref/prompt nor ref/resource", kind)
	}
}

// pass sends the request, whose names are the original ones by now, to its
// upstream and makes the client's result of the answer.
func (g *Gateway) pass(ctx context.Context, r Request, m *member, publish func(*rawjson.Object) error) (json.RawMessage, error) {
	result, _, err := g.passTo(ctx, r, m, publish)
	return result, err
}

// passTo is pass, and says of which era the answer is.
func (g *Gateway) passTo(ctx context.Context, r Request, m *member, publish func(*rawjson.Object) error) (json.RawMessage, upstream.Era, error) {
	a, err := g.send(ctx, &r, m)
	if err != nil {
		return nil, a.era, callFailed(m.signError(r, err))
	}
	if a.asks {
		return a.result, a.era, nil
	}
	result, err := g.finish(r, a.era, m, a.result, publish)
	return result, a.era, err
}

// An answer is the result of an upstream, or in place of one what it asks the
// client for.
type answer struct {
	result json.RawMessage
	era    upstream.Era // of the connection it came on; "" if there was none
	asks   bool         // the gateway has made the result, since a legacy upstream asks
}

// send sends the request to its upstream. A legacy upstream that can tell whose
// call it asks for something may ask a modern client, whose call waits
// meanwhile for the answers.
func (g *Gateway) send(ctx context.Context, r *Request, m *member) (answer, error) {
	waiting, err := g.openState(r, m)
	if err != nil {
		return answer{}, err
	}
	if waiting != nil {
		return waiting.resume(ctx, *r)
	}
	in, err := g.instanceFor(ctx, *r, m)
	if err != nil {
		return answer{}, err
	}
	if in.link != m.link && r.Params.Get("requestState") != nil { // a reload came in between
		in.leave()
		return answer{}, errState
	}
	if r.Era == upstream.ModernEra && mayNeedInput[r.Method] && in.owner != (owner{}) {
		return g.callParking(ctx, *r, m, in)
	}
	defer in.leave()
	ctx, stop := untilEnded(ctx, r.Caller)
	defer stop()
	return g.callAnswering(ctx, *r, m, in)
}

// call is the request as it goes to the upstream.
func (r Request) call(m *member, t *talk, era *upstream.Era) upstream.Call {
	call := upstream.Call{
		Method: r.Method, Params: r.Params.Bytes(), Era: era,
		ClientInfo: r.ClientInfo, ClientCapabilities: m.mayAsk(r.ClientCapabilities), LogLevel: t.logLevel,
		Idempotent: r.idempotent || r.Method != "tools/call",
		Progress:   t.progressToken != nil, Notify: t.notify, Request: t.request,
	}
	if s := r.session; s != nil {
		call.ClientInfo, call.ClientCapabilities = s.client.info, m.mayAsk(s.client.capabilities)
	}
	return call
}

// paramNames are the members of params, and of a completion's ref, that say
// what a request is about.
var paramNames = []string{"name", "arguments", "uri", "ref", "argument", "context", "cursor", "type", "_meta", "inputResponses", "requestState"}

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
