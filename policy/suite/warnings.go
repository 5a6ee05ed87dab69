package suite

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mcpagg/mcpagg/policy/block"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/source"
)

// Warnings are personas in a group that nobody knows, where the name looks like a
// misspelt one: what tests say of such a persona may mean little.
func (s *Suite) Warnings(o Options) []source.Mistake {
	known := slices.Collect(maps.Keys(o.Groups))
	for _, p := range persona.Atoms(o.Policy.Policies) {
		known = append(known, p.Groups...)
	}
	slices.Sort(known)
	var all []source.Mistake
	for _, p := range s.Personas {
		for _, g := range p.Groups {
			if meant := block.Near(g, known); meant != "" {
				all = append(all, source.Mistake{
					File: p.File, Line: p.Line, Column: 1,
					Text:   fmt.Sprintf("the persona %s is in the group %s, which neither a policy nor the configuration names", block.Quote(p.Name), block.Quote(g)),
					Remedy: fmt.Sprintf("did you mean %s?", block.Quote(meant)),
				})
			}
		}
	}
	return all
}
