package policycmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMapDocs runs the commands of docs/policy-map.md: they print what stands below them.
func TestMapDocs(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/policy-map.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(regulated)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.CopyFS("policies-next", os.DirFS("policies")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("policies-next", "personal-data.cedar")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Replace(string(text), `decimal("100.0")`, `decimal("200.0")`, 1))
	shown := regexp.MustCompile(`(?m)^    \$ mcpagg policy (.*)\n((?:    .*\n|\n)*)`).FindAllStringSubmatch(string(page), -1)
	if len(shown) != 4 {
		t.Fatalf("there are %d commands in it", len(shown))
	}
	for _, s := range shown {
		want := strings.TrimSpace(regexp.MustCompile(`(?m)^    `).ReplaceAllString(s[2], ""))
		code, stdout, stderr := command(words(s[1])...)
		if got := strings.TrimSpace(stdout); code != 0 || got != want || stderr != "" {
			t.Errorf("mcpagg policy %s: exit code %d\n%s%s\nwant\n%s", s[1], code, got, stderr, want)
		}
	}
}

// words are the arguments of a line, of which some are in quotes.
func words(line string) []string {
	var all []string
	for _, w := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1) {
		all = append(all, strings.Trim(w, `"`))
	}
	return all
}
