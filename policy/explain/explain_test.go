package explain_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/source"
)

// engineOf is one of policies.
func engineOf(t *testing.T, text string) *policy.Engine {
	t.Helper()
	policies, _, err := source.Parse([]source.File{{Name: "p.cedar", Text: []byte(text)}}, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := policy.New(policy.Options{Policies: policies})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// issue is a tool with arguments of many types.
var issue = policy.ToolObject(policy.Tool{
	Upstream: "github", Original: "create_issue",
	InputSchema: []byte(`{"type": "object", "required": ["owner", "repo"], "properties": {
		"owner": {"type": "string"}, "repo": {"type": "string"}, "body": {"type": "string"}, "count": {"type": "integer"}, "ratio": {"type": "number"},
		"labels": {"type": "array", "items": {"type": "string"}}, "state": {"type": "string", "enum": ["open", "closed", "all"]}}}`),
})

// somebody is a caller in groups.
func somebody(groups ...string) *policy.Principal {
	return &policy.Principal{ID: "t/somebody", Subject: "somebody", Groups: groups, GroupsKnown: true}
}

func TestAlwaysSometimesNever(t *testing.T) {
	e := engineOf(t, `
permit (principal in Group::"admins", action, resource);
permit (principal in Group::"platform", action, resource) when { context.input.owner == "contoso" };`)
	for group, want := range map[string]explain.Outcome{"admins": explain.Always, "platform": explain.Sometimes, "sales": explain.Never} {
		if got := explain.Of(e, somebody(group), issue); got.Outcome != want {
			t.Errorf("%s: %s, want %s", group, got.Outcome, want)
		}
	}
	unknown := &policy.Principal{ID: "t/x", GroupsWhy: "the token has too many"}
	if got, want := explain.Of(e, unknown, issue).Why, "the caller's groups are not known: the token has too many"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestWorkIsBounded explains conditions that would take long to simplify as a whole.
func TestWorkIsBounded(t *testing.T) {
	same, choices, alternatives := "context.input.owner == \"a\"", "context.input.count", "true"
	for i := range 40 {
		same = "(" + same + ") == (context.input.repo == \"b\")"
		choices = fmt.Sprintf("(if context.input.repo like \"%d*\" then %s else %d)", i, choices, i)
		alternatives += fmt.Sprintf(" && (context.input.repo like \"%d*\" || context.input.owner like \"%d*\")", i, i)
	}
	for _, condition := range []string{same, choices + " > 3", alternatives} {
		begun := time.Now()
		a := explain.Of(engineOf(t, "permit (principal, action, resource) when { "+condition+" };"), somebody(), issue)
		if a.Outcome != explain.Sometimes || a.Condition() == "" || a.Sentence() == "" {
			t.Errorf("%s: %s", a.Outcome, a.Condition())
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}

func TestTemplatesAreNotDecided(t *testing.T) {
	template := policy.TemplateObject(policy.Resource{Upstream: "docs", URI: "file:///{path}"})
	e := engineOf(t, `permit (principal in Group::"team", action, resource in Upstream::"docs") when { resource.uri like "file:///open/*" };`)
	a := explain.Of(e, somebody("team"), template)
	if a.Outcome != explain.Sometimes || a.Condition() != "" || !a.Template {
		t.Errorf("%s, %q", a.Outcome, a.Condition())
	}
	if got := explain.Of(e, somebody(), template).Outcome; got != explain.Never {
		t.Errorf("%s, want never", got)
	}
	open := policy.UnlistedObject(policy.Resource{Upstream: "docs", URI: "file:///open/a"})
	if got := explain.Of(e, somebody("team"), open).Outcome; got != explain.Always {
		t.Errorf("%s, want always", got)
	}
	other := policy.UnlistedObject(policy.Resource{Upstream: "docs", URI: "file:///open/../a"})
	if got := explain.Of(e, somebody("team"), other); got.Outcome != explain.Never || got.Why != "the URI has a simpler spelling" {
		t.Errorf("%s: %s", got.Outcome, got.Why)
	}
}

// TestAlwaysHoldsForWhatCedarCanHold has a forbid look at an integer that 64 bits do
// not hold.
func TestAlwaysHoldsForWhatCedarCanHold(t *testing.T) {
	e := engineOf(t, `permit (principal, action, resource) unless { context.input has count && context.input.count < 0 && context.input.count > 0 };
permit (principal, action, resource) when { context.input.owner like "*" };`)
	x := explain.New(e)
	if got := x.Of(somebody(), issue).Outcome; got != explain.Always {
		t.Fatalf("%s, want always", got)
	}
	if got := x.Holding(somebody(), issue); len(got) != 1 || got[0] != "count" {
		t.Errorf("%q may not fit, want count", got)
	}
	r := requestOf("", map[string]any{"owner": "a", "repo": "b", "count": 1e30})
	if e.Decide(r).Allow {
		t.Error("it is allowed, and need not be said")
	}
}
