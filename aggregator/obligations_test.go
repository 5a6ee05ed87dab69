package aggregator_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/aggregator/labels"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// TestObligedRates calls more often than a permit lets, each caller and tool for itself.
func TestObligedRates(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool, plainTool}, Reply: echo}, `
		@rate("2/h") permit(principal, action, resource == Tool::"up/create_issue");
		@rate("3/d") permit(principal, action, resource == Tool::"up/create_issue") when { context.input.repo == "web" };
		@rate("1/d") permit(principal, action, resource == Tool::"up/t") when { context.session.calls >= 0 };`)
	for i, want := range []string{`"got"`, `"got"`, `more than 2 calls in an hour; try again in `, `more than 2 calls in an hour; try again in `} {
		r := g.call(eras[i%2], "up_create_issue", `{"repo":"api"}`)
		if !strings.Contains(r.body, want) || r.status != 200 || strings.Contains(want, "more") != strings.Contains(r.body, `"isError":true`) {
			t.Errorf("call %d gets %s", i, r.body)
		}
	}
	if r := g.call(upstream.ModernEra, "up_t", `{}`); !strings.Contains(r.body, `"got"`) {
		t.Errorf("another tool gets %s", r.body)
	}
	g.people.set("bob")
	bob := as(t, g.url, "bob")
	for i, want := range []string{`"got"`, `"got"`, `in an hour`} {
		if r := bob.modern("tools/call", "up_create_issue", `"name":"up_create_issue","arguments":{"repo":"web"},`); !strings.Contains(r.body, want) {
			t.Errorf("call %d of another caller gets %s", i, r.body)
		}
	}
	if log := strings.Join(drained(g.log), ""); strings.Count(log, "reason=rate") != 3 || strings.Count(log, `why="more than 2 calls in an hour; try again in `) != 3 {
		t.Errorf("the log is %s", log)
	}
	denied := 0
	for _, line := range g.lines(t) {
		if line["decision"] == "deny" && line["why"] == "rate" {
			denied++
		}
	}
	if denied != 3 {
		t.Errorf("%d denials are recorded", denied)
	}
}

// TestObligedRatesLast goes on for a day, in which the clock says what is allowed.
func TestObligedRatesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := aggregator.New(aggregator.Options{Log: slog.New(slog.DiscardHandler)})
		allowed := 0
		for begun := time.Now(); time.Since(begun) < 24*time.Hour; time.Sleep(10 * time.Second) {
			if g.TakeQuota("ann", 6, time.Minute) && g.TakeQuota("ann", 100, 24*time.Hour) {
				allowed++
			}
			g.TakeQuota(fmt.Sprint(time.Now()), 6, time.Minute)
		}
		if allowed < 190 || allowed > 200 { // 100 at once, and as many in the course of the day
			t.Errorf("%d calls are allowed, want 200", allowed)
		}
		if n := g.Quotas(); n > 1000 {
			t.Errorf("%d allowances are remembered", n)
		}
	})
}

// TestObligedBytes bounds arguments and results.
func TestObligedBytes(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, `
		@max_bytes_in("1KiB") permit(principal, action, resource) when { context.input has title };
		@max_bytes_out("2KiB") permit(principal, action, resource) when { context.input has title };
		permit(principal, action, resource);`)
	text := func(n int) string { return `{"repo":"web","title":"` + strings.Repeat("x", n) + `"}` }
	long := func(n int) string { return `{"repo":"` + strings.Repeat("x", n) + `"}` }
	for _, era := range eras {
		for arguments, want := range map[string]string{
			text(900): `"got"`, text(1100): `the arguments have 1125 bytes, and may have 1 KiB`, long(5000): `"got"`,
		} {
			if r := g.call(era, "up_create_issue", arguments); !strings.Contains(r.body, want) || strings.Contains(r.body, `"isError"`) == (want == `"got"`) {
				t.Errorf("%s: %d bytes get %s", era, len(arguments), r.body)
			}
		}
	}
	g = govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, `@max_bytes_out("2KiB") permit(principal, action, resource);`)
	for _, era := range eras {
		if r := g.call(era, "up_create_issue", long(3000)); !strings.Contains(r.body, "bytes, and may have 2 KiB; ask for less at a time") || strings.Contains(r.body, "xxx") {
			t.Errorf("%s: a large result is %s", era, r.body)
		}
	}
}

