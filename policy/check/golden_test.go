package check_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/check"
)

var update = flag.Bool("update", false, "rewrite what is found of the policies in testdata/faulty")

// TestFaulty has each of many faulty policies give exactly the findings that stand beside
// it, over the tools of real servers.
func TestFaulty(t *testing.T) {
	paths, err := filepath.Glob("testdata/faulty/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d files, error %v", len(paths), err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		made := &txtar.Archive{Comment: archive.Comment}
		want := map[string]string{}
		for _, f := range archive.Files {
			want[f.Name] = string(f.Data)
		}
		for _, f := range archive.Files {
			name, isPolicy := strings.CutSuffix(f.Name, ".cedar")
			if !isPolicy {
				continue
			}
			got := findings(t, string(f.Data))
			if d := cmp.Diff(want[name+".txt"], got); d != "" && !*update {
				t.Errorf("%s: %s: %s", path, name, d)
			}
			made.Files = append(made.Files, f, txtar.File{Name: name + ".txt", Data: []byte(got)})
		}
		if *update {
			if err := os.WriteFile(path, txtar.Format(made), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// findings are those of policies, as they are told.
func findings(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := check.WriteText(&b, check.Check(realWorld(t, text)), nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSound has policies that do what they say give nothing but information, together and
// each by itself.
func TestSound(t *testing.T) {
	text, err := os.ReadFile("testdata/sound/policies.cedar")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "\n\n")
	if len(parts) < 60 {
		t.Fatalf("%d policies", len(parts))
	}
	for _, part := range append(parts, string(text)) {
		for _, f := range check.Check(realWorld(t, part)) {
			if f.Severity != check.Info {
				t.Errorf("%s[%s]: %s\n%s", f.Severity, f.Code, f, f.Source)
			}
		}
	}
}

// TestWithoutPrompts has policies about prompts and resources not be wrong where there are
// none, or where they are not known.
func TestWithoutPrompts(t *testing.T) {
	in := realWorld(t, `@id("p") permit (principal in Group::"data", action, resource) when { action == Action::"get_prompt" && context.input has topic };
@id("r") permit (principal in Group::"data", action, resource) when { resource is Resource && resource.uri like "file:*" };
@id("x") forbid (principal, action, resource == Prompt::"memory/x");`)
	in.Objects = slices.DeleteFunc(in.Objects, func(o *policy.Object) bool { return o.Tool() == nil })
	for _, partial := range []bool{false, true} {
		in.Partial = partial
		for _, f := range check.Check(in) {
			if f.Severity != check.Info && (partial || f.Code != "unknown-prompt") {
				t.Errorf("with only tools, partial %v: %s[%s]: %s", partial, f.Severity, f.Code, f)
			}
		}
	}
}

// TestEndsEarly has a check end before it looks at anything.
func TestEndsEarly(t *testing.T) {
	in := realWorld(t, `permit (principal, action, resource == Tool::"memory/x");`)
	done := make(chan struct{})
	close(done)
	in.Done = done
	if all := check.Check(in); len(all) > 0 {
		t.Errorf("found %v", all)
	}
}

// TestDocs has docs/policies.md say what every finding of the corpus is.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("testdata/faulty/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range codePattern.FindAllSubmatch(text, -1) {
			if !bytes.Contains(page, append(append([]byte("`"), found[1]...), '`')) {
				t.Errorf("docs/policies.md does not say what %s is", found[1])
			}
		}
	}
}

var codePattern = regexp.MustCompile(`(?m)^(?:error|warning|info)\[([a-z-]+)\]`)
