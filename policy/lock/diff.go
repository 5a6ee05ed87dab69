package lock

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Change is one difference between two definitions, in words that can be shown
// anywhere: nothing in them is hidden or commands a terminal.
type Change struct {
	What string `json:"what"`          // such as "argument path: type"
	Was  string `json:"was,omitempty"` // "" if it is new
	Is   string `json:"is,omitempty"`  // "" if it is gone
}

func (c Change) String() string {
	switch {
	case c.Was != "" && c.Is != "":
		return c.What + " " + c.Was + " -> " + c.Is
	case c.Is != "":
		return "new " + c.What + " (" + c.Is + ")"
	case c.Was != "":
		return c.What + " is gone (it was " + c.Was + ")"
	}
	return c.What
}

const (
	// maxChanges bounds a list of changes.
	maxChanges = 50
	// maxDepth is how deep schemas are compared by their properties; what is deeper
	// is compared as text.
	maxDepth = 16
)

// Diff says how now differs, in an order that is always the same: at most 50
// changes, and how many more there are. It is empty if they are equal.
func (p Pin) Diff(now Pin) []Change {
	d := &differ{}
	d.text("title", p.Title, now.Title)
	d.text("description", p.Description, now.Description)
	d.members("annotation ", jsontext.Value(p.Annotations), jsontext.Value(now.Annotations))
	d.schema(place{"input schema", "argument", ""}, jsontext.Value(p.InputSchema), jsontext.Value(now.InputSchema), 0)
	d.schema(place{"output schema", "result", ""}, jsontext.Value(p.OutputSchema), jsontext.Value(now.OutputSchema), 0)
	if d.more > 0 {
		d.changes = append(d.changes, Change{What: fmt.Sprintf("%d more changes", d.more)})
	}
	return d.changes
}

// A differ collects changes.
type differ struct {
	changes []Change
	more    int // that are not in changes
}

func (d *differ) add(what, was, is string) {
	if len(d.changes) == maxChanges {
		d.more++
		return
	}
	d.changes = append(d.changes, Change{what, was, is})
}

func (d *differ) text(what, was, is string) {
	quoted := func(text string) string {
		if text == "" {
			return ""
		}
		return `"` + bounded(text) + `"`
	}
	switch {
	case was == is:
	case was == "" || is == "":
		d.add(what, quoted(was), quoted(is))
	default:
		a, b := differences(was, is)
		d.add(what, `"`+a+`"`, `"`+b+`"`)
	}
}

// value compares two values, of which one may be nil.
func (d *differ) value(what string, was, is jsontext.Value) {
	const empty = `""` // which text takes for one that is not there
	switch {
	case string(was) == string(is):
	case was.Kind() == '"' && is.Kind() == '"' && string(was) != empty && string(is) != empty:
		d.text(what, unquoted(was), unquoted(is))
	case len(was) == 0 || len(is) == 0:
		d.add(what, bounded(string(was)), bounded(string(is)))
	default:
		a, b := string(was), string(is)
		if len(a) > maxExcerpt || len(b) > maxExcerpt {
			a, b = differences(a, b)
		}
		d.add(what, bounded(a), bounded(b))
	}
}

// members compares the members of two objects, each of which may be nil.
func (d *differ) members(what string, was, is jsontext.Value) {
	a, b := object(was), object(is)
	for _, name := range union(a, b) {
		d.value(what+bounded(name), a[name], b[name])
	}
}

// A place is where in the schemas of a tool something is.
type place struct {
	schema string // such as "input schema"
	noun   string // of what has a name, such as "argument"
	path   string // such as filter.labels[]; "" for the whole schema
}

func (p place) String() string {
	if p.path == "" {
		return p.schema
	}
	return p.noun + " " + p.path
}

func (p place) property(name string) place {
	p.path = strings.TrimPrefix(p.path+"."+bounded(name), ".")
	return p
}

func (p place) items() place {
	p.path += "[]"
	return p
}

