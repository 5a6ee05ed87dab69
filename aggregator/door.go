package aggregator

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	defaultRequestBytes = 4 << 20

	// readTimeout bounds how long a client may take to send a body, and
	// writeTimeout how long to take one piece of an answer.
	readTimeout  = 30 * time.Second
	writeTimeout = 30 * time.Second

	// restTimeout bounds how long the body of a request that is refused may take:
	// net/http reads it before it answers.
	restTimeout = 2 * time.Second

	// modernVersion is the first revision without handshake and sessions.
	modernVersion = "2026-07-28"

	// codeNoSession is what MCP servers answer, with 404, for a session they
	// do not know (MCP 2025-11-25, "Session Management").
	codeNoSession = -32001

	versionHeader = "Mcp-Protocol-Version"
	sessionHeader = "Mcp-Session-Id"
	nameHeader    = "Mcp-Name"
)

// signInPaths are where clients sign in, or find out how, and where people see
// what they may use.
var signInPaths = []string{"/.well-known/", "/mcp/.well-known/", "/oauth2/", "/authorize", "/token", "/register", "/me", "/me/"}

// Handler serves /mcp to clients of both eras, what they need to sign in, and
// /health.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mcp := g.guard(http.HandlerFunc(g.serveMCP))
	mux.Handle("/mcp", mcp)
	mux.Handle("/mcp/{$}", mcp)
	for _, path := range signInPaths {
		mux.HandleFunc(path, g.serveSignIn)
	}
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n") // a client that left needs no answer
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		nothingHere(w)
	})
	return mux
}

// hurry makes what is left of the body come soon.
func hurry(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(restTimeout)) // unsupported only by test recorders
}

func nothingHere(w http.ResponseWriter) {
	hurry(w)
	http.Error(w, "nothing here; the MCP endpoint is /mcp", http.StatusNotFound)
}

// serveSignIn hands a request of the way to sign in to who serves it, with the
// address of the client as that of the sender.
func (g *Gateway) serveSignIn(w http.ResponseWriter, r *http.Request) {
	signIn := g.Catalog().SignIn
	if signIn == nil {
		nothingHere(w)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout)) // unsupported only by test recorders
	signIn.ServeHTTP(&deadlineWriter{ResponseWriter: w}, g.asFromClient(r))
}

// asFromClient is the request as if it had come without proxies in between.
func (g *Gateway) asFromClient(r *http.Request) *http.Request {
	addr := g.clientAddr(r)
	r = r.WithContext(r.Context()) // a copy
	r.RemoteAddr = addr
	return r
}

// serveMCP says who is calling, chooses the era's door and hands the request
// to it together with its raw params.
func (g *Gateway) serveMCP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{Request: Request{Era: eraOf(r)}, admitted: g.Catalog().configuration}
	x.IP = g.clientIP(r, x.admitted)
	var refused *oauth.Refusal
	if x.Caller, refused = g.authenticate(r, x.admitted); refused != nil {
		refuseCaller(w, refused)
		return
	}
	if r.Method == http.MethodPost {
		if err := g.readMessage(w, r, x); err != nil {
			err.write(w)
			return
		}
	}
	if x.Era == upstream.ModernEra {
		g.serveModern(w, r, x)
		return
	}
	g.serveLegacy(w, r, x)
}

// authenticate says who sends a request.
func (g *Gateway) authenticate(r *http.Request, c *configuration) (*oauth.Caller, *oauth.Refusal) {
	switch {
	case c.Authenticate == nil:
		return oauth.Anonymous, nil
	case len(c.TrustedProxies) > 0: // the address is for the log
		r = g.asFromClient(r)
	}
	return c.Authenticate(r)
}

// stillAdmitted asks after a reload who sends a request whose stream is open: it
// must not outlive what let its caller in.
func (g *Gateway) stillAdmitted(r *http.Request, x *exchange) bool {
	x.admitted = g.Catalog().configuration
	caller, refused := g.authenticate(r, x.admitted)
	if refused != nil || caller.ID != x.Caller.ID {
		return false
	}
	x.Caller = caller
	return true
}

