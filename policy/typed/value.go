package typed

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/cedar-policy/cedar-go/types"
)

// An UnholdableError is an argument that came and that Cedar cannot hold. It
// does not quote the argument.
type UnholdableError struct{ Path, Why string }

func (e *UnholdableError) Error() string { return e.Path + ": " + e.Why }

// inexact says that a number has to be read from its text.
var inexact = &UnholdableError{Why: "its text is not known"}

// Value makes the record of arguments, with defaults filled in. args are decoded
// with int64 for integers of 64 bits and float64 for other numbers, raw is their
// text, which is looked at only for what a float64 cannot tell. Only top-level
// arguments that want names are in it; nil wants all. The error is an
// *UnholdableError: for what Cedar cannot hold, and also for what is not of
// the declared type, or is missing, since not every schema can be enforced.
func (s *Shape) Value(args map[string]any, raw json.RawMessage, want func(name string) bool) (types.Record, error) {
	made := make(types.RecordMap, min(len(s.Input.Fields), 16))
	var texts map[string]json.RawMessage
	for i := range s.Input.Fields {
		f := &s.Input.Fields[i]
		if want != nil && !want(f.Name) {
			continue
		}
		arg, came := args[f.Name]
		v, err := f.value(arg, came)
		if err == inexact {
			if texts == nil {
				_ = json.Unmarshal(raw, &texts) // what is then missing cannot be held
			}
			v, err = f.exactly(texts[f.Name])
		}
		if err != nil {
			return types.Record{}, err
		}
		if v != nil {
			made[types.String(f.Name)] = v
		}
	}
	return types.NewRecord(made), nil
}

// exactly is value, from the text of an argument.
func (f *Field) exactly(raw json.RawMessage) (types.Value, *UnholdableError) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var arg any
	if err := d.Decode(&arg); err != nil {
		return nil, &UnholdableError{Path: join("", f.Name), Why: inexact.Why}
	}
	return f.value(arg, true)
}

// value is what a field holds; nil for nothing.
func (f *Field) value(arg any, came bool) (types.Value, *UnholdableError) {
	switch {
	case !came && f.Default != nil:
		return f.Default, nil
	case !came && f.Required:
		return nil, &UnholdableError{Path: join("", f.Name), Why: "it is required, and missing"}
	case arg == nil && f.Required:
		return nil, &UnholdableError{Path: join("", f.Name), Why: "it is null"}
	case arg == nil:
		return nil, nil
	}
	v, err := convert(f.Type, arg)
	if err != nil && err != inexact {
		return nil, &UnholdableError{Path: below(f.Name, err.Path), Why: err.Why}
	}
	return v, err
}

func below(name, path string) string {
	if path == "" {
		return join("", name)
	}
	return join("", name) + "." + path
}

// convert makes a value of that type. Numbers may be a json.Number, too.
func convert(t *Type, arg any) (types.Value, *UnholdableError) {
	switch v := arg.(type) {
	case string:
		return fromText(t, v)
	case bool:
		if t.Kind == Bool {
			return types.Boolean(v), nil
		}
	case int64:
		switch t.Kind {
		case Long:
			return types.Long(v), nil
		case Decimal:
			return fromInteger(v)
		}
	case float64:
		if t.Kind == Long || t.Kind == Decimal {
			return nil, inexact
		}
	case json.Number:
		switch t.Kind {
		case Long:
			return long(v.String())
		case Decimal:
			return decimal(parseNumber(v.String()))
		}
	case []any:
		if t.Kind == Set {
			return set(t, v)
		}
	case map[string]any:
		if t.Kind == Record {
			return record(t, v)
		}
	}
	return nil, &UnholdableError{Why: "it is not " + t.Kind.words()}
}

func fromInteger(i int64) (types.Value, *UnholdableError) {
	d, err := types.NewDecimal(i, 0)
	if err != nil {
		return nil, errDecimal
	}
	return d, nil
}

func fromText(t *Type, s string) (types.Value, *UnholdableError) {
	switch t.Kind {
	case String:
		if t.Enum != nil {
			if _, ok := slices.BinarySearch(t.Enum, s); !ok {
				return nil, &UnholdableError{Why: "it is none of the texts that the schema allows"}
			}
		}
		return types.String(s), nil
	case Datetime:
		return datetime(s)
	case Address:
		return address(s)
	}
	return nil, &UnholdableError{Why: "it is not " + t.Kind.words()}
}

func set(t *Type, args []any) (types.Value, *UnholdableError) {
	elements := make([]types.Value, len(args))
	for i, arg := range args {
		v, err := convert(t.Elem, arg)
		if err == inexact {
			return nil, err
		}
		if err != nil {
			return nil, &UnholdableError{Why: "a member of the list: " + err.Why}
		}
		elements[i] = v
	}
	return types.NewSet(elements...), nil
}

func record(t *Type, args map[string]any) (types.Value, *UnholdableError) {
	made := make(types.RecordMap, len(t.Fields))
	for i := range t.Fields {
		f := &t.Fields[i]
		arg, came := args[f.Name]
		v, err := f.value(arg, came)
		if err != nil {
			return nil, err
		}
		if v != nil {
			made[types.String(f.Name)] = v
		}
	}
	return types.NewRecord(made), nil
}

// words say what a value of the kind is in JSON.
func (k Kind) words() string {
	switch k {
	case String:
		return "a text"
	case Long:
		return "an integer"
	case Bool:
		return "true or false"
	case Decimal:
		return "a number"
	case Datetime:
		return "a date or time"
	case Address:
		return "an IP address"
	case Set:
		return "a list"
	case Record:
		return "an object"
	}
	return "of a known type"
}
