package aggregator_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// chattyEnv makes the test binary an upstream over stdio.
const chattyEnv = "MCPAGG_TEST_CHATTY"

func TestMain(m *testing.M) {
	if os.Getenv(chattyEnv) != "" {
		_ = upstreamtest.Stdio(chatty(nil), os.Stdin, os.Stdout) // it ends with its input
		return
	}
	if env := os.Getenv(failingEnv); env != "" {
		fail(env)
		return
	}
	if dir := os.Getenv(boxedEnv); dir != "" {
		serveBoxed(dir)
		return
	}
	os.Exit(m.Run())
}

// chatty has a tool that talks with its caller: progress, a log message, a
// question whose answer it checks, progress. Everything names the call, and
// the result says whether the answer did. updated is called with the era.
func chatty(updated func(era string)) upstreamtest.Script {
	return upstreamtest.Script{
		Tools:     []string{`{"name":"chat","inputSchema":{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}}`},
		Resources: []string{`{"uri":"file:///legacy","name":"legacy"}`, `{"uri":"file:///modern","name":"modern"}`},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			if r.Method != "tools/call" {
				return upstreamtest.Result(`{}`)
			}
			var p struct {
				Arguments      struct{ ID string }
				InputResponses map[string]answered
			}
			_ = json.Unmarshal(r.Params, &p) // the test sends it
			id := p.Arguments.ID
			question := fmt.Sprintf(`{"message":%q,"requestedSchema":{"type":"object","properties":{}}}`, id)
			answer, resumed := p.InputResponses["q"]
			if !resumed {
				r.Progress(1, fmt.Sprintf(`,"message":%q`, id))
				r.Notify("notifications/message", fmt.Sprintf(`{"level":"info","data":%q}`, id))
			}
			switch {
			case r.Modern && !resumed:
				return upstreamtest.Result(`{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create","params":` + question + `}},"requestState":"s"}`)
			case !r.Modern:
				var message struct{ Result answered }
				_ = json.Unmarshal(r.Ask(`"`+id+`"`, "elicitation/create", question), &message)
				answer = message.Result
			}
			r.Progress(2, fmt.Sprintf(`,"message":%q`, id))
			if updated != nil {
				updated(map[bool]string{true: "modern", false: "legacy"}[r.Modern])
			}
			if answer.Content.ID != id {
				return upstreamtest.Result(fmt.Sprintf(`{"content":[],"isError":true,"structuredContent":{"id":%q,"answered":%q}}`, id, answer.Content.ID))
			}
			return upstreamtest.Result(inEra(map[bool]upstream.Era{true: upstream.ModernEra, false: upstream.LegacyEra}[r.Modern],
				fmt.Sprintf(`"content":[],"structuredContent":{"id":%q}`, id)))
		},
	}
}

// answered is how somebody answers a question.
type answered struct {
	Action  string `json:"action"`
	Content struct {
		ID string `json:"id"`
	} `json:"content"`
}

// Two clients of different eras use one upstream at once, a thousand calls
// together: each gets its own progress, log messages, questions and updates, and
// none of the other's. Where the upstream is of one era, one of them is bridged.
func TestTwoErasAtOnce(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		var srv *upstreamtest.Server
		srv = upstreamtest.New(t, chatty(func(era string) { srv.Update("file:///" + era) }))
		up := at(t, "up", srv.URL.String())
		up.Isolation = aggregator.PerSession
		testTwoEras(t, up, 500, 8, true)
	})
	t.Run("legacy server", func(t *testing.T) {
		script := chatty(nil)
		script.LegacyOnly = true
		testTwoEras(t, at(t, "up", upstreamtest.New(t, script).URL.String()), 200, 8, false)
	})
	t.Run("modern server", func(t *testing.T) {
		script := chatty(nil)
		script.ModernOnly = true
		testTwoEras(t, at(t, "up", upstreamtest.New(t, script).URL.String()), 200, 8, false)
	})
	t.Run("stdio", func(t *testing.T) { // log messages there tell calls apart only if there is one at a time
		testTwoEras(t, chattyProcess(t, aggregator.PerSession), 500, 1, false)
	})
}

