package survey_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// engineOf is one of policies.
func engineOf(t testing.TB, text string) *policy.Engine {
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

// rowOf is a tool with two arguments.
func rowOf(upstream, name string, readOnly bool) survey.Row {
	o := policy.ToolObject(policy.Tool{
		Upstream: upstream, Original: name, Trusted: true, Annotations: fmt.Appendf(nil, `{"readOnlyHint": %v}`, readOnly),
		InputSchema: []byte(`{"type": "object", "required": ["owner"], "properties": {"owner": {"type": "string"}, "body": {"type": "string"}}}`),
	})
	return survey.Row{Object: o, Kind: "tool", Published: upstream + "_" + name}
}

var merge = rowOf("github", "merge", false)

func mapOf(t testing.TB, e *policy.Engine, personas []*persona.Persona, rows ...survey.Row) *survey.Map {
	t.Helper()
	m, err := survey.Of(e, survey.Callers(e.Policies(), personas), rows, survey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// outcomes are those of a row, by the names of the callers.
func outcomes(m *survey.Map, row int) map[string]string {
	all := map[string]string{}
	for i, c := range m.Callers {
		all[c.Name] = m.At(i, row).Outcome.String()
	}
	return all
}

func TestCallersAreThoseThatPoliciesSpeakOf(t *testing.T) {
	e := engineOf(t, `
permit (principal in Group::"platform", action, resource);
permit (principal == User::"contoso/u-1", action, resource);
permit (principal is Workload, action, resource) when { context.app == App::"ci" };
forbid (principal in Role::"trainee", action, resource) unless { principal == Workload::"contoso/w-1" || context.app == App::"unknown" };
forbid (principal, action, resource) when { principal.guest && principal.groups.contains("partners") };`)
	var got []string
	for _, c := range survey.Callers(e.Policies(), []*persona.Persona{{Name: "dev", Groups: []string{"platform"}}, {Name: "anybody"}}) {
		got = append(got, c.Name+" "+string(c.Sort))
	}
	want := []string{
		"dev persona", "anybody persona", "Group partners group", "Group platform group", "Role trainee role", "App ci app",
		"User contoso/u-1 person", "Workload contoso/w-1 person", "a guest kind", "a program kind",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMap(t *testing.T) {
	e := engineOf(t, `
permit (principal in Group::"platform", action, resource);
permit (principal in Role::"author", action, resource) when { context.input.owner == "contoso" };
permit (principal, action, resource) when { context.auth.mfa && resource.read_only };
permit (principal, action, resource) when { context has ip && context.ip.isInRange(ip("10.0.0.0/8")) && resource.read_only };`)
	m := mapOf(t, e, []*persona.Persona{{Name: "careful", MFA: true}, {Name: "at work", IP: mustIP("10.1.2.3")}}, merge, rowOf("github", "get", true))
	want := map[string]string{"careful": "never", "at work": "never", "anybody": "never", "Group platform": "always", "Role author": "sometimes"}
	if diff := cmp.Diff(want, outcomes(m, 0)); diff != "" {
		t.Errorf("merge (-want +got)\n%s", diff)
	}
	want = map[string]string{"careful": "always", "at work": "always", "anybody": "sometimes", "Group platform": "always", "Role author": "sometimes"}
	if diff := cmp.Diff(want, outcomes(m, 1)); diff != "" {
		t.Errorf("get (-want +got)\n%s", diff)
	}
	author := slices.IndexFunc(m.Callers, func(c survey.Caller) bool { return c.Name == "Role author" })
	if got, want := m.At(author, 0).Condition(), `context.input.owner == "contoso"`; got != want {
		t.Errorf("the condition is %s, want %s", got, want)
	}
}

// TestMapIsWhatExplainSays compares each cell with an explanation of its own.
func TestMapIsWhatExplainSays(t *testing.T) {
	e := engineOf(t, `
permit (principal in Group::"a", action, resource in Upstream::"u1");
permit (principal in Group::"b", action, resource) when { context.input has body && context.input.body like "x*" };
forbid (principal, action, resource) when { resource.name == "t3" } unless { principal in Group::"a" };`)
	var rows []survey.Row
	for i := range 12 {
		rows = append(rows, rowOf(fmt.Sprintf("u%d", i%3), fmt.Sprintf("t%d", i), i%2 == 0))
	}
	m := mapOf(t, e, []*persona.Persona{{Name: "both", Groups: []string{"a", "b"}}}, rows...)
	for c, caller := range m.Callers {
		for r, row := range rows {
			want := explain.Of(e, caller.Principal(), row.Object)
			if got := m.At(c, r); got.Outcome != want.Outcome || got.Condition() != want.Condition() {
				t.Errorf("%s, %s: %s %s, want %s %s", caller.Name, row.Name(), got.Outcome, got.Condition(), want.Outcome, want.Condition())
			}
		}
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	_, err := survey.Of(engineOf(t, `permit (principal, action, resource);`), make([]survey.Caller, 2001), make([]survey.Row, 1000), survey.Options{})
	if err == nil || !strings.Contains(err.Error(), "choose some callers") {
		t.Errorf("%v", err)
	}
}

func TestWords(t *testing.T) {
	for policies, want := range map[string][]string{
		`permit (principal, action, resource);`: {"anyone"},
		`permit (principal in Group::"platform", action, resource);
		 forbid (principal in Role::"guest", action, resource);`: {"anyone in Group platform, but not with Role guest"},
		`permit (principal, action, resource);
		 forbid (principal, action, resource) when { principal.guest };`: {"anyone, but not who is a guest"},
		`permit (principal in Group::"a", action, resource) when { principal in Role::"b" };`: {"anyone in Group a and also with Role b"},
		`permit (principal in Group::"a", action, resource);
		 permit (principal in Group::"b", action, resource);
		 permit (principal in Group::"c", action, resource) when { context.input.owner == "contoso" };`: {
			"anyone in Group a or b", "anyone in Group c only when `owner` is \"contoso\"",
		},
		`permit (principal, action, resource) unless { context.input.owner == "contoso" };
		 permit (principal == User::"t/root", action, resource);`: {"anyone only when `owner` is not \"contoso\"", "anyone who is User t/root"},
		`permit (principal in Group::"a", action, resource in Upstream::"jira");`: {"nobody of those that policies speak of"},
	} {
		e := engineOf(t, policies)
		who := survey.Who(e, survey.Callers(e.Policies(), nil), merge.Object, survey.Options{})
		if diff := cmp.Diff(want, who.Words); diff != "" || len(who.Others) > 0 {
			t.Errorf("%s\n(-want +got)\n%s%v", policies, diff, who.Others)
		}
	}
}

// TestOthers names the permits that nobody satisfies who was asked about.
func TestOthers(t *testing.T) {
	e := engineOf(t, `
@id("platform") permit (principal in Group::"platform", action, resource);
@id("research") permit (principal, action, resource) when { principal has claim_department && principal.claim_department == "R&D" };`)
	who := survey.Who(e, survey.Callers(e.Policies(), nil), merge.Object, survey.Options{})
	if len(who.Others) != 1 || who.Others[0].Policy.ID != "research" || !strings.Contains(who.Others[0].Needs, `"R&D"`) {
		t.Errorf("%+v", who.Others)
	}
}

func mustIP(text string) netip.Addr { return netip.MustParseAddr(text) }
