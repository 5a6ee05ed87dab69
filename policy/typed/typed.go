// Package typed gives the arguments of tools and prompts the types of Cedar: a
// [Shape] is made of a JSON Schema, and makes a record of arguments.
//
//	shape := typed.New(tool.InputSchema)
//	input, err := shape.Value(args, raw, nil)
//
// Texts stay texts but for date-time and date, which become a datetime, and
// ipv4, ipv6 and ip, which become an ipaddr: a duration of ISO 8601 has months,
// which one of Cedar has not. An integer becomes a Long, a number a decimal, a
// list of scalars of one type a set, and an object with declared members a
// record. What Cedar cannot hold is omitted, and the Shape says why.
package typed

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
)

// A Kind is a type of Cedar.
type Kind uint8

// The kinds of types.
const (
	Unknown Kind = iota // a value of which nothing is known
	String
	Long
	Bool
	Decimal
	Datetime
	Duration
	Address // ipaddr
	Set
	Record
	Entity
)

// A Type is what is known of a value before it is there.
type Type struct {
	Kind   Kind
	Elem   *Type            // of a Set
	Fields []Field          // of a Record, sorted by name
	Entity types.EntityType // of an Entity
	Enum   []string         // the texts that a String may be, sorted; nil for any
	Least  int              // the bytes that a String has at least; schemas do not set it
}

// A Field is one member of a record.
type Field struct {
	Name     string
	Type     *Type
	Required bool // it is always there, if only by its default
	// Default is filled in where the member did not come; nil for none. A field
	// that may be null is not Required even so: null is absent, and stays so.
	Default types.Value
}

// Field is the field of that name.
func (t *Type) Field(name string) (Field, bool) {
	i, ok := slices.BinarySearchFunc(t.Fields, name, func(f Field, name string) int { return strings.Compare(f.Name, name) })
	if !ok {
		return Field{}, false
	}
	return t.Fields[i], true
}

// A Shape is what of some arguments policies see. It never changes.
type Shape struct {
	// Input is the type of context.input, a Record.
	Input *Type
	// Omitted says of each argument that Cedar cannot hold, by its dotted path,
	// why. The path "" stands for all of them. It says so of 5,000 at most.
	Omitted map[string]string

	declared *declared
}

// New reads the input schema of a tool. What of it Cedar cannot hold is omitted.
func New(inputSchema json.RawMessage) *Shape {
	s := &Shape{Input: &Type{Kind: Record}, Omitted: map[string]string{}, declared: &declared{}}
	root, err := decodeSchema(inputSchema)
	if err != nil {
		s.Omitted[""] = err.Error()
		return s
	}
	r := &reader{root: root, left: maxWork, open: map[uintptr]int{}, omitted: s.Omitted}
	s.Input = r.arguments()
	d := &declarer{root: root, left: maxWork, made: map[string]*declared{}}
	s.declared = d.at([]any{root})
	omitAlternatives(s.Omitted, s.Input, s.declared, "")
	return s
}

// ForPrompt reads the "arguments" of a prompt, which are texts.
func ForPrompt(arguments json.RawMessage) *Shape {
	s := &Shape{Input: &Type{Kind: Record}, Omitted: map[string]string{}, declared: &declared{members: map[string]*declared{}}}
	var list []struct {
		Name     string
		Required bool
	}
	if len(arguments) > 0 && json.Unmarshal(arguments, &list) != nil {
		s.Omitted[""] = "the prompt's arguments cannot be read"
		return s
	}
	required := map[string]bool{}
	for _, a := range list {
		required[a.Name] = required[a.Name] || a.Required
	}
	for name, required := range required {
		s.declared.members[name] = anything
		if reserved(name) {
			s.Omitted[join("", name)] = reasonReserved
			continue
		}
		s.Input.Fields = append(s.Input.Fields, Field{Name: name, Type: &Type{Kind: String}, Required: required})
	}
	sortFields(s.Input.Fields)
	return s
}

func sortFields(fields []Field) {
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
}

// At is the argument at that path, such as "target", "owner". Where it is not
// there, omitted says why, if it is known.
func (s *Shape) At(path []string) (f Field, omitted string, ok bool) {
	if why, all := s.Omitted[""]; all {
		return Field{}, why, false
	}
	in, at := s.Input, ""
	for _, name := range path {
		at = join(at, name)
		if in.Kind != Record {
			return Field{}, "", false
		}
		if f, ok = in.Field(name); !ok {
			return Field{}, s.Omitted[at], false
		}
		in = f.Type
	}
	return f, "", ok
}

// join is the dotted path of a member.
func join(path, name string) string {
	if name == "" {
		name = `""` // since the path "" is that of all arguments
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// reserved are names that mean something else in Cedar's JSON.
func reserved(name string) bool { return name == "__entity" || name == "__extn" }
