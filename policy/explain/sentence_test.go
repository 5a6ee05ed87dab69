package explain_test

import (
	"testing"

	"github.com/mcpagg/mcpagg/policy/explain"
)

func TestConditionAndSentence(t *testing.T) {
	for _, c := range []struct{ policies, condition, sentence string }{
		{
			`permit (principal, action, resource) when { principal.tenant == "" && context.input.owner == "contoso" && true };`,
			`context.input.owner == "contoso"`, "only when `owner` is \"contoso\"",
		},
		{
			`permit (principal, action, resource) when { context.input.owner == "contoso" && context.input.repo like "web-*" };
forbid (principal, action, resource) when { context.input has labels && context.input.labels.contains("secret") };`,
			`context.input.owner == "contoso" && context.input.repo like "web-*" && !(context.input has labels && context.input.labels.contains("secret"))`,
			"only when `owner` is \"contoso\" and `repo` begins with \"web-\", unless `labels` contains \"secret\"",
		},
		{
			`permit (principal, action, resource) when { context.input.repo == "web" };
permit (principal, action, resource) when { context.input.repo == "api" && context.input.owner == "contoso" };
permit (principal, action, resource) when { ["web", "shop"].contains(context.input.repo) };`,
			`["web", "shop"].contains(context.input.repo) || context.input.repo == "api" && context.input.owner == "contoso"`,
			"only when `repo` is \"web\" or \"shop\" or (`repo` is \"api\" and `owner` is \"contoso\")",
		},
		{
			`permit (principal, action, resource) when { context.input.count < 3 };`,
			`context.input has count && context.input.count < 3`, "only when `count` is less than 3",
		},
		{
			`permit (principal, action, resource); forbid (principal, action, resource) when { context.input.body like "*key*" };`,
			`context.input has body && !(context.input.body like "*key*")`, "only when `body` is given, unless `body` contains \"key\"",
		},
		{
			`permit (principal, action, resource); forbid (principal, action, resource) unless { context.auth.mfa };`,
			`context.auth.mfa`, "only when the caller signed in with a second factor",
		},
		{
			`permit (principal, action, resource) when { ["open", "closed", "all"].contains(context.input.state) };`,
			`context.input has state`, "only when `state` is given",
		},
		{
			`permit (principal, action, resource) when { context.input has state && context.input.state != "open" && context.input.state != "all" };`,
			`context.input has state && context.input.state == "closed"`, "only when `state` is \"closed\"",
		},
		{
			`permit (principal, action, resource) when { context.input.owner == "a" && context.input.repo == "b" }; permit (principal, action, resource) when { context.input.owner == "a" && context.input.repo == "c" };`,
			`context.input.owner == "a" && ["b", "c"].contains(context.input.repo)`, "only when `owner` is \"a\" and `repo` is \"b\" or \"c\"",
		},
		{
			`permit (principal, action, resource) when { !!(context.input.owner == "a") && context.input.owner != "b" };`,
			`context.input.owner == "a"`, "only when `owner` is \"a\"",
		},
		{`permit (principal, action, resource) when { context.input.owner == "a" && context.input.owner == "b" };`, `false`, "never: no policy permits it"},
		{`permit (principal, action, resource) when { context.input.owner == "a" || !(context.input.owner == "a") };`, `true`, "always"},
		{`permit (principal, action, resource) when { context.input.owner == "a" }; forbid (principal, action, resource) unless { context.input.owner == "b" };`, `false`, "never: whatever is permitted is forbidden"},
		{`@id("all") forbid (principal, action, resource); permit (principal, action, resource);`, `false`, "never: always forbidden by all"},
	} {
		a := explain.Of(engineOf(t, c.policies), somebody(), issue)
		if a.Condition() != c.condition || a.Sentence() != c.sentence {
			t.Errorf("%s\n got %s\n     %s\nwant %s\n     %s", c.policies, a.Condition(), a.Sentence(), c.condition, c.sentence)
		}
	}
}
