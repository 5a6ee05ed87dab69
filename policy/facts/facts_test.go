package facts_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
)

const schema = `entity Team = { group: Group, size?: Long };
entity Repo in [Team] = { owner: Team };
`

func entity(typ, id, parents, attrs string) string {
	return `{"uid": {"type": "` + typ + `", "id": "` + id + `"}, "parents": [` + parents + `], "attrs": {` + attrs + `}}`
}

const (
	group = `"group": {"__entity": {"type": "Group", "id": "platform"}}`
	owner = `"owner": {"__entity": {"type": "Team", "id": "web"}}`
)

func load(files ...source.File) (*facts.Facts, error) { return facts.Load(files) }

func file(name string, text string) source.File { return source.File{Name: name, Text: []byte(text)} }

func TestLoad(t *testing.T) {
	f, err := load(
		file("teams.json", "["+entity("Team", "web", "", group)+",\n"+
			entity("Repo", "contoso/web", `{"type": "Team", "id": "web"}`, owner)+",\n"+
			entity("Tool", "github/create_issue", "", `"owner": "web"`)+",\n"+
			entity("Group", "oncall", `{"type": "Group", "id": "staff"}`, "")+"]"),
		file("teams.cedarschema", schema))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Entities) != 4 {
		t.Errorf("%d entities, want 4", len(f.Entities))
	}
	if d := cmp.Diff([]string{"Repo", "Team"}, f.Types); d != "" {
		t.Error("types", d)
	}
	if d := cmp.Diff([]string{"oncall", "platform", "staff"}, f.Groups); d != "" {
		t.Error("groups", d)
	}
	if d := cmp.Diff([]string{"owner"}, f.Attributes); d != "" {
		t.Error("attributes", d)
	}
}

func TestMistakes(t *testing.T) {
	for name, tc := range map[string]struct {
		entities, schema, want string
		line                   int
	}{
		"no JSON":            {"[\n{]", "", "not a list of entities in JSON", 2},
		"no list":            {`{"entities": []}`, "", "not a list of entities in JSON", 1},
		"undeclared type":    {"[\n" + entity("Teem", "web", "", "") + "]", schema, "nothing declares the type Teem", 2},
		"wrong attribute":    {"[\n\n" + entity("Team", "web", "", `"group": "platform"`) + "]", schema, `Team::"web"`, 3},
		"missing attribute":  {"[" + entity("Repo", "a/b", "", "") + "]", schema, `Repo::"a/b"`, 1},
		"extra attribute":    {"[" + entity("Team", "web", "", group+`, "sise": 3`) + "]", schema, `Team::"web"`, 1},
		"wrong parent":       {"[" + entity("Repo", "a/b", `{"type": "Group", "id": "x"}`, owner) + "]", schema, `Repo::"a/b"`, 1},
		"twice":              {"[" + entity("Team", "web", "", group) + ",\n" + entity("Team", "web", "", group) + "]", schema, "is there twice", 1},
		"the gateway's type": {"[]", "entity User;", "User is declared by the gateway", 1},
		"broken schema":      {"[]", "entity Team = {\n", "the schema", 2},
		"dangling type":      {"[]", "entity Repo in [Teams];", "the schemas together", 1},
		"no entity":          {`[{"uid": 7}]`, schema, "entity 1", 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(file("teams.json", tc.entities), file("teams.cedarschema", tc.schema))
			var mistakes source.Mistakes
			if !errors.As(err, &mistakes) || len(mistakes) == 0 {
				t.Fatalf("error %v", err)
			}
			if m := mistakes[0]; !strings.Contains(m.Text, tc.want) || m.Line != tc.line {
				t.Errorf("line %d: %s, want line %d: %s", m.Line, m.Text, tc.line, tc.want)
			}
		})
	}
}

func TestOtherFile(t *testing.T) {
	if _, err := load(file("teams.yaml", "")); err == nil {
		t.Error("a file of another kind is taken")
	}
}

