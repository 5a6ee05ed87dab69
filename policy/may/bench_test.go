package may_test

import (
	"fmt"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// listEnv is what a list knows about one tool.
func listEnv(entities types.EntityGetter) *may.Env {
	text, number := &typed.Type{Kind: typed.String}, &typed.Type{Kind: typed.Long}
	input := &typed.Type{Kind: typed.Record, Fields: []typed.Field{
		{Name: "labels", Type: &typed.Type{Kind: typed.Set, Elem: text}},
		{Name: "owner", Type: text, Required: true},
		{Name: "page", Type: number},
		{Name: "repo", Type: text, Required: true},
		{Name: "state", Type: &typed.Type{Kind: typed.String, Enum: []string{"all", "closed", "open"}}},
	}}
	return &may.Env{
		Principal: alice, Action: call, Resource: issue, Entities: entities,
		Known: record("app", cedar.NewEntityUID("App", "vscode")),
		Unknown: &typed.Type{Kind: typed.Record, Fields: []typed.Field{
			{Name: "bytes", Type: number, Required: true},
			{Name: "input", Type: input, Required: true},
			{Name: "now", Type: &typed.Type{Kind: typed.Datetime}, Required: true},
		}},
	}
}

func parse(tb testing.TB, text string) *ast.Policy {
	tb.Helper()
	var p cedar.Policy
	if err := p.UnmarshalCedar([]byte(text)); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return ast.Of(&p)
}

var usual = map[string]string{
	"resource":  `permit(principal in Group::"staff", action == Action::"call_tool", resource == Tool::"github/issue");`,
	"upstream":  `permit(principal in Group::"staff", action == Action::"call_tool", resource in Upstream::"github") when { resource.b == 2 };`,
	"arguments": `permit(principal in Group::"staff", action == Action::"call_tool", resource in Upstream::"github") when { context.input.owner == "contoso" && context.input has state && context.input.state != "closed" };`,
	"context":   `forbid(principal, action, resource in Tag::"production") unless { context.app == App::"vscode" && context.now > datetime("2024-01-01") };`,
	"labels":    `permit(principal, action, resource in Upstream::"github") when { ["open", "all"].contains(context.input.state) || context.input.labels.contains("bug") };`,
}

// BenchmarkOutcomes is one policy about one tool, once the principal is decided.
func BenchmarkOutcomes(b *testing.B) {
	for name, text := range usual {
		b.Run(name, func(b *testing.B) {
			env := listEnv(world())
			p := may.Compile(parse(b, text)).Specialise(env)
			b.ReportAllocs()
			for b.Loop() {
				if p.Outcomes(env)&may.True == 0 {
					b.Fatal("not satisfied")
				}
			}
		})
	}
}

// BenchmarkSpecialise is 1,000 policies for one principal, most of which are about
// others.
func BenchmarkSpecialise(b *testing.B) {
	env := listEnv(world())
	var programs []*may.Program
	for i := range 1000 {
		text := usual["arguments"]
		if i%10 != 0 {
			text = fmt.Sprintf(`permit(principal in Group::"group%d", action == Action::"call_tool", resource in Upstream::"github") when { context.input.owner == "contoso" };`, i)
		}
		programs = append(programs, may.Compile(parse(b, text)))
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range programs {
			p.Specialise(env)
		}
	}
}

// BenchmarkCompile is one policy.
func BenchmarkCompile(b *testing.B) {
	p := parse(b, usual["arguments"])
	b.ReportAllocs()
	for b.Loop() {
		may.Compile(p)
	}
}
