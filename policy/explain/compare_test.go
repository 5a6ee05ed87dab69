package explain_test

import (
	"fmt"
	"testing"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
)

// atMost, more and decimals are permits with bounds.
func atMost(n string) string {
	return `permit (principal, action, resource) when { context.input has count && context.input.count <= ` + n + ` };`
}

func more(than string) string {
	return `permit (principal, action, resource) when { context.input has count && context.input.count > ` + than + ` };`
}

func decimals(method, n string) string {
	return `permit (principal, action, resource) when { context.input has ratio && context.input.ratio.` + method + `(decimal("` + n + `")) };`
}

func age(most string) string {
	return `permit (principal, action, resource) when { context.auth has age && context.auth.age <= duration("` + most + `") };`
}

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
		{name: "a lower bound", a: atMost("10"), b: atMost("5"), aCoversB: true},
		{name: "a bound that is not in it", a: atMost("10"), b: `permit (principal, action, resource) when { context.input has count && context.input.count < 10 };`, aCoversB: true},
		{name: "bounds on both sides", a: more("5"), b: more("10"), aCoversB: true},
		{name: "bounds that exclude each other", a: atMost("5"), b: more("10")},
		{name: "decimals", a: decimals("lessThan", "2.5"), b: decimals("lessThanOrEqual", "2.0"), aCoversB: true},
		{name: "decimals from below", a: decimals("greaterThan", "2.5"), b: decimals("greaterThanOrEqual", "2.6"), aCoversB: true},
		{name: "a duration", a: age("1h"), b: age("15m"), aCoversB: true},
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

// TestBoundsAreSound compares what is said of all pairs of comparisons with the values for
// which they hold.
func TestBoundsAreSound(t *testing.T) {
	operators := map[string]func(value, bound int) bool{
		"context.input.count < %d":     func(v, b int) bool { return v < b },
		"context.input.count <= %d":    func(v, b int) bool { return v <= b },
		"context.input.count > %d":     func(v, b int) bool { return v > b },
		"context.input.count >= %d":    func(v, b int) bool { return v >= b },
		"%d < context.input.count":     func(v, b int) bool { return b < v },
		"%d >= context.input.count":    func(v, b int) bool { return b >= v },
		"!(context.input.count <= %d)": func(v, b int) bool { return !(v <= b) },
		"context.input.count != %d":    func(v, b int) bool { return v != b },
	}
	type comparison struct {
		text   string
		answer *explain.Answer
		holds  func(v int) bool
	}
	var all []comparison
	for format, holds := range operators {
		for b := range 4 {
			text := fmt.Sprintf(format, b)
			answer := explain.Of(engineOf(t, "permit (principal, action, resource) when { context.input has count && "+text+" };"), somebody(), issue)
			all = append(all, comparison{text, answer, func(v int) bool { return holds(v, b) }})
		}
	}
	said := 0
	for _, p := range all {
		for _, q := range all {
			if !p.answer.Covers(q.answer) {
				continue
			}
			said++
			for v := -2; v < 6; v++ {
				if q.holds(v) && !p.holds(v) {
					t.Fatalf("%s is said to cover %s, which holds for %d", p.text, q.text, v)
				}
			}
		}
	}
	if said < 150 {
		t.Errorf("only %d pairs of %d are said to be covered", said, len(all)*len(all))
	}
}
