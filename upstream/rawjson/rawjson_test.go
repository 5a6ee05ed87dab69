package rawjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

func TestEditLeavesTheRestAlone(t *testing.T) {
	raw := `{"name":"old","arguments":{"n":9007199254740993,"f":1.0,"e":1e3,"h":"<>&\u003c","z":1,"a":2},"\u0078":[1, 2]}`
	o, err := rawjson.ParseObject([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	o.Set("name", rawjson.String("new<&>\u2028"))
	o.Set("added", json.RawMessage("true"))
	want := `{"name":"new<&>` + "\u2028" + `","arguments":{"n":9007199254740993,"f":1.0,"e":1e3,"h":"<>&\u003c","z":1,"a":2},"\u0078":[1, 2],"added":true}`
	if got := string(o.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(o.Get("x")); got != "[1, 2]" {
		t.Errorf("member with an escaped name = %s", got)
	}
	o.Delete("arguments")
	o.Delete("nothing")
	if got := len(o); got != 3 {
		t.Errorf("%d members left, want 3", got)
	}
}

func TestArrayRoundTrip(t *testing.T) {
	elements, err := rawjson.ParseArray([]byte(` [ {"b":1, "a":1.0} , "x" ] `))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(rawjson.Array(elements)), `[{"b":1, "a":1.0},"x"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, raw := range []string{``, `null`, `[]`, `{`, `{"a":1`, `{"a":1}x`, `{"a":1}{}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":}`, `{1:2}`} {
		if o, err := rawjson.ParseObject([]byte(raw)); err == nil {
			t.Errorf("ParseObject(%s) = %v, want an error", raw, o)
		}
	}
	for _, raw := range []string{``, `{}`, `[`, `[1`, `[1]2`, `[,]`} {
		if a, err := rawjson.ParseArray([]byte(raw)); err == nil {
			t.Errorf("ParseArray(%s) = %v, want an error", raw, a)
		}
	}
}

func TestCheckStrict(t *testing.T) {
	for _, raw := range []string{`{}`, `{"a":{"b":[{"c":1},{"c":2}]}}`, `{"a":"\ud83d\ude00"}`, ` {"a": 1.0} `} {
		if err := rawjson.CheckStrict([]byte(raw)); err != nil {
			t.Errorf("CheckStrict(%s) = %v", raw, err)
		}
	}
	for raw, want := range map[string]string{
		`{"a":1,"a":2}`:              `duplicate key at /a`,
		`{"a":[{"b":1,"\u0062":2}]}`: `duplicate key at /a/0/b`,
		"{\"a\":\"\xff\"}":           `text that is not valid Unicode at /a`,
		`{"a":"\ud800"}`:             `text that is not valid Unicode at /a`,
		`{"a":1} 2`:                  `more than one JSON value`,
	} {
		err := rawjson.CheckStrict([]byte(raw))
		if err == nil || err.Error() != want {
			t.Errorf("CheckStrict(%q) = %v, want %q", raw, err, want)
		}
	}
}

func FuzzParseObject(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":[1.0,"\ud800"]}}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := rawjson.ParseObject(raw)
		if err != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("accepted what is not JSON: %q", raw)
		}
		again, err := rawjson.ParseObject(o.Bytes())
		if err != nil {
			t.Fatalf("cannot parse own output %q: %v", o.Bytes(), err)
		}
		if !bytes.Equal(again.Bytes(), o.Bytes()) {
			t.Fatalf("output changed: %q, %q", o.Bytes(), again.Bytes())
		}
	})
}

// Members are compared with each other; many of them must not take for ever.
func TestManyMembers(t *testing.T) {
	var raw bytes.Buffer
	raw.WriteString(`{"name":0`)
	for i := range 200_000 {
		fmt.Fprintf(&raw, `,"k%d":1`, i)
	}
	o, err := rawjson.ParseObject(append(raw.Bytes(), '}'))
	if err != nil || len(o) != 200_001 {
		t.Fatalf("%d members, %v", len(o), err)
	}
	if _, err := rawjson.ParseObject(append(raw.Bytes(), `,"k7":2}`...)); err == nil || err.Error() != `duplicate key "k7"` {
		t.Errorf("a duplicate among many: %v", err)
	}
}
