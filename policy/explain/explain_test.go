package explain_test

import (
	"testing"

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
		"owner": {"type": "string"}, "repo": {"type": "string"}, "body": {"type": "string"}, "count": {"type": "integer"},
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
