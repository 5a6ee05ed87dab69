package aggregator_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// odd holds members of an object that decoding and encoding again would change.
const odd = `"z":9007199254740993,"a":-0.0,"f":1.0,"e":1e3,"E":1E+3,"tiny":1e-400,"html":"<>&\u003c\u2028` + "\u2028" + `","text":"","slash":"\/","nested":{"b":[1.50,{"z":1,"a":2}],"a":null},"\u0078\u0079":"é\u00e9"`

// results are the members of tool results, without resultType.
var results = map[string]string{
	"odd numbers and text":       `"content":[{"type":"text","text":"<b>\u0026</b>",` + odd + `}],` + odd,
	"unknown content type":       `"content":[{"type":"hologram","frames":[9007199254740993]},{"type":"text","text":""}]`,
	"structured content":         `"content":[],"structuredContent":{` + odd + `},"isError":false`,
	"isError":                    `"isError":true,"content":[{"text":"no","type":"text"}]`,
	"meta":                       `"content":[],"_meta":{"com.example/n":9007199254740993,"com.example/f":1.0}`,
	"embedded resource":          `"content":[{"type":"resource","resource":{"uri":"https://example.com/a","text":"",` + odd + `}}]`,
	"link to the web":            `"content":[{"type":"resource_link","uri":"https:\/\/example.com\/a","name":"a"}]`,
	"binary":                     `"content":[{"type":"image","mimeType":"image/png","data":"` + strings.Repeat("iVBORw0KGgo", 10_000) + `="},{"type":"audio","data":"not base64!"}]`,
	"10 MB of text":              `"content":[{"type":"text","text":"` + strings.Repeat("0123456789\\n\\u003c", 10<<20/17) + `"}]`,
	"no content":                 `"unknown":[]`,
	"content that is no list":    `"content":"resource"`,
	"content of another kind":    `"content":[1,"resource",null,{"type":"resource","resource":"\u0000"}]`,
	"everything under odd names": `"con\u0074ent":[{"typ\u0065":"text","text":"x"}]`,
}

var eras = []upstream.Era{upstream.LegacyEra, upstream.ModernEra}

// inEveryEra runs test for clients and upstreams of both eras.
func inEveryEra(t *testing.T, test func(t *testing.T, client, server upstream.Era)) {
	for _, client := range eras {
		for _, server := range eras {
			t.Run(fmt.Sprintf("%s client, %s upstream", client, server), func(t *testing.T) { test(t, client, server) })
		}
	}
}

// speaks makes the script's server speak one era only.
func speaks(era upstream.Era, s upstreamtest.Script) upstreamtest.Script {
	s.LegacyOnly, s.ModernOnly = era == upstream.LegacyEra, era == upstream.ModernEra
	return s
}

// ask sends one request of the client's era and returns the member of the
// answer, as raw JSON.
func ask(t *testing.T, c *httpClient, era upstream.Era, method, name, members, member string) string {
	t.Helper()
	var r reply
	if era == upstream.ModernEra {
		r = c.modern(method, name, members)
	} else {
		r = c.request(method, "{"+strings.TrimSuffix(members, ",")+"}")
	}
	answer, err := rawjson.ParseObject([]byte(r.body))
	if err != nil || answer.Get(member) == nil {
		t.Fatalf("%s: no %s in the answer: %d %.300s", method, member, r.status, r.body)
	}
	return string(answer.Get(member))
}

func connect(t *testing.T, url string, era upstream.Era) *httpClient {
	c := newHTTPClient(t, url)
	if era == upstream.LegacyEra {
		c.initialize()
	}
	return c
}

const plainTool = `{"name":"t","inputSchema":{"type":"object"}}`

func TestResultsPassByteForByte(t *testing.T) {
	inEveryEra(t, func(t *testing.T, client, server upstream.Era) {
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{
			Tools: []string{plainTool},
			Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
				args, err := rawjson.ParseObject(r.Params)
				if err != nil {
					return upstreamtest.Error(`{"code":1,"message":"params"}`)
				}
				which, _ := rawjson.ParseObject(args.Get("arguments"))
				name, _ := which.GetString("which")
				return upstreamtest.Result(inEra(server, results[name]))
			},
		}))
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
		c := connect(t, url, client)
		for name, members := range results {
			got := ask(t, c, client, "tools/call", "up_t", `"name":"up_t","arguments":{"which":"`+name+`"},`, "result")
			if want := inEra(client, members); got != want {
				t.Errorf("%s:\ngot  %.500s\nwant %.500s", name, got, want)
			}
		}
	})
}

