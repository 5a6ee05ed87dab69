package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/policytest"
	"github.com/mcpagg/mcpagg/policy/source"
)

const teamPolicies = `
@id("platform-writes")
permit (principal in Group::"platform", action, resource)
when { context.input.owner == "contoso" && context.input.repo like "web-*" };
@id("admins")
permit (principal in Group::"admins", action, resource);
@id("no-secrets")
forbid (principal, action, resource) when { context.input has labels && context.input.labels.contains("secret") };
@id("strong")
forbid (principal, action, resource) unless { principal in Group::"admins" || context.auth.acrs.contains("c1") };`

// requestOf is one of somebody in a group who has satisfied c1.
func requestOf(group string, arguments map[string]any) *policy.Request {
	p := somebody(group)
	p.Auth.Contexts = []string{"c1"}
	return &policy.Request{Principal: p, Object: issue, Arguments: arguments, Now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
}

func TestWhyARequestIsDecided(t *testing.T) {
	e := engineOf(t, teamPolicies)
	weak := requestOf("platform", map[string]any{"owner": "contoso", "repo": "web-shop"})
	weak.Principal.Auth.Contexts = nil
	for _, c := range []struct {
		r          *policy.Request
		why, lacks string
		stepUp     string
	}{
		{requestOf("platform", map[string]any{"owner": "contoso", "repo": "web-shop"}), "allowed by platform-writes (p.cedar:2)", "", ""},
		{
			requestOf("platform", map[string]any{"owner": "evil", "repo": "web-shop"}), "denied: no policy permits it",
			"the nearest is platform-writes (p.cedar:2), which also needs that `owner` is \"contoso\" (it is \"evil\")", "",
		},
		{
			requestOf("sales", map[string]any{"owner": "evil", "repo": "web-shop"}), "denied: no policy permits it",
			"the nearest is admins (p.cedar:5), which also needs that the caller is in Group \"admins\"", "",
		},
		{
			requestOf("admins", map[string]any{"owner": "x", "repo": "y", "labels": []any{"secret"}}), "forbidden by no-secrets (p.cedar:7)",
			"it would not be forbidden if `labels` does not contain \"secret\" (it is \"secret\")", "",
		},
		{
			weak, "forbidden by strong (p.cedar:9)",
			"it would not be forbidden if the sign-in satisfies the authentication context \"c1\" (there is none)", "c1",
		},
	} {
		v := explain.New(e).Explain(c.r, nil)
		if v.Why != c.why || v.Lacks != c.lacks || v.StepUp != c.stepUp {
			t.Errorf("%v\n got %s\n     %s %s\nwant %s\n     %s %s", c.r.Arguments, v.Why, v.Lacks, v.StepUp, c.why, c.lacks, c.stepUp)
		}
	}
}

func TestTreeHasValuesOfLeaves(t *testing.T) {
	v := explain.New(engineOf(t, teamPolicies)).Explain(requestOf("platform", map[string]any{"owner": "evil", "repo": "web-shop"}), nil)
	if got := v.Judged[0].Policy.ID; got != "platform-writes" {
		t.Fatalf("%s comes first, want the nearest permit", got)
	}
	parts := v.Judged[0].Conditions[0].Node.Parts
	if got := parts[0].Parts[0]; got.Text != "context.input.owner" || got.Value != `"evil"` {
		t.Errorf("the leaf is %s = %s", got.Text, got.Value)
	}
	if !parts[1].Skipped {
		t.Error("what comes after a false part of && was looked at")
	}
}

func TestOthersSayWhoIsPermitted(t *testing.T) {
	others := explain.New(engineOf(t, teamPolicies)).Others(somebody("sales"), issue)
	if len(others) != 2 || others[0].Needs != `the caller is in Group "platform"` || others[1].Policy.ID != "admins" {
		t.Errorf("%v", others)
	}
}

func TestUndeclaredArgumentsAreNoted(t *testing.T) {
	v := explain.New(engineOf(t, teamPolicies)).Explain(requestOf("platform", map[string]any{"owner": "contoso", "repo": "web-a", "ownr": "x"}), nil)
	if len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "does not declare the argument ownr") {
		t.Errorf("%q", v.Notes)
	}
}

// TestExamplesAreFound makes examples for random policies: whatever is allowed
// sometimes should have one, if only arguments matter.
func TestExamplesAreFound(t *testing.T) {
	for _, c := range []struct{ condition, want string }{
		{`context.input.owner == "contoso" && context.input.repo like "web-*"`, `{"owner":"contoso","repo":"web-"}`},
		{`context.input has count && context.input.count > 7 && context.input.owner != "x"`, `{"count":8,"owner":"","repo":"x"}`},
		{`context.input has labels && context.input.labels.contains("bug")`, `{"labels":["bug"],"owner":"x","repo":"x"}`},
		{`context.input has state && context.input.state != "all"`, `{"owner":"x","repo":"x","state":"closed"}`},
		{`context.input.owner == context.input.repo`, `{"owner":"x","repo":"x"}`},
	} {
		r := requestOf("platform", nil)
		e := engineOf(t, "permit (principal, action, resource) when { "+c.condition+" };")
		example := explain.New(e).Example(r)
		switch {
		case example == nil:
			t.Errorf("%s: no example", c.condition)
		case string(example.Raw) != c.want || !e.Decide(example).Allow:
			t.Errorf("%s: %s, want %s", c.condition, example.Raw, c.want)
		}
	}
	mfa := engineOf(t, "permit (principal, action, resource) when { context.auth.mfa };")
	if got := explain.New(mfa).Example(requestOf("platform", nil)); got != nil {
		t.Errorf("%s is an example for a caller without a second factor", got.Raw)
	}
}

// FuzzExplain explains any policies: nothing may panic, and conditions are read
// again and say what is decided.
func FuzzExplain(f *testing.F) {
	g := policytest.NewGenerator(5)
	for seed := range uint64(20) {
		f.Add(g.Policies(false), seed)
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		policies, _, err := source.Parse([]source.File{{Name: "fuzz.cedar", Text: []byte(text)}}, source.Options{})
		if err != nil {
			return
		}
		skip := seed%2 == 0
		e, err := policy.New(policy.Options{Policies: policies, SkipErrors: skip})
		if err != nil {
			t.Fatal(err)
		}
		x := explain.New(e)
		g := policytest.NewGenerator(seed)
		for range 3 {
			r, err := g.Case().Request()
			if err != nil {
				t.Fatal(err)
			}
			a := x.Of(r.Principal, r.Object)
			if wrong := compare(e, a, r, skip); wrong != "" {
				t.Errorf("%s\n%s", wrong, a.Condition())
			}
			_, _, _ = a.Sentence(), x.Explain(r, nil), x.Others(r.Principal, r.Object)
			if example := x.Example(r); example != nil && !e.Decide(example).Allow {
				t.Errorf("the example %s is denied", example.Raw)
			}
		}
	})
}
