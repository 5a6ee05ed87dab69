package aggregator

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// maxInPlace bounds how many schemas apply to one place of the arguments.
const maxInPlace = 500

var (
	errSchemaLoop = errors.New("a $ref leads back to itself")
	errSchemaWide = fmt.Errorf("more than %d schemas apply to one value", maxInPlace)
)

// A location is what a schema says of one place in the arguments: all schemas
// that apply there together, through references and combinations. It is made
// of the raw schema, since the validator follows references without a bound: a
// loop of them would end the program, and a wide net of them take for ever.
type location struct {
	read     *shapeReader
	applying []map[string]any

	properties map[string][]any  // declared by any of them
	folded     map[string]string // case-folded name -> a declared one
	patterns   []any             // of patternProperties and additionalProperties
	items      []any
	prefix     map[int][]any
}

// maxNodes bounds the size of a schema that is checked at all, and
// maxLocations the locations that are remembered of it.
const (
	maxNodes     = 50_000
	maxLocations = 10_000
)

// A shapeReader resolves the references of one schema document.
type shapeReader struct {
	root      any
	nodes     int             // visited by check
	recursing map[string]bool // references -> whether their target contains them

	mu   sync.Mutex
	made map[string]*location // by the schemas that apply; guarded by mu
}

// readShape checks that the evaluation of a schema ends in good time.
func readShape(root any) (*location, error) {
	r := &shapeReader{root: root, recursing: map[string]bool{}, made: map[string]*location{}}
	if err := r.check(root, 0); err != nil {
		return nil, err
	}
	return r.at([]any{root})
}

