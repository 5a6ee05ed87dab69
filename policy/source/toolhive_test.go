package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/source"
)

const documentedJSON = `{
  "version": "1.0",
  "type": "cedarv1",
  "cedar": {
    "policies": [
      "permit(principal, action == Action::\"call_tool\", resource == Tool::\"weather\");",
      "permit(principal, action == Action::\"get_prompt\", resource == Prompt::\"greeting\");"
    ],
    "entities_json": "[]"
  }
}`

const documentedYAML = `version: "1.0"
type: cedarv1
cedar:
  policies:
    - 'permit(principal, action == Action::"call_tool", resource == Tool::"weather");'
    - 'permit(principal, action == Action::"get_prompt", resource == Prompt::"greeting");'
  entities_json: "[]"
`

func TestToolHive(t *testing.T) {
	for _, text := range []string{documentedJSON, documentedYAML, strings.Replace(documentedYAML, `"1.0"`, "1.0", 1)} {
		files, entities, err := source.ToolHive(source.File{Name: "authz", Text: []byte(text)})
		if err != nil || entities != nil {
			t.Errorf("%s\nentities %s, error %v", text, entities, err)
		}
		want := []source.File{
			{Name: "authz#policies[0]", Text: []byte(`permit(principal, action == Action::"call_tool", resource == Tool::"weather");`)},
			{Name: "authz#policies[1]", Text: []byte(`permit(principal, action == Action::"get_prompt", resource == Prompt::"greeting");`)},
		}
		if diff := cmp.Diff(want, files); diff != "" {
			t.Errorf("%s\nfiles (-want +got):\n%s", text, diff)
		}
		if policies, _, err := source.Parse(files, source.Options{Upstreams: []string{"up"}, Only: "up"}); err != nil || len(policies) != 2 {
			t.Errorf("%d policies, error %v, want 2", len(policies), err)
		}
	}
}

func TestToolHiveEntities(t *testing.T) {
	text := strings.Replace(documentedJSON, `"[]"`, `"[{\"uid\": {\"type\": \"Tool\", \"id\": \"weather\"}}]"`, 1)
	_, entities, err := source.ToolHive(source.File{Name: "authz.json", Text: []byte(text)})
	if want := `[{"uid": {"type": "Tool", "id": "weather"}}]`; string(entities) != want || err != nil {
		t.Errorf("entities %s, error %v, want %s", entities, err, want)
	}
}

func TestToolHiveMistakes(t *testing.T) {
	change := func(old, with string) string { return strings.Replace(documentedJSON, old, with, 1) }
	for _, test := range []struct{ text, want string }{
		{"", "1:1: this is no ToolHive authorization configuration; it has version, type and cedar"},
		{"[1]", "1:1: this is no ToolHive authorization configuration; it has version, type and cedar"},
		{"{\n  \"a\": 1,\n  \"a\": 2\n}", "3:3: this is no JSON: duplicate object member name; in JSON, a text is one line with \\n and \\\""},
		{"{\"version\": ", "1:13: this is no JSON: unexpected EOF; in JSON, a text is one line with \\n and \\\""},
		{"version: \"1.0\"\n\ttype: cedarv1\n", "2:1: this is no YAML: found character that cannot start any token"},
		{"version: \"caf\xE9\"", "1:14: the byte 0xE9 does not belong into UTF-8 text; save the file as UTF-8"},
		{strings.Repeat("[", 100_000), "1:1: YAML of more than 256 KiB, or nested more than 200 deep; move its policies into *.cedar files"},
		{strings.Repeat("- ", 100_000), "1:1: YAML of more than 256 KiB, or nested more than 200 deep; move its policies into *.cedar files"},
		{"a: " + strings.Repeat("x", 256<<10), "1:1: YAML of more than 256 KiB, or nested more than 200 deep; move its policies into *.cedar files"},
		{"{" + strings.Repeat(" ", 4<<20), "1:1: the file is larger than 4 MiB; move its policies into *.cedar files"},
		{change(`"1.0"`, `"2.0"`), `2:4: the version is not 1.0; write version "1.0"`},
		{change(`"cedarv1"`, `"httpv1"`), "3:4: the type is not cedarv1; no other type is known here"},
		{change(`"cedar"`, `"ceder"`), "4:4: \"ceder\" means nothing here; did you mean cedar?\nF:3:12: cedar is not there, or is no object; it has policies and entities_json"},
		{change(`"entities_json": "[]"`, `"group_claim_name": "x"`), `9:6: "group_claim_name" means nothing here; remove it; what callers are comes from auth`},
		{change(`"entities_json": "[]"`, `"entities": []`), `9:6: "entities" means nothing here; remove it`},
		{strings.Replace(documentedYAML, `"[]"`, "[]", 1), `7:3: entities_json is no text; write a text with JSON in it, such as "[]"`},
		{change(`"entities_json": "[]"`, `"entities_json": []`), `9:6: entities_json is no text; write a text with JSON in it, such as "[]"`},
		{`{"version": "1.0", "type": "cedarv1", "cedar": {"policies": []}}`, `1:50: policies is no list of policies; write ["permit(principal, action, resource);"]`},
		{`{"version": "1.0", "type": "cedarv1", "cedar": {"policies": ["x", 1, null]}}`, "1:50: policies[1] is no text; write each policy as a text\nF:1:50: policies[2] is no text; write each policy as a text"},
	} {
		files, entities, err := source.ToolHive(source.File{Name: "F", Text: []byte(test.text)})
		if diff := cmp.Diff("F:"+test.want, fmt.Sprint(err)); diff != "" || files != nil || entities != nil {
			t.Errorf("%.200s\n%d files (-want +got):\n%s", test.text, len(files), diff)
		}
	}
}

func TestToolHiveTooMany(t *testing.T) {
	text := `{"version": "1.0", "type": "cedarv1", "cedar": {"policies": [` + strings.Repeat(`"",`, 50_000) + `""]}}`
	_, _, err := source.ToolHive(source.File{Name: "F", Text: []byte(text)})
	want := "F:1:50: there are more than 50000 policies; name groups, tags or upstreams instead of people and tools"
	if fmt.Sprint(err) != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestToolHiveBomb reads aliases of aliases, which are a billion texts.
func TestToolHiveBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: \"1.0\"\ntype: cedarv1\na0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	b.WriteString("cedar:\n  policies: *a8\n")
	if _, _, err := source.ToolHive(source.File{Name: "F", Text: []byte(b.String())}); err == nil || !strings.Contains(err.Error(), "policies[8] is no text") {
		t.Errorf("error %v, want that policies[8] is no text", err)
	}
}

// FuzzToolHive wants files that Parse can read, and mistakes with a place.
func FuzzToolHive(f *testing.F) {
	f.Add([]byte(documentedJSON))
	f.Add([]byte(documentedYAML))
	f.Add([]byte("version: &a 1.0\ntype: *a\ncedar: {policies: [x], entities_json: {a: b}}"))
	f.Add([]byte("{\"version\":"))
	f.Fuzz(func(t *testing.T, text []byte) {
		files, _, err := source.ToolHive(source.File{Name: "F", Text: text})
		checkError(t, err)
		_, warnings, err := source.Parse(files, source.Options{Only: "up"})
		checkError(t, err)
		for _, w := range warnings {
			checkMistake(t, w)
		}
	})
}
