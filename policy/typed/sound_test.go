package typed_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/mcpagg/mcpagg/policy/typed"
)

// A made is a random schema with random arguments for it.
type made struct{ *rand.Rand }

func (m made) pick(from ...string) string { return from[m.IntN(len(from))] }

func (m made) schema(depth int) string {
	kinds := 9
	if depth > 0 {
		kinds = 14
	}
	switch m.IntN(kinds) {
	case 0:
		return `{"type":"string"` + m.pick("", `,"default":"a"`, `,"default":1`, `,"format":"date-time"`, `,"format":"ip"`, `,"format":"date","default":"2026-01-01"`) + `}`
	case 1:
		return `{"type":` + m.pick(`"integer"`, `"number"`, `["integer","null"]`, `["null","number"]`, `["integer","number"]`) + m.pick("", `,"default":5`, `,"default":0.5`, `,"default":null`) + `}`
	case 2:
		return `{"type":"boolean"}`
	case 3:
		return m.pick(`{"enum":["a","b",null]}`, `{"enum":["a",1]}`, `{"const":"a"}`, `{"enum":[1,2]}`, `{"type":"string","enum":["a","2026-01-01"]}`, `{"enum":[true,false]}`, `{"enum":[0.5,1]}`)
	case 4:
		return `{"` + m.pick("anyOf", "oneOf") + `":[` + m.schema(0) + `,` + m.pick(`{"type":"null"}`, m.schema(0)) + `]}`
	case 5:
		return `{"allOf":[` + m.schema(0) + `,` + m.pick(`{}`, m.schema(0)) + `]}`
	case 6:
		return m.pick(`{}`, `true`, `{"description":"x"}`)
	case 7:
		return `{"$ref":"#/$defs/` + m.pick("a", "b") + `"` + m.pick("", `,"default":"a"`) + `}`
	case 8:
		return `{"type":"array"` + m.pick("", `,"items":{}`, `,"items":`+m.schema(0), `,"items":`+m.schema(0)) + `}`
	case 9, 10:
		return m.object(depth - 1)
	case 11:
		return `{"allOf":[` + m.object(depth-1) + `,` + m.object(depth-1) + `]}`
	case 12:
		return `{"anyOf":[` + m.object(depth-1) + `,` + m.pick(`{"type":"null"}`, m.object(depth-1)) + `]}`
	default:
		return `{"type":"array","items":` + m.schema(depth-1) + `}`
	}
}

// object is the schema of an object, which may leave out what it is.
func (m made) object(depth int) string {
	var properties []string
	for _, name := range []string{"a", "b", "c"} {
		if m.IntN(4) > 0 {
			properties = append(properties, fmt.Sprintf("%q:%s", name, m.schema(depth)))
		}
	}
	s := `{` + m.pick(`"type":"object",`, ``) + `"properties":{` + strings.Join(properties, ",") + `}` + m.pick("", `,"required":["a"]`, `,"default":{}`, `,"additionalProperties":false`)
	return s + m.pick("", "", `,"anyOf":[{"required":["a"]},{"required":["b"]}]`, `,"anyOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"d":{}}}]`) + `}`
}

func (m made) value(depth int) string {
	kinds := 6
	if depth > 0 {
		kinds = 9
	}
	switch m.IntN(kinds) {
	case 0, 1:
		return m.pick(`"a"`, `"b"`, `""`, `"2026-01-01"`, `"2026-01-01T00:00:00.5+01:00"`, `"10.0.0.1"`, `"::1"`)
	case 2:
		return m.pick(`1`, `2`, `0`, `-7`, `9007199254740993`, `9223372036854775807`)
	case 3:
		return m.pick(`1.0`, `0.5`, `1e2`, `2.5e-1`, `0.123456`, `1e15`)
	case 4:
		return m.pick(`true`, `false`)
	case 5:
		return `null`
	case 6:
		return `[` + m.value(depth-1) + m.pick("", `,`+m.value(0)) + `]`
	default:
		return m.arguments(depth - 1)
	}
}

func (m made) arguments(depth int) string {
	var members []string
	for _, name := range []string{"a", "b", "c", "d"} {
		if m.IntN(3) > 0 {
			members = append(members, fmt.Sprintf("%q:%s", name, m.value(depth)))
		}
	}
	return `{` + strings.Join(members, ",") + `}`
}

// What a schema allows is of the type that it has here, or cannot be held for a
// reason that no schema knows of.
func TestTypesAllowWhatSchemasAllow(t *testing.T) {
	beyond := []string{"it has too many digits", "it is too large", "it is not a date or time", "it is not an IP address", "it is an IPv4 address", "a member of the list: it "}
	m := made{rand.New(rand.NewPCG(1, 2))}
	valid, held := 0, 0
	for range 1_500 {
		defs := `"$defs":{"a":` + m.schema(1) + `,"b":` + m.schema(0) + `}`
		object := m.object(2)
		raw := object[:len(object)-1] + `,` + defs + `}`
		validator := validatorOf(t, raw)
		if validator == nil {
			continue
		}
		shape := typed.New(json.RawMessage(raw))
		for range 10 {
			args := m.arguments(2)
			err := check(t, shape, args)
			if validator.Validate(arguments(t, args)) != nil {
				continue
			}
			valid++
			if err == nil {
				held++
				continue
			}
			var unholdable *typed.UnholdableError
			errors.As(err, &unholdable)
			if !hasPrefix(unholdable.Why, beyond) && (unholdable.Why != "it is not an object" || !untyped(raw)) {
				t.Fatalf("the schema allows %s, but: %v\n%s\n%s", args, err, raw, shape.Cedar())
			}
		}
	}
	if t.Logf("%d of %d valid arguments are held", held, valid); valid < 1_000 || held < valid/2 {
		t.Errorf("only %d of %d valid arguments are held", held, valid)
	}
}

// untyped reports whether a schema may allow what is no object where it
// describes one: properties without a type say nothing of other values.
func untyped(schema string) bool { return strings.Contains(schema, `{"properties"`) }

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// validatorOf is nil for a schema that contains itself, which a validator follows
// without end.
func validatorOf(t *testing.T, raw string) *jsonschema.Resolved {
	t.Helper()
	_, defs, _ := strings.Cut(raw, `"$defs"`)
	if strings.Contains(defs, "$ref") {
		return nil
	}
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return resolved
}
