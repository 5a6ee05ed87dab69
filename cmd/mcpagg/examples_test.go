package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/policy"
)

// engineOf makes an engine of the policies of an example.
func engineOf(t *testing.T, path string) *policy.Engine {
	t.Helper()
	programs := t.TempDir()
	if err := os.WriteFile(filepath.Join(programs, "npx"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs)
	cfg, err := config.Load([]string{path}, func(name string) (string, bool) { return "ghp_0123456789", name != "ENGINE" })
	if err != nil {
		t.Fatal(err)
	}
	if err := usePolicies(cfg); err != nil {
		t.Fatal(err)
	}
	return cfg.Gateway.Policy
}

// A decided call is one by somebody in groups.
type decidedCall struct {
	groups    []string
	tool      policy.Tool
	arguments string
	allowed   bool
	by        string // the policy that decides, "" where none permits
	message   string // for who is denied
}

func (c decidedCall) check(t *testing.T, e *policy.Engine) {
	t.Helper()
	var arguments map[string]any
	if err := json.Unmarshal([]byte(c.arguments), &arguments); err != nil {
		t.Fatal(err)
	}
	d := e.Decide(&policy.Request{
		Principal: &policy.Principal{ID: "contoso/ann", Subject: "ann", Groups: c.groups, GroupsKnown: true},
		Object:    policy.ToolObject(c.tool), Arguments: arguments, Raw: json.RawMessage(c.arguments), Now: time.Now(),
	})
	by := ""
	if len(d.Reasons) > 0 {
		by = d.Reasons[0].ID
	}
	if d.Allow != c.allowed || by != c.by || !d.Allow && d.Message != c.message {
		t.Errorf("%s/%s of %v with %s: allowed %v by %q, message %q (%s); want %v by %q, %q",
			c.tool.Upstream, c.tool.Original, c.groups, c.arguments, d.Allow, by, d.Message, d.Why, c.allowed, c.by, c.message)
	}
}

// tool is one whose arguments are texts.
func tool(upstream, original string, readOnly bool, tags []string, arguments ...string) policy.Tool {
	properties := map[string]any{}
	for _, a := range arguments {
		properties[a] = map[string]any{"type": "string"}
	}
	schema, _ := json.Marshal(map[string]any{"type": "object", "properties": properties, "required": arguments}) // it can be written
	annotations := json.RawMessage(`{"readOnlyHint": false}`)
	if readOnly {
		annotations = json.RawMessage(`{"readOnlyHint": true}`)
	}
	return policy.Tool{
		Upstream: upstream, Original: original, Published: upstream + "_" + original, Tags: tags,
		Annotations: annotations, InputSchema: schema, Trusted: true,
	}
}

// TestTeamPolicies has the policies of examples/team decide.
func TestTeamPolicies(t *testing.T) {
	e := engineOf(t, "../../examples/team/gateway.hcl")
	const ask = "Ask for access at https://access.contoso.com/mcp"
	scm := []string{"scm", "production"}
	issue := tool("github", "create_issue", false, scm, "owner", "repo", "title")
	platform := []string{"platform"}
	for _, c := range []decidedCall{
		{nil, tool("github", "list_issues", true, scm, "repo"), `{"repo": "shop"}`, true, "everybody-reads", ""},
		{nil, tool("github", "push_files", false, scm, "repo"), `{"repo": "shop"}`, false, "", ask},
		{platform, tool("github", "push_files", false, scm, "repo"), `{"repo": "shop"}`, true, "platform-writes", ""},
		{platform, tool("memory", "create_entities", false, []string{"data"}), `{}`, false, "", ask},
		{platform, tool("github", "delete_file", false, scm, "path"), `{"path": "a"}`, false, "nobody-deletes", "Nothing is deleted through the gateway. Do it in the application itself."},
		{nil, issue, `{"owner": "contoso", "repo": "shop", "title": "Rename it"}`, true, "everybody-opens-issues", ""},
		{nil, issue, `{"owner": "contoso", "repo": "public-site", "title": "Rename it"}`, false, "", "Issues in public repositories are opened by the platform team."},
		{platform, issue, `{"owner": "contoso", "repo": "public-site", "title": "Rename it"}`, true, "platform-writes", ""},
	} {
		c.check(t, e)
	}
}

// TestEnterprisePolicies has those of examples/enterprise decide.
func TestEnterprisePolicies(t *testing.T) {
	e := engineOf(t, "../../examples/enterprise/gateway.hcl")
	remove := tool("atlassian", "jira_delete_issue", false, nil, "issue_key")
	for _, c := range []decidedCall{
		{nil, tool("github", "merge_pull_request", false, nil, "repo"), `{"repo": "shop"}`, true, "everybody", ""},
		{nil, remove, `{"issue_key": "TEST-1"}`, true, "everybody", ""},
		{nil, remove, `{"issue_key": "SHOP-1"}`, false, "only-test-issues-are-deleted", "Only issues of the project TEST are deleted through the gateway."},
	} {
		c.check(t, e)
	}
}
