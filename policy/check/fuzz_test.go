package check_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/policy/source"
)

// FuzzCheck wants findings that have a place in the text, and can be printed.
func FuzzCheck(f *testing.F) {
	paths, err := filepath.Glob("testdata/faulty/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".cedar") {
				f.Add(string(file.Data))
			}
		}
	}
	sound, err := os.ReadFile("testdata/sound/policies.cedar")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(sound))
	in := realWorld(f, "")
	f.Fuzz(func(t *testing.T, text string) {
		in.Files = []source.File{{Name: "F", Text: []byte(text)}}
		all := check.Check(in)
		lines := strings.Split(text, "\n")
		for _, found := range all {
			if found.Code == "" || found.Text == "" || !utf8.ValidString(found.Text+found.Suggestion) || len(found.Text) > 4000 {
				t.Fatalf("%+v", found)
			}
			if found.Line < 0 || found.Line > len(lines) || found.Line > 0 && (found.Column < 1 || found.EndColumn <= found.Column) {
				t.Fatalf("it is at %d:%d-%d of %d lines: %s", found.Line, found.Column, found.EndColumn, len(lines), found)
			}
		}
		var b bytes.Buffer
		if err := check.WriteText(&b, all, nil); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(b.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Fatalf("what is written commands a terminal: %q", b.String())
		}
	})
}
