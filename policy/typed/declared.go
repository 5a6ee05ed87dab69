package typed

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
)

// maxPatterns bounds how many patterns of a schema count, maxPattern the bytes
// of each.
const (
	maxPatterns = 20
	maxPattern  = 200
)

// declared are the keys that a schema declares at one place, through any of the
// schemas that may apply there. It leads back to itself where the schema does.
type declared struct {
	members  map[string]*declared
	patterns []pattern
	others   *declared // values of keys that are not declared; nil for anything
	items    *declared // members of a list; nil for anything
	closed   bool      // nothing is declared, since that could not be found out
}

type pattern struct {
	key *regexp.Regexp
	of  *declared
}

// anything declares nothing, and so allows all.
var anything = &declared{}

// Undeclared is the path of a key that the schema does not declare, "" if there
// is none: the first of them in the order of paths. At the top level each key
// has to be declared, by a property or a pattern of them, and below wherever
// the schema declares properties.
func (s *Shape) Undeclared(args map[string]any) string {
	path, _ := s.declared.undeclared(args, true)
	return path
}

func (d *declared) undeclared(args map[string]any, top bool) (first string, found bool) {
	strict := top || d.closed || len(d.members) > 0
	for key, v := range args {
		below, ok := d.below(key)
		path, missing := "", !ok && strict
		if missing {
			path = join("", key)
		} else if path, missing = below.undeclaredIn(v); missing {
			path = join(join("", key), path)
		}
		if missing && (!found || path < first) {
			first, found = path, true
		}
	}
	return first, found
}

// undeclaredIn looks into a value, if there is something to look at.
func (d *declared) undeclaredIn(v any) (first string, found bool) {
	if d == nil {
		return "", false
	}
	switch v := v.(type) {
	case map[string]any:
		return d.undeclared(v, false)
	case []any:
		for i, v := range v {
			if path, found := d.items.undeclaredIn(v); found {
				return strconv.Itoa(i) + "." + path, true
			}
		}
	}
	return "", false
}

// below is what is declared at a key, and whether the key is.
func (d *declared) below(key string) (*declared, bool) {
	if below, ok := d.members[key]; ok {
		return below, true
	}
	for _, p := range d.patterns {
		if p.key.MatchString(key) {
			return p.of, true
		}
	}
	return d.others, false
}

// A declarer finds out what one schema document declares.
type declarer struct {
	root     any
	left     int // of maxWork
	patterns int // so far
	made     map[string]*declared
}

// at is what schemas that apply to one place declare. The same ones make the
// same, and so an end of a schema that contains itself.
func (d *declarer) at(schemas []any) *declared {
	var applying []map[string]any
	seen := map[uintptr]bool{}
	for _, s := range schemas {
		d.collect(s, seen, &applying)
	}
	if d.left < 0 {
		return &declared{closed: true}
	}
	key := keyOf(applying)
	if of := d.made[key]; of != nil {
		return of
	}
	of := &declared{}
	d.made[key] = of
	d.declare(of, applying)
	return of
}

func keyOf(schemas []map[string]any) string {
	ids := make([]uintptr, len(schemas))
	for i, s := range schemas {
		ids[i] = identity(s)
	}
	slices.Sort(ids)
	var key []byte
	for _, id := range ids {
		key = strconv.AppendUint(append(key, ' '), uint64(id), 36)
	}
	return string(key)
}

// collect adds a schema and all that may apply in the same place.
func (d *declarer) collect(schema any, seen map[uintptr]bool, applying *[]map[string]any) {
	s, ok := schema.(map[string]any)
	if !ok || seen[identity(s)] || d.left < 0 {
		return
	}
	seen[identity(s)] = true
	d.left -= work(s)
	*applying = append(*applying, s)
	if ref, ok := s["$ref"].(string); ok {
		if target, ok := resolve(d.root, ref); ok {
			d.collect(target, seen, applying)
		}
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		for _, below := range listIn(s, key) {
			d.collect(below, seen, applying)
		}
	}
	for _, key := range []string{"not", "if", "then", "else"} {
		d.collect(s[key], seen, applying)
	}
	for _, key := range []string{"dependentSchemas", "dependencies"} {
		dependent, _ := s[key].(map[string]any)
		for _, below := range dependent {
			d.collect(below, seen, applying)
		}
	}
}

// declare fills of with what the schemas say of the places below.
func (d *declarer) declare(of *declared, schemas []map[string]any) {
	members, patterns := map[string][]any{}, map[string][]any{}
	var others, items []any
	for _, s := range schemas {
		addEach(members, s["properties"])
		addEach(patterns, s["patternProperties"])
		others = append(others, s["additionalProperties"])
		items = append(items, s["items"], s["additionalItems"]) // the latter of draft-07
		items = append(append(items, listIn(s, "items")...), listIn(s, "prefixItems")...)
	}
	of.others, of.items = d.below(others), d.below(items)
	if len(members) > 0 {
		of.members = make(map[string]*declared, len(members))
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		of.members[name] = d.below(members[name])
	}
	for _, expr := range slices.Sorted(maps.Keys(patterns)) {
		if d.patterns++; d.patterns > maxPatterns || len(expr) > maxPattern {
			continue // and so declares nothing
		}
		if key, err := regexp.Compile(expr); err == nil {
			of.patterns = append(of.patterns, pattern{key, d.below(patterns[expr])})
		}
	}
}

func addEach(to map[string][]any, schemas any) {
	each, _ := schemas.(map[string]any)
	for name, s := range each {
		to[name] = append(to[name], s)
	}
}

// below is at, and nil where no schema says anything of keys.
func (d *declarer) below(schemas []any) *declared {
	if !slices.ContainsFunc(schemas, declares) {
		return nil
	}
	return d.at(schemas)
}

// declaring are the keywords without which a schema declares nothing.
var declaring = []string{
	"properties", "patternProperties", "additionalProperties", "items", "prefixItems", "$ref",
	"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies",
}

func declares(schema any) bool {
	s, _ := schema.(map[string]any)
	return len(s) > 0 && slices.ContainsFunc(declaring, func(key string) bool { return s[key] != nil })
}

// omitAlternatives says why members are not in t that only some forms of the
// arguments have.
func omitAlternatives(omitted map[string]string, t *Type, d *declared, path string) {
	if d == nil || t.Kind != Record {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(d.members)) {
		if len(omitted) >= maxOmitted {
			return
		}
		at := join(path, name)
		if f, ok := t.Field(name); ok {
			omitAlternatives(omitted, f.Type, d.members[name], at)
		} else if omitted[at] == "" {
			omit(omitted, at, reasonSome)
		}
	}
}
