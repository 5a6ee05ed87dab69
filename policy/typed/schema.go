package typed

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

const (
	// maxSchema bounds a schema that is read at all, in bytes.
	maxSchema = 4 << 20
	// maxWork bounds what is read of it, in members and elements, each as often
	// as it applies.
	maxWork = 50_000
	// maxDepth bounds how many members a path has.
	maxDepth = 6
	// maxPath bounds a path, in bytes, and maxOmitted how many are said to be
	// omitted.
	maxPath    = 1000
	maxOmitted = 5_000
)

// Why an argument is omitted, for whoever writes policies.
const (
	reasonLarge    = "the schema is too large"
	reasonAnything = "its schema does not say what it is"
	reasonNothing  = "its schema allows no value"
	reasonNull     = "it can only be null"
	reasonMap      = "it is an object whose keys the schema does not name"
	reasonForms    = "it has one of several forms (anyOf or oneOf)"
	reasonSome     = "it is described for some forms of the arguments only (anyOf, oneOf or if)"
	reasonTuple    = "it is a list whose members differ by their place"
	reasonMembers  = "it is a list whose members may be anything"
	reasonNested   = "it is a list of lists or objects, and only a list of texts, numbers and the like becomes a set"
	reasonDeep     = "it is nested too deeply"
	reasonLoop     = "it may contain itself"
	reasonRef      = "its schema refers to what is not in it"
	reasonReserved = "Cedar keeps this name for itself"
)

// decodeSchema keeps numbers as they are written.
func decodeSchema(raw json.RawMessage) (any, error) {
	if len(raw) > maxSchema {
		return nil, errors.New(reasonLarge)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var root any
	if d.Decode(&root) != nil || d.More() {
		return nil, errors.New("the schema is not JSON")
	}
	if _, ok := root.(map[string]any); !ok {
		return nil, errors.New("the schema is not an object")
	}
	return root, nil
}

// resolve follows a reference within a document; ok says that it leads somewhere.
func resolve(root any, ref string) (at any, ok bool) {
	pointer, ok := strings.CutPrefix(ref, "#")
	pointer, err := url.PathUnescape(pointer)
	if !ok || err != nil || pointer != "" && pointer[0] != '/' {
		return nil, false
	}
	at = root
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
			return nil, false
		}
	}
	return at, true
}

// identity is the same for the same schema of a document, whatever is in it.
func identity(schema map[string]any) uintptr { return reflect.ValueOf(schema).Pointer() }

// work is how much there is to read in a schema itself, without those below.
func work(schema map[string]any) int {
	n := 1
	for _, key := range []string{"properties", "required", "enum", "type", "$ref", "patternProperties", "prefixItems", "allOf", "anyOf", "oneOf", "items", "dependentSchemas", "dependencies"} {
		switch v := schema[key].(type) {
		case map[string]any:
			n += len(v)
		case []any:
			n += len(v)
		case string:
			n += len(v) / 100
		}
	}
	return n
}

// size is how much there is in a value.
func size(v any) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, below := range v {
			n += size(below)
		}
	case []any:
		for _, below := range v {
			n += size(below)
		}
	case string:
		n += len(v) / 100
	case json.Number:
		n += len(v) / 100
	}
	return n
}

// omit says why an argument is omitted, unless that was said of too many.
func omit(omitted map[string]string, path, why string) {
	if len(omitted) < maxOmitted && len(path) <= maxPath {
		omitted[path] = why
	}
}
