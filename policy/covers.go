package policy

import (
	"slices"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// About are the policies whose scope may hold the object, whoever asks, in the order of
// their files.
func (e *Engine) About(o *Object) []*source.Policy {
	var all []*source.Policy
	for _, r := range e.rules {
		if e.covers(r, o) {
			all = append(all, r.Policy)
		}
	}
	return all
}

// covers reports whether the scope of a rule may hold the object.
func (e *Engine) covers(r *rule, o *Object) bool {
	switch action := r.AST.Action.(type) {
	case ast.ScopeEq:
		if action.Entity != actions[o.kind] {
			return false
		}
	case ast.ScopeInSet:
		if !slices.Contains(action.Entities, actions[o.kind]) {
			return false
		}
	}
	switch scope := r.AST.Resource.(type) {
	case ast.ScopeEq:
		return scope.Entity == o.entity.UID
	case ast.ScopeIn:
		return scope.Entity == o.entity.UID || slices.Contains(e.about(o).ancestors, scope.Entity)
	case ast.ScopeIs:
		return scope.Type == o.entity.UID.Type
	case ast.ScopeIsIn:
		return scope.Type == o.entity.UID.Type && (scope.Entity == o.entity.UID || slices.Contains(e.about(o).ancestors, scope.Entity))
	}
	return true
}
