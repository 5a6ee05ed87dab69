package policycmd

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// sampleArguments are arguments that the schema of a tool accepts, with those that are
// given. They are nil where none could be made up.
func sampleArguments(schema json.RawMessage, given map[string]any) map[string]any {
	var root map[string]any
	if json.Unmarshal(schema, &root) != nil {
		return nil
	}
	s := sampler{root: root, left: 1000}
	made, ok := s.of(root).(map[string]any)
	if !ok {
		made = map[string]any{}
	}
	maps.Copy(made, given)
	if !accepts(schema, made) {
		return nil
	}
	return made
}

// accepts reports whether a schema accepts arguments. One that cannot be read does.
func accepts(schema json.RawMessage, arguments map[string]any) bool {
	var s jsonschema.Schema
	if json.Unmarshal(schema, &s) != nil {
		return true
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return true
	}
	raw, err := json.Marshal(arguments) // as it will stand in the test
	var plain map[string]any
	return err == nil && json.Unmarshal(raw, &plain) == nil && resolved.Validate(plain) == nil
}

// A sampler makes values up.
type sampler struct {
	root map[string]any
	left int // how many schemas it still looks at
}

// of is a value for a schema, the simplest that comes to mind.
func (s *sampler) of(schema map[string]any) any {
	if s.left--; s.left < 0 || schema == nil {
		return "x"
	}
	for _, name := range []string{"const", "default"} {
		if v, ok := schema[name]; ok {
			return v
		}
	}
	for _, name := range []string{"enum", "examples"} {
		if list, ok := schema[name].([]any); ok && len(list) > 0 {
			return list[0]
		}
	}
	if ref, ok := schema["$ref"].(string); ok {
		return s.of(s.at(ref))
	}
	for _, name := range []string{"anyOf", "oneOf", "allOf"} {
		if list, ok := schema[name].([]any); ok && len(list) > 0 && schema["properties"] == nil {
			first, _ := list[0].(map[string]any)
			return s.of(first)
		}
	}
	return s.typed(schema)
}

// at is what a reference within the schema leads to, nil for nothing.
func (s *sampler) at(ref string) map[string]any {
	at := s.root
	for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at, _ = at[step].(map[string]any)
	}
	return at
}

func (s *sampler) typed(schema map[string]any) any {
	kind, _ := schema["type"].(string)
	if list, ok := schema["type"].([]any); ok && len(list) > 0 {
		kind, _ = list[0].(string)
	}
	least := func(name string, otherwise float64) float64 {
		if n, ok := schema[name].(float64); ok {
			return n
		}
		return otherwise
	}
	switch kind {
	case "integer", "number":
		return max(least("minimum", 1), least("exclusiveMinimum", 0)+1)
	case "boolean":
		return true
	case "array":
		items, _ := schema["items"].(map[string]any)
		list := []any{}
		for range min(int(least("minItems", 0)), 10) {
			list = append(list, s.of(items))
		}
		return list
	case "null":
		return nil
	case "string":
		return sampleText(schema, int(least("minLength", 1)))
	}
	return s.object(schema)
}

// object has the members that are required.
func (s *sampler) object(schema map[string]any) map[string]any {
	made := map[string]any{}
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if name, ok := name.(string); ok {
			member, _ := properties[name].(map[string]any)
			made[name] = s.of(member)
		}
	}
	return made
}

// formatted are texts of some formats.
var formatted = map[string]string{
	"date-time": "2026-01-01T12:00:00Z", "date": "2026-01-01", "ipv4": "192.0.2.1", "ip": "192.0.2.1", "ipv6": "2001:db8::1",
	"uri": "https://example.com/", "url": "https://example.com/", "email": "a@example.com", "uuid": "00000000-0000-4000-8000-000000000000",
}

func sampleText(schema map[string]any, length int) string {
	format, _ := schema["format"].(string)
	if text, ok := formatted[format]; ok {
		return text
	}
	return strings.Repeat("x", min(max(length, 1), 1000))
}

// hclValue is a value in the language of test files, in one line.
func hclValue(v any) string {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return "{}"
		}
		var members []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			members = append(members, hclName(name)+" = "+hclValue(v[name]))
		}
		return "{ " + strings.Join(members, ", ") + " }"
	case []any:
		var members []string
		for _, m := range v {
			members = append(members, hclValue(m))
		}
		return "[" + strings.Join(members, ", ") + "]"
	case string:
		return hclText(v)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "null" // of what came out of JSON nothing can fail
	}
	return string(raw)
}

// hclText is a text in quotes. Templates in it stay as they are.
func hclText(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // of a text nothing can fail
	quoted := strings.TrimSuffix(b.String(), "\n")
	quoted = strings.NewReplacer(`\b`, `\u0008`, `\f`, `\u000c`, `\\`, `\\`, "${", "$${", "%{", "%%{").Replace(quoted)
	return quoted
}

func hclName(name string) string {
	for i, r := range name {
		if r != '_' && (r|0x20 < 'a' || r|0x20 > 'z') && (i == 0 || r < '0' || r > '9') {
			return hclText(name)
		}
	}
	if name == "" || slices.Contains([]string{"true", "false", "null", "for", "if", "in", "else"}, name) {
		return hclText(name)
	}
	return name
}
