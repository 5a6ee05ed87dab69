package explain

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A Verdict says why one request was decided as it was.
type Verdict struct {
	// Allowed is what policies say, also where that is only observed.
	Allowed bool
	// Why says in a sentence what decided, without a full stop.
	Why string
	// Lacks says of a denial what else would have to be so, "" where nothing can be said.
	Lacks string
	// Nearest is the permit that lacks the least, nil for none.
	Nearest *source.Policy
	// Judged are the policies that might have mattered: first those that decided, and
	// the nearest permit, and of the others those that fail, and are satisfied.
	Judged []Judged
	// StepUp is the authentication context that is all that the request lacks.
	StepUp string
	// Obligations are what holds for the request if it is allowed.
	Obligations source.Obligations
	// Notes are what else one should know.
	Notes []string
}

// A Judged policy is one with what it came to for a request.
type Judged struct {
	Policy    *source.Policy
	Satisfied bool
	Error     string // why it could not be evaluated; "" if it could
	Deciding  bool   // it is one of those that decided
	// Scope is what its scope asks of the caller, and Conditions are its conditions.
	Scope      []*Node
	Conditions []Condition
}

// A Condition is a when or unless of a policy.
type Condition struct {
	Unless bool  `json:"unless,omitempty"`
	Node   *Node `json:"node"`
}

// Explain says why the engine decides a request as in d, or would now if that is nil.
func (x *Explainer) Explain(r *policy.Request, d *policy.Decision) *Verdict {
	if d == nil {
		d = x.engine.Decide(r)
	}
	v := &Verdict{Allowed: d.Allow && !d.WouldDeny, StepUp: x.engine.StepUp(r, d), Obligations: d.Obligations}
	x.note(v, r, d)
	env, err := x.engine.RequestEnv(r)
	if err != nil || x.engine.GroupsNeeded(r.Principal) != "" || r.Object.IsTemplate() {
		v.Why = "denied: " + d.Why
		return v
	}
	for _, p := range x.engine.Policies() {
		if applies(p, env) {
			v.Judged = append(v.Judged, x.judge(p, env, d))
		}
	}
	v.Why, v.Lacks = x.reasons(v, d, env)
	slices.SortStableFunc(v.Judged, func(a, b Judged) int { return v.rank(a) - v.rank(b) })
	return v
}

// rank is smaller for what people should read first.
func (v *Verdict) rank(j Judged) int {
	switch {
	case j.Deciding:
		return 0
	case j.Policy == v.Nearest:
		return 1
	case j.Error != "":
		return 2
	case j.Satisfied:
		return 3
	}
	return 4
}

// note notes what a decision does not say by itself.
func (x *Explainer) note(v *Verdict, r *policy.Request, d *policy.Decision) {
	if path := r.Object.Undeclared(r.Arguments); path != "" && x.engine.LooksAtArguments(r.Object) {
		v.Notes = append(v.Notes, "the tool does not declare the argument "+bounded(path)+": a gateway refuses such a call unless its upstream has extra_arguments")
	}
	if d.WouldDeny {
		v.Notes = append(v.Notes, "this is only observed: the gateway lets the request through, and logs it")
	}
	for _, o := range d.Observed {
		v.Notes = append(v.Notes, o.ID+" is satisfied, and not in effect (@observe)")
	}
}

// applies reports whether the policy is about the action and the resource.
func applies(p *source.Policy, env ast.Env) bool {
	for _, of := range []struct {
		variable types.String
		scope    any
	}{{"action", p.AST.Action}, {"resource", p.AST.Resource}} {
		if n := scopeNode(of.variable, of.scope); n != nil && !holds(n, env) {
			return false
		}
	}
	return true
}

func holds(n ast.Node, env ast.Env) bool {
	v, err := ast.Eval(n, env)
	return err == nil && v == types.True
}

// judge is a policy with what it comes to.
func (x *Explainer) judge(p *source.Policy, env ast.Env, d *policy.Decision) Judged {
	j := Judged{Policy: p, Satisfied: true}
	if n := scopeNode("principal", p.AST.Principal); n != nil {
		j.Scope = append(j.Scope, tree(n, env))
		j.Satisfied = j.Scope[0].Is()
	}
	for _, c := range p.AST.Conditions {
		if !j.Satisfied || j.Error != "" {
			j.Conditions = append(j.Conditions, Condition{Unless: !bool(c.Condition), Node: &Node{Text: ast.Text(c.Body), Skipped: true}})
			continue
		}
		made := tree(c.Body, env)
		j.Conditions = append(j.Conditions, Condition{Unless: !bool(c.Condition), Node: made})
		j.Error = made.Error
		j.Satisfied = made.Error == "" && made.Is() == bool(c.Condition)
	}
	named := func(r policy.Reason) bool { return r.ID == p.ID && r.File == p.File && r.Line == p.Line }
	j.Deciding = slices.ContainsFunc(d.Reasons, named)
	return j
}

// scopeNode is a scope as a condition, nil if it holds for everything.
func scopeNode(variable types.String, scope any) ast.Node {
	left := ast.Variable{Name: variable}
	with := func(right ast.Node) ast.BinaryNode { return ast.BinaryNode{Left: left, Right: right} }
	switch s := scope.(type) {
	case ast.ScopeEq:
		return ast.Equals{BinaryNode: with(ast.Value{Value: s.Entity})}
	case ast.ScopeIn:
		return ast.In{BinaryNode: with(ast.Value{Value: s.Entity})}
	case ast.ScopeInSet:
		set := ast.Set{}
		for _, e := range s.Entities {
			set.Elements = append(set.Elements, ast.Value{Value: e})
		}
		return ast.In{BinaryNode: with(set)}
	case ast.ScopeIs:
		return ast.Is{Left: left, EntityType: s.Type}
	case ast.ScopeIsIn:
		return ast.IsIn{NodeTypeIs: ast.Is{Left: left, EntityType: s.Type}, Entity: ast.Value{Value: s.Entity}}
	}
	return nil
}
