package explain_test

import (
	"testing"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
)

func TestCovers(t *testing.T) {
	const (
		contoso = `permit (principal, action, resource) when { context.input.owner == "contoso" };`
		closed  = `forbid (principal, action, resource) when { context.input has state && context.input.state == "closed" };`
		fails   = `permit (principal, action, resource) when { context.input.count * 2 > 10 };`
	)
	for _, c := range []struct {
		name, a, b         string
		aCoversB, bCoversA bool
	}{
		{name: "the same, written otherwise", a: contoso, b: `permit (principal, action, resource) when { "contoso" == context.input.owner };`, aCoversB: true, bCoversA: true},
		{
			name: "in another order", aCoversB: true, bCoversA: true,
			a: contoso + `permit (principal, action, resource) when { context.input.repo == "web" };`,
			b: `permit (principal, action, resource) when { context.input.repo == "web" };` + contoso,
		},
		{name: "another value", a: contoso, b: `permit (principal, action, resource) when { context.input.owner == "fabrikam" };`},
		{name: "one of more values", a: `permit (principal, action, resource) when { ["contoso", "fabrikam"].contains(context.input.owner) };`, b: contoso, aCoversB: true},
		{name: "one more permit", a: contoso + `permit (principal, action, resource) when { context.input.repo == "web" };`, b: contoso, aCoversB: true},
		{name: "one more forbid", a: contoso, b: contoso + closed, aCoversB: true},
		{name: "always", a: `permit (principal, action, resource);`, b: contoso, aCoversB: true},
		{name: "never", a: contoso, b: ``, aCoversB: true},
		{name: "both never", a: ``, b: `permit (principal in Group::"g", action, resource);`, aCoversB: true, bCoversA: true},
		{name: "the same, which may fail", a: fails, b: fails, aCoversB: true, bCoversA: true},
		{name: "another that may fail", a: fails, b: fails + contoso},
	} {
		a, b := explain.Of(engineOf(t, c.a), somebody(), issue), explain.Of(engineOf(t, c.b), somebody(), issue)
		if got := a.Covers(b); got != c.aCoversB {
			t.Errorf("%s: that %s covers %s is %v", c.name, a.Condition(), b.Condition(), got)
		}
		if got := b.Covers(a); got != c.bCoversA {
			t.Errorf("%s: that %s covers %s is %v", c.name, b.Condition(), a.Condition(), got)
		}
	}
}

// TestFailingCounts tells a permit that permits nothing where it fails from a forbid
// that forbids then.
func TestFailingCounts(t *testing.T) {
	permit := explain.Of(engineOf(t, `permit (principal, action, resource) when { context.input has count && !(context.input.count * 2 > 10) };`), somebody(), issue)
	skips, err := policy.New(policy.Options{SkipErrors: true, Policies: engineOf(t, `
		permit (principal, action, resource) when { context.input has count };
		forbid (principal, action, resource) when { context.input.count * 2 > 10 };`).Policies()})
	if err != nil {
		t.Fatal(err)
	}
	forbid := explain.Of(skips, somebody(), issue)
	if permit.Condition() != forbid.Condition() || permit.Covers(forbid) {
		t.Errorf("%s covers %s, which allows what cannot be evaluated", permit.Condition(), forbid.Condition())
	}
}

func TestCoversTemplates(t *testing.T) {
	docs := policy.TemplateObject(policy.Resource{Upstream: "docs", URI: "file:///{path}"})
	of := func(text string) *explain.Answer { return explain.Of(engineOf(t, text), somebody(), docs) }
	a, b := of(`permit (principal, action, resource) when { resource.uri like "*.md" };`), of(`permit (principal, action, resource) when { resource.uri like "*.txt" };`)
	if !a.Covers(of(`@id("x") permit (principal, action, resource) when { resource.uri like "*.md" };`)) || a.Covers(b) || !a.Covers(of("")) || of("").Covers(a) {
		t.Error("templates are not compared by their policies")
	}
}
