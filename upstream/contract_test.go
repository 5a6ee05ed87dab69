package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// odd is JSON that decoding and encoding would change.
const odd = `{"z":9007199254740993,"a":1.0,"e":1e3,"h":"<>&\u003c\u2028\/é","z2":-0,"":"","deep":[{"b":2,"a":[ 1 , 2 ]}],"n":null}`

var contractTools = []string{
	`{"name":"echo","x-unknown":` + odd + `,"inputSchema":{"type":"object"}}`,
	`{"inputSchema":true,"name":"no type"}`,
	`{"name":"third"}`,
}

// contract is a server whose tools do what callers rely on, and what they must
// survive.
func contract() upstreamtest.Script {
	var cancelled atomic.Int64
	var answers sync.Map
	return upstreamtest.Script{
		Tools:        contractTools,
		Prompts:      []string{},
		Resources:    []string{`{"uri":"file:///a","size":0}`},
		Templates:    []string{`{"uriTemplate":"file:///{x}"}`},
		PageSize:     2,
		Instructions: "Be <careful> & exact.",
		Answered:     func(r *upstreamtest.Request) { answers.Store(string(r.ID), string(r.Body)) },
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			switch r.Name() {
			case "echo":
				return upstreamtest.Result(`{"received":` + string(r.Params) + `}`)
			case "odd":
				return upstreamtest.Result(odd)
			case "empty":
				return upstreamtest.Result(`{"content":[{"type":"text","text":""},{"type":"new","blob":"!"}]}`)
			case "big":
				return upstreamtest.Result(bigResult)
			case "fail":
				return upstreamtest.Error(`{"code":-32042,"message":"no <way>","data":` + odd + `,"more":1}`)
			case "progress":
				for i := range 20 {
					r.Progress(float64(i), `,"message":"step"`)
				}
				return upstreamtest.Result(`{"content":[]}`)
			case "hang":
				<-r.Context.Done()
				cancelled.Add(1)
				return upstreamtest.Raw("")
			case "cancelled":
				return upstreamtest.Result(fmt.Sprintf(`{"n":%d}`, cancelled.Load()))
			case "twice":
				r.Send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"n":1}}`, r.ID))
				return upstreamtest.Result(`{"n":2}`)
			case "wrong-id":
				r.Send(`{"jsonrpc":"2.0","id":987654,"result":{"n":1}}`)
				r.Send(`{"jsonrpc":"2.0","id":"` + string(r.ID) + `","result":{"n":1}}`)
				return upstreamtest.Result(`{"n":2}`)
			case "ask":
				r.Send(`{"jsonrpc":"2.0","id":"p1","method":"ping"}`)
				r.Send(`{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{}}`)
				return upstreamtest.Result(`{}`)
			case "answers":
				got := map[string]any{}
				answers.Range(func(id, answer any) bool {
					got[id.(string)] = answer
					return true
				})
				return upstreamtest.Result(string(rawjson.Value(got)))
			}
			return upstreamtest.Error(`{"code":-32602,"message":"unknown tool"}`)
		},
	}
}

var bigResult = `{"content":[{"type":"text","text":"` + strings.Repeat("0123456789abcde\\n", 10<<20/17) + `"}]}`

// A variant is one way to speak with the contract server.
type variant struct {
	name string
	era  upstream.Era
	opts func(t *testing.T) upstream.Options
}

var variants = []variant{
	{"stdio legacy", upstream.LegacyEra, func(*testing.T) upstream.Options { return act("contract-legacy") }},
	{"stdio modern", upstream.ModernEra, func(*testing.T) upstream.Options { return act("contract") }},
	{"http legacy json", upstream.LegacyEra, func(t *testing.T) upstream.Options {
		return overHTTP(t, func(s *upstreamtest.Script) { s.LegacyOnly = true })
	}},
	{"http legacy sse", upstream.LegacyEra, func(t *testing.T) upstream.Options {
		return overHTTP(t, func(s *upstreamtest.Script) { s.LegacyOnly, s.Stream = true, true })
	}},
	{"http modern json", upstream.ModernEra, func(t *testing.T) upstream.Options {
		return overHTTP(t, func(*upstreamtest.Script) {})
	}},
	{"http modern sse", upstream.ModernEra, func(t *testing.T) upstream.Options {
		return overHTTP(t, func(s *upstreamtest.Script) { s.Stream = true })
	}},
	{"old sse", upstream.LegacyEra, func(t *testing.T) upstream.Options {
		s := contract()
		s.LegacyOnly = true
		return upstream.Options{URL: upstreamtest.New(t, s).SSEURL}
	}},
}

func overHTTP(t *testing.T, change func(*upstreamtest.Script)) upstream.Options {
	s := contract()
	change(&s)
	return upstream.Options{URL: upstreamtest.New(t, s).URL}
}

// eachVariant runs a test of the contract over every transport and era.
func eachVariant(t *testing.T, test func(t *testing.T, r *running, v variant), change ...func(*upstream.Options)) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			opts := v.opts(t)
			for _, c := range change {
				c(&opts)
			}
			r := run(t, opts)
			if status := r.Status(); status.State != upstream.Connected || status.Connects != 1 || status.Era != v.era {
				t.Fatalf("status %+v, want connected to a %s server", status, v.era)
			}
			test(t, r, v)
			r.stop()
			if got := r.Status().State; got != upstream.Stopped {
				t.Errorf("state %s after Run, want stopped", got)
			}
			_, err := r.tool(t.Context(), "echo", "{}")
			wantError(t, err, "stopped")
		})
	}
}

func TestListing(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, v variant) {
		got := r.Listing()
		want := &upstream.Listing{
			Era:          v.era,
			Version:      map[upstream.Era]string{upstream.LegacyEra: "2025-11-25", upstream.ModernEra: "2026-07-28"}[v.era],
			ServerInfo:   json.RawMessage(`{"name":"fake","version":"1"}`),
			Capabilities: json.RawMessage(`{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true}}`),
			Instructions: "Be <careful> & exact.",
			Prompts:      []json.RawMessage{},
			Resources:    []json.RawMessage{json.RawMessage(`{"uri":"file:///a","size":0}`)},
			Templates:    []json.RawMessage{json.RawMessage(`{"uriTemplate":"file:///{x}"}`)},
		}
		if v.era == upstream.ModernEra {
			want.Versions = []string{"2026-07-28", "2025-11-25"}
		}
		for _, raw := range contractTools {
			want.Tools = append(want.Tools, json.RawMessage(raw))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("listing (-want +got):\n%s", diff)
		}
		if got := r.changes(); got != 1 {
			t.Errorf("Changed called %d times, want once", got)
		}
	})
}

func TestResultIsByteIdentical(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, _ variant) {
		for tool, want := range map[string]string{
			"odd":   odd,
			"empty": `{"content":[{"type":"text","text":""},{"type":"new","blob":"!"}]}`,
			"big":   bigResult,
		} {
			if got := r.mustTool(t, tool, "{}"); got != want {
				t.Errorf("%s: got %.200s (%d bytes), want %.200s (%d bytes)", tool, got, len(got), want, len(want))
			}
		}
	})
}

func TestErrorIsByteIdentical(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, _ variant) {
		_, err := r.tool(t.Context(), "fail", "{}")
		wantAnswer(t, err, -32042, odd)
		if err.Error() != "no <way>" {
			t.Errorf("message %q", err)
		}
	})
}

func TestParamsAreByteIdentical(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, v variant) {
		const members = `"name":"echo","arguments":` + odd + `,"task":{"ttl":1.0}`
		result, err := r.Call(t.Context(), upstream.Call{Method: "tools/call", Params: json.RawMessage(`{` + members + `}`)})
		if err != nil {
			t.Fatal(err)
		}
		want := `{"received":{` + members
		if v.era == upstream.ModernEra {
			want += `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"mcpagg","version":"dev"},"io.modelcontextprotocol/clientCapabilities":{}}`
		}
		want += `}}`
		if string(result) != want {
			t.Errorf("got  %s\nwant %s", result, want)
		}
	})
}

// A body may be indented JSON, which a line of stdio cannot be.
func TestParamsWithLineEnds(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, _ variant) {
		params := json.RawMessage("{\n  \"name\": \"echo\",\r\n  \"arguments\": {\n\t\"a\": \"\\n\"}\n}")
		result, err := r.Call(t.Context(), upstream.Call{Method: "tools/call", Params: params})
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Received struct{ Arguments struct{ A string } }
		}
		if err := json.Unmarshal(result, &got); err != nil || got.Received.Arguments.A != "\n" {
			t.Errorf("got %s, want the argument a", result)
		}
	})
}

func TestMetaOfTheHop(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, v variant) {
		result, err := r.Call(t.Context(), upstream.Call{
			Method: "tools/call",
			Params: json.RawMessage(`{"_meta":{"progressToken":"client's","traceparent":"00-1","io.modelcontextprotocol/protocolVersion":"2099-01-01",` +
				`"io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/clientCapabilities":{"sampling":{}},"io.modelcontextprotocol/logLevel":"debug","n":1.0},"name":"echo"}`),
			ClientInfo:         json.RawMessage(`{"name":"c","v":1.0}`),
			ClientCapabilities: json.RawMessage(`{"elicitation":{}}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		want := `{"received":{"_meta":{"traceparent":"00-1","n":1.0`
		if v.era == upstream.ModernEra {
			want += `,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","v":1.0},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}`
		}
		want += `},"name":"echo"}}`
		if string(result) != want {
			t.Errorf("got  %s\nwant %s", result, want)
		}
	})
}

