package aggregator_test

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/aggregator/labels"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// TestAttackBatch puts what is denied, and what is hidden, into one batch with what is
// allowed: each message would be decided as the first one.
func TestAttackBatch(t *testing.T) {
	g := govern(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{issueTool, plainTool}, Reply: echo},
		`permit(principal, action, resource == Tool::"up/create_issue") unless { context.input.repo == "vault" };`)
	r := g.batch(`[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up_create_issue","arguments":{"repo":"web"}}},
		{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"up_create_issue","arguments":{"repo":"vault"}}},
		{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"up_t","arguments":{}}},
		{"jsonrpc":"2.0","method":"tools/call","params":{"name":"up_create_issue","arguments":{"repo":"vault"}}}]`)
	for _, want := range []string{`"id":1,"result":{"content":[],"structuredContent":{"got":{"repo":"web"}`, `"text":"denied by policy`, `unknown tool \"up_t\"`} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the batch gets %s, want %s", r.body, want)
		}
	}
	if n := len(g.srv.Requests("tools/call")); n != 1 {
		t.Errorf("the upstream got %d calls, want 1", n)
	}
}

// batch sends messages together, as a client of the only revision that may.
func (g *governed) batch(messages string) reply {
	c := as(g.legacy.t, g.url, "ann")
	r := c.do("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, nil)
	c.session = r.header.Get("Mcp-Session-Id")
	return c.do("POST", messages, nil)
}

// TestAttackLabelsInABatch reads what is private and sends it away in one batch: the
// caller might have no label yet when both are decided.
func TestAttackLabelsInABatch(t *testing.T) {
	known, err := labels.Open(t.Context(), nil, labels.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	g := govern(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{issueTool, plainTool}, Reply: echo}, `permit(principal, action, resource);
		forbid(principal, action, resource == Tool::"up/create_issue") when { context.session.labels.contains("private-data") };`, func(o *aggregator.Options) {
		o.Labels = known
		o.Upstreams[0].Tools.Overrides = map[string]aggregator.Override{"t": {Labels: []string{"private-data"}}}
	})
	r := g.batch(`[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up_t"}},
		{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"up_create_issue","arguments":{"repo":"web"}}}]`)
	if sent := g.srv.Requests("tools/call"); len(sent) != 1 || sent[0].Name() != "t" || !strings.Contains(r.body, `"id":2,"result":{"content":[{"type":"text","text":"denied by policy`) {
		t.Errorf("the upstream got %d calls, and the client %s", len(sent), r.body)
	}
}

// TestAttackBlockedPerson comes back with another client, and under another name, while
// the operator blocks the person.
func TestAttackBlockedPerson(t *testing.T) {
	b, err := brake.Open(t.Context(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	g := govern(t, upstreamtest.Script{Tools: []string{plainTool}, Reply: echo}, `permit(principal, action, resource);`, func(o *aggregator.Options) { o.Brake = b })
	if r := g.call(upstream.ModernEra, "up_t", `{}`); !strings.Contains(r.body, `"got"`) {
		t.Fatalf("it gets %s", r.body)
	}
	if err := b.Block(t.Context(), brake.Block{Kind: brake.Person, What: "ann", Reason: "an incident"}); err != nil {
		t.Fatal(err)
	}
	for name, caller := range map[string]oauth.Caller{
		"another client":     {Subject: "ann", Name: "ann", Client: oauth.Client{ID: "c2", Alias: "other"}},
		"another name":       {Subject: "ann", Name: "bob"},
		"another subject":    {Subject: "pairwise-7", Name: "bob", Client: oauth.Client{ID: "c3"}},
		"nothing but the id": {},
	} {
		caller.ID, caller.Groups = `User::"t/ann"`, oauth.Groups{Complete: true}
		g.people.put("ann", &caller)
		for _, era := range eras {
			if r := g.call(era, "up_t", `{}`); !strings.Contains(r.body, "blocked by the operator") {
				t.Errorf("%s, %s: %s", name, era, r.body)
			}
		}
	}
	if n := len(g.srv.Requests("tools/call")); n != 1 {
		t.Errorf("the upstream got %d calls, want 1", n)
	}
}

// TestAttackEnvelope names two tools in one request: one might be decided about, and
// the other one called.
func TestAttackEnvelope(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool, plainTool}, Reply: echo}, `permit(principal, action, resource == Tool::"up/t");`)
	const hidden, permitted = `{"name":"up_create_issue","arguments":{"repo":"web"},` + modernMeta + `}`, `{"name":"up_t","arguments":{},` + modernMeta + `}`
	for _, members := range []string{
		`"method":"tools/call","params":` + permitted + `,"params":` + hidden,
		`"method":"tools/call","params":` + hidden + `,"Params":` + permitted,
		`"method":"tools/call","params":` + permitted + `,"par\u0061ms":` + hidden,
		`"method":"tools/list","method":"tools/call","params":` + hidden,
		`"method":"tools/call","params":{"name":"up_t","name":"up_create_issue","arguments":{"repo":"web"},` + modernMeta + `}`,
		`"method":"tools/call","params":{"name":"up_t","n\u0061me":"up_create_issue","arguments":{"repo":"web"},` + modernMeta + `}`,
		`"method":"tools/call","params":{"Name":"up_t","name":"up_create_issue","arguments":{"repo":"web"},` + modernMeta + `}`,
		`"method":"tools/call","params":` + hidden, // with the header of the other
	} {
		body := `{"jsonrpc":"2.0","id":1,` + members + `}`
		g.legacy.do("POST", body, nil)
		g.modern.do("POST", body, func(r *http.Request) {
			r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
			r.Header.Set("Mcp-Method", "tools/call")
			r.Header.Set("Mcp-Name", "up_t")
		})
	}
	for _, era := range eras {
		if r := g.call(era, "up_t", `{}`); !strings.Contains(r.body, `"got"`) {
			t.Errorf("%s: what is permitted gets %s", era, r.body)
		}
	}
	for _, r := range g.srv.Requests("tools/call") {
		if r.Name() != "t" || strings.Contains(string(r.Body), "create_issue") {
			t.Errorf("the upstream got %s", r.Body)
		}
	}
}

