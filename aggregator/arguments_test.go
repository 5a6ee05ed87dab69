package aggregator

import (
	"encoding/json"
	"strings"
	"testing"
)

const issueSchema = `{
	"type": "object",
	"properties": {
		"title": {"type": "string", "minLength": 1},
		"count": {"type": "integer"},
		"labels": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
		"ref": {"$ref": "#/$defs/ref"}
	},
	"required": ["title"],
	"$defs": {"ref": {"type": "object", "properties": {"id": {"type": "integer"}}}}
}`

func TestArgumentsThatMeanOneThingPass(t *testing.T) {
	s, err := compileSchema(json.RawMessage(issueSchema))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		`{"title":"x"}`,
		`{"title":"x","count":9007199254740993}`,
		`{"title":"x","count":1.0}`,
		`{"title":"x","count":1e3}`,
		`{"title":"x","extra":{"Title":1}}`,
		`{"title":"\ud83d\ude00 ` + "\u2028" + `"}`,
		` { "title" : "x" } `,
	} {
		if _, err := readArguments(json.RawMessage(args), s); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestArgumentsAreRefused(t *testing.T) {
	s, err := compileSchema(json.RawMessage(issueSchema))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{`{"title":"a","title":"b"}`, "duplicate key at /title"},
		{`{"title":"a","labels":[{"name":"x","name":"y"}]}`, "duplicate key at /labels/0/name"},
		{`{"Title":"a","title":"b"}`, `key "Title" at /Title differs from the declared property "title" in case only`},
		{`{"title":"a","labels":[{"Name":"x"}]}`, `key "Name" at /labels/0/Name differs from the declared property "name" in case only`},
		{"{\"title\":\"\xff\"}", "not valid Unicode at /title"},
		{`{"title":"\ud800"}`, "not valid Unicode at /title"},
		{`{"title":5}`, "title"},
		{`{"title":""}`, "title"},
		{`{}`, "title"},
		{``, "title"},
		{`null`, "title"},
		{`[]`, "not a JSON object"},
		{`"title"`, "not a JSON object"},
		{`{"title":"a","count":1.5}`, "count"},
		{`{"title":"a","ref":{"id":"x"}}`, "id"},
		{`{"title":"a","count":1e999}`, "the number 1e999 is out of range"},
	} {
		raw := json.RawMessage(tt.args)
		if tt.args == "" {
			raw = nil
		}
		_, err := readArguments(raw, s)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.want)
		}
	}
}

func TestNumbersTheValidatorWouldMisjudge(t *testing.T) {
	for _, tt := range []struct{ property, value string }{
		{`{"type":"integer","maximum":9007199254740993}`, `9007199254740993`},
		{`{"const":9007199254740993}`, `9007199254740993`},
		{`{"enum":[1,9007199254740993]}`, `9007199254740993`},
		{`{"multipleOf":0.1}`, `0.3`},
	} {
		s, err := compileSchema(json.RawMessage(`{"properties":{"n":` + tt.property + `}}`))
		if err != nil {
			t.Errorf("%s: %v", tt.property, err)
			continue
		}
		if _, err := readArguments(json.RawMessage(`{"n":`+tt.value+`}`), s); err != nil {
			t.Errorf("%s of %s: %v", tt.value, tt.property, err)
		}
	}
}

func TestSchemasThatCheckNothing(t *testing.T) {
	for _, raw := range []string{
		`{"type":"object","properties":{"a":{"pattern":"(?=x)"}}}`,
		`{"type":"object","$ref":"https://example.com/schema.json"}`,
	} {
		if _, err := compileSchema(json.RawMessage(raw)); err == nil {
			t.Errorf("compileSchema(%s) succeeded", raw)
		}
	}
}

// Other dialects are read as the default one rather than refused at each call.
func TestSchemaDialects(t *testing.T) {
	for _, dialect := range []string{"", "http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"} {
		s, err := compileSchema(json.RawMessage(`{"$schema":"` + dialect + `","type":"object","properties":{"a":{"type":"string"}}}`))
		if err != nil {
			t.Errorf("%s: %v", dialect, err)
			continue
		}
		if _, err := readArguments(json.RawMessage(`{"a":"x"}`), s); err != nil {
			t.Errorf("%s: %v", dialect, err)
		}
		if _, err := readArguments(json.RawMessage(`{"a":1}`), s); err == nil {
			t.Errorf("%s: wrong type accepted", dialect)
		}
	}
}

func FuzzArguments(f *testing.F) {
	s, err := compileSchema(json.RawMessage(issueSchema))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"title":"x","count":1,"labels":[{"name":"y"}]}`))
	f.Add([]byte(`{"title":"\ud800"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := readArguments(raw, s); err == nil && len(raw) > 0 && !json.Valid(raw) {
			t.Errorf("accepted what is not JSON: %q", raw)
		}
	})
}
