package check

import "github.com/mcpagg/mcpagg/policy/syntax"

// hasSteps are the names that has asks for one after the other.
func hasSteps(n *syntax.Node) []hasStep {
	steps := make([]hasStep, 0, len(n.Path))
	base := n.Args[0]
	for _, name := range n.Path {
		steps = append(steps, hasStep{base, name.Text, name.Span})
		base = &syntax.Node{Kind: syntax.Attribute, Name: name.Text, NameSpan: name.Span, Span: syntax.Span{Start: base.Start, End: name.End}, Args: []*syntax.Node{base}}
	}
	return steps
}
