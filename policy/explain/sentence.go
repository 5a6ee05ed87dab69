package explain

import (
	"slices"
	"strings"
)

// Sentence says the condition in English, without a full stop.
func (a *Answer) Sentence() string {
	switch {
	case a.Outcome == Always:
		return "always"
	case a.Outcome == Never:
		return "never: " + a.Why
	case a.Template:
		return "only some resources of the template: ask about one of them by its URI"
	}
	when, unless := a.clauses()
	text := "always"
	if when != nil {
		text = "only when " + listed(when, "and")
	}
	if unless == nil {
		return text
	}
	return text + ", unless " + listed(unless, "or")
}

// clauses are what must hold, and what must not.
func (a *Answer) clauses() (when, unless []string) {
	var any []*form
	for _, p := range a.Permits {
		any = append(any, p.form)
	}
	permitted := simplify(either(any...))
	facts := (&facts{}).with(conjuncts(permitted))
	switch permitted.sort {
	case every:
		when = permitted.phrases(nil)
	case literal, some:
		when = append(when, permitted.phrase(nil, false))
	}
	for _, name := range a.targets {
		when = append(when, is(targetAtom(name)).phrase(nil, true))
	}
	for _, lets := range a.leftOf(permitted, facts) {
		for _, f := range lets.conjuncts() {
			if forbidden := not(f); f.negations() <= forbidden.negations() {
				when = append(when, f.phrase(facts, true))
			} else {
				unless = append(unless, forbidden.phrase(facts, true))
			}
		}
	}
	return when, unless
}

// conjuncts are the forms that all have to hold.
func (f *form) conjuncts() []*form {
	if f.sort == every {
		return f.args
	}
	return []*form{f}
}

// leftOf are the forms that forbids leave of what is permitted, each once.
func (a *Answer) leftOf(permitted *form, k *facts) []*form {
	var all []*form
	for _, p := range a.Forbids {
		f := simplify(p.form.shorten(k))
		known := func(o *form) bool { return o.implies(f) }
		if !known(permitted) && !slices.ContainsFunc(all, known) {
			all = append(all, f)
		}
	}
	return all
}

// negations counts the literals that say no.
func (f *form) negations() int {
	if f.sort == literal && !f.yes {
		return 1
	}
	n := 0
	for _, a := range f.args {
		n += a.negations()
	}
	return n
}

// phrase says a form in English where the facts hold. Within others, parts are set off.
func (f *form) phrase(k *facts, within bool) string {
	switch f.sort {
	case constant:
		return pick(f.yes, "anything", "nothing")
	case literal:
		return f.phraseLiteral(k)
	}
	parts := f.phrases(k)
	text := listed(parts, pick(f.sort == every, "and", "or"))
	if within && len(parts) > 1 {
		return "(" + text + ")"
	}
	return text
}

// phrases say what is joined.
func (f *form) phrases(k *facts) []string {
	var parts []string
	for _, a := range guardsFirst(f) {
		if !f.saysAlready(a) {
			parts = append(parts, a.phrase(k, true))
		}
		if f.sort == some {
			a = not(a)
		}
		if literals := conjuncts(a); literals != nil {
			k = k.with(literals)
		}
	}
	return parts
}

// saysAlready reports whether another argument says of a that it is there.
func (f *form) saysAlready(a *form) bool {
	if f.sort != every || a.sort != literal || !a.atom.has || !a.yes {
		return false
	}
	return slices.ContainsFunc(f.args, func(o *form) bool { return o != a && o.sort == literal && o.yes && o.atom.depends(a.atom) })
}

// listed joins phrases.
func listed(all []string, word string) string {
	if len(all) < 3 {
		return strings.Join(all, " "+word+" ")
	}
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + ", " + word + " " + all[last]
}