// inEra makes a result of its members, as the era has it.
func inEra(era upstream.Era, members string) string {
	if era == upstream.ModernEra {
		return `{` + members + `,"resultType":"complete"}`
	}
	return `{` + members + `}`
}

func TestErrorsPassByteForByte(t *testing.T) {
	const sent = `{"code":-32042,"message":"a < b & \"c\"","data":{` + odd + `}}`
	inEveryEra(t, func(t *testing.T, client, server upstream.Era) {
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{
			Tools: []string{plainTool},
			Reply: func(*upstreamtest.Request) upstreamtest.Reply { return upstreamtest.Error(sent) },
		}))
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
		got := ask(t, connect(t, url, client), client, "tools/call", "up_t", `"name":"up_t",`, "error")
		if got != sent {
			t.Errorf("got  %s\nwant %s", got, sent)
		}
	})
}

func TestArgumentsPassByteForByte(t *testing.T) {
	const (
		args  = `{` + odd + `}`
		texts = `{"b":"<>&\u003c","a":"","\u0078":"\/"}` // a prompt's arguments are texts
	)
	inEveryEra(t, func(t *testing.T, client, server upstream.Era) {
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{
			Tools: []string{plainTool}, Prompts: []string{`{"name":"t"}`},
		}))
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
		c := connect(t, url, client)
		for method, args := range map[string]string{"tools/call": args, "prompts/get": texts} {
			ask(t, c, client, method, "up_t", `"name":"up_t","arguments":`+args+`,"later":1.0,`, "result")
			requests := srv.Requests(method)
			if len(requests) != 1 {
				t.Fatalf("%d requests of %s reached the upstream", len(requests), method)
			}
			params, err := rawjson.ParseObject(requests[0].Params)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(params.Get("arguments")); got != args {
				t.Errorf("%s:\ngot  %s\nwant %s", method, got, args)
			}
			if name, _ := params.GetString("name"); name != "t" || string(params.Get("later")) != "1.0" {
				t.Errorf("%s: name %q, later %s", method, name, params.Get("later"))
			}
		}
	})
}

func TestMetaOfRequestsPassesButForTheHop(t *testing.T) {
	for _, server := range eras {
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{Tools: []string{plainTool}}))
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
		connect(t, url, upstream.LegacyEra).request("tools/call",
			`{"name":"up_t","_meta":{"com.example/n":9007199254740993,"progressToken":"mine","com.example/f":1.0}}`)
		params, err := rawjson.ParseObject(srv.Requests("tools/call")[0].Params)
		if err != nil {
			t.Fatal(err)
		}
		meta, err := rawjson.ParseObject(params.Get("_meta"))
		if err != nil {
			t.Fatal(err)
		}
		if string(meta.Get("com.example/n")) != "9007199254740993" || string(meta.Get("com.example/f")) != "1.0" {
			t.Errorf("%s upstream: _meta is %s", server, params.Get("_meta"))
		}
		if got := string(meta.Get("progressToken")); got == "" || got == `"mine"` {
			t.Errorf("%s upstream: the client's own progress token went up", server)
		}
	}
}

