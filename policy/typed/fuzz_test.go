package typed_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/typed"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// conforms checks that a value is of a type.
func conforms(t *typed.Type, v types.Value) error {
	switch v := v.(type) {
	case types.String:
		if t.Kind == typed.String && (t.Enum == nil || slices.Contains(t.Enum, string(v))) {
			return nil
		}
	case types.Set:
		if t.Kind == typed.Set {
			for of := range v.All() {
				if err := conforms(t.Elem, of); err != nil {
					return err
				}
			}
			return nil
		}
	case types.Record:
		if t.Kind == typed.Record {
			return recordConforms(t, v)
		}
	default:
		kinds := map[string]typed.Kind{"types.Long": typed.Long, "types.Boolean": typed.Bool, "types.Decimal": typed.Decimal, "types.Datetime": typed.Datetime, "types.IPAddr": typed.Address}
		if kind, ok := kinds[fmt.Sprintf("%T", v)]; ok && kind == t.Kind {
			return nil
		}
	}
	return fmt.Errorf("%T %v is not of kind %v", v, v, t.Kind)
}

func recordConforms(t *typed.Type, v types.Record) error {
	for name := range v.Keys() {
		if _, ok := t.Field(string(name)); !ok {
			return fmt.Errorf("member %q has no type", name)
		}
	}
	for _, f := range t.Fields {
		member, ok := v.Get(types.String(f.Name))
		switch {
		case !ok && f.Required:
			return fmt.Errorf("member %q is required and missing", f.Name)
		case ok:
			if err := conforms(f.Type, member); err != nil {
				return fmt.Errorf("member %q: %w", f.Name, err)
			}
		}
	}
	return nil
}

// equals checks that a value says what came, which holds json.Numbers.
func equals(t *typed.Type, v types.Value, came any) error {
	ok := false
	switch v := v.(type) {
	case types.String:
		ok = came == string(v)
	case types.Boolean:
		ok = came == bool(v)
	case types.Long:
		ok = sameNumber(v.String(), came)
	case types.Decimal:
		ok = sameNumber(v.String(), came)
	case types.IPAddr:
		a, err := netip.ParseAddr(came.(string))
		ok = err == nil && netip.PrefixFrom(a, a.BitLen()) == v.Prefix()
	case types.Datetime:
		ok = sameTime(v.Time(), came.(string))
	case types.Set:
		return sameMembers(t, v, came.([]any))
	case types.Record:
		return sameRecord(t, v, came.(map[string]any))
	}
	if !ok {
		return fmt.Errorf("%v came as %v", came, v)
	}
	return nil
}

func sameNumber(have string, came any) bool {
	number, ok := came.(json.Number)
	if !ok {
		return false
	}
	if mantissa, _, _ := strings.Cut(strings.ToLower(number.String()), "e"); strings.Trim(mantissa, "-0.") == "" {
		number = "0" // whatever its exponent
	}
	a, okA := new(big.Rat).SetString(have)
	b, okB := new(big.Rat).SetString(number.String())
	return okA && okB && a.Cmp(b) == 0
}

func sameTime(have time.Time, came string) bool {
	came = strings.ToUpper(came)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", time.DateOnly} {
		if when, err := time.Parse(layout, came); err == nil {
			return when.Equal(have)
		}
	}
	return false
}

func sameMembers(t *typed.Type, v types.Set, came []any) error {
	for _, of := range came {
		if !slices.ContainsFunc(v.Slice(), func(have types.Value) bool { return equals(t.Elem, have, of) == nil }) {
			return fmt.Errorf("%v is not in %v", of, v)
		}
	}
	for have := range v.All() {
		if !slices.ContainsFunc(came, func(of any) bool { return equals(t.Elem, have, of) == nil }) {
			return fmt.Errorf("%v did not come", have)
		}
	}
	return nil
}

func sameRecord(t *typed.Type, v types.Record, came map[string]any) error {
	for _, f := range t.Fields {
		have, ok := v.Get(types.String(f.Name))
		arg, sent := came[f.Name]
		var err error
		switch {
		case !sent && f.Default == nil || arg == nil && sent:
			if ok {
				err = errors.New("it did not come")
			}
		case !sent:
			if !ok || !have.Equal(f.Default) {
				err = errors.New("it is not what it is by default")
			}
		case !ok:
			err = errors.New("it came, and is not there")
		default:
			err = equals(f.Type, have, arg)
		}
		if err != nil {
			return fmt.Errorf("member %q: %w", f.Name, err)
		}
	}
	return nil
}

