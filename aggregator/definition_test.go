package aggregator

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/upstream"
)

func testMember(rules ToolRules) *member {
	return &member{Upstream: Upstream{Options: upstream.Options{Name: "up"}, Prefix: "up", Tools: rules}}
}

func TestDefinitionsAsTheyAre(t *testing.T) {
	for _, def := range []string{
		`{"name":"a","inputSchema":{"type":"object"}}`,
		`{"inputSchema":{"type":"object","properties":{"n":{"maximum":9007199254740993,"multipleOf":1.0,"pattern":"<&>\u003c"}},"x-unknown":[1e3]},"name":"a","unknown":{"z":1,"a":2}}`,
		`{"name":"a","inputSchema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","$ref":"#/$defs/x","$defs":{"x":{}}}}`,
		`{"name":"a","inputSchema":{"type":"object","additionalProperties":false,"required":[]},"outputSchema":{"type":"object"},"execution":{"taskSupport":"optional"},"_meta":{"k":1}}`,
	} {
		tool, err := newTool(testMember(ToolRules{}), json.RawMessage(def))
		if err != nil {
			t.Errorf("%s: %v", def, err)
			continue
		}
		want := strings.Replace(def, `"name":"a"`, `"name":"up_a"`, 1)
		if string(tool.definition) != want {
			t.Errorf("got  %s\nwant %s", tool.definition, want)
		}
	}
}

func TestDefinitionsNoClientCanUse(t *testing.T) {
	for _, tt := range []struct{ def, want string }{
		{`[]`, "not a JSON object"},
		{`{"inputSchema":{"type":"object"}}`, "name is missing"},
		{`{"name":"","inputSchema":{"type":"object"}}`, "name is empty"},
		{`{"name":1,"inputSchema":{"type":"object"}}`, "name is not a string"},
		{`{"name":"a"}`, "inputSchema is missing"},
		{`{"name":"a","inputSchema":null}`, "inputSchema is not an object"},
		{`{"name":"a","inputSchema":true}`, "inputSchema is not an object"},
		{`{"name":"a","inputSchema":{}}`, `inputSchema has no "type": "object"`},
		{`{"name":"a","inputSchema":{"type":["object"]}}`, `inputSchema has no "type": "object"`},
		{`{"name":"a","inputSchema":{"type":"object","properties":{"x":true}}}`, `inputSchema properties "x" is not an object`},
		{`{"name":"a","inputSchema":{"type":"object","required":"x"}}`, "required is not a list of strings"},
		{`{"name":"a","inputSchema":{"type":"object"},"description":5}`, "description is not a string"},
		{`{"name":"a","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":"yes"}}`, "annotations is malformed"},
		{`{"name":"a","inputSchema":{"type":"object","required":null}}`, "required is not a list of strings"},
		{`{"name":"a","inputSchema":{"type":"object"},"icons":[{}]}`, "icons lack a src"},
		{`{"name":"a","inputSchema":{"type":"object"},"icons":[5]}`, "icons is malformed"},
		{`{"name":"a","inputSchema":{"type":"object"},"icons":[{"src":"x","sizes":"any"}]}`, "icons have malformed sizes"},
		{`{"name":"a","inputSchema":{"type":"object"},"icons":[{"src":"x","theme":"zzz"}]}`, "icons have an unknown theme"},
		{`{"name":"a","inputSchema":{"type":"object"},"execution":{"taskSupport":"zzz"}}`, "execution has an unknown taskSupport"},
		{`{"name":"lone\ud800","inputSchema":{"type":"object"}}`, "name is not valid Unicode"},
		{`{"name":"a","name":"b","inputSchema":{"type":"object"}}`, `duplicate key "name"`},
	} {
		_, err := newTool(testMember(ToolRules{}), json.RawMessage(tt.def))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.def, err, tt.want)
		}
	}
}

func TestNullsAreDropped(t *testing.T) {
	tool, err := newTool(testMember(ToolRules{}), json.RawMessage(`{"name":"a","title":null,"inputSchema":{"type":"object"},"annotations":{"title":null},"execution":null}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(tool.definition), `{"name":"up_a","inputSchema":{"type":"object"},"annotations":{}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOutputSchemaOfTheModernEra(t *testing.T) {
	tool, err := newTool(testMember(ToolRules{}), json.RawMessage(`{"name":"a","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(tool.definition), `{"name":"up_a","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}`; got != want {
		t.Errorf("modern: got %s, want %s", got, want)
	}
	if got, want := string(tool.legacyDefinition), `{"name":"up_a","inputSchema":{"type":"object"}}`; got != want {
		t.Errorf("legacy: got %s, want %s", got, want)
	}
}

func TestOverride(t *testing.T) {
	m := testMember(ToolRules{Overrides: map[string]Override{"create": {
		Name: "open", Description: "Open <one>.", Annotations: map[string]bool{"destructiveHint": false},
		Require: []string{"repo"}, Set: map[string]json.RawMessage{"owner": json.RawMessage(`"contoso"`)},
	}}})
	tool, err := newTool(m, json.RawMessage(`{"name":"create","description":"old","inputSchema":{"type":"object","properties":{"repo":{"type":"string"},"owner":{"type":"string"},"n":{"maximum":1.0}},"required":["owner"]},"annotations":{"readOnlyHint":false,"destructiveHint":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"up_open","description":"Open <one>.","inputSchema":{"type":"object","properties":{"repo":{"type":"string"},"n":{"maximum":1.0}},"required":["repo"]},"annotations":{"readOnlyHint":false,"destructiveHint":false}}`
	if got := string(tool.definition); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	got, err := tool.arguments(json.RawMessage(`{"n":0.50,"repo":"a"}`), nil)
	if err != nil || string(got.raw) != `{"n":0.50,"repo":"a","owner":"contoso"}` {
		t.Errorf("arguments = %s, %v", got.raw, err)
	}
	for args, want := range map[string]string{
		`{"n":1}`:                     "repo",
		`{"repo":"a","owner":"evil"}`: `"owner" is fixed by the gateway`,
		`{"repo":"a","Owner":"evil"}`: `"Owner" is fixed by the gateway`,
	} {
		if got, err := tool.arguments(json.RawMessage(args), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("arguments(%s) = %s, %v, want %q", args, got.raw, err, want)
		}
	}
}

func TestAllowAndDeny(t *testing.T) {
	rules := ToolRules{Allow: []string{"get_*", "list"}, Deny: []string{"*_secret"}}
	for name, want := range map[string]bool{"get_user": true, "list": true, "get_secret": false, "delete": false} {
		if got := rules.Admits(name); got != want {
			t.Errorf("admit(%s) = %v, want %v", name, got, want)
		}
	}
	if !(ToolRules{}).Admits("anything") {
		t.Error("no rules admit nothing")
	}
}

func FuzzDefinition(f *testing.F) {
	f.Add([]byte(`{"name":"a","inputSchema":{"type":"object","properties":{"a":{}}}}`))
	f.Add([]byte(`{"name":"a","inputSchema":true}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tool, err := newTool(testMember(ToolRules{}), raw)
		if err != nil {
			return
		}
		if !json.Valid(tool.definition) || !json.Valid(tool.legacyDefinition) {
			t.Errorf("%q was published as %s", raw, tool.definition)
		}
		compileSchema(tool.definition) //nolint:errcheck // must not panic, whatever it says
	})
}
