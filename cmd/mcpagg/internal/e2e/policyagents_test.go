//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
)

// agentPolicies let agents use two tools, with some arguments.
const agentPolicies = `
policy {
  inline = <<-EOT
    @id("greetings")
    @deny_message("Only greetings are allowed.")
    permit (principal, action, resource == Tool::"local/echo")
    when { context.input.message like "hello*" };

    @id("sums")
    permit (principal, action, resource == Tool::"local/get-sum")
    when { context.input.a.greaterThan(decimal("10.0")) };
  EOT
}
`

// TestPoliciesOfAgents has the agents see only the tools that they may use, and read
// why a call is denied.
func TestPoliciesOfAgents(t *testing.T) {
	t.Parallel()
	local := everything().upstream()
	local.label = "local"
	g := startGatewayWith(t, func(s sandbox) {
		s.write(t, "gateway.hcl", append(configuration([]upstream{local}), agentPolicies...))
	})
	g.awaitTools(t, "local")
	script := func(prefix string) []scriptedCall {
		return []scriptedCall{{prefix + "local_echo", object{"message": "goodbye"}}, {prefix + "local_get-sum", object{"a": 40.5, "b": 2}}}
	}
	want := []string{"Only greetings are allowed.", "42.5"}
	for prefix, run := range map[string]func(*testing.T, *model){
		"mcp__gateway__": func(t *testing.T, m *model) { checkClaude(t, newSandbox(t), m, g.url, want...) },
		"gateway_": func(t *testing.T, m *model) {
			s := newSandbox(t)
			s.write(t, "opencode.json", openCodeConfig(g.url, m.url))
			checkAgent(t, m, s.run(t, quietOpenCode, opencode, "run", "--format", "json", "Call the tools."), want...)
		},
	} {
		m := startModel(t, script(prefix)...)
		run(t, m)
		offered, _ := m.seen()
		ours := slices.DeleteFunc(slices.Clone(offered), func(name string) bool { return !strings.HasPrefix(name, prefix) })
		slices.Sort(ours)
		if !slices.Equal(ours, []string{prefix + "local_echo", prefix + "local_get-sum"}) {
			t.Errorf("the model is offered %v", ours)
		}
	}
}
