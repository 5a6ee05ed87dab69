package typed_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema"

	"github.com/mcpagg/mcpagg/policy/typed"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// arguments decodes arguments as the gateway does.
func arguments(t testing.TB, raw string) map[string]any {
	t.Helper()
	v, err := rawjson.Decode([]byte(raw))
	if err != nil {
		t.Fatalf("decoding %s: %v", raw, err)
	}
	return v.(map[string]any)
}

// of is a schema with one property x.
func of(property string) *typed.Shape {
	return typed.New(json.RawMessage(`{"type":"object","properties":{"x":` + property + `},"$defs":{
		"day":{"type":"string","format":"date"},
		"tree":{"type":"object","properties":{"name":{"type":"string"},"next":{"$ref":"#/$defs/tree"}}}}}`))
}

func TestTypes(t *testing.T) {
	for property, want := range map[string]string{
		`{"type":"string"}`:                                                       `{ x?: String }`,
		`{"type":"string","format":"date-time"}`:                                  `{ x?: datetime }`,
		`{"type":"string","format":"date"}`:                                       `{ x?: datetime }`,
		`{"type":"string","format":"ipv4"}`:                                       `{ x?: ipaddr }`,
		`{"type":"string","format":"ipv6"}`:                                       `{ x?: ipaddr }`,
		`{"type":"string","format":"duration"}`:                                   `{ x?: String }`,
		`{"type":"string","format":"uri"}`:                                        `{ x?: String }`,
		`{"type":"integer"}`:                                                      `{ x?: Long }`,
		`{"type":"integer","default":5}`:                                          `{ x: Long }`,
		`{"type":"integer","default":5e0}`:                                        `{ x: Long }`,
		`{"type":"integer","default":"5"}`:                                        `{ x?: Long }`,
		`{"type":"integer","default":null}`:                                       `{ x?: Long }`,
		`{"type":"number"}`:                                                       `{ x?: decimal }`,
		`{"type":"number","default":0.00001}`:                                     `{ x?: decimal }`,
		`{"type":["number","integer"]}`:                                           `{ x?: decimal }`,
		`{"type":"boolean"}`:                                                      `{ x?: Bool }`,
		`{"type":["string","null"]}`:                                              `{ x?: String }`,
		`{"type":["string","null"],"default":"a"}`:                                `{ x?: String }`,
		`{"type":"string","nullable":true}`:                                       `{ x?: String }`,
		`{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}`:            `{ x?: String }`,
		`{"anyOf":[{"type":"string","format":"date"},{"type":"null"}]}`:           `{ x?: datetime }`,
		`{"allOf":[{"type":"string","default":"a"}],"default":null}`:              `{ x?: String }`,
		`{"allOf":[{"type":"string","default":"a"}],"default":1}`:                 `{ x?: String }`,
		`{"allOf":[{"type":"string","default":"a"}]}`:                             `{ x: String }`,
		`{"oneOf":[{"$ref":"#/$defs/day"},{"type":"null"}]}`:                      `{ x?: datetime }`,
		`{"enum":["b","a"]}`:                                                      `{ x?: String }`,
		`{"enum":[1,2]}`:                                                          `{ x?: Long }`,
		`{"enum":[1,2.5]}`:                                                        `{ x?: decimal }`,
		`{"const":true}`:                                                          `{ x?: Bool }`,
		`{"oneOf":[{"const":"a"},{"const":"b"}]}`:                                 `{ x?: String }`,
		`{"type":"array","items":{"type":"string"}}`:                              `{ x?: Set<String> }`,
		`{"type":"array","items":{"anyOf":[{"type":"integer"},{"type":"null"}]}}`: `{ x?: Set<Long> }`,
		`{"items":{"enum":["a","b"]}}`:                                            `{ x?: Set<String> }`,
		`{"$ref":"#/$defs/day"}`:                                                  `{ x?: datetime }`,
		`{"$ref":"#/$defs/day","default":"2026-02-30"}`:                           `{ x?: datetime }`,
		`{"$ref":"#/$defs/day","default":"2026-02-28"}`:                           `{ x: datetime }`,
		`{"properties":{"a":{"type":"string"}},"required":["a"]}`:                 `{ x?: { a: String } }`,
		`{"allOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":{"type":"integer"}},"required":["a"]}]}`: `{ x?: { a: String, b?: Long } }`,
		`{"allOf":[{"type":"number"},{"type":"integer"}]}`:                                                            `{ x?: Long }`,
		`{"$ref":"#/$defs/tree"}`: `{ x?: { name?: String } }`,
		`{"type":"object","properties":{"a":{"default":1,"type":"integer"}},"default":{}}`:                                   `{ x: { a: Long } }`,
		`{"type":"object","properties":{"a b":{"type":"string"},"in":{"type":"string"},"\"\\\n\u0000ü😀":{"type":"string"}}}`: `{ x?: { "\"\\\u{a}\u{0}\u{fc}\u{1f600}"?: String, "a b"?: String, "in"?: String } }`,
	} {
		s := of(property)
		if got := s.Cedar(); got != want {
			t.Errorf("%s is %s, want %s; omitted: %v", property, got, want, s.Omitted)
		}
		parse(t, s)
	}
}

