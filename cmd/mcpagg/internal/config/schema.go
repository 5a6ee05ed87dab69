package config

import (
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// A block is a struct in the shape of a block of the file.
//
// It embeds [header]. A field with the tag `hcl:"name"` is an attribute, whose
// type is a [value]; the tag `default:"…"` holds what it has without being
// written. A field with the tag `hcl:"name,block"` is a nested block if it is a
// struct, which can be written once, or a pointer to one, which is nil if it is
// not written, and any number of them if it is a slice, where each needs a label
// of its own. The tag `label:"…"` is for a block that can be written once and has
// this label. The tag `kinds:"…"` lists what the first of two labels can be.
type block interface {
	head() *header
	// check reports what only shows when the whole block is known.
	check(*decoder)
}

// A header is what a block begins with. The zero value is that of a block which
// is not in the file.
type header struct {
	kind  string // the first of two labels, or ""
	label string
	at    hcl.Range // of the label, or else of the type
}

func (h *header) head() *header  { return h }
func (h *header) check(*decoder) {}

// A value is what an attribute holds. Its implementations embed [setting].
type value interface {
	// take checks what was written, and keeps it in the form that is needed.
	take(in input)
	// kind describes the values that take accepts.
	kind() kind

	stands(name string, at hcl.Range)
	keep(cty.Value)
	rawValue() cty.Value
	show() (cty.Value, bool)
}

// A setting is the part that all values have in common.
type setting struct {
	given bool // it stands in the file, perhaps with a mistake
	name  string
	at    hcl.Range
	raw   cty.Value // marked where it must not be printed; nil if there is none
}

func (s *setting) stands(name string, at hcl.Range) { s.given, s.name, s.at = true, name, at }
func (s *setting) keep(v cty.Value)                 { s.raw = v }

// A kind describes the values of an attribute for the reference.
type kind struct {
	name string         // such as "duration"
	json map[string]any // as a JSON schema
}

// A schema lists the attributes and blocks of a block struct, in their order.
type schema struct {
	attributes, blocks []field
}

// A field is one attribute or block in a block struct.
type field struct {
	name     string
	index    []int
	fallback string       // the default of an attribute, or ""
	many     bool         // a block that can be repeated
	optional bool         // a block that is nil if it is not written
	labelled bool         // a block with a label
	label    string       // the only label it can have, or ""
	kinds    []string     // what the first of its two labels can be; nil if it has one
	typ      reflect.Type // of the value or the block
}

func schemaOf(t reflect.Type) schema {
	var s schema
	for _, sf := range reflect.VisibleFields(t) {
		name, option, _ := strings.Cut(sf.Tag.Get("hcl"), ",")
		f := field{name: name, index: sf.Index, fallback: sf.Tag.Get("default"), typ: sf.Type}
		switch {
		case name == "":
		case option == "block":
			f.many = sf.Type.Kind() == reflect.Slice
			if f.optional = sf.Type.Kind() == reflect.Pointer; f.many || f.optional {
				f.typ = sf.Type.Elem()
			}
			f.label = sf.Tag.Get("label")
			f.labelled = f.many || f.label != ""
			if kinds := sf.Tag.Get("kinds"); kinds != "" {
				f.kinds = strings.Fields(kinds)
			}
			s.blocks = append(s.blocks, f)
		default:
			s.attributes = append(s.attributes, f)
		}
	}
	return s
}

func (s schema) hcl() *hcl.BodySchema {
	out := &hcl.BodySchema{}
	for _, f := range s.attributes {
		out.Attributes = append(out.Attributes, hcl.AttributeSchema{Name: f.name})
	}
	for _, f := range s.blocks {
		header := hcl.BlockHeaderSchema{Type: f.name}
		switch {
		case f.kinds != nil:
			header.LabelNames = []string{"kind", "name"}
		case f.labelled:
			header.LabelNames = []string{"name"}
		}
		out.Blocks = append(out.Blocks, header)
	}
	return out
}

func (s schema) block(name string) field {
	for _, f := range s.blocks {
		if f.name == name {
			return f
		}
	}
	panic("no block " + name) // HCL returns what the schema asks for
}

// attribute is the field in the block struct v.
func (f field) attribute(v reflect.Value) value {
	return v.FieldByIndex(f.index).Addr().Interface().(value)
}

// another is a block struct for this field that belongs to nothing.
func (f field) another() block { return reflect.New(f.typ).Interface().(block) }

// blockIn is the field in the block struct v, a new element if it is a slice.
func (f field) blockIn(v reflect.Value) block {
	v = v.FieldByIndex(f.index)
	switch {
	case f.many:
		v.Set(reflect.Append(v, reflect.Zero(f.typ)))
		v = v.Index(v.Len() - 1)
	case f.optional:
		v.Set(reflect.New(f.typ))
		v = v.Elem()
	}
	return v.Addr().Interface().(block)
}
