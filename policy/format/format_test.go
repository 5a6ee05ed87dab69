package format_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mcpagg/mcpagg/policy/format"
	"github.com/mcpagg/mcpagg/policy/policytest"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// TestLayout lays out the first file of each archive, which gives the second.
func TestLayout(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d archives, error %v", len(names), err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := format.Source(name, archive.Files[0].Data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(string(archive.Files[1].Data), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		checkSource(t, archive.Files[0].Data)
	}
}

// checkSource wants a layout that stays as it is and that lost nothing.
func checkSource(t *testing.T, text []byte) {
	t.Helper()
	once, err := format.Source("F", text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	twice, err := format.Source("F", once)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("%q: laid out again, error %v (-once +twice):\n%s", text, err, cmp.Diff(string(once), string(twice)))
	}
	if want, got := comments(text), comments(once); !slices.Equal(want, got) {
		t.Fatalf("%q: the comments differ (-want +got):\n%s", text, cmp.Diff(want, got))
	}
	if want, got := meaning(t, text), meaning(t, once); !slices.Equal(want, got) {
		t.Fatalf("%q: the policies differ (-want +got):\n%s", text, cmp.Diff(want, got))
	}
	if len(once) > 0 && (!bytes.HasSuffix(once, []byte("\n")) || bytes.HasSuffix(once, []byte("\n\n")) || once[0] == '\n') {
		t.Fatalf("%q: it begins or ends with an empty line, or does not end its last one:\n%q", text, once)
	}
}

func comments(text []byte) []string {
	var all []string
	for _, token := range syntax.Tokens(text) {
		if token.Kind == syntax.Remark {
			all = append(all, strings.TrimSpace(string(text[token.Start:token.End])))
		}
	}
	return all
}

// meaning is what cedar-go reads.
func meaning(t *testing.T, text []byte) []string {
	t.Helper()
	list, err := cedar.NewPolicyListFromBytes("F", bytes.TrimPrefix(text, []byte("\uFEFF")))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	var all []string
	for _, p := range list {
		all = append(all, string(p.MarshalCedar()))
	}
	return all
}

func TestPolicyFilesOfTheProject(t *testing.T) {
	count := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".cedar" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		count++
		checkSource(t, text)
		return nil
	})
	if err != nil || count < 5 {
		t.Errorf("%d files, error %v, want at least 5", count, err)
	}
}

// TestGeneratedPolicies lays out policies of all forms, with comments everywhere.
func TestGeneratedPolicies(t *testing.T) {
	g := policytest.NewGenerator(3)
	remarks, long := 0, 0
	for i := range 10_000 {
		text := g.Text()
		if i%4 == 0 {
			text = g.Policies(i%8 == 0)
		}
		text = g.Scattered(text, i%2 == 0)
		checkSource(t, []byte(text))
		remarks += len(comments([]byte(text)))
		if len(text) > 500 {
			long++
		}
	}
	if remarks < 10_000 || long < 1000 {
		t.Errorf("%d comments and %d long policies, which says little", remarks, long)
	}
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"permit(principal, action, resource)":              `a.cedar:1:36: the policy ends where ";" belongs`,
		"permit(principal, action, resource); // \x00":     `a.cedar:1:38: invalid character NUL`,
		"// é\npermit(principal, action, resource, when);": `a.cedar:2:37: "when" stands where ")" belongs`,
	} {
		got, err := format.Source("a.cedar", []byte(text))
		if err == nil || err.Error() != want || got != nil {
			t.Errorf("%q gives %q, error %v, want %s", text, got, err, want)
		}
	}
}

// TestDeepPoliciesAreLaidOut wants time and text in proportion.
func TestDeepPoliciesAreLaidOut(t *testing.T) {
	when := "permit(principal, action, resource) when { "
	for _, inner := range []string{
		strings.Repeat("(", 98) + "1" + strings.Repeat(")", 98), strings.Repeat("[", 98) + strings.Repeat("]", 98), strings.Repeat("!", 9000) + "1",
		strings.Repeat("if 1 then 1 else ", 9000) + "1", strings.Repeat("a::\"b\" && ", 4000) + "1", strings.Repeat("1 + ", 9000) + "1",
		"context" + strings.Repeat(`["a"]`, 9000), "[" + strings.Repeat("1, ", 10_000) + "]", strings.Repeat("{a: ", 98) + "1" + strings.Repeat("}", 98),
	} {
		text := []byte(when + inner + " };")
		checkSource(t, text)
		if got, _ := format.Source("F", text); len(got) > 100*len(text) {
			t.Errorf("%.80s… of %d bytes becomes %d bytes", text, len(text), len(got))
		}
	}
}

func FuzzSource(f *testing.F) {
	f.Add("// a\npermit(principal, action, resource) // b\nwhen /* c */ { true };\n// d")
	g := policytest.NewGenerator(4)
	for range 20 {
		f.Add(g.Scattered(g.Text(), true))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := syntax.Parse("F", []byte(text)); err == nil {
			checkSource(t, []byte(text))
		}
	})
}
