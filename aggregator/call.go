package aggregator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/aggregator/audit"
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
	IP     netip.Addr // of the client; the zero value if it is not known
	// ClientInfo and ClientCapabilities are what a modern client says of
	// itself with each request; nil for others.
	ClientInfo, ClientCapabilities json.RawMessage
	// LogLevel is the level at which a modern client wants log messages with
	// this request; nil for none.
	LogLevel json.RawMessage
	// Notify, if not nil, tells the client something ahead of the answer.
	Notify func(method string, params json.RawMessage)

	catalog    *Catalog   // that it is served from, what the caller sees; set by Serve
	about      *matter    // what it turns out to be about; set by Serve
	idempotent bool       // it does no harm if it is served twice
	alone      bool       // its answer is all of an HTTP response, and may be a challenge
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
	r.catalog, r.about = g.catalogOf(r), &matter{}
	if r.Method == "tools/call" || r.Method == "prompts/get" { // whatever becomes of it, the audit file has a hash
		r.about.arguments.raw = r.Params.Get("arguments")
	}
	if err = g.admit(r); err == nil {
		result, ok, err = g.serve(ctx, r)
	} else {
		ok = true
	}
	if refused := (*challenged)(nil); errors.As(err, &refused) {
		_, _ = g.refuse(r, refused.denied) // notes it; a challenge has no room for the answer
		return nil, true, refused
	}
	if hasEnded(r.Caller) {
		return nil, true, errSignedOut
	}
	err = cmp.Or(r.stoppedMeanwhile(), err)
	if err != nil {
		result, err = g.answerOf(r, err)
	}
	return result, ok, err
}

// answerOf is what the client gets of err.
func (g *Gateway) answerOf(r Request, err error) (json.RawMessage, error) {
	if refused := (*denied)(nil); errors.As(err, &refused) {
		return g.refuse(r, refused)
	}
	return nil, err
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

// callTool serves tools/call.
func (g *Gateway) callTool(ctx context.Context, r Request) (json.RawMessage, error) {
	name, _ := r.Params.GetString("name")
	tool, ok := r.catalog.tools.get(name)
	if !ok {
		if tool, ok := r.catalog.whole().tools.get(name); ok {
			r.about.isTool(tool)
			g.record(r, audit.Deny, hidden)
		}
		return nil, unknown("tool", name)
	}
	r.about.isTool(tool)
	ctx, leave, err := g.enter(ctx, r)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := g.rates.allow(r.Caller); err != nil {
		return nil, err
	}
	args, err := tool.arguments(r.Params.Get("arguments"), r.catalog.Policy)
	if err != nil {
		return nil, &denied{reason: "arguments", argument: tool.culprit(err), answer: invalidParams("arguments of %s: %v", name, err)}
	}
	r.Params.Set("name", rawjson.String(tool.Original))
	if args.raw != nil {
		r.Params.Set("arguments", args.raw)
	}
	r.Params.Delete(taskParam)
	demands, err := g.decide(ctx, r, args)
	if err != nil {
		return nil, err
	}
	if err := g.mark(ctx, r, tool.labels); err != nil {
		return nil, err
	}
	r.idempotent = tool.idempotent
	r.Notify = redactingLogs(r.Notify, demands.Redact)
	result, err := g.pass(ctx, r, tool.member, tool.member.publishToolResult)
	return release(r, demands, result, err)
}

// getPrompt serves prompts/get.
func (g *Gateway) getPrompt(ctx context.Context, r Request) (json.RawMessage, error) {
	name, _ := r.Params.GetString("name")
	prompt, ok := r.catalog.prompts.get(name)
	if !ok {
		if prompt, ok := r.catalog.whole().prompts.get(name); ok {
			r.about.isPrompt(prompt)
			g.record(r, audit.Deny, hidden)
		}
		return nil, unknown("prompt", name)
	}
	r.about.isPrompt(prompt)
	ctx, leave, err := g.enter(ctx, r)
	if err != nil {
		return nil, err
	}
	defer leave()
	args, err := prompt.arguments(r.Params.Get("arguments"), r.catalog.Policy)
	if err != nil {
		return nil, &denied{reason: "arguments", answer: invalidParams("arguments of %s: %v", name, err)}
	}
	r.Params.Set("name", rawjson.String(prompt.original))
	demands, err := g.decide(ctx, r, args)
	if err != nil {
		return nil, err
	}
	r.Notify = redactingLogs(r.Notify, demands.Redact)
	result, err := g.pass(ctx, r, prompt.member, prompt.member.publishPromptResult)
	return release(r, demands, result, err)
}

// readResource serves resources/read.
func (g *Gateway) readResource(ctx context.Context, r Request) (json.RawMessage, error) {
	uri, _ := r.Params.GetString("uri")
	t, ok := g.resource(r, uri)
	if !ok {
		if t.member != nil {
			r.about.isResource(t, uri)
			g.record(r, audit.Deny, hidden)
		}
		return nil, notFoundIn(r.Era, upstream.LegacyEra, noResource(uri))
	}
	r.about.isResource(t, uri)
	ctx, leave, err := g.enter(ctx, r)
	if err != nil {
		return nil, err
	}
	defer leave()
	r.Params.Set("uri", rawjson.String(t.original))
	demands, err := g.decide(ctx, r, arguments{})
	if err != nil {
		return nil, err
	}
	r.Notify = redactingLogs(r.Notify, demands.Redact)
	result, from, err := g.passTo(ctx, r, t.member, t.member.publishReadResult)
	result, err = release(r, demands, result, err)
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
	if err := g.completes(r, &ref); err != nil {
		return nil, err
	}
	ctx, leave, err := g.enter(ctx, r)
	if err != nil {
		return nil, err
	}
	defer leave()
	if p := r.catalog.Policy; p != nil && !r.about.member.Observe && !p.MayDecide(g.question(r, time.Now())) {
		return nil, deniedByPolicy(byPolicy, "denied by policy")
	}
	r.Params.Set("ref", ref.Bytes())
	return g.pass(ctx, r, r.about.member, nil)
}

// completes finds out what ref is about, and puts the original name or URI into it.
func (g *Gateway) completes(r Request, ref *rawjson.Object) error {
	switch kind, _ := ref.GetString("type"); kind {
	case "ref/prompt":
		name, _ := ref.GetString("name")
		prompt, ok := r.catalog.prompts.get(name)
		if !ok {
			return unknown("prompt", name)
		}
		r.about.isPrompt(prompt)
		ref.Set("name", rawjson.String(prompt.original))
	case "ref/resource":
		uri, _ := ref.GetString("uri")
		t, ok := g.reference(r, uri)
		if !ok {
			return unknown("resource", uri)
		}
		r.about.isResource(t, uri)
		ref.Set("uri", rawjson.String(t.original))
	default:
		return invalidParams("ref.type %q is neither ref/prompt nor ref/resource", kind)
	}
	return nil
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
