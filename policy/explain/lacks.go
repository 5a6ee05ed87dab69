package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// reasons say what decided, and what a denied request lacks.
func (x *Explainer) reasons(v *Verdict, d *policy.Decision, env ast.Env) (why, lacks string) {
	switch broken := v.broken(); {
	case v.Allowed:
		return "allowed by " + namesOf(d.Reasons), ""
	case len(d.Reasons) > 0:
		return v.forbidden(env, namesOf(d.Reasons))
	case len(broken) > 0 && !x.engine.SkipsErrors():
		p := broken[0].Policy
		return fmt.Sprintf("denied, since the forbid %s cannot be evaluated", policyName(p.ID, p.File, p.Line)), broken[0].Error
	case v.permitted():
		return "denied: " + d.Why, ""
	}
	near := nearest(v, env)
	if near == "" {
		return "denied: no policy permits this to anybody", ""
	}
	return "denied: no policy permits it", near
}

// broken are the forbids in effect that could not be evaluated.
func (v *Verdict) broken() []Judged {
	var all []Judged
	for _, j := range v.Judged {
		if !j.Policy.Permit && !j.Policy.Observe && j.Error != "" {
			all = append(all, j)
		}
	}
	return all
}

// permitted reports whether some permit is satisfied.
func (v *Verdict) permitted() bool {
	return slices.ContainsFunc(v.permits(), func(j Judged) bool { return j.Satisfied })
}

// permits are the permits in effect.
func (v *Verdict) permits() []Judged {
	var all []Judged
	for _, j := range v.Judged {
		if j.Policy.Permit && !j.Policy.Observe {
			all = append(all, j)
		}
	}
	return all
}

// forbidden says what forbids, and what it would take that it does not.
func (v *Verdict) forbidden(env ast.Env, names string) (why, lacks string) {
	var all []need
	for _, j := range v.Judged {
		if j.Deciding {
			all = append(all, lacksNot(whole(j.Policy), env)...)
		}
	}
	if all == nil {
		return "forbidden by " + names, "nothing about the caller or the arguments would change that"
	}
	lacks = "it would not be forbidden if " + listed(unique(all), "and")
	if !v.permitted() {
		if near := nearest(v, env); near != "" {
			lacks += ". Even so it would not be permitted: " + near
		}
	}
	return "forbidden by " + names, lacks
}

// A need is something that would have to be so, and how far it is from being so.
type need struct {
	text string
	cost int
}

// Costs of needs. What is asked for is what it is: another permit is nearer, whatever
// that needs.
const (
	costArgument = 10
	costCaller   = 11
	costResource = 1_000
)

func costOf(needs []need) int {
	total := 0
	for _, n := range needs {
		total += n.cost
	}
	return total
}

// nearest says of the permit that lacks the least what it lacks.
func nearest(v *Verdict, env ast.Env) string {
	var best []need
	for i := range v.Judged {
		j := &v.Judged[i]
		if !j.Policy.Permit || j.Policy.Observe {
			continue
		}
		missing := lacksOf(whole(j.Policy), env)
		if len(missing) > 0 && (v.Nearest == nil || costOf(missing) < costOf(best)) {
			best, v.Nearest = missing, j.Policy
		}
	}
	if v.Nearest == nil {
		return ""
	}
	return fmt.Sprintf("the nearest is %s, which also needs that %s", policyName(v.Nearest.ID, v.Nearest.File, v.Nearest.Line), listed(unique(best), "and"))
}

// unique are the texts of needs, each once.
func unique(all []need) []string {
	var kept []string
	for _, n := range all {
		if !slices.Contains(kept, n.text) {
			kept = append(kept, n.text)
		}
	}
	return kept
}

func namesOf(reasons []policy.Reason) string {
	var names []string
	for _, r := range reasons {
		names = append(names, policyName(r.ID, r.File, r.Line))
	}
	return listed(names, "and")
}

// policyName is a policy with its place, unless the name has it.
func policyName(id, file string, line int) string {
	if strings.HasPrefix(id, file+"#") {
		return fmt.Sprintf("the policy at %s:%d", file, line)
	}
	return fmt.Sprintf("%s (%s:%d)", id, file, line)
}

