package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzLoad checks that no configuration makes the loader panic or print what
// came from the environment or a file.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(member(a, "gateway.hcl")), false)
		f.Add([]byte(member(a, "gateway.hcl.json")), true)
	}
	const fromEnv, fromFile = "hunter2-from-the-environment", "correct-horse-from-a-file"
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token.secret"), []byte(fromFile+"\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src []byte, isJSON bool) {
		name := filepath.Join(dir, "gateway.hcl")
		if isJSON {
			name += ".json"
		}
		must(t, os.WriteFile(name, src, 0o600))
		c, err := Load([]string{name}, func(name string) (string, bool) { return fromEnv, !strings.HasPrefix(name, "NOT") })
		var printed bytes.Buffer
		var mistakes *Mistakes
		if errors.As(err, &mistakes) {
			must(t, mistakes.WriteText(&printed))
			asJSON, err := mistakes.MarshalJSON()
			must(t, err)
			printed.Write(asJSON)
		} else {
			must(t, c.Show(&printed))
			must(t, c.ShowJSON(&printed))
		}
		for _, secret := range []string{fromEnv, fromFile} {
			if bytes.Contains(printed.Bytes(), []byte(secret)) && !bytes.Contains(src, []byte(secret)) {
				t.Errorf("%q was printed:\n%s", secret, printed.Bytes())
			}
		}
	})
}
