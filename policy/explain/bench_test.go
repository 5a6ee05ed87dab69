package explain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/source"
)

// BenchmarkMatrix explains 1,000 tools to 100 callers by 1,000 policies, with the
// condition of each.
func BenchmarkMatrix(b *testing.B) {
	var text strings.Builder
	for i := range 1_000 {
		tool := fmt.Sprintf(`Tool::"u%d/tool%d"`, i%20, i)
		switch i % 5 {
		case 0:
			fmt.Fprintf(&text, "permit (principal in Group::\"g%d\", action, resource in Upstream::\"u%d\") when { resource.read_only };\n", i%100, i%20)
		case 1:
			fmt.Fprintf(&text, "permit (principal in Group::\"g%d\", action, resource == %s) when { context.input.owner == \"contoso\" && context.input.repo like \"web-%d*\" };\n", i%100, tool, i)
		case 2:
			fmt.Fprintf(&text, "permit (principal, action, resource == %s) when { context.input has labels && context.input.labels.contains(\"l%d\") };\n", tool, i)
		case 3:
			fmt.Fprintf(&text, "permit (principal in Group::\"g%d\", action, resource in Upstream::\"u%d\") when { context.auth.mfa && context.input.repo == \"r%d\" };\n", i%100, i%20, i)
		default:
			fmt.Fprintf(&text, "forbid (principal, action, resource in Upstream::\"u%d\") when { context.input has labels && context.input.labels.contains(\"x%d\") };\n", i%20, i)
		}
	}
	policies, _, err := source.Parse([]source.File{{Name: "p.cedar", Text: []byte(text.String())}}, source.Options{})
	if err != nil {
		b.Fatal(err)
	}
	e, err := policy.New(policy.Options{Policies: policies})
	if err != nil {
		b.Fatal(err)
	}
	var tools []*policy.Object
	for i := range 1_000 {
		tools = append(tools, policy.ToolObject(policy.Tool{
			Upstream: fmt.Sprintf("u%d", i%20), Original: fmt.Sprintf("tool%d", i), Trusted: true, Annotations: []byte(fmt.Sprintf(`{"readOnlyHint": %v}`, i%3 == 0)),
			InputSchema: []byte(`{"type": "object", "required": ["owner", "repo"], "properties": {"owner": {"type": "string"}, "repo": {"type": "string"}, "labels": {"type": "array", "items": {"type": "string"}}, "n` + fmt.Sprint(i) + `": {"type": "string"}}}`),
		}))
	}
	var callers []*policy.Principal
	for i := range 100 {
		callers = append(callers, somebody(fmt.Sprintf("g%d", i), fmt.Sprintf("g%d", (i*7)%100), fmt.Sprintf("g%d", (i*13)%100)))
	}
	b.ResetTimer()
	for b.Loop() {
		x := explain.New(e)
		counts := map[explain.Outcome]int{}
		texts := 0
		for _, c := range callers {
			for _, o := range tools {
				a := x.Of(c, o)
				counts[a.Outcome]++
				texts += len(a.Condition())
			}
		}
		b.ReportMetric(float64(counts[explain.Sometimes]), "sometimes")
		b.ReportMetric(float64(counts[explain.Always]), "always")
		b.ReportMetric(float64(texts)/100_000, "bytes/condition")
	}
}
