package aggregator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A schema checks the arguments of one tool against its input schema.
type schema struct {
	shape    *location            // which properties are declared where
	resolved *jsonschema.Resolved // nil where the validator cannot use the schema
}

// knownDialects are the values of "$schema" that the validator accepts; a
// schema in another dialect is read as 2020-12, MCP's default.
var knownDialects = []string{"http://json-schema.org/draft-07/schema", "https://json-schema.org/draft-07/schema", "https://json-schema.org/draft/2020-12/schema"}

// compileSchema fails for a schema that cannot be used to check all that it
// says: a reference to another document, a pattern in a dialect of its own, or
// one whose evaluation may take for ever. What is left of it is returned, too.
func compileSchema(raw json.RawMessage) (*schema, error) {
	root, err := decode(raw)
	if err != nil {
		return nil, err
	}
	shape, err := readShape(root)
	if err != nil {
		return nil, err
	}
	loosen(root)
	spelling := &schema{shape: shape}
	var s jsonschema.Schema
	if err := json.Unmarshal(rawjson.Value(root), &s); err != nil {
		return spelling, err
	}
	if !slices.Contains(knownDialects, strings.TrimSuffix(s.Schema, "#")) {
		s.Schema = ""
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return spelling, err
	}
	return &schema{shape: shape, resolved: resolved}, nil
}

// loosen takes out of a schema what the validator, which holds such numbers as
// float64, would judge wrongly: an upstream's own check is better than a legal
// argument refused. It leaves the shape as it is.
func loosen(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		for _, key := range []string{"maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "const", "enum"} {
			if inexact(s[key]) {
				delete(s, key)
			}
		}
		if step, ok := s["multipleOf"].(float64); ok && step != math.Trunc(step) {
			delete(s, "multipleOf")
		}
		for _, below := range s {
			loosen(below)
		}
	case []any:
		for _, below := range s {
			loosen(below)
		}
	}
}

// inexact reports whether v is, or contains, an integer beyond 2^53.
func inexact(v any) bool {
	switch v := v.(type) {
	case int64:
		return v > 1<<53 || v < -1<<53
	case float64:
		return v == math.Trunc(v) && math.Abs(v) > 1<<53
	case []any:
		return slices.ContainsFunc(v, inexact)
	case map[string]any:
		for _, below := range v {
			if inexact(below) {
				return true
			}
		}
	}
	return false
}

// checkArguments makes sure that arguments mean one thing, to policies and to
// the upstream alike, and that s, if not nil, accepts them. nil stands for
// absent arguments.
func checkArguments(raw json.RawMessage, s *schema) error {
	if raw == nil || string(raw) == "null" {
		raw = json.RawMessage("{}")
	}
	instance, err := rawjson.Decode(raw)
	if err != nil {
		return err
	}
	if _, ok := instance.(map[string]any); !ok {
		return fmt.Errorf("not a JSON object")
	}
	if s == nil {
		return nil
	}
	if err := s.shape.checkSpelling(instance, ""); err != nil {
		return err
	}
	if s.resolved == nil {
		return nil
	}
	return s.resolved.Validate(instance)
}

// decode keeps integers exact as far as 64 bits go, so that one beyond 2^53 is
// compared as what it is.
func decode(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return exact(v)
}

// exact replaces every json.Number, which the validator takes for text.
func exact(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if v[key], err = exact(value); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, value := range v {
			if v[i], err = exact(value); err != nil {
				return nil, err
			}
		}
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("the number %.40s is out of range", v)
		}
		return f, nil
	}
	return v, nil
}
