package aggregator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A schema checks the arguments of one tool against its input schema.
type schema struct {
	root     *jsonschema.Schema
	resolved *jsonschema.Resolved
}

// knownDialects are the values of "$schema" that the validator accepts; a
// schema in another dialect is read as 2020-12, MCP's default.
var knownDialects = []string{"http://json-schema.org/draft-07/schema", "https://json-schema.org/draft-07/schema", "https://json-schema.org/draft/2020-12/schema"}

// compileSchema fails for a schema that cannot be used to check anything: a
// reference to another document, or a pattern in a dialect of its own.
func compileSchema(raw json.RawMessage) (*schema, error) {
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	known := false
	for _, d := range knownDialects {
		known = known || strings.TrimSuffix(s.Schema, "#") == d
	}
	if !known {
		s.Schema = ""
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return nil, err
	}
	return &schema{root: &s, resolved: resolved}, nil
}

// checkArguments makes sure that arguments mean one thing, to policies and to
// the upstream alike, and that s, if not nil, accepts them. nil stands for
// absent arguments.
func checkArguments(raw json.RawMessage, s *schema) error {
	if raw == nil || string(raw) == "null" {
		raw = json.RawMessage("{}")
	}
	if err := rawjson.CheckStrict(raw); err != nil {
		return err
	}
	instance, err := decode(raw)
	if err != nil {
		return err
	}
	if _, ok := instance.(map[string]any); !ok {
		return fmt.Errorf("not a JSON object")
	}
	if s == nil {
		return nil
	}
	if err := checkSpelling(instance, s.root, ""); err != nil {
		return err
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

// checkSpelling refuses keys that equal a declared property but for case: a
// reader that ignores case would take them for it, and a policy would not.
func checkSpelling(instance any, s *jsonschema.Schema, at string) error {
	if s == nil {
		return nil
	}
	switch v := instance.(type) {
	case map[string]any:
		for key, value := range v {
			if property, ok := s.Properties[key]; ok {
				if err := checkSpelling(value, property, at+"/"+key); err != nil {
					return err
				}
				continue
			}
			for name := range s.Properties {
				if strings.EqualFold(name, key) {
					return fmt.Errorf("key %q at %s differs from the declared property %q in case only", key, at+"/"+key, name)
				}
			}
		}
	case []any:
		for i, value := range v {
			if err := checkSpelling(value, s.Items, fmt.Sprintf("%s/%d", at, i)); err != nil {
				return err
			}
		}
	}
	return nil
}