// chattyProcess is the upstream over stdio.
func chattyProcess(t *testing.T, isolation aggregator.Isolation) aggregator.Upstream {
	value := func(text string) upstream.Secret {
		return func(context.Context) (string, error) { return text, nil }
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return aggregator.Upstream{
		Options: upstream.Options{Name: "up", Command: []string{self}, Env: map[string]upstream.Secret{
			chattyEnv: value("1"), "GORACE": value("atexit_sleep_ms=0"), "GOCOVERDIR": value(os.Getenv("GOCOVERDIR")),
		}},
		Prefix: "up", Isolation: isolation,
	}
}

// A legacy process that clients share cannot ask: nobody knows whom it means.
func TestSharedProcessesCannotAsk(t *testing.T) {
	up := chattyProcess(t, aggregator.Shared)
	up.Protocol = upstream.Legacy
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
	c := newTalker(t, url, upstream.LegacyEra)
	got, _, _, err := c.round("x", `"name":"up_chat","arguments":{"id":"x"},`)
	if err != nil || len(got) != 3 || got[0] != "progress" || got[1] != "progress" || !strings.Contains(got[2], `"answered":""`) {
		t.Errorf("got %q, %v, want progress alone and a question that nobody has answered", got, err)
	}
}

func testTwoEras(t *testing.T, up aggregator.Upstream, calls, parallel int, updates bool) {
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
	var clients sync.WaitGroup
	for _, era := range eras {
		c := newTalker(t, url, era)
		c.listen(updates)
		c.setLevel()
		clients.Go(func() { c.callAll(calls, parallel) })
	}
	clients.Wait()
}

// A talker is a client that makes calls at the same time and checks that all
// that it gets belongs to them.
type talker struct {
	t      *testing.T
	url    string
	era    upstream.Era
	header http.Header
	heard  chan string // updates and what else came on the stream for them
}

func newTalker(t *testing.T, url string, era upstream.Era) *talker {
	c := newHTTPClient(t, url)
	if era == upstream.LegacyEra {
		r := c.do("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"test","version":"1"}}}`, nil)
		c.header.Set("Mcp-Session-Id", r.header.Get("Mcp-Session-Id"))
		c.header.Set("Mcp-Protocol-Version", "2025-11-25")
	} else {
		c.header.Set("Mcp-Protocol-Version", "2026-07-28")
	}
	return &talker{t: t, url: url, era: era, header: c.header, heard: make(chan string, 10_000)}
}

// listen subscribes to the era's resource.
func (c *talker) listen(updates bool) {
	uri := "up+file:///" + string(c.era)
	ready := make(chan struct{})
	go func() {
		body, method := "", "GET"
		if c.era == upstream.ModernEra {
			method, body = "POST", modernBody("listen", "subscriptions/listen", `"notifications":{"resourceSubscriptions":["`+uri+`"]},`)
		}
		once := sync.OnceFunc(func() { close(ready) })
		opened := once
		if c.era == upstream.ModernEra {
			opened = func() {} // acknowledged, rather
		}
		_ = c.post(method, body, "", opened, func(m string) { // it ends with the gateway
			if strings.Contains(m, "acknowledged") {
				once()
				return
			}
			c.heard <- m
		})
	}()
	<-ready
	if c.era == upstream.LegacyEra && updates {
		if err := c.post("POST", `{"jsonrpc":"2.0","id":"s","method":"resources/subscribe","params":{"uri":"`+uri+`"}}`, "", nil, func(string) {}); err != nil {
			c.t.Error(err)
		}
	}
}

// setLevel asks for log messages, which modern clients do with each call.
func (c *talker) setLevel() {
	if c.era == upstream.LegacyEra {
		if err := c.post("POST", `{"jsonrpc":"2.0","id":"level","method":"logging/setLevel","params":{"level":"info"}}`, "", nil, func(string) {}); err != nil {
			c.t.Error(err)
		}
	}
}

// callAll makes calls, so many at a time.
func (c *talker) callAll(calls, parallel int) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i := range calls {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			id := fmt.Sprintf("%s-%d", c.era, i)
			if err := c.call(id); err != nil {
				c.t.Errorf("call %s: %v", id, err)
			}
		})
	}
	wg.Wait()
	other := map[upstream.Era]string{upstream.LegacyEra: "modern", upstream.ModernEra: "legacy"}[c.era]
	for _, m := range drained(c.heard) {
		if strings.Contains(m, other) || !strings.Contains(m, "notifications/resources/updated") {
			c.t.Errorf("the %s client heard %s", c.era, m)
		}
	}
}

