package aggregator_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// namesIn are the names in a list of tools, and its cursor.
func namesIn(t *testing.T, r reply) (names []string, cursor string) {
	t.Helper()
	var list struct {
		Result struct {
			Tools      []struct{ Name string }
			NextCursor string
		}
	}
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || r.status != 200 {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	for _, tool := range list.Result.Tools {
		names = append(names, tool.Name)
	}
	return names, list.Result.NextCursor
}

// TestPagesOfAView lists more tools than a page holds, every other of which is hidden,
// and guesses cursors.
func TestPagesOfAView(t *testing.T) {
	var tools, want []string
	for i := range 2300 {
		name := fmt.Sprintf("%s%d", []string{"shown", "hidden"}[i%2], i)
		tools = append(tools, `{"name":"`+name+`","inputSchema":{"type":"object"}}`)
		if i%2 == 0 {
			want = append(want, "up_"+name)
		}
	}
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: tools})
	_, url := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())},
		Policy:    engineOf(t, `permit(principal, action, resource) when { resource.name like "shown*" };`),
	})
	c := newHTTPClient(t, url)
	first, cursor := namesIn(t, c.modern("tools/list", "", ""))
	second, end := namesIn(t, c.modern("tools/list", "", `"cursor":"`+cursor+`",`))
	if got := slices.Concat(first, second); !slices.Equal(got, want) || len(first) != 1000 || end != "" {
		t.Errorf("%d and %d tools, then %q", len(first), len(second), end)
	}
	if last, _ := base64.RawURLEncoding.DecodeString(cursor); string(last) != first[len(first)-1] {
		t.Errorf("the cursor is %q", last)
	}
	garbage := c.modern("tools/list", "", `"cursor":"garbage",`)
	for _, name := range []string{"up_hidden1", "up_hidden1999", "up_nothing"} {
		guess := base64.RawURLEncoding.EncodeToString([]byte(name))
		if r := c.modern("tools/list", "", `"cursor":"`+guess+`",`); r.body != garbage.body || r.status != garbage.status {
			t.Errorf("%s: %d %s, want as for garbage: %s", name, r.status, r.body, garbage.body)
		}
	}
}

// TestViewsDiffer shows each caller their own, in every list, in the instructions and
// on their own page.
func TestViewsDiffer(t *testing.T) {
	script := func(name string) upstreamtest.Script {
		return upstreamtest.Script{
			Instructions: "How " + name + " works.",
			Tools:        []string{strings.Replace(plainTool, `"t"`, `"`+name+`"`, 1)}, Prompts: []string{`{"name":"` + name + `"}`},
			Resources: []string{`{"uri":"file:///` + name + `","name":"a"}`}, Templates: []string{`{"uriTemplate":"` + name + `:///{x}","name":"a"}`},
		}
	}
	up, other := upstreamtest.New(t, script("one")), upstreamtest.New(t, script("two"))
	var people staff
	people.set("ann", "staff")
	people.set("bob", "staff", "admins")
	people.set("eve")
	g, url := start(t, aggregator.Options{
		Upstreams:    []aggregator.Upstream{at(t, "up", up.URL.String()), at(t, "other", other.URL.String())},
		Authenticate: people.authenticate,
		Policy: engineOf(t, `
			permit(principal in Group::"staff", action, resource in Upstream::"up");
			permit(principal in Group::"admins", action, resource in Upstream::"other");`),
	})
	for name, want := range map[string][2]bool{"ann": {true, false}, "bob": {true, true}, "eve": {false, false}} {
		modern, legacy := as(t, url, name), as(t, url, name)
		replies := []reply{legacy.initialize(), modern.modern("server/discover", "", "")}
		for _, method := range []string{"tools/list", "prompts/list", "resources/list", "resources/templates/list"} {
			replies = append(replies, legacy.request(method, "{}"), modern.modern(method, "", ""))
		}
		for i, r := range replies {
			if got := [2]bool{strings.Contains(r.body, "one"), strings.Contains(r.body, "two")}; got != want || r.status != 200 {
				t.Errorf("%s sees %v in reply %d, want %v: %s", name, got, i, want, r.body)
			}
		}
		tools, why := g.ToolsOf(people.known[name])
		if len(tools) == 0 != (name == "eve") || (why == "") != (name != "eve") || name == "eve" && !strings.Contains(why, "no policy lets you use any tool") {
			t.Errorf("the page of %s has %v: %q", name, tools, why)
		}
	}
	if n := len(g.Objects()); n != 8 {
		t.Errorf("policies decide of %d objects, want 8", n)
	}
}

