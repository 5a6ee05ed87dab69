package explain

import (
	"slices"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// An Other is a permit that is about an object, but for others than a caller.
type Other struct {
	Policy *source.Policy
	Needs  string // what is not so, in a sentence without a full stop
}

// Others are the permits about o that p can never satisfy for who p is and what is
// known of the circumstances, and what would have to be otherwise. There are none for a template, or where nothing can be decided
// about p.
func (x *Explainer) Others(p *policy.Principal, o *policy.Object) []Other {
	l := x.outlook(p, o)
	if l.Denied != "" || l.AnyResource {
		return nil
	}
	b := newBuilder(l)
	var all []Other
	for _, of := range x.engine.Policies() {
		if !of.Permit || of.Observe || !applies(of, l.Env) {
			continue
		}
		asked := slices.DeleteFunc(operandsOfWhole(of), func(n ast.Node) bool { return !b.never(n) })
		if missing := lacksAll(asked, l.Env); len(missing) > 0 && costOf(missing) < costResource {
			all = append(all, Other{of, listed(unique(missing), "and")})
		}
	}
	return all
}

// never reports whether a condition never holds, whatever is not known yet.
func (b *builder) never(n ast.Node) bool {
	b.steps = 0
	r := b.result(n)
	return !r.fallible && simplify(r.yes) == falsity
}

// operandsOfWhole are all conditions of a policy, that of its scope first.
func operandsOfWhole(p *source.Policy) []ast.Node {
	nodes := conjunctsOf(p)
	if n := scopeNode("principal", p.AST.Principal); n != nil {
		nodes = append([]ast.Node{n}, nodes...)
	}
	return nodes
}
