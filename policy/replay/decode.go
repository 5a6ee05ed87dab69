package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// decode decodes arguments as the gateway does: int64 for integers of 64 bits, float64
// for other numbers.
func decode(raw []byte) (map[string]any, error) {
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
		f, _ := v.Float64() // out of range, it is infinite
		return f
	}
	return v
}
