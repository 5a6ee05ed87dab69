package source_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/source"
)

var configured = source.Options{
	Upstreams: []string{"github", "weather"}, Types: []string{"Team"}, Targets: []string{"target"},
	Attributes: []string{"owner"}, Groups: []string{"platform"}, Apps: []string{"vscode"},
}

func TestNamesOfNothing(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		// Entity types and actions.
		{`permit(principal in Grup::"a", action, resource);`, `1:21: there is no entity type Grup; did you mean Group?`},
		{`permit(principal is Person, action, resource);`, `1:21: there is no entity type Person; declare types of your own in a *.cedarschema file of policy.entities`},
		{`permit(principal, action == Action::"call_tools", resource);`, `1:29: there is no action "call_tools"; did you mean call_tool?`},
		{`permit(principal, action in [Action::"call_tool", Action::"write"], resource);`, `1:51: there is no action "write"; actions are call_tool, get_prompt, read_resource`},
		{`permit(principal, action == AgentCore::Action::"x", resource);`, `1:29: there is no entity type AgentCore::Action; actions are Action::"call_tool", "get_prompt" or "read_resource"`},
		{"permit(principal, action, resource)\nwhen { context.app == Application::\"x\" };", `2:23: there is no entity type Application; declare types of your own in a *.cedarschema file of policy.entities`},

		// Upstreams and their tools.
		{`permit(principal, action, resource == Tool::"githb/create_issue");`, `1:39: Tool::"githb/create_issue" is of the upstream "githb", which there is not; did you mean Tool::"github/create_issue"?`},
		{`permit(principal, action, resource == Tool::"jira/create_issue");`, `1:39: Tool::"jira/create_issue" is of the upstream "jira", which there is not; upstreams are github, weather`},
		{`permit(principal, action, resource == Tool::"github_create_issue");`, `1:39: Tool::"github_create_issue" names no upstream; did you mean Tool::"github/create_issue"?`},
		{`permit(principal, action, resource == Tool::"create_issue");`, `1:39: Tool::"create_issue" names no upstream; write Tool::"LABEL/create_issue", the label being that of its upstream: one of github, weather`},
		{`permit(principal, action, resource == Resource::"github+file:///a");`, `1:39: Resource::"github+file:///a" names no upstream; did you mean Resource::"github/file:///a"?`},
		{`permit(principal, action, resource == Resource::"file:///a");`, `1:39: Resource::"file:///a" names no upstream; write Resource::"LABEL/file:///a", the label being that of its upstream: one of github, weather`},
		{`permit(principal, action, resource in Upstream::"gitub");`, `1:39: there is no upstream "gitub"; did you mean github?`},
		{`permit(principal, action, resource in MCP::"jira");`, `1:39: there is no upstream "jira"; upstreams are github, weather`},

		// Attributes.
		{`permit(principal, action, resource) when { principal.group.contains("a") };`, `1:44: a principal has no attribute "group"; did you mean groups?`},
		{`permit(principal, action, resource) when { principal has department };`, `1:44: a principal has no attribute "department"; a claim of that name is principal.claim_department`},
		{`permit(principal, action, resource) when { principal["e-mail"] == "x" };`, `1:44: a principal has no attribute "e-mail"; did you mean email?`},
		{`permit(principal, action, resource) when { principal.claimset_scp.contains("x") };`, `1:44: a principal has no attribute "claimset_scp"; sets are principal.scopes, principal.claim_groups and principal.claim_roles`},
		{`permit(principal, action == Action::"call_tool", resource) when { resource.readonly };`, `1:67: a Tool has no attribute "readonly"; did you mean read_only?`},
		{`permit(principal, action, resource) when { context.repo == "x" };`, `1:44: context has no attribute "repo"; an argument is context.input.repo`},
		{`permit(principal, action, resource) when { context.arguments.repo == "x" };`, `1:44: context has no attribute "arguments"; did you mean input?`},
		{`permit(principal, action, resource) when { context.targets == principal };`, `1:44: context has no attribute "targets"; did you mean target?`},
		{`permit(principal, action, resource) when { context.auth.mfaa };`, `1:44: context.auth has no attribute "mfaa"; did you mean mfa?`},
		{`permit(principal, action, resource) when { context.session.owner == "x" };`, `1:44: context.session has no attribute "owner"; it has calls, labels`},
		{`permit(principal, action, resource) when { Group::"platform".title == "x" };`, `1:44: a Group has no attribute "title"; entities of policy.entities may have more`},

		// Comparisons that never hold.
		{`permit(principal == Group::"platform", action, resource);`, `1:21: a principal is never a Group; write principal in Group::"platform"`},
		{`permit(principal == App::"vscode", action, resource);`, `1:21: a principal is never an App; write context.app == App::"…" for the client program`},
		{`permit(principal, action, resource) when { resource == Upstream::"github" };`, `1:56: a resource is never an Upstream; write resource in Upstream::"github"`},
		{`permit(principal, action, resource is Group);`, `1:39: a resource is never a Group; it is a Tool, Prompt or Resource`},

		// Each name is told once, and all of them.
		{
			"permit(principal, action, resource) when { context.a == context.a || context.b };",
			"1:44: context has no attribute \"a\"; an argument is context.input.a\na.cedar:1:70: context has no attribute \"b\"; an argument is context.input.b",
		},
	} {
		checkMistakes(t, test.text, "a.cedar:"+test.want, configured)
	}
}

