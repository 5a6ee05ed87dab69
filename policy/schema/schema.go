// Package schema writes Cedar's schema of what policies can say: of the principals, of
// tools, prompts and resources, and of the context with its arguments.
//
//	text := schema.Of(schema.Input{Objects: objects[:1]}) // of one tool
//	err := os.WriteFile("tool.cedarschema", text, 0o644)
//
// A schema of one tool is exact. Cedar has one context for an action, so that a schema of
// several tools unites their arguments: each is there with the type that all tools agree
// on, and optional where one of the tools that have it does not require it. Where they
// do not agree, it is left out and a comment says so. That is what helps most in an
// editor, which completes every argument and does not complain about those of the tool
// that a policy is about; what does not fit a tool is found by mcpagg policy check.
package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// An Input is what a schema is made of.
type Input struct {
	Objects []*policy.Object
	Binds   []facts.Bind
	Facts   *facts.Facts // nil for none
	// Policies are looked through for claims, whose types nobody declares.
	Policies []*source.Policy
}

// Of is the schema in Cedar's own language. Actions whose objects are not there are
// declared without arguments.
func Of(in Input) []byte {
	w := &writer{in: in, words: source.Words(), filed: filedOf(in.Facts)}
	w.head()
	for i := range w.words.Entities {
		w.entity(&w.words.Entities[i])
	}
	w.own()
	for i := range w.words.Actions {
		w.action(&w.words.Actions[i])
	}
	return []byte(w.String())
}

// JSON is a schema that [Of] wrote, in Cedar's JSON format.
func JSON(text []byte) ([]byte, error) { return ast.SchemaJSON("schema", text) }

// A writer writes one schema.
type writer struct {
	strings.Builder
	in    Input
	words *source.Vocabulary
	filed filed
}

// head says what the schema is of.
func (w *writer) head() {
	switch n := len(w.in.Objects); n {
	case 0:
		w.WriteString("// What policies can say, whatever the tool is.\n")
	case 1:
		fmt.Fprintf(w, "// What policies about %s can say.\n", comment(w.in.Objects[0].String()))
	default:
		fmt.Fprintf(w, "// What policies about %d tools, prompts and resources can say. An argument is\n"+
			"// optional here where one of the tools that have it does not require it, and a tool\n"+
			"// need not have it: mcpagg policy check looks at each tool by itself.\n", n)
	}
}

// entity declares a type of the vocabulary.
func (w *writer) entity(e *source.EntityType) {
	fmt.Fprintf(w, "\nentity %s", e.Name)
	parents := append(slices.Clone(e.Parents), w.filed.parents[e.Name]...)
	slices.Sort(parents)
	if parents = slices.Compact(parents); len(parents) > 0 {
		fmt.Fprintf(w, " in [%s]", strings.Join(parents, ", "))
	}
	t := &typed.Type{Kind: typed.Record}
	var lines []string
	for _, a := range e.Attributes {
		lines = append(lines, member(a.Name, a.Optional, a.Type))
	}
	if e.Claims {
		t.Fields = append(t.Fields, claims(w.in.Policies, e)...)
	}
	for _, f := range w.filed.attributes[e.Name] {
		if !declares(e, f.Name) {
			t.Fields = append(t.Fields, f)
		}
	}
	for _, f := range t.Fields {
		lines = append(lines, member(f.Name, true, f.Type.Cedar()))
	}
	if len(lines) > 0 {
		fmt.Fprintf(w, " = {\n  %s,\n}", strings.Join(lines, ",\n  "))
	}
	if e.Claims {
		w.WriteString(" tags String") // each claim that is a text
	}
	w.WriteString(";\n")
}

func declares(e *source.EntityType, name string) bool {
	return slices.ContainsFunc(e.Attributes, func(a source.Attribute) bool { return a.Name == name })
}

func member(name string, optional bool, typ string) string {
	mark := ""
	if optional {
		mark = "?"
	}
	return typed.CedarName(name) + mark + ": " + typ
}