// TestListChangedIsForThoseItConcerns changes what is published, and then the
// policies, and looks at who hears of it.
func TestListChangedIsForThoseItConcerns(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}, Stream: true})
	var people staff
	people.set("ann", "staff")
	people.set("bob")
	opts := aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}, Authenticate: people.authenticate,
		Policy: engineOf(t, `permit(principal in Group::"staff", action, resource) unless { resource.name == "u" };`),
	}
	opts.Upstreams[0].Fingerprint = "same"
	g, url := start(t, opts)
	hear := map[string]map[string]<-chan string{}
	for _, name := range []string{"ann", "bob"} {
		hear[name] = openStreams(t, as(t, url, name))
		<-hear[name]["subscriptions/listen"] // the acknowledgement
	}
	told := func(step string, who ...string) {
		t.Helper()
		for name, streams := range hear {
			for era, stream := range streams {
				if slices.Contains(who, name) {
					if got := await(t, stream); !strings.Contains(got, "notifications/tools/list_changed") {
						t.Errorf("%s: %s hears %s over %s", step, name, got, era)
					}
					continue
				}
				select {
				case got := <-stream:
					t.Errorf("%s: %s hears %s over %s", step, name, got, era)
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
	}
	change := func(tools ...string) {
		before := g.Catalog().Generation
		srv.Change(func(s *upstreamtest.Script) { s.Tools = tools })
		eventually(t, "the catalog shows it", func() bool {
			srv.Broadcast(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
			return g.Catalog().Generation > before
		})
	}
	const a, u = `{"name":"a","inputSchema":{"type":"object"}}`, `{"name":"u","inputSchema":{"type":"object"}}`
	change(plainTool, u)
	told("a tool that nobody sees")
	change(plainTool, u, a)
	told("a tool that ann sees", "ann")
	setPolicy := func(text string) {
		t.Helper()
		opts.Policy = engineOf(t, text)
		if _, err := g.Reload(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
	}
	setPolicy(`permit(principal in Group::"staff", action, resource) unless { resource.name == "u" }; permit(principal, action, resource == Tool::"up/u");`)
	told("one that both see by now", "ann", "bob")
	setPolicy(`permit(principal in Group::"staff", action, resource); permit(principal, action, resource == Tool::"up/u");`)
	told("the same in other words")
	people.set("ann") // left the group
	c := as(t, url, "ann")
	if names, _ := namesIn(t, c.modern("tools/list", "", "")); !slices.Equal(names, []string{"up_u"}) {
		t.Errorf("out of the group, ann sees %v", names)
	}
}

// TestGroupsWithinASession has somebody leave a group and join it again, in the same
// session: each request is decided by the groups of its own token, and the client hears
// that it sees something else.
func TestGroupsWithinASession(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}})
	var people staff
	people.set("ann", "staff")
	_, url := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}, Authenticate: people.authenticate,
		Policy: engineOf(t, `permit(principal in Group::"staff", action, resource);`),
	})
	c := as(t, url, "ann")
	c.initialize()
	stream := listen(t, c, "GET", "", func(*http.Request) {})
	for i, groups := range [][]string{{"staff"}, nil, {"staff"}, {"others"}} {
		people.set("ann", groups...)
		names, _ := namesIn(t, c.request("tools/list", "{}"))
		r := c.request("tools/call", `{"name":"up_t"}`)
		if member := len(groups) > 0 && groups[0] == "staff"; (len(names) == 1) != member || strings.Contains(r.body, `"result"`) != member {
			t.Errorf("in %v: sees %v, and gets %s", groups, names, r.body)
		}
		if i > 0 {
			if got := await(t, stream); !strings.Contains(got, "notifications/tools/list_changed") {
				t.Errorf("in %v: hears %s", groups, got)
			}
		}
	}
	if n := len(srv.Requests("tools/call")); n != 2 {
		t.Errorf("the upstream got %d calls, want 2", n)
	}
}