// TestRedaction takes values out of all that an upstream says with a call.
func TestRedaction(t *testing.T) {
	const data = `{"email": "a@b","n":9007199254740993,"people":[{"email":"c@d","name":"x"}],"deep":{"more":[{"secret":{"a":1}}]}}`
	const clean = `{"email":"[redacted]","n":9007199254740993,"people":[{"email":"[redacted]","name":"x"}],"deep":{"more":[{"secret":"[redacted]"}]}}`
	quote := func(s string) string {
		raw, _ := json.Marshal(s)
		return string(raw)
	}
	script := upstreamtest.Script{
		Tools: []string{plainTool}, Prompts: []string{`{"name":"p"}`}, Resources: []string{`{"uri":"file:///a","name":"a"}`},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			text := func(s string) string { return `{"type":"text","text":` + quote(s) + `}` }
			switch {
			case r.Method == "prompts/get":
				return upstreamtest.Result(`{"resultType":"complete","messages":[{"role":"user","content":` + text(data) + `}]}`)
			case r.Method == "resources/read":
				return upstreamtest.Result(`{"resultType":"complete","contents":[{"uri":"file:///a","text":` + quote(data) + `}]}`)
			case strings.Contains(string(r.Params), "fail"):
				return upstreamtest.Error(`{"code":-32099,"message":"no","data":` + data + `}`)
			}
			r.Notify("notifications/message", `{"level":"error","data":`+data+`}`)
			r.Notify("notifications/message", `{"level":"error","data":`+quote(data)+`}`)
			return upstreamtest.Result(`{"resultType":"complete","content":[` + text(data) + `,` + text("email: a@b") + `,` + text(`{"email":1,"email":2}`) + `,{"type":"resource","resource":{"uri":"file:///a","text":` + quote(data) + `}}],"structuredContent":` + data + `}`)
		},
	}
	g := govern(t, script, `
		@redact_result("$..email") permit(principal, action, resource);
		@redact_result("$.deep.*[*].secret") permit(principal, action, resource);`)
	cleanText := quote(clean)
	for _, era := range eras {
		r := g.call(era, "up_t", `{}`)
		if era == upstream.ModernEra {
			r = g.modern.modernWith("tools/call", "up_t", `"name":"up_t",`, `"io.modelcontextprotocol/logLevel":"debug"`)
		}
		want := `"content":[{"type":"text","text":` + cleanText + `},{"type":"text","text":"email: a@b"},{"type":"text","text":"\"[redacted]\""},{"type":"resource","resource":{"uri":"up+file:///a","text":` + cleanText + `}}],"structuredContent":` + clean + `}`
		if !strings.Contains(r.body, want) {
			t.Errorf("%s: the result is\n%s, want\n%s", era, r.body, want)
		}
		if len(r.events) != 3 || !strings.Contains(r.events[0], `"data":`+clean) || !strings.Contains(r.events[1], `"data":`+cleanText) {
			t.Errorf("%s: the client hears %q", era, r.events)
		}
		if r := g.call(era, "up_t", `{"fail":1}`); !strings.Contains(r.body, `"message":"no","data":`+clean) {
			t.Errorf("%s: the error is %s", era, r.body)
		}
	}
	for _, r := range []reply{
		g.legacy.request("prompts/get", `{"name":"up_p"}`), g.modern.modern("prompts/get", "up_p", `"name":"up_p",`),
		g.legacy.request("resources/read", `{"uri":"up+file:///a"}`), g.modern.modern("resources/read", "up+file:///a", `"uri":"up+file:///a",`),
	} {
		if !strings.Contains(r.body, `"text":`+cleanText) {
			t.Errorf("it is %s", r.body)
		}
	}
}

// TestLabels has a tool mark its caller before it is called: no other call can miss it,
// in whichever session.
func TestLabels(t *testing.T) {
	known, err := labels.Open(t.Context(), nil, labels.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	read, finish := make(chan struct{}, 1), make(chan struct{})
	script := upstreamtest.Script{Tools: []string{`{"name":"read","inputSchema":{"type":"object"}}`, `{"name":"send","inputSchema":{"type":"object"}}`}, Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
		if r.Name() == "read" {
			if _, set := known.Of(`User::"t/ann"`, ""); len(set) != 1 {
				t.Errorf("while it is called, the caller has %v", set)
			}
			read <- struct{}{}
			<-finish
		}
		return echo(r)
	}}
	g := govern(t, script, `
		permit(principal, action, resource);
		forbid(principal, action, resource == Tool::"up/send") when { context.session.labels.contains("private-data") };
		forbid(principal, action, resource == Tool::"up/send") when { context.session.calls == 1 };`,
		func(o *aggregator.Options) {
			o.Labels = known
			o.Upstreams[0].Tools.Overrides = map[string]aggregator.Override{"read": {Labels: []string{"private-data"}}}
		})
	if r := g.call(upstream.ModernEra, "up_send", `{}`); !strings.Contains(r.body, `"got"`) {
		t.Fatalf("unmarked, it gets %s", r.body)
	}
	if r := g.call(upstream.ModernEra, "up_send", `{}`); !strings.Contains(r.body, `denied by policy`) {
		t.Errorf("after one call, it gets %s", r.body)
	}
	var reading sync.WaitGroup
	reading.Go(func() { g.call(upstream.ModernEra, "up_read", `{}`) })
	<-read
	for _, era := range eras { // while the other call is in flight
		if r := g.call(era, "up_send", `{}`); !strings.Contains(r.body, `denied by policy`) {
			t.Errorf("%s: marked, it gets %s", era, r.body)
		}
	}
	close(finish)
	reading.Wait()
	again := as(t, g.url, "ann")
	if r := again.initializedRequest("tools/call", `{"name":"up_send"}`); !strings.Contains(r.body, `denied by policy`) {
		t.Errorf("in a new session, it gets %s", r.body)
	}
	g.people.put("ann", &oauth.Caller{ID: `User::"t/ann"`, Client: oauth.Client{ID: "other"}, Groups: oauth.Groups{Complete: true}})
	if r := again.modern("tools/call", "up_send", `"name":"up_send","arguments":{},`); !strings.Contains(r.body, `"got"`) {
		t.Errorf("with another client program, it gets %s", r.body)
	}
}

