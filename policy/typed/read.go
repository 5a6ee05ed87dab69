package typed

import (
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// A reader makes types of one schema document.
type reader struct {
	root    any
	left    int             // of maxWork
	open    map[uintptr]int // schemas of the objects around the place at hand
	omitted map[string]string
}

// spend reports whether there is that much work left, which is then done.
func (r *reader) spend(work int) bool {
	r.left -= work
	return r.left >= 0
}

// arguments is the type of all arguments.
func (r *reader) arguments() *Type {
	p := r.place([]any{r.root})
	switch {
	case p.trouble != "":
		r.omitted[""] = p.trouble
	case p.mask&isObject == 0:
		r.omitted[""] = "the schema does not allow an object"
	default:
		return r.record(p, 0, "")
	}
	return &Type{Kind: Record}
}

// record is the type of an object with the members that are certain. What
// cannot be held of it is omitted.
func (r *reader) record(p *place, depth int, path string) *Type {
	defer r.inside(p)()
	t := &Type{Kind: Record}
	for _, name := range slices.Sorted(maps.Keys(p.properties)) {
		f, why := r.field(name, p.properties[name], p.required[name], depth+1, join(path, name))
		if why != "" {
			omit(r.omitted, join(path, name), why)
			continue
		}
		t.Fields = append(t.Fields, f)
	}
	return t
}

// inside has every schema of p contain itself if it is met again, until the
// function that it returns is called.
func (r *reader) inside(p *place) (leave func()) {
	for id := range p.seen {
		r.open[id]++
	}
	return func() {
		for id := range p.seen {
			r.open[id]--
		}
	}
}

// field is one member of a record, or why there is none.
func (r *reader) field(name string, schemas []any, required bool, depth int, path string) (f Field, why string) {
	switch {
	case r.left <= 0:
		return Field{}, reasonLarge
	case reserved(name):
		return Field{}, reasonReserved
	case depth > maxDepth || len(path) > maxPath:
		return Field{}, reasonDeep
	}
	p := r.place(schemas)
	t, why := r.typeOf(p, depth, path)
	if why != "" {
		return Field{}, why
	}
	f = Field{Name: name, Type: t}
	if p.byDefault != nil {
		if !r.spend(size(p.byDefault)) {
			return Field{}, reasonLarge
		}
		// A default that its own type does not allow is nobody's.
		if v, err := convert(t, p.byDefault); err == nil {
			f.Default = v
		}
	}
	f.Required = (required || f.Default != nil) && p.mask&isNull == 0
	return f, ""
}

// typeOf is the type of a place, or why it has none.
func (r *reader) typeOf(p *place, depth int, path string) (t *Type, why string) {
	if p.trouble != "" {
		return nil, p.trouble
	}
	p.infer()
	switch p.mask &^ isNull {
	case isObject:
		switch {
		case len(p.properties) > 0:
			return r.record(p, depth, path), ""
		case len(p.choices) > 0:
			return nil, reasonForms
		}
		return nil, reasonMap
	case isList:
		return r.set(p)
	}
	return r.scalar(p)
}

// infer narrows a place whose type is not said to what is said of its members.
func (p *place) infer() {
	if p.mask|isNull != isAny {
		return
	}
	switch {
	case p.properties != nil:
		p.mask &= isObject | isNull
	case p.items != nil || p.tuple:
		p.mask &= isList | isNull
	}
}

// set is the type of a list.
func (r *reader) set(p *place) (t *Type, why string) {
	if p.tuple {
		return nil, reasonTuple
	}
	if len(p.items) == 0 {
		return nil, reasonMembers
	}
	members := r.place(p.items)
	if members.trouble != "" {
		return nil, members.trouble
	}
	members.infer()
	switch members.mask &^ isNull {
	case isList, isObject:
		return nil, reasonNested
	}
	elem, why := r.scalar(members)
	switch {
	case why == reasonAnything:
		return nil, reasonMembers
	case why != "":
		return nil, "it is a list, and of its members: " + why
	}
	return &Type{Kind: Set, Elem: elem}, ""
}

// scalar is the type of a place that is no list or object.
func (r *reader) scalar(p *place) (t *Type, why string) {
	switch p.mask &^ isNull {
	case isText:
		return r.text(p), ""
	case isWhole:
		return &Type{Kind: Long}, ""
	case isFraction, isWhole | isFraction:
		return &Type{Kind: Decimal}, ""
	case isBool:
		return &Type{Kind: Bool}, ""
	case 0:
		if p.mask == isNull {
			return nil, reasonNull
		}
		return nil, reasonNothing
	case isAny &^ isNull:
		return r.choice(p)
	}
	return nil, several(p.mask)
}

// text is the type of a text. One of a few is compared with those, whatever
// its format.
func (r *reader) text(p *place) *Type {
	if p.enum != nil {
		return &Type{Kind: String, Enum: p.enum}
	}
	switch p.format {
	case "date-time", "date":
		return &Type{Kind: Datetime}
	case "ipv4", "ipv6", "ip":
		return &Type{Kind: Address}
	}
	for _, ways := range p.choices {
		if t, _ := r.union(p, ways); t != nil && t.Enum != nil {
			return t
		}
	}
	return &Type{Kind: String}
}

// choice is the type of a place that only anyOf or oneOf describe.
func (r *reader) choice(p *place) (t *Type, why string) {
	why = reasonAnything
	for _, ways := range p.choices {
		t, of := r.union(p, ways)
		if t != nil {
			p.mask &= of | isNull
			return t, ""
		}
		why = reasonForms
		if of != isAny && bits.OnesCount8(uint8(of&^(isNull|isFraction))) > 1 {
			why = several(of)
		}
	}
	return nil, why
}

// union is the type that all ways have in common, if they are scalars of one
// type, and else the types that they are of together.
func (r *reader) union(in *place, ways []any) (t *Type, of mask) {
	defer r.inside(in)()
	var types []*Type
	for _, way := range ways {
		p := r.place([]any{way})
		p.infer()
		if of |= p.mask; p.trouble != "" {
			return nil, isAny
		}
		if p.mask&(isObject|isList) == 0 {
			if t, why := r.scalar(p); why == "" {
				types = append(types, t)
			}
		}
	}
	if len(types) < len(ways) || len(types) == 0 {
		return nil, of
	}
	t = &Type{Kind: types[0].Kind, Enum: []string{}}
	for _, way := range types {
		if way.Kind != t.Kind {
			return nil, of
		}
		if way.Enum == nil || t.Enum == nil {
			t.Enum = nil
			continue
		}
		t.Enum = append(t.Enum, way.Enum...)
	}
	slices.Sort(t.Enum)
	t.Enum = slices.Compact(t.Enum)
	return t, of
}

// several says that a value may be of more than one type.
func several(m mask) string {
	var names []string
	for _, kind := range []struct {
		of   mask
		name string
	}{{isText, "a text"}, {isWhole | isFraction, "a number"}, {isBool, "true or false"}, {isList, "a list"}, {isObject, "an object"}} {
		if m&kind.of != 0 {
			names = append(names, kind.name)
		}
	}
	return "it may be " + strings.Join(names, ", or ") + ", and a policy needs one type"
}
