package policycmd_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMatrixText(t *testing.T) {
	code, stdout, stderr := surveyed(t, "matrix", "ledger/*", "--as", "analyst", "--as", "analyst at home", "--as", "engineer", "--group", "analysts")
	want := `6 tools for 4 callers
✓ always, a number under the condition below, · never

A  analyst
B  analyst at home, engineer
C  Group analysts

                    A  B  C
ledger
  aggregate-db      ·  ·  ·
  count             ✓  ·  1
  drop-collection   ·  ·  ·
  find              2  ·  3
  list-collections  ✓  ·  1
  update-many       ·  ·  ·

 1  only when the client's address is in 10.0.0.0/8
 2  only when ` + "`database` is \"sales\" and `limit` is at most 100.0" + `
 3  only when ` + "`database` is \"sales\", `limit` is at most 100.0, and the client's" + `
    address is in 10.0.0.0/8
`
	if code != 0 || stdout != want || stderr != "" {
		t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
	}
}

// TestMatrixFits prints no line that is longer than a terminal is wide, and every column
// once.
func TestMatrixFits(t *testing.T) {
	var policies strings.Builder
	for _, g := range strings.Split("abcdefghijklmnopqrstuvwxyz0123456789", "") {
		policies.WriteString(`permit (principal in Group::"` + g + `", action, resource == Tool::"github/get_issue") when { context.input.number == ` + "1" + strings.Repeat("0", int(g[0])%18) + ` };` + "\n")
	}
	written(t, map[string]string{"policies/a.cedar": policies.String(), "catalog.json": catalogText})
	_, stdout, _ := command("matrix")
	for line := range strings.Lines(stdout) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
	for _, want := range []string{"\nA  anybody\n", "2 tools for 37 callers", "  get_issue"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
}

func TestMatrixMarkdown(t *testing.T) {
	written(t, map[string]string{
		"policies/a.cedar": `permit (principal in Group::"@team|x", action, resource) when { context.input has number && context.input.number == 1 };`,
		"catalog.json":     strings.ReplaceAll(catalogText, "delete_repo", "delete|`repo`"),
	})
	code, stdout, _ := command("matrix", "--format", "markdown")
	for _, want := range []string{
		"* **B** `Group @team|x`\n",
		"| | A | B |\n|---|:---:|:---:|\n",
		"| `get_issue` | · | 1 |\n",
		"| `` delete¦`repo` `` |",
		"1. `` only when `number` is 1 ``\n",
	} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, %q is missing in\n%s", code, want, stdout)
		}
	}
}

func TestMatrixCSV(t *testing.T) {
	written(t, map[string]string{
		"policies/a.cedar": `permit (principal in Group::"a", action, resource) when { context.input has number && context.input.number == 1 };
			permit (principal in Role::"r", action, resource);`,
		"catalog.json": strings.ReplaceAll(catalogText, `"original":"delete_repo"`, `"original":"=cmd|' /C calc'!A0"`),
	})
	_, stdout, _ := command("matrix", "--format", "csv")
	lines, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil || len(lines) != 3 {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if got, want := strings.Join(lines[0], ";"), "upstream;name;kind;published;anybody;Group a;Role r"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := strings.Join(lines[2], ";"), "github;get_issue;tool;github_get_issue;never;when context.input.number == 1;always"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if name := lines[1][1]; !strings.HasPrefix(name, "'=") {
		t.Errorf("%q may be taken for a formula", name)
	}
}

func TestMatrixJSON(t *testing.T) {
	_, stdout, _ := surveyed(t, "matrix", "--json")
	var out struct {
		Callers []struct{ Caller string }
		Answers []struct{ Outcome string }
		Objects []struct {
			Object  string
			Answers []int
		}
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || len(out.Callers) != 17 || len(out.Objects) != 15 {
		t.Fatalf("%v\n%s", err, stdout)
	}
	for i, c := range out.Callers {
		if c.Caller != "breaking the glass" {
			continue
		}
		for _, o := range out.Objects {
			if got := out.Answers[o.Answers[i]].Outcome; got != "always" {
				t.Errorf("%s: %s", o.Object, got)
			}
		}
	}
}

func TestMatrixPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "matrix.html")
	code, stdout, stderr := surveyed(t, "matrix", "-o", path)
	page, err := os.ReadFile(path)
	if code != 0 || stdout+stderr != "" || err != nil || !strings.HasPrefix(string(page), "<!doctype html>") {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	for _, want := range []string{`"counted":"15 tools of 3 upstreams, 17 callers"`, `"at":"policies/personal-data.cedar:`} {
		if !strings.Contains(string(page), want) {
			t.Errorf("%s is missing", want)
		}
	}
	if code, _, stderr := surveyed(t, "matrix", "--format", "pdf"); code != 2 || !strings.Contains(stderr, "not one of text, markdown, csv, html, json") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