// TestGroupsThatAreNotKnown lets nobody do anything whose groups matter and are not
// known completely, whatever the policies are.
func TestGroupsThatAreNotKnown(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
	var people staff
	people.put("absent", &oauth.Caller{ID: `User::"t/absent"`, Groups: oauth.Groups{Why: "the token has no groups"}})
	people.put("overage", &oauth.Caller{ID: `User::"t/overage"`, Groups: oauth.Groups{IDs: []string{"x"}, Names: []string{"x"}, Unavailable: true, Why: "they are too many for the token"}})
	people.put("alias", &oauth.Caller{ID: `User::"t/alias"`, Groups: oauth.Groups{Complete: true, Unresolved: []string{"staff"}}})
	for name, text := range map[string]string{
		"forbid":  `permit(principal, action, resource); forbid(principal in Group::"staff", action, resource);`,
		"negated": `permit(principal, action, resource) unless { principal in Group::"staff" };`,
		"none":    `permit(principal, action, resource);`,
	} {
		opts := aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}, Authenticate: people.authenticate, Policy: engineOf(t, text)}
		_, url := start(t, opts)
		opts.Policy = engineOf(t, text, func(o *policy.Options) { o.Observe = true })
		_, observed := start(t, opts)
		for who := range people.known {
			c := as(t, url, who)
			for _, r := range []reply{c.modern("tools/list", "", ""), c.modern("tools/call", "up_t", `"name":"up_t",`), as(t, url, who).initializedRequest("tools/list", "{}")} {
				let := !strings.Contains(r.body, "-32003")
				if let != (name == "none") || r.status != 200 || !let && !strings.Contains(r.body, "your groups are unavailable, since ") {
					t.Errorf("%s, %s: %d %s", name, who, r.status, r.body)
				}
			}
			if r := as(t, observed, who).modern("tools/call", "up_t", `"name":"up_t",`); !strings.Contains(r.body, `"result"`) {
				t.Errorf("%s, %s, only observed: %s", name, who, r.body)
			}
		}
	}
}

// initializedRequest is a request in a session of its own.
func (c *httpClient) initializedRequest(method, params string) reply {
	c.initialize()
	return c.request(method, params)
}

// TestOwnListsAreFiltered filters what an upstream offers to one session alone, too.
func TestOwnListsAreFiltered(t *testing.T) {
	var srv *upstreamtest.Server
	srv = upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool}, Resources: []string{`{"uri":"file:///a","name":"a"}`},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			srv.SetResources(r, `{"uri":"file:///mine","name":"mine"}`, `{"uri":"file:///secret","name":"secret"}`)
			return upstreamtest.Result(`{"content":[]}`)
		},
	})
	_, url := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())},
		Policy:    engineOf(t, `permit(principal, action, resource); forbid(principal, action, resource) when { resource.name == "secret" };`),
	})
	c := connect(t, url, upstream.LegacyEra)
	stream := listen(t, c, "GET", "", func(*http.Request) {})
	c.request("tools/call", `{"name":"up_t"}`)
	eventually(t, "the server has its streams", func() bool { return srv.Streams() == 2 })
	c.request("tools/call", `{"name":"up_t"}`)
	if got := await(t, stream); !strings.Contains(got, "notifications/resources/list_changed") {
		t.Errorf("hears %s", got)
	}
	if r := c.request("resources/list", "{}"); !strings.Contains(r.body, "up+file:///mine") || strings.Contains(r.body, "secret") {
		t.Errorf("lists %s", r.body)
	}
	if r := c.request("resources/read", `{"uri":"up+file:///a"}`); !strings.Contains(r.body, `"result"`) {
		t.Errorf("reads %s", r.body)
	}
}
