package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// there is a set of attributes and tags that are surely there, by the paths that
// lead to them. It never changes.
type there []string

// and is what is in either.
func (t there) and(other there) there {
	switch {
	case len(other) == 0:
		return t
	case len(t) == 0:
		return other
	}
	all := slices.Clone(t)
	for _, path := range other {
		if !slices.Contains(t, path) {
			all = append(all, path)
		}
	}
	return all
}

// or is what is in both.
func (t there) or(other there) there {
	var both there
	for _, path := range t {
		if slices.Contains(other, path) {
			both = append(both, path)
		}
	}
	return both
}

// attributePath is where an attribute of an expression is. An argument has one,
// however it is spelt: where one is there, its size is there too.
func attributePath(base *syntax.Node, name string) string {
	path := pathOf(base)
	switch {
	case path == "resource" && strings.HasPrefix(name, source.ArgumentPrefix):
		path = "context"
	case path == "context" && strings.HasPrefix(name, source.ClaimPrefix):
		path = "principal"
	}
	if path == "context" {
		if argument, ok := strings.CutPrefix(name, source.ArgumentPrefix); ok {
			return "context\x00input\x00" + strings.TrimSuffix(argument, source.PresentSuffix)
		}
	}
	if path == "context\x00size" {
		path = "context\x00input"
	}
	return path + "\x00" + name
}

func tagPath(base, key *syntax.Node) string { return pathOf(base) + "\x00#" + pathOf(key) }

// pathOf is the same for two expressions if they are the same, wherever they are.
func pathOf(n *syntax.Node) string {
	switch n.Kind {
	case syntax.Paren:
		return pathOf(n.Args[0])
	case syntax.Variable:
		return n.Name
	case syntax.Attribute, syntax.Index:
		return attributePath(n.Args[0], n.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "(%d %s", n.Kind, n.Name)
	if n.Value != nil {
		fmt.Fprintf(&b, " %q", n.Value.MarshalCedar())
	}
	if n.Kind == syntax.Like {
		b.Write(n.Pattern.MarshalCedar())
	}
	for _, step := range n.Path {
		fmt.Fprintf(&b, " %q", step.Text)
	}
	for _, a := range n.Args {
		b.WriteByte(' ')
		b.WriteString(pathOf(a))
	}
	b.WriteByte(')')
	return b.String()
}
