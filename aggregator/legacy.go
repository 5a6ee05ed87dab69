package aggregator

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// capabilities are declared up front: what is published may come and go while
// a client is connected.
var capabilities = &mcp.ServerCapabilities{
	Tools:       &mcp.ToolCapabilities{ListChanged: true},
	Prompts:     &mcp.PromptCapabilities{ListChanged: true},
	Resources:   &mcp.ResourceCapabilities{ListChanged: true},
	Completions: &mcp.CompletionCapabilities{},
}

func (g *Gateway) implementation() *mcp.Implementation {
	return &mcp.Implementation{Name: "mcpagg", Title: "mcpagg gateway", Version: g.opts.Version}
}

// openLegacyDoor builds what the SDK does for the legacy era: framing, sessions
// and streams around one shared server. Every method of the gateway is answered
// before the SDK's own handlers, in receive.
func (g *Gateway) openLegacyDoor() {
	g.server = mcp.NewServer(g.implementation(), &mcp.ServerOptions{Capabilities: capabilities})
	g.server.AddReceivingMiddleware(g.receive)
	g.legacy = mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return g.server },
		// The door checks Host and bounds bodies itself.
		&mcp.StreamableHTTPOptions{DisableLocalhostProtection: true, MaxRequestBodyBytes: -1},
	)
}

// receive is the SDK's way to the gateway.
func (g *Gateway) receive(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		x := g.exchanges.of(req)
		if x == nil { // the client has hung up, or sent a notification, which nobody waits for
			if strings.HasPrefix(method, "notifications/") {
				return next(ctx, method, req)
			}
			return nil, context.Canceled
		}
		r, err := x.request(method, req)
		if err != nil {
			return nil, err
		}
		body, ours, err := g.Serve(ctx, r)
		if !ours {
			return g.receiveOther(ctx, method, req, x, next)
		}
		if err != nil {
			return nil, err
		}
		return &rawResult{body: body}, nil
	}
}

// receiveOther leaves a method to the SDK and completes its answer.
func (g *Gateway) receiveOther(ctx context.Context, method string, req mcp.Request, x *exchange, next mcp.MethodHandler) (mcp.Result, error) {
	result, err := next(ctx, method, req)
	if err != nil {
		return result, err
	}
	if opened, ok := result.(*mcp.InitializeResult); ok {
		opened.Instructions = g.Catalog().instructions
		ss := req.GetSession().(*mcp.ServerSession)
		g.sessions.open(ss, x.Caller)
		g.log.Info("session opened", "caller", x.Caller.ID, "client", clientName(ss), "remote", x.remote)
	}
	return result, nil
}

func clientName(ss *mcp.ServerSession) string {
	if p := ss.InitializeParams(); p != nil && p.ClientInfo != nil {
		return p.ClientInfo.Name + " " + p.ClientInfo.Version
	}
	return ""
}

// A rawResult goes to the client as it is.
type rawResult struct {
	mcp.ResultBase
	body json.RawMessage
}

func (r *rawResult) MarshalJSON() ([]byte, error) { return r.body, nil }

// exchangeHeader carries an exchange's key through the SDK: headers are the
// only part of an HTTP request that reaches the middleware. A client's own
// header of that name is overwritten.
const exchangeHeader = "Mcpagg-Exchange"

// An exchange is what the door knows of one HTTP request.
type exchange struct {
	Request                 // Params only once they are taken apart
	batch   bool            // several messages; then the rest is empty
	meta    rawjson.Object  // of a modern request's params
	id      json.RawMessage // of the message; nil in a notification and in a batch
	params  json.RawMessage // nil where there are none, and in a batch
	remote  string          // the client's address
}

// exchanges are those being served.
type exchanges struct {
	last  atomic.Uint64
	byKey sync.Map // string -> *exchange
}

// begin registers x and names it in h. The caller ends it with the result.
func (xs *exchanges) begin(h http.Header, x *exchange) (end func()) {
	key := strconv.FormatUint(xs.last.Add(1), 36)
	xs.byKey.Store(key, x)
	h.Set(exchangeHeader, key)
	return func() { xs.byKey.Delete(key) }
}

// of returns the exchange that req came with, or nil.
func (xs *exchanges) of(req mcp.Request) *exchange {
	extra := req.GetExtra()
	if extra == nil {
		return nil
	}
	x, _ := xs.byKey.Load(extra.Header.Get(exchangeHeader))
	found, _ := x.(*exchange)
	return found
}

// request takes the raw params apart. The SDK's decoded ones lose number forms
// and unknown members; only those of a batch are taken from it.
func (x *exchange) request(method string, req mcp.Request) (Request, error) {
	r := x.Request
	r.Method = method
	raw := x.params
	if raw == nil {
		raw = rawjson.Value(req.GetParams())
	}
	if raw == nil || string(raw) == "null" {
		return r, nil
	}
	var err error
	r.Params, err = parseParams(raw)
	return r, err
}

func parseParams(raw json.RawMessage) (rawjson.Object, error) {
	if raw == nil {
		return nil, nil
	}
	params, err := rawjson.ParseObject(raw)
	if err != nil {
		return nil, invalidParams("params: %v", err)
	}
	return params, nil
}
