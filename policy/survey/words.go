package survey

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/source"
)

// An Access says in words who may use one thing.
type Access struct {
	// Words say it by what policies mention, such as "anyone in Group platform, but not
	// with Role guest". Each is a sentence without a full stop.
	Words []string
	// Others are the permits that nobody who was asked about satisfies, and what each
	// needs.
	Others []explain.Other
}

// Who says in words who may use an object, by the callers that policies speak of. Two of
// them are also asked about as one, such as somebody in two groups.
func Who(e *policy.Engine, callers []Caller, about *policy.Object, o Options) Access {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	w := &wording{surveyor: newSurveyor(e, o), about: about, used: map[*source.Policy]bool{}}
	for _, c := range callers {
		if !c.IsSpokenOf() {
			continue
		}
		a := w.ask(c)
		switch {
		case c.Sort == Anybody:
			w.anybody = a
		case a.Outcome == explain.Never:
			w.denied = append(w.denied, c)
		default:
			w.allowed = append(w.allowed, answered{answer: a, callers: []Caller{c}})
		}
	}
	return Access{w.words(), w.others()}
}

// A wording finds words for who may use something.
type wording struct {
	*surveyor
	about   *policy.Object
	anybody *explain.Answer
	allowed []answered
	denied  []Caller
	used    map[*source.Policy]bool // permits that somebody satisfies
}

// answered are callers with the same answer, but for those who are somebody else, too.
type answered struct {
	answer  *explain.Answer
	callers []Caller
	but     []Caller
}

// clause says who they are.
func (a answered) clause(and string) string {
	return "anyone " + named(a.callers, and) + except(a.but) + withCondition(a.answer)
}

func (w *wording) ask(c Caller) *explain.Answer {
	a := w.asker(c).of(w.about)
	for _, p := range a.Permits {
		w.used[p.Policy] = true
	}
	return a
}

func (w *wording) words() []string {
	if w.anybody == nil || w.anybody.Outcome == explain.Never {
		return w.some()
	}
	clauses := []string{"anyone" + except(w.denied) + withCondition(w.anybody)}
	for _, same := range alike(w.allowed) {
		if same.answer.Sentence() != w.anybody.Sentence() {
			clauses = append(clauses, same.clause("or"))
		}
	}
	return clauses
}

// some are the words where not everybody may.
func (w *wording) some() []string {
	var clauses []string
	together := w.pairs()
	for _, same := range alike(w.allowed) {
		clauses = append(clauses, same.clause("or"))
	}
	for _, two := range together {
		clauses = append(clauses, two.clause("and also"))
	}
	if clauses == nil {
		clauses = []string{"nobody of those that policies speak of"}
	}
	return clauses
}

// withCondition says on which condition, if there is one.
func withCondition(a *explain.Answer) string {
	if a.Outcome == explain.Always {
		return ""
	}
	if unless, ok := strings.CutPrefix(a.Sentence(), "always, "); ok {
		return ", " + unless
	}
	return " " + a.Sentence()
}

func except(callers []Caller) string {
	if len(callers) == 0 {
		return ""
	}
	return ", but not " + named(callers, "or")
}

// maxPaired bounds how many callers are asked about two at a time.
const maxPaired = 100

// pairs are two callers who together may what none of them may alone. It also finds
// those who may not whoever else they are.
func (w *wording) pairs() (together []answered) {
	denied := w.denied[:min(len(w.denied), maxPaired)]
	for i, b := range denied {
		for j := range w.allowed[:min(len(w.allowed), maxPaired)] {
			a := &w.allowed[j]
			if both, ok := joined(a.callers[0], b); ok && w.ask(both).Outcome == explain.Never {
				a.but = append(a.but, b)
			}
		}
		for _, c := range denied[i+1:] {
			if both, ok := joined(b, c); ok {
				if a := w.ask(both); a.Outcome != explain.Never {
					together = append(together, answered{answer: a, callers: []Caller{b, c}})
				}
			}
		}
	}
	return together
}

// joined is somebody who is both callers; ok is false if nobody can be.
func joined(a, b Caller) (Caller, bool) {
	if a.App != "" && b.App != "" || a.Sort == OfPerson && b.Sort == OfPerson || a.Workload != b.Workload && (a.Sort == OfPerson || b.Sort == OfPerson) {
		return Caller{}, false
	}
	p := persona.Persona{
		Name: a.Name + " and " + b.Name, ID: a.ID, App: a.App + b.App,
		Groups: slices.Concat(a.Groups, b.Groups), Roles: slices.Concat(a.Roles, b.Roles),
		Guest: a.Guest || b.Guest, Workload: a.Workload || b.Workload,
	}
	if b.Sort == OfPerson {
		p.ID = b.ID
	}
	return Caller{&p, Made}, true
}

// alike puts callers together of whom the same is to be said.
func alike(all []answered) []answered {
	var made []answered
	for _, a := range all {
		i := slices.IndexFunc(made, func(o answered) bool {
			return o.answer.Sentence() == a.answer.Sentence() && named(o.but, "or") == named(a.but, "or")
		})
		if i < 0 {
			made = append(made, answered{a.answer, slices.Clone(a.callers), a.but})
			continue
		}
		made[i].callers = append(made[i].callers, a.callers...)
	}
	return made
}

// others are the permits that nobody satisfies.
func (w *wording) others() []explain.Other {
	anybody := w.asker(Caller{&persona.Persona{Name: "anybody", ID: "somebody"}, Anybody})
	all := anybody.explainer.Others(anybody.principal, w.about)
	return slices.DeleteFunc(all, func(o explain.Other) bool { return w.used[o.Policy] })
}

// named are callers as they stand behind "anyone", such as in Group a or b. Those of one
// sort share the word before them, unless somebody has to be both.
func named(callers []Caller, word string) string {
	var parts []string
	for i := 0; i < len(callers); {
		same := 1
		for word == "or" && i+same < len(callers) && callers[i+same].prefix() == callers[i].prefix() {
			same++
		}
		var names []string
		for _, c := range callers[i : i+same] {
			names = append(names, strings.TrimPrefix(c.Name, c.noun()))
		}
		parts = append(parts, callers[i].prefix()+listed(bounded(names), word))
		i += same
	}
	return listed(parts, word)
}

// maxListed bounds how many names are in one sentence.
const maxListed = 30

func bounded(names []string) []string {
	if len(names) <= maxListed {
		return names
	}
	return append(slices.Clone(names[:maxListed-1]), fmt.Sprintf("%d others", len(names)-maxListed+1))
}

// noun is what begins the name of a caller who is made of what policies say, such as
// Group.
func (c Caller) noun() string {
	switch c.Sort {
	case OfGroup:
		return "Group "
	case OfRole:
		return "Role "
	case OfApp:
		return "App "
	}
	return ""
}

// prefix stands before the name of a caller, or before those of several.
func (c Caller) prefix() string {
	switch c.Sort {
	case OfGroup:
		return "in " + c.noun()
	case OfRole, OfApp:
		return "with " + c.noun()
	}
	return "who is "
}

// listed joins names.
func listed(all []string, word string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + " " + word + " " + all[last]
}
