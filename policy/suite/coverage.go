package suite

import (
	"cmp"
	"iter"
	"slices"
	"sync"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// Coverage is what tests did not look at.
type Coverage struct {
	// Policies, Conditions and Tools are how many there are, and how many of them were
	// covered: a policy that decided something, a condition that was both true and false,
	// and a tool that was called.
	Policies, Conditions, Tools Covered
	// Undecided are the policies that never decided anything, in the order of the files.
	Undecided []policy.Reason
	// Constant are the conditions that were not both true and false.
	Constant []Constant
	// Uncalled are the origins of tools that no test called.
	Uncalled []string
}

// Covered is so many of all.
type Covered struct {
	Covered int `json:"covered"`
	All     int `json:"all"`
}

// A Constant is a condition that was not both true and false.
type Constant struct {
	Policy    policy.Reason
	Condition int    // from 1
	Word      string // when or unless
	// Was is what it always was: true, false, or "never asked".
	Was string
}

// covered gathers what tests look at.
type covered struct {
	engine *policy.Engine
	scopes []*cedar.Policy // without conditions

	mu      sync.Mutex
	decided map[policy.Reason]bool // guarded by mu
	was     []map[bool]bool        // by condition, over all policies; guarded by mu
	called  map[string]bool        // guarded by mu
	first   []int                  // of each policy, in was
}

func newCovered(e *policy.Engine) *covered {
	c := &covered{engine: e, decided: map[policy.Reason]bool{}, called: map[string]bool{}}
	for _, p := range e.Policies() {
		c.first = append(c.first, len(c.was))
		for range p.AST.Conditions {
			c.was = append(c.was, map[bool]bool{})
		}
		bare := *p.AST
		bare.Conditions = nil
		c.scopes = append(c.scopes, ast.Compile(&bare))
	}
	return c
}

// note has what a request looked at count.
func (c *covered) note(about *thing, q *policy.Request, got outcome) {
	conditions := c.conditions(q)
	c.mu.Lock()
	defer c.mu.Unlock()
	if about.list == "tools" {
		c.called[about.origin] = true
	}
	for _, r := range slices.Concat(got.by, got.observed) {
		c.decided[r] = true
	}
	for i, was := range conditions {
		c.was[i][was] = true
	}
}

// conditions are the values of all conditions that the request asks.
func (c *covered) conditions(q *policy.Request) map[int]bool {
	request, entities, err := c.engine.Question(q)
	if err != nil { // Cedar is not asked
		return nil
	}
	values := map[int]bool{}
	env := ast.Env{Entities: entities, Principal: request.Principal, Action: request.Action, Resource: request.Resource, Context: request.Context}
	for i, p := range c.engine.Policies() {
		if len(p.AST.Conditions) == 0 || !applies(c.scopes[i], entities, request) {
			continue
		}
		for j, condition := range p.AST.Conditions {
			v, err := ast.Eval(condition.Body, env)
			is, ok := v.(types.Boolean)
			if err != nil || !ok {
				break
			}
			values[c.first[i]+j] = bool(is)
			if bool(is) != bool(condition.Condition) { // the rest is not asked
				break
			}
		}
	}
	return values
}

// applies reports whether the scope of a policy holds the request.
func applies(scope *cedar.Policy, entities types.EntityMap, request cedar.Request) bool {
	_, d := cedar.Authorize(one{scope}, entities, request)
	return len(d.Reasons) > 0
}

// one is a set of one policy.
type one struct{ *cedar.Policy }

// All implements [cedar.PolicyIterator].
func (p one) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) { yield("", p.Policy) }
}

// report is what was not covered.
func (c *covered) report(n *names) *Coverage {
	r := &Coverage{}
	for i, p := range c.engine.Policies() {
		r.policy(c, i, p)
	}
	for _, t := range n.of("tools") {
		if !c.called[t.origin] {
			r.Uncalled = append(r.Uncalled, t.origin)
		}
		r.Tools.add(c.called[t.origin])
	}
	slices.SortFunc(r.Uncalled, cmp.Compare[string])
	return r
}

func (r *Coverage) policy(c *covered, i int, p *source.Policy) {
	reason := policy.Reason{ID: p.ID, File: p.File, Line: p.Line}
	r.Policies.add(c.decided[reason])
	if !c.decided[reason] {
		r.Undecided = append(r.Undecided, reason)
	}
	for j, condition := range p.AST.Conditions {
		was := c.was[c.first[i]+j]
		both := was[true] && was[false]
		r.Conditions.add(both)
		if both {
			continue
		}
		constant := Constant{Policy: reason, Condition: j + 1, Word: "unless", Was: "never asked"}
		if bool(condition.Condition) {
			constant.Word = "when"
		}
		switch {
		case was[true]:
			constant.Was = "always true"
		case was[false]:
			constant.Was = "always false"
		}
		r.Constant = append(r.Constant, constant)
	}
}

func (c *Covered) add(is bool) {
	c.All++
	if is {
		c.Covered++
	}
}
