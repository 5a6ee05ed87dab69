package policy

import (
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// What this file has is for those who study policies rather than decide by them.

// Tool is the tool that the object was made of, nil for one that is none.
func (o *Object) Tool() *Tool { return o.tool }

// A Study is what an engine knows of an object, whoever asks.
type Study struct {
	Entity types.Entity // with what files of entities add
	// Ancestors are all that it is in. Of the resources of a template, they are what
	// one of them may be in.
	Ancestors []types.EntityUID
	Context   *typed.Type // a Record

	engine *Engine
	object *Object
	about  *about
}

// Study says what policies see in requests about o.
func (e *Engine) Study(o *Object) Study {
	a := e.about(o)
	return Study{Entity: a.entity, Ancestors: a.ancestors, Context: withApp(a.unknown), engine: e, object: o, about: a}
}

// Anybody is what the policy at that index of [Engine.Policies] may come to in requests
// about the object, whoever asks. It may hold too much, never too little.
func (s *Study) Anybody(index int) may.Outcome {
	e := s.engine
	return e.forAnybody(&class{engine: e}, e.rules[index], s.object, s.about, s.Context)
}

// Denies reports whether a forbid that comes to this denies every request.
func (e *Engine) Denies(outcome may.Outcome) bool { return e.denies(outcome) }