// parse has the library read what Cedar wrote.
func parse(t testing.TB, shape *typed.Shape) {
	t.Helper()
	var s schema.Schema
	text := "entity U; action a appliesTo { principal: U, resource: U, context: { input: " + shape.Cedar() + " } };"
	if err := s.UnmarshalCedar([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if _, err := s.Resolve(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func TestOmitted(t *testing.T) {
	for property, want := range map[string]string{
		`{}`:                            "x: its schema does not say what it is",
		`true`:                          "x: its schema does not say what it is",
		`false`:                         "x: its schema allows no value",
		`{"format":"date"}`:             "x: its schema does not say what it is",
		`{"type":"null"}`:               "x: it can only be null",
		`{"anyOf":[{"type":"null"}]}`:   "x: it can only be null",
		`{"type":["string","boolean"]}`: "x: it may be a text, or true or false, and a policy needs one type",
		`{"enum":["a",1]}`:              "x: it may be a text, or a number, and a policy needs one type",
		`{"allOf":[{"type":"string"},{"type":"integer"}]}`:                "x: its schema allows no value",
		`{"anyOf":[{"type":"object","properties":{}},{"type":"string"}]}`: "x: it may be a text, or an object, and a policy needs one type",
		`{"oneOf":[{"type":"string"},{"type":"string","format":"date"}]}`: "x: it has one of several forms (anyOf or oneOf)",
		`{"oneOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}`:     "x: it has one of several forms (anyOf or oneOf)",
		`{"properties":{}}`: "x: it is an object whose keys the schema does not name",
		`{"type":"object"}`: "x: it is an object whose keys the schema does not name",
		`{"type":"object","additionalProperties":{"type":"string"}}`: "x: it is an object whose keys the schema does not name",
		`{"type":"array"}`:                             "x: it is a list whose members may be anything",
		`{"type":"array","items":{}}`:                  "x: it is a list whose members may be anything",
		`{"type":"array","items":[{"type":"string"}]}`: "x: it is a list whose members differ by their place",
		`{"type":"array","prefixItems":[{"type":"string"}],"items":{"type":"string"}}`: "x: it is a list whose members differ by their place",
		`{"type":"array","items":{"type":"object"}}`:                                   "x: it is a list of lists or objects, and only a list of texts, numbers and the like becomes a set",
		`{"type":"array","items":{"type":["string","integer"]}}`:                       "x: it is a list, and of its members: it may be a text, or a number, and a policy needs one type",
		`{"$ref":"#/nowhere"}`:                          "x: its schema refers to what is not in it",
		`{"$ref":"https://a.example/b"}`:                "x: its schema refers to what is not in it",
		`{"$dynamicRef":"#a"}`:                          "x: its schema refers to what is not in it",
		`{"$ref":"#"}`:                                  "x: it may contain itself",
		`{"$ref":"#/$defs/tree"}`:                       "x.next: it may contain itself",
		`{"properties":{"__entity":{"type":"string"}}}`: "x.__entity: Cedar keeps this name for itself",
		`{"properties":{"a":{"properties":{"a":{"properties":{"a":{"properties":{"a":{"properties":{"a":{"properties":{"a":{"type":"string"}}}}}}}}}}}}}`: "x.a.a.a.a.a.a: it is nested too deeply",
		`{"type":"object","properties":{"a":{"type":"string"}},"anyOf":[{"properties":{"b":{"type":"string"}}},{"required":["a"]}]}`:                      "x.b: it is described for some forms of the arguments only (anyOf, oneOf or if)",
	} {
		s := of(property)
		path, why, _ := strings.Cut(want, ": ")
		if got := s.Omitted[path]; got != why {
			t.Errorf("%s: omitted are %v, want %s", property, s.Omitted, want)
		}
		if _, got, ok := s.At(strings.Split(path, ".")); ok || got != why {
			t.Errorf("%s: At(%s) = %q, %v", property, path, got, ok)
		}
		parse(t, s)
	}
}

func TestUnreadableSchema(t *testing.T) {
	for raw, want := range map[string]string{
		``:                  "the schema is not JSON",
		`{`:                 "the schema is not JSON",
		`{} {}`:             "the schema is not JSON",
		`[]`:                "the schema is not an object",
		`{"type":"string"}`: "the schema does not allow an object",
		`{"$ref":"#/a"}`:    "its schema refers to what is not in it",
		`{"a":"` + strings.Repeat("a", 5<<20) + `"}`: "the schema is too large",
	} {
		s := typed.New(json.RawMessage(raw))
		if got := s.Omitted[""]; got != want || len(s.Input.Fields) > 0 {
			t.Errorf("%.40s: %q with %s, want %q", raw, got, s.Cedar(), want)
		}
		if _, got, ok := s.At([]string{"a"}); ok || got != want {
			t.Errorf("%.40s: At = %q, %v", raw, got, ok)
		}
		if got := s.Undeclared(map[string]any{"a": true}); got != "a" {
			t.Errorf("%.40s: undeclared is %q, want a", raw, got)
		}
	}
}

func TestEnum(t *testing.T) {
	for property, want := range map[string][]string{
		`{"type":"string"}`:                                                   nil,
		`{"enum":["b","a","b",null]}`:                                         {"a", "b"},
		`{"type":"string","enum":["b",1]}`:                                    {"b"},
		`{"const":"a"}`:                                                       {"a"},
		`{"allOf":[{"enum":["a","b"]},{"enum":["b","c"]}]}`:                   {"b"},
		`{"oneOf":[{"const":"b","title":"B"},{"const":"a"}]}`:                 {"a", "b"},
		`{"type":"string","oneOf":[{"const":"b","title":"B"},{"const":"a"}]}`: {"a", "b"},
		`{"anyOf":[{"enum":["b"]},{"type":"string"}]}`:                        nil,
		`{"anyOf":[{"enum":["b","a"]},{"type":"null"}]}`:                      {"a", "b"},
		`{"enum":["2026-01-01"],"format":"date"}`:                             {"2026-01-01"},
	} {
		f, _, ok := of(property).At([]string{"x"})
		if !ok || f.Type.Kind != typed.String || !slices.Equal(f.Type.Enum, want) || (f.Type.Enum == nil) != (want == nil) {
			t.Errorf("%s allows %q, want %q", property, f.Type.Enum, want)
		}
	}
}

func decimalOf(s string) types.Value {
	d, err := types.ParseDecimal(s)
	if err != nil {
		panic(err)
	}
	return d
}

func at(s string) types.Value {
	when, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return types.NewDatetime(when)
}

func ip(s string) types.Value {
	a, err := types.ParseIPAddr(s)
	if err != nil {
		panic(err)
	}
	return a
}

func TestValue(t *testing.T) {
	const number, integer, when, address = `{"type":"number"}`, `{"type":"integer"}`, `{"type":"string","format":"date-time"}`, `{"type":"string","format":"ipv4"}`
	list := `{"type":"array","items":{"type":"number"}}`
	for _, test := range []struct {
		property, arg string
		want          types.Value // nil for none
	}{
		{`{"type":"string"}`, `"a"`, types.String("a")},
		{`{"type":"string"}`, `null`, nil},
		{`{"type":"string","enum":["a"]}`, `"a"`, types.String("a")},
		{`{"type":"boolean"}`, `true`, types.True},
		{integer, `9223372036854775807`, types.Long(9223372036854775807)},
		{integer, `-9223372036854775808`, types.Long(-9223372036854775808)},
		{integer, `1e3`, types.Long(1000)},
		{integer, `-12.50e1`, types.Long(-125)},
		{integer, `9007199254740992.0`, types.Long(1 << 53)},
		{integer, `-0.0`, types.Long(0)},
		{number, `0.3`, decimalOf("0.3")},
		{number, `0.30000000`, decimalOf("0.3")},
		{number, `-0.0001`, decimalOf("-0.0001")},
		{number, `1e-4`, decimalOf("0.0001")},
		{number, `12345.678E-1`, decimalOf("1234.5678")},
		{number, `7`, decimalOf("7.0")},
		{number, `1E14`, decimalOf("100000000000000.0")},
		{number, `0e999999999999999999999`, decimalOf("0.0")},
		{number, `0.` + strings.Repeat("0", 400) + `e5`, decimalOf("0.0")},
		{number, `922337203685477.5807`, decimalOf("922337203685477.5807")},
		{number, `-922337203685477.5808`, decimalOf("-922337203685477.5808")},
		{when, `"2026-11-28T01:02:03Z"`, at("2026-11-28T01:02:03Z")},
		{when, `"2026-11-28t01:02:03z"`, at("2026-11-28T01:02:03Z")},
		{when, `"2026-11-28T01:02:03+00:00"`, at("2026-11-28T01:02:03Z")},
		{when, `"2026-11-28T01:02:03-00:00"`, at("2026-11-28T01:02:03Z")},
		{when, `"2026-11-28T01:02:03.5+05:30"`, at("2026-11-27T19:32:03.5Z")},
		{when, `"2026-11-28T01:02:03.123000-23:59"`, at("2026-11-29T01:01:03.123Z")},
		{when, `"2026-11-28T01:02:03+0100"`, at("2026-11-28T00:02:03Z")},
		{when, `"2026-11-28"`, at("2026-11-28T00:00:00Z")},
		{when, `"0000-01-01T00:00:00+23:59"`, at("0000-01-01T00:00:00+23:59")},
		{address, `"10.0.0.1"`, ip("10.0.0.1")},
		{address, `"2001:DB8::1"`, ip("2001:db8::1")},
		{list, `[1,1.0,1e0,2.5]`, types.NewSet(decimalOf("1.0"), decimalOf("2.5"))},
		{list, `[]`, types.NewSet()},
		{`{"properties":{"a":{"type":"number","default":0.5},"b":{"type":"string"}}}`, `{"b":null,"c":1}`, types.NewRecord(types.RecordMap{"a": decimalOf("0.5")})},
		{`{"properties":{"a":{"type":"number","default":0.5}}}`, `{"a":0.25}`, types.NewRecord(types.RecordMap{"a": decimalOf("0.25")})},
		{`{"type":["integer","null"],"default":3}`, `null`, nil},
	} {
		got, err := valueOf(t, of(test.property), `{"x":`+test.arg+`}`)
		if err != nil {
			t.Errorf("%s of %s: %v", test.arg, test.property, err)
			continue
		}
		v, came := got.Get("x")
		if came != (test.want != nil) || came && !v.Equal(test.want) {
			t.Errorf("%s of %s is %v, want %v", test.arg, test.property, v, test.want)
		}
	}
}

func valueOf(t testing.TB, s *typed.Shape, raw string) (types.Record, error) {
	t.Helper()
	return s.Value(arguments(t, raw), json.RawMessage(raw), nil)
}

func TestUnholdable(t *testing.T) {
	const number, integer, when, address = `{"type":"number"}`, `{"type":"integer"}`, `{"type":"string","format":"date-time"}`, `{"type":"string","format":"ipv4"}`
	for _, test := range []struct{ property, arg, want string }{
		{`{"type":"string"}`, `1`, "x: it is not a text"},
		{`{"type":"string"}`, `1.5`, "x: it is not a text"},
		{`{"type":"string"}`, `{}`, "x: it is not a text"},
		{`{"enum":["a"]}`, `"b"`, "x: it is none of the texts that the schema allows"},
		{`{"type":"boolean"}`, `"true"`, "x: it is not true or false"},
		{`{"type":"string","default":"a"}`, `null`, "x: it is null"},
		{integer, `"1"`, "x: it is not an integer"},
		{integer, `1.5`, "x: it is not an integer"},
		{integer, `1.00000000000000000001`, "x: it is not an integer"},
		{integer, `9223372036854775808`, "x: it is too large for an integer"},
		{integer, `9007199254740993.0`, "x: it is too large for an integer"},
		{integer, `1e300`, "x: it is too large for an integer"},
		{number, `0.30000000000000000001`, "x: it has too many digits after the point for Cedar's decimal"},
		{number, `1.00001`, "x: it has too many digits after the point for Cedar's decimal"},
		{number, `1e-5`, "x: it has too many digits after the point for Cedar's decimal"},
		{number, `1e-999999999999999999999`, "x: it has too many digits after the point for Cedar's decimal"},
		{number, `922337203685477.5808`, "x: it is too large for Cedar's decimal"},
		{number, `-922337203685477.5809`, "x: it is too large for Cedar's decimal"},
		{number, `922337203685478`, "x: it is too large for Cedar's decimal"},
		{number, `1e15`, "x: it is too large for Cedar's decimal"},
		{number, `true`, "x: it is not a number"},
		{when, `"yesterday"`, "x: it is not a date or time of RFC 3339"},
		{when, `""`, "x: it is not a date or time of RFC 3339"},
		{when, `"2026-02-30T00:00:00Z"`, "x: it is not a date or time of RFC 3339"},
		{when, `"2026-11-28T01:02:60Z"`, "x: it is not a date or time of RFC 3339"},
		{when, `"2026-11-28T01:02:03"`, "x: it is not a date or time of RFC 3339"},
		{when, `"2026-11-28T01:02:03.Z"`, "x: it is not a date or time of RFC 3339"},
		{when, `"2026-11-28T01:02:03+1:00"`, "x: it is not a date or time of RFC 3339"},
		{when, `"2026-11-28T01:02:03.0001Z"`, "x: it is finer than a millisecond"},
		{address, `"10.0.0.0/8"`, "x: it is not an IP address"},
		{address, `"010.0.0.1"`, "x: it is not an IP address"},
		{address, `"fe80::1%eth0"`, "x: it is not an IP address"},
		{address, `"::ffff:127.0.0.1"`, "x: it is an IPv4 address written as IPv6"},
		{address, `"::ffff:7f00:1"`, "x: it is an IPv4 address written as IPv6"},
		{`{"type":"array","items":{"type":"string"}}`, `["a",null]`, "x: a member of the list: it is not a text"},
		{`{"type":"array","items":{"type":"number"}}`, `[1.00001]`, "x: a member of the list: it has too many digits after the point for Cedar's decimal"},
		{`{"type":"array","items":{"type":"string"}}`, `"a"`, "x: it is not a list"},
		{`{"properties":{"a":{"properties":{"b c":{"type":"integer"}},"required":["b c"]}}}`, `{"a":{}}`, "x.a.b c: it is required, and missing"},
		{`{"properties":{"a":{"properties":{"b":{"type":"number"}}}}}`, `{"a":{"b":0.12345}}`, "x.a.b: it has too many digits after the point for Cedar's decimal"},
		{`{"properties":{"a":{"type":"string"}}}`, `[]`, "x: it is not an object"},
	} {
		_, err := valueOf(t, of(test.property), `{"x":`+test.arg+`}`)
		var unholdable *typed.UnholdableError
		if !errors.As(err, &unholdable) || err.Error() != test.want {
			t.Errorf("%s of %s: %v, want %s", test.arg, test.property, err, test.want)
		}
	}
}

// A float64 without its text is not known well enough.
func TestWithoutText(t *testing.T) {
	for _, raw := range []string{``, `{}`, `[`} {
		if _, err := of(`{"type":"number"}`).Value(map[string]any{"x": 0.5}, json.RawMessage(raw), nil); err == nil {
			t.Errorf("a decimal out of a float64 and %q", raw)
		}
	}
}

func TestWant(t *testing.T) {
	s := typed.New(json.RawMessage(`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"number"},"c":{"type":"string","default":"x"},"d":{"type":"string"}},"required":["b","d"]}`))
	raw := `{"a":1,"b":0.123456}`
	got, err := s.Value(arguments(t, raw), json.RawMessage(raw), func(name string) bool { return name == "a" || name == "c" })
	want := types.NewRecord(types.RecordMap{"a": types.Long(1), "c": types.String("x")})
	if err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestForPrompt(t *testing.T) {
	s := typed.ForPrompt(json.RawMessage(`[{"name":"b c","description":"x"},{"name":"a","required":true},{"name":"__extn"}]`))
	if got, want := s.Cedar(), `{ a: String, "b c"?: String }`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	parse(t, s)
	got, err := valueOf(t, s, `{"a":"1"}`)
	if want := types.NewRecord(types.RecordMap{"a": types.String("1")}); err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := valueOf(t, s, `{"a":1}`); err == nil {
		t.Error("a number became a text")
	}
	if got := s.Undeclared(map[string]any{"a": "", "__extn": "", "c": ""}); got != "c" {
		t.Errorf("undeclared is %q, want c", got)
	}
	for _, raw := range []string{``, `null`, `[]`} {
		if s := typed.ForPrompt(json.RawMessage(raw)); len(s.Omitted) > 0 || s.Undeclared(nil) != "" {
			t.Errorf("%q: omitted are %v", raw, s.Omitted)
		}
	}
	if s := typed.ForPrompt(json.RawMessage(`{}`)); s.Omitted[""] == "" {
		t.Error("arguments that are no list were read")
	}
}

func TestUndeclared(t *testing.T) {
	const schema = `{"type":"object","additionalProperties":true,
		"properties":{"a":{"type":"string"},"o":{"properties":{"p":{"type":"string"}}},"map":{"type":"object","additionalProperties":{"properties":{"q":{}}}},
			"free":{"type":"object"},"rows":{"items":{"properties":{"r":{}}}},"pair":{"prefixItems":[{"properties":{"l":{}}}]},"tree":{"$ref":"#/$defs/tree"}},
		"patternProperties":{"^x-":{"properties":{"y":{}}},"(?=bad)":{}},
		"anyOf":[{"properties":{"b":{}}},{"not":{"properties":{"c":{}}}}],
		"if":{"properties":{"d":{}}},"then":{"properties":{"e":{}}},
		"dependentSchemas":{"a":{"properties":{"f":{}}}},
		"allOf":[{"$ref":"#/$defs/more"}],
		"$defs":{"more":{"properties":{"g":{}}},"tree":{"properties":{"kids":{"items":{"$ref":"#/$defs/tree"}}}}}}`
	s := typed.New(json.RawMessage(schema))
	for args, want := range map[string]string{
		`{}`: "",
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"x-1":{"y":2}}`: "",
		`{"z":1,"y":1,"h":1}`: "h",
		`{"A":1}`:             "A",
		`{"bad":1}`:           "bad",
		`{"x-1":{"z":2}}`:     "x-1.z",
		`{"o":{"p":1,"q":2}}`: "o.q",
		`{"o":[{"q":2}]}`:     "",
		`{"map":{"any":{"q":1}},"free":{"any":{"thing":1}}}`:   "",
		`{"map":{"any":{"r":1}}}`:                              "map.any.r",
		`{"rows":[{"r":1},{"s":1}]}`:                           "rows.1.s",
		`{"pair":[{"m":1}]}`:                                   "pair.0.m",
		`{"tree":{"kids":[{"kids":[{"kids":[{"kid":1}]}]}]}}`:  "tree.kids.0.kids.0.kids.0.kid",
		`{"tree":{"kids":[{"kids":[{"kids":[{"kids":1}]}]}]}}`: "",
		`{"":1}`: `""`,
	} {
		if got := s.Undeclared(arguments(t, args)); got != want {
			t.Errorf("%s: undeclared is %q, want %q", args, got, want)
		}
	}
	if got := typed.New(json.RawMessage(`{"type":"object"}`)).Undeclared(map[string]any{"a": true}); got != "a" {
		t.Errorf("nothing is declared, but %q came", got)
	}
}

func TestAt(t *testing.T) {
	s := of(`{"properties":{"a":{"type":"string"},"b":{}}}`)
	if f, why, ok := s.At([]string{"x", "a"}); !ok || why != "" || f.Name != "a" || f.Type.Kind != typed.String {
		t.Errorf("x.a is %v, %q, %v", f, why, ok)
	}
	for _, path := range []string{"y", "x.c", "x.a.b"} {
		if f, why, ok := s.At(strings.Split(path, ".")); ok || why != "" {
			t.Errorf("%s is %v, %q, %v", path, f, why, ok)
		}
	}
	if _, why, ok := s.At([]string{"x", "b"}); ok || why != "its schema does not say what it is" {
		t.Errorf("x.b is %q, %v", why, ok)
	}
}

// What is not read of a schema declares nothing.
func TestUndeclaredBeyondBounds(t *testing.T) {
	var wide, patterns strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&wide, `"w%d":{"type":"string"},`, i)
	}
	for i := range 50 {
		fmt.Fprintf(&patterns, `"^k%02d$":{},`, i)
	}
	s := typed.New(json.RawMessage(`{"properties":{"x":{"properties":{` + wide.String() + `"y":{"type":"string"}}}}}`))
	if got := s.Undeclared(arguments(t, `{"x":{"y":"a"}}`)); got != "x.y" {
		t.Errorf("undeclared is %q, want x.y", got)
	}
	s = typed.New(json.RawMessage(`{"patternProperties":{` + patterns.String() + `"^x":{}}}`))
	if got := s.Undeclared(arguments(t, `{"k00":1,"k19":1}`)); got != "" {
		t.Errorf("undeclared is %q, want nothing", got)
	}
	if got := s.Undeclared(arguments(t, `{"k00":1,"k20":1}`)); got != "k20" {
		t.Errorf("undeclared is %q, want k20", got)
	}
}

// A choice that leads back to itself costs no more than one that does not.
func TestLoopOfChoices(t *testing.T) {
	s := typed.New(json.RawMessage(`{"properties":{"x":{"$ref":"#/$defs/a"},"y":{"type":"string"}},"$defs":{"a":{"type":"string","anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}}}`))
	if got, want := s.Cedar(), `{ x?: String, y?: String }`; got != want {
		t.Errorf("%s, want %s; omitted: %v", got, want, s.Omitted)
	}
}

// Keys that differ in case only are not taken for each other.
func TestCaseOfKeys(t *testing.T) {
	got, err := valueOf(t, of(`{"type":"number"}`), `{"X":0.5,"x":0.25}`)
	if want := types.NewRecord(types.RecordMap{"x": decimalOf("0.25")}); err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got := of(`{}`).Undeclared(map[string]any{"x": true, "X": true}); got != "X" {
		t.Errorf("undeclared is %q, want X", got)
	}
}

// What upstreams may send to keep a gateway busy.
func TestHostileSchemas(t *testing.T) {
	var net, wide, chain, sets strings.Builder
	for i := range 40 {
		fmt.Fprintf(&net, `"a%d":{"anyOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}],"properties":{"l":{"$ref":"#/$defs/a%d"},"r":{"allOf":[{"$ref":"#/$defs/a%d"},{"maximum":1}]}}},`, i, i+1, i+1, i+1, i+1)
	}
	for i := range 20_000 {
		fmt.Fprintf(&wide, `"w%d":{"type":"string"},`, i)
	}
	for i := range 9_000 {
		fmt.Fprintf(&chain, `"c%d":{"$ref":"#/$defs/c%d"},`, i, i+1)
	}
	for i := range 40 {
		fmt.Fprintf(&sets, `{"properties":{"p":{"properties":{"n%d":{"type":"string"}}}},"additionalProperties":{"$ref":"#"}},`, i)
	}
	for name, schema := range map[string]string{
		"net":      `{"$ref":"#/$defs/a0","$defs":{` + net.String() + `"a40":{"type":"string"}}}`,
		"deep net": `{"properties":{"x":{"$ref":"#/$defs/a0"}},"$defs":{` + net.String() + `"a40":{"type":"string"}}}`,
		"wide":     `{"properties":{` + wide.String() + `"x":{"$ref":"#/$defs/w"},"y":{"properties":{"z":{"$ref":"#/$defs/w"}}}},"$defs":{"w":{"properties":{` + wide.String() + `"x":{"$ref":"#/$defs/w"}}}}}`,
		"chain":    `{"properties":{"x":{"$ref":"#/$defs/c0"}},"$defs":{` + chain.String() + `"c9000":{"type":"string"}}}`,
		"sets":     `{"anyOf":[` + sets.String() + `{}]}`,
		"loop":     `{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#"}]}}}`,
		"choices":  `{"properties":{"x":{"$ref":"#/$defs/a"}},"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}}}`,
		"nested":   strings.Repeat(`{"properties":{"x":`, 4_000) + `{}` + strings.Repeat(`}}`, 4_000),
		"allOf":    strings.Repeat(`{"allOf":[`, 4_000) + `{}` + strings.Repeat(`]}`, 4_000),
		"default":  `{"properties":{` + strings.ReplaceAll(wide.String(), `{"type":"string"}`, `{"$ref":"#/$defs/d"}`) + `"x":{}},"$defs":{"d":{"type":"array","items":{"type":"integer"},"default":[0` + strings.Repeat(",1", 20_000) + `]}}}`,
		"enum":     `{"properties":{` + strings.ReplaceAll(wide.String(), `{"type":"string"}`, `{"$ref":"#/$defs/e"}`) + `"x":{}},"$defs":{"e":{"enum":["a"` + strings.Repeat(`,"b"`, 20_000) + `]}}}`,
		"some":     `{"properties":{` + strings.ReplaceAll(wide.String(), `{"type":"string"}`, `{"$ref":"#/$defs/s"}`) + `"x":{}},"$defs":{"s":{"properties":{"a":{"type":"string"}},"anyOf":[{"properties":{` + wide.String() + `"x":{}}},{"properties":{}}]}}}`,
		"patterns": `{"patternProperties":{"` + strings.Join(slices.Repeat([]string{`((a{30}){30}|b)":{},"`}, 500), "") + `x":{}}}`,
	} {
		begun := time.Now()
		s := typed.New(json.RawMessage(schema))
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		s.Undeclared(map[string]any{"x": map[string]any{"x": "a"}})
		if len(s.Omitted) > 5_000 {
			t.Errorf("%s: %d are omitted", name, len(s.Omitted))
		}
		parse(t, s)
	}
	if s := typed.New(json.RawMessage(`{"properties":{"x":{"properties":{` + wide.String() + `"x":{}}},"y":{"properties":{` + wide.String() + `"x":{}}}}}`)); !slices.Contains(slices.Collect(maps.Values(s.Omitted)), "the schema is too large") {
		t.Errorf("nothing of a wide schema is too large: %d omitted", len(s.Omitted))
	}
}

func BenchmarkValue(b *testing.B) {
	s := typed.New(json.RawMessage(`{"type":"object","properties":{"owner":{"type":"string"},"repo":{"type":"string"},"title":{"type":"string"},"body":{"type":"string"},"draft":{"type":"boolean","default":false},"milestone":{"type":"integer"}},"required":["owner","repo","title"]}`))
	raw := json.RawMessage(`{"owner":"contoso","repo":"web","title":"It does not start","milestone":12}`)
	args := arguments(b, string(raw))
	for name, want := range map[string]func(string) bool{"all": nil, "two": func(name string) bool { return name == "owner" || name == "repo" }} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Value(args, raw, want); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("undeclared", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if path := s.Undeclared(args); path != "" {
				b.Fatal(path)
			}
		}
	})
}
