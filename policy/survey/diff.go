package survey

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/policy/explain"
)

// A Kind of changes says in which way something else is allowed.
type Kind string

// The kinds of changes, in the order in which they are shown.
const (
	Allowed     Kind = "allowed"     // what was never allowed is, at least at times
	Denied      Kind = "denied"      // the other way round
	Wider       Kind = "wider"       // allowed where it was, and where it was not
	Narrower    Kind = "narrower"    // the other way round
	Changed     Kind = "changed"     // another condition, of which nothing of this can be said
	Obligations Kind = "obligations" // allowed in the same cases, but other bounds hold then
)

// Kinds are all of them, in order.
func Kinds() []Kind { return []Kind{Allowed, Denied, Wider, Narrower, Changed, Obligations} }

// A Change is one that is the same for some callers and some rows.
type Change struct {
	Kind          Kind
	Before, After *explain.Answer
	// BeforeObligations and AfterObligations are what holds for what is allowed, in words.
	// They are nil where that is the same, or nothing was allowed or is.
	BeforeObligations, AfterObligations []string
	Callers                             []Caller
	Rows                                []Row
}

// Pairs is how many pairs of a caller and a row it is about.
func (c *Change) Pairs() int { return len(c.Callers) * len(c.Rows) }

// A Diff is what is different between two maps.
type Diff struct {
	Callers []Caller
	Rows    []Row
	Changes []Change // by kind, and those of the most pairs first
}

// Pairs counts the pairs of a caller and a row whose change is of that kind.
func (d *Diff) Pairs(k Kind) int {
	n := 0
	for i := range d.Changes {
		if d.Changes[i].Kind == k {
			n += d.Changes[i].Pairs()
		}
	}
	return n
}

// Compare finds what is different between the maps of two engines, which have to be of
// the same callers and rows. Conditions are compared as far as their simplified forms
// say; where that leaves open whether they are the same, they are different.
func Compare(before, after *Map) *Diff {
	d := &Diff{Callers: before.Callers, Rows: before.Rows}
	c := comparer{known: map[[2]*explain.Answer]int{}, byText: map[string]int{}}
	groups := map[string]int{} // places in Changes
	for r, row := range before.Rows {
		found := map[int][]int{} // callers by the change
		for caller := range before.Callers {
			if i := c.change(before.At(caller, r), after.At(caller, r)); i >= 0 {
				found[i] = append(found[i], caller)
			}
		}
		for i, callers := range found {
			key := strconv.Itoa(i) + keyOf(callers)
			at, ok := groups[key]
			if !ok {
				at = len(d.Changes)
				groups[key] = at
				d.Changes = append(d.Changes, d.changed(c.changes[i], callers))
			}
			d.Changes[at].Rows = append(d.Changes[at].Rows, row)
		}
	}
	slices.SortStableFunc(d.Changes, byWeight)
	return d
}

// changed is a change for some callers, by their places.
func (d *Diff) changed(c Change, callers []int) Change {
	for _, i := range callers {
		c.Callers = append(c.Callers, d.Callers[i])
	}
	return c
}

func keyOf(callers []int) string {
	var key strings.Builder
	for _, i := range callers {
		key.WriteString("," + strconv.Itoa(i))
	}
	return key.String()
}

func byWeight(a, b Change) int {
	return cmp.Or(
		slices.Index(Kinds(), a.Kind)-slices.Index(Kinds(), b.Kind),
		b.Pairs()-a.Pairs(),
		cmp.Compare(a.Rows[0].Object.Origin(), b.Rows[0].Object.Origin()),
		cmp.Compare(a.Callers[0].Name, b.Callers[0].Name),
		cmp.Compare(a.text(), b.text()),
	)
}

// text is the same for changes that read the same.
func (c *Change) text() string {
	return strings.Join(slices.Concat([]string{string(c.Kind), c.Before.Sentence(), c.Before.Condition(), c.After.Sentence(), c.After.Condition()}, c.BeforeObligations, c.AfterObligations), "\x00")
}

// A comparer remembers what it compared: few answers are different.
type comparer struct {
	changes []Change // without callers and rows
	known   map[[2]*explain.Answer]int
	byText  map[string]int
}

// change is the place of the change between two answers, -1 if there is none.
func (c *comparer) change(before, after *explain.Answer) int {
	pair := [2]*explain.Answer{before, after}
	if i, ok := c.known[pair]; ok {
		return i
	}
	c.known[pair] = -1
	if made, ok := between(before, after); ok {
		text := made.text()
		i, ok := c.byText[text]
		if !ok {
			i = len(c.changes)
			c.byText[text] = i
			c.changes = append(c.changes, made)
		}
		c.known[pair] = i
	}
	return c.known[pair]
}

// between is the change from one answer to another; ok is false if there is none.
func between(before, after *explain.Answer) (c Change, ok bool) {
	c = Change{Before: before, After: after}
	was, is := before.Outcome != explain.Never, after.Outcome != explain.Never
	switch {
	case !was && !is:
		return c, false
	case !was:
		c.Kind = Allowed
	case !is:
		c.Kind = Denied
	case after.Covers(before) && before.Covers(after):
		c.Kind = Obligations
		return c, c.withObligations(true)
	case after.Covers(before):
		c.Kind = Wider
	case before.Covers(after):
		c.Kind = Narrower
	default:
		c.Kind = Changed
	}
	if was && is {
		c.withObligations(false)
	}
	return c, true
}

// withObligations notes those of both answers, and reports whether they differ. When they
// hold only counts where the conditions are the same.
func (c *Change) withObligations(conditions bool) bool {
	before, after := obligations(c.Before, conditions), obligations(c.After, conditions)
	if slices.Equal(before, after) {
		return false
	}
	c.BeforeObligations, c.AfterObligations = before, after
	return true
}

// obligations are what holds for what an answer's permits allow, in words, each with the
// condition under which it does, where that is asked for and not all there is.
func obligations(a *explain.Answer, conditions bool) []string {
	var all []string
	for _, p := range a.Permits {
		when := ""
		if text := p.Condition(); conditions && text != "true" && text != a.Condition() {
			when = " (when " + text + ")"
		}
		for _, words := range p.Policy.Obligations.Words() {
			all = append(all, words+when)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
