package aggregator_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A clientActor is a client that sends what a transcript says.
type clientActor struct {
	t            *testing.T
	url          string
	name         string
	modern       bool
	capabilities string
	http         *http.Client
	sent         int // requests so far
	states       *states
	reading      sync.WaitGroup

	mu      sync.Mutex
	header  http.Header          // of every request; guarded by mu
	next    http.Header          // of the next one, in place of what it would have; guarded by mu
	replies map[string]*response // by number, or "stream"; guarded by mu
}

// states are the sealed ones that clients have got, for which transcripts have
// numbers.
type states struct{ seen []string }

var sealedState = regexp.MustCompile(`m1\.[A-Za-z0-9_-]{40,}`)

// ownElicitation is the id that the gateway gives an elicitation.
var ownElicitation = regexp.MustCompile(`"elicitationId":"[A-Z2-7]{26}"`)

// ownReference is what finds a refusal in the gateway's log.
var ownReference = regexp.MustCompile(`"reference":"[A-Z2-7]{10}"`)

func (s *states) hide(line string) string {
	line = ownReference.ReplaceAllString(line, `"reference":"<reference>"`)
	line = ownElicitation.ReplaceAllString(line, `"elicitationId":"<elicitation>"`)
	return sealedState.ReplaceAllStringFunc(line, func(state string) string {
		n := slices.Index(s.seen, state) + 1
		if n == 0 {
			s.seen = append(s.seen, state)
			n = len(s.seen)
		}
		return fmt.Sprintf("<state %d>", n)
	})
}

func (s *states) fill(line string) string {
	for i, state := range s.seen {
		line = strings.ReplaceAll(line, fmt.Sprintf("<state %d>", i+1), state)
	}
	return line
}

// A response is what comes back of one HTTP request.
type response struct {
	messages chan string
	listens  bool // it is the answer to subscriptions/listen
	hangUp   context.CancelFunc
}

func newClientActor(t *testing.T, url string, fields []string, states *states) *clientActor {
	c := &clientActor{
		t: t, url: url, name: fields[0], modern: fields[1] == "modern", capabilities: "{}", next: http.Header{},
		header: http.Header{
			"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		},
		http:    &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()},
		replies: map[string]*response{}, states: states,
	}
	if len(fields) > 2 {
		c.capabilities = fields[2]
	}
	if !c.modern && fields[1] != "raw" {
		c.initialize(map[string]string{"legacy": "2025-11-25"}[fields[1]], fields[1])
	}
	return c
}

// initialize opens a session, which the transcript does not show.
func (c *clientActor) initialize(newest, version string) {
	c.request("initialize", fmt.Sprintf(`{"protocolVersion":%q,"capabilities":%s,"clientInfo":{"name":%q,"version":"1"}}`,
		cmp.Or(newest, version), c.capabilities, c.name))
	if got := c.expect("1"); !strings.Contains(got, `"result"`) {
		c.t.Fatalf("initialize: %s", got)
	}
	c.act("notify notifications/initialized {}")
	c.sent = 0
}

