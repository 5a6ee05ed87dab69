//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A translator stands between a client that knows an upstream by its own names
// and a gateway that publishes them under the upstream's label. It changes
// names, URIs and the label before questions; every other byte, also of
// messages that are not valid, it passes on.
type translator struct{ label string }

// startTranslator puts a translator in front of a gateway.
func startTranslator(t testing.TB, gateway, label string) (address string) {
	t.Helper()
	target, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	tr := translator{label}
	transport := &http.Transport{DisableCompression: true}
	s := httptest.NewServer(&httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     transport,
		ErrorLog:      log.New(io.Discard, "", 0), // of clients that hang up
		Rewrite: func(r *httputil.ProxyRequest) {
			// Host stays the client's: a gateway looks at it, and so does the suite.
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			tr.rewriteRequest(r.Out)
		},
		ModifyResponse: tr.rewriteResponse,
	})
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		transport.CloseIdleConnections()
	})
	return s.URL + target.Path
}

func (tr translator) rewriteRequest(r *http.Request) {
	if name := r.Header.Get("Mcp-Name"); name != "" {
		r.Header.Set("Mcp-Name", tr.header(r.Header.Get("Mcp-Method"), name))
	}
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil { // or the length is wrong, and the request fails
		body = tr.request(body)
		r.ContentLength = int64(len(body))
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
}

// header publishes the name or URI in a header, which may be encoded.
func (tr translator) header(method, name string) string {
	path := "params.name"
	if method == "resources/read" {
		path = "params.uri"
	}
	const open, end = "=?base64?", "?="
	encoded, ok := strings.CutPrefix(name, open)
	if !ok {
		return tr.publish(method, path, name)
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, end))
	if err != nil {
		return name
	}
	return open + base64.StdEncoding.EncodeToString([]byte(tr.publish(method, path, string(decoded)))) + end
}

// request publishes what a message of the client's names.
func (tr translator) request(body []byte) []byte {
	var m message
	if json.Unmarshal(body, &m) != nil {
		return body
	}
	return rewriteStrings(body, "", func(path, s string) string { return tr.publish(m.Method, path, s) })
}

func (tr translator) publish(method, path, s string) string {
	switch path {
	case "params.name":
		if method == "tools/call" || method == "prompts/get" {
			return tr.label + "_" + s
		}
	case "params.ref.name":
		return tr.label + "_" + s
	case "params.uri", "params.ref.uri", "params.notifications.resourceSubscriptions":
		if strings.HasPrefix(s, "test:") {
			return tr.label + "+" + s
		}
	}
	return s
}

func (tr translator) rewriteResponse(r *http.Response) error {
	switch kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind {
	case "application/json":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		body = tr.answer(body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	case "text/event-stream":
		r.Body = &translatedEvents{translator: tr, lines: bufio.NewReader(r.Body), Closer: r.Body}
		r.ContentLength = -1
		r.Header.Del("Content-Length")
	}
	return nil
}

// answer gives a message of the gateway's the names back that the upstream has
// given.
func (tr translator) answer(body []byte) []byte { return rewriteStrings(body, "", tr.original) }

func (tr translator) original(path, s string) string {
	switch key := path[strings.LastIndexByte(path, '.')+1:]; {
	case path == "result.tools.name", path == "result.prompts.name":
		return strings.TrimPrefix(s, tr.label+"_")
	case key == "uri", key == "uriTemplate", key == "resourceSubscriptions":
		if strings.HasPrefix(s, tr.label+"+test:") {
			return strings.TrimPrefix(s, tr.label+"+")
		}
	case path == "params.message", key == "message" && strings.HasPrefix(path, "result.inputRequests."):
		return strings.TrimPrefix(s, "["+tr.label+"] ")
	}
	return s
}

// translatedEvents is an event stream in which each message is on one line.
type translatedEvents struct {
	translator
	lines *bufio.Reader
	rest  []byte // of a line that was translated
	io.Closer
}

func (e *translatedEvents) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		line, err := e.lines.ReadBytes('\n')
		if len(line) == 0 {
			return 0, err
		}
		e.rest = e.line(line)
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func (e *translatedEvents) line(line []byte) []byte {
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		return line
	}
	return slices.Concat([]byte("data:"), e.answer(data))
}

// rewriteStrings replaces strings in JSON and leaves every other byte. A path
// is the names of the members that lead to a string; arrays add none.
func rewriteStrings(raw json.RawMessage, path string, change func(path, s string) string) json.RawMessage {
	kind := bytes.TrimSpace(raw)
	if len(kind) == 0 {
		return raw
	}
	switch kind[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return raw
		}
		if to := change(path, s); to != s {
			return encode(to)
		}
	case '{', '[':
		members, err := membersOf(raw)
		if err != nil {
			return raw
		}
		var out []byte
		var done int64
		for _, m := range members {
			to := path
			if kind[0] == '{' {
				to = strings.TrimPrefix(path+"."+m.name, ".")
			}
			out = append(out, raw[done:m.start]...)
			out = append(out, rewriteStrings(m.value, to, change)...)
			done = m.end
		}
		return append(out, raw[done:]...)
	}
	return raw
}

func TestTranslator(t *testing.T) {
	t.Parallel()
	tr := translator{"up"}
	for _, test := range []struct{ name, message, want string }{
		{"a tool", `{"method":"tools/call", "id" :1.0,"params":{"name":"a","arguments":{"name":"b","uri":"test://c"}}} `, `{"method":"tools/call", "id" :1.0,"params":{"name":"up_a","arguments":{"name":"b","uri":"test://c"}}} `},
		{"another method's name", `{"method":"logging/setLevel","params":{"name":"a"}}`, ``},
		{"a resource", `{"params":{"uri":"test://a"},"method":"resources/read"}`, `{"params":{"uri":"up+test://a"},"method":"resources/read"}`},
		{"resources to watch", `{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["test://a","x:b"]}}}`, `{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["up+test://a","x:b"]}}}`},
		{"no JSON", `{"method":"tools/call","params":{"name":"a"}`, ``},
		{"a batch", `[{"method":"tools/call","params":{"name":"a"}}]`, ``},
		{"nothing", ``, ``},
	} {
		if test.want == "" {
			test.want = test.message
		}
		if got := string(tr.request([]byte(test.message))); got != test.want {
			t.Errorf("%s: a request becomes %s, want %s", test.name, got, test.want)
		}
	}
	for _, test := range []struct{ name, message, want string }{
		{"tools", `{"result":{"tools":[{"name":"up_a","inputSchema":{"properties":{"name":{"const":"up_b"}}}}]}}`, `{"result":{"tools":[{"name":"a","inputSchema":{"properties":{"name":{"const":"up_b"}}}}]}}`},
		{"a question", ` {"method":"elicitation/create","params":{"message":"[up] <who>?"}}`, ` {"method":"elicitation/create","params":{"message":"<who>?"}}`},
		{"content", `{"result":{"content":[{"text":"up+test:"},{"resource":{"uri":"up+test://a"}}]}}`, `{"result":{"content":[{"text":"up+test:"},{"resource":{"uri":"test://a"}}]}}`},
	} {
		if got := string(tr.answer([]byte(test.message))); got != test.want {
			t.Errorf("%s: an answer becomes %s, want %s", test.name, got, test.want)
		}
	}
	if got, want := tr.header("tools/call", "=?base64?YQ==?="), "=?base64?dXBfYQ==?="; got != want {
		t.Errorf("a header becomes %s, want %s", got, want)
	}
}
