package source

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// rewrite gives the policy the form that the rest of the program knows, where it is
// in ToolHive's: callers are Clients there, arguments belong to the resource and
// claims to the context, and tools have no upstream.
func (c *check) rewrite() {
	tree := *c.policy.AST
	principal, fromPrincipal := c.principalForm(tree.Principal)
	resource, fromResource := c.resourceForm(tree.Resource)
	foreign := false
	for _, condition := range tree.Conditions {
		ast.Inspect(condition.Body, func(n ast.Node) bool {
			_, note := c.form(n)
			foreign = foreign || note != ""
			return !foreign
		})
	}
	if !fromPrincipal && !fromResource && !foreign {
		return
	}
	if foreign {
		tree.Conditions = slices.Clone(tree.Conditions)
		for i, condition := range tree.Conditions {
			tree.Conditions[i].Body = ast.Rewrite(condition.Body, c.formNoted)
		}
	}
	setPrincipal(&tree, principal)
	setResource(&tree, resource)
	c.policy.AST = &tree
	c.policy.Compiled = ast.Compile(&tree)
}

// note says once that something is read as something else.
func (c *check) note(text string) {
	if text != "" && !slices.Contains(c.policy.Rewritten, text) {
		c.policy.Rewritten = append(c.policy.Rewritten, text)
	}
}

func readAs(from, to string) string { return plain(from) + " is read as " + plain(to) }

// principalForm is a scope of principals in our form, and whether it was in another.
func (c *check) principalForm(scope any) (any, bool) {
	switch s := scope.(type) {
	case ast.ScopeEq:
		if s.Entity.Type == "Client" {
			c.note(readAs("principal == "+uidText(s.Entity), "principal in "+uidText(s.Entity)))
			return ast.ScopeIn(s), true
		}
	case ast.ScopeIs:
		if s.Type == "Client" {
			c.note("principal is Client is read as any principal")
			return ast.ScopeAll{}, true
		}
	case ast.ScopeIsIn:
		if s.Type == "Client" {
			c.note("principal is Client is read as any principal")
			return ast.ScopeIn{Entity: s.Entity}, true
		}
	}
	return scope, false
}

// resourceForm is the same of a scope of resources.
func (c *check) resourceForm(scope any) (any, bool) {
	switch s := scope.(type) {
	case ast.ScopeEq:
		if uid, ok := c.qualified(s.Entity); ok {
			c.note(readAs(uidText(s.Entity), uidText(uid)))
			return ast.ScopeEq{Entity: uid}, true
		}
	case ast.ScopeIn:
		if uid, ok := c.qualified(s.Entity); ok {
			c.note(readAs(uidText(s.Entity), uidText(uid)))
			return ast.ScopeIn{Entity: uid}, true
		}
	case ast.ScopeIsIn:
		if uid, ok := c.qualified(s.Entity); ok {
			c.note(readAs(uidText(s.Entity), uidText(uid)))
			return ast.ScopeIsIn{Type: s.Type, Entity: uid}, true
		}
	}
	return scope, false
}

// The tree's scopes are interfaces that the parser's package keeps to itself.
func setPrincipal(tree *ast.Policy, scope any) {
	switch s := scope.(type) {
	case ast.ScopeAll:
		tree.Principal = s
	case ast.ScopeIn:
		tree.Principal = s
	}
}

func setResource(tree *ast.Policy, scope any) {
	switch s := scope.(type) {
	case ast.ScopeEq:
		tree.Resource = s
	case ast.ScopeIn:
		tree.Resource = s
	case ast.ScopeIsIn:
		tree.Resource = s
	}
}

func (c *check) formNoted(n ast.Node) ast.Node {
	made, note := c.form(n)
	c.note(note)
	return made
}

