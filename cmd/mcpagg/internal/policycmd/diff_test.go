package policycmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

const readers = `@id("readers") permit (principal in Group::"readers", action, resource == Tool::"github/get_issue");`

// git runs git in the working directory, for somebody.
func git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

// committed is a repository with policies, of which one was added after the first
// commit and one is not committed yet.
func committed(t *testing.T) {
	t.Helper()
	written(t, map[string]string{"policies/a.cedar": readers, "catalog.json": catalogText})
	git(t, "init", "-q", "-b", "main")
	git(t, "add", "-A")
	git(t, "commit", "-qm", "first")
	write(t, "policies/b.cedar", `@id("admins") permit (principal in Group::"admins", action, resource);`)
	git(t, "add", "-A")
	git(t, "commit", "-qm", "second")
	write(t, "policies/a.cedar", readers+"\n"+`@id("limits") forbid (principal in Group::"readers", action, resource) when { context.input has number && context.input.number == 13 };`)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const enumeration = `
2 of 6 pairs of a caller and a tool change. Asked about 3 callers (anybody,
Group admins, Group readers) and 2 tools, one by one: an enumeration, and no
proof. Somebody else, such as one who is in two groups at once, may be affected
otherwise.
`

func TestDiffRevisions(t *testing.T) {
	committed(t)
	code, stdout, stderr := command("diff", "HEAD~1", "main")
	want := `HEAD~1 -> main

newly allowed

  github/delete_repo, github/get_issue
    for Group admins
    now always
    by  admins (main:policies/b.cedar:1)
` + enumeration
	if code != 0 || stdout != want || stderr != "" {
		t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
	}
}

func TestDiffWithoutNames(t *testing.T) {
	committed(t)
	code, stdout, stderr := command("diff", "--exit-code")
	want := `HEAD -> policies

condition changed, allows less

  github/get_issue
    for Group readers
    was always
    now always, unless ` + "`number` is 13" + `
    by  readers (policies/a.cedar:1), limits (policies/a.cedar:2)
`
	if code != 1 || !strings.HasPrefix(stdout, want) || stderr != "exit code 1" {
		t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
	}
	git(t, "commit", "-qam", "third")
	if code, stdout, _ := command("diff", "--exit-code"); code != 0 || !strings.Contains(stdout, "Nothing changes.") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

// TestDiffNamesOneSide compares a revision with what there is, and what there is with a
// folder.
func TestDiffNamesOneSide(t *testing.T) {
	committed(t)
	if _, stdout, _ := command("diff", "HEAD~1"); !strings.HasPrefix(stdout, "HEAD~1 -> policies\n\nnewly allowed") {
		t.Error(stdout)
	}
	if err := os.Mkdir("next", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "next/a.cedar", `permit (principal, action, resource);`)
	if _, stdout, _ := command("diff", "next"); !strings.HasPrefix(stdout, "policies -> next\n\nnewly allowed") {
		t.Error(stdout)
	}
	if _, stdout, _ := command("diff", "main:policies/a.cedar", "next/a.cedar"); !strings.HasPrefix(stdout, "main:policies/a.cedar -> next/a.cedar\n\nnewly allowed") {
		t.Error(stdout)
	}
}

// TestDiffBelow runs in a folder of the repository.
func TestDiffBelow(t *testing.T) {
	written(t, map[string]string{"team/policies/a.cedar": readers, "team/catalog.json": catalogText})
	git(t, "init", "-q")
	git(t, "add", "-A")
	git(t, "commit", "-qm", "first")
	t.Chdir("team")
	for _, old := range []string{"HEAD", "HEAD:team/policies", "HEAD:./policies"} {
		if code, stdout, stderr := command("diff", old, "policies"); code != 0 || !strings.Contains(stdout, "Nothing changes.") {
			t.Errorf("%s: exit code %d\n%s%s", old, code, stdout, stderr)
		}
	}
}

func TestDiffFoldersAlone(t *testing.T) {
	written(t, map[string]string{
		"old/a.cedar": readers, "new/a.cedar": `permit (principal in Group::"readers", action, resource);`, "tools.json": catalogText,
		"new/personas.hcl": `persona "both" { groups = ["readers", "writers"] }`,
	})
	code, stdout, stderr := command("diff", "old", "new", "--catalog", "tools.json")
	if code != 0 || !strings.Contains(stdout, "newly allowed\n\n  github/delete_repo\n    for both, Group readers\n") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestDiffJSON(t *testing.T) {
	committed(t)
	_, stdout, _ := command("diff", "HEAD~1", "HEAD", "--json")
	var out struct {
		Before, After string
		Pairs         map[string]int
		Changes       []struct {
			Kind             string
			Callers, Objects []string
			After            struct {
				Outcome string
				Permits []struct{ File string }
			}
		}
		Notes []string
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || len(out.Changes) != 1 || len(out.Notes) != 1 {
		t.Fatalf("%v\n%s", err, stdout)
	}
	c := out.Changes[0]
	if c.Kind != "allowed" || out.Pairs["allowed"] != 2 || c.Objects[0] != `Tool::"github/delete_repo"` || c.Callers[0] != "Group admins" || c.After.Permits[0].File != "HEAD:policies/b.cedar" {
		t.Errorf("%+v", out)
	}
}

func TestDiffMarkdown(t *testing.T) {
	committed(t)
	write(t, "policies/a.cedar", "@id(\"`</details>@somebody\") "+`permit (principal in Group::"@team](http://example.com)", action, resource);`)
	code, stdout, stderr := command("diff", "HEAD", "--format", "markdown")
	for _, want := range []string{
		"### What the policies change\n\n`HEAD` → `policies`: 3 of 8 pairs of a caller and a tool change.\n",
		"| newly allowed | 2 |\n| newly denied | 1 |\n",
		"* `github/delete_repo`, `github/get_issue`\n  for `Group @team](http://example.com)`: `always`\n  <details><summary>Conditions and policies</summary>\n",
		"Now: `true` by `` `</details>@somebody (policies/a.cedar:1) ``\n\n  </details>\n",
		"<summary>This is an enumeration of 4 callers and 2 tools, and no proof</summary>",
	} {
		if code != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, %q is missing in\n%s%s", code, want, stdout, stderr)
		}
	}
}

// TestDiffMarkdownIsBounded makes a comment of more changes than there is room for.
func TestDiffMarkdownIsBounded(t *testing.T) {
	var policies strings.Builder
	for i := range 400 {
		fmt.Fprintf(&policies, "permit (principal in Group::\"g%d\", action, resource) when { context.input has number && context.input.number == %d };\n", i, i)
	}
	written(t, map[string]string{"old/a.cedar": readers, "new/a.cedar": policies.String(), "catalog.json": catalogText})
	_, stdout, _ := command("diff", "old", "new", "--format", "markdown")
	if n := utf8.RuneCountInString(stdout); n > 60_000 || n < 50_000 || !strings.Contains(stdout, " more**, for which there is no room here") || !strings.HasSuffix(stdout, "</details>\n") {
		t.Errorf("%d characters, ending in %s", n, stdout[max(len(stdout)-300, 0):])
	}
	if open, closed := strings.Count(stdout, "<details>"), strings.Count(stdout, "</details>"); open != closed {
		t.Errorf("%d folds are opened, and %d closed", open, closed)
	}
}

func TestDiffMistakes(t *testing.T) {
	committed(t)
	write(t, "bad.cedar", "permit (principal, action, resource) when { nobody };")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"diff", "--", "-x", "HEAD"}, 2, "do not begin with -"},
		{[]string{"diff", "--", "HEAD", "--output=x"}, 2, "do not begin with -"},
		{[]string{"diff", ":policies"}, 2, "names no revision"},
		{[]string{"diff", "no-such"}, 2, `"no-such" is neither a file, a folder nor a revision`},
		{[]string{"diff", "HEAD:no-such"}, 2, `there is no "no-such" in HEAD`},
		{[]string{"diff", "HEAD\nx"}, 2, "is no revision"},
		{[]string{"diff", "bad.cedar"}, 3, "bad.cedar:1:"},
		{[]string{"diff", "--format", "html"}, 2, "not one of text, markdown, json"},
		{[]string{"diff", "--as", "nobody"}, 2, `there is no caller "nobody"`},
	} {
		code, stdout, stderr := command(c.args...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit code %d, %s%s", c.args, code, stdout, stderr)
		}
	}
	if _, err := os.Stat("x"); err == nil {
		t.Error("git wrote a file")
	}
}

func TestDiffOutsideRepositories(t *testing.T) {
	written(t, map[string]string{"policies/a.cedar": readers, "catalog.json": catalogText})
	t.Setenv("GIT_CEILING_DIRECTORIES", os.TempDir())
	code, _, stderr := command("diff", "HEAD~1")
	if code != 2 || !strings.Contains(stderr, `"HEAD~1" is neither a file nor a folder, and it can be no revision, since git knows no repository for policies`) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestDiffLinks refuses what would be left out of a comparison without a word.
func TestDiffLinks(t *testing.T) {
	committed(t)
	if err := os.Symlink("b.cedar", "policies/c.cedar"); err != nil {
		t.Fatal(err)
	}
	git(t, "add", "-A")
	git(t, "commit", "-qm", "link")
	if code, _, stderr := command("diff", "HEAD"); code != 2 || !strings.Contains(stderr, "policies/c.cedar is a link") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
