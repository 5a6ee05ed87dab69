package explain

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/typed"
)

// maxRounds bounds how often a form is made simpler.
const maxRounds = 8

// simplify is a shorter form that is true in the same cases.
func simplify(f *form) *form {
	for range maxRounds {
		made := f.shorten(&facts{})
		if made.key == f.key || made.size > f.size {
			return f
		}
		f = made
	}
	return f
}

// facts are literals that are known to hold, where something is looked at.
type facts struct {
	above *facts // more of them
	yes   map[string]bool
	kept  map[string][]types.Value // the values that are left for a path
}

// with are facts with those that literals say.
func (k *facts) with(literals []*form) *facts {
	made := &facts{above: k, yes: map[string]bool{}, kept: map[string][]types.Value{}}
	for _, l := range literals {
		made.yes[l.atom.key] = l.yes
		if !l.yes {
			continue
		}
		made.there(l.atom.needs)
		if l.atom.members != nil {
			made.kept[l.atom.path.key] = l.atom.members
		}
	}
	return made
}

func (k *facts) there(needs []*atom) {
	for _, n := range needs {
		k.yes[n.key] = true
		k.there(n.needs)
	}
}

// known is what the facts say of an atom by itself.
func (k *facts) known(key string) (is, ok bool) {
	for ; k != nil; k = k.above {
		if is, ok := k.yes[key]; ok {
			return is, true
		}
	}
	return false, false
}

// has reports whether all of the atoms hold.
func (k *facts) has(needs []*atom) bool {
	return !slices.ContainsFunc(needs, func(n *atom) bool { is, ok := k.known(n.key); return !ok || !is })
}

// values are those that are left for a path.
func (k *facts) values(p *path) ([]types.Value, bool) {
	for ; k != nil; k = k.above {
		if values, ok := k.kept[p.key]; ok {
			return values, true
		}
	}
	return nil, false
}

// of is what a literal comes to.
func (k *facts) of(l *form) *form {
	is, ok := k.ofAtom(l.atom)
	if !ok {
		return l
	}
	return decided(is == l.yes)
}

func (k *facts) ofAtom(a *atom) (is, ok bool) {
	if is, ok := k.known(a.key); ok {
		return is, true
	}
	for _, n := range a.needs {
		if is, ok := k.known(n.key); ok && !is {
			return false, true
		}
	}
	if a.path == nil || a.fallible {
		return false, false
	}
	values, ok := k.values(a.path)
	if !ok || len(values) == 0 {
		return false, false
	}
	return allOf(a, values)
}

// allOf is what an atom says of all values, if it says the same.
func allOf(a *atom, values []types.Value) (is, ok bool) {
	is = a.of(values[0])
	for _, v := range values[1:] {
		if a.of(v) != is {
			return false, false
		}
	}
	return is, true
}

// shorten is one round for a form of which the facts hold.
func (f *form) shorten(k *facts) *form {
	switch f.sort {
	case constant:
		return f
	case literal:
		return shortenAll([]*form{f}, k)
	case some:
		return not(not(f).shorten(k))
	}
	return shortenAll(f.args, k)
}

// shortenAll is one round for forms that all hold.
func shortenAll(args []*form, k *facts) *form {
	var literals, rest []*form
	for _, a := range args {
		if a.sort == literal {
			a = k.of(a)
		}
		switch {
		case a == falsity:
			return falsity
		case a == truth:
		case a.sort == literal:
			literals = append(literals, a)
		default:
			rest = append(rest, a)
		}
	}
	literals, ok := merge(literals, k)
	if !ok {
		return falsity
	}
	within := k.with(literals)
	made := literals
	for _, a := range rest {
		made = append(made, a.shorten(within))
	}
	all := both(made...)
	if all.sort != every || all.size > maxSize {
		return all
	}
	return factor(absorb(order(all.args, args)))
}

