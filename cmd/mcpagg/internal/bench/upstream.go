package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// runUpstream serves as one or more upstreams until its standard input ends.
func runUpstream(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("upstream", flag.ContinueOnError)
	listen := fs.String("listen", "", "addresses to serve on, one upstream on each")
	speaks := fs.String("era", "both", "era to speak: legacy, modern or both")
	tools := fs.Int("tools", 3, "number of tools, echo, sleep and blob among them")
	answers := fs.String("answers", "sse", "how to answer: sse or json")
	if err := fs.Parse(args); err != nil {
		return err
	}
	handlers := map[string]http.Handler{}
	for address := range strings.SplitSeq(*listen, ",") {
		handlers[address] = newUpstream(*speaks, *answers, *tools).handler()
	}
	return serveAll(endWithInput(ctx), handlers)
}

// An upstream is a small MCP server over Streamable HTTP. It decodes no more
// than it needs, so that most of a call's time is spent before it, but refuses
// what a client may not send: a proxy that damages a request is found out.
type upstream struct {
	// Set by newUpstream, never changed.
	legacy, modern bool
	events         bool           // answer with event streams
	lists          map[era]string // results of tools/list

	requests atomic.Int64

	mu       sync.Mutex
	sessions map[string]chan struct{} // guarded by mu; closed with the session
	blobKiB  int                      // guarded by mu; of blobText
	blobText string                   // guarded by mu; the last blob, as JSON
}

func newUpstream(speaks, answers string, tools int) *upstream {
	definitions := definitions(tools)
	return &upstream{
		legacy: speaks != modern.String(),
		modern: speaks != legacy.String(),
		events: answers == "sse",
		lists: map[era]string{
			legacy: `{"tools":` + definitions + `}`,
			modern: `{"resultType":"complete","tools":` + definitions + `,"ttlMs":0,"cacheScope":"public"}`,
		},
		sessions: map[string]chan struct{}{},
	}
}

// handler serves /mcp, the same at /slow/DELAY/mcp with a list that takes its
// time, and the number of requests so far.
func (u *upstream) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/mcp", u.serve)
	mux.HandleFunc("/slow/{delay}/mcp", u.serve)
	mux.HandleFunc("GET /requests", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, u.requests.Load())
	})
	return mux
}

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	u.requests.Add(1)
	switch r.Method {
	case http.MethodPost:
		u.post(w, r)
	case http.MethodGet:
		u.stream(w, r)
	case http.MethodDelete:
		u.endSession(w, r)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// A message is what the upstream reads of a request or notification.
type message struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  struct {
		Name      string                     `json:"name"`
		Arguments json.RawMessage            `json:"arguments"`
		Meta      map[string]json.RawMessage `json:"_meta"`
		Version   string                     `json:"protocolVersion"` // of initialize
	} `json:"params"`
}

// maxRequest bounds a request's body.
const maxRequest = 16 << 20

func (u *upstream) post(w http.ResponseWriter, r *http.Request) {
	var m message
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	var refusal *refusal
	switch {
	case err != nil:
		refusal = refuse(http.StatusBadRequest, codeParse, "%v", err)
	case m.JSONRPC != "2.0" || m.Method == "":
		refusal = refuse(http.StatusBadRequest, codeRequest, "not a JSON-RPC request")
	default:
		refusal = u.check(r, &m)
	}
	if refusal != nil {
		refusal.write(w, m.ID)
		return
	}
	if m.ID == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	u.request(w, r, &m)
}

// request answers a request that has passed check.
func (u *upstream) request(w http.ResponseWriter, r *http.Request, m *message) {
	var (
		result  string
		refusal *refusal
	)
	switch m.Method {
	case "initialize":
		w.Header().Set(sessionHeader, u.newSession())
		result = initializeResult
	case "server/discover":
		result = discoverResult
	case "ping", "logging/setLevel":
		result = "{}"
	case "tools/list":
		delay, _ := time.ParseDuration(r.PathValue("delay"))
		sleep(r.Context(), delay)
		result = u.lists[eraOf(m)]
	case "tools/call":
		result, refusal = u.callTool(r.Context(), m)
	case "subscriptions/listen":
		u.listen(w, r, m)
		return
	default:
		refusal = refuse(http.StatusNotFound, codeMethod, "no method %q", m.Method)
	}
	if refusal != nil {
		refusal.write(w, m.ID)
		return
	}
	u.answer(w, string(m.ID), result)
}

const (
	serverInfo       = `{"name":"bench-upstream","version":"1.0.0"}`
	capabilities     = `{"tools":{"listChanged":true}}`
	initializeResult = `{"protocolVersion":"` + string(legacy) + `","capabilities":` + capabilities + `,"serverInfo":` + serverInfo + `}`
	discoverResult   = `{"resultType":"complete","supportedVersions":["` + string(modern) + `"],"capabilities":` + capabilities +
		`,"ttlMs":0,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":` + serverInfo + `}}`
)

// answer sends one message the way most MCP servers do: as an event that is
// flushed, so that the answer is chunked, or as plain JSON.
func (u *upstream) answer(w http.ResponseWriter, id, result string) {
	head, foot := `{"jsonrpc":"2.0","id":`+id+`,"result":`, "}"
	if u.events {
		startEvents(w)
		head, foot = "event: message\ndata: "+head, foot+"\n\n"
	} else {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(head)+len(result)+len(foot)))
	}
	for _, part := range []string{head, result, foot} { // a large result is not copied
		_, _ = io.WriteString(w, part)
	}
	if u.events {
		_ = http.NewResponseController(w).Flush()
	}
}

func startEvents(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
}

func (u *upstream) newSession() string {
	id := rand.Text()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sessions[id] = make(chan struct{})
	return id
}

// session returns what closes with the request's session, nil if it has none.
func (u *upstream) session(r *http.Request) chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sessions[r.Header.Get(sessionHeader)]
}

func (u *upstream) endSession(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	id := r.Header.Get(sessionHeader)
	ended := u.sessions[id]
	if ended == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	delete(u.sessions, id)
	close(ended)
	w.WriteHeader(http.StatusNoContent)
}

// stream is a legacy session's stream for messages outside calls. None come.
func (u *upstream) stream(w http.ResponseWriter, r *http.Request) {
	ended := u.session(r)
	if ended == nil {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	startEvents(w)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-ended:
	case <-r.Context().Done():
	}
}

// listen is a modern client's subscription. Nothing ever changes here.
func (u *upstream) listen(w http.ResponseWriter, r *http.Request, m *message) {
	startEvents(w)
	_, _ = fmt.Fprintf(w, "event: message\ndata: "+`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged",`+
		`"params":{"_meta":{%q:%s},"notifications":{"toolsListChanged":true}}}`+"\n\n", metaSubscription, m.ID)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// countRequests asks an upstream how many requests it has seen.
func countRequests(ctx context.Context, address string) (n int64, err error) {
	err = fetch(ctx, "http://"+address+"/requests", func(body io.Reader) error {
		_, err := fmt.Fscan(body, &n)
		return err
	})
	return n, err
}

// dialable says whether something listens on the address.
func dialable(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// eraOf tells by the request itself, which check has compared with the header.
func eraOf(m *message) era {
	if strings.Trim(string(m.Params.Meta[metaVersion]), `"`) == string(modern) {
		return modern
	}
	return legacy
}