func TestProgressComesBeforeTheResult(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, _ variant) {
		var wg sync.WaitGroup
		for range 8 { // each call gets its own progress only
			wg.Go(func() {
				var got []string
				_, err := r.Call(t.Context(), upstream.Call{
					Method: "tools/call",
					Params: toolParams("progress", "{}"), Progress: true,
					Notify: func(method string, params json.RawMessage) {
						var p struct {
							Progress int
							Message  string
						}
						_ = json.Unmarshal(params, &p)
						got = append(got, fmt.Sprintf("%s %d %s", method, p.Progress, p.Message))
					},
				})
				if err != nil {
					t.Error(err)
				}
				var want []string
				for i := range 20 {
					want = append(want, fmt.Sprintf("notifications/progress %d step", i))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("progress (-want +got):\n%s", diff)
				}
			})
		}
		wg.Wait()
	})
}

func TestCancelReachesTheServer(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, _ variant) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := r.tool(ctx, "hang", "{}")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		wantError(t, err, "context canceled")
		eventually(t, "the server's call is cancelled", func() bool {
			return r.mustTool(t, "cancelled", "{}") == `{"n":1}`
		})
	})
}

func TestCallTimeout(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, _ variant) {
		_, err := r.tool(t.Context(), "hang", "{}")
		wantError(t, err, "no answer within 300ms")
		if errors.Is(err, context.DeadlineExceeded) {
			t.Error("the caller's context has no deadline, but the error says so")
		}
		eventually(t, "the server's call is cancelled", func() bool {
			return r.mustTool(t, "cancelled", "{}") == `{"n":1}`
		})
	}, func(o *upstream.Options) { o.CallTimeout = 300 * time.Millisecond; o.ConnectTimeout = 10 * time.Second })
}