var repo = facts.Bind{Name: "target", Type: "Repo", ID: []facts.Part{
	{Argument: []string{"owner"}, Case: "lower", Trim: true}, {Literal: "/"}, {Argument: []string{"repo", "name"}, Case: "lower"},
}}

func input(owner, name types.Value) types.Record {
	m := types.RecordMap{}
	if owner != nil {
		m["owner"] = owner
	}
	if name != nil {
		m["repo"] = types.NewRecord(types.RecordMap{"name": name})
	}
	return types.NewRecord(m)
}

func TestBind(t *testing.T) {
	for name, tc := range map[string]struct {
		input types.Record
		want  string // "" fails
	}{
		"texts":           {input(types.String(" Contoso"), types.String("Web")), "contoso/web"},
		"an integer":      {input(types.Long(7), types.String("web")), "7/web"},
		"missing":         {input(nil, types.String("web")), ""},
		"missing below":   {input(types.String("contoso"), nil), ""},
		"neither":         {input(types.True, types.String("web")), ""},
		"two in one":      {input(types.String("contoso/web"), types.String("x")), ""},
		"the other way":   {input(types.String("contoso"), types.String("web/x")), ""},
		"an empty record": {types.NewRecord(nil), ""},
		"other letters":   {input(types.String("CAFÉ"), types.String("Größe")), "café/größe"},
		"other blanks":    {input(types.String("\u00a0contoso\t"), types.String("web")), "\u00a0contoso/web"},
		"the Kelvin sign": {input(types.String("\u212aontoso"), types.String("web")), ""},
		"a dotted I":      {input(types.String("fabr\u0130kam"), types.String("web")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			uid, err := repo.UID(tc.input)
			if tc.want == "" {
				if err == nil {
					t.Errorf("made %s", uid)
				}
				return
			}
			if want := types.NewEntityUID("Repo", types.String(tc.want)); err != nil || uid != want {
				t.Errorf("%s, %v, want %s", uid, err, want)
			}
		})
	}
}

func TestBindMatches(t *testing.T) {
	has := func(names ...string) func([]string) bool {
		return func(path []string) bool {
			return strings.Contains(" "+strings.Join(names, " ")+" ", " "+strings.Join(path, ".")+" ")
		}
	}
	if !repo.Matches("github/create_issue", has("owner", "repo.name")) || repo.Matches("github/me", has("owner")) {
		t.Error("a bind is for the tools that declare all its arguments")
	}
	named := facts.Bind{Tools: []string{"github/*_issue", "git*hub/x"}}
	for tool, want := range map[string]bool{"github/create_issue": true, "github/issue": false, "git-lab-hub/x": true, "jira/create_issue": false} {
		if named.Matches(tool, has()) != want {
			t.Errorf("%s: %v", tool, !want)
		}
	}
}

func TestBindCheck(t *testing.T) {
	touching := facts.Bind{Name: "target", ID: []facts.Part{{Argument: []string{"a"}}, {Argument: []string{"b"}}}}
	if repo.Check() != nil || touching.Check() == nil {
		t.Error("two arguments must not touch")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("["+entity("Team", "web", "", group)+"]", schema)
	f.Add(`[{"uid":{"type":"A::B","id":"\u0000"},"attrs":{"a":[1,{"b":{"__extn":{"fn":"ip","arg":"::1"}}}]},"parents":[]}]`, "namespace A { entity B in [C]; entity C enum [\"x\"]; }")
	f.Fuzz(func(t *testing.T, entities, schema string) {
		got, err := load(file("a.json", entities), file("a.cedarschema", schema))
		if err == nil && got == nil {
			t.Error("neither facts nor an error")
		}
		if mistakes := source.Mistakes(nil); err != nil && (!errors.As(err, &mistakes) || mistakes[0].Line < 1) {
			t.Errorf("error without a place: %v", err)
		}
	})
}