// order has forms as they came, as far as they are the same.
func order(made, came []*form) []*form {
	at := func(f *form) int {
		i := slices.IndexFunc(came, func(c *form) bool { return c.key == f.key || c.about(f) })
		if i < 0 {
			return len(came)
		}
		return i
	}
	slices.SortStableFunc(made, func(a, b *form) int { return at(a) - at(b) })
	return made
}

// about reports whether two literals are about the same value.
func (f *form) about(g *form) bool {
	return f.sort == literal && g.sort == literal && f.atom.path != nil && g.atom.path != nil && f.atom.path.key == g.atom.path.key
}

// merge makes few literals of many that all hold; ok is false if they cannot.
func merge(literals []*form, k *facts) (merged []*form, ok bool) {
	k = k.with(literals)
	var byPath [][]*form
	var others []*form
	for _, l := range literals {
		if l.atom.path == nil || l.atom.fallible {
			others = append(others, l)
			continue
		}
		i := slices.IndexFunc(byPath, func(group []*form) bool { return group[0].about(l) })
		if i < 0 {
			byPath = append(byPath, []*form{l})
			continue
		}
		byPath[i] = append(byPath[i], l)
	}
	for _, group := range byPath {
		one, ok := mergePath(group, k)
		if !ok {
			return nil, false
		}
		merged = append(merged, one...)
	}
	return consistent(append(others, merged...))
}

// mergePath merges literals about one value.
func mergePath(group []*form, k *facts) (merged []*form, ok bool) {
	p := group[0].atom.path
	there := k.has(p.needs) || slices.ContainsFunc(group, func(l *form) bool { return l.yes })
	values, finite := candidates(group)
	if p.enumerated() { // others cannot come
		values = slices.DeleteFunc(slices.Clone(values), func(v types.Value) bool {
			text, ok := v.(types.String)
			return !ok || !slices.Contains(p.typ.Enum, string(text))
		})
	}
	if !finite {
		return mergeExcluded(group), true
	}
	kept := slices.DeleteFunc(slices.Clone(values), func(v types.Value) bool {
		return slices.ContainsFunc(group, func(l *form) bool { return l.atom.of(v) != l.yes })
	})
	switch {
	case p.enumerated() && len(kept) == len(p.typ.Enum):
		if there {
			return literalsOf(needed(p.needs)), true
		}
		return nil, true
	case len(kept) == 0 && there:
		return nil, false
	case len(kept) == 0:
		missing := not(needed(p.needs))
		if missing.sort == literal {
			return []*form{missing}, true
		}
		return group, missing != falsity
	case there:
		return []*form{is(membership(p, kept))}, true
	}
	return mergeExcluded(group), true
}

// candidates are the values that may be at the path of some literals, if that is
// known.
func candidates(group []*form) ([]types.Value, bool) {
	for _, l := range group {
		if l.yes && l.atom.members != nil {
			return l.atom.members, true
		}
	}
	p := group[0].atom.path
	if !p.enumerated() {
		return nil, false
	}
	values := make([]types.Value, len(p.typ.Enum))
	for i, text := range p.typ.Enum {
		values[i] = types.String(text)
	}
	return values, true
}

// enumerated reports whether only a few values can be at the path.
func (p *path) enumerated() bool {
	return p.typ != nil && p.typ.Kind == typed.String && len(p.typ.Enum) > 0
}

func literalsOf(f *form) []*form {
	switch f.sort {
	case constant:
		return nil
	case literal:
		return []*form{f}
	}
	return f.args
}

// mergeExcluded makes one literal of those that exclude values.
func mergeExcluded(group []*form) []*form {
	var made []*form
	var excluded []types.Value
	for _, l := range group {
		if l.yes || l.atom.members == nil {
			made = append(made, l)
			continue
		}
		for _, v := range l.atom.members {
			if !slices.ContainsFunc(excluded, v.Equal) {
				excluded = append(excluded, v)
			}
		}
	}
	if excluded != nil {
		made = append(made, not(is(membership(group[0].atom.path, excluded))))
	}
	return made
}

