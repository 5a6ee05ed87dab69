package upstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// updates makes opts send what the server says of updated resources.
func updates(opts *upstream.Options) <-chan string {
	to := make(chan string, 100)
	opts.Notify = func(method string, params json.RawMessage) {
		if method == "notifications/resources/updated" {
			to <- string(params)
		}
	}
	return to
}

func eachEra(t *testing.T, test func(t *testing.T, srv *upstreamtest.Server, modern bool)) {
	for _, name := range []string{"legacy", "modern"} {
		t.Run(name, func(t *testing.T) {
			// Without definitions it declares no listChanged.
			srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: name == "legacy"})
			test(t, srv, name == "modern")
		})
	}
}

func TestSubscribe(t *testing.T) {
	eachEra(t, func(t *testing.T, srv *upstreamtest.Server, modern bool) {
		opts := upstream.Options{URL: srv.URL}
		got := updates(&opts)
		r := run(t, opts)
		wantUpdate := func(uri string) {
			t.Helper()
			want := `{"uri":"` + uri + `"}`
			if modern {
				want = `{"uri":"` + uri + `","_meta":{"n":1.0}}`
			}
			eventually(t, "there is one stream", func() bool { return srv.Streams() == 1 })
			if told := srv.Update(uri); told != 1 {
				t.Errorf("%d streams are for %s, want 1", told, uri)
			}
			for timeout := time.After(10 * time.Second); ; {
				select {
				case update := <-got:
					if update == want {
						return
					}
				case <-timeout: // others are those that waiting for a change brought about
					t.Fatalf("no update of %s", uri)
				}
			}
		}
		subscribe := func(uri string) {
			t.Helper()
			if err := r.Subscribe(t.Context(), uri); err != nil {
				t.Fatal(err)
			}
		}
		if !modern {
			eventually(t, "the GET stream is open", func() bool { return srv.Streams() == 1 })
		}
		subscribe("file:///a")
		if srv.Update("file:///a") == 0 {
			t.Error("Subscribe returned before the server knows")
		}
		<-got
		subscribe("file:///b")
		wantUpdate("file:///a")
		wantUpdate("file:///b")
		if err := r.Unsubscribe(t.Context(), "file:///a"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "nothing is for a", func() bool { return srv.Update("file:///a") == 0 })
		wantUpdate("file:///b")
		if modern {
			srv.DropStreams()
		} else {
			srv.ForgetSessions()
			_, _ = r.tool(t.Context(), "any", "{}") // finds out
		}
		eventually(t, "it is subscribed anew", func() bool { return srv.Update("file:///b") == 1 })
		if n := srv.Update("file:///a"); n != 0 {
			t.Errorf("%d streams are for a again", n)
		}
		if err := r.Unsubscribe(t.Context(), "file:///b"); err != nil {
			t.Fatal(err)
		}
		if modern {
			eventually(t, "no stream is open", func() bool { return srv.Streams() == 0 })
		}
	})
}

func TestSubscribeIsRefused(t *testing.T) {
	eachEra(t, func(t *testing.T, srv *upstreamtest.Server, _ bool) {
		srv.Change(func(s *upstreamtest.Script) {
			s.Reply = func(*upstreamtest.Request) upstreamtest.Reply {
				return upstreamtest.Error(`{"code":-32602,"message":"no","data":1.0}`)
			}
			s.Before = func(w http.ResponseWriter, r *upstreamtest.Request) bool {
				if r.Method != "subscriptions/listen" {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"no","data":1.0}}`, r.ID)
				return true
			}
		})
		r := run(t, upstream.Options{URL: srv.URL})
		wantAnswer(t, r.Subscribe(t.Context(), "file:///a"), -32602, "1.0")
	})
}

// A changed list must be heard of whatever happens to the stream.
func TestListChangedWhileSubscribing(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{}})
	r := run(t, upstream.Options{URL: srv.URL})
	for _, uri := range []string{"a:1", "a:2", "a:3"} {
		tool := `{"name":"` + uri + `"}`
		done := make(chan error, 1)
		go func() { done <- r.Subscribe(t.Context(), uri) }()
		if srv.Streams() == 0 {
			t.Error("no stream is open")
		}
		srv.Change(func(s *upstreamtest.Script) { s.Tools = append(s.Tools, tool) })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		eventually(t, "the tool is listed", func() bool {
			tools := r.Listing().Tools
			return len(tools) > 0 && string(tools[len(tools)-1]) == tool
		})
	}
}

// The SDK's server is asked for a new stream on the one that it shares with
// everything else.
func TestSubscribeToSDKServerOverStdio(t *testing.T) {
	for _, p := range []upstream.Protocol{upstream.Legacy, upstream.Modern} {
		t.Run(string(p), func(t *testing.T) {
			opts := act("updating")
			opts.Protocol = p
			got := updates(&opts)
			r := run(t, opts)
			for _, uri := range []string{"file:///a", "file:///b"} {
				if err := r.Subscribe(t.Context(), uri); err != nil {
					t.Fatal(err)
				}
			}
			for _, uri := range []string{"file:///a", "file:///b"} {
				r.mustTool(t, "update", `{"uri":"`+uri+`"}`)
				if update := <-got; update != `{"uri":"`+uri+`"}` {
					t.Errorf("update %s, want one of %s", update, uri)
				}
			}
			if err := r.Unsubscribe(t.Context(), "file:///a"); err != nil {
				t.Fatal(err)
			}
			tools := len(r.Listing().Tools)
			r.mustTool(t, "grow", `{}`)
			eventually(t, "the new tool is listed", func() bool { return len(r.Listing().Tools) == tools+1 })
		})
	}
}

// serveUpdating is a server of the SDK whose tools update resources and add a tool.
func serveUpdating() {
	accept := func(context.Context, *mcp.SubscribeRequest) error { return nil }
	s := mcp.NewServer(&mcp.Implementation{Name: "updating", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler:   accept,
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	for _, name := range []string{"a", "b"} {
		s.AddResource(&mcp.Resource{URI: "file:///" + name, Name: name}, nil)
	}
	object := json.RawMessage(`{"type":"object"}`)
	nothing := func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, nil
	}
	s.AddTool(&mcp.Tool{Name: "update", InputSchema: object}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		var arguments struct{ URI string }
		if err := json.Unmarshal(r.Params.Arguments, &arguments); err != nil {
			return nil, err
		}
		return &mcp.CallToolResult{}, s.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: arguments.URI})
	})
	s.AddTool(&mcp.Tool{Name: "grow", InputSchema: object}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.AddTool(&mcp.Tool{Name: "new", InputSchema: object}, nothing)
		return &mcp.CallToolResult{}, nil
	})
	_ = s.Run(context.Background(), &mcp.StdioTransport{})
}