// own declares the types of files, and those that only binds make.
func (w *writer) own() {
	known := []string{}
	if w.in.Facts != nil {
		known = w.in.Facts.Types
		if schema := strings.TrimSpace(string(w.in.Facts.Schema)); schema != "" {
			fmt.Fprintf(w, "\n// From policy.entities.\n%s\n", schema)
		}
	}
	spaces := map[string][]string{} // names of types, by namespace
	for _, b := range w.in.Binds {
		if slices.Contains(known, b.Type) || w.words.Entity(b.Type) != nil {
			continue
		}
		known = append(slices.Clone(known), b.Type)
		space, name := cutLast(b.Type, "::")
		spaces[space] = append(spaces[space], "entity "+name+";")
	}
	for _, space := range slices.Sorted(maps.Keys(spaces)) {
		declared := strings.Join(spaces[space], " ")
		if space != "" {
			declared = "namespace " + space + " { " + declared + " }"
		}
		fmt.Fprintf(w, "\n%s\n", declared)
	}
}

func cutLast(s, separator string) (before, after string) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+len(separator):]
}

// action declares an action with its context.
func (w *writer) action(a *source.Action) {
	var objects []*policy.Object
	for _, o := range w.in.Objects {
		if string(o.Action().ID) == a.Name {
			objects = append(objects, o)
		}
	}
	u := unite(objects, w.in.Binds)
	if len(objects) == 0 {
		u = unite([]*policy.Object{anyOf(a)}, w.in.Binds)
	}
	w.WriteByte('\n')
	w.remarks(objects, u)
	fmt.Fprintf(w, "action %q appliesTo {\n  principal: [User, Workload],\n  resource: [%s],\n  context: ", a.Name, a.Resource)
	u.context.Fields = append([]typed.Field{{Name: "app", Type: &typed.Type{Kind: typed.Entity, Entity: "App"}, Required: true}}, u.context.Fields...)
	writeRecord(&w.Builder, u.context, "  ")
	w.WriteString(",\n};\n")
}

// anyOf stands for all objects of an action about which nothing is known.
func anyOf(a *source.Action) *policy.Object {
	switch a.Resource {
	case "Tool":
		return policy.ToolObject(policy.Tool{InputSchema: []byte(`{"type":"object"}`)})
	case "Prompt":
		return policy.PromptObject(policy.Prompt{})
	}
	return policy.ResourceObject(policy.Resource{})
}

const (
	// mostRemarks bounds how many of them stand before an action, and maxComment how
	// long a text of others is in one, in characters.
	mostRemarks = 100
	maxComment  = 200
)

// remarks say which arguments are left out, and why.
func (w *writer) remarks(objects []*policy.Object, u union) {
	lines := u.conflicts
	if len(objects) == 1 {
		for path, why := range objects[0].Shape().Omitted {
			if path == "" {
				path = "all arguments"
			}
			lines = append(lines, fmt.Sprintf("%s: %s", path, why))
		}
	}
	if len(lines) == 0 {
		return
	}
	slices.Sort(lines)
	w.WriteString("// Arguments that policies cannot be about here:\n")
	for i, line := range lines {
		if i == mostRemarks {
			fmt.Fprintf(w, "//   and %d more\n", len(lines)-i)
			return
		}
		fmt.Fprintf(w, "//   %s\n", comment(line))
	}
}

// comment is a text of somebody else that stays in its line.
func comment(text string) string {
	runes := []rune(text)
	if len(runes) > maxComment {
		runes = append(runes[:maxComment-1], '…')
	}
	for i, r := range runes {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			runes[i] = '\uFFFD'
		}
	}
	return string(runes)
}

// writeRecord writes a record, each member in a line of its own.
func writeRecord(b *strings.Builder, t *typed.Type, indent string) {
	open := false
	for _, f := range t.Fields {
		if f.Type.Kind == typed.Unknown {
			continue
		}
		if !open {
			b.WriteString("{\n")
			open = true
		}
		b.WriteString(indent + "  " + member(f.Name, !f.Required, ""))
		if f.Type.Kind == typed.Record {
			writeRecord(b, f.Type, indent+"  ")
		} else {
			b.WriteString(f.Type.Cedar())
		}
		b.WriteString(",")
		if words := f.Type.Enum; len(words) > 0 {
			b.WriteString(" // " + comment(oneOf(words)))
		}
		b.WriteByte('\n')
	}
	if !open {
		b.WriteString("{}")
		return
	}
	b.WriteString(indent + "}")
}

func oneOf(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = fmt.Sprintf("%q", word)
	}
	return strings.Join(quoted, ", ")
}