// form is one node in our form, and what to say of it; "" where it was already.
func (c *check) form(n ast.Node) (ast.Node, string) {
	switch n := n.(type) {
	case ast.Equals:
		if uid, ok := comparedClient(n.BinaryNode); ok {
			return principalIn(uid), readAs("principal == "+uidText(uid), "principal in "+uidText(uid))
		}
	case ast.NotEquals:
		if uid, ok := comparedClient(n.BinaryNode); ok {
			return ast.Not{UnaryNode: ast.UnaryNode{Arg: principalIn(uid)}},
				readAs("principal != "+uidText(uid), "!(principal in "+uidText(uid)+")")
		}
	case ast.Contains:
		if isNamed(n.Right, "principal") && hasClient(n.Left) {
			return ast.In{BinaryNode: ast.BinaryNode{Left: n.Right, Right: n.Left}},
				"[Client::…].contains(principal) is read as principal in [Client::…]"
		}
	case ast.Is:
		if n.EntityType == "Client" && isNamed(n.Left, "principal") {
			return ast.Value{Value: types.True}, "principal is Client is read as any principal"
		}
	case ast.IsIn:
		if n.EntityType == "Client" && isNamed(n.Left, "principal") {
			return ast.In{BinaryNode: ast.BinaryNode{Left: n.Left, Right: n.Entity}}, "principal is Client is read as any principal"
		}
	case ast.Access:
		if moved, ok := movedTo(n.StrOpNode); ok {
			return ast.Access{StrOpNode: moved}, movedNote(n.StrOpNode, moved)
		}
	case ast.Has:
		if moved, ok := movedTo(n.StrOpNode); ok {
			return ast.Has{StrOpNode: moved}, movedNote(n.StrOpNode, moved)
		}
	case ast.Value:
		if uid, ok := n.Value.(types.EntityUID); ok {
			if whole, ok := c.qualified(uid); ok {
				return ast.Value{Value: whole}, readAs(uidText(uid), uidText(whole))
			}
		}
	}
	return n, ""
}

func principalIn(uid types.EntityUID) ast.Node {
	return ast.In{BinaryNode: ast.BinaryNode{Left: ast.Variable{Name: "principal"}, Right: ast.Value{Value: uid}}}
}

func isNamed(n ast.Node, variable types.String) bool {
	v, ok := n.(ast.Variable)
	return ok && v.Name == variable
}

// comparedClient is the Client that the principal is compared with.
func comparedClient(n ast.BinaryNode) (types.EntityUID, bool) {
	other := n.Right
	if !isNamed(n.Left, "principal") {
		if !isNamed(n.Right, "principal") {
			return types.EntityUID{}, false
		}
		other = n.Left
	}
	v, ok := other.(ast.Value)
	if !ok {
		return types.EntityUID{}, false
	}
	uid, ok := v.Value.(types.EntityUID)
	return uid, ok && uid.Type == "Client"
}

// hasClient reports whether n is a list of entities with a Client in it.
func hasClient(n ast.Node) bool {
	set, ok := n.(ast.Set)
	if !ok {
		return false
	}
	return slices.ContainsFunc(set.Elements, func(n ast.Node) bool {
		v, _ := n.(ast.Value)
		uid, ok := v.Value.(types.EntityUID)
		return ok && uid.Type == "Client"
	})
}

// movedTo is where an attribute is that ToolHive has elsewhere.
func movedTo(n ast.StrOpNode) (ast.StrOpNode, bool) {
	switch {
	case isNamed(n.Arg, "resource") && strings.HasPrefix(string(n.Value), ArgumentPrefix):
		return ast.StrOpNode{Arg: ast.Variable{Name: "context"}, Value: n.Value}, true
	case isNamed(n.Arg, "context") && strings.HasPrefix(string(n.Value), ClaimPrefix):
		return ast.StrOpNode{Arg: ast.Variable{Name: "principal"}, Value: n.Value}, true
	}
	return n, false
}

func movedNote(from, to ast.StrOpNode) string {
	return readAs(fmt.Sprintf("%s.%s", from.Arg.(ast.Variable).Name, from.Value), fmt.Sprintf("%s.%s", to.Arg.(ast.Variable).Name, to.Value))
}

// qualified is a tool, prompt or resource that is named without an upstream, with
// the only one that it can be of.
func (c *check) qualified(uid types.EntityUID) (types.EntityUID, bool) {
	only := c.reader.options.Only
	if only == "" || !isObject(uid.Type) || c.labelled(uid) {
		return uid, false
	}
	if label, _, ok := strings.Cut(string(uid.ID), "/"); ok && uid.Type != "Resource" && c.nearLabel(label) != "" {
		return uid, false // a misspelt label, of which check complains
	}
	return types.NewEntityUID(uid.Type, types.String(only+"/"+string(uid.ID))), true
}

func isObject(t types.EntityType) bool { return t == "Tool" || t == "Prompt" || t == "Resource" }

// labelled reports whether the id begins with an upstream's label.
func (c *check) labelled(uid types.EntityUID) bool {
	label, _, ok := strings.Cut(string(uid.ID), "/")
	o := &c.reader.options
	return ok && (slices.Contains(o.Upstreams, label) || label == o.Only)
}

func (c *check) nearLabel(label string) string { return near(label, c.reader.options.Upstreams) }

// uidText is an entity as it is written.
func uidText(uid types.EntityUID) string { return string(uid.MarshalCedar()) }
