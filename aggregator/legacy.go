package aggregator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// The revisions of the legacy era, newest first. batchVersion is the only one
// that has JSON-RPC batches.
var legacyVersions = []string{"2025-11-25", "2025-06-18", batchVersion, "2024-11-05"}

const batchVersion = "2025-03-26"

// maxBatch bounds the messages in a batch, maxBatchBytes the answers to them.
const (
	maxBatch      = 50
	maxBatchBytes = 16 << 20
)

// serveLegacy serves a client of the legacy era (MCP 2025-11-25, "Streamable
// HTTP"): POST for its messages, GET for a stream of ours, DELETE for the end.
func (g *Gateway) serveLegacy(w http.ResponseWriter, r *http.Request, x *exchange) {
	if v := r.Header.Get(versionHeader); v != "" && !slices.Contains(legacyVersions, v) {
		refuse(w, http.StatusBadRequest, jsonrpc.CodeInvalidRequest,
			fmt.Sprintf("unsupported protocol version %q; supported are %s", v, strings.Join(supportedVersions, ", ")))
		return
	}
	switch r.Method {
	case http.MethodPost:
		if refused := checkMedia(r); refused != nil {
			writeError(w, refused.status, x.id, refused.code, refused.message)
			return
		}
		if x.Method == "initialize" && r.Header.Get(sessionHeader) == "" {
			g.initialize(w, r, x)
			return
		}
		g.inSession(w, r, x, g.servePost)
	case http.MethodGet:
		if !accepts(r, "text/event-stream") {
			refuse(w, http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "Accept must contain text/event-stream")
			return
		}
		g.inSession(w, r, x, g.serveGet)
	case http.MethodDelete:
		g.inSession(w, r, x, func(w http.ResponseWriter, _ *http.Request, _ *exchange, s *session) {
			g.sessions.close(s.id)
			w.WriteHeader(http.StatusNoContent)
		})
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		refuse(w, http.StatusMethodNotAllowed, jsonrpc.CodeInvalidRequest, "method not allowed")
	}
}

// inSession admits a request to its session, which must be the caller's own.
func (g *Gateway) inSession(w http.ResponseWriter, r *http.Request, x *exchange, serve func(http.ResponseWriter, *http.Request, *exchange, *session)) {
	id := r.Header.Get(sessionHeader)
	if id == "" {
		writeError(w, http.StatusBadRequest, x.id, jsonrpc.CodeInvalidRequest, "the Mcp-Session-Id header is missing; initialize first")
		return
	}
	s := g.sessions.enter(id, x.Caller)
	if s == nil {
		writeError(w, http.StatusNotFound, x.id, codeNoSession, "session not found; initialize again")
		return
	}
	defer s.leave()
	s.ip.Store(&x.IP)
	g.noticeCaller(s)
	serve(w, r, x, s)
}

// initialize opens a session.
func (g *Gateway) initialize(w http.ResponseWriter, r *http.Request, x *exchange) {
	params, err := parseParams(x.params)
	if err != nil || x.id == nil {
		writeError(w, http.StatusBadRequest, x.id, jsonrpc.CodeInvalidParams, "initialize needs an id and params")
		return
	}
	version, ok := params.GetString("protocolVersion")
	if !ok {
		writeError(w, http.StatusBadRequest, x.id, jsonrpc.CodeInvalidParams, "protocolVersion is missing")
		return
	}
	if !slices.Contains(legacyVersions, version) {
		version = legacyVersions[0]
	}
	s := newSession(x.Caller, version, params)
	if !g.sessions.open(s) {
		w.Header().Set("Retry-After", "60")
		writeError(w, http.StatusTooManyRequests, x.id, codeBusy, "too many sessions are open; end one or try again later")
		return
	}
	context.AfterFunc(s.ctx, func() { g.running.start(func() { g.unwatchAll(s) }) })
	g.log.Info("session opened", "caller", x.Caller.ID, "client", clientName(params), "version", version, "remote", g.clientAddr(r))
	w.Header().Set(sessionHeader, s.id)
	writeBody(w, http.StatusOK, answerBody(x.id, "result", g.initializeResult(version, s)))
}

// clientName is what a client calls itself, for the log.
func clientName(params rawjson.Object) string {
	var info struct{ Name, Version string }
	_ = json.Unmarshal(params.Get("clientInfo"), &info) // any name will do
	return fmt.Sprintf("%.60s %.20s", info.Name, info.Version)
}

func (g *Gateway) initializeResult(version string, s *session) json.RawMessage {
	result := rawjson.Object{}
	result.Set("protocolVersion", rawjson.String(version))
	result.Set("capabilities", capabilities)
	result.Set("serverInfo", rawjson.Value(g.implementation()))
	if instructions := g.catalogOf(s.request()).instructions; instructions != "" {
		result.Set("instructions", rawjson.String(instructions))
	}
	return result.Bytes()
}

// servePost serves one message of the client, or a batch of them.
func (g *Gateway) servePost(w http.ResponseWriter, r *http.Request, x *exchange, s *session) {
	switch {
	case x.batch:
		g.serveBatch(w, r, x, s)
	case x.Method == "":
		s.answered(x.message)
		w.WriteHeader(http.StatusAccepted)
	case x.id == nil:
		g.notified(x, s)
		w.WriteHeader(http.StatusAccepted)
	default:
		p := newResponder(w, r, x)
		result, err := g.serveRequest(x, s, p)
		if by := (*upstream.Cancelled)(nil); errors.As(err, &by) {
			p.end()
			return
		}
		if isChallenged(err) && g.challenge(r, x, p) {
			return
		}
		p.answer(result, err)
	}
}

