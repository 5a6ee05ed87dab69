package explain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/policytest"
)

// TestConditionsAreDecisions compares conditions, read again and evaluated, with what
// the engine decides, for random policies and requests.
func TestConditionsAreDecisions(t *testing.T) {
	g := policytest.NewGenerator(11)
	asked, inexact := map[explain.Outcome]int{}, 0
	for i := range 4_000 {
		c := g.Case()
		skip := i%3 == 0
		e, err := c.Engine(skip)
		if err != nil {
			t.Fatal(err)
		}
		x := explain.New(e)
		for range 6 {
			r, err := c.Request()
			if err != nil {
				t.Fatal(err)
			}
			a := x.Of(r.Principal, r.Object)
			asked[a.Outcome]++
			if !a.Exact() {
				inexact++
			}
			if wrong := compare(e, a, r, skip); wrong != "" {
				t.Fatalf("%s\n%s\n%s\ncaller %+v\nobject %s\narguments %s at %v from %v %+v", wrong, a.Condition(), c.Policies, c.Caller, r.Object, r.Raw, r.Now, r.IP, r.Session)
			}
			c.Caller, c.Arguments = g.Caller(), g.Arguments(c.Object)
		}
	}
	t.Logf("%v, inexact %d", asked, inexact)
	if asked[explain.Always] < 500 || asked[explain.Sometimes] < 2_000 || asked[explain.Never] < 2_000 || inexact > asked[explain.Sometimes]/2 {
		t.Error("they say little")
	}
}

// compare says in what an answer is wrong about a request, "" if in nothing.
func compare(e *policy.Engine, a *explain.Answer, r *policy.Request, skip bool) string {
	d := e.Decide(r)
	env, err := e.RequestEnv(r)
	if err != nil || strings.HasPrefix(d.Why, "policies cannot be asked") { // which an answer is not about
		return ""
	}
	parts := false
	for _, p := range a.Permits {
		is, ok := evaluate(p.Condition(), env)
		if !ok && p.Exact() {
			return "it fails: " + p.Condition()
		}
		parts = parts || is
	}
	for _, p := range a.Forbids {
		is, ok := evaluate(p.Condition(), env)
		if !ok && p.Exact() {
			return "it fails: " + p.Condition()
		}
		parts = parts && (is || !ok && skip)
	}
	whole, ok := evaluate(a.Condition(), env)
	switch {
	case a.Outcome != explain.Never && parts != d.Allow:
		return fmt.Sprintf("the parts say %v and the engine %v", parts, d.Allow)
	case !ok && a.Exact():
		return "the condition fails"
	case ok && whole != d.Allow:
		return fmt.Sprintf("the condition says %v and the engine %v", whole, d.Allow)
	}
	return ""
}

// evaluate reads a condition and evaluates it.
func evaluate(text string, env ast.Env) (is, ok bool) {
	var p cedar.Policy
	if err := p.UnmarshalCedar([]byte("permit (principal, action, resource) when { " + text + " };")); err != nil {
		panic(err.Error() + ": " + text)
	}
	v, err := ast.Eval(ast.Of(&p).Conditions[0].Body, env)
	b, _ := v.(types.Boolean)
	return bool(b), err == nil
}

// TestForbidFailsBeforeItMayFail has a forbid fail for want of an argument, before the
// part that no condition can guard.
func TestForbidFailsBeforeItMayFail(t *testing.T) {
	e := engineOf(t, `permit (principal, action, resource);
forbid (principal, action, resource) when { context.input.count > 1 && ip(context.input.repo).isIpv4() };`)
	for _, arguments := range []map[string]any{
		{"owner": "a", "repo": "::1"},
		{"owner": "a", "repo": "::1", "count": int64(2)},
		{"owner": "a", "repo": "10.0.0.1", "count": int64(2)},
		{"owner": "a", "repo": "x", "count": int64(1)},
		{"owner": "a", "repo": "x", "count": int64(2)},
	} {
		r := requestOf("platform", arguments)
		if wrong := compare(e, explain.Of(e, r.Principal, issue), r, false); wrong != "" {
			t.Errorf("%v: %s", arguments, wrong)
		}
	}
}
