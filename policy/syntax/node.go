package syntax

import "github.com/cedar-policy/cedar-go/types"

// A Kind is what a node is.
type Kind int

// The kinds of nodes, with what they have beside their place and arguments.
const (
	Literal    Kind = iota // a number, text, true or false: Value
	EntityRef              // Type::"id": Value, the type in Name, and IDSpan
	Variable               // principal, action, resource or context: Name
	If                     // three arguments
	Or                     // Name is ||
	And                    // Name is &&
	Not                    // Name is !
	Negate                 // Name is -
	Compare                // Name is the operator
	Arithmetic             // Name is + - or *
	In                     // Name is in
	Is                     // the type in Name; a second argument after in
	Has                    // the attribute in Name, and all of a.b.c in Path
	Like                   // Pattern, with its place in NameSpan
	Attribute              // a.name: Name
	Index                  // a["name"]: Name
	Method                 // a.name(…): Name; a is the first argument
	Function               // name(…): Name
	Set                    // [ … ]
	Record                 // { … }: Keys, one for each argument
	Paren                  // ( … )
)

// A Node is a part of a condition.
type Node struct {
	Kind Kind
	Span
	Name     string
	NameSpan Span        // with its quotes, where it is a text
	Value    types.Value // nil where the kind has none
	IDSpan   Span        // of an entity's id, with its quotes
	Pattern  types.Pattern
	Path     []Name
	Keys     []Name
	Args     []*Node
}

// A Name is one with its place, with the quotes where it is a text.
type Name struct {
	Text string
	Span
}

// Walk calls f for a node and, where that is true, for those below it.
func Walk(n *Node, f func(*Node) bool) {
	if !f(n) {
		return
	}
	for _, a := range n.Args {
		Walk(a, f)
	}
}
