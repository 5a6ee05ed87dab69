package policycmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestExamples runs the tests of the sets of policies that we hand out. They look at
// everything, and their READMEs show what is printed.
func TestExamples(t *testing.T) {
	sets, err := filepath.Glob("../../../../examples/policies/*/gateway.hcl")
	if err != nil || len(sets) != 3 {
		t.Fatalf("found %q, %v", sets, err)
	}
	took := regexp.MustCompile(` in \d+\.\d\d s`)
	for _, path := range sets {
		dir, err := filepath.Abs(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Chdir(dir)
			code, stdout, stderr := command("test", "-c", "gateway.hcl", "--catalog", "catalog.json", "--coverage")
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
			}
			if n := strings.Count(stdout, "\n"); n != 3 {
				t.Errorf("some of it is not covered\n%s", stdout)
			}
			readme, err := os.ReadFile("README.md")
			if err != nil {
				t.Fatal(err)
			}
			shown := took.ReplaceAllString(strings.ReplaceAll(string(readme), "\n    ", "\n"), "")
			if want := took.ReplaceAllString(stdout, ""); !strings.Contains(shown, want) {
				t.Errorf("README.md does not show\n%s", want)
			}
		})
	}
}

// TestDocs runs the test that docs/policy-tests.md begins with, beside the policies of
// a small team.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/policy-tests.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindSubmatch(page)
	if blocks == nil {
		t.Fatal("there is no test in it")
	}
	set, err := filepath.Abs("../../../../examples/policies/small-team")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docs_test.hcl"), blocks[1], 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(set)
	code, stdout, stderr := command("test", "-c", "gateway.hcl", "--catalog", "catalog.json", dir)
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "ok    1 test, 3 cases in ") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}