// notified takes a notification of the client.
func (g *Gateway) notified(x *exchange, s *session) {
	params, err := parseParams(x.params)
	if err != nil {
		return // nobody waits for an answer
	}
	switch x.Method {
	case "notifications/cancelled":
		s.cancel(params)
	case "notifications/progress":
		s.progressed(params)
	case "notifications/roots/list_changed":
		params := bytes.Clone(x.params)
		for _, in := range s.instances() {
			if in.link.rules.Load().may("roots") {
				g.running.start(func() {
					_ = in.conn.Notify(s.ctx, x.Method, params) // one that is not connected asks anew anyway
				})
			}
		}
	}
}

// serveRequest answers one request; its error is an *upstream.Cancelled if the
// client wants no answer any more. The connection it came on may break
// without the request being cancelled (MCP 2025-11-25, "Sending Messages"), so
// it lives as long as the session lets it.
func (g *Gateway) serveRequest(x *exchange, s *session, p *responder) (json.RawMessage, error) {
	params, err := parseParams(x.params)
	if err != nil {
		return nil, err
	}
	ctx, end, ok := s.begin(x.id)
	if !ok {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: fmt.Sprintf("a request with the id %s is in flight", x.id)}
	}
	defer end()
	x.Params, x.session, x.stream, x.alone = params, s, p, p != nil
	if p != nil {
		x.Notify = p.notify
	}
	if x.Method == "ping" {
		return json.RawMessage("{}"), nil
	}
	result, ours, err := g.Serve(ctx, x.Request)
	if by := (*upstream.Cancelled)(nil); err != nil && !isChallenged(err) && errors.As(context.Cause(ctx), &by) {
		return nil, by
	}
	if !ours {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: fmt.Sprintf("method %q is not supported", x.Method)}
	}
	return result, err
}

// serveBatch serves the messages of a batch, one after the other.
func (g *Gateway) serveBatch(w http.ResponseWriter, r *http.Request, x *exchange, s *session) {
	if s.version != batchVersion {
		refuse(w, http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "batches are of revision "+batchVersion+" only")
		return
	}
	if len(x.messages) > maxBatch {
		refuse(w, http.StatusBadRequest, jsonrpc.CodeInvalidRequest, fmt.Sprintf("a batch of more than %d messages", maxBatch))
		return
	}
	var answers []json.RawMessage
	size := 0
	for _, body := range x.messages {
		if r.Context().Err() != nil {
			return // nobody waits for the rest
		}
		if size > maxBatchBytes {
			refuse(w, http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "the answers to this batch are too large; send its messages one by one")
			return
		}
		one := &exchange{Request: Request{Caller: x.Caller, Era: x.Era, IP: x.IP}}
		if refused := one.parse(body); refused != nil {
			answers = append(answers, answerBody(json.RawMessage("null"), "error", rawjson.Value(&jsonrpc.Error{Code: refused.code, Message: refused.message})))
			continue
		}
		switch {
		case one.Method == "":
			s.answered(one.message)
		case one.id == nil:
			g.notified(one, s)
		default:
			answers = append(answers, g.answerInBatch(one, s))
			size += len(answers[len(answers)-1])
		}
	}
	if answers == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	writeBody(w, http.StatusOK, rawjson.Array(answers))
}

func (g *Gateway) answerInBatch(x *exchange, s *session) json.RawMessage {
	result, err := g.serveRequest(x, s, nil)
	if err != nil { // of a batch each is answered, cancelled or not
		return answerBody(x.id, "error", rawjson.Value(wireError(err)))
	}
	return answerBody(x.id, "result", result)
}

// serveGet is the session's stream for what belongs to no request.
func (g *Gateway) serveGet(w http.ResponseWriter, r *http.Request, x *exchange, s *session) {
	ctx, cancel := whileSignedIn(r.Context(), x.Caller)
	defer cancel()
	ctx, leave, err := g.enter(ctx, x.Request)
	if err != nil {
		w.Header().Set("Retry-After", "60")
		refuse(w, http.StatusServiceUnavailable, codeDenied, err.Error())
		return
	}
	defer leave()
	ctx, reader, detach := s.attach(ctx)
	defer detach()
	stream := newEventStream(w)
	stream.open()
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for stream.err == nil && ctx.Err() == nil && !hasEnded(x.Caller) { // what is queued is for the newest stream
		messages := s.take(reader)
		for i, message := range messages {
			if stream.message(message); stream.err != nil {
				s.putBack(messages[i:])
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-x.Caller.Ended:
		case <-s.ctx.Done():
			return
		case <-g.draining:
			return
		case <-x.admitted.over:
			if !g.stillAdmitted(r, x) {
				return
			}
		case <-tick.C:
			stream.comment()
		case <-s.wake:
			if ctx.Err() != nil {
				s.poke() // it was the newest stream's
			}
		}
	}
}

// drain ends the sessions once nothing is in flight in them, or ctx ends.
func (g *Gateway) drain(ctx context.Context) {
	g.parked.drain()
	for _, s := range g.sessions.all() {
		for s.busy() && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
		g.sessions.close(s.id)
	}
}

func (s *session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls) > 0
}
