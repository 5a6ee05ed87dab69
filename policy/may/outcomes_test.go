package may_test

import (
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// unknown is the context of the table: all of it is required but what is named maybe.
var unknown = &typed.Type{Kind: typed.Record, Fields: []typed.Field{
	{Name: "any", Type: &typed.Type{}, Required: true},
	{Name: "input", Required: true, Type: &typed.Type{Kind: typed.Record, Fields: []typed.Field{
		{Name: "flag", Type: &typed.Type{Kind: typed.Bool}, Required: true},
		{Name: "labels", Type: &typed.Type{Kind: typed.Set, Elem: &typed.Type{Kind: typed.String}}, Required: true},
		{Name: "maybe", Type: &typed.Type{Kind: typed.String}},
		{Name: "n", Type: &typed.Type{Kind: typed.Long}, Required: true},
		{Name: "ones", Type: &typed.Type{Kind: typed.Set, Elem: &typed.Type{Kind: typed.String, Enum: []string{"one"}}}, Required: true},
		{Name: "only", Type: &typed.Type{Kind: typed.Record, Fields: []typed.Field{
			{Name: "kind", Type: &typed.Type{Kind: typed.String, Enum: []string{"one"}}},
		}}, Required: true},
		{Name: "state", Type: &typed.Type{Kind: typed.String, Enum: []string{"closed", "open"}}, Required: true},
		{Name: "text", Type: &typed.Type{Kind: typed.String}, Required: true},
	}}},
	{Name: "ip", Type: &typed.Type{Kind: typed.Address}, Required: true},
	{Name: "now", Type: &typed.Type{Kind: typed.Datetime}, Required: true},
	{Name: "people", Type: &typed.Type{Kind: typed.Set, Elem: &typed.Type{Kind: typed.Entity, Entity: "User"}}, Required: true},
	{Name: "target", Type: &typed.Type{Kind: typed.Entity, Entity: "Repo"}, Required: true},
}}

const tf = may.True | may.False

// TestOutcomes has what single conditions may come to.
func TestOutcomes(t *testing.T) {
	for condition, want := range map[string]may.Outcome{
		// Presence.
		`context has input`: may.True,
		"context.input has \"maybe\\0\" && context.input.maybe == \"x\"": may.False,
		`context has nothing`:                                                  may.False,
		`context.input has maybe`:                                              tf,
		`context.input.maybe == "x"`:                                           tf | may.Error,
		`context.input has maybe && context.input.maybe == "x"`:                tf,
		`!(context.input has maybe) || context.input.maybe == "x"`:             tf,
		`context has input.maybe && context.input.maybe like "x*"`:             tf,
		`(context.input has maybe && 1 == 2) || context.input.maybe == "x"`:    tf | may.Error,
		`if context.input has maybe then true else context.input.maybe == "x"`: tf | may.Error,
		`context.nothing == 1`:                                                 may.Error,
		`context.app == App::"vscode"`:                                         may.True,
		`context.app.name == "x"`:                                              may.Error, // since there is no such entity

		// Types.
		`context.input.n == "1"`:                 may.False,
		`context.input.n < "1"`:                  may.Error,
		`context.input.n < 1`:                    tf,
		`context.input.n`:                        may.Error,
		`context.input.flag`:                     tf,
		`context.any`:                            tf | may.Error,
		`context.any == 1`:                       tf,
		`context.input.n && false`:               may.Error,
		`false && context.input.n`:               may.False,
		`true || context.input.n`:                may.True,
		`context.input.flag && 1`:                may.False | may.Error,
		`context.input.flag || 1 == 1`:           may.True,
		`context.input.flag && !(1 == 1)`:        may.False,
		`context.any && false`:                   may.False | may.Error,
		`context.input.n + 1 == 2`:               tf | may.Error,
		`context.input.text + 1 == 2`:            may.Error,
		`9223372036854775807 + 1 == 1`:           may.Error,
		`-context.input.n == "x"`:                may.False | may.Error,
		`context.now < datetime("2024-01-01")`:   tf,
		`context.now < duration("1h")`:           may.Error,
		`context.now.toDate() == context.now`:    tf | may.Error,
		`context.now.toTime() == duration("1h")`: tf,
		`context.ip.isInRange(ip("10.0.0.0/8"))`: tf,
		`context.input.n.isLoopback()`:           may.Error,
		`ip(context.input.text) == context.ip`:   tf | may.Error,
		`decimal("x") == decimal("1.0")`:         may.Error,

		// Texts.
		`context.input.state == "open"`:                      tf,
		`context.input.state == "other"`:                     may.False,
		`context.input.state != "other"`:                     may.True,
		`context.input.state like "*"`:                       may.True,
		`context.input.state like "o*"`:                      tf,
		`context.input.state like "x*"`:                      may.False,
		`context.input.text like "*"`:                        may.True,
		`["open", "closed"].contains(context.input.state)`:   may.True,
		`["open", "x"].contains(context.input.state)`:        tf,
		`["x", 1].contains(context.input.state)`:             may.False,
		`(if context.input.flag then "a" else "b") == "c"`:   may.False,
		`(if context.input.flag then "a" else "b") like "?"`: may.False,

		// Sets and records.
		`context.input.labels.contains("x")`:                    tf,
		`context.input.labels.contains(1)`:                      may.False,
		`context.input.ones.contains("one")`:                    tf, // since it may be empty
		`context.input.labels.containsAll([])`:                  may.True,
		`context.input.labels == [1]`:                           may.False,
		`context.input.labels.isEmpty()`:                        tf,
		`[context.input.text].isEmpty()`:                        may.False,
		`[context.input.text, "x"].contains("x")`:               may.True,
		`[context.input.text, "x"] == ["x", 1]`:                 may.False,
		`["x"].containsAny([context.input.n])`:                  may.False,
		`["closed", "open"].containsAll([context.input.state])`: may.True,
		`{a: context.input.n, b: 1}.b == 1`:                     may.True,
		`{a: context.input.n}.c == 1`:                           may.Error,
		`{a: context.input.n} has a`:                            may.True,
		`{a: context.input.n} == {a: "x"}`:                      may.False,
		`{a: context.input.maybe} has a`:                        may.True | may.Error,
		`context.input.only == {kind: "one"}`:                   tf, // since it may be missing
		`context.input.only == {other: "one"}`:                  may.False,
		`context.any == {a: 1}`:                                 tf,
		`context.input == {}`:                                   may.False,
		`context == {}`:                                         may.False,
		`context.input.text.contains("x")`:                      may.Error,

		// Entities.
		`principal in Group::"all"`:                               may.True,
		`principal.a == "x" && principal.b == 1`:                  may.True,
		`principal.nothing == 1`:                                  may.Error,
		`context.target is Repo`:                                  may.True,
		`context.target is User`:                                  may.False,
		`context.target in Group::"all"`:                          tf,
		`context.target == Repo::"web"`:                           tf,
		`context.target == User::"alice"`:                         may.False,
		`context.target == "web"`:                                 may.False,
		`principal in context.target`:                             may.False, // none of them is above alice
		`principal in context.target.owner`:                       tf | may.Error,
		`context.target has owner`:                                tf,
		`context.target has owner && context.target.owner == "x"`: tf,
		`context.target.hasTag("x")`:                              tf,
		`principal in context.people`:                             tf,
		`resource in context.people`:                              may.False,
		`principal in [Group::"all", context.any]`:                may.True | may.Error,
		`principal in context.any`:                                tf | may.Error,
		`principal in [Group::"all", context.input.n]`:            may.Error,
		`principal in context.input.labels`:                       may.False | may.Error,
		`context.any is User in context.input.n`:                  may.False | may.Error,
		`principal is Group in context.input.n`:                   may.False,
		`principal.hasTag("x") && principal.getTag("x") == "y"`:   may.True,
		`principal.hasTag(context.input.text)`:                    tf,
		`resource.hasTag(context.input.text)`:                     may.False,
		`principal.hasTag(1)`:                                     may.Error,
	} {
		env := &may.Env{Principal: alice, Action: call, Resource: issue, Entities: world(), Unknown: unknown, Known: record("app", types.NewEntityUID("App", "vscode"))}
		p := may.Compile(parse(t, `permit(principal, action, resource) when { `+condition+` };`))
		if got := p.Outcomes(env); got != want {
			t.Errorf("%s may be %v, want %v", condition, got, want)
		}
		if got := p.Specialise(earlier(env)).Outcomes(env); got != want {
			t.Errorf("%s, specialised, may be %v, want %v", condition, got, want)
		}
	}
}

// TestAnybody asks about a principal and a resource of which only the type is
// known, and what they are in.
func TestAnybody(t *testing.T) {
	for condition, want := range map[string]may.Outcome{
		`principal is User`:                   may.True,
		`principal == User::"bob"`:            tf,
		`principal == Group::"bob"`:           may.False,
		`principal in Group::"staff"`:         may.True,
		`principal in Group::"all"`:           may.True,
		`principal in Group::"admins"`:        may.False,
		`principal in User::"bob"`:            tf,
		`principal.a == 1`:                    tf | may.Error,
		`principal has a && principal.a == 1`: tf,
		`User::"alice".a == "x"`:              tf | may.Error, // since the principal may be that
		`User::"bob" in Group::"staff"`:       tf,
		`Group::"staff" in Group::"all"`:      may.True,
		`Repo::"web" in User::"alice"`:        may.True,
		`Repo::"web" in Group::"all"`:         tf, // above alice, who may be another
		`resource in Upstream::"github"`:      may.True,
		`resource == Tool::"github/issue"`:    tf,
		`User::"alice" == principal`:          tf,
	} {
		env := &may.Env{Principal: alice, Action: call, Resource: issue, Entities: world(), AnyPrincipal: true, AnyResource: true}
		p := may.Compile(parse(t, `permit(principal, action, resource) when { `+condition+` };`))
		if got := p.Outcomes(env); got != want {
			t.Errorf("%s may be %v, want %v", condition, got, want)
		}
	}
}

// TestUnknownGroups asks about a principal that Entities does not have.
func TestUnknownGroups(t *testing.T) {
	env := &may.Env{Principal: nobody, Action: call, Resource: issue, Entities: world(), AnyPrincipal: true}
	p := may.Compile(parse(t, `permit(principal in Group::"staff", action, resource);`))
	if got := p.Outcomes(env); got != tf {
		t.Errorf("may be %v, want %v", got, tf)
	}
}

// TestSpecialise decides policies for a principal before there is a resource.
func TestSpecialise(t *testing.T) {
	for policy, want := range map[string]string{
		`permit(principal in Group::"admins", action, resource) when { resource.a == 1 };`:                  "false",
		`permit(principal in Group::"all", action == Action::"call_tool", resource);`:                       "true",
		`permit(principal, action == Action::"get_prompt", resource) when { resource.a == 1 };`:             "false",
		`permit(principal, action in [Action::"call_tool"], resource) unless { principal.a == "x" };`:       "false",
		`permit(principal, action, resource) when { principal.nothing };`:                                   "error",
		`permit(principal, action, resource) when { context.app == App::"vscode" };`:                        "true",
		`permit(principal, action, resource) when { context has app && context.app != App::"vscode" };`:     "false",
		`permit(principal, action, resource) when { resource in Upstream::"github" };`:                      "",
		`permit(principal, action, resource) when { Upstream::"jira" in Tag::"production" };`:               "", // may be an entity later
		`permit(principal, action, resource) when { context has input };`:                                   "",
		`permit(principal, action, resource) when { if principal.b == 1 then false else resource.a == 1 };`: "false",
	} {
		env := &may.Env{Principal: alice, Action: call, Entities: world(), Known: record("app", types.NewEntityUID("App", "vscode"))}
		got := ""
		if o, ok := may.Compile(parse(t, policy)).Specialise(env).Constant(); ok {
			got = o.String()
		}
		if got != want {
			t.Errorf("%s is %q, want %q", policy, got, want)
		}
	}
}

// TestDeep has conditions of many operands, which are followed, and such that are
// nested too deep, of which all may come.
func TestDeep(t *testing.T) {
	env := &may.Env{Principal: alice, Action: call, Resource: issue, Entities: world()}
	long := strings.Repeat(`resource.a == "other" || `, 20_000) + `resource.a == "xy"`
	if got := may.Compile(parse(t, `permit(principal, action, resource) when { `+long+` };`)).Outcomes(env); got != may.True {
		t.Errorf("many operands may be %v, want true", got)
	}
	var n ast.Node = ast.Value{Value: types.True}
	for range 100_000 {
		n = ast.IfThenElse{If: n, Then: ast.Value{Value: types.False}, Else: ast.Value{Value: types.True}}
	}
	p := &ast.Policy{Principal: ast.ScopeAll{}, Action: ast.ScopeAll{}, Resource: ast.ScopeAll{}, Conditions: []ast.Condition{{Condition: true, Body: n}}}
	if got := may.Compile(p).Outcomes(env); got != tf|may.Error {
		t.Errorf("nested may be %v, want all", got)
	}
}
