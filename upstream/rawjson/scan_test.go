package rawjson_test

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// edges are what a scanner of JSON easily gets wrong.
var edges = []string{
	`{}`, ` {"a" : [ 1 , 2 ] , "b":{}} `, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"x":{"a":1,"\u0061":2}}`,
	`[0,-0,01,-,1.,.5,1e5,1E+5,1e-,1e+,-1.5e-10,+1,9223372036854775808,1e400,00]`,
	`0`, `-0`, `01`, `-`, `1.`, `.5`, `1e5`, `1E+5`, `1e-`, `-1.5e-10`, `+1`, `9223372036854775807`, `-9223372036854775808`,
	`9223372036854775808`, `1e400`, `[1e400]`, `00`, `1 2`, `true`, `tru`, `truex`, `nul`, `null`, `false`, `False`,
	`"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`, `"\uD83D\uDE00x"`, `"\u12"`, `"\u12g4"`, `"\x"`, `"\"`, `"`, `"\\"`,
	"\"\x00\"", "\"\x1f\"", "\"\x7f\"", "\"\t\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xe2\x82\xac\"", "\"1234567\xff\"", "\"1234567\x1f\"",
	"{\"\xff\":1}", "{\"\xff\":1,\"\xfe\":2}", "{\"\xef\xbf\xbd\":1,\"\xff\":2}", `{"\ud800":1,"\ud801":2}`,
	`"12345678"`, `"1234567"`, `"123456789\n"`, `"1234567\"8"`, "\ufeff{}", "\u00a0{}", "{}\x00", "\v{}", `[1,]`, `[,1]`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{1:2}`, `{'a':1}`,
	`[`, `]`, `{`, `}`, `[}`, `{]`, ``, ` `, `/**/{}`, `{"a":1}//`, `NaN`, `Infinity`, `{"a":"` + strings.Repeat("x", 100) + `"}`,
}

func addEdges(f *testing.F) {
	for _, edge := range edges {
		f.Add([]byte(edge))
	}
	for _, depth := range []int{9_998, 9_999, 10_000, 10_001} {
		f.Add([]byte(strings.Repeat("[", depth) + strings.Repeat("]", depth)))
		f.Add([]byte(strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)))
	}
}

// members is ParseObject by the decoder of a library.
func members(raw []byte) (keys, values []string, ok bool) {
	d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '{' {
		return nil, nil, false
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, nil, false
	}
	seen := map[string]bool{}
	for d.PeekKind() != '}' {
		key, err := d.ReadValue()
		if err != nil {
			return nil, nil, false
		}
		name, _ := jsontext.AppendUnquote(nil, key)
		if seen[string(name)] {
			return nil, nil, false
		}
		seen[string(name)] = true
		keys = append(keys, string(name))
		value, err := d.ReadValue()
		if err != nil {
			return nil, nil, false
		}
		values = append(values, string(value))
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, nil, false
	}
	_, err := d.ReadToken()
	return keys, values, err == io.EOF
}

func FuzzParseObjectLikeALibrary(f *testing.F) {
	addEdges(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := rawjson.ParseObject(raw)
		keys, values, ok := members(raw)
		if (err == nil) != ok {
			t.Fatalf("ParseObject(%.200q) = %v, and a library says %v", raw, err, ok)
		}
		if err != nil {
			return
		}
		if len(o) != len(keys) {
			t.Fatalf("ParseObject(%q) has %d members, want %d", raw, len(o), len(keys))
		}
		for i, m := range o {
			if m.Name != keys[i] || string(m.Value) != values[i] {
				t.Errorf("ParseObject(%q): member %d is %q: %s, want %q: %s", raw, i, m.Name, m.Value, keys[i], values[i])
			}
			text, isText := o.GetString(m.Name)
			var want *string
			if err := json.Unmarshal(m.Value, &want); isText != (err == nil && want != nil) || isText && text != *want {
				t.Errorf("GetString of %s is %q, %v", m.Value, text, isText)
			}
		}
	})
}

func FuzzParseArrayLikeALibrary(f *testing.F) {
	addEdges(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := rawjson.ParseArray(raw)
		d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		ok := d.PeekKind() == '[' && d.SkipValue() == nil
		if ok {
			_, end := d.ReadToken()
			ok = end == io.EOF
		}
		if (err == nil) != ok {
			t.Fatalf("ParseArray(%.200q) = %v, and a library says %v", raw, err, ok)
		}
		var want []json.RawMessage
		if err == nil && json.Unmarshal(raw, &want) == nil && len(a)+len(want) > 0 && !reflect.DeepEqual(a, want) {
			t.Errorf("ParseArray(%q) = %q, want %q", raw, a, want)
		}
	})
}

// strict is CheckStrict by the decoder of a library.
func strict(raw []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if d.SkipValue() != nil {
		return false
	}
	_, err := d.ReadToken()
	return err == io.EOF
}

func FuzzStrictLikeALibrary(f *testing.F) {
	addEdges(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := rawjson.CheckStrict(raw); (err == nil) != strict(raw) {
			t.Fatalf("CheckStrict(%.200q) = %v, and a library says %v", raw, err, strict(raw))
		}
		got, err := rawjson.Decode(raw)
		want, ok := decode(raw)
		if (err == nil) != (ok && strict(raw)) {
			t.Fatalf("Decode(%.200q): %v", raw, err)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("Decode(%q) = %#v, want %#v", raw, got, want)
		}
	})
}

// decode is Decode by encoding/json, which is not as strict.
func decode(raw []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	return exact(v)
}

func exact(v any) (_ any, ok bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if v[key], ok = exact(value); !ok {
				return nil, false
			}
		}
	case []any:
		for i, value := range v {
			if v[i], ok = exact(value); !ok {
				return nil, false
			}
		}
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i, true
		}
		f, err := v.Float64()
		return f, err == nil
	}
	return v, true
}

var (
	call = []byte(`{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1.0.0"}},` +
		`"name":"b0_echo","arguments":{"text":"hello, upstream 17"}}}`)
	large = []byte(`{"jsonrpc":"2.0","id":17,"result":{"content":[{"type":"text","text":"` + strings.Repeat("x", 256<<10) + `"}]}}`)
)

func BenchmarkParseObject(b *testing.B) {
	for name, raw := range map[string][]byte{"call": call, "256 KiB": large} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rawjson.ParseObject(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	raw := []byte(`{"text":"hello, upstream 17","limit":50,"tags":["a","b"]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rawjson.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}