// call makes one call, in as many rounds as the era needs.
func (c *talker) call(id string) error {
	params := fmt.Sprintf(`"name":"up_chat","arguments":{"id":%q},`, id)
	got, key, state, err := c.round(id, params)
	if err != nil || c.era == upstream.LegacyEra {
		return cmp.Or(err, want(got, "progress log question progress result"))
	}
	if err := want(got, "progress log input"); err != nil {
		return err
	}
	got, _, _, err = c.round(id, params+fmt.Sprintf(`"inputResponses":{%q:{"action":"accept","content":{"id":%q}}},"requestState":%q,`, key, id, state))
	return cmp.Or(err, want(got, "progress result"))
}

func want(got []string, what string) error {
	if strings.Join(got, " ") != what {
		return fmt.Errorf("got %v, want %s", got, what)
	}
	return nil
}

// questionKey is where a result that asks for input has the question's key.
var questionKey = regexp.MustCompile(`"inputRequests":\{"(\w+)"`)

// round sends the call once and names what comes, in order, and the question's
// key and the requestState in it. Everything has to be about the call.
func (c *talker) round(id, params string) (got []string, key, state string, err error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/call","params":{%s"_meta":{"progressToken":"t-%s"}}}`, id, params, id)
	if c.era == upstream.ModernEra {
		body = modernBody(id, "tools/call", params, fmt.Sprintf(`"progressToken":"t-%s","io.modelcontextprotocol/logLevel":"info",`, id))
	}
	var wrong error
	err = c.post("POST", body, "up_chat", nil, func(m string) {
		what := kindOfMessage(m)
		got = append(got, what)
		if found := sealedState.FindString(m); found != "" {
			state = found
		}
		if found := questionKey.FindStringSubmatch(m); found != nil {
			key = found[1]
		}
		if about := strings.Contains(m, `"`+id+`"`) || strings.Contains(m, `"[up] `+id+`"`); !about ||
			what == "progress" && !strings.Contains(m, `"progressToken":"t-`+id+`"`) {
			wrong = fmt.Errorf("got %s", m)
		}
		if what == "question" {
			wrong = cmp.Or(wrong, c.answer(m, id))
		}
	})
	return got, key, state, cmp.Or(err, wrong)
}

func kindOfMessage(m string) string {
	for part, kind := range map[string]string{
		`"method":"notifications/progress"`: "progress", `"method":"notifications/message"`: "log",
		`"method":"elicitation/create","params":{"message":"[up] `: "question",
	} {
		if strings.Contains(m, part) && !strings.Contains(m, `"input_required"`) {
			return kind
		}
	}
	if strings.Contains(m, `"input_required"`) {
		return "input"
	}
	if strings.Contains(m, `"structuredContent"`) && !strings.Contains(m, `"isError"`) {
		return "result"
	}
	return m
}

func (c *talker) answer(question, id string) error {
	var m struct{ ID json.RawMessage }
	if err := json.Unmarshal([]byte(question), &m); err != nil {
		return err
	}
	return c.post("POST", fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept","content":{"id":%q}}}`, m.ID, id), "", nil, func(string) {})
}

func modernBody(id, method, params string, meta ...string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":%q,"params":{%s"_meta":{%s%s}}}`, id, method, params, strings.Join(meta, ""),
		strings.Replace(hopMeta, `"io.modelcontextprotocol/clientCapabilities":{}`, `"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}`, 1))
}

// post sends a request and passes each message of its response on; opened is
// called once the headers are there.
func (c *talker) post(method, body, name string, opened func(), got func(string)) error {
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = c.header.Clone()
	if c.era == upstream.ModernEra {
		var m struct{ Method string }
		_ = json.Unmarshal([]byte(body), &m) // the test made it
		req.Header.Set("Mcp-Method", m.Method)
		req.Header.Set("Mcp-Name", name)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if opened != nil {
		opened()
	}
	plain := !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok || plain && data != "" {
			got(data)
		}
	}
	return nil
}
