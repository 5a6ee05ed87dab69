package aggregator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/lock"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// The attacks here are of people who may sign in, and of upstreams that turn; others
// are in tests of the part that they are about.

// TestAttackRenamedTool publishes a tool by the name that a permitted one had: a
// permit is for what is called, and not for how that is presented.
func TestAttackRenamedTool(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{plainTool, issueTool}, Reply: echo}, `permit(principal, action, resource == Tool::"up/t");`,
		func(o *aggregator.Options) {
			o.Upstreams[0].Tools.Overrides = map[string]aggregator.Override{"t": {Name: "old"}, "create_issue": {Name: "t"}}
		})
	for _, era := range eras {
		if r := g.call(era, "up_t", `{"repo":"web"}`); !strings.Contains(r.body, `unknown tool`) {
			t.Errorf("%s: the other tool gets %s", era, r.body)
		}
		if r := g.call(era, "up_old", `{}`); !strings.Contains(r.body, `"got"`) {
			t.Errorf("%s: the permitted one gets %s", era, r.body)
		}
	}
}

// TestAttackTakenOverName has a second upstream offer a tool of the same name, also
// one that is published by the same.
func TestAttackTakenOverName(t *testing.T) {
	other := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}, Reply: echo})
	for _, prefix := range []string{"other", "up"} {
		g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, `permit(principal, action, resource == Tool::"up/t");`,
			func(o *aggregator.Options) {
				second := at(t, "other", other.URL.String())
				second.Prefix = prefix
				o.Upstreams = append(o.Upstreams, second)
			})
		if r := g.call(upstream.ModernEra, prefix+"_t", `{}`); !strings.Contains(r.body, "unknown tool") {
			t.Errorf("published as %s_t, it gets %s", prefix, r.body)
		}
	}
	if n := len(other.Requests("tools/call")); n > 0 {
		t.Errorf("the other upstream got %d calls", n)
	}
}

// TestAttackFlippedAnnotation has an upstream say of a tool that writes that it only
// reads, before and after somebody reviewed it.
func TestAttackFlippedAnnotation(t *testing.T) {
	said := strings.Replace(issueTool, `{"name"`, `{"annotations":{"readOnlyHint":true},"name"`, 1)
	for name, edit := range map[string]func(*aggregator.Upstream){
		"nobody reviewed it":  func(*aggregator.Upstream) {},
		"it was another":      func(u *aggregator.Upstream) { u.Pins = pins(t, issueTool) },
		"trusted and another": func(u *aggregator.Upstream) { u.Pins, u.TrustHints = pins(t, issueTool), true },
		"only warned of":      func(u *aggregator.Upstream) { u.Pins, u.Drift = pins(t, issueTool), lock.Warn },
	} {
		g := govern(t, upstreamtest.Script{Tools: []string{said}, Reply: echo}, `permit(principal, action, resource) when { resource.read_only };`,
			func(o *aggregator.Options) { edit(&o.Upstreams[0]) })
		if r := g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web"}`); !strings.Contains(r.body, "unknown tool") {
			t.Errorf("%s: %s", name, r.body)
		}
	}
}

// TestAttackSchemaThatHides has an upstream drop an argument from its schema that a
// forbid looks at, and honour it all the same.
func TestAttackSchemaThatHides(t *testing.T) {
	const hides = `{"name":"create_issue","inputSchema":{"type":"object","properties":{"title":{"type":"string"}}}}`
	g := govern(t, upstreamtest.Script{Tools: []string{hides}, Reply: echo},
		`permit(principal, action, resource); forbid(principal, action, resource) when { context.input has repo && context.input.repo == "vault" };`)
	for _, era := range eras {
		if r := g.call(era, "up_create_issue", `{"repo":"vault"}`); !strings.Contains(r.body, "not declared") {
			t.Errorf("%s: %s", era, r.body)
		}
	}
}