func TestNamesThatAreFine(t *testing.T) {
	for _, text := range []string{
		`permit(principal in Team::"web", action in [Action::"call_tool", Action::"get_prompt"], resource in Tag::"scm");`,
		`permit(principal in Role::"admin", action, resource in Upstream::"github") when { principal.claim_anything == "x" && resource.owner == "y" };`,
		`permit(principal == User::"a/b", action, resource == Tool::"github/a/b") when { context.target.anything.more == "x" && context.target in Team::"x" };`,
		`permit(principal, action, resource) when { context.input["any thing"].more == 1 && context.size.x < 5 && context has arg_y_present };`,
		`permit(principal, action, resource == Resource::"weather/https://x") when { resource.uri like "https:*" && resource has mime_type };`,
		`permit(principal, action, resource) when { context.auth.mfa && context.session.calls < 5 && context.ip.isLoopback() && context.app.name == "x" };`,
		`permit(principal in Group::"4f1c2d3e-0000-0000-0000-000000000001", action, resource) when { context.app == App::"https://example.com/client" || context.app == App::"unknown" };`,
		`permit(principal, action, resource) when { principal.getTag("x") == "y" && principal.owner == "x" && User::"a".email == "x" };`,
	} {
		_, warnings, err := source.Parse([]source.File{{Name: "a.cedar", Text: []byte(text)}}, configured)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: warnings %q, error %v", text, joined(warnings), err)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`permit(principal in Group::"plattform", action, resource);`, `1:21: no group block is called "plattform"; did you mean platform?`},
		{`permit(principal in Group::"finance", action, resource);`, `1:21: no group block is called "finance"; it is taken for an id of the identity provider's; add group "finance" { … } if it is none`},
		{`permit(principal, action, resource) when { context.app == App::"cursor" };`, `1:59: no app block is called "cursor"; it is taken for an id of the identity provider's; add app "cursor" { … } if it is none`},
		{`permit(principal, action, resource is Prompt) when { resource.read_only };`, `1:54: a Prompt has no attribute "read_only"; it has feature, name, operation, upstream`},
		{`permit(principal, action == Action::"read_resource", resource) when { context.input.a == 1 };`, `1:71: the action read_resource has no arguments; remove context.input`},
		{`permit(principal, action == Action::"call_tool", resource == Prompt::"github/a");`, `1:62: the action call_tool is never done to a Prompt; it is done to a Tool`},
		{`permit(principal in App::"vscode", action, resource);`, `1:21: a principal is never in an App; write context.app == App::"vscode"`},
		{`permit(principal, action, resource) when { resource in [Tag::"scm", Group::"platform"] };`, `1:69: a resource is never in a Group; it is in an Upstream, Tag or MCP`},
	} {
		_, warnings, err := source.Parse([]source.File{{Name: "a.cedar", Text: []byte(test.text)}}, configured)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
		}
		if diff := cmp.Diff("a.cedar:"+test.want, joined(warnings)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
	}
}

// TestVocabulary wants that what the vocabulary refers to is in it.
func TestVocabulary(t *testing.T) {
	v := source.Words()
	for _, e := range v.Entities {
		for _, parent := range e.Parents {
			if v.Entity(parent) == nil {
				t.Errorf("%s may be in %s, which is no entity type", e.Name, parent)
			}
		}
	}
	for _, a := range v.Actions {
		if v.Entity(a.Resource) == nil {
			t.Errorf("%s is done to %s, which is no entity type", a.Name, a.Resource)
		}
	}
	if v.Record("Auth") == nil || v.Record("Nothing") != nil || v.Entity("Nothing") != nil {
		t.Error("Record and Entity do not find what there is, or find what there is not")
	}
}
