package aggregator

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
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

// TestRedactBlobs takes values out of JSON in base64, however it is written and
// whatever type it is said to have. What cannot be decoded is withheld.
func TestRedactBlobs(t *testing.T) {
	const data, clean = `{"email":"ann?>@b","n":1.0}`, `{"email":"[redacted]","n":1.0}`
	std := base64.StdEncoding.EncodeToString
	path, err := source.ParsePath("$..email")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ blob, want string }{
		"JSON":               {std([]byte(data)), std([]byte(clean))},
		"without padding":    {base64.RawStdEncoding.EncodeToString([]byte(data)), std([]byte(clean))},
		"for URLs":           {base64.URLEncoding.EncodeToString([]byte(data)), std([]byte(clean))},
		"in lines":           {std([]byte(data))[:8] + "\r\n " + std([]byte(data))[8:], std([]byte(clean))},
		"with a mark":        {std([]byte("\uFEFF" + data)), std([]byte(clean))},
		"read in two ways":   {std([]byte(`{"email":1,"email":2}`)), std([]byte(`"[redacted]"`))},
		"no base64":          {std([]byte(data)) + "!", std([]byte(`"[redacted]"`))},
		"nothing to redact":  {std([]byte(`{"n" : 1}`)), std([]byte(`{"n" : 1}`))},
		"an image":           {std([]byte("\x89PNG\r\n")), std([]byte("\x89PNG\r\n"))},
		"a text, not in one": {std([]byte("email: ann@b")), std([]byte("email: ann@b"))},
		"nothing":            {"", ""},
	} {
		contents := `{"uri":"file:///a","mimeType":"text/plain","blob":` + string(rawjson.String(test.blob)) + `}`
		for _, result := range []struct {
			at  string
			raw string
		}{
			{toRead, `{"contents":[` + contents + `]}`},
			{toCall, `{"content":[{"type":"resource","resource":` + contents + `}]}`},
			{toGet, `{"messages":[{"role":"user","content":{"type":"resource","resource":` + contents + `}}]}`},
		} {
			r := Request{about: &matter{action: result.at, member: &member{}}}
			got, err := redactResult(r, json.RawMessage(result.raw), begin([]source.Path{path}))
			want := strings.Replace(result.raw, string(rawjson.String(test.blob)), string(rawjson.String(test.want)), 1)
			if err != nil || string(got) != want {
				t.Errorf("%s: %s becomes %s, %v", name, result.raw, got, err)
			}
		}
	}
}
