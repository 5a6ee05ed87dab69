package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A Change is what members of a group see since other policies are in effect.
type Change struct {
	Group          string   // "" for a caller in no group
	Added, Removed []string // origins such as github/create_issue, sorted
	// How many of them are tools. The others are prompts and resources.
	ToolsAdded, ToolsRemoved int
}

// maxPersonas bounds for how many groups changes are looked for.
const maxPersonas = 100

// Changes are what new policies change for a caller in no group, and for one in
// each single group that either set names. Either engine may be nil: then
// everything is allowed.
func Changes(old, now *Engine, objects []*Object) []Change {
	groups := map[string]bool{"": true}
	for _, e := range []*Engine{old, now} {
		if e == nil {
			continue
		}
		for uid := range e.reads.uids {
			if uid.Type == typeGroup || uid.Type == typeTHVGroup {
				groups[string(uid.ID)] = true
			}
		}
	}
	var all []Change
	for i, group := range slices.Sorted(maps.Keys(groups)) {
		if i >= maxPersonas {
			break
		}
		if c := changed(group, old, now, objects); len(c.Added)+len(c.Removed) > 0 {
			all = append(all, c)
		}
	}
	return all
}

func changed(group string, old, now *Engine, objects []*Object) Change {
	c := Change{Group: group}
	before, after := viewOf(old, group, objects), viewOf(now, group, objects)
	for i, o := range objects {
		tool := 0
		if o.kind == aTool {
			tool = 1
		}
		switch {
		case after[i] && !before[i]:
			c.Added = append(c.Added, o.Origin())
			c.ToolsAdded += tool
		case before[i] && !after[i]:
			c.Removed = append(c.Removed, o.Origin())
			c.ToolsRemoved += tool
		}
	}
	slices.Sort(c.Added)
	slices.Sort(c.Removed)
	return c
}

func viewOf(e *Engine, group string, objects []*Object) []bool {
	if e == nil {
		return slices.Repeat([]bool{true}, len(objects))
	}
	p := &Principal{ID: "somebody", Subject: "somebody", GroupsKnown: true}
	if group != "" {
		p.Groups = []string{group}
	}
	return e.View(p, objects)
}

// An Uncallable object is one that no policy lets anybody use.
type Uncallable struct {
	Object *Object
	Why    string
}

// Uncallable are the objects that nobody can use, whoever asks, with the reason.
func (e *Engine) Uncallable(objects []*Object) []Uncallable {
	if e.o.Observe {
		return nil
	}
	var all []Uncallable
	anybody := &class{engine: e}
	for _, o := range objects {
		if why := e.whyNobody(anybody, o, e.about(o)); why != "" {
			all = append(all, Uncallable{o, why + e.remedyFor(anybody, o)})
		}
	}
	return all
}

// remedyFor is what more is to be said of an object that nobody can use, if somebody
// could if it were believed more.
func (e *Engine) remedyFor(anybody *class, o *Object) string {
	for _, r := range o.remedies {
		then := r.then()
		if e.whyNobody(anybody, then, e.makeAbout(then)) == "" { // of this object nobody asks again
			return ", as " + r.text
		}
	}
	return ""
}

// whyNobody says why nobody can use o, "" if somebody may.
func (e *Engine) whyNobody(anybody *class, o *Object, about *about) string {
	all := e.scopes.of(o, about.ancestors)
	slices.Sort(all)
	context := withApp(about.unknown)
	if why := e.whyNotPermitted(anybody, o, about, context, all); why != "" {
		return why
	}
	for _, i := range all {
		if r := e.rules[i]; !r.Permit && !r.Observe && e.denies(e.forAnybody(anybody, r, o, about, context)) {
			return "always forbidden by " + r.ID
		}
	}
	return ""
}

// whyNotPermitted says why none of some rules permits anybody anything, "" if one may.
func (e *Engine) whyNotPermitted(anybody *class, o *Object, a *about, context *typed.Type, all []int) string {
	var failing []string
	for _, i := range all {
		r := e.rules[i]
		if !r.Permit || r.Observe {
			continue
		}
		switch outcome := e.forAnybody(anybody, r, o, a, context); {
		case outcome&may.True != 0:
			return ""
		case outcome != may.False:
			failing = append(failing, r.ID)
		}
	}
	if failing != nil {
		return "every permit for it fails: " + few(failing)
	}
	return "no policy permits it"
}

// forAnybody is what a rule may come to for people and for workloads, in such a context.
func (e *Engine) forAnybody(anybody *class, r *rule, o *Object, a *about, context *typed.Type) may.Outcome {
	var all may.Outcome
	for _, t := range []types.EntityType{typeUser, typeWorkload} {
		env := anybody.env(o.kind)
		env.Principal, env.AnyPrincipal = types.NewEntityUID(t, "\x00"), true // of whom no file says anything
		env.Known = types.NewRecord(nil)
		anybody.about(env, o, a)
		env.Unknown = context
		all |= r.program.Outcomes(env)
	}
	return all
}

// withApp is the type of a context of which the app is not known either.
func withApp(t *typed.Type) *typed.Type {
	app := typed.Field{Name: "app", Type: &typed.Type{Kind: typed.Entity, Entity: typeApp}, Required: true}
	return record(append(slices.Clone(t.Fields), app)...)
}

// few names a few of many.
func few(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