// TestBrake stops what is under way, and all that comes later, of whoever or whatever the
// operator names.
func TestBrake(t *testing.T) {
	for _, block := range []brake.Block{
		{Kind: brake.Person, What: "ann"},
		{Kind: brake.Client, What: "vscode"},
		{Kind: brake.Tool, What: "up/create_issue"},
		{Kind: brake.Tool, What: "up_create_*"},
		{Kind: brake.Upstream, What: "up"},
	} {
		t.Run(string(block.Kind)+" "+block.What, func(t *testing.T) {
			b, err := brake.Open(t.Context(), nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			called, ended := make(chan struct{}, 2), make(chan struct{}, 2)
			hold := true
			script := upstreamtest.Script{Tools: []string{issueTool}, Prompts: []string{`{"name":"p"}`}, Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
				if hold {
					called <- struct{}{}
					<-r.Context.Done()
					ended <- struct{}{}
				}
				return echo(r)
			}}
			g := govern(t, script, `permit(principal, action, resource);`, func(o *aggregator.Options) { o.Brake = b })
			g.people.put("ann", &oauth.Caller{ID: `User::"t/ann"`, Subject: "ann", Client: oauth.Client{ID: "x", Alias: "vscode"}, Groups: oauth.Groups{Complete: true}})
			g.people.put("bob", &oauth.Caller{ID: `User::"t/bob"`, Subject: "bob", Groups: oauth.Groups{Complete: true}})
			streams := openStreams(t, as(t, g.url, "ann"))
			<-streams["subscriptions/listen"]
			replies := make(chan reply, 2)
			for _, era := range eras {
				go func() { replies <- g.call(era, "up_create_issue", `{"repo":"web"}`) }()
				<-called
			}
			begun := time.Now()
			block.Reason = "an incident"
			if err := b.Block(t.Context(), block); err != nil {
				t.Fatal(err)
			}
			for range eras {
				if r := <-replies; !strings.Contains(r.body, `-32003,"message":"denied: blocked by the operator: an incident","data":{"reference":"`) || r.status != 200 {
					t.Errorf("the call in flight gets %d %s", r.status, r.body)
				}
				<-ended
			}
			if took := time.Since(begun); took > time.Second {
				t.Errorf("it took %s", took)
			}
			hold = false
			whole := block.Kind == brake.Person || block.Kind == brake.Client
			refused := regexp.MustCompile(`-32003,"message":"denied: blocked by the operator`).MatchString
			if r := g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web"}`); !refused(r.body) {
				t.Errorf("the next call gets %s", r.body)
			}
			if r := g.modern.modern("prompts/get", "up_p", `"name":"up_p",`); refused(r.body) != (block.Kind != brake.Tool) {
				t.Errorf("a prompt gets %s", r.body)
			}
			if r := g.legacy.request("tools/list", "{}"); refused(r.body) != whole {
				t.Errorf("a list gets %s", r.body)
			}
			if r := as(t, g.url, "bob").modern("tools/call", "up_create_issue", `"name":"up_create_issue","arguments":{"repo":"web"},`); refused(r.body) == whole {
				t.Errorf("somebody else gets %s", r.body)
			}
			if whole {
				for name, stream := range streams {
					checkEnds(t, name, stream)
				}
			}
			if _, err := b.Unblock(t.Context(), block.Kind, block.What); err != nil {
				t.Fatal(err)
			}
			if r := g.call(upstream.LegacyEra, "up_create_issue", `{"repo":"web"}`); !strings.Contains(r.body, `"got"`) {
				t.Errorf("let go, a call gets %s", r.body)
			}
		})
	}
}
