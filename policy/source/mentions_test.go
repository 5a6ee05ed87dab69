package source_test

import (
	"testing"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/source"
)

func TestMentions(t *testing.T) {
	uid := types.NewEntityUID
	options := source.Options{Upstreams: []string{"github"}, Types: []string{"Team", "Repo"}, Targets: []string{"target", "other"}}
	for _, test := range []struct {
		text string // scope and conditions
		want source.Mentions
	}{
		{`(principal, action, resource)`, source.Mentions{}},
		{
			`(principal == User::"a", action == Action::"call_tool", resource in Upstream::"github")`,
			source.Mentions{Entities: []types.EntityUID{uid("Upstream", "github"), uid("User", "a")}},
		},
		{
			`(principal is User in Group::"g", action, resource)`,
			source.Mentions{Entities: []types.EntityUID{uid("Group", "g")}, Groups: true},
		},
		{`(principal in Team::"t", action, resource)`, // of which a group may be a member
			source.Mentions{Entities: []types.EntityUID{uid("Team", "t")}, Groups: true}},
		{
			`(principal in Role::"r", action, resource) when { principal is User }`,
			source.Mentions{Entities: []types.EntityUID{uid("Role", "r")}},
		},
		{
			`(principal, action, resource) when { principal.tenant == "x" && principal has email && principal["name"] like "a*" }`,
			source.Mentions{Principal: []string{"email", "name", "tenant"}},
		},
		{
			`(principal, action, resource) when { principal has groups && principal.groups.contains("g") }`,
			source.Mentions{Principal: []string{"groups"}, Groups: true},
		},
		{
			`(principal, action, resource) when { principal.claim_groups.contains("g") }`,
			source.Mentions{Principal: []string{"claim_groups"}, Groups: true},
		},
		{
			`(principal, action, resource) when { principal.getTag("department") == "x" && principal.hasTag("b") }`,
			source.Mentions{Tags: []string{"b", "department"}},
		},
		{
			`(principal, action, resource) when { principal.getTag(context.input.tag) == "x" }`,
			source.Mentions{AnyTag: true, Groups: true, Context: []string{"input"}, Arguments: []string{"tag"}},
		},
		{
			`(principal, action, resource) when { resource.read_only && resource has title }`,
			source.Mentions{Resource: []string{"read_only", "title"}},
		},
		{
			`(principal, action, resource) when { context.input.repo.name == "x" && context has input.owner && context.input["a b"] > 1 }`,
			source.Mentions{Context: []string{"input"}, Arguments: []string{"a b", "owner", "repo"}},
		},
		{
			`(principal, action, resource) when { context.input == {a: 1} }`,
			source.Mentions{Context: []string{"input"}, AnyArgument: true},
		},
		{
			`(principal, action, resource) when { context == {a: 1} }`,
			source.Mentions{Whole: true, AnyArgument: true, AnySize: true},
		},
		{
			`(principal, action, resource) when { context.arg_repo == "x" || context has arg_labels_present }`,
			source.Mentions{Context: []string{"arg_labels_present", "arg_repo"}, Arguments: []string{"labels", "labels_present", "repo"}},
		},
		{
			`(principal, action, resource) when { context.size.body < 10 && context.bytes < 100 }`,
			source.Mentions{Context: []string{"bytes", "size"}, Sizes: []string{"body"}},
		},
		{
			`(principal, action, resource) unless { context.auth.mfa && context.session.labels.contains("x") && context.ip.isLoopback() && context.now < datetime("2027-01-01") }`,
			source.Mentions{Context: []string{"auth", "ip", "now", "session"}},
		},
		{
			`(principal, action, resource) when { [User::"a", User::"b"].contains(principal) && User::"c" != principal }`,
			source.Mentions{Entities: []types.EntityUID{uid("User", "a"), uid("User", "b"), uid("User", "c")}},
		},
		{
			`(principal, action, resource) when { context.target.owners.contains(principal) }`,
			source.Mentions{Context: []string{"target"}, Principal: []string{"owners"}, Resource: []string{"owners"}, Compared: true},
		},
		{
			`(principal, action, resource) when { principal in context.target.team }`,
			source.Mentions{Context: []string{"target"}, Principal: []string{"team"}, Resource: []string{"team"}, Compared: true, Groups: true},
		},
		{`(principal, action, resource) when { context.target.owner.email == "x" }`, // the owner may be the principal
			source.Mentions{Context: []string{"target"}, Principal: []string{"email", "owner"}, Resource: []string{"email", "owner"}}},
		{
			`(principal, action, resource) when { context.target in Repo::"r" }`,
			source.Mentions{Context: []string{"target"}, Entities: []types.EntityUID{uid("Repo", "r")}, Groups: true},
		},
		{
			`(principal, action, resource) when { resource in [Upstream::"github", Tag::"scm"] && action == Action::"call_tool" }`,
			source.Mentions{Entities: []types.EntityUID{uid("Tag", "scm"), uid("Upstream", "github")}},
		},
		{
			`(principal, action, resource) when { {p: principal}.p.tenant == "x" }`,
			source.Mentions{Principal: []string{"p", "tenant"}, Resource: []string{"p", "tenant"}, Compared: true},
		},
	} {
		policies := parse(t, "permit"+test.text+";", options)
		if diff := cmp.Diff(test.want, source.MentionsOf(policies[0])); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", test.text, diff)
		}
	}
}

func TestVariablesOf(t *testing.T) {
	for text, want := range map[string]source.Variables{
		"true":                            0,
		"principal.guest":                 source.Principal,
		"resource in Upstream::\"a\"":     source.Resource,
		"action == Action::\"call_tool\"": source.ActionVariable,
		"context.bytes > 1 && (if principal.guest then resource.read_only else true)": source.Principal | source.Resource | source.Context,
	} {
		p := parse(t, "permit(principal, action, resource) when { "+text+" };", source.Options{Upstreams: []string{"a"}})[0]
		if got := source.VariablesOf(p.AST.Conditions[0].Body); got != want {
			t.Errorf("%s: variables %b, want %b", text, got, want)
		}
	}
}