// TestAttackParkedCall answers a question after the policies were replaced: the call
// was allowed by those that it was begun under.
func TestAttackParkedCall(t *testing.T) {
	g := govern(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}, Reply: ask1}, `permit(principal, action, resource);`,
		func(o *aggregator.Options) { o.Upstreams[0].Isolation = aggregator.PerUser })
	state := stateOf(t, callAsked(g.modern, ""))
	g.opts.Policy = engineOf(t, `permit(principal, action, resource) when { context.auth.mfa };`)
	if _, err := g.Reload(t.Context(), g.opts); err != nil {
		t.Fatal(err)
	}
	if r := callAsked(g.modern, accepted+`"requestState":"`+state+`",`); strings.Contains(r.body, `"got"`) || !strings.Contains(r.body, "denied by policy") {
		t.Errorf("it goes on: %s", r.body)
	}
	eventually(t, "nothing is parked", func() bool { return g.Held().Parked == 0 })
}

// TestAttackBoundArguments makes the id of an entity that the caller may write to of
// arguments that the upstream takes for something else.
func TestAttackBoundArguments(t *testing.T) {
	const tool = `{"name":"push","inputSchema":{"type":"object","properties":{"owner":{"type":"string"},"repo":{"type":"string"}}}}`
	g := govern(t, upstreamtest.Script{Tools: []string{tool}, Reply: echo}, "", func(o *aggregator.Options) { o.Policy = ownRepositories(t) })
	for name, arguments := range map[string]string{
		"all in one":          `{"owner":"kontoso/web","repo":""}`,
		"all in the other":    `{"owner":"","repo":"kontoso/web"}`,
		"one part":            `{"owner":"kontoso/web"}`,
		"the Kelvin sign":     `{"owner":"\u212aontoso","repo":"web"}`,
		"a wide letter":       `{"owner":"\uff4bontoso","repo":"web"}`,
		"a wide slash":        `{"owner":"kontoso\uff0fweb","repo":""}`,
		"a blank of no width": `{"owner":"kontoso","repo":"web\u200b"}`,
		"a blank of Unicode":  `{"owner":"kontoso","repo":"web\u2003"}`,
		"a path":              `{"owner":"kontoso","repo":"api/../web"}`,
		"a record":            `{"owner":{"type":"Repo","id":"kontoso/web"},"repo":"web"}`,
		"an entity":           `{"owner":{"__entity":{"type":"Repo","id":"kontoso/web"}},"repo":"web"}`,
		"an unknown one":      `{"owner":"kontoso","repo":"api"}`,
		"the entity itself":   `{"target":"Repo::\"kontoso/web\"","owner":"a","repo":"b"}`,
	} {
		for _, era := range eras {
			if r := g.call(era, "up_push", arguments); strings.Contains(r.body, `"got"`) {
				t.Errorf("%s, %s: it gets there: %s", name, era, r.body)
			}
		}
	}
	if r := g.call(upstream.ModernEra, "up_push", `{"owner":" Kontoso","repo":"WEB\n"}`); !strings.Contains(r.body, `"got"`) {
		t.Errorf("what is permitted gets %s", r.body)
	}
}

