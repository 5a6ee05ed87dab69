package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// startTest serves an upstream and returns its host:port.
func startTest(t *testing.T, speaks, answers string) string {
	t.Helper()
	server := httptest.NewServer(newUpstream(speaks, answers, 20).handler())
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestCallersAndUpstreamUnderstandEachOther(t *testing.T) {
	for _, e := range eras {
		for _, answers := range []string{"sse", "json"} {
			t.Run(e.String()+" "+answers, func(t *testing.T) {
				c := newCaller(startTest(t, e.String(), answers), mcpPath, e)
				defer c.end()
				if err := c.open(); err != nil {
					t.Fatal(err)
				}
				for name, op := range map[string]operation{
					"echo": callEcho(echoTool),
					"blob": callBlob(blobTool, 3),
					"list": listTools(20),
				} {
					for n := range 2 {
						if _, err := op(c, n); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					}
				}
			})
		}
	}
}

func TestWrongAnswersAreFailures(t *testing.T) {
	c := newCaller(startTest(t, "both", "sse"), mcpPath, modern)
	defer c.end()
	for name, op := range map[string]operation{
		"another tool":  callEcho("search_003"),
		"no such tool":  callEcho("b0_echo"),
		"too few tools": listTools(21),
	} {
		if _, err := op(c, 1); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestUpstreamRefuses(t *testing.T) {
	address := startTest(t, "both", "sse")
	for _, test := range []struct {
		name   string
		header map[string]string
		body   string
		want   int
	}{
		{"broken JSON", nil, `{`, 400},
		{"no JSON-RPC", nil, `{"id":1,"method":"ping"}`, 400},
		{"no session", nil, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 400},
		{"unknown session", map[string]string{sessionHeader: "x"}, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 404},
		{
			"version in the header only",
			map[string]string{versionHeader: string(modern)},
			`{"jsonrpc":"2.0","id":1,"method":"ping"}`, 400,
		},
		{"version in the body only", nil, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{` + modernMeta + `}}`, 400},
		{
			"wrong method header",
			map[string]string{versionHeader: string(modern), methodHeader: "pong"},
			`{"jsonrpc":"2.0","id":1,"method":"ping","params":{` + modernMeta + `}}`, 400,
		},
		{
			"no name header",
			map[string]string{versionHeader: string(modern), methodHeader: "tools/call"},
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + modernMeta + `,"name":"echo"}}`, 400,
		},
		{"content type", map[string]string{"Content-Type": "text/plain"}, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 415},
		{"accept", map[string]string{"Accept": "text/html"}, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 406},
	} {
		if got := post(t, address, test.header, test.body); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func post(t *testing.T, address string, header map[string]string, body string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+address+mcpPath, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

func TestToolsRefuseWhatTheyDoNotKnow(t *testing.T) {
	u := newUpstream("both", "json", 3)
	for _, test := range []struct{ tool, arguments string }{
		{echoTool, `{}`},
		{echoTool, `{"text":1}`},
		{echoTool, `{"text":"a","more":1}`},
		{blobTool, `{"kib":-1}`},
		{blobTool, `{"kib":999999}`},
		{sleepTool, `{"ms":"long"}`},
		{"nothing", `{}`},
	} {
		m := &message{}
		m.Params.Name, m.Params.Arguments = test.tool, []byte(test.arguments)
		if result, refused := u.callTool(t.Context(), m); refused == nil {
			t.Errorf("%s %s: got %s", test.tool, test.arguments, result)
		}
	}
}

func TestEventsBeforeTheAnswerArePassedOver(t *testing.T) {
	const body = ": hello\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n" +
		"id: 7\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"a\":1}}\r\n\r\n"
	got, err := findResult("text/event-stream; charset=utf-8", []byte(body), "3")
	if err != nil || string(got) != `{"a":1}` {
		t.Errorf("got %s and %v", got, err)
	}
	for name, body := range map[string]string{
		"no answer":      ": hello\n\n",
		"another's":      "data: {\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{}}\n\n",
		"an error":       "data: {\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":1}}\n\n",
		"cut off":        "data: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\"",
		"neither of two": "data: {\"jsonrpc\":\"2.0\",\"id\":3}\n\n",
	} {
		if got, err := findResult("text/event-stream", []byte(body), "3"); err == nil {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestListsAreReadToTheLastPage(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body := `{"tools":[{"name":"a","inputSchema":{"type":"object"}}],"nextCursor":"2"}`
		if text, _ := io.ReadAll(r.Body); strings.Contains(string(text), `"cursor":"2"`) {
			body = `{"tools":[{"name":"b","inputSchema":{"type":"object"}}]}`
		}
		requests++
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%d,"result":%s}`, requests, body)
	}))
	defer server.Close()
	c := newCaller(strings.TrimPrefix(server.URL, "http://"), mcpPath, modern)
	defer c.end()
	if _, err := listTools(2)(c, 0); err != nil {
		t.Error(err)
	}
}
