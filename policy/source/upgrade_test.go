package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/policytest"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

var upgraded = source.Options{Upstreams: []string{"up", "other"}, Only: "up"}

func TestUpgrade(t *testing.T) {
	const head = `permit(principal, action, resource) when { `
	for _, test := range []struct{ text, want string }{
		{`permit(principal == Client::"a", action, resource == Tool::"weather");`, `permit(principal  in  Client::"a", action, resource == Tool::"up/weather");`},
		{`permit(principal==Client::"a", action, resource in /* it */ Tool /* is */ :: /* this */ "b \" c");`, `permit(principal in Client::"a", action, resource in /* it */ Tool /* is */ :: /* this */ "up/b \" c");`},
		{`permit(principal is Client, action, resource is Tool in Tool::"a");`, `permit(principal  , action, resource is Tool in Tool::"up/a");`},
		{"permit(principal is // why\n Client in THVGroup::\"a\", action, resource);", "permit(principal  // why\n  in THVGroup::\"a\", action, resource);"},
		{head + `principal is Client && principal is Client in THVGroup::"b" };`, head + `true   && principal   in THVGroup::"b" };`},
		{head + `principal==Client::"a" || (Client /* x */ :: "a")==(principal) };`, head + `principal in Client::"a" || (principal /* x */  ) in (Client::"a") };`},
		{head + `!(principal != Client::"b") };`, head + `!(!(principal  in  Client::"b")) };`},
		{head + `if true then[Client::"c"].contains(principal)else ![Client::"c", Client::"d"].contains ( principal, ) };`, head + `if true then principal in [Client::"c"]else !(principal in [Client::"c", Client::"d"]   ) };`},
		{head + `[Client::"c"].contains(principal) == true };`, head + `(principal in [Client::"c"]) == true };`},
		{head + `resource has arg_a.b && resource.arg_a.b == context["claim_b"] && (context).claim_c };`, head + `context has arg_a.b && context.arg_a.b == principal["claim_b"] && (principal).claim_c };`},
		{"// as it is\n" + head + `context.arg_a == resource.name };`, "// as it is\n" + head + `context.arg_a == resource.name };`},
	} {
		got, changes, err := source.Upgrade(source.File{Name: "a.cedar", Text: []byte(test.text)}, upgraded)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
		if (len(changes) > 0) != (string(got) != test.text) {
			t.Errorf("%s: changes %q", test.text, changes)
		}
	}
}

func TestUpgradeSaysWhatItChanged(t *testing.T) {
	text := `permit(principal == Client::"a", action, resource) when { resource.arg_a }; forbid(principal == Client::"a", action, resource);`
	_, changes, err := source.Upgrade(source.File{Name: "a.cedar", Text: []byte(text)}, upgraded)
	want := []string{`principal == Client::"a" is read as principal in Client::"a"`, "resource.arg_a is read as context.arg_a"}
	if diff := cmp.Diff(want, changes); diff != "" || err != nil {
		t.Errorf("error %v, changes (-want +got):\n%s", err, diff)
	}
	_, _, err = source.Upgrade(source.File{Name: "a.cedar", Text: []byte("permit(")}, upgraded)
	if fmt.Sprint(err) != `a.cedar:1:8: syntax: the policy ends where "principal" belongs; see https://docs.cedarpolicy.com/policies/syntax-policy.html` {
		t.Errorf("error %v, want that it cannot be read", err)
	}
}

// TestUpgradeGenerated upgrades policies of all forms, in which ToolHive's are. Upgrade
// itself finds out whether they are decided as before.
func TestUpgradeGenerated(t *testing.T) {
	g := policytest.NewGenerator(9)
	forms := []string{
		`principal == Client::"a"`, `Client::"a" != principal`, `[Client::"a"].contains(principal)`, `resource.arg_a`, `context has claim_b.c`,
		`principal is Client`, `principal is Client in THVGroup::"g"`, `resource == Tool::"x"`, `(principal)==(Client::"a")`,
	}
	changed := 0
	for range 3000 {
		text := g.Text()
		for _, of := range []string{"true", "false", "context", "decimal(\"a\")"} {
			text = strings.ReplaceAll(text, " "+of+" ", " ("+forms[g.IntN(len(forms))]+") ")
		}
		text = g.Scattered(text, true)
		if _, err := syntax.Parse("F", []byte(text)); err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		got, changes, err := source.Upgrade(source.File{Name: "F", Text: []byte(text)}, upgraded)
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		if diff := cmp.Diff(remarks(text), remarks(string(got))); diff != "" {
			t.Fatalf("%s\ncomments (-before +after):\n%s", text, diff)
		}
		if len(changes) > 0 {
			changed++
		}
	}
	if changed < 1000 {
		t.Errorf("%d texts are upgraded, which says little", changed)
	}
}

func remarks(text string) []string {
	var all []string
	for _, token := range syntax.Tokens([]byte(text)) {
		if token.Kind == syntax.Remark {
			all = append(all, text[token.Start:token.End])
		}
	}
	return all
}