func refuseCaller(w http.ResponseWriter, f *oauth.Refusal) {
	if f.Challenge != "" {
		w.Header().Set("WWW-Authenticate", f.Challenge)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
	refuse(w, f.Status, jsonrpc.CodeInvalidRequest, f.Message)
}

// eraOf is decided by the version header alone: the legacy era's first request
// has none, and no version of it is later than the modern era's first.
func eraOf(r *http.Request) upstream.Era {
	if r.Header.Get(versionHeader) >= modernVersion {
		return upstream.ModernEra
	}
	return upstream.LegacyEra
}

// A refusal is an answer to a request that cannot be served.
type refusal struct {
	status  int
	code    int64
	message string
}

func (f *refusal) write(w http.ResponseWriter) { refuse(w, f.status, f.code, f.message) }

// readMessage reads the body whole and keeps its params as they are.
func (g *Gateway) readMessage(w http.ResponseWriter, r *http.Request, x *exchange) *refusal {
	limit := cmp.Or(g.Catalog().Limits.RequestBytes, defaultRequestBytes)
	var body []byte
	err := error(&http.MaxBytesError{Limit: limit})
	if r.ContentLength <= limit {
		body, err = readBody(w, r, limit)
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		w.Header().Set("Connection", "close")
		return &refusal{
			http.StatusRequestEntityTooLarge, jsonrpc.CodeInvalidRequest,
			"the request is larger than " + formatBytes(limit) + " (server.limits.request_bytes)",
		}
	}
	if err != nil {
		return &refusal{http.StatusBadRequest, jsonrpc.CodeParseError, "the request body could not be read"}
	}
	decodeName(r.Header)
	return x.parse(body)
}

// smallBody is the size of a body for which memory is set aside at once. A
// client that announces a larger one has to send it first.
const smallBody = 64 << 10

func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(readTimeout)) // unsupported only by test recorders
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

// An exchange is one HTTP request of a client and the message in it.
type exchange struct {
	Request                  // Params only once they are taken apart
	admitted *configuration  // that lets the caller in
	message  rawjson.Object  // the whole message
	id       json.RawMessage // nil in a notification
	params   json.RawMessage // nil where there are none
	meta     rawjson.Object  // of a modern request's params

	// A batch has several messages, and the rest is empty.
	batch    bool
	messages []json.RawMessage
}

// parse takes the message apart. What is in a batch is left to the door.
func (x *exchange) parse(body []byte) *refusal {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 {
		return &refusal{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "the request has no body"}
	}
	if trimmed[0] == '[' {
		var err error
		if x.messages, err = rawjson.ParseArray(body); err != nil {
			return &refusal{http.StatusBadRequest, jsonrpc.CodeParseError, "the request is not valid JSON"}
		}
		x.batch = true
		return nil
	}
	message, err := rawjson.ParseObject(body)
	if err != nil && !json.Valid(body) {
		return &refusal{http.StatusBadRequest, jsonrpc.CodeParseError, "the request is not valid JSON"}
	}
	if err != nil {
		return &refusal{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "not a JSON-RPC message: " + err.Error()}
	}
	if version, _ := message.GetString("jsonrpc"); version != "2.0" {
		return &refusal{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, `not a JSON-RPC message: "jsonrpc" is not "2.0"`}
	}
	x.message, x.id, x.params = message, message.Get("id"), message.Get("params")
	x.Method, _ = message.GetString("method")
	if x.Method == "" && message.Get("result") == nil && message.Get("error") == nil {
		return &refusal{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "not a JSON-RPC message: it has neither method, result nor error"}
	}
	if !validID(x.id) {
		return &refusal{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "the id is neither a string nor a number"}
	}
	return nil
}

// validID accepts an absent id as well, which makes a notification.
func validID(id json.RawMessage) bool {
	return id == nil || id[0] == '"' || id[0] == '-' || '0' <= id[0] && id[0] <= '9'
}

// decodeName undoes the base64 form of Mcp-Name, in which clients send names
// that HTTP headers cannot hold (MCP 2026-07-28, "Standard Request Headers").
func decodeName(h http.Header) {
	encoded, ok := strings.CutPrefix(h.Get(nameHeader), "=?base64?")
	if !ok {
		return
	}
	encoded, ok = strings.CutSuffix(encoded, "?=")
	if name, err := base64.StdEncoding.DecodeString(encoded); ok && err == nil {
		h[nameHeader] = []string{string(name)}
	}
}

// refuse answers with a JSON-RPC error that belongs to no request.
func refuse(w http.ResponseWriter, status int, code int64, message string) {
	hurry(w)
	writeError(w, status, nil, code, message)
}

func writeError(w http.ResponseWriter, status int, id json.RawMessage, code int64, message string) {
	if id == nil {
		id = json.RawMessage("null")
	}
	answer := rawjson.Object{}
	answer.Set("jsonrpc", rawjson.String("2.0"))
	answer.Set("id", id)
	answer.Set("error", rawjson.Value(map[string]any{"code": code, "message": message}))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(answer.Bytes()) // a client that left needs no answer
}

// capabilities are declared up front: what is published may come and go while
// a client is connected.
var capabilities = json.RawMessage(`{"completions":{},"logging":{},"prompts":{"listChanged":true},` +
	`"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}}`)

func (g *Gateway) implementation() *mcp.Implementation {
	return &mcp.Implementation{Name: "mcpagg", Title: "mcpagg gateway", Version: g.version}
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
