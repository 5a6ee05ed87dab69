package aggregator

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A shape says what a member of a definition must be. The shapes below are
// those of the strictest clients in use, which refuse a whole list for one
// definition that breaks them; such a definition is hidden instead.
type shape struct {
	name     string
	required bool
	check    func(json.RawMessage) error
}

var (
	toolShape = []shape{
		{"name", true, aName},
		{"title", false, aString},
		{"description", false, aString},
		{"inputSchema", true, anInputSchema},
		{"outputSchema", false, anObject},
		{"annotations", false, toolAnnotations},
		{"icons", false, anArray},
		{"execution", false, anObject},
		{"_meta", false, anObject},
	}
	promptShape = []shape{
		{"name", true, aName},
		{"title", false, aString},
		{"description", false, aString},
		{"arguments", false, promptArguments},
		{"icons", false, anArray},
		{"_meta", false, anObject},
	}
	resourceShape = append([]shape{{"uri", true, aName}, {"size", false, aNumber}}, describedResource...)
	templateShape = append([]shape{{"uriTemplate", true, aName}}, describedResource...)

	describedResource = []shape{
		{"name", true, aString},
		{"title", false, aString},
		{"description", false, aString},
		{"mimeType", false, aString},
		{"annotations", false, anObject},
		{"icons", false, anArray},
		{"_meta", false, anObject},
	}
)

// parseDefinition takes a definition apart and checks it. An optional member
// that is null is dropped: no revision of MCP allows it, and every client that
// accepts it takes it for absent.
func parseDefinition(raw json.RawMessage, shapes []shape) (rawjson.Object, error) {
	o, err := rawjson.ParseObject(raw)
	if err != nil {
		return nil, err
	}
	for _, s := range shapes {
		value := o.Get(s.name)
		if string(value) == "null" && !s.required {
			o.Delete(s.name)
			continue
		}
		if value == nil {
			if s.required {
				return nil, fmt.Errorf("%s is missing", s.name)
			}
			continue
		}
		if err := s.check(value); err != nil {
			return nil, fmt.Errorf("%s %w", s.name, err)
		}
	}
	return o, nil
}

func aString(raw json.RawMessage) error  { return isKind(raw, '"', "a string") }
func anObject(raw json.RawMessage) error { return isKind(raw, '{', "an object") }
func anArray(raw json.RawMessage) error  { return isKind(raw, '[', "an array") }

func isKind(raw json.RawMessage, first byte, what string) error {
	if len(raw) == 0 || raw[0] != first {
		return fmt.Errorf("is not %s", what)
	}
	return nil
}

func aName(raw json.RawMessage) error {
	if string(raw) == `""` {
		return fmt.Errorf("is empty")
	}
	return aString(raw)
}

func aNumber(raw json.RawMessage) error {
	var f float64
	if json.Unmarshal(raw, &f) != nil {
		return fmt.Errorf("is not a number")
	}
	return nil
}

// anInputSchema: clients need a schema whose type is the string "object" and
// whose properties are objects; JSON Schema's other ways to say so (no type, a
// list of types, true) they refuse.
func anInputSchema(raw json.RawMessage) error {
	if err := anObject(raw); err != nil {
		return err
	}
	return isObjectSchema(raw)
}

func isObjectSchema(raw json.RawMessage) error {
	s, err := rawjson.ParseObject(raw)
	if err != nil {
		return err
	}
	if t, _ := s.GetString("type"); t != "object" {
		return fmt.Errorf(`has no "type": "object"`)
	}
	if properties := s.Get("properties"); properties != nil {
		if err := objectOfObjects(properties); err != nil {
			return fmt.Errorf("properties %w", err)
		}
	}
	if required := s.Get("required"); required != nil {
		var names []*string
		if json.Unmarshal(required, &names) != nil || slices.Contains(names, nil) {
			return fmt.Errorf("required is not a list of strings")
		}
	}
	return nil
}

func objectOfObjects(raw json.RawMessage) error {
	o, err := rawjson.ParseObject(raw)
	if err != nil {
		return err
	}
	for _, m := range o {
		if err := anObject(m.Value); err != nil {
			return fmt.Errorf("%q %w", m.Name, err)
		}
	}
	return nil
}

func toolAnnotations(raw json.RawMessage) error {
	var a struct {
		Title                                                        *string
		ReadOnlyHint, DestructiveHint, IdempotentHint, OpenWorldHint *bool
	}
	return decodes(raw, &a)
}

func promptArguments(raw json.RawMessage) error {
	var a []struct {
		Name               string
		Title, Description *string
		Required           *bool
	}
	return decodes(raw, &a)
}

func decodes(raw json.RawMessage, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("is malformed: %w", err)
	}
	return nil
}