func TestDefinitionsPassByteForByte(t *testing.T) {
	const (
		tool     = `{"title":"<T>","name":"t","inputSchema":{"type":"object","properties":{"n":{"maximum":9007199254740993,` + odd + `}}},` + odd + `}`
		prompt   = `{"name":"t","arguments":[{"name":"a","required":true,` + odd + `}],` + odd + `}`
		resource = `{"uri":"file:///a","name":"","size":9007199254740993,` + odd + `}`
		template = `{"uriTemplate":"file:///{x}","name":"",` + odd + `}`
	)
	inEveryEra(t, func(t *testing.T, client, server upstream.Era) {
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{
			Tools: []string{tool}, Prompts: []string{prompt}, Resources: []string{resource}, Templates: []string{template},
		}))
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
		c := connect(t, url, client)
		for _, tt := range []struct{ method, member, def, old, new string }{
			{"tools/list", "tools", tool, `"name":"t"`, `"name":"up_t"`},
			{"prompts/list", "prompts", prompt, `"name":"t"`, `"name":"up_t"`},
			{"resources/list", "resources", resource, `"uri":"`, `"uri":"up+`},
			{"resources/templates/list", "resourceTemplates", template, `"uriTemplate":"`, `"uriTemplate":"up+`},
		} {
			result, err := rawjson.ParseObject([]byte(ask(t, c, client, tt.method, "", "", "result")))
			if err != nil {
				t.Fatal(err)
			}
			want := `[` + strings.Replace(tt.def, tt.old, tt.new, 1) + `]`
			if got := string(result.Get(tt.member)); got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", tt.method, got, want)
			}
		}
	})
}

func TestURIsOfResultsCarryTheLabel(t *testing.T) {
	replies := map[string]string{
		"tools/call":  `"content":[{"type":"resource_link","name":"a","uri":"file:///a"},{"type":"resource","resource":{"uri":"file:///b","blob":"","n":1.0}},{"type":"resource_link","uri":"https://example.com/"}]`,
		"prompts/get": `"messages":[{"role":"user","content":{"type":"resource","resource":{"text":"","uri":"file:///b"}}}]`,
	}
	want := map[string]string{
		"tools/call":  `"content":[{"type":"resource_link","name":"a","uri":"up+file:///a"},{"type":"resource","resource":{"uri":"up+file:///b","blob":"","n":1.0}},{"type":"resource_link","uri":"https://example.com/"}]`,
		"prompts/get": `"messages":[{"role":"user","content":{"type":"resource","resource":{"text":"","uri":"up+file:///b"}}}]`,
	}
	inEveryEra(t, func(t *testing.T, client, server upstream.Era) {
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{
			Tools: []string{plainTool}, Prompts: []string{`{"name":"t"}`}, Templates: []string{`{"uriTemplate":"file:///{x}","name":"x"}`},
			Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
				if members, ok := replies[r.Method]; ok {
					return upstreamtest.Result(inEra(server, members))
				}
				return upstreamtest.Result(`{"contents":[{"uri":"file:///a","text":"","n":1.0}],"resultType":"complete","ttlMs":5,"cacheScope":"public"}`)
			},
		}))
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
		c := connect(t, url, client)
		for method, members := range want {
			got := ask(t, c, client, method, "up_t", `"name":"up_t",`, "result")
			if got != inEra(client, members) {
				t.Errorf("%s:\ngot  %s\nwant %s", method, got, inEra(client, members))
			}
		}
		got := ask(t, c, client, "resources/read", "up+file:///a", `"uri":"up+file:///a",`, "result")
		if !strings.Contains(got, `{"uri":"up+file:///a","text":"","n":1.0}`) {
			t.Errorf("resources/read: %s", got)
		}
		if client == upstream.ModernEra && !strings.Contains(got, `"ttlMs":5,"cacheScope":"private"`) {
			t.Errorf("resources/read: caching of a caller's own result: %s", got)
		}
		params, err := rawjson.ParseObject(srv.Requests("resources/read")[0].Params)
		if err != nil {
			t.Fatal(err)
		}
		if uri, _ := params.GetString("uri"); uri != "file:///a" {
			t.Errorf("the upstream was asked for %q", uri)
		}
	})
}

func TestResultsOfUnknownTypeAreRefused(t *testing.T) {
	for _, client := range eras {
		srv := upstreamtest.New(t, upstreamtest.Script{
			ModernOnly: true, Tools: []string{plainTool},
			Reply: func(*upstreamtest.Request) upstreamtest.Reply {
				return upstreamtest.Result(`{"resultType":"task","task":{"id":"1"}}`)
			},
		})
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
		got := ask(t, connect(t, url, client), client, "tools/call", "up_t", `"name":"up_t",`, "error")
		if want := `upstream \"up\": its result has the unknown type \"task\"`; !strings.Contains(got, want) {
			t.Errorf("%s client: %s, want %s", client, got, want)
		}
	}
}
