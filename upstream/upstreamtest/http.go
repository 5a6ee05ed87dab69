package upstreamtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A Server is a scripted MCP server over HTTP.
type Server struct {
	URL    *url.URL // Streamable HTTP, both eras
	SSEURL *url.URL // the HTTP+SSE transport
	*httptest.Server

	core     *core
	life     context.Context // of the server
	mu       sync.Mutex
	sessions map[string]bool             // legacy, alive; guarded by mu
	begun    int                         // sessions so far; guarded by mu
	streams  map[string]map[*stream]bool // open event streams of the server's own, by session; guarded by mu
	wanted   map[string]map[string]bool  // resources subscribed to, by legacy session; guarded by mu
}

// New starts a server and stops it when the test ends.
func New(t testing.TB, s Script) *Server {
	srv := &Server{core: newCore(s), sessions: map[string]bool{}, streams: map[string]map[*stream]bool{}, wanted: map[string]map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mcp", srv.post)
	mux.HandleFunc("GET /mcp", srv.get)
	mux.HandleFunc("DELETE /mcp", srv.delete)
	mux.HandleFunc("GET /sse", srv.oldStream)
	mux.HandleFunc("POST /messages", srv.oldPost)
	srv.Server = httptest.NewServer(mux)
	var stop context.CancelFunc
	srv.life, stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		stop()
		srv.CloseClientConnections()
		srv.Close()
	})
	srv.URL, _ = url.Parse(srv.Server.URL + "/mcp")
	srv.SSEURL, _ = url.Parse(srv.Server.URL + "/sse")
	return srv
}

// Requests are the messages received so far that have the method; "" for all.
func (s *Server) Requests(method string) []Request { return s.core.requests(method) }

// Change changes the script and tells the clients that all lists have changed.
func (s *Server) Change(change func(*Script)) {
	s.core.mu.Lock()
	change(&s.core.script)
	s.core.mu.Unlock()
	for _, kind := range []string{"tools", "prompts", "resources"} {
		s.Broadcast(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/%s/list_changed"}`, kind))
	}
}

// Broadcast sends a message on every open stream that belongs to no request.
func (s *Server) Broadcast(raw string) {
	for _, st := range s.open() {
		st.send(raw)
	}
}

// Update tells who has subscribed to the resource that it was updated, and
// returns how many streams that went to.
func (s *Server) Update(uri string) (told int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session, of := range s.streams {
		for st := range of {
			meta := ""
			if st.listen != nil {
				meta = fmt.Sprintf(`,"_meta":{"io.modelcontextprotocol/subscriptionId":%s,"n":1.0}`, st.listen.ID)
			}
			if s.wanted[session][uri] || st.listens(uri) {
				told++
				st.send(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":%q%s}}`, uri, meta))
			}
		}
	}
	return told
}

// listens reports whether the stream is for updates of the resource.
func (st *stream) listens(uri string) bool {
	if st.listen == nil {
		return false
	}
	uris, _ := rawjson.ParseArray(object(object(st.listen.Params).Get("notifications")).Get("resourceSubscriptions"))
	return slices.ContainsFunc(uris, func(raw json.RawMessage) bool { return string(raw) == string(rawjson.String(uri)) })
}

// subscribe notes what a legacy session subscribes to.
func (s *Server) subscribe(req *Request) {
	uri, _ := object(req.Params).GetString("uri")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch req.Method {
	case "resources/subscribe":
		if s.wanted[req.scope] == nil {
			s.wanted[req.scope] = map[string]bool{}
		}
		s.wanted[req.scope][uri] = true
	case "resources/unsubscribe":
		delete(s.wanted[req.scope], uri)
	}
}

// SetResources makes the legacy session of r see other resources than the
// rest, and tells it so.
func (s *Server) SetResources(r *Request, definitions ...string) {
	s.core.mu.Lock()
	s.core.own[r.scope] = definitions
	s.core.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.streams[r.scope] {
		st.send(`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`)
	}
}

// DropStreams ends every open stream that belongs to no request.
func (s *Server) DropStreams() {
	for _, st := range s.open() {
		st.drop()
	}
}

// Streams is how many streams are open that belong to no request.
func (s *Server) Streams() int { return len(s.open()) }

// ForgetSessions makes the server answer 404 to every session it has begun.
func (s *Server) ForgetSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// Sessions is how many legacy sessions are alive, and how many were begun.
func (s *Server) Sessions() (alive, begun int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions), s.begun
}

func (s *Server) open() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*stream
	for _, of := range s.streams {
		for st := range of {
			all = append(all, st)
		}
	}
	return all
}

// A stream is an event stream to a client.
type stream struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	sent bool // the header; guarded by mu
	ctx  context.Context
	drop context.CancelFunc

	listen *Request // that it is the answer to; nil if there is none
}

func (st *stream) send(raw string) { st.event("message", raw) }

func (st *stream) event(name, data string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.begin()
	_, _ = fmt.Fprintf(st.w, "event: %s\ndata: %s\n\n", name, strings.ReplaceAll(data, "\n", "\ndata: "))
	st.w.(http.Flusher).Flush()
}

