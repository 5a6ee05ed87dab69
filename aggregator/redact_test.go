package aggregator

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy/source"
)

// emailsIn are the values that any member called email has.
func emailsIn(v any) (all []any) {
	switch v := v.(type) {
	case map[string]any:
		for name, below := range v {
			if name == "email" {
				all = append(all, below)
			}
			all = append(all, emailsIn(below)...)
		}
	case []any:
		for _, below := range v {
			all = append(all, emailsIn(below)...)
		}
	}
	return all
}

// FuzzRedact looks for JSON from which a value is not taken out, or that is no JSON any
// more.
func FuzzRedact(f *testing.F) {
	for _, seed := range []string{
		`{"email":"a@b"}`, ` [ {"a":{"email":{"email":1}}} , 1e400 ] `, `{"email":1,"email":2}`, `{"\u0065mail":[]}`, `"email"`, `{}`,
		strings.Repeat(`{"a":[`, 40) + `{"email":1}` + strings.Repeat(`]}`, 40), strings.Repeat(" ", 100) + `{"email":1}`,
	} {
		f.Add(seed)
	}
	path, err := source.ParsePath("$..email")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		got := redact(json.RawMessage(text), begin([]source.Path{path}), 0)
		var before, v any
		if json.Unmarshal([]byte(text), &before) != nil {
			return // a number is out of range
		}
		if err := json.Unmarshal(got, &v); err != nil {
			t.Fatalf("%s makes %s: %v", text, got, err)
		}
		for _, email := range emailsIn(v) {
			if email != "[redacted]" {
				t.Errorf("%s leaves %v", text, email)
			}
		}
		if !strings.Contains(text, "mail") && len(text) < 60 && string(got) != text && string(got) != `"[redacted]"` {
			t.Errorf("%s becomes %s", text, got)
		}
	})
}
