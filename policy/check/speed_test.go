package check_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/policy/source"
)

// manyTools are those of all catalogues, again and again under other labels.
func manyTools(t testing.TB, n int) check.Input {
	t.Helper()
	all := catalogues(t)
	in := check.Input{Published: map[string]string{}}
	for round := 0; ; round++ {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			label := fmt.Sprintf("%s-%d", name, round)
			in.Options.Upstreams = append(in.Options.Upstreams, label)
			for _, l := range all[name] {
				if len(in.Objects) == n {
					return in
				}
				in.Objects = append(in.Objects, policy.ToolObject(policy.Tool{
					Upstream: label, Original: l.Name, Published: label + "_" + l.Name, Tags: []string{"t" + fmt.Sprint(round%3)},
					Annotations: l.Annotations, InputSchema: l.InputSchema, Trusted: round%2 == 0,
				}))
				in.Published[label+"/"+l.Name] = label + "_" + l.Name
			}
		}
	}
}

// manyPolicies are of all kinds that teams write: about one tool, an upstream, a tag, and
// about all tools, by their attributes, names and arguments. Some have mistakes.
func manyPolicies(in check.Input, n int) []source.File {
	var b strings.Builder
	for i := range n {
		o := in.Objects[i*7%len(in.Objects)]
		upstream, group := o.Upstream(), fmt.Sprintf("g%d", i%50)
		argument := "nothing"
		if fields := o.Shape().Input.Fields; len(fields) > 0 {
			argument = fields[i%len(fields)].Name
		}
		fmt.Fprintf(&b, "@id(\"p%d\")\n", i)
		switch i % 10 {
		case 0, 1:
			fmt.Fprintf(&b, "permit (principal in Group::%q, action == Action::\"call_tool\", resource == %s);\n", group, o)
		case 2:
			fmt.Fprintf(&b, "permit (principal in Group::%q, action == Action::\"call_tool\", resource == %s)\nwhen { context.input has %q && context.auth.mfa };\n", group, o, argument)
		case 3:
			fmt.Fprintf(&b, "permit (principal in Group::%q, action, resource in Upstream::%q)\nwhen { resource.read_only };\n", group, upstream)
		case 4:
			fmt.Fprintf(&b, "permit (principal in Group::%q, action, resource in Tag::\"t%d\")\nwhen { context.input has path && context.input.path like \"/srv/%s/*\" };\n", group, i%3, group)
		case 5:
			fmt.Fprintf(&b, "forbid (principal, action, resource in Upstream::%q)\nwhen { resource.name like \"*delete*\" }\nunless { principal in Group::%q };\n", upstream, group)
		case 6:
			fmt.Fprintf(&b, "permit (principal in Group::%q, action == Action::\"call_tool\", resource)\nwhen { context.input has namespace && context.input.namespace == %q && !resource.destructive };\n", group, group)
		case 7:
			fmt.Fprintf(&b, "permit (principal in Group::%q, action, resource)\nwhen { resource.read_only && resource in [Upstream::%q, Tag::\"t1\"] };\n", group, upstream)
		case 8:
			fmt.Fprintf(&b, "permit (principal in Group::%q, action, resource)\nwhen { resource.name like \"*%s*\" || context.input has query };\n", group, group)
		case 9:
			fmt.Fprintf(&b, "permit (principal in Group::%q, action == Action::\"call_tool\", resource in Upstream::%q)\nwhen { context.input.%s == 3 };\n", group, upstream, "argument")
		}
	}
	return []source.File{{Name: "many.cedar", Text: []byte(b.String())}}
}

// everyTool are policies that are about all tools.
func everyTool(in check.Input, n int) []source.File {
	var b strings.Builder
	for i := range n {
		name := fmt.Sprintf("n%d", i)
		fmt.Fprintf(&b, "@id(\"p%d\")\npermit (principal in Group::\"g%d\", action == Action::\"call_tool\", resource)\n", i, i%50)
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "when { context.input has path && context.input.path like \"/%s/*\" };\n", name)
		case 1:
			fmt.Fprintf(&b, "when { resource.read_only && context.auth.mfa && context.input.query == %q };\n", name)
		case 2:
			fmt.Fprintf(&b, "when { resource.name like \"*%s*\" };\n", in.Objects[i%len(in.Objects)].Tool().Original)
		case 3:
			fmt.Fprintf(&b, "when { resource in [Upstream::%q, Tag::\"t1\"] && context.bytes < 1000 };\n", in.Objects[i].Upstream())
		}
	}
	return []source.File{{Name: "every.cedar", Text: []byte(b.String())}}
}

// TestSpeed checks a thousand policies against a thousand tools. It takes half a second
// on one core; the bound is for machines that are busy, and for the race detector.
func TestSpeed(t *testing.T) {
	for name, policies := range map[string]func(check.Input, int) []source.File{"of all kinds": manyPolicies, "about every tool": everyTool} {
		in := manyTools(t, 1000)
		in.Files = policies(in, 1000)
		start := time.Now()
		found := check.Check(in)
		took := time.Since(start)
		t.Logf("%s: %d findings in %v: %s", name, len(found), took, check.Summary(found))
		if took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for name, policies := range map[string]func(check.Input, int) []source.File{"all-kinds": manyPolicies, "every-tool": everyTool} {
		b.Run(name, func(b *testing.B) {
			in := manyTools(b, 1000)
			in.Files = policies(in, 1000)
			for b.Loop() {
				check.Check(in)
			}
		})
	}
}
