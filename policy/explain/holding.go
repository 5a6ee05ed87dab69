package explain

import (
	"slices"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// Holding are the arguments, in order, that policies look at and whose values Cedar may
// not be able to hold, such as an integer beyond 2^63, a number with more than four
// decimals, or a date that is none: a request with such a value is denied, whatever an
// [Answer] says.
func (x *Explainer) Holding(p *policy.Principal, o *policy.Object) []string {
	l := x.engine.Outlook(p, o)
	if l.Denied != "" {
		return nil
	}
	looked, all := l.Arguments()
	var names []string
	for _, f := range o.Shape().Input.Fields {
		if (all || slices.Contains(looked, f.Name)) && mayNotFit(f.Type) {
			names = append(names, f.Name)
		}
	}
	return names
}

// mayNotFit reports whether some value that a schema allows is none of the type.
func mayNotFit(t *typed.Type) bool {
	switch t.Kind {
	case typed.String, typed.Bool:
		return false
	case typed.Set:
		return t.Elem == nil || mayNotFit(t.Elem)
	case typed.Record:
		return slices.ContainsFunc(t.Fields, func(f typed.Field) bool { return mayNotFit(f.Type) })
	}
	return true
}