// TestAttackArguments sends what a policy might read as something else than the
// upstream does. None of it may get there.
func TestAttackArguments(t *testing.T) {
	const tool = `{"name":"pay","inputSchema":{"type":"object","properties":{"k":{"type":"string"},"amount":{"type":"number"},"n":{"type":"integer"},"to":{"type":["string","null"]},"o":{"type":"object","properties":{"k":{"type":"string"}}}}}}`
	g := govern(t, upstreamtest.Script{Tools: []string{tool}, Reply: echo}, `
		permit(principal, action, resource) when {
			context.input has amount && context.input.amount.lessThanOrEqual(decimal("0.3")) &&
			(!(context.input has k) || context.input.k != "evil") && (!(context.input has n) || context.input.n < 10) };
		forbid(principal, action, resource) unless { context.input has to && context.input.to == "me" };`)
	for name, arguments := range map[string]string{
		"too many digits":        `{"amount":0.30000000000000000001,"to":"me"}`,
		"an exponent":            `{"amount":3e400,"to":"me"}`,
		"beyond 2^53":            `{"amount":0.1,"to":"me","n":-9007199254740993}`,
		"beyond 2^63":            `{"amount":0.1,"to":"me","n":-9223372036854775809}`,
		"twice":                  `{"amount":0.1,"amount":9,"to":"me"}`,
		"twice, escaped":         `{"amount":0.1,"\u0061mount":9,"to":"me"}`,
		"twice below":            `{"amount":0.1,"to":"me","o":{"k":"a","k":"b"}}`,
		"another case":           `{"amount":0.1,"Amount":9,"to":"me"}`,
		"the Kelvin sign":        `{"amount":0.1,"\u212a":"evil","to":"me"}`,
		"another case below":     `{"amount":0.1,"to":"me","o":{"K":"evil"}}`,
		"undeclared":             `{"amount":0.1,"to":"me","payee":"you"}`,
		"undeclared below":       `{"amount":0.1,"to":"me","o":{"payee":"you"}}`,
		"null for an optional":   `{"amount":0.1,"to":null}`,
		"left out":               `{"amount":0.1}`,
		"a text for a number":    `{"amount":"0.1","to":"me"}`,
		"a lone surrogate":       `{"amount":0.1,"to":"me","k":"\ud800"}`,
		"no UTF-8":               "{\"amount\":0.1,\"to\":\"me\",\"k\":\"\xff\"}",
		"a list":                 `[]`,
		"deep nesting":           `{"amount":0.1,"to":"me","o":` + strings.Repeat(`{"o":`, 20_000) + `1` + strings.Repeat(`}`, 20_000) + `}`,
		"white space in a key":   `{"amount":0.1,"to":"me","k ":"evil"}`,
		"an empty key":           `{"amount":0.1,"to":"me","":"evil"}`,
		"a NUL in a key":         `{"amount":0.1,"to":"me","k\u0000":"evil"}`,
		"the prototype":          `{"amount":0.1,"to":"me","__proto__":{"k":"evil"}}`,
		"what a policy forbids":  `{"amount":0.1,"to":"me","k":"evil"}`,
		"a number too large":     `{"amount":0.31,"to":"me"}`,
		"a number with trailing": `{"amount":0.1,"to":"me"}x`,
	} {
		for _, era := range eras {
			if r := g.call(era, "up_pay", arguments); strings.Contains(r.body, `"got"`) {
				t.Errorf("%s, %s: it got there", name, era)
			}
		}
	}
	if n := len(g.srv.Requests("tools/call")); n > 0 {
		t.Errorf("the upstream got %d calls", n)
	}
	if r := g.call(upstream.ModernEra, "up_pay", `{"amount":3e-1,"to":"me","n":9,"k":"good"}`); !strings.Contains(r.body, `"got"`) {
		t.Errorf("what is permitted gets %s", r.body)
	}
}

