package aggregator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// Keys of _meta in a modern request (MCP 2026-07-28, "Requests").
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaClientInfo   = "io.modelcontextprotocol/clientInfo"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaLogLevel     = "io.modelcontextprotocol/logLevel"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

// serveModern serves one message of the modern era: plain request and
// response, without a session (MCP 2026-07-28, "Streamable HTTP").
func (g *Gateway) serveModern(w http.ResponseWriter, r *http.Request, x *exchange) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		refuse(w, http.StatusMethodNotAllowed, jsonrpc.CodeInvalidRequest, "only POST is allowed in this protocol version")
		return
	}
	if refused := checkMedia(r); refused != nil {
		writeError(w, refused.status, x.id, refused.code, refused.message)
		return
	}
	if x.batch {
		refuse(w, http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "batches are of revision 2025-03-26 only")
		return
	}
	if x.id == nil || x.Method == "" { // a notification or an answer: nothing to say
		w.WriteHeader(http.StatusAccepted)
		return
	}
	p := newResponder(w, r, x)
	err := x.prepare(r.Header)
	if err == nil {
		err = g.checkParams(r.Header, x)
	}
	if err != nil {
		p.answer(nil, err)
		return
	}
	if x.Method == "subscriptions/listen" {
		g.serveListen(w, r, x)
		return
	}
	x.Notify, x.alone = p.notify, true
	defer p.close()
	result, err := g.answerModern(r.Context(), x.Request)
	if errors.Is(err, context.Canceled) {
		return // the client has hung up
	}
	if isChallenged(err) && g.challenge(r, x, p) {
		return
	}
	p.answer(result, err)
}

// checkMedia makes sure that a POST has JSON and its sender takes both forms
// of answer.
func checkMedia(r *http.Request) *refusal {
	if !isJSON(r.Header.Get("Content-Type")) {
		return &refusal{http.StatusUnsupportedMediaType, jsonrpc.CodeInvalidRequest, "Content-Type must be application/json"}
	}
	if !accepts(r, "application/json") || !accepts(r, "text/event-stream") {
		return &refusal{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "Accept must contain both application/json and text/event-stream"}
	}
	return nil
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json"
}

func accepts(r *http.Request, media string) bool {
	kind, _, _ := strings.Cut(media, "/")
	for _, header := range r.Header.Values("Accept") {
		for option := range strings.SplitSeq(header, ",") {
			option, _, _ = strings.Cut(option, ";")
			switch strings.ToLower(strings.TrimSpace(option)) {
			case media, kind + "/*", "*/*":
				return true
			}
		}
	}
	return false
}

// prefersEvents reports whether the sender of a POST, which takes both forms of
// answer, names the event stream first.
func prefersEvents(r *http.Request) bool {
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	events, plain := strings.Index(accept, "text/event-stream"), strings.Index(accept, "application/json")
	return events >= 0 && (plain < 0 || events < plain)
}

// prepare takes the params apart and checks what a modern request says of
// itself, in its headers and its _meta.
func (x *exchange) prepare(h http.Header) error {
	if !modernMethods[x.Method] {
		return &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: fmt.Sprintf("method %q is not supported", x.Method)}
	}
	var err error
	if x.Params, err = parseParams(x.params); err != nil {
		return err
	}
	if x.meta, err = rawjson.ParseObject(x.Params.Get("_meta")); err != nil {
		x.meta = nil
	}
	if err := x.checkVersion(h); err != nil {
		return err
	}
	if err := x.checkHeaders(h); err != nil {
		return &jsonrpc.Error{Code: mcp.CodeHeaderMismatch, Message: err.Error()}
	}
	x.ClientInfo, x.ClientCapabilities = x.meta.Get(metaClientInfo), x.meta.Get(metaCapabilities)
	switch {
	case anObject(x.ClientCapabilities) != nil:
		return invalidParams("missing or invalid _meta field %q", metaCapabilities)
	case x.ClientInfo != nil && anObject(x.ClientInfo) != nil:
		return invalidParams("missing or invalid _meta field %q", metaClientInfo)
	}
	x.LogLevel = x.meta.Get(metaLogLevel)
	if x.LogLevel != nil && severity(x.LogLevel) < 0 {
		return invalidParams("%s in _meta is not a log level", metaLogLevel)
	}
	return nil
}