func TestServerSendsNonsense(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, _ variant) {
		if got, want := r.mustTool(t, "twice", "{}"), `{"n":1}`; got != want {
			t.Errorf("answered twice: got %s, want %s", got, want)
		}
		if got, want := r.mustTool(t, "wrong-id", "{}"), `{"n":2}`; got != want {
			t.Errorf("answered with other ids first: got %s, want %s", got, want)
		}
		if got := r.mustTool(t, "odd", "{}"); got != odd {
			t.Errorf("call after that: got %s, want %s", got, odd)
		}
	})
}

func TestServerAsks(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, v variant) {
		if got := r.mustTool(t, "ask", "{}"); got != "{}" {
			t.Errorf("got %s, want {}", got)
		}
		if v.name == "http modern json" || v.name == "http modern sse" {
			return // there is no way to answer
		}
		eventually(t, "both answers", func() bool {
			var got map[string]string
			if err := json.Unmarshal([]byte(r.mustTool(t, "answers", "{}")), &got); err != nil {
				t.Fatal(err)
			}
			return got[`"p1"`] == `{"jsonrpc":"2.0","id":"p1","result":{}}` &&
				strings.HasPrefix(got["7"], `{"jsonrpc":"2.0","id":7,"error":{"code":-32601,`)
		})
	})
}

func TestManyCallsAtOnce(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, _ variant) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				got := r.mustTool(t, "echo", fmt.Sprintf(`{"i":%d}`, i))
				if want := fmt.Sprintf(`"arguments":{"i":%d}`, i); !strings.Contains(got, want) {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
		wg.Wait()
	})
}

func TestBadParams(t *testing.T) {
	eachVariant(t, func(t *testing.T, r *running, _ variant) {
		for _, params := range []string{`[]`, `{"a":1`, `{"a":1}{"b":2}`, `{"a":1,"a":2}`} {
			_, err := r.Call(t.Context(), upstream.Call{Method: "tools/call", Params: json.RawMessage(params)})
			wantError(t, err, "params of tools/call")
		}
	})
}