// TestAttackURIs reads a resource that is hidden, or watches it, by other spellings of
// its URI, which policies would take for others and servers for the same.
func TestAttackURIs(t *testing.T) {
	script := upstreamtest.Script{
		Resources: []string{`{"uri":"file:///open/a","name":"a"}`, `{"uri":"file:///vault/key","name":"key"}`},
		Templates: []string{`{"uriTemplate":"file:///open/{path}","name":"t"}`}, Reply: echo,
	}
	for name, text := range map[string]string{
		"permitted": `permit(principal, action, resource) when { resource.uri like "file:///open/*" };`,
		"forbidden": `permit(principal, action, resource); forbid(principal, action, resource) when { resource.uri like "file:///vault/*" };`,
	} {
		g := govern(t, script, text)
		for _, uri := range []string{
			"up+file:///vault/key", "file:///vault/key", "up+FILE:///vault/key", "UP+file:///vault/key", "up+file:/vault/key", "up+file://localhost/vault/key",
			"up+file:////vault/key", "up+file:///./vault/key", "up+file:///%76ault/key", "up+file:///vault\\key", "up+file:///vault\x00/key", "up+file:///va\tult/key",
			"up+file:///open/../vault/key", "up+file:///open/%2e%2e/vault/key", "up+file:///open/..%2Fvault%2Fkey", "up+file:///open/..;/vault/key", "up+file:///open/..\\vault\\key",
			"up+up+file:///vault/../vault/key", "other+file:///vault/key", "up+file:///vault/key#open", "up+file:///vault/key?x=file:///open/", " up+file:///vault/key", "up+ file:///vault/key",
		} {
			for era, r := range map[upstream.Era]reply{
				upstream.LegacyEra: g.legacy.request("resources/read", `{"uri":`+quoted(uri)+`}`),
				upstream.ModernEra: g.modern.modern("resources/read", printable(uri), `"uri":`+quoted(uri)+`,`),
			} {
				if strings.Contains(r.body, `"result"`) {
					t.Errorf("what is not %s, %s: %q gets %s", name, era, uri, r.body)
				}
			}
			if r := g.legacy.request("resources/subscribe", `{"uri":`+quoted(uri)+`}`); strings.Contains(r.body, `"result"`) {
				t.Errorf("what is not %s: subscribing to %q gets %s", name, uri, r.body)
			}
		}
		if n := len(g.srv.Requests("resources/read")) + len(g.srv.Requests("resources/subscribe")); n > 0 {
			t.Errorf("the upstream got %d requests", n)
		}
		if r := g.legacy.request("resources/read", `{"uri":"up+file:///open/b"}`); !strings.Contains(r.body, `"result"`) {
			t.Errorf("what the template stands for gets %s", r.body)
		}
	}
}

// printable is a URI as a header can have it, "" if none can.
func printable(uri string) string {
	if strings.ContainsAny(uri, " \x00\t") {
		return ""
	}
	return uri
}

func quoted(s string) string {
	raw, _ := json.Marshal(s) // a text
	return string(raw)
}

// TestAttackSessionOfAnother uses a session that somebody else began, who may more.
func TestAttackSessionOfAnother(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, `permit(principal in Group::"staff", action, resource);`)
	g.people.set("eve")
	thief := as(t, g.url, "eve")
	thief.session = g.legacy.session
	for _, method := range []string{"tools/list", "tools/call"} {
		r := thief.request(method, `{"name":"up_create_issue","arguments":{"repo":"web"}}`)
		if r.status != http.StatusNotFound || strings.Contains(r.body, "create_issue") {
			t.Errorf("%s gets %d %s", method, r.status, r.body)
		}
	}
}

// TestAttackCursors asks for pages by what others were given, and by names that are
// hidden.
func TestAttackCursors(t *testing.T) {
	var tools []string
	for i := range 1500 {
		tools = append(tools, fmt.Sprintf(`{"name":"t%04d","inputSchema":{"type":"object"}}`, i))
	}
	g := govern(t, upstreamtest.Script{Tools: tools}, `
		permit(principal in Group::"staff", action, resource);
		permit(principal, action, resource == Tool::"up/t0001"); permit(principal, action, resource == Tool::"up/t1400");`)
	g.people.set("eve")
	eve := as(t, g.url, "eve")
	_, cursor := namesIn(t, g.modern.modern("tools/list", "", ""))
	garbage := eve.modern("tools/list", "", `"cursor":"bm90aGluZw",`)
	hidden := eve.modern("tools/list", "", `"cursor":"`+cursor+`",`)
	if cursor == "" || hidden.status != garbage.status || hidden.body != garbage.body {
		t.Errorf("somebody else's cursor gets %d %s, and garbage %d %s", hidden.status, hidden.body, garbage.status, garbage.body)
	}
	if names, next := namesIn(t, eve.modern("tools/list", "", "")); len(names) != 2 || next != "" {
		t.Errorf("there are %d tools, and a cursor %q", len(names), next)
	}
}

// TestAttackForwardedFor pretends to come from a network that a policy trusts.
func TestAttackForwardedFor(t *testing.T) {
	const text = `permit(principal, action, resource) when { context has ip && context.ip.isInRange(ip("10.0.0.0/8")) };`
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, text)
	forged := func(g *governed, addresses string) reply {
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
			g.modern.header.Set(name, addresses)
		}
		return g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web"}`)
	}
	if r := forged(g, "10.1.2.3"); !strings.Contains(r.body, "denied by policy") {
		t.Errorf("it is believed: %d %s", r.status, r.body)
	}
	trusted := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, text, func(o *aggregator.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	if r := forged(trusted, "10.1.2.3"); !strings.Contains(r.body, `"got"`) {
		t.Errorf("a proxy that is trusted is not believed: %s", r.body)
	}
	if r := forged(trusted, "10.1.2.3, 203.0.113.7"); strings.Contains(r.body, `"got"`) {
		t.Errorf("what the client wrote before the proxy is believed: %s", r.body)
	}
}

