package check

import (
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// typeCaller stands for User and Workload, of which a principal is one.
const typeCaller types.EntityType = "\x00caller"

func isCaller(t types.EntityType) bool { return t == "User" || t == "Workload" }

func isObject(t types.EntityType) bool { return t == "Tool" || t == "Prompt" || t == "Resource" }

func isParent(parents []string, t types.EntityType) bool { return slices.Contains(parents, string(t)) }

// An object is one that policies may be about, with all that is known of it.
type object struct {
	*policy.Object // nil for one that stands for those that are not known
	study          policy.Study
	entity         types.Entity
	ancestors      []types.EntityUID
	context        *typed.Type
	action         types.EntityUID
	at             int  // its place in the world
	hinted         bool // hints are known
	hints          map[string]hint
	// loose says that nothing is known of its arguments.
	loose bool
}

// isOne reports whether it is one object, rather than all of a template or of those
// that are not known.
func (o *object) isOne() bool { return o.Object != nil && !o.Object.IsTemplate() }

func (o *object) hasArguments() bool { return o.action.ID != "read_resource" }

// Shape is what policies see of its arguments.
func (o *object) Shape() *typed.Shape {
	if o.Object == nil {
		return &typed.Shape{Input: unknown}
	}
	return o.Object.Shape()
}

// omitted says why policies cannot use an argument, "" if they can, or there is none.
func (o *object) omitted(path string) string {
	all := o.Shape().Omitted
	for p := path; ; {
		if why, ok := all[p]; ok {
			return why
		}
		cut := strings.LastIndexByte(p, '.')
		if cut < 0 {
			return all[""]
		}
		p = p[:cut]
	}
}

// within is whether the object is in one of some entities.
func (o *object) within(all []types.EntityUID) value {
	for _, uid := range all {
		if uid == o.entity.UID && o.isOne() || slices.Contains(o.ancestors, uid) {
			if o.isOne() {
				return decided(true)
			}
			return some(boolean)
		}
	}
	if o.Object == nil || o.Object.IsTemplate() && slices.ContainsFunc(all, func(uid types.EntityUID) bool { return uid.Type == o.entity.UID.Type }) {
		return some(boolean)
	}
	return decided(false)
}

// label is the object for people, such as tool github/create_issue.
func (o *object) label() string {
	if o.Object == nil {
		return "what is asked for"
	}
	kind := map[types.EntityType]string{"Tool": "tool", "Prompt": "prompt", "Resource": "resource"}[o.entity.UID.Type]
	if o.IsTemplate() {
		kind = "template"
	}
	return kind + " " + plain(o.Origin())
}

// short is the object beside another one, whose kind need not be said again.
func (o *object) short(beside *object) string {
	if o.entity.UID.Type == beside.entity.UID.Type && o.IsTemplate() == beside.IsTemplate() {
		return plain(o.Origin())
	}
	return o.label()
}

// A world is all that policies can be about.
type world struct {
	in        *Input
	engine    *policy.Engine // decides by the policies, or by none if they cannot be read
	objects   []*object
	byUID     map[types.EntityUID]*object
	templates []*object
	// originals are the original names by upstream, of those whose lists are known.
	originals   map[types.EntityType]map[string][]string
	byPublished map[string][]*object
	listed      map[string]bool // upstreams whose lists are known
	tags        []string
	filed       map[types.EntityUID]bool      // that files of entities mention
	ids         map[types.EntityType][]string // of them
	own         own
	tellsApart  bool // some policy looks at who asks
	columns     columns
}

func newWorld(in *Input, engine *policy.Engine) *world {
	w := &world{in: in, engine: engine, byUID: map[types.EntityUID]*object{}, originals: map[types.EntityType]map[string][]string{}, listed: map[string]bool{}}
	w.filed, w.ids = filed(in.Policy.Facts)
	w.byPublished = map[string][]*object{}
	w.own = ownTypes(in.Policy.Facts, in.Options.Types)
	for _, of := range in.Objects {
		s := engine.Study(of)
		o := &object{Object: of, study: s, entity: s.Entity, ancestors: s.Ancestors, context: s.Context, action: of.Action(), at: len(w.objects)}
		w.objects = append(w.objects, o)
		w.listed[of.Upstream()] = true
		for above := range of.Entity().Parents.All() {
			if above.Type == "Tag" && !slices.Contains(w.tags, string(above.ID)) {
				w.tags = append(w.tags, string(above.ID))
			}
		}
		if of.IsTemplate() {
			w.templates = append(w.templates, o)
			continue
		}
		w.byUID[o.entity.UID] = o
		if name := in.Published[of.Origin()]; name != "" {
			w.byPublished[name] = append(w.byPublished[name], o)
		}
		t := o.entity.UID.Type
		if w.originals[t] == nil {
			w.originals[t] = map[string][]string{}
		}
		w.originals[t][of.Upstream()] = append(w.originals[t][of.Upstream()], strings.TrimPrefix(of.Origin(), of.Upstream()+"/"))
	}
	for _, label := range in.Down {
		delete(w.listed, label)
	}
	for _, tag := range in.Tags {
		if !slices.Contains(w.tags, tag) {
			w.tags = append(w.tags, tag)
		}
	}
	slices.Sort(w.tags)
	w.columns = newColumns(w)
	return w
}

// filed are the entities that files mention, and their ids by type.
func filed(f *facts.Facts) (map[types.EntityUID]bool, map[types.EntityType][]string) {
	all, ids := map[types.EntityUID]bool{}, map[types.EntityType][]string{}
	if f == nil {
		return all, ids
	}
	add := func(uid types.EntityUID) {
		if !all[uid] {
			all[uid] = true
			ids[uid.Type] = append(ids[uid.Type], string(uid.ID))
		}
	}
	for uid, e := range f.Entities {
		add(uid)
		for above := range e.Parents.All() {
			add(above)
		}
	}
	return all, ids
}

// anyObjects stand for those of which nothing is known, one for each action.
func (w *world) anyObjects() []*object {
	var all []*object
	for _, a := range source.Words().Actions {
		fields := []typed.Field{
			{Name: "app", Type: namedType("App"), Required: true},
			{Name: "auth", Type: recordType("Auth"), Required: true},
			{Name: "ip", Type: address},
			{Name: "now", Type: datetime, Required: true},
			{Name: "session", Type: recordType("Session"), Required: true},
		}
		if a.Arguments {
			fields = append(fields, typed.Field{Name: "bytes", Type: long, Required: true},
				typed.Field{Name: "input", Type: unknown, Required: true}, typed.Field{Name: "size", Type: unknown, Required: true})
		}
		for i := range w.in.Policy.Binds {
			b := &w.in.Policy.Binds[i]
			fields = append(fields, typed.Field{Name: b.Name, Type: &typed.Type{Kind: typed.Entity, Entity: types.EntityType(b.Type)}, Required: true})
		}
		slices.SortFunc(fields, func(a, b typed.Field) int { return strings.Compare(a.Name, b.Name) })
		o := &object{action: types.NewEntityUID("Action", types.String(a.Name)), loose: a.Arguments, at: -1}
		o.entity.UID = types.NewEntityUID(types.EntityType(a.Resource), "")
		o.context = &typed.Type{Kind: typed.Record, Fields: fields}
		all = append(all, o)
	}
	return all
}

func recordType(name string) *typed.Type {
	t := &typed.Type{Kind: typed.Record}
	for _, a := range source.Words().Record(name).Attributes {
		t.Fields = append(t.Fields, typed.Field{Name: a.Name, Type: namedType(a.Type), Required: !a.Optional})
	}
	slices.SortFunc(t.Fields, func(a, b typed.Field) int { return strings.Compare(a.Name, b.Name) })
	return t
}