// whole is everything that a policy asks of the caller and the circumstances, as one
// condition.
func whole(p *source.Policy) ast.Node {
	nodes := operandsOfWhole(p)
	if len(nodes) == 0 {
		return nodeOf(trueValue)
	}
	return conjunction(nodes)
}

// lacksOf says what would have to be so for a condition to hold that does not: the
// least there is.
func lacksOf(n ast.Node, env ast.Env) []need {
	if holds(n, env) {
		return nil
	}
	switch n := n.(type) {
	case ast.And:
		return lacksAll(operandsOfSame(n), env)
	case ast.Or:
		return fewest(operandsOfSame(n), env, lacksOf)
	case ast.Not:
		return lacksNot(n.Arg, env)
	case ast.IfThenElse:
		if holds(n.If, env) {
			return lacksOf(n.Then, env)
		}
		return lacksOf(n.Else, env)
	}
	return []need{lack(n, true, env)}
}

// lacksAll is what conditions lack that all have to hold. That something is there is
// not said where the next one asks more of it.
func lacksAll(all []ast.Node, env ast.Env) []need {
	var missing []need
	for i, n := range all {
		if has, ok := n.(ast.Has); ok && i+1 < len(all) && !holds(n, env) && strings.Contains(ast.Text(all[i+1]), ast.Text(ast.Access(has))) {
			continue
		}
		missing = append(missing, lacksOf(n, env)...)
	}
	return missing
}

// lacksNot says what would have to be so for a condition not to hold that does.
func lacksNot(n ast.Node, env ast.Env) []need {
	if v, err := ast.Eval(n, env); err == nil && v != trueValue {
		return nil
	}
	switch n := n.(type) {
	case ast.And:
		return fewest(operandsOfSame(n), env, lacksNot)
	case ast.Or:
		var all []need
		for _, o := range operandsOfSame(n) {
			all = append(all, lacksNot(o, env)...)
		}
		return all
	case ast.Not:
		return lacksOf(n.Arg, env)
	case ast.IfThenElse:
		if holds(n.If, env) {
			return lacksNot(n.Then, env)
		}
		return lacksNot(n.Else, env)
	case ast.Value:
		return nil
	}
	return []need{lack(n, false, env)}
}

// fewest is the nearest of what several alternatives lack.
func fewest(all []ast.Node, env ast.Env, lacks func(ast.Node, ast.Env) []need) []need {
	var best []need
	for _, n := range all {
		missing := lacks(n, env)
		if len(missing) > 0 && (best == nil || costOf(missing) < costOf(best)) {
			best = missing
		}
	}
	return best
}

// lack says that something has to hold, or not, and what is instead.
func lack(n ast.Node, yes bool, env ast.Env) need {
	text, ok := phraseOf(n, yes)
	if !ok {
		text = "`" + bounded(ast.Text(n)) + "`" + pick(yes, " holds", " does not hold")
	}
	return need{text + instead(n, env), costOfOne(n, yes)}
}

// costOfOne is how far a condition is from being otherwise. To leave an argument out is
// seldom what somebody wants.
func costOfOne(n ast.Node, yes bool) int {
	text := ast.Text(n)
	_, has := n.(ast.Has)
	switch {
	case !strings.Contains(text, "context") && !strings.Contains(text, "principal"):
		return costResource
	case !strings.Contains(text, "context"):
		return costCaller
	case has && !yes:
		return 2 * costCaller
	}
	return costArgument
}

// instead says what the one value is that a condition looks at, "" if there is nothing
// to say.
func instead(n ast.Node, env ast.Env) string {
	values := leaves(n, env)
	if len(values) != 1 || values[0].Text == "principal" || values[0].Text == "resource" {
		return ""
	}
	switch v := values[0]; {
	case v.Error != "":
		return " (it is not there)"
	case v.Value == "[]":
		return " (there is none)"
	default:
		name, _ := nameOf(nodeOf(v.value))
		return " (it is " + bounded(name) + ")"
	}
}
