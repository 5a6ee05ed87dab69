package policy

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A Decision is what the policies say of one request.
type Decision struct {
	// Allow says that the request may go on, WouldDeny that it may only because
	// the denial is not enforced.
	Allow, WouldDeny bool
	// Reasons are the policies that decided, in the order of their files: the
	// forbids of a denial, the permits of an allowance. A denial without any is
	// for want of a permit, or for what Why says.
	Reasons []Reason
	// Errors are the policies that could not be evaluated.
	Errors []Reason
	// Observed are satisfied policies that are not in effect.
	Observed []Reason
	// Why says for operators, in a few words, why it is denied.
	Why string
	// Message is for the caller who is denied; "" for none. Told is the id of the
	// policy whose message it is, "" for the one of all policies.
	Message, Told string
	// Obligations are those of all satisfied permits: all of them hold.
	Obligations source.Obligations
	// Candidate is what the candidate set decides, where it is something else.
	Candidate *Decision
	Digest    string // of the policies

	looked looked
}

// A Reason is a policy that matters to a decision.
type Reason struct {
	ID    string `json:"id"`
	File  string `json:"file"`
	Line  int    `json:"line"`
	Error string `json:"error,omitempty"` // why it could not be evaluated
}

// looked is what a decision was made of.
type looked struct {
	class   *class
	about   *about
	reads   *reads
	context types.Record
	asked   bool // context could be made
}

// Decide decides one request.
func (e *Engine) Decide(r *Request) *Decision {
	d := e.decide(r, r.Principal.Auth)
	if e.candidate != nil {
		if other := e.candidate.decide(r, r.Principal.Auth); other.denies() != d.denies() {
			d.Candidate = other
		}
	}
	return d
}

func (d *Decision) denies() bool { return !d.Allow || d.WouldDeny }

func (e *Engine) decide(r *Request, auth Auth) *Decision {
	d := &Decision{Digest: e.o.Digest}
	if why := e.GroupsNeeded(r.Principal); why != "" {
		return e.deny(d, r, "the caller's groups are not known: "+why, nil)
	}
	if r.Object.template { // of which resource it is, and so what is forbidden, is not known
		return e.deny(d, r, "a template is no resource", nil)
	}
	if r.Object.disguised {
		return e.deny(d, r, "the URI has a simpler spelling", nil)
	}
	c := e.classOf(r.Principal)
	ruling := c.ruling(r.Object)
	d.looked = looked{class: c, about: ruling.about, reads: &ruling.reads}
	context, err := e.context(r, auth, c.app, ruling.about, &ruling.reads)
	if err != nil {
		return e.deny(d, r, "policies cannot be asked: "+err.Error(), nil)
	}
	d.looked.context, d.looked.asked = context, true
	q := question{
		engine:   e,
		entities: &world{class: c, about: ruling.about},
		request:  cedar.Request{Principal: c.entity.UID, Action: actions[r.Object.kind], Resource: r.Object.entity.UID, Context: context},
	}
	for i := range ruling.shadows { // one by one, since a forbid leaves out the permits
		satisfied, _ := q.ask(ruling.shadows[i : i+1])
		d.Observed = append(d.Observed, reasons(satisfied)...)
	}
	permits, failed := q.ask(ruling.permits)
	forbids, broken := q.ask(ruling.forbids)
	d.Errors = errorsOf(slices.Concat(failed, broken))
	switch {
	case len(forbids) > 0:
		return e.deny(d, r, "a policy forbids it", forbids)
	case len(broken) > 0 && !e.o.SkipErrors:
		return e.deny(d, r, "a forbid cannot be evaluated", rulesOf(broken))
	case len(permits) == 0:
		d = e.deny(d, r, "no policy permits it", nil)
		e.tell(d, ruling.permits)
		return d
	}
	d.Allow, d.Reasons = true, reasons(permits)
	for _, p := range permits {
		d.Obligations = d.Obligations.With(p.Obligations)
	}
	return d
}

// deny makes d a denial for what the rules say, or for why if there are none.
func (e *Engine) deny(d *Decision, r *Request, why string, by []*rule) *Decision {
	d.Why, d.Reasons = why, reasons(by)
	e.tell(d, by)
	if e.o.Observe || r.Observed {
		d.Allow, d.WouldDeny = true, true
	}
	return d
}

