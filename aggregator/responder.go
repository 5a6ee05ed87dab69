package aggregator

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// errGone says that nothing more can be said on a stream.
var errGone = errors.New("the client no longer listens")

// A responder writes what one HTTP request of a client gets: a JSON body with
// the answer or, once something has to be said ahead of it, an event stream. A
// client that names that first in Accept gets one anyway. It is safe for
// concurrent use.
type responder struct {
	era    upstream.Era
	id     json.RawMessage // of the request
	events bool            // answer in an event stream where either would do
	gone   <-chan struct{} // closed when the client has hung up

	mu     sync.Mutex
	w      http.ResponseWriter
	stream *eventStream // nil until the first message; guarded by mu
	quiet  *time.Timer  // runs while the stream is open and nothing is said; guarded by mu
	done   bool         // the answer is written; guarded by mu
}

func newResponder(w http.ResponseWriter, r *http.Request, x *exchange) *responder {
	return &responder{era: x.Era, id: x.id, events: prefersEvents(r), gone: r.Context().Done(), w: w}
}

// send says something ahead of the answer.
func (p *responder) send(message []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done || p.hungUp() {
		return errGone
	}
	if p.stream == nil {
		p.stream = newEventStream(p.w)
		p.quiet = time.AfterFunc(keepAlive, p.stillHere)
	}
	p.quiet.Reset(keepAlive)
	if p.stream.message(message); p.stream.err != nil {
		return errGone
	}
	return nil
}

func (p *responder) hungUp() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// stillHere keeps proxies from ending a stream on which nothing is said, since
// somebody thinks about a question or a tool takes long.
func (p *responder) stillHere() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done || p.stream.err != nil {
		return
	}
	p.stream.comment()
	p.quiet.Reset(keepAlive)
}

// finishLocked makes sure that nothing is written any more. It reports false if
// that was so already.
func (p *responder) finishLocked() bool {
	if p.done {
		return false
	}
	p.done = true
	if p.quiet != nil {
		p.quiet.Stop()
	}
	return true
}

// close makes sure that nothing is written any more.
func (p *responder) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finishLocked()
}

// end ends the response without an answer, as for a request that the client
// has cancelled (MCP 2025-11-25, "Cancellation").
func (p *responder) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finishLocked() && p.stream == nil {
		newEventStream(p.w).open()
	}
}

// notify is send for what may get lost.
func (p *responder) notify(method string, params json.RawMessage) {
	_ = p.send(requestBody(nil, method, params)) // lost with the stream
}

// answer writes the answer. Nothing can be said after it.
func (p *responder) answer(result json.RawMessage, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.finishLocked() {
		return
	}
	status, body := http.StatusOK, [][]byte(nil)
	if err == nil {
		body = answerParts(p.id, "result", result)
	} else {
		answer := wireError(err)
		body = answerParts(p.id, "error", rawjson.Value(answer))
		if p.era == upstream.ModernEra {
			status = errorStatus(answer.Code)
		}
	}
	if p.stream == nil && p.events && status == http.StatusOK { // an event stream has no other status
		p.stream = newEventStream(p.w)
	}
	if p.stream != nil {
		p.stream.message(body...)
		return
	}
	writeBody(p.w, status, body...)
}

// refuse answers the HTTP request instead. It reports false if something was said
// already.
func (p *responder) refuse(f *oauth.Refusal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream != nil || !p.finishLocked() {
		return false
	}
	refuseCaller(p.w, f)
	return true
}

// writeBody writes a JSON body that consists of some parts.
func writeBody(w http.ResponseWriter, status int, parts ...[]byte) {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(size))
	w.WriteHeader(status)
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return // a client that left needs no answer
		}
	}
}

func answerBody(id json.RawMessage, member string, value json.RawMessage) []byte {
	return bytes.Join(answerParts(id, member, value), nil)
}

// answerParts is answerBody in parts, for which a large value is not copied.
func answerParts(id json.RawMessage, member string, value json.RawMessage) [][]byte {
	head := make([]byte, 0, len(id)+len(member)+32)
	head = append(head, `{"jsonrpc":"2.0","id":`...)
	head = append(head, id...)
	head = append(head, `,"`...)
	head = append(head, member...)
	head = append(head, `":`...)
	return [][]byte{head, value, []byte("}")}
}

// notification is a JSON-RPC notification; nil params are left out.
func notification(method string, params json.RawMessage) []byte {
	return requestBody(nil, method, params)
}

// requestBody is a JSON-RPC request; without an id, a notification.
func requestBody(id json.RawMessage, method string, params json.RawMessage) []byte {
	message := rawjson.Object{}
	message.Set("jsonrpc", rawjson.String("2.0"))
	if id != nil {
		message.Set("id", id)
	}
	message.Set("method", rawjson.String(method))
	if params != nil {
		message.Set("params", params)
	}
	return message.Bytes()
}

func wireError(err error) *jsonrpc.Error {
	var answer *jsonrpc.Error
	if errors.As(err, &answer) {
		return answer
	}
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: err.Error()}
}

// errorStatus is the HTTP status of an error of the protocol in the modern
// era; errors of tools and upstreams are answers like any other.
func errorStatus(code int64) int {
	switch code {
	case jsonrpc.CodeMethodNotFound:
		return http.StatusNotFound
	case jsonrpc.CodeInvalidParams, jsonrpc.CodeInvalidRequest, mcp.CodeHeaderMismatch,
		mcp.CodeUnsupportedProtocolVersion, mcp.CodeMissingRequiredClientCapabilities:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// An eventStream writes server-sent events to a client.
type eventStream struct {
	w   http.ResponseWriter
	err error // of the last write
}

func newEventStream(w http.ResponseWriter) *eventStream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no") // a reverse proxy must pass each event on at once
	return &eventStream{w: w}
}

// open sends the headers ahead of the first event.
func (s *eventStream) open() {
	s.w.WriteHeader(http.StatusOK)
	s.err = http.NewResponseController(s.w).Flush()
}

// message sends one JSON-RPC message, which consists of some parts.
func (s *eventStream) message(parts ...[]byte) {
	s.write([]byte("event: message\ndata: "))
	for _, part := range parts {
		s.write(oneLine(part))
	}
	s.write([]byte("\n\n"))
	s.flush()
}

func (s *eventStream) comment() {
	s.write([]byte(": still here\n\n"))
	s.flush()
}

func (s *eventStream) write(b []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(b)
	}
}

func (s *eventStream) flush() {
	if s.err == nil {
		s.err = http.NewResponseController(s.w).Flush()
	}
}

// oneLine makes JSON fit one line of an event stream. Line breaks in JSON are
// white space between tokens; in text they are escaped.
func oneLine(raw []byte) []byte {
	if !bytes.ContainsAny(raw, "\r\n") {
		return raw
	}
	line := bytes.Clone(raw)
	for i, b := range line {
		if b == '\r' || b == '\n' {
			line[i] = ' '
		}
	}
	return line
}
