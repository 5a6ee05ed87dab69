package check

import "github.com/mcpagg/mcpagg/policy/syntax"

// hasSteps are the names that has asks for one after the other.
func hasSteps(n *syntax.Node) []hasStep {
	return []hasStep{{n.Args[0], n.Name, n.NameSpan}}
}
