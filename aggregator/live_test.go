package aggregator_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// askingServer has tools that ask their client, log, and touch a resource.
func askingServer() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "asking", Version: "1"}, &mcp.ServerOptions{
		Capabilities:       &mcp.ServerCapabilities{Resources: &mcp.ResourceCapabilities{Subscribe: true}},
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	schema := json.RawMessage(`{"type":"object"}`)
	s.AddResource(&mcp.Resource{URI: "file:///a", Name: "a"}, nil)
	s.AddTool(&mcp.Tool{Name: "ask", InputSchema: schema}, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		answer, err := req.Session.Elicit(ctx, &mcp.ElicitParams{Message: "Really?", RequestedSchema: map[string]any{"type": "object"}})
		if err != nil {
			return nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: answer.Action}}}, nil
	})
	s.AddTool(&mcp.Tool{Name: "touch", InputSchema: schema}, func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, s.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: "file:///a"})
	})
	return s
}

// A live request of a legacy upstream reaches the client whose call it belongs
// to, says who asks, and nobody else's.
func TestElicitation(t *testing.T) {
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", serveSDK(t, askingServer(), upstream.LegacyEra))}})
	for _, action := range []string{"accept", "decline"} {
		client := mcp.NewClient(&mcp.Implementation{Name: "t", Version: "1"}, &mcp.ClientOptions{
			ElicitationHandler: func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				if got := req.Params.Message; got != "[up] Really?" {
					t.Errorf("asked %q", got)
				}
				return &mcp.ElicitResult{Action: action}, nil
			},
		})
		session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url}, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
		if err != nil {
			t.Fatal(err)
		}
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "up_ask"})
		if err != nil || len(result.Content) != 1 || result.Content[0].(*mcp.TextContent).Text != action {
			t.Errorf("%s: %+v, %v", action, result, err)
		}
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	}
	mute := connect(t, url, upstream.LegacyEra)
	if r := mute.request("tools/call", `{"name":"up_ask"}`); !strings.Contains(r.body, `"error"`) && !strings.Contains(r.body, `"isError":true`) {
		t.Errorf("a client that cannot be asked: %s", r.body)
	}
}

// Updates of a resource reach those who watch it, in both eras, under its
// published URI.
func TestSubscriptions(t *testing.T) {
	for _, server := range eras {
		t.Run(string(server)+" upstream", func(t *testing.T) {
			srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{
				Tools: []string{plainTool}, Resources: []string{`{"uri":"file:///a","name":"a"}`},
			}))
			up := at(t, "up", srv.URL.String())
			up.Isolation = aggregator.Shared
			_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
			legacy := connect(t, url, upstream.LegacyEra)
			stream := listen(t, legacy, "GET", "", func(*http.Request) {})
			if r := legacy.request("resources/subscribe", `{"uri":"up+file:///a"}`); !strings.Contains(r.body, `"result":{}`) {
				t.Fatalf("subscribe: %s", r.body)
			}
			modern := listen(t, newHTTPClient(t, url), "POST", `{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["up+file:///a"]},`+modernMeta+`}}`, func(r *http.Request) {
				r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
				r.Header.Set("Mcp-Method", "subscriptions/listen")
			})
			if got := <-modern; !strings.Contains(got, `"resourceSubscriptions":["up+file:///a"]`) {
				t.Fatalf("acknowledged: %s", got)
			}
			awaitStream(t, srv)
			srv.Broadcast(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///a"}}`)
			for name, s := range map[string]<-chan string{"legacy": stream, "modern": modern} {
				if got := <-s; !strings.Contains(got, "notifications/resources/updated") || !strings.Contains(got, `"uri":"up+file:///a"`) {
					t.Errorf("%s: %s", name, got)
				}
			}
			if r := legacy.request("resources/subscribe", `{"uri":"nobody+file:///a"}`); !strings.Contains(r.body, `-32002`) {
				t.Errorf("an unknown resource: %s", r.body)
			}
		})
	}
}

func TestLogLevels(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool}, Capabilities: `{"tools":{},"logging":{}}`,
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			if r.Method == "tools/call" {
				r.Notify("notifications/message", `{"level":"info","data":{"n":1.0}}`)
			}
			return upstreamtest.Result(`{"content":[]}`)
		},
	})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	c := connect(t, url, upstream.LegacyEra)
	if r := c.request("logging/setLevel", `{"level":"loud"}`); !strings.Contains(r.body, `-32602`) {
		t.Errorf("an unknown level: %s", r.body)
	}
	if r := c.request("logging/setLevel", `{"level":"info"}`); !strings.Contains(r.body, `"result":{}`) {
		t.Errorf("setLevel: %s", r.body)
	}
	r := c.request("tools/call", `{"name":"up_t"}`)
	if len(r.events) != 2 || r.events[0] != `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"n":1.0}}}` {
		t.Errorf("the call: %+v", r.events)
	}
	if got := srv.Requests("logging/setLevel"); len(got) != 1 || string(got[0].Params) != `{"level":"info"}` {
		t.Errorf("the upstream was told %v", got)
	}
}

// An upstream that never answers a log level holds up one call for a moment,
// and no other.
func TestUpstreamThatHangsOnALogLevel(t *testing.T) {
	t.Parallel()
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool}, Capabilities: `{"tools":{},"logging":{}}`,
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			if r.Method == "logging/setLevel" {
				<-r.Context.Done()
			}
			return upstreamtest.Result(`{"content":[]}`)
		},
	})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	c := connect(t, url, upstream.LegacyEra)
	c.request("logging/setLevel", `{"level":"info"}`)
	for i, atMost := range []time.Duration{20 * time.Second, time.Second} {
		began := time.Now()
		if r := c.request("tools/call", `{"name":"up_t"}`); !strings.Contains(r.body, `"content":[]`) {
			t.Errorf("call %d: %s", i, r.body)
		}
		if took := time.Since(began); took > atMost {
			t.Errorf("call %d took %v, want %v at most", i, took, atMost)
		}
	}
	if got := srv.Requests("logging/setLevel"); len(got) != 1 {
		t.Errorf("told %d times, want once", len(got))
	}
}
