package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/source"
)

// TestToolHiveForms reads what ToolHive documents, and what it reads besides.
func TestToolHiveForms(t *testing.T) {
	const callTool = `permit ( principal, action == Action::"call_tool", resource`
	for _, test := range []struct {
		text      string
		want      string // as it is decided by
		rewritten []string
		warned    string
	}{
		{ // Documented: a specific tool.
			text:      `permit(principal, action == Action::"call_tool", resource == Tool::"weather");`,
			want:      callTool + ` == Tool::"up/weather" );`,
			rewritten: []string{`Tool::"weather" is read as Tool::"up/weather"`},
		},
		{ // A specific prompt.
			text:      `permit(principal, action == Action::"get_prompt", resource == Prompt::"greeting");`,
			want:      `permit ( principal, action == Action::"get_prompt", resource == Prompt::"up/greeting" );`,
			rewritten: []string{`Prompt::"greeting" is read as Prompt::"up/greeting"`},
		},
		{ // A specific resource.
			text:      `permit(principal, action == Action::"read_resource", resource == Resource::"file:///data");`,
			want:      `permit ( principal, action == Action::"read_resource", resource == Resource::"up/file:///data" );`,
			rewritten: []string{`Resource::"file:///data" is read as Resource::"up/file:///data"`},
		},
		{ // Lists.
			text:   `permit(principal, action == Action::"list_tools", resource == FeatureType::"tool");`,
			want:   `permit ( principal, action == Action::"list_tools", resource == FeatureType::"tool" );`,
			warned: "a.cedar:1:29: the policy is about lists, which are not asked about; lists show what may be called, got or read",
		},
		{ // A specific client.
			text:      `permit(principal == Client::"user123", action == Action::"call_tool", resource);`,
			want:      `permit ( principal in Client::"user123", action == Action::"call_tool", resource );`,
			rewritten: []string{`principal == Client::"user123" is read as principal in Client::"user123"`},
		},
		{ // A role.
			text: `permit(principal, action == Action::"call_tool", resource) when { principal.claim_roles.contains("admin") };`,
			want: callTool + ` ) when { principal.claim_roles.contains("admin") };`,
		},
		{ // Arguments.
			text: `permit(principal, action == Action::"call_tool", resource == Tool::"calculator") when { resource.arg_operation == "add" || resource.arg_operation == "subtract" };`,
			want: callTool + ` == Tool::"up/calculator" ) when { context.arg_operation == "add" || context.arg_operation == "subtract" };`,
			rewritten: []string{
				`Tool::"calculator" is read as Tool::"up/calculator"`,
				"resource.arg_operation is read as context.arg_operation",
			},
		},
		{ // A claim.
			text:      `permit(principal, action == Action::"call_tool", resource) when { context.claim_name == "John Doe" };`,
			want:      callTool + ` ) when { principal.claim_name == "John Doe" };`,
			rewritten: []string{"context.claim_name is read as principal.claim_name"},
		},
		{ // Claims and arguments.
			text:      `permit(principal, action == Action::"call_tool", resource) when { principal.claim_roles.contains("data_analyst") && resource.arg_data_level <= principal.claim_clearance_level };`,
			want:      callTool + ` ) when { principal.claim_roles.contains("data_analyst") && context.arg_data_level <= principal.claim_clearance_level };`,
			rewritten: []string{"resource.arg_data_level is read as context.arg_data_level"},
		},
		{ // The group policy of most installations.
			text: `permit(principal, action == Action::"call_tool", resource) when { principal.claim_groups.contains("4f1c2d3e-0000-0000-0000-000000000001") };`,
			want: callTool + ` ) when { principal.claim_groups.contains("4f1c2d3e-0000-0000-0000-000000000001") };`,
		},
		{
			text: `permit(principal in THVGroup::"dev", action == Action::"call_tool", resource in MCP::"up");`,
			want: `permit ( principal in THVGroup::"dev", action == Action::"call_tool", resource in MCP::"up" );`,
		},
		{
			text:      `permit(principal is Client, action, resource is Tool) when { principal is Client && resource.readOnlyHint };`,
			want:      `permit ( principal, action, resource is Tool ) when { true && resource.readOnlyHint };`,
			rewritten: []string{"principal is Client is read as any principal"},
		},
		{
			text:      `permit(principal is Client in THVGroup::"a", action, resource) unless { principal is Client in THVGroup::"b" };`,
			want:      `permit ( principal in THVGroup::"a", action, resource ) unless { principal in THVGroup::"b" };`,
			rewritten: []string{"principal is Client is read as any principal"},
		},
		{
			text: `permit(principal, action, resource) when { Client::"a" == principal || principal != Client::"b" || [Client::"c"].contains(principal) || principal in [Client::"d"] };`,
			want: `permit ( principal, action, resource ) when { principal in Client::"a" || !(principal in Client::"b") || principal in [Client::"c"] || principal in [Client::"d"] };`,
			rewritten: []string{
				`principal == Client::"a" is read as principal in Client::"a"`,
				`principal != Client::"b" is read as !(principal in Client::"b")`,
				"[Client::…].contains(principal) is read as principal in [Client::…]",
			},
		},
		{
			text: `permit(principal, action, resource) when { resource has arg_a && context has claim_b && [Tool::"x", Tool::"up/y", Tool::"other/z"].contains(resource) };`,
			want: `permit ( principal, action, resource ) when { context has arg_a && principal has claim_b && [Tool::"up/x", Tool::"up/y", Tool::"other/z"].contains(resource) };`,
			rewritten: []string{
				"resource.arg_a is read as context.arg_a", "context.claim_b is read as principal.claim_b", `Tool::"x" is read as Tool::"up/x"`,
			},
		},
		{
			text:      `permit(principal, action == Action::"call_tool", resource) when { resource.arg_n.lessThan(decimal("5.0")) };`,
			want:      callTool + ` ) when { context.arg_n.lessThan(decimal("5.0")) };`,
			rewritten: []string{"resource.arg_n is read as context.arg_n"},
			warned:    "a.cedar:1:81: arg_n.lessThan takes a decimal, but integers are of type Long; write arg_n < 5 where it is an integer",
		},
		{
			text:      `permit(principal, action, resource == Tool::"up_weather") when { resource == Tool::"up/up_other" };`,
			want:      `permit ( principal, action, resource == Tool::"up/up_weather" ) when { resource == Tool::"up/up_other" };`,
			rewritten: []string{`Tool::"up_weather" is read as Tool::"up/up_weather"`},
			warned:    `a.cedar:1:39: Tool::"up_weather" is read as Tool::"up/up_weather"; if it is the published name, write Tool::"up/weather"`,
		},
	} {
		policies, warnings, err := source.Parse([]source.File{{Name: "a.cedar", Text: []byte(test.text)}},
			source.Options{Upstreams: []string{"up", "other"}, Only: "up"})
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		p := policies[0]
		if diff := cmp.Diff(test.want, strings.Join(strings.Fields(string(p.Compiled.MarshalCedar())), " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
		if diff := cmp.Diff(test.rewritten, p.Rewritten); diff != "" {
			t.Errorf("%s: rewritten (-want +got):\n%s", test.text, diff)
		}
		if got := strings.TrimSuffix(fmt.Sprintln(joined(warnings)), "\n"); got != test.warned {
			t.Errorf("%s: warnings %q, want %q", test.text, got, test.warned)
		}
		if p.Line != 1 || p.Column != 1 || p.Compiled.Position().Filename != "a.cedar" {
			t.Errorf("%s: the policy is at %+v", test.text, p.Compiled.Position())
		}
	}
}

// TestOnlyIsAnUpstream wants that tools of the upstream that needs no naming may be
// named with it.
func TestOnlyIsAnUpstream(t *testing.T) {
	p := parse(t, `permit(principal, action, resource == Tool::"up/weather") when { resource in MCP::"up" };`, source.Options{Upstreams: []string{}, Only: "up"})[0]
	if p.Rewritten != nil {
		t.Errorf("rewritten: %q, want nothing", p.Rewritten)
	}
}

// joined are mistakes in lines.
func joined(list []source.Mistake) string {
	var lines []string
	for _, m := range list {
		lines = append(lines, m.String())
	}
	return strings.Join(lines, "\n")
}