// ownRepositories decides by whose kontoso/web is.
func ownRepositories(t *testing.T) *policy.Engine {
	t.Helper()
	known, err := facts.Load([]source.File{
		{Name: "t.json", Text: []byte(`[{"uid":{"type":"Repo","id":"kontoso/web"},"parents":[{"type":"Team","id":"web"}],"attrs":{}},{"uid":{"type":"Team","id":"web"},"parents":[],"attrs":{}}]`)},
		{Name: "t.cedarschema", Text: []byte(`entity Team; entity Repo in [Team];`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	text := []source.File{{Name: "t.cedar", Text: []byte(`permit(principal, action, resource) when { context.target in Team::"web" };`)}}
	policies, _, err := source.Parse(text, source.Options{Types: []string{"Team", "Repo"}, Targets: []string{"target"}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := policy.New(policy.Options{Policies: policies, Facts: known, Binds: []facts.Bind{{Name: "target", Type: "Repo", ID: []facts.Part{
		{Argument: []string{"owner"}, Case: "lower", Trim: true}, {Literal: "/"}, {Argument: []string{"repo"}, Case: "lower", Trim: true},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestAttackMappedAddress comes from a network that a policy forbids, by an address in
// the form of IPv6: it would be in no network of IPv4.
func TestAttackMappedAddress(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{plainTool}, Reply: echo}, `permit(principal, action, resource);
		forbid(principal, action, resource) unless { context has ip && !context.ip.isInRange(ip("203.0.113.0/24")) };`,
		func(o *aggregator.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	for address, permitted := range map[string]bool{
		"203.0.113.7": false, "::ffff:203.0.113.7": false, "::ffff:cb00:7107": false, "0:0:0:0:0:ffff:203.0.113.7": false, "::ffff:203.0.113.7%eth0": false,
		"198.51.100.7": true, "::ffff:198.51.100.7": true,
	} {
		g.modern.header.Set("X-Forwarded-For", address)
		if r := g.call(upstream.ModernEra, "up_t", `{}`); strings.Contains(r.body, `"got"`) != permitted {
			t.Errorf("from %s, a call gets %s", address, r.body)
		}
	}
}

// TestAttackDenialTexts reads the answers to what is denied, which would tell who may,
// by which rule, and what else there is.
func TestAttackDenialTexts(t *testing.T) {
	script := upstreamtest.Script{
		Tools: []string{issueTool, `{"name":"classified","inputSchema":{"type":"object"}}`}, Prompts: []string{`{"name":"p","arguments":[{"name":"topic"}]}`},
		Resources: []string{`{"uri":"file:///a","name":"a"}`}, Reply: echo,
	}
	g := govern(t, script, `
		@id("rule-1") permit(principal, action, resource) unless { resource.name == "classified" };
		@id("rule-2") forbid(principal, action, resource) unless { principal in Group::"insiders" || context.session.labels.contains("vetted") };
		@id("rule-3") forbid(principal, action == Action::"call_tool", resource) when { context.input.title == "sesame" };`)
	for _, r := range []reply{
		g.call(upstream.LegacyEra, "up_create_issue", `{"repo":"web"}`), g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web"}`),
		g.call(upstream.LegacyEra, "up_create_issue", `{"repo":"web","title":"x"}`), g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web","title":"x"}`),
		g.legacy.request("prompts/get", `{"name":"up_p"}`), g.modern.modern("prompts/get", "up_p", `"name":"up_p",`),
		g.legacy.request("resources/read", `{"uri":"up+file:///a"}`), g.modern.modern("resources/read", "up+file:///a", `"uri":"up+file:///a",`),
		g.legacy.request("resources/subscribe", `{"uri":"up+file:///a"}`),
	} {
		if !strings.Contains(r.body, "denied by policy") {
			t.Errorf("it gets %s", r.body)
		}
		for _, secret := range []string{"rule-", "insiders", "sesame", "vetted", "classified", "t.cedar", "staff", "Cedar", "attribute", "forbid"} {
			if strings.Contains(r.body, secret) {
				t.Errorf("it tells %s: %s", secret, r.body)
			}
		}
	}
	if n := len(g.srv.Requests("tools/call")) + len(g.srv.Requests("prompts/get")) + len(g.srv.Requests("resources/read")); n > 0 {
		t.Errorf("the upstream got %d requests", n)
	}
}

// TestAttackNoArguments leaves out what a forbid looks at, and has the upstream fill in
// the value that is forbidden, of which its schema says nothing.
func TestAttackNoArguments(t *testing.T) {
	const tool = `{"name":"push","inputSchema":{"type":"object","properties":{"branch":{"type":"string"},"force":{"type":"boolean","default":true}}}}`
	for name, text := range map[string]string{
		"no default":    `permit(principal, action, resource); forbid(principal, action, resource) when { context.input.branch == "main" };`,
		"a default":     `permit(principal, action, resource); forbid(principal, action, resource) when { context.input has force && context.input.force };`,
		"only a permit": `permit(principal, action, resource) when { context.input.branch != "main" };`,
	} {
		g := govern(t, upstreamtest.Script{Tools: []string{tool}, Reply: echo}, text)
		for _, members := range []string{`"name":"up_push"`, `"name":"up_push","arguments":{}`, `"name":"up_push","arguments":null`, `"name":"up_push","arguments":""`, `"name":"up_push","arguments":[]`} {
			g.legacy.request("tools/call", "{"+members+"}")
			g.modern.modern("tools/call", "up_push", members+",")
		}
		if n := len(g.srv.Requests("tools/call")); n > 0 {
			t.Errorf("%s: the upstream got %d calls", name, n)
		}
	}
}

// TestAttackLookAlikes has an upstream offer tools that look, or are published, like
// one that is permitted.
func TestAttackLookAlikes(t *testing.T) {
	var tools []string
	for _, name := range []string{`T`, `t `, ` t`, `t\u200b`, `\uff54`, `t\u0000`, `up/t`, `../up/t`, `t/`, `t\"`, `Tool::\"up/t\"`, `up_t`, `t*`} {
		tools = append(tools, `{"name":"`+name+`","inputSchema":{"type":"object"}}`)
	}
	g := govern(t, upstreamtest.Script{Tools: tools, Reply: echo}, `permit(principal, action, resource == Tool::"up/t");`, func(o *aggregator.Options) {
		other := o.Upstreams[0]
		other.Name, other.Prefix = "other", "other"
		o.Upstreams = append(o.Upstreams, other)
	})
	if names, _ := namesIn(t, g.modern.modern("tools/list", "", "")); len(names) > 0 {
		t.Errorf("the caller sees %q", names)
	}
	if n := len(g.Catalog().Tools()); n != 2*len(tools) {
		t.Errorf("there are %d tools, want %d", n, 2*len(tools))
	}
	for _, tool := range g.Catalog().Tools() {
		if r := g.call(upstream.LegacyEra, tool.Name, `{}`); !strings.Contains(r.body, "unknown tool") {
			t.Errorf("%q gets %s", tool.Original, r.body)
		}
	}
}
