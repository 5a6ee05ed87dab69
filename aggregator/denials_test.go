package aggregator_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// call is a tools/call of a caller, from past the door on.
func call(t testing.TB, g *aggregator.Gateway, c *oauth.Caller, tool, arguments string) (json.RawMessage, error) {
	t.Helper()
	params, err := rawjson.ParseObject(json.RawMessage(`{"name":"` + tool + `","arguments":` + arguments + `,"_meta":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	result, _, err := g.Serve(t.Context(), aggregator.Request{Caller: c, Era: upstream.ModernEra, Method: "tools/call", Params: params})
	return result, err
}

// TestDenials refuses a call for every reason that the gateway has, and looks at
// what the caller, others and an operator get of it.
func TestDenials(t *testing.T) {
	called, answer := make(chan struct{}, 1), make(chan struct{})
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{strictTool},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			if strings.Contains(string(r.Params), "hold") {
				called <- struct{}{}
				<-answer
			}
			return upstreamtest.Error(`{"code":-32000,"message":"the upstream's own"}`)
		},
	})
	up := at(t, "up", srv.URL.String())
	up.Isolation, up.MaxInstances = aggregator.PerUser, 1
	records := make(records, 1000)
	g, _ := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{up}, Authenticate: byHeader, Limits: aggregator.Limits{CallsPerMinute: 3},
		Log: slog.New(slog.NewTextHandler(records, nil)),
	})
	ann, bob := &oauth.Caller{ID: "ann"}, &oauth.Caller{ID: "bob"}
	held := make(chan error)
	go func() {
		_, err := call(t, g, bob, "up_strict", `{"a":"hold"}`)
		held <- err
	}()
	<-called
	for _, tt := range []struct{ name, tool, arguments string }{
		{"unknown", "up_nothing", `{}`}, // which is no denial
		{"arguments", "up_strict", `{"b":"private"}`},
		{"busy", "up_strict", `{"a":"private"}`},
		{"long", "up_strict", `{"a":1,"` + strings.Repeat("é\n", 400) + `":0}`},
		{"calls_per_minute", "up_strict", `{"a":"x"}`},
	} {
		if _, err := call(t, g, ann, tt.tool, strings.ReplaceAll(tt.arguments, "\n", `\n`)); err == nil {
			t.Errorf("%s: the call is let through", tt.name)
		}
	}
	unavailable := &oauth.Caller{ID: "ann", Groups: oauth.Groups{Unavailable: true, Why: "Graph is away"}}
	if _, err := call(t, g, unavailable, "up_strict", `{"a":"x"}`); err == nil {
		t.Error("whose groups are unavailable is let through")
	}
	close(answer)
	if err := <-held; err == nil || len(g.Denials(bob)) > 0 {
		t.Errorf("of the upstream's own error %v, there is %v", err, g.Denials(bob))
	}

	all, log := g.Denials(ann), strings.Join(drained(records), "")
	if len(all) != 5 {
		t.Fatalf("there are %+v", all)
	}
	for i, want := range []string{
		"your groups are unavailable, since Graph is away", "more than 3 tool calls in a minute", "arguments of up_strict: ",
		`upstream "up" is busy`, "arguments of up_strict: ",
	} {
		d := all[i]
		if d.Tool != "up_strict" || !strings.Contains(d.Why, want) || len(d.Why) > 240 || strings.Contains(d.Why, "\n") {
			t.Errorf("denial %d is %+v, want %q", i, d, want)
		}
		if time.Since(d.Time) > time.Minute || i > 0 && d.Time.After(all[i-1].Time) {
			t.Errorf("denial %d was at %s", i, d.Time)
		}
		if len(d.Reference) != 10 || strings.Count(log, "reference="+d.Reference) != 1 {
			t.Errorf("the log does not have the reference of %+v", d)
		}
	}
	if strings.Contains(log, "private") || !strings.Contains(log, "caller=ann upstream=up tool=up_strict reason=arguments") {
		t.Errorf("the log is %s", log)
	}
	if others := g.Denials(&oauth.Caller{ID: "carol"}); len(others) > 0 {
		t.Errorf("another caller's are %+v", others)
	}
}

// TestDenialsAreBounded refuses calls of more callers, and for longer, than are
// remembered. Nothing is published, so that all is refused before an upstream.
func TestDenialsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := aggregator.New(aggregator.Options{Log: slog.New(slog.DiscardHandler)})
		refuse := func(id string) {
			c := &oauth.Caller{ID: id, Groups: oauth.Groups{Unavailable: true, Why: "Graph is away"}}
			if _, err := call(t, g, c, "up_t", "{}"); err == nil {
				t.Fatal("it is let through")
			}
			time.Sleep(time.Second)
		}
		of := func(id string) []aggregator.Denial { return g.Denials(&oauth.Caller{ID: id}) }
		for range 30 {
			refuse("ann")
		}
		if all := of("ann"); len(all) != 20 || time.Since(all[0].Time) != time.Second || time.Since(all[19].Time) != 20*time.Second || all[0].Tool != "" {
			t.Errorf("there are %d: %+v", len(all), all)
		}
		for i := range 1999 {
			refuse(fmt.Sprint("caller ", i))
		}
		refuse("ann") // and so not the one who was refused nothing for longest
		refuse("one more")
		if len(of("ann")) != 20 || len(of("caller 0")) != 0 || len(of("caller 1")) != 1 || len(of("one more")) != 1 {
			t.Errorf("ann has %d, caller 0 has %d, caller 1 has %d", len(of("ann")), len(of("caller 0")), len(of("caller 1")))
		}
		time.Sleep(7 * 24 * time.Hour)
		if len(of("ann")) != 0 {
			t.Errorf("after a week, there are %+v", of("ann"))
		}
	})
}

func TestToolsOf(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{
		`{"name":"b","title":"Bee","description":"Buzzes.","annotations":{"title":"Other"},"inputSchema":{"type":"object"}}`,
		`{"name":"a","annotations":{"title":"Ay"},"inputSchema":{"type":"object"}}`,
		`{"name":"c","inputSchema":{"type":"object"}}`,
	}})
	ann := &oauth.Caller{ID: "ann"}
	up := at(t, "up", srv.URL.String())
	g, _ := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
	tools, why := g.ToolsOf(ann)
	want := []aggregator.ToolSummary{
		{Name: "up_b", Title: "Bee", Description: "Buzzes.", Upstream: "up"},
		{Name: "up_a", Title: "Ay", Upstream: "up"},
		{Name: "up_c", Upstream: "up"},
	}
	if diff := cmp.Diff(want, tools); diff != "" || why != "" {
		t.Errorf("%s (-want +got):\n%s", why, diff)
	}
	away := &oauth.Caller{ID: "ann", Groups: oauth.Groups{Unavailable: true, Why: "Graph is away"}}
	if tools, why := g.ToolsOf(away); tools != nil || !strings.Contains(why, "your groups are unavailable, since Graph is away") {
		t.Errorf("there are %v: %q", tools, why)
	}
}

func TestWhyThereAreNoTools(t *testing.T) {
	none := func(t *testing.T) aggregator.Upstream {
		return at(t, "none", upstreamtest.New(t, upstreamtest.Script{}).URL.String())
	}
	gone := func(t *testing.T) aggregator.Upstream { return at(t, "gone", "http://127.0.0.1:1/mcp") }
	denied := func(t *testing.T) aggregator.Upstream {
		up := at(t, "up", upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}}).URL.String())
		up.Tools.Deny = []string{"*"}
		return up
	}
	for want, ups := range map[string][]func(*testing.T) aggregator.Upstream{
		"there is no MCP server":                        nil,
		"no MCP server behind the gateway is connected": {gone},
		"have no tools":                                 {none},
		"only 1 of the 2 MCP servers":                   {none, gone},
		"publishes none of the tools":                   {none, gone, denied},
	} {
		var opts aggregator.Options
		for _, up := range ups {
			opts.Upstreams = append(opts.Upstreams, up(t))
		}
		g, _ := start(t, opts)
		if tools, why := g.ToolsOf(oauth.Anonymous); tools != nil || !strings.Contains(why, want) {
			t.Errorf("there are %v: %q, want %q", tools, why, want)
		}
	}
}