// modernMethods are those of the era that the gateway knows.
var modernMethods = map[string]bool{
	"server/discover": true, "subscriptions/listen": true, "completion/complete": true,
	"tools/list": true, "tools/call": true, "prompts/list": true, "prompts/get": true,
	"resources/list": true, "resources/templates/list": true, "resources/read": true,
}

// supportedVersions are the revisions served at this URL, newest first.
var supportedVersions = mcp.SupportedProtocolVersions()

// checkVersion makes sure that header and _meta name one supported version.
func (x *exchange) checkVersion(h http.Header) error {
	version, _ := x.meta.GetString(metaVersion)
	header := h.Get(versionHeader)
	switch {
	case version == "":
		return invalidParams("missing or invalid _meta field %q", metaVersion)
	case version != header:
		return &jsonrpc.Error{Code: mcp.CodeHeaderMismatch, Message: fmt.Sprintf(
			"header mismatch: %s is %q, and %s in _meta is %q", versionHeader, header, metaVersion, version)}
	case !slices.Contains(supportedVersions, version):
		return &jsonrpc.Error{
			Code: mcp.CodeUnsupportedProtocolVersion, Message: "unsupported protocol version",
			Data: rawjson.Value(mcp.UnsupportedProtocolVersionData{Supported: supportedVersions, Requested: version}),
		}
	}
	return nil
}

// checkHeaders makes sure that the headers repeat the body (MCP 2026-07-28,
// "Standard Request Headers"), which intermediaries may have relied on.
func (x *exchange) checkHeaders(h http.Header) error {
	if got := h.Get("Mcp-Method"); got != x.Method {
		return fmt.Errorf("header mismatch: Mcp-Method is %q, and the body's method %q", got, x.Method)
	}
	member := ""
	switch x.Method {
	case "tools/call", "prompts/get":
		member = "name"
	case "resources/read":
		member = "uri"
	default:
		return nil
	}
	name, _ := x.Params.GetString(member)
	if got := h.Get(nameHeader); got != name || name == "" {
		return fmt.Errorf("header mismatch: Mcp-Name is %q, and the body's %s %q", got, member, name)
	}
	return nil
}

// checkParams makes sure that the headers repeat the arguments which the tool
// wants in headers.
func (g *Gateway) checkParams(h http.Header, x *exchange) error {
	name, _ := x.Params.GetString("name")
	tool, ok := g.catalogOf(x.Request).tools.get(name)
	if x.Method != "tools/call" || !ok {
		return nil
	}
	if err := upstream.CheckParamHeaders(tool.definition, x.Params.Get("arguments"), h); err != nil {
		return &jsonrpc.Error{Code: mcp.CodeHeaderMismatch, Message: err.Error()}
	}
	return nil
}

// answerModern answers a request but subscriptions/listen.
func (g *Gateway) answerModern(ctx context.Context, r Request) (json.RawMessage, error) {
	if r.Method == "server/discover" {
		return g.discover(r), nil
	}
	result, _, err := g.Serve(ctx, r)
	return result, err
}

// discover is the result of server/discover.
func (g *Gateway) discover(r Request) json.RawMessage {
	result := rawjson.Object{}
	result.Set("supportedVersions", rawjson.Value(supportedVersions))
	result.Set("capabilities", capabilities)
	if instructions := g.catalogOf(r).instructions; instructions != "" {
		result.Set("instructions", rawjson.String(instructions))
	}
	setCompleteForCaller(&result, 0)
	meta := rawjson.Object{}
	meta.Set(serverInfoKey, rawjson.Value(g.implementation()))
	result.Set("_meta", meta.Bytes())
	return result.Bytes()
}