// tell gives a denial the message of the first rule that has one, or else that of all
// policies. Of the rules that might have permitted a request, it says what is missing.
func (e *Engine) tell(d *Decision, rules []*rule) {
	d.Message, d.Told = e.o.DenyMessage, ""
	for _, r := range rules {
		if r.DenyMessage != "" {
			d.Message, d.Told = r.DenyMessage, r.ID
			return
		}
	}
}

// A question is what rules are asked.
type question struct {
	engine   *Engine
	entities types.EntityGetter
	request  cedar.Request
}

// A failure is a rule that could not be evaluated.
type failure struct {
	rule    *rule
	message string
}

// rules are all permits, or all forbids.
type rules []*rule

// All implements [cedar.PolicyIterator].
func (all rules) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, r := range all {
			if !yield(r.key, r.Compiled) {
				return
			}
		}
	}
}

// ask evaluates rules, and tells which are satisfied and which fail, in order.
func (q *question) ask(all rules) (satisfied []*rule, failed []failure) {
	if len(all) == 0 {
		return nil, nil
	}
	_, diagnostic := cedar.Authorize(all, q.entities, q.request)
	for _, reason := range diagnostic.Reasons {
		satisfied = append(satisfied, q.engine.byKey[reason.PolicyID])
	}
	for _, err := range diagnostic.Errors {
		failed = append(failed, failure{q.engine.byKey[err.PolicyID], err.Message})
	}
	return satisfied, failed
}

func rulesOf(failed []failure) []*rule {
	all := make([]*rule, len(failed))
	for i, f := range failed {
		all[i] = f.rule
	}
	return all
}

// errorsOf are failures in the order of the files.
func errorsOf(failed []failure) []Reason {
	slices.SortFunc(failed, func(a, b failure) int { return cmp.Compare(a.rule.at, b.rule.at) })
	var all []Reason
	for _, f := range failed {
		all = append(all, reasonOf(f.rule, f.message))
	}
	return all
}

func reasons(rules []*rule) []Reason {
	if len(rules) == 0 {
		return nil
	}
	all := make([]Reason, len(rules))
	for i, r := range rules {
		all[i] = reasonOf(r, "")
	}
	return all
}

func reasonOf(r *rule, err string) Reason {
	return Reason{ID: r.ID, File: r.File, Line: r.Line, Error: err}
}

// StepUp is the authentication context, such as "c1", that is all that a denied
// request lacks; "" if more is missing, or it is not denied.
func (e *Engine) StepUp(r *Request, d *Decision) string {
	if !d.denies() {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(e.reads.contexts)) {
		stronger := r.Principal.Auth
		stronger.Contexts = append(slices.Clone(stronger.Contexts), name)
		if !e.decide(r, stronger).denies() {
			return name
		}
	}
	return ""
}

// MayDecide reports whether the principal could be allowed some request about the
// object now, from where it comes. Arguments are not looked at.
func (e *Engine) MayDecide(r *Request) bool {
	if e.o.Observe || r.Observed {
		return true
	}
	if e.GroupsNeeded(r.Principal) != "" {
		return false
	}
	c := e.classOf(r.Principal)
	env := c.env(r.Object.kind)
	about := &reads{}
	about.context.add("app", "auth", "session", "ip", "now")
	bare := *r
	bare.Object = &Object{kind: aResource}
	env.Known, _ = e.context(&bare, r.Principal.Auth, c.app, nil, about) // which fails for arguments only
	return c.sees(c.index(r.Object.kind), env, r.Object)
}

// View says of each object whether some request about it could be allowed to p.
func (e *Engine) View(p *Principal, objects []*Object) []bool {
	view := make([]bool, len(objects))
	if e.o.Observe {
		for i := range view {
			view[i] = true
		}
		return view
	}
	if e.GroupsNeeded(p) != "" {
		return view
	}
	c := e.classOf(p)
	var envs [kinds]*may.Env
	for i, o := range objects {
		if envs[o.kind] == nil {
			envs[o.kind] = c.env(o.kind)
		}
		view[i] = c.sees(c.index(o.kind), envs[o.kind], o)
	}
	return view
}

// ViewKey is equal for principals that have the same view of everything.
func (e *Engine) ViewKey(p *Principal) string {
	switch {
	case e.o.Observe:
		return "observe"
	case e.GroupsNeeded(p) != "":
		return "unknown groups"
	}
	return e.classOf(p).key
}
