package survey_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/survey"
)

// compared are the changes from one set of policies to another, in a line each.
func compared(t *testing.T, before, after string, rows ...survey.Row) (*survey.Diff, []string) {
	t.Helper()
	was, is := engineOf(t, before), engineOf(t, after)
	callers := survey.Callers(append(was.Policies(), is.Policies()...), nil)
	var maps []*survey.Map
	for _, e := range []string{before, after} {
		m, err := survey.Of(engineOf(t, e), callers, rows, survey.Options{})
		if err != nil {
			t.Fatal(err)
		}
		maps = append(maps, m)
	}
	d := survey.Compare(maps[0], maps[1])
	var lines []string
	for _, c := range d.Changes {
		var names, tools []string
		for _, caller := range c.Callers {
			names = append(names, caller.Name)
		}
		for _, r := range c.Rows {
			tools = append(tools, r.Name())
		}
		lines = append(lines, fmt.Sprintf("%s: %s for %s: %s -> %s", c.Kind, strings.Join(tools, ", "), strings.Join(names, ", "), c.Before.Condition(), c.After.Condition()))
	}
	return d, lines
}

func TestCompare(t *testing.T) {
	before := `
permit (principal in Group::"a", action, resource);
permit (principal in Group::"b", action, resource) when { context.input.owner == "contoso" };
permit (principal in Group::"c", action, resource) when { context.input.owner == "contoso" };
permit (principal in Group::"d", action, resource) when { context.input.owner == "contoso" };
permit (principal in Group::"same", action, resource) when { context.input.owner == "contoso" };`
	after := `
permit (principal in Group::"same", action, resource) when { "contoso" == context.input.owner };
permit (principal in Group::"b", action, resource) when { ["contoso", "fabrikam"].contains(context.input.owner) };
permit (principal in Group::"c", action, resource) when { context.input.owner == "contoso" && context.input has body };
permit (principal in Group::"d", action, resource) when { context.input.owner == "fabrikam" };
permit (principal in Group::"e", action, resource) when { resource.read_only };
permit (principal in Group::"f", action, resource) when { resource.read_only };`
	d, got := compared(t, before, after, merge, rowOf("github", "get", true), rowOf("github", "list", true))
	want := []string{
		`allowed: get, list for Group e, Group f: false -> true`,
		`denied: merge, get, list for Group a: true -> false`,
		`wider: merge, get, list for Group b: context.input.owner == "contoso" -> ["contoso", "fabrikam"].contains(context.input.owner)`,
		`narrower: merge, get, list for Group c: context.input.owner == "contoso" -> context.input has body && context.input.owner == "contoso"`,
		`changed: merge, get, list for Group d: context.input.owner == "contoso" -> context.input.owner == "fabrikam"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if d.Pairs(survey.Allowed) != 4 || d.Pairs(survey.Denied) != 3 || d.Pairs(survey.Obligations) != 0 {
		t.Errorf("%d pairs are allowed, %d denied", d.Pairs(survey.Allowed), d.Pairs(survey.Denied))
	}
}

func TestCompareTheSame(t *testing.T) {
	policies := `permit (principal in Group::"a", action, resource) when { context.input.owner like "c*" };`
	if _, got := compared(t, policies, `@id("renamed") `+policies, merge); got != nil {
		t.Errorf("%q", got)
	}
}

func TestCompareObligations(t *testing.T) {
	before := `@rate("10/m") @redact_result("$..email") permit (principal, action, resource);`
	d, got := compared(t, before, `@rate("10/m") permit (principal, action, resource);`, merge)
	if len(got) != 1 || d.Changes[0].Kind != survey.Obligations {
		t.Fatalf("%q", got)
	}
	c := d.Changes[0]
	if diff := cmp.Diff([][]string{{"at most 10 calls in a minute", "taken out of the result: $..['email']"}, {"at most 10 calls in a minute"}}, [][]string{c.BeforeObligations, c.AfterObligations}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestCompareObligationsWithConditions says of bounds that changed beside a condition, and
// is silent of those that did not.
func TestCompareObligationsWithConditions(t *testing.T) {
	before := `@rate("10/m") permit (principal, action, resource) when { context.input.owner == "a" }; @audit("full") permit (principal, action, resource) when { context.input.owner == "b" };`
	d, _ := compared(t, before, strings.Replace(before, `"a"`, `"c"`, 1), merge)
	if c := d.Changes[0]; c.Kind != survey.Changed || c.BeforeObligations != nil || c.AfterObligations != nil {
		t.Errorf("%s: %q, %q", c.Kind, c.BeforeObligations, c.AfterObligations)
	}
	d, _ = compared(t, before, strings.NewReplacer(`"a"`, `"c"`, "10/m", "20/m").Replace(before), merge)
	if c := d.Changes[0]; c.Kind != survey.Changed || len(c.AfterObligations) != 2 || c.AfterObligations[0] != "at most 20 calls in a minute" {
		t.Errorf("%s: %q, %q", c.Kind, c.BeforeObligations, c.AfterObligations)
	}
}
