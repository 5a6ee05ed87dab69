// Package facts holds what operators tell policies beyond what is signed: entities
// of their own, from files, and how arguments of a call become such entities.
package facts

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

const (
	// maxEntities bounds what all files hold together, maxFile one of them in bytes.
	maxEntities = 200_000
	maxFile     = 64 << 20
)

// Facts are the entities of files. They never change.
type Facts struct {
	Entities types.EntityMap
	Types    []string // entity types of their own, sorted
	Schema   []byte   // that declares them, in Cedar's schema language
	// Groups are the groups that they mention, by the ids that policies use.
	Groups []string
	// People says that they mention users or workloads.
	People bool
	// Attributes are those that files give to entities of the gateway's own
	// types, sorted.
	Attributes []string
	// Resolved is Schema with the names of the gateway's own types.
	Resolved *ast.Schema
}

// builtin are the gateway's own entity types. In files they may have attributes
// and parents beyond those that the gateway gives them.
var builtin = []string{"User", "Workload", "Group", "Role", "App", "Tag", "Upstream", "Tool", "Prompt", "Resource", "Client", "THVGroup", "MCP", "Action"}

// Load reads entity files in Cedar's JSON format (*.json), and in Cedar's schema
// language what declares their types (*.cedarschema). The error is
// [source.Mistakes].
func Load(files []source.File) (*Facts, error) {
	l := loader{facts: Facts{Entities: types.EntityMap{}}, from: map[types.EntityUID]source.File{}, groups: map[string]bool{}}
	for _, f := range files {
		switch {
		case len(f.Text) > maxFile:
			l.wrong(f, 1, 1, fmt.Sprintf("the file is larger than %d MiB", maxFile>>20), "split it, or leave out what no policy asks for")
		case path.Ext(f.Name) == ".cedarschema":
			l.declare(f)
		case path.Ext(f.Name) == ".json":
			l.read(f)
		default:
			l.wrong(f, 1, 1, "neither entities (*.json) nor a schema (*.cedarschema)", "")
		}
	}
	l.check()
	if len(l.mistakes) > 0 {
		return nil, l.mistakes
	}
	l.facts.Groups, l.facts.Schema = slices.Sorted(maps.Keys(l.groups)), l.schema
	return &l.facts, nil
}

// A loader gathers what is in the files.
type loader struct {
	facts    Facts
	from     map[types.EntityUID]source.File
	schema   []byte // all fragments, one after the other
	groups   map[string]bool
	mistakes source.Mistakes
}

func (l *loader) wrong(f source.File, line, column int, text, remedy string) {
	l.mistakes = append(l.mistakes, source.Mistake{File: f.Name, Line: line, Column: column, Text: text, Remedy: remedy})
}

// declare reads one part of the schema.
func (l *loader) declare(f source.File) {
	declared, err := ast.Declared(f.Name, f.Text)
	if err != nil {
		line, column := positionOf(err)
		l.wrong(f, line, column, "the schema: "+err.Error(), "")
		return
	}
	for _, t := range declared {
		if slices.Contains(builtin, string(t)) {
			line, column := find(f.Text, string(t))
			l.wrong(f, line, column, fmt.Sprintf("%s is declared by the gateway", t), "declare types of your own only")
			continue
		}
		l.facts.Types = append(l.facts.Types, string(t))
	}
	l.schema = append(append(l.schema, f.Text...), '\n')
}

// position is where in its text a parser of Cedar says that something is wrong.
var position = regexp.MustCompile(`:(\d+):(\d+)`)

func positionOf(err error) (line, column int) {
	m := position.FindStringSubmatch(err.Error())
	if m == nil {
		return 1, 1
	}
	line, _ = strconv.Atoi(m[1]) // digits
	column, _ = strconv.Atoi(m[2])
	return max(line, 1), max(column, 1)
}

// find is the place of the first word in a text.
func find(text []byte, word string) (line, column int) {
	at := max(bytes.Index(text, []byte(word)), 0)
	before := text[:at]
	return 1 + bytes.Count(before, []byte("\n")), at - bytes.LastIndexByte(before, '\n')
}