// consistent drops literals that others say already; ok is false if two of them
// cannot both hold.
func consistent(literals []*form) (kept []*form, ok bool) {
	for i, l := range literals {
		others := slices.Concat(literals[:i], literals[i+1:])
		if slices.ContainsFunc(others, func(o *form) bool { return o.implies(not(l)) }) {
			return nil, false
		}
		said := slices.ContainsFunc(literals[i+1:], func(o *form) bool { return o.implies(l) }) ||
			slices.ContainsFunc(kept, func(o *form) bool { return o.implies(l) })
		if !said {
			kept = append(kept, l)
		}
	}
	return kept, true
}

// implies reports whether g holds wherever f does. It may say no where that is so.
func (f *form) implies(g *form) bool {
	switch {
	case f.key == g.key || g == truth || f == falsity:
		return true
	case g.sort == every:
		return !slices.ContainsFunc(g.args, func(g *form) bool { return !f.implies(g) })
	case f.sort == some:
		return !slices.ContainsFunc(f.args, func(f *form) bool { return !f.implies(g) })
	case f.sort == every && slices.ContainsFunc(f.args, func(f *form) bool { return f.implies(g) }):
		return true
	case g.sort == some && slices.ContainsFunc(g.args, func(g *form) bool { return f.implies(g) }):
		return true
	case f.sort == literal && g.sort == literal:
		return f.impliesLiteral(g)
	}
	return false
}

func (f *form) impliesLiteral(g *form) bool {
	if f.yes && !f.atom.fallible && f.atom.members != nil && f.about(g) && !g.atom.fallible {
		is, ok := allOf(g.atom, f.atom.members)
		return ok && is == g.yes
	}
	if !f.yes && !g.yes && f.about(g) && g.atom.members != nil && f.atom.members != nil { // what is excluded more
		return !slices.ContainsFunc(g.atom.members, func(v types.Value) bool { return !slices.ContainsFunc(f.atom.members, v.Equal) })
	}
	if f.about(g) && f.impliesBound(g) {
		return true
	}
	switch {
	case f.yes && g.yes:
		return f.atom.depends(g.atom)
	case !f.yes && !g.yes:
		return g.atom.depends(f.atom)
	}
	return false
}

// depends reports whether a is only true where b is.
func (a *atom) depends(b *atom) bool {
	return slices.ContainsFunc(a.needs, func(n *atom) bool { return n.key == b.key || n.depends(b) })
}

// absorb drops forms that others imply, of some that all hold.
func absorb(args []*form) []*form {
	var kept []*form
	for i, a := range args {
		implied := func(o *form) bool { return o.implies(a) }
		if !slices.ContainsFunc(kept, implied) && !slices.ContainsFunc(args[i+1:], implied) {
			kept = append(kept, a)
		}
	}
	return kept
}

// factor takes what alternatives have in common out of them: (a || b) && (a || c) is
// a || (b && c).
func factor(args []*form) *form {
	for i, f := range args {
		if f.sort != some {
			continue
		}
		for _, common := range f.args {
			var with []int
			for j := i; j < len(args); j++ {
				if args[j].sort == some && slices.ContainsFunc(args[j].args, func(o *form) bool { return o.key == common.key }) {
					with = append(with, j)
				}
			}
			if len(with) > 1 {
				return factored(args, common, with)
			}
		}
	}
	return both(args...)
}

func factored(args []*form, common *form, with []int) *form {
	var rest, made []*form
	for i, a := range args {
		switch {
		case !slices.Contains(with, i):
			made = append(made, a)
			continue
		case i == with[0]:
			made = append(made, nil) // where it goes
		}
		rest = append(rest, either(slices.DeleteFunc(slices.Clone(a.args), func(o *form) bool { return o.key == common.key })...))
	}
	at := slices.Index(made, nil)
	made[at] = either(common, both(rest...))
	return both(made...)
}