// TestAttackReloadDuringACall takes a permit away while a call is under way: that was
// decided, and the next one is by what is in effect then.
func TestAttackReloadDuringACall(t *testing.T) {
	called, finish := make(chan struct{}), make(chan struct{})
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
		called <- struct{}{}
		<-finish
		return echo(r)
	}}, `permit(principal, action, resource);`)
	first := make(chan reply)
	go func() { first <- g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web"}`) }()
	<-called
	g.opts.Policy = engineOf(t, `forbid(principal, action, resource);`)
	if _, err := g.Reload(t.Context(), g.opts); err != nil {
		t.Fatal(err)
	}
	for _, era := range eras {
		if r := g.call(era, "up_create_issue", `{"repo":"web"}`); !strings.Contains(r.body, "unknown tool") {
			t.Errorf("%s: after the reload, a call gets %s", era, r.body)
		}
	}
	close(finish)
	if r := <-first; !strings.Contains(r.body, `"got"`) {
		t.Errorf("the call in flight gets %s", r.body)
	}
}

// TestAttackObservedForbid hides a denial behind policies that are only watched: they
// change nothing, in either direction.
func TestAttackObservedForbid(t *testing.T) {
	const text = `permit(principal, action, resource); forbid(principal, action, resource) when { context.input.repo == "vault" };
		@observe permit(principal, action, resource);`
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, text, func(o *aggregator.Options) {
		o.Policy = engineOf(t, text, func(p *policy.Options) { p.Candidate = policiesOf(t, `permit(principal, action, resource);`) })
	})
	for _, era := range eras {
		if r := g.call(era, "up_create_issue", `{"repo":"vault"}`); !strings.Contains(r.body, "denied by policy") {
			t.Errorf("%s: %s", era, r.body)
		}
	}
}

// TestAttackPretences says in _meta, in headers and in arguments to be somebody or
// something else.
func TestAttackPretences(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, `
		permit(principal, action, resource) when { context.app == App::"vscode" || principal == User::"t/root" || context.session.labels.contains("clean") || context.auth.mfa || context.input.repo == "open" };`)
	for _, members := range []string{
		`"name":"up_create_issue","arguments":{"repo":"web"},"app":"vscode","principal":"User::\"t/root\"",`,
		`"name":"up_create_issue","arguments":{"repo":"web"},"context":{"app":"vscode"},`,
		`"name":"up_create_issue","arguments":{"repo":"web"},"session":{"labels":["clean"]},"auth":{"mfa":true},`,
		`"name":"up_create_issue","arguments":{"repo":"web"},"Arguments":{"repo":"open"},`,
		`"name":"up_create_issue","arguments":{"repo":"open"},"arguments":{"repo":"web"},`,
	} {
		if r := g.modern.modern("tools/call", "up_create_issue", members); strings.Contains(r.body, `"got"`) {
			t.Errorf("%s: %s", members, r.body)
		}
	}
}

// TestAttackProbing asks for what is hidden: the caller learns nothing, and the
// operator of it.
func TestAttackProbing(t *testing.T) {
	g := govern(t, upstreamtest.Script{
		Tools: []string{issueTool}, Prompts: []string{`{"name":"p"}`}, Resources: []string{`{"uri":"file:///a","name":"a"}`},
	}, `permit(principal in Group::"admins", action, resource);`)
	g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web"}`)
	g.call(upstream.ModernEra, "up_nothing", `{}`)
	g.legacy.request("prompts/get", `{"name":"up_p"}`)
	g.legacy.request("resources/read", `{"uri":"up+file:///a"}`)
	var of []string
	for _, line := range g.lines(t) {
		if line["decision"] != "deny" || line["why"] != "hidden from the caller" || line["caller"] != `User::"t/ann"` {
			t.Errorf("recorded is %v", line)
		}
		of = append(of, fmt.Sprint(line["object"]))
	}
	if d := cmp.Diff([]string{"create_issue", "p", "file:///a"}, of); d != "" {
		t.Error(d)
	}
}
