package aggregator

import (
	"bytes"
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
		{"icons", false, icons},
		{"execution", false, execution},
		{"_meta", false, anObject},
	}
	promptShape = []shape{
		{"name", true, aName},
		{"title", false, aString},
		{"description", false, aString},
		{"arguments", false, promptArguments},
		{"icons", false, icons},
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
		{"icons", false, icons},
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
		if s.name == "annotations" || s.name == "execution" {
			value = withoutNulls(value)
			o.Replace(s.name, value)
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

// aName also refuses text that has no meaning: it could not be sent back as it
// came.
func aName(raw json.RawMessage) error {
	if string(raw) == `""` {
		return fmt.Errorf("is empty")
	}
	if err := aString(raw); err != nil {
		return err
	}
	if rawjson.CheckStrict(raw) != nil {
		return fmt.Errorf("is not valid Unicode")
	}
	return nil
}

// withoutNulls drops the members of an object that are null; anything else
// stays as it is.
func withoutNulls(raw json.RawMessage) json.RawMessage {
	o, err := rawjson.ParseObject(raw)
	if err != nil || !bytes.Contains(raw, []byte("null")) {
		return raw
	}
	return slices.DeleteFunc(o, func(m rawjson.Member) bool { return string(m.Value) == "null" }).Bytes()
}

func execution(raw json.RawMessage) error {
	var e struct{ TaskSupport *string }
	if err := decodes(raw, &e); err != nil {
		return err
	}
	if e.TaskSupport != nil && !slices.Contains([]string{"forbidden", "optional", "required"}, *e.TaskSupport) {
		return fmt.Errorf("has an unknown taskSupport")
	}
	return nil
}

func icons(raw json.RawMessage) error {
	var list []struct {
		Src                    *string
		MimeType, Sizes, Theme json.RawMessage
	}
	if err := decodes(raw, &list); err != nil {
		return err
	}
	for _, icon := range list {
		var sizes []*string
		switch {
		case icon.Src == nil:
			return fmt.Errorf("lack a src")
		case icon.MimeType != nil && aString(icon.MimeType) != nil:
			return fmt.Errorf("have a malformed mimeType")
		case icon.Sizes != nil && (anArray(icon.Sizes) != nil || json.Unmarshal(icon.Sizes, &sizes) != nil || slices.Contains(sizes, nil)):
			return fmt.Errorf("have malformed sizes")
		case icon.Theme != nil && string(icon.Theme) != `"light"` && string(icon.Theme) != `"dark"`:
			return fmt.Errorf("have an unknown theme")
		}
	}
	return nil
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
		if anArray(required) != nil || json.Unmarshal(required, &names) != nil || slices.Contains(names, nil) {
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
