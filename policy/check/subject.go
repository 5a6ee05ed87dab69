package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A subject is a policy that is looked at.
type subject struct {
	syntax *syntax.Policy
	file   *syntax.File
	lines  lines
	id     string
	// read is what the engine decides by, at its index there; nil if the policies cannot be
	// read.
	read      *source.Policy
	index     int
	principal *typed.Type
	looks     looks
	// skipErrors says that a forbid forbids nothing where it cannot be evaluated.
	skipErrors bool
	// about are the objects that its scope may hold, and groups are those that are the same
	// to it together. For some, false says, its conditions are never true.
	about  []*object
	groups [][]*object
	false  []bool

	// firstLine and firstColumn are where it begins, and lastLine is where it ends.
	firstLine, firstColumn, lastLine int

	from, to int // its findings among those of all
	// satisfiable are the objects for which it may be satisfied, once that is known.
	satisfiable bitset
}

// words is what the policy's text has for an expression, in one line.
func (p *subject) words(n *syntax.Node) string {
	return plain(strings.Join(strings.Fields(string(p.file.Text[n.Start:n.End])), " "))
}

// annotation is the value of an annotation.
func (p *subject) annotation(name string) (value string, ok bool) {
	for _, a := range p.syntax.Annotations {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// idOf is the id of a policy, as package source gives it.
func idOf(file string, p *syntax.Policy) string {
	for _, a := range p.Annotations {
		if a.Name == "id" && a.Value != "" {
			return plain(a.Value)
		}
	}
	return fmt.Sprintf("%s#%d", file, p.Index+1)
}

// principalType is that of a scope of principals.
func principalType(s *syntax.Scope) *typed.Type {
	t := types.EntityType(s.Type)
	if s.Op == "==" && len(s.Entities) == 1 {
		if uid, ok := s.Entities[0].Value.(types.EntityUID); ok {
			t = uid.Type
		}
	}
	if !isCaller(t) {
		t = typeCaller
	}
	return &typed.Type{Kind: typed.Entity, Entity: t}
}

// about are the objects that the scope of a policy may hold.
func (w *world) about(p *subject, all []*object) []*object {
	if p.syntax.Resource.Op == "==" && len(all) > 0 && all[0].Object != nil {
		if o := w.byUID[w.ref(p.syntax.Resource.Entities[0])]; o != nil && w.holds(p, o) {
			return append([]*object{o}, slices.DeleteFunc(slices.Clone(w.templates), func(t *object) bool { return !w.holds(p, t) })...)
		}
		all = w.templates
	}
	var held []*object
	for _, o := range all {
		if w.holds(p, o) {
			held = append(held, o)
		}
	}
	return held
}

// holds reports whether the scope of a policy may hold an object.
func (w *world) holds(p *subject, o *object) bool {
	action, resource := p.syntax.Action, p.syntax.Resource
	if action.Op != "" && !slices.ContainsFunc(action.Entities, func(n *syntax.Node) bool { return n.Value.Equal(o.action) }) {
		return false
	}
	if resource.Type != "" && types.EntityType(resource.Type) != o.entity.UID.Type {
		return false
	}
	if len(resource.Entities) == 0 {
		return true
	}
	uid := w.ref(resource.Entities[0])
	if o.Object == nil && resource.Op == "==" {
		return uid.Type == o.entity.UID.Type
	}
	if resource.Op == "==" {
		return uid == o.entity.UID || uid.Type == o.entity.UID.Type && !o.isOne() && strings.HasPrefix(string(uid.ID), o.upstream()+"/")
	}
	return !o.within([]types.EntityUID{uid}).is(false)
}

// upstream is the label of the object's upstream, "" if it is not known.
func (o *object) upstream() string {
	if o.Object == nil {
		return ""
	}
	return o.Upstream()
}

// ref is the entity that stands in a policy, with its upstream where it is named without
// one and there is but one.
func (w *world) ref(n *syntax.Node) types.EntityUID {
	uid, ok := n.Value.(types.EntityUID)
	if only := w.in.Options.Only; ok && only != "" && isObject(uid.Type) && !w.labelled(uid) {
		if label, _, ok := strings.Cut(string(uid.ID), "/"); !ok || uid.Type == "Resource" || source.Near(label, w.in.Options.Upstreams) == "" {
			return types.NewEntityUID(uid.Type, types.String(only+"/"+string(uid.ID)))
		}
	}
	return uid
}

// labelled reports whether an id begins with the label of an upstream.
func (w *world) labelled(uid types.EntityUID) bool {
	label, _, ok := strings.Cut(string(uid.ID), "/")
	return ok && (contains(w.in.Options.Upstreams, label) || label == w.in.Options.Only)
}
