package typed

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/cedar-policy/cedar-go/types"
)

// Decode decodes arguments as the gateway does: int64 for integers of 64 bits, float64
// for other numbers, which is infinite where one is out of range. It fails for what is
// no object, and for more than one value.
func Decode(raw []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var arguments map[string]any
	if err := d.Decode(&arguments); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more than one value")
	}
	numbers(arguments)
	return arguments, nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, below := range v {
			v[name] = numbers(below)
		}
	case []any:
		for i, below := range v {
			v[i] = numbers(below)
		}
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	}
	return v
}

// KindOf is the kind of a value of Cedar.
func KindOf(v types.Value) Kind {
	switch v.(type) {
	case types.String:
		return String
	case types.Long:
		return Long
	case types.Boolean:
		return Bool
	case types.Decimal:
		return Decimal
	case types.Datetime:
		return Datetime
	case types.Duration:
		return Duration
	case types.IPAddr:
		return Address
	case types.Set:
		return Set
	case types.Record:
		return Record
	}
	return Entity
}
