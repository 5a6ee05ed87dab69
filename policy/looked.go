package policy

import (
	"maps"
	"slices"

	"github.com/cedar-policy/cedar-go/types"
)

// Looked are the values that conditions could look at, by their path such as
// context.input.repo, and under "principal in" the entities that the principal is
// in. What they could look for and was not there is nil. It is nil where nothing was
// asked.
func (d *Decision) Looked() map[string]any {
	l := d.looked
	if l.class == nil {
		return nil
	}
	all := map[string]any{}
	put := func(path string, v types.Value, ok bool) {
		if ok {
			all[path] = v
		} else {
			all[path] = nil
		}
	}
	for name := range l.reads.principal {
		v, ok := l.class.entity.Attributes.Get(types.String(name))
		put("principal."+name, v, ok)
	}
	for name := range l.reads.resource {
		v, ok := l.about.entity.Attributes.Get(types.String(name))
		put("resource."+name, v, ok)
	}
	if l.asked {
		l.lookInContext(put)
	}
	if in := l.in(); in != nil {
		all["principal in"] = in
	}
	return all
}

// lookInContext puts the values of the context, and of its members that are records
// the values in them.
func (l *looked) lookInContext(put func(path string, v types.Value, ok bool)) {
	absent := func(path string, of types.Record, names map[string]bool) {
		for name := range names {
			if _, ok := of.Get(types.String(name)); !ok {
				put(path+name, nil, false)
			}
		}
	}
	for name, v := range l.context.All() {
		path := "context." + string(name)
		below, ok := v.(types.Record)
		if !ok {
			put(path, v, true)
			continue
		}
		for field, v := range below.All() {
			put(path+"."+string(field), v, true)
		}
		absent(path+".", below, l.fields(string(name)))
	}
	names := maps.Clone(l.reads.context)
	delete(names, "input") // of resources
	delete(names, "size")
	absent("context.", l.context, names)
}

// fields are the members of an attribute of the context that conditions could look for.
func (l *looked) fields(name string) set {
	t, ok := l.about.unknown.Field(name)
	if !ok {
		return nil
	}
	wanted, all := l.reads.wants(l.about.binds)
	fields := set{}
	for _, f := range t.Type.Fields {
		if name != "input" && name != "size" || all || wanted[f.Name] {
			fields.add(f.Name)
		}
	}
	return fields
}

// in are those entities that the principal is in and policies know, sorted; nil for none.
func (l *looked) in() []string {
	var in []string
	for above := range l.class.entity.Parents.All() {
		if l.reads.uids[above] || l.reads.identity {
			in = append(in, above.String())
		}
	}
	slices.Sort(in)
	return in
}
