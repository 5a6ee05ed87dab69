package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// maxWarnings bounds how many are found.
const maxWarnings = 200

// Warnings are what policies look at and never find: an argument that Cedar cannot
// hold, or that no tool or prompt has which the policy may be about.
func (e *Engine) Warnings(objects []*Object) []source.Mistake {
	arguments := argumentsOf(objects)
	var all []source.Mistake
	for _, r := range e.rules {
		for _, name := range slices.Sorted(maps.Keys(r.reads.input)) {
			if len(all) >= maxWarnings {
				return all
			}
			if text := e.missing(r, name, objects, arguments); text != "" {
				all = append(all, source.Mistake{File: r.File, Line: r.Line, Column: r.Column, Text: text})
			}
		}
	}
	return all
}

// arguments say which objects have arguments of which name, and where one is
// omitted.
type arguments struct{ held, omitted map[string][]*Object }

func argumentsOf(objects []*Object) arguments {
	a := arguments{map[string][]*Object{}, map[string][]*Object{}}
	for _, o := range objects {
		shape := o.shape()
		for _, f := range shape.Input.Fields {
			a.held[f.Name] = append(a.held[f.Name], o)
		}
		for path := range shape.Omitted {
			if !strings.Contains(path, ".") {
				a.omitted[path] = append(a.omitted[path], o)
			}
		}
	}
	return a
}

// missing says why a rule does not find an argument, "" if it may.
func (e *Engine) missing(r *rule, name string, objects []*Object, a arguments) string {
	isAbout := func(o *Object) bool { return e.covers(r, o) }
	for _, path := range []string{name, ""} {
		if i := slices.IndexFunc(a.omitted[path], isAbout); i >= 0 && !slices.ContainsFunc(a.held[name], isAbout) {
			o := a.omitted[path][i]
			return fmt.Sprintf("the argument %q of %s cannot be used in policies: %s", name, o, o.shape().Omitted[path])
		}
	}
	if of, isPresence := strings.CutSuffix(name, source.PresentSuffix); isPresence && r.reads.toolHive() && r.reads.input[of] {
		return ""
	}
	if slices.ContainsFunc(a.held[name], isAbout) || !slices.ContainsFunc(objects, isAbout) {
		return ""
	}
	return fmt.Sprintf("nothing that this policy may be about has an argument %q", name)
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
		return scope.Type == o.entity.UID.Type && slices.Contains(e.about(o).ancestors, scope.Entity)
	}
	return true
}
