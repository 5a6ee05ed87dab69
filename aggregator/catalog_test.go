package aggregator_test

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

func toolNames(g *aggregator.Gateway) []string {
	names := []string{}
	for _, t := range g.Catalog().Tools() {
		names = append(names, t.Name)
	}
	return names
}

func TestTheEarlierUpstreamKeepsAName(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{
		Tools:   []string{plainTool, `{"name":"t","title":"again","inputSchema":{"type":"object"}}`},
		Prompts: []string{`{"name":"p"}`},
	})
	first, second := at(t, "first", srv.URL.String()), at(t, "second", srv.URL.String())
	second.Prefix = "first"
	g, _ := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{first, second}})
	if got, want := toolNames(g), []string{"first_t"}; !slices.Equal(got, want) {
		t.Errorf("published %v, want %v", got, want)
	}
	var got []string
	for _, h := range g.Catalog().Hidden {
		got = append(got, h.Kind+" "+h.Upstream+"/"+h.Original+": "+h.Reason)
	}
	const taken = "; set prefix or an override's name to tell them apart"
	want := []string{
		"tool first/t: the name first_t is taken by first/t" + taken,
		"tool second/t: the name first_t is taken by first/t" + taken,
		"tool second/t: the name first_t is taken by first/t" + taken,
		"prompt second/p: the name first_p is taken by first/p" + taken,
	}
	if !slices.Equal(got, want) {
		t.Errorf("hidden:\ngot  %q\nwant %q", got, want)
	}
}

func TestPagesRevealNothingAndAreComplete(t *testing.T) {
	var tools []string
	for i := range 2500 {
		tools = append(tools, fmt.Sprintf(`{"name":"t%04d","inputSchema":{"type":"object"}}`, i))
	}
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: tools, PageSize: 700})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	c := connect(t, url, upstream.ModernEra)
	var names []string
	cursor := ""
	for page := 0; ; page++ {
		r := c.modern("tools/list", "", cursor)
		for _, part := range strings.Split(r.body, `"name":"`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			names = append(names, name)
		}
		_, next, more := strings.Cut(r.body, `"nextCursor":"`)
		if !more {
			break
		}
		next, _, _ = strings.Cut(next, `"`)
		cursor = `"cursor":"` + next + `",`
	}
	if len(names) != 2500 || names[0] != "up_t0000" || names[2499] != "up_t2499" || !slices.IsSorted(names) {
		t.Errorf("%d names: %.200v…", len(names), names)
	}
}

func TestURIsWithoutAPrefixGoWhereTheyAreListed(t *testing.T) {
	answer := func(who string) func(*upstreamtest.Request) upstreamtest.Reply {
		return func(*upstreamtest.Request) upstreamtest.Reply {
			return upstreamtest.Result(`{"contents":[],"who":"` + who + `"}`)
		}
	}
	a := upstreamtest.New(t, upstreamtest.Script{Resources: []string{`{"uri":"file:///a","name":"a"}`}, Reply: answer("a")})
	b := upstreamtest.New(t, upstreamtest.Script{Templates: []string{`{"uriTemplate":"db://{table}/{+id}","name":"b"}`}, Reply: answer("b")})
	web := upstreamtest.New(t, upstreamtest.Script{Resources: []string{`{"uri":"https://example.com/x","name":"x"}`}, Reply: answer("web")})
	upA, upB, upWeb := at(t, "a", a.URL.String()), at(t, "b", b.URL.String()), at(t, "web", web.URL.String())
	upA.Prefix, upB.Prefix = "", ""
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{upA, upB, upWeb}})
	c := connect(t, url, upstream.LegacyEra)
	for uri, want := range map[string]string{
		"file:///a":                 `"who":"a"`,
		"db://users/1/2":            `"who":"b"`,
		"web+https://example.com/x": `"who":"web"`,
		"https://example.com/x":     `"who":"web"`,
		"web+unlisted:1":            `"who":"web"`,
		"file:///b":                 `"message":"unknown resource \"file:///b\""`,
		"nobody+file:///a":          `unknown resource`,
		"":                          `unknown resource`,
	} {
		if got := c.request("resources/read", `{"uri":"`+uri+`"}`).body; !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

func TestCompletionGoesToTheOrigin(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{
		Prompts: []string{`{"name":"p"}`}, Templates: []string{`{"uriTemplate":"file:///{x}","name":"x"}`},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			return upstreamtest.Result(`{"completion":{"values":[]},"got":` + string(r.Params) + `}`)
		},
	})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	c := connect(t, url, upstream.LegacyEra)
	for ref, want := range map[string]string{
		`{"type":"ref/prompt","name":"up_p"}`:               `"ref":{"type":"ref/prompt","name":"p"}`,
		`{"type":"ref/resource","uri":"up+file:///{x}"}`:    `"ref":{"type":"ref/resource","uri":"file:///{x}"}`,
		`{"type":"ref/prompt","name":"p"}`:                  `unknown prompt`,
		`{"type":"ref/resource","uri":"other+file:///{x}"}`: `unknown resource`,
	} {
		got := c.request("completion/complete", `{"ref":`+ref+`,"argument":{"name":"x","value":"a"}}`).body
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
	}
}

// A list that changed reaches clients of both eras, and leaves what other
// upstreams publish alone.
func TestListChanges(t *testing.T) {
	for _, server := range eras {
		t.Run(string(server)+" upstream", func(t *testing.T) {
			srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{Tools: []string{plainTool}}))
			other := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
			g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{
				at(t, "up", srv.URL.String()), at(t, "other", other.URL.String()),
			}})
			untouched := g.Catalog().Tools()[1]
			legacy := connect(t, url, upstream.LegacyEra)
			streams := []<-chan string{
				listen(t, legacy, "GET", "", func(*http.Request) {}),
				listen(t, newHTTPClient(t, url), "POST", `{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},`+modernMeta+`}}`, func(r *http.Request) {
					r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
					r.Header.Set("Mcp-Method", "subscriptions/listen")
				}),
			}
			if got := <-streams[1]; !strings.Contains(got, "notifications/subscriptions/acknowledged") {
				t.Fatalf("listen: %s", got)
			}
			awaitStream(t, srv)
			srv.Change(func(s *upstreamtest.Script) {
				s.Tools = append(s.Tools, `{"name":"u","inputSchema":{"type":"object"}}`)
			})
			for i, stream := range streams {
				if got := <-stream; !strings.Contains(got, "notifications/tools/list_changed") {
					t.Errorf("stream %d: %s", i, got)
				}
			}
			if got, want := toolNames(g), []string{"up_t", "up_u", "other_t"}; !slices.Equal(got, want) {
				t.Errorf("published %v, want %v", got, want)
			}
			if g.Catalog().Tools()[2] != untouched {
				t.Error("a tool of another upstream was made anew")
			}
		})
	}
}

// awaitStream waits until the gateway listens to the server.
func awaitStream(t *testing.T, srv *upstreamtest.Server) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); srv.Streams() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the gateway does not listen to the upstream")
		}
		time.Sleep(time.Millisecond)
	}
}

// listen opens a stream and passes on the data of its events.
func listen(t *testing.T, c *httpClient, method, body string, edit func(*http.Request)) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = c.header.Clone()
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	edit(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %s", method, resp.Status)
	}
	events := make(chan string, 10)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- data
			}
		}
	}()
	return events
}
