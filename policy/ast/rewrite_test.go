package ast_test

import (
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// TestRewriteReachesEveryKindOfNode renames x in each of them.
func TestRewriteReachesEveryKindOfNode(t *testing.T) {
	for _, expression := range []string{
		"context.x || context.x", "context.x && context.x", "context.x < context.x", "context.x <= context.x", "context.x > context.x",
		"context.x >= context.x", "context.x == context.x", "context.x != context.x", "context.x in context.x", "context.x.hasTag(context.x)",
		"context.x.getTag(context.x)", "context.x + context.x", "context.x - context.x", "context.x * context.x",
		"context.x.contains(context.x)", "context.x.containsAll(context.x)", "context.x.containsAny(context.x)", "!context.x", "-context.x",
		"context.x.isEmpty()", "context.x has a", "context.x.a", `context.x like "a*"`, "context.x is User", "context.x is User in context.x",
		"if context.x then context.x else context.x", "ip(context.x).isInRange(context.x)", "[context.x, 1, context.x]", "{a: context.x, b: principal}",
	} {
		text := "permit ( principal, action, resource )\nwhen { " + expression + " };"
		var p, want cedar.Policy
		if err := p.UnmarshalCedar([]byte(text)); err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		if err := want.UnmarshalCedar([]byte(replace(text))); err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		before := string(p.MarshalCedar())
		tree := *ast.Of(&p)
		tree.Conditions = []ast.Condition{{Condition: tree.Conditions[0].Condition, Body: ast.Rewrite(tree.Conditions[0].Body, rename)}}
		if got := ast.Compile(&tree).MarshalCedar(); string(got) != string(want.MarshalCedar()) {
			t.Errorf("%s becomes\n%s\nwant\n%s", expression, got, want.MarshalCedar())
		}
		if after := string(p.MarshalCedar()); after != before {
			t.Errorf("%s: Rewrite changed its input to\n%s", expression, after)
		}
	}
}

func rename(n ast.Node) ast.Node {
	if access, ok := n.(ast.Access); ok && access.Value == "x" {
		access.Value = types.String("y")
		return access
	}
	return n
}

func replace(s string) string {
	out := []byte(s)
	for i := range out {
		if s[i] == 'x' && s[i-1] == '.' {
			out[i] = 'y'
		}
	}
	return string(out)
}