// check has a value made, and reports why there is none.
func check(t testing.TB, s *typed.Shape, raw string) error {
	t.Helper()
	v, err := rawjson.Decode([]byte(raw))
	args, ok := v.(map[string]any)
	if err != nil || !ok {
		return errors.New("no arguments")
	}
	s.Undeclared(args)
	got, err := s.Value(args, json.RawMessage(raw), nil)
	if err != nil {
		var unholdable *typed.UnholdableError
		if !errors.As(err, &unholdable) || unholdable.Path == "" || unholdable.Why == "" {
			t.Fatalf("error %#v of %s", err, raw)
		}
		return err
	}
	if err := conforms(s.Input, got); err != nil {
		t.Fatalf("%s made of %s does not conform to %s: %v", got, raw, s.Cedar(), err)
	}
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var came map[string]any
	if err := d.Decode(&came); err != nil {
		t.Fatal(err)
	}
	if err := equals(s.Input, got, came); err != nil {
		t.Fatalf("%s made of %s: %v", got, raw, err)
	}
	return nil
}

// wellFormed checks what a reader of types relies on.
func wellFormed(t *testing.T, of *typed.Type, depth int) {
	if depth > 8 {
		t.Fatal("a type is nested too deeply")
	}
	if of.Enum != nil && (!slices.IsSorted(of.Enum) || of.Kind != typed.String) {
		t.Fatalf("enum of kind %v: %q", of.Kind, of.Enum)
	}
	for i, f := range of.Fields {
		if i > 0 && of.Fields[i-1].Name >= f.Name {
			t.Fatalf("fields %q and %q are out of order", of.Fields[i-1].Name, f.Name)
		}
		if f.Default != nil {
			if err := conforms(f.Type, f.Default); err != nil {
				t.Fatalf("default of %q: %v", f.Name, err)
			}
		}
		wellFormed(t, f.Type, depth+1)
	}
	if of.Kind == typed.Set {
		wellFormed(t, of.Elem, depth+1)
	}
}

var seeds = []string{
	`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer","default":1},"c":{"type":"number"},"d":{"type":"boolean"}},"required":["a"]}`,
	`{"properties":{"t":{"type":"string","format":"date-time"},"i":{"type":"string","format":"ipv6","default":"::1"},"s":{"type":"array","items":{"type":"number"}}}}`,
	`{"properties":{"o":{"properties":{"n":{"type":["number","null"],"default":0.5}}},"e":{"enum":["x","y"]}}}`,
	`{"$ref":"#/$defs/a","$defs":{"a":{"properties":{"a":{"$ref":"#/$defs/a"},"l":{"items":{"$ref":"#"}}}}}}`,
	`{"$ref":"#"}`,
	`{"properties":{"x":{"$ref":"#/$defs/a"}},"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"},{"$ref":"#/$defs/b"}]},"b":{"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}}}`,
	`{"anyOf":[{"properties":{"a":{"type":"string"}}},{"patternProperties":{"^x":{"type":"object"}}}],"not":{"properties":{"b":true}}}`,
	`{"allOf":[{"properties":{"a":{"const":1}}},{"properties":{"a":{"enum":[1,2.5,null]}}}]}`,
	`{"properties":{"a":{"properties":{"a":{"properties":{"a":{"properties":{"a":{"properties":{"a":{"properties":{"a":{}}}}}}}}}}}}}`,
	`{"properties":{"\"":{"type":"string"},"\u0000":{"type":"string"},"\ud800":{"type":"string"},"":{}}}`,
	`{"type":"object","properties":{"a":{"oneOf":[{"const":"a"},{"const":"b"}],"default":"b"}}}`,
}

func FuzzNew(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, schema string) {
		s := typed.New(json.RawMessage(schema))
		if s.Input == nil || s.Input.Kind != typed.Record {
			t.Fatalf("the input is %v", s.Input)
		}
		wellFormed(t, s.Input, 0)
		parse(t, s)
		if got := typed.New(json.RawMessage(schema)).Cedar(); got != s.Cedar() {
			t.Fatalf("%s, and then %s", s.Cedar(), got)
		}
		check(t, s, `{"a":{"a":1.5},"b":null,"x":[{"a":1}]}`)
		p := typed.ForPrompt(json.RawMessage(schema))
		wellFormed(t, p.Input, 0)
		parse(t, p)
	})
}

func FuzzValue(f *testing.F) {
	for _, args := range []string{
		`{"a":"x","b":9223372036854775808,"c":1e400}`,
		`{"a":"x","b":9223372036854775807,"c":0.30000000000000000001}`,
		`{"a":"x","A":"y","b":1.0,"c":-0.0,"d":true}`,
		`{"a":"x","a":"y"}`,
		`{"a":null,"b":null}`,
		`{"a":"\ud800"}`,
		"{\"a\":\"\xff\"}",
		`{"t":"2026-11-28t00:00:00.120000+00:00","i":"::ffff:1.2.3.4","s":[1,1.0,1e0,0e99999999999999]}`,
		`{"o":{"n":null},"e":"y"}`,
		`{"o":{},"e":"z"}`,
		`{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}`,
		`{"a":` + strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200) + `}`,
	} {
		for _, seed := range seeds {
			f.Add(seed, args)
		}
	}
	f.Fuzz(func(t *testing.T, schema, args string) {
		_ = check(t, typed.New(json.RawMessage(schema)), args)
	})
}
