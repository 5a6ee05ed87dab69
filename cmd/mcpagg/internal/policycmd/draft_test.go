package policycmd

import (
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/schema"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// catalogues is a workspace with real tools and no policies.
func catalogues(t *testing.T) *workspace.Workspace {
	t.Helper()
	f, err := os.Open("../../../../policy/typed/testdata/schemas.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]json.RawMessage
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	var c policy.Catalog
	for _, server := range slices.Sorted(maps.Keys(all)) {
		for _, name := range slices.Sorted(maps.Keys(all[server])) {
			c.Tools = append(c.Tools, policy.Tool{Upstream: server, Original: name, Published: server + "_" + name, InputSchema: all[server][name]})
		}
	}
	t.Chdir(t.TempDir())
	file, err := os.Create("catalog.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.WriteCatalog(file, c); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := (&workspace.Flags{}).Load(t.Context(), workspace.Options{WithoutPolicies: true})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestDraftsOfRealTools writes a policy for each argument of each real tool. Each
// validates as strictly as Cedar can, and decides about the made-up calls as it should.
func TestDraftsOfRealTools(t *testing.T) {
	w := catalogues(t)
	drafts, unmade := 0, 0
	for _, o := range w.Objects {
		s, err := ast.ReadSchema("", schema.Of(schema.Input{Objects: []*policy.Object{o}}))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range arguments([]*policy.Object{o}) {
			for _, op := range operators(f.Type) {
				d := &draft{group: "g", upstream: o.Upstream(), tools: []*policy.Object{o}, id: "x", forbid: drafts%2 == 0}
				c, err := conditionOn(f, op, valueFor(f.Type))
				if err != nil {
					t.Fatal(err)
				}
				d.when = []condition{c}
				drafts++
				unmade += tryDraft(t, w, s, d)
			}
		}
	}
	t.Logf("%d drafts, of which %d without a made-up call", drafts, unmade)
	if drafts < 2500 || unmade*20 > drafts {
		t.Errorf("%d drafts, of which %d have no call", drafts, unmade)
	}
}

// valueFor is a value of the type as people write it.
func valueFor(t *typed.Type) string {
	switch {
	case t.Kind == typed.Set:
		return valueFor(t.Elem)
	case t.Kind == typed.Long:
		return "3"
	case t.Kind == typed.Bool:
		return "true"
	case t.Enum != nil:
		return strings.Split(t.Enum[0], ",")[0]
	}
	return `a "quoted" ${text}*`
}

// tryDraft checks one, and returns 1 if there is no call to try it with.
func tryDraft(t *testing.T, w *workspace.Workspace, s *ast.Schema, d *draft) int {
	t.Helper()
	text := "// " + d.sentence() + "\n" + d.text()
	policies, _, err := source.Parse([]source.File{{Name: "x.cedar", Text: []byte(text)}}, source.Options{})
	if err != nil || len(policies) != 1 || policies[0].ID != "x" {
		t.Errorf("%v\n%s", err, text)
		return 0
	}
	if err := ast.CheckPolicy(s, policies[0].AST); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	engine, err := policy.New(policy.Options{Policies: policies})
	if err != nil {
		t.Fatal(err)
	}
	test := &draftTest{w: w, d: d, engine: engine}
	for _, call := range test.calls(true) {
		expect, by := test.decide(call, "g")
		if want := map[bool]string{true: "deny", false: "allow"}[d.forbid]; expect != want || len(by) != 1 {
			t.Errorf("with %v it says %s by %s, want %s\n%s", call.input, expect, by, want, text)
		}
	}
	for _, call := range test.calls(false) {
		if expect, by := test.decide(call, "g"); expect != "deny" || len(by) != 0 {
			t.Errorf("with %v it says %s by %s\n%s", call.input, expect, by, text)
		}
	}
	if test.unmade != nil {
		return 1
	}
	return 0
}

// TestWriteNewWritesAllOrNothing leaves what is there.
func TestWriteNewWritesAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "b")
	if err := os.WriteFile(there, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeNew([]newFile{{filepath.Join(dir, "a"), []byte("a")}, {there, []byte("b")}}); err == nil {
		t.Error("a file was overwritten")
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("one of the files was written")
	}
	if text, _ := os.ReadFile(there); string(text) != "mine" {
		t.Errorf("it is %q now", text)
	}
	// What goes wrong only when the second is written takes the first back.
	if err := writeNew([]newFile{{filepath.Join(dir, "c"), nil}, {filepath.Join(there, "d"), nil}}); err == nil {
		t.Error("a file is no folder")
	}
	if _, err := os.Stat(filepath.Join(dir, "c")); err == nil {
		t.Error("half of it was left")
	}
}
