package aggregator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Following references without a bound, these would end the program or take
// for ever.
func TestSchemasThatDoNotEnd(t *testing.T) {
	wide := `{"type":"object","$ref":"#/$defs/a39","$defs":{"a0":{}`
	for i := 1; i < 40; i++ {
		wide += fmt.Sprintf(`,"a%d":{"allOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]}`, i, i-1, i-1)
	}
	wide += `}}`
	for _, raw := range []string{
		wide,
		`{"type":"object","$ref":"#"}`,
		`{"type":"object","allOf":[{"$ref":"#"}]}`,
		`{"type":"object","not":{"$ref":"#"}}`,
		`{"type":"object","$dynamicAnchor":"x","$dynamicRef":"#x"}`,
		`{"type":"object","allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"anyOf":[{"$ref":"#/$defs/a"}]}}}`,
		`{"type":"object","properties":{"a":{"$ref":"#/properties/b"},"b":{"$ref":"#/properties/a"}}}`,
		`{"type":"object","properties":{"a":{"$ref":"#/%70roperties/b"},"b":{"$ref":"#/properties/a"}}}`,
		`{"type":"object","properties":{"n":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}}}`,
		`{"type":"object","properties":{"n":{"$ref":"#elsewhere"}}}`,
		`{"type":"object","properties":{"n":{"$ref":"#/nowhere"}}}`,
		`{"type":"object","properties":` + strings.Repeat(`{"properties":`, 500) + `{}` + strings.Repeat(`}`, 500) + `}`,
	} {
		if _, err := compileSchema(json.RawMessage(raw)); err == nil {
			t.Errorf("%.200s: compiled", raw)
		}
	}
}

func TestSchemasThatRecurse(t *testing.T) {
	for _, raw := range []string{
		`{"type":"object","properties":{"next":{"$ref":"#"},"name":{"type":"string"}}}`,
		`{"type":"object","properties":{"left":{"$ref":"#/$defs/n"},"right":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"object","properties":{"left":{"$ref":"#/$defs/n"},"right":{"$ref":"#/$defs/n"},"name":{}}}}}`,
		`{"type":"object","properties":{"f":{"anyOf":[{"$ref":"#/$defs/f"},{"type":"array","items":{"$ref":"#/$defs/f"}}]}},"$defs":{"f":{"type":"object","properties":{"and":{"type":"array","items":{"$ref":"#/$defs/f"}}}}}}`,
	} {
		s, err := compileSchema(json.RawMessage(raw))
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		deep := strings.Repeat(`{"next":`, 50) + `{"name":"x"}` + strings.Repeat(`}`, 50)
		if _, err := readArguments(json.RawMessage(deep), s); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestSpellingIsCheckedWhereverPropertiesAreDeclared(t *testing.T) {
	const declared = `{"type":"object","properties":{"key":{}}}`
	for _, tt := range []struct{ schema, args string }{
		{`{"properties":{"r":{"$ref":"#/$defs/d"}},"$defs":{"d":` + declared + `}}`, `{"r":{"Key":1}}`},
		{`{"properties":{"r":{"allOf":[` + declared + `]}}}`, `{"r":{"Key":1}}`},
		{`{"properties":{"r":{"anyOf":[{"type":"string"},` + declared + `]}}}`, `{"r":{"Key":1}}`},
		{`{"properties":{"r":{"oneOf":[` + declared + `]}}}`, `{"r":{"Key":1}}`},
		{`{"properties":{"r":{"type":"array","prefixItems":[` + declared + `]}}}`, `{"r":[{"Key":1}]}`},
		{`{"properties":{"r":{"type":"array","items":` + declared + `}}}`, `{"r":[{"Key":1}]}`},
		{`{"patternProperties":{"^p":` + declared + `}}`, `{"pq":{"KEY":1}}`},
		{`{"additionalProperties":` + declared + `}`, `{"zzz":{"Key":1}}`},
		{`{"allOf":[` + declared + `]}`, `{"Key":1}`},
		{`{"if":{},"then":` + declared + `}`, `{"Key":1}`},
		{declared, `{"` + "\u212a" + `ey":1}`},
	} {
		s, err := compileSchema(json.RawMessage(tt.schema))
		if err != nil {
			t.Errorf("%s: %v", tt.schema, err)
			continue
		}
		_, err = readArguments(json.RawMessage(tt.args), s)
		if err == nil || !strings.Contains(err.Error(), `the declared property "key" in case only`) {
			t.Errorf("%s of %s: %v", tt.args, tt.schema, err)
		}
	}
}

func FuzzSchema(f *testing.F) {
	f.Add([]byte(issueSchema), []byte(`{"title":"x"}`))
	f.Add([]byte(`{"type":"object","$ref":"#"}`), []byte(`{}`))
	f.Add([]byte(`{"properties":{"n":{"anyOf":[{"$ref":"#"},{"items":{"$ref":"#"}}]}}}`), []byte(`{"n":[{"n":{}}]}`))
	f.Fuzz(func(t *testing.T, raw, args []byte) {
		s, err := compileSchema(raw)
		if err != nil {
			return
		}
		if _, err := readArguments(args, s); err == nil && len(args) > 0 && !json.Valid(args) {
			t.Errorf("accepted what is not JSON: %q", args)
		}
	})
}
