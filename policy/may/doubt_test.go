package may_test

import (
	"testing"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// TestDoubt asks about alice, of whom an attribute, tags and a group are not known, and
// about a context of whose input a part is.
func TestDoubt(t *testing.T) {
	text := &typed.Type{Kind: typed.String}
	env := &may.Env{
		Principal: alice, Action: call, Resource: issue, Entities: world(),
		Doubt: &may.Doubt{
			Attributes: &typed.Type{Kind: typed.Record, Fields: []typed.Field{{Name: "d", Type: text}, {Name: "e", Type: text, Required: true}}},
			Tags:       true,
			In:         func(uid types.EntityUID) bool { return uid == admins },
		},
		Partly: map[types.String]types.Record{"input": record("repo", types.String("web"))},
		Unknown: &typed.Type{Kind: typed.Record, Fields: []typed.Field{{Name: "input", Required: true, Type: &typed.Type{Kind: typed.Record, Fields: []typed.Field{
			{Name: "body", Type: &typed.Type{Kind: typed.String, Least: 10}, Required: true}, {Name: "title", Type: text},
		}}}}},
	}
	for condition, want := range map[string]may.Outcome{
		`principal == User::"alice"`:                            may.True,
		`principal.a == "x"`:                                    may.True,
		`principal has d`:                                       tf,
		`principal.d == "x"`:                                    tf | may.Error,
		`principal.e == "x"`:                                    tf,
		`principal has f`:                                       may.False,
		`principal.f == "x"`:                                    may.Error,
		`User::"bob" has e`:                                     may.False,
		`principal.hasTag("new")`:                               tf,
		`principal.hasTag("n") && principal in Tag::"x"`:        may.False,
		`principal.getTag("new") == "x"`:                        tf | may.Error,
		`principal in Group::"staff"`:                           may.True,
		`principal in Group::"admins"`:                          tf,
		`principal in [Tag::"x", Group::"admins"]`:              tf,
		`principal in Tag::"x"`:                                 may.False,
		`User::"bob" in Group::"admins"`:                        may.False,
		`Repo::"web" in Group::"admins"`:                        tf, // by way of alice
		`context has input`:                                     may.True,
		`context.input has repo`:                                may.True,
		`context.input.repo == "web"`:                           may.True,
		`context.input.repo like "a*"`:                          may.False,
		`context.input has title`:                               tf,
		`context.input.title == "x"`:                            tf | may.Error,
		`context.input has title && context.input.title == "x"`: tf,
		`context.input has body`:                                may.True,
		`context.input.body == "short"`:                         may.False,
		`["short", "x"].contains(context.input.body)`:           may.False,
		`context.input.body == "as long as that"`:               tf,
		`context.input has other`:                               may.False,
		`context.input == {repo: "api"}`:                        may.False,
		`context == {}`:                                         may.False,
	} {
		p := may.Compile(parse(t, `permit(principal, action, resource) when { `+condition+` };`))
		if got := p.Outcomes(env); got != want {
			t.Errorf("%s may be %v, want %v", condition, got, want)
		}
		if got := p.Specialise(env).Outcomes(env); got != want {
			t.Errorf("%s, specialised, may be %v, want %v", condition, got, want)
		}
	}
}