// check visits every schema in the document once.
func (r *shapeReader) check(s any, depth int) error {
	if r.nodes++; depth > 200 || r.nodes > maxNodes {
		return errors.New("the schema is too large or nested too deeply")
	}
	switch s := s.(type) {
	case map[string]any:
		if combines(s) {
			if err := r.checkInPlace(s); err != nil {
				return err
			}
		}
		for _, below := range s {
			if err := r.check(below, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, below := range s {
			if err := r.check(below, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// combines reports whether s applies other schemas to its own place.
func combines(s map[string]any) bool {
	return s["$ref"] != nil || s["$dynamicRef"] != nil || s["$recursiveRef"] != nil || len(combined(s)) > 0
}

// checkInPlace makes sure that few schemas apply where s does, and that none
// of those below that refer back here do so twice: each level of the arguments
// would then double the work.
func (r *shapeReader) checkInPlace(s map[string]any) error {
	count := 0
	refs := map[string]int{}
	err := r.visit(s, "", nil, func(_ map[string]any, ref string) error {
		if count++; count > maxInPlace {
			return errSchemaWide
		}
		if ref != "" {
			refs[ref]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for ref, times := range refs {
		if times > 1 && r.recursive(ref) {
			return fmt.Errorf("%w: %s applies %d times at once and contains itself", errSchemaWide, ref, times)
		}
	}
	return nil
}

// recursive reports whether the target of ref contains ref again.
func (r *shapeReader) recursive(ref string) bool {
	is, known := r.recursing[ref]
	if !known {
		is = r.contains(ref)
		r.recursing[ref] = is
	}
	return is
}

func (r *shapeReader) contains(ref string) bool {
	target, err := r.resolve(ref)
	if err != nil {
		return true
	}
	seen := map[string]bool{}
	var contains func(any) bool
	contains = func(s any) bool {
		switch s := s.(type) {
		case map[string]any:
			if to, ok := s["$ref"].(string); ok {
				if to == ref {
					return true
				}
				if !seen[to] {
					seen[to] = true
					if below, err := r.resolve(to); err == nil && contains(below) {
						return true
					}
				}
			}
			for _, below := range s {
				if contains(below) {
					return true
				}
			}
		case []any:
			for _, below := range s {
				if contains(below) {
					return true
				}
			}
		}
		return false
	}
	return contains(target)
}

// visit calls f for s and all schemas that apply in the same place, each with
// the reference that led to it, if one did. path holds the references so far.
func (r *shapeReader) visit(s map[string]any, ref string, path []string, f func(s map[string]any, ref string) error) error {
	if err := f(s, ref); err != nil {
		return err
	}
	if s["$dynamicRef"] != nil || s["$recursiveRef"] != nil {
		return errors.New("dynamic references are not supported")
	}
	if to, ok := s["$ref"].(string); ok {
		for _, before := range path {
			if before == to {
				return errSchemaLoop
			}
		}
		target, err := r.resolve(to)
		if err != nil {
			return err
		}
		if below, ok := target.(map[string]any); ok {
			if err := r.visit(below, to, append(path[:len(path):len(path)], to), f); err != nil {
				return err
			}
		}
	}
	for _, below := range combined(s) {
		if below, ok := below.(map[string]any); ok {
			if err := r.visit(below, "", path, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// combined are the schemas that s applies to its own place, but by reference.
func combined(s map[string]any) []any {
	var all []any
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		list, _ := s[key].([]any)
		all = append(all, list...)
	}
	for _, key := range []string{"not", "if", "then", "else"} {
		if below, ok := s[key]; ok {
			all = append(all, below)
		}
	}
	for _, key := range []string{"dependentSchemas", "dependencies"} {
		dependent, _ := s[key].(map[string]any)
		for _, below := range dependent {
			all = append(all, below)
		}
	}
	return all
}

// resolve follows a reference within the document.
func (r *shapeReader) resolve(ref string) (any, error) {
	pointer, ok := strings.CutPrefix(ref, "#")
	pointer, err := url.PathUnescape(pointer)
	if !ok || err != nil || pointer != "" && pointer[0] != '/' {
		return nil, fmt.Errorf("the reference %.80q does not point into the schema", ref)
	}
	at := r.root
	for _, step := range strings.Split(pointer, "/")[1:] {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		switch here := at.(type) {
		case map[string]any:
			at, ok = here[step]
		case []any:
			i, err := strconv.Atoi(step)
			if ok = err == nil && i >= 0 && i < len(here); ok {
				at = here[i]
			}
		default:
			ok = false
		}
		if !ok {
			return nil, fmt.Errorf("the reference %.80q leads nowhere", ref)
		}
	}
	return at, nil
}

// at is the location where all of schemas apply. The same ones make the same
// location, which is read once.
func (r *shapeReader) at(schemas []any) (*location, error) {
	var key string
	for _, s := range schemas {
		if s, ok := s.(map[string]any); ok {
			key += fmt.Sprintf("%p ", s) // which schema, not what is in it
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.made[key]; l != nil {
		return l, nil
	}
	l, err := r.read(schemas)
	if err == nil && len(r.made) < maxLocations {
		r.made[key] = l
	}
	return l, err
}

func (r *shapeReader) read(schemas []any) (*location, error) {
	l := &location{read: r, properties: map[string][]any{}, folded: map[string]string{}, prefix: map[int][]any{}}
	for _, s := range schemas {
		object, ok := s.(map[string]any)
		if !ok {
			continue // true and false declare nothing
		}
		err := r.visit(object, "", nil, func(s map[string]any, _ string) error {
			if len(l.applying) >= maxInPlace {
				return errSchemaWide
			}
			l.applying = append(l.applying, s)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, s := range l.applying {
		l.declare(s)
	}
	for name := range l.properties {
		l.folded[foldCase(name)] = name
	}
	return l, nil
}

// declare notes what one of the schemas says of the places below.
func (l *location) declare(s map[string]any) {
	properties, _ := s["properties"].(map[string]any)
	for name, below := range properties {
		l.properties[name] = append(l.properties[name], below)
	}
	patterns, _ := s["patternProperties"].(map[string]any)
	for _, below := range patterns {
		l.patterns = append(l.patterns, below)
	}
	if below, ok := s["additionalProperties"]; ok {
		l.patterns = append(l.patterns, below)
	}
	prefix, _ := s["prefixItems"].([]any)
	if list, ok := s["items"].([]any); ok {
		prefix = list // draft-07
	} else if below, ok := s["items"]; ok {
		l.items = append(l.items, below)
	}
	for i, below := range prefix {
		l.prefix[i] = append(l.prefix[i], below)
	}
	if below, ok := s["additionalItems"]; ok {
		l.items = append(l.items, below)
	}
}

// checkSpelling refuses keys that equal a declared property but for case: a
// reader that ignores case would take them for it, and a policy would not.
func (l *location) checkSpelling(instance any, at string) error {
	switch v := instance.(type) {
	case map[string]any:
		for key, value := range v {
			below, declared := l.properties[key]
			if name, ok := l.foldedName(key); !declared && ok {
				return fmt.Errorf("key %q at %s differs from the declared property %q in case only", key, at+"/"+key, name)
			}
			if !declared {
				below = l.patterns
			}
			if err := l.descend(value, below, at+"/"+key); err != nil {
				return err
			}
		}
	case []any:
		for i, value := range v {
			below := l.items
			if own := l.prefix[i]; own != nil {
				below = append(below[:len(below):len(below)], own...)
			}
			if err := l.descend(value, below, at+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *location) descend(value any, schemas []any, at string) error {
	switch value.(type) {
	case map[string]any, []any:
	default:
		return nil // nothing is named in it
	}
	if len(schemas) == 0 {
		return nil
	}
	below, err := l.read.at(schemas)
	if err != nil {
		return err
	}
	return below.checkSpelling(value, at)
}

// foldedName finds the declared property that key equals but for case.
func (l *location) foldedName(key string) (string, bool) {
	name, ok := l.folded[foldCase(key)]
	return name, ok
}

// foldCase makes the same text of all that strings.EqualFold holds equal.
func foldCase(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, s)
}