// schema compares two JSON Schemas, of which one may be nil.
func (d *differ) schema(at place, was, is jsontext.Value, depth int) {
	switch {
	case string(was) == string(is):
		return
	case was.Kind() != '{' || is.Kind() != '{' || depth == maxDepth:
		d.value(at.String(), was, is)
		return
	}
	a, b := object(was), object(is)
	before := len(d.changes) + d.more
	explained := d.properties(at, a, b, depth)
	for _, keyword := range union(a, b) {
		was, is := a[keyword], b[keyword]
		switch both := was.Kind() == '{' && is.Kind() == '{'; {
		case keyword == "properties" && isObject(was) && isObject(is):
		case keyword == "required" && isNames(was) && isNames(is):
			was, is = without(was, explained), without(is, explained)
			d.value(at.String()+": required", was, is)
		case keyword == "items" && both:
			d.schema(at.items(), was, is, depth+1)
		case (keyword == "$defs" || keyword == "definitions") && both:
			d.definitions(at, object(was), object(is), depth)
		case keyword == "type" && was.Kind() == '"' && is.Kind() == '"':
			if string(was) != string(is) {
				d.add(at.String()+": type", bounded(unquoted(was)), bounded(unquoted(is)))
			}
		default:
			d.value(at.String()+": "+bounded(keyword), was, is)
		}
	}
	if len(d.changes)+d.more == before { // such as an empty list in place of none
		d.value(at.String(), was, is)
	}
}

// properties compares the properties of two schemas by their members, and returns
// those that are said to be required from now on, or not any more.
func (d *differ) properties(at place, a, b map[string]jsontext.Value, depth int) (explained map[string]bool) {
	explained = map[string]bool{}
	if !isObject(a["properties"]) || !isObject(b["properties"]) {
		return explained
	}
	mustWas, mustIs := names(a["required"]), names(b["required"])
	was, is := object(a["properties"]), object(b["properties"])
	for _, name := range union(was, is) {
		what := at.property(name)
		wasThere, isThere := was[name] != nil, is[name] != nil
		had, has := slices.Contains(mustWas, name), slices.Contains(mustIs, name)
		switch {
		case !wasThere:
			d.add(what.String(), "", typeOf(is[name])+", "+presence(has))
		case !isThere:
			d.add(what.String(), typeOf(was[name])+", "+presence(had), "")
		case had != has:
			d.add(what.String(), presence(had), presence(has))
		}
		if !wasThere || !isThere || had != has {
			explained[name] = true
		}
		if wasThere && isThere {
			d.schema(what, was[name], is[name], depth+1)
		}
	}
	return explained
}

func (d *differ) definitions(at place, was, is map[string]jsontext.Value, depth int) {
	for _, name := range union(was, is) {
		d.schema(place{at.schema, "definition", bounded(name)}, was[name], is[name], depth+1)
	}
}

// typeOf is what a schema takes, in a word or two.
func typeOf(schema jsontext.Value) string {
	members := object(schema)
	switch t := members["type"]; t.Kind() {
	case '"':
		return bounded(unquoted(t))
	case '[':
		return bounded(strings.Join(names(t), " or "))
	}
	for _, keyword := range []string{"enum", "const", "$ref", "anyOf", "oneOf", "allOf"} {
		if v := members[keyword]; v != nil {
			return bounded(keyword + " " + string(v))
		}
	}
	return "anything"
}

// isObject is true of what is not there, too.
func isObject(v jsontext.Value) bool { return len(v) == 0 || v.Kind() == '{' }

func isNames(v jsontext.Value) bool {
	var list []string
	return len(v) == 0 || json.Unmarshal(v, &list) == nil
}

// names are a list of strings; anything else has none.
func names(v jsontext.Value) []string {
	var list []string
	if len(v) == 0 || json.Unmarshal(v, &list) != nil {
		return nil
	}
	return list
}

// without is a list of names without some; nil if none is left.
func without(v jsontext.Value, some map[string]bool) jsontext.Value {
	left := slices.DeleteFunc(names(v), func(name string) bool { return some[name] })
	if len(left) == 0 {
		return nil
	}
	out, err := json.Marshal(left)
	if err != nil {
		panic("lock: " + err.Error()) // it was read from JSON
	}
	return out
}

// object are the members of an object; anything else has none.
func object(v jsontext.Value) map[string]jsontext.Value {
	var members map[string]jsontext.Value
	if v.Kind() != '{' || json.Unmarshal(v, &members) != nil {
		return nil
	}
	return members
}

func union(a, b map[string]jsontext.Value) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(all)
	return slices.Compact(all)
}

func unquoted(v jsontext.Value) string {
	text, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return string(v)
	}
	return string(text)
}