func (c *clientActor) act(line string) {
	verb, rest, _ := strings.Cut(c.states.fill(line), " ")
	switch verb {
	case "notify":
		method, params, _ := strings.Cut(rest, " ")
		c.told(fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":%s}`, method, cmp.Or(params, "{}")))
	case "answer":
		id, members, _ := strings.Cut(rest, " ")
		c.told(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,%s}`, id, members))
	case "header":
		name, value, _ := strings.Cut(rest, ":")
		c.next[http.CanonicalHeaderKey(name)] = []string{strings.TrimSpace(value)}
	case "close":
		c.reply(rest).hangUp()
	case "get":
		c.send("stream", http.MethodGet, "", nil)
	case "delete":
		c.sent++
		c.send(fmt.Sprint(c.sent), http.MethodDelete, "", nil)
	case "post":
		c.sent++
		c.send(fmt.Sprint(c.sent), http.MethodPost, rest, nil)
	default:
		c.request(verb, cmp.Or(rest, "{}"))
	}
}

// request sends a request with everything that its era wants.
func (c *clientActor) request(method, params string) {
	c.sent++
	header := http.Header{}
	if c.modern {
		params = c.modernRequest(method, params, header)
	}
	c.send(fmt.Sprint(c.sent), http.MethodPost, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, c.sent, method, params), header)
	c.reply(fmt.Sprint(c.sent)).listens = method == "subscriptions/listen"
}

func (c *clientActor) modernRequest(method, raw string, header http.Header) (params string) {
	o, err := rawjson.ParseObject([]byte(raw))
	if err != nil {
		c.t.Fatalf("params %s: %v", raw, err)
	}
	meta, _ := rawjson.ParseObject(o.Get("_meta"))
	for key, value := range map[string]string{
		"io.modelcontextprotocol/protocolVersion":    `"2026-07-28"`,
		"io.modelcontextprotocol/clientInfo":         fmt.Sprintf(`{"name":%q,"version":"1"}`, c.name),
		"io.modelcontextprotocol/clientCapabilities": c.capabilities,
	} {
		if meta.Get(key) == nil {
			meta.Set(key, json.RawMessage(value))
		}
	}
	o.Set("_meta", meta.Bytes())
	header.Set("Mcp-Protocol-Version", "2026-07-28")
	header.Set("Mcp-Method", method)
	for _, member := range []string{"name", "uri"} {
		if name, ok := o.GetString(member); ok {
			header.Set("Mcp-Name", headerText(name))
		}
	}
	return string(o.Bytes())
}

// headerText is a name as clients put it into a header.
func headerText(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r > '~' }) {
		return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="
	}
	return name
}

// told sends what gets no answer; one that comes all the same is a mistake.
func (c *clientActor) told(body string) {
	resp, err := c.http.Do(c.build(c.t.Context(), http.MethodPost, body, nil))
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusAccepted || len(text) > 0 {
		c.t.Errorf("%s sent %s and got %d %s", c.name, body, resp.StatusCode, text)
	}
}

func (c *clientActor) build(ctx context.Context, method, body string, header http.Header) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	req.Header = c.header.Clone()
	for _, more := range []http.Header{header, c.next} {
		for name, values := range more {
			if req.Header[name] = values; values[0] == "" {
				req.Header.Del(name)
			}
		}
	}
	c.next = http.Header{}
	return req
}

// send sends an HTTP request and reads its response as number key.
func (c *clientActor) send(key, method, body string, header http.Header) {
	ctx, hangUp := context.WithCancel(context.Background())
	req := c.build(ctx, method, body, header)
	r := &response{messages: make(chan string, 1000), hangUp: hangUp}
	c.mu.Lock()
	c.replies[key] = r
	c.mu.Unlock()
	headers := make(chan struct{})
	c.reading.Go(func() {
		defer hangUp()
		resp, err := c.http.Do(req)
		if resp != nil {
			c.remember(resp)
		}
		if method == http.MethodGet {
			close(headers)
		}
		if err != nil {
			return // hung up
		}
		defer resp.Body.Close()
		r.read(resp)
	})
	if method == http.MethodGet {
		<-headers // what comes next may be meant for the stream
	}
}

// remember keeps the session that a response begins.
func (c *clientActor) remember(resp *http.Response) {
	if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.header.Set("Mcp-Session-Id", id)
	}
}

// read passes on the messages of a response, with the status if it says something.
func (r *response) read(resp *http.Response) {
	status := ""
	if resp.StatusCode != http.StatusOK {
		status = fmt.Sprintf("[%d] ", resp.StatusCode)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		body, _ := io.ReadAll(resp.Body)
		r.messages <- status + strings.TrimSpace(string(body))
		return
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	empty := true
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			r.messages <- status + data
			empty = false
		}
	}
	if empty && lines.Err() == nil && resp.Request.Method == http.MethodPost {
		r.messages <- status + "(no answer)"
	}
}

func (c *clientActor) reply(key string) *response {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.replies[key]
	if r == nil {
		c.t.Fatalf("%s: there is no request %q", c.name, key)
	}
	return r
}

func (c *clientActor) expect(line string) string {
	key, _, _ := strings.Cut(line, " ")
	return c.states.hide(strings.TrimSpace(key + " " + await(c.t, c.reply(key).messages)))
}

// leave waits until all responses have ended.
func (c *clientActor) leave() {
	c.reading.Wait()
	c.http.CloseIdleConnections()
}

func (c *clientActor) rest() (rest []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, r := range c.replies {
		for _, m := range drained(r.messages) {
			if !r.listens || !strings.Contains(m, `"result":`) { // the end of the stream
				rest = append(rest, c.states.hide(key+" "+m))
			}
		}
	}
	return rest
}
