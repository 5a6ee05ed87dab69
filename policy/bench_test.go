package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
)

// mix is n policies as a large company has them: by group and tool, by group and
// upstream, by claim, by argument, and forbids.
func mix(n int) string {
	var b strings.Builder
	for i := range n {
		upstream, tool, group := i%50, i%5000, i%97
		switch i % 10 {
		case 0, 1:
			fmt.Fprintf(&b, "permit(principal in Group::\"g%d\", action == Action::\"call_tool\", resource == Tool::\"u%d/t%d\");\n", group, tool%50, tool)
		case 2: // for all callers and tools, by its scope
			fmt.Fprintf(&b, "permit(principal, action, resource) when { resource.read_only && principal in Group::\"g%d\" };\n", group)
		case 3: // for all tools
			fmt.Fprintf(&b, "permit(principal in Group::\"g%d\", action, resource) when { resource.read_only && context.input has repo && context.input.repo == \"%d\" };\n", group, i)
		case 4:
			fmt.Fprintf(&b, "permit(principal in Group::\"g%d\", action, resource in Upstream::\"u%d\") when { resource.read_only };\n", group, upstream)
		case 5:
			fmt.Fprintf(&b, "permit(principal in Group::\"g%d\", action, resource in Upstream::\"u%d\") when { context.input has repo && context.input.repo like \"acme/%d*\" };\n", group, upstream, i)
		case 6:
			fmt.Fprintf(&b, "permit(principal, action, resource == Tool::\"u%d/t%d\") when { principal.claim_dept == \"d%d\" };\n", tool%50, tool, i%31)
		case 7:
			fmt.Fprintf(&b, "forbid(principal, action, resource in Upstream::\"u%d\") when { context.input has branch && context.input.branch == \"release-%d\" } unless { principal in Group::\"g%d\" };\n", upstream, i, group)
		case 8:
			fmt.Fprintf(&b, "permit(principal in Group::\"g%d\", action, resource in Tag::\"tag%d\") when { context.input has milestone && context.input.milestone < %d };\n", group, i%20, i)
		case 9:
			fmt.Fprintf(&b, "forbid(principal in Group::\"g%d\", action, resource == Tool::\"u%d/t%d\") when { resource.destructive };\n", group, tool%50, tool)
		}
	}
	return b.String()
}

// busy are 20 policies about one tool, that all look at its arguments.
func busy(origin string) string {
	var b strings.Builder
	for i := range 10 {
		fmt.Fprintf(&b, "forbid(principal, action, resource == Tool::%q) when { context.input has repo && context.input.repo like \"secret-%d*\" };\n", origin, i)
		fmt.Fprintf(&b, "permit(principal, action, resource == Tool::%q) when { context.input.owner == \"contoso\" && context.input has milestone && context.input.milestone < %d };\n", origin, i)
	}
	return b.String()
}

func labels() []string {
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprintf("u%d", i))
	}
	return all
}

func mixEngine(b *testing.B, n int, more string) *policy.Engine {
	b.Helper()
	policies, _, err := source.Parse([]source.File{{Name: "mix.cedar", Text: []byte(mix(n) + more)}}, source.Options{Upstreams: labels()})
	if err != nil {
		b.Fatal(err)
	}
	e, err := policy.New(policy.Options{Policies: policies})
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func manyTools(n int) []*policy.Object {
	all := make([]*policy.Object, n)
	for i := range all {
		t := tool(fmt.Sprintf("u%d/t%d", i%50, i))
		t.Tags = []string{fmt.Sprintf("tag%d", i%20)}
		all[i] = policy.ToolObject(t)
	}
	return all
}

var sizes = []int{100, 1_000, 10_000}

// BenchmarkDecide is of a tool that 20 policies are about, besides the mix.
func BenchmarkDecide(b *testing.B) {
	const arguments = `{"owner": "contoso", "repo": "acme/5-web", "title": "Something is broken", "milestone": 3}`
	objects := manyTools(5000)
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := mixEngine(b, n, busy("u20/t20"))
			r := requestOf(person("g1", "g20", "g40", "g60"), objects[20], arguments)
			if d := e.Decide(r); !d.Allow {
				b.Fatal(d.Why)
			}
			b.ReportAllocs()
			for b.Loop() {
				e.Decide(r)
			}
		})
	}
}

// BenchmarkView is of 5,000 tools, for a caller whom nobody has seen before.
func BenchmarkView(b *testing.B) {
	objects := manyTools(5000)
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := mixEngine(b, n, "")
			e.View(person("g0"), objects) // the engine knows the objects
			b.ReportAllocs()
			seen := 0
			for b.Loop() {
				seen++
				e.View(person("g1", fmt.Sprintf("g%d", seen%97), fmt.Sprintf("g%d", seen/97%97)), objects)
			}
		})
	}
}

// BenchmarkViewKey is for a caller who was seen before.
func BenchmarkViewKey(b *testing.B) {
	e, p := mixEngine(b, 10_000, ""), person("g1", "g20", "g40", "g60")
	b.ReportAllocs()
	for b.Loop() {
		e.ViewKey(p)
	}
}

func BenchmarkLoad(b *testing.B) {
	text := []byte(mix(10_000))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		policies, _, err := source.Parse([]source.File{{Name: "mix.cedar", Text: text}}, source.Options{Upstreams: labels()})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := policy.New(policy.Options{Policies: policies}); err != nil {
			b.Fatal(err)
		}
	}
}