func (st *stream) begin() {
	if !st.sent {
		st.sent = true
		st.w.Header().Set("Content-Type", "text/event-stream")
	}
}

// keep holds a stream open until the client leaves or the test drops it.
func (s *Server) keep(session string, w http.ResponseWriter, r *http.Request, first func(*stream)) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	st := &stream{w: w, ctx: ctx, drop: cancel}
	st.begin()
	s.mu.Lock()
	if s.streams[session] == nil {
		s.streams[session] = map[*stream]bool{}
	}
	s.streams[session][st] = true
	first(st)
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams[session], st)
	st.mu.Lock() // nothing is sent any more
	defer st.mu.Unlock()
	st.w = discard{}
}

// discard takes what is sent to a stream that has ended.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
func (discard) Flush()                      {}

func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	st := &stream{w: w}
	req, err := s.core.receive(s.life, body, st.send) // to a legacy server, leaving is not cancelling
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req.Header = r.Header.Clone()
	req.Header["Host"] = []string{r.Host}
	req.scope = r.Header.Get("Mcp-Session-Id")
	if req.Modern {
		req.Context = r.Context()
		req.scope = fmt.Sprintf("%p", req)
	}
	s.core.record(req)
	if before := s.core.current().Before; before != nil && before(w, req) || !s.admit(w, r, req) {
		return
	}
	if req.Method == "subscriptions/listen" {
		s.keep("", w, r, func(st *stream) {
			st.listen = req
			st.send(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":` + acknowledgement(req) + `}`)
		})
		return
	}
	s.subscribe(req)
	s.write(w, st, req, s.core.answer(req))
}

// write sends the answer to a POST in the form that fits.
func (s *Server) write(w http.ResponseWriter, st *stream, req *Request, answer string) {
	switch {
	case req.ID == nil || req.Method == "":
		w.WriteHeader(http.StatusAccepted)
	case st.sent || s.core.current().Stream && answer != "":
		if answer != "" {
			st.send(answer)
		}
	default:
		w.Header().Set("Content-Type", "application/json")
		if req.Modern && strings.Contains(answer, `"error":{"code":-32601`) {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, answer)
	}
}

// admit checks the headers: of a modern request that they repeat the body, of
// a legacy one its session.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, req *Request) bool {
	refuse := func(status int, code int, text string) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":null,"error":{"code":%d,"message":%q}}`, code, text)
		return false
	}
	if req.Modern && !s.core.current().LegacyOnly {
		if wrong := wrongHeader(r.Header, req); wrong != "" {
			return refuse(http.StatusBadRequest, -32020, "header mismatch: "+wrong)
		}
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case req.Method == "initialize":
		s.begun++
		id := fmt.Sprintf("session-%d", s.begun)
		s.sessions[id] = true
		w.Header().Set("Mcp-Session-Id", id)
	case r.Header.Get("Mcp-Session-Id") == "":
		return refuse(http.StatusBadRequest, -32000, "Bad Request: no session")
	case !s.sessions[r.Header.Get("Mcp-Session-Id")]:
		return refuse(http.StatusNotFound, -32001, "Session not found")
	}
	return true
}

func wrongHeader(h http.Header, req *Request) string {
	name := req.Name()
	if req.Method == "resources/read" {
		name, _ = object(req.Params).GetString("uri")
	}
	switch {
	case h.Get("Mcp-Protocol-Version") != modernVersion:
		return "Mcp-Protocol-Version"
	case h.Get("Mcp-Method") != req.Method:
		return "Mcp-Method"
	case decodeHeader(h.Get("Mcp-Name")) != name:
		return "Mcp-Name"
	}
	return ""
}

func decodeHeader(value string) string {
	if encoded, ok := strings.CutPrefix(value, "=?base64?"); ok {
		text, _ := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, "?="))
		return string(text)
	}
	return value
}

func acknowledgement(r *Request) string {
	return fmt.Sprintf(`{"_meta":{"io.modelcontextprotocol/subscriptionId":%s},"notifications":%s}`,
		r.ID, object(r.Params).Get("notifications"))
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	session := r.Header.Get("Mcp-Session-Id")
	s.mu.Lock()
	alive := s.sessions[session]
	s.mu.Unlock()
	if !alive {
		http.Error(w, "Session not found", http.StatusNotFound)
		return
	}
	s.keep(session, w, r, func(*stream) { w.(http.Flusher).Flush() })
}

func (s *Server) delete(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, r.Header.Get("Mcp-Session-Id"))
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) oldStream(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.begun++
	session := fmt.Sprintf("old-%d", s.begun)
	s.mu.Unlock()
	s.keep(session, w, r, func(st *stream) { st.event("endpoint", "/messages?session="+session) })
}

func (s *Server) oldPost(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	session := r.URL.Query().Get("session")
	s.mu.Lock()
	var to *stream
	for st := range s.streams[session] {
		to = st
	}
	s.mu.Unlock()
	if to == nil {
		http.Error(w, "unknown session", http.StatusNotFound)
		return
	}
	req, err := s.core.receive(to.ctx, body, to.send)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req.Header, req.scope = r.Header.Clone(), session
	s.core.record(req)
	w.WriteHeader(http.StatusAccepted)
	go s.core.serveLine(req)
}
