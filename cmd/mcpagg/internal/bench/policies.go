package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// permitAll are blocks that make a gateway decide by one policy.
const permitAll = "policy {\n  inline = \"permit(principal, action, resource);\"\n}\n\n"

const (
	// manyPolicies are in filesOfPolicies files.
	manyPolicies    = 1000
	filesOfPolicies = 10
)

// governing are blocks that make a gateway decide by many policies, and write down each
// decision. The names of its files begin with name.
func (b *bench) governing(name string) (blocks string, err error) {
	dir := filepath.Join(b.dir, name+"-policies")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	const each = manyPolicies / filesOfPolicies
	for file := range filesOfPolicies {
		var text strings.Builder
		for i := range each {
			text.WriteString(policyText(file*each + i))
		}
		path := filepath.Join(dir, fmt.Sprintf("%02d.cedar", file))
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			return "", err
		}
	}
	audit := filepath.Join(b.dir, name+"-audit.jsonl")
	return fmt.Sprintf("policy {\n  dir = %q\n}\n\naudit \"file\" \"bench\" {\n  path = %q\n}\n\n", dir, audit), nil
}

// policyText is the policy of this number: first one for each tool that lets the caller
// use it, then one that looks at every call, and then others about the same tools,
// mostly for people in other groups.
func policyText(i int) string {
	tool := toolName(i % callTools)
	const permit = "permit(principal in Group::%q, action == Action::\"call_tool\", resource == Tool::\"b0/%s\")"
	switch {
	case i == 0:
		return fmt.Sprintf(permit+"\nwhen { context.input.text like \"*\" };\n", groupID(i), tool)
	case i < callTools:
		return fmt.Sprintf(permit+";\n", groupID(i%tokenGroups), tool)
	case i == callTools:
		return "forbid(principal, action, resource)\nwhen { resource.open_world && context.session.labels.contains(\"private-data\") };\n"
	case i%10 == 0:
		return fmt.Sprintf("forbid(principal, action, resource == Tool::\"b0/%s\")\nwhen { context.bytes > %d };\n", tool, 100_000+i)
	}
	return fmt.Sprintf(permit+"\nwhen { context.bytes < %d };\n", groupID(i), tool, 100_000+i)
}