// read reads a file of entities.
func (l *loader) read(f source.File) {
	var all []json.RawMessage
	if err := json.Unmarshal(f.Text, &all); err != nil {
		line, column := offset(f.Text, err)
		l.wrong(f, line, column, "not a list of entities in JSON: "+err.Error(), `write [{"uid": {"type": "Team", "id": "web"}, "parents": [], "attrs": {}}]`)
		return
	}
	for i, raw := range all {
		if len(l.facts.Entities) >= maxEntities {
			l.wrong(f, 1, 1, fmt.Sprintf("more than %d entities", maxEntities), "leave out what no policy asks for")
			return
		}
		l.add(f, i, raw)
	}
}

func offset(text []byte, err error) (line, column int) {
	at := 0
	switch e := err.(type) {
	case *json.SyntaxError:
		at = int(e.Offset)
	case *json.UnmarshalTypeError:
		at = int(e.Offset)
	}
	before := text[:min(max(at-1, 0), len(text))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}

func (l *loader) add(f source.File, i int, raw json.RawMessage) {
	var e types.Entity
	if err := json.Unmarshal(raw, &e); err != nil {
		l.wrong(f, 1, 1, fmt.Sprintf("entity %d: %v", i+1, err), "")
		return
	}
	if before, ok := l.from[e.UID]; ok {
		line, column := find(f.Text, string(e.UID.ID))
		l.wrong(f, line, column, fmt.Sprintf("%s is there twice, also in %s", e.UID, before.Name), "keep one of them")
		return
	}
	l.facts.Entities[e.UID], l.from[e.UID] = e, f
	l.mention(e.UID)
	for p := range e.Parents.All() {
		l.mention(p)
	}
	l.mention(e.Attributes)
	l.mention(e.Tags)
}

// mention notes the groups in a value.
func (l *loader) mention(v types.Value) {
	switch v := v.(type) {
	case types.EntityUID:
		switch v.Type {
		case "Group", "THVGroup":
			l.groups[string(v.ID)] = true
		case "User", "Workload":
			l.facts.People = true
		}
	case types.Record:
		for below := range v.Values() {
			l.mention(below)
		}
	case types.Set:
		for below := range v.All() {
			l.mention(below)
		}
	}
}

// check compares all entities with the schema, in the order of their names.
func (l *loader) check() {
	slices.Sort(l.facts.Types)
	l.facts.Types = slices.Compact(l.facts.Types)
	schema, err := ast.ReadSchema("", l.whole())
	if err != nil && len(l.mistakes) == 0 {
		l.mistakes = append(l.mistakes, source.Mistake{File: "schema", Line: 1, Column: 1, Text: "the schemas together: " + err.Error(), Remedy: "declare each type once, and every type that another names"})
	}
	if err != nil {
		return
	}
	l.facts.Resolved = schema
	uids := slices.SortedFunc(maps.Keys(l.facts.Entities), func(a, b types.EntityUID) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
	})
	attributes := map[string]bool{}
	for _, uid := range uids {
		e := l.facts.Entities[uid]
		if slices.Contains(builtin, string(uid.Type)) {
			for name := range e.Attributes.Keys() {
				attributes[string(name)] = true
			}
			continue
		}
		l.checkOne(schema, e)
	}
	l.facts.Attributes = slices.Sorted(maps.Keys(attributes))
}

func (l *loader) checkOne(schema *ast.Schema, e types.Entity) {
	f := l.from[e.UID]
	line, column := find(f.Text, string(e.UID.ID))
	if !slices.Contains(l.facts.Types, string(e.UID.Type)) {
		l.wrong(f, line, column, fmt.Sprintf("nothing declares the type %s of %s", e.UID.Type, e.UID),
			fmt.Sprintf("put \"entity %s;\" with its attributes into a *.cedarschema file of policy.entities", e.UID.Type))
		return
	}
	if err := ast.CheckEntity(schema, e); err != nil {
		l.wrong(f, line, column, fmt.Sprintf("%s: %v", e.UID, err), "")
	}
}

// whole is the schema with the gateway's own types, which may be parents and
// values of those in files, and the other way round.
func (l *loader) whole() []byte {
	var b strings.Builder
	for _, t := range builtin {
		if t != "Action" {
			fmt.Fprintf(&b, "entity %s;\n", t)
		}
	}
	b.Write(l.schema)
	return []byte(b.String())
}
