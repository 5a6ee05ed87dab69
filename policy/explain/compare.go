package explain

import (
	"slices"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// Covers reports whether a allows whatever b does. It may say no where that is so, since
// it compares what conditions say, and not all that follows from them. Both have to be
// about the same requests, by the same or by another engine with the same facts.
func (a *Answer) Covers(b *Answer) bool {
	switch {
	case b.Outcome == Never || a.Outcome == Always:
		return true
	case a.Outcome == Never:
		return false
	case a.Template || b.Template:
		return a.Template && b.Template && samePolicies(a, b)
	case b.Outcome == Always:
		return false
	case a.form.fallible() || b.form.fallible():
		return a.form.onFail() == b.form.onFail()
	}
	return b.form.implies(a.form)
}

// samePolicies reports whether answers about templates, of which no condition is known,
// are by policies of the same conditions.
func samePolicies(a, b *Answer) bool {
	same := func(p, q Part) bool { return slices.Equal(textsOf(p), textsOf(q)) }
	return slices.EqualFunc(a.Permits, b.Permits, same) && slices.EqualFunc(a.Forbids, b.Forbids, same)
}

// textsOf is a policy without its name and place.
func textsOf(p Part) []string {
	texts := make([]string, 0, 8)
	for _, n := range append(operandsOfWhole(p.Policy), scopeNode("resource", p.Policy.AST.Resource)) {
		if n != nil {
			texts = append(texts, ast.Text(n))
		}
	}
	return texts
}

// onFail is the key of a form, and what its parts are where they cannot be evaluated.
func (f *form) onFail() string {
	key := f.key
	f.each(func(a *atom) {
		key += pick(a.onFail, "1", "0")
	})
	return key
}

// each calls do for each atom, in order.
func (f *form) each(do func(*atom)) {
	if f.sort == literal {
		do(f.atom)
	}
	for _, a := range f.args {
		a.each(do)
	}
}
