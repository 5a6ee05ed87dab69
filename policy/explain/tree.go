package explain

import (
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// A Node is a part of a condition, with what it comes to for one request.
type Node struct {
	Text string `json:"text"` // in Cedar
	// Value is what it comes to, in Cedar, such as true; "" if it cannot be evaluated,
	// or need not be.
	Value string `json:"value,omitempty"`
	// Error says why it cannot be evaluated.
	Error string `json:"error,omitempty"`
	// Skipped says that it was not looked at, since the parts before it decided.
	Skipped bool `json:"skipped,omitempty"`
	// Parts are the conditions that it is made of, or the values that it looks at.
	Parts []*Node `json:"parts,omitempty"`

	value types.Value // nil if there is none
}

// Is reports whether it came to true.
func (n *Node) Is() bool { return n.Value == "true" }

// maxValue bounds the text of a value, in bytes.
const maxValue = 300

// tree is a condition with what each of its parts comes to.
func tree(n ast.Node, env ast.Env) *Node {
	made := &Node{Text: ast.Text(n)}
	v, err := ast.Eval(n, env)
	made.come(v, err)
	switch n := n.(type) {
	case ast.And:
		made.Parts = junctionTree(operandsOfSame(n), env, false)
	case ast.Or:
		made.Parts = junctionTree(operandsOfSame(n), env, true)
	case ast.Not:
		made.Parts = []*Node{tree(n.Arg, env)}
	case ast.IfThenElse:
		made.Parts = choiceTree(n, env)
	case ast.Has: // of which the record says no more
	default:
		made.Parts = leaves(n, env)
	}
	return made
}

func (n *Node) come(v types.Value, err error) {
	if err != nil {
		n.Error = reasonOf(err)
		return
	}
	n.Value, n.value = bounded(valueText(v)), v
}

// junctionTree are the operands of && and ||: after one that is stop, and one that
// fails, the others are not looked at.
func junctionTree(operands []ast.Node, env ast.Env, stop bool) []*Node {
	var parts []*Node
	for i, o := range operands {
		part := tree(o, env)
		parts = append(parts, part)
		if part.Error != "" || part.Is() == stop {
			for _, rest := range operands[i+1:] {
				parts = append(parts, &Node{Text: ast.Text(rest), Skipped: true})
			}
			break
		}
	}
	return parts
}

func choiceTree(n ast.IfThenElse, env ast.Env) []*Node {
	cond := tree(n.If, env)
	switch {
	case cond.Error != "":
		return []*Node{cond}
	case cond.Is():
		return []*Node{cond, tree(n.Then, env)}
	}
	return []*Node{cond, tree(n.Else, env)}
}

// operandsOfSame are the operands of a && or ||, also of those in it.
func operandsOfSame(n ast.Node) []ast.Node {
	var all []ast.Node
	_, conjunction := n.(ast.And)
	todo := []ast.Node{n}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch n := n.(type) {
		case ast.And:
			if conjunction {
				todo = append(todo, n.Right, n.Left)
				continue
			}
		case ast.Or:
			if !conjunction {
				todo = append(todo, n.Right, n.Left)
				continue
			}
		}
		all = append(all, n)
	}
	return all
}

// leaves are the values that a relation looks at and that are not written out in it.
func leaves(n ast.Node, env ast.Env) []*Node {
	var all []*Node
	seen := map[string]bool{}
	ast.Inspect(n, func(at ast.Node) bool {
		switch at := at.(type) {
		case ast.Variable:
			if at.Name == "context" {
				return false
			}
		case ast.Access, ast.GetTag:
		default:
			return true
		}
		leaf := &Node{Text: ast.Text(at)}
		if leaf.Text == ast.Text(n) || seen[leaf.Text] {
			return false
		}
		seen[leaf.Text] = true
		v, err := ast.Eval(at, env)
		leaf.come(v, err)
		if uid, ok := v.(types.EntityUID); ok && leaf.Text == "principal" {
			leaf.Value = bounded(withParents(uid, env))
		}
		all = append(all, leaf)
		return false
	})
	return all
}

// withParents is an entity with what it is in.
func withParents(uid types.EntityUID, env ast.Env) string {
	var parents []string
	if entity, ok := env.Entities.Get(uid); ok {
		for above := range entity.Parents.All() {
			parents = append(parents, above.String())
		}
	}
	if parents == nil {
		return uid.String() + ", in nothing that policies name"
	}
	slices.Sort(parents)
	return uid.String() + ", in " + strings.Join(parents, ", ")
}

// valueText is a value as Cedar has it, always in the same way.
func valueText(v types.Value) string { return ast.Text(nodeOf(v)) }

func bounded(text string) string {
	if len(text) <= maxValue {
		return text
	}
	return strings.ToValidUTF8(text[:maxValue], "") + "…"
}

// reasonOf says why something cannot be evaluated, in a few words.
func reasonOf(err error) string {
	text := err.Error()
	if _, name, ok := strings.Cut(text, "does not have the attribute"); ok {
		return bounded("there is no" + name)
	}
	return bounded(text)
}
