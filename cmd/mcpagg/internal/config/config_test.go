package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite what the tests expect, and the reference")

// Each file in testdata holds a configuration and what must come of it: its
// mistakes, or what config show prints.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out := run(t, a)
			if isBad := strings.HasPrefix(file, "testdata/mistakes/"); isBad != (out.err != nil) {
				t.Errorf("Load returned %v", out.err)
			}
			compare(t, file, a, out.text)
		})
	}
}

// compare checks the archive's file "want", or writes it with -update.
func compare(t *testing.T, path string, a *txtar.Archive, got string) {
	t.Helper()
	if member(a, "want") == got {
		return
	}
	if !*update {
		t.Errorf("got:\n%s\nwant:\n%s", got, member(a, "want"))
		return
	}
	path = filepath.Join(packageDir, path)
	for i := range a.Files {
		if a.Files[i].Name == "want" {
			a.Files = append(a.Files[:i], a.Files[i+1:]...)
			break
		}
	}
	a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// packageDir is where the tests start.
var packageDir, _ = os.Getwd()

// An outcome is what came of loading an archive.
type outcome struct {
	config *Config
	err    error
	text   string // the mistakes, or what config show prints
}

// run loads the configuration in an archive from a folder of its own. The file
// "args" lists what to load instead of gateway.hcl, the file "env" the
// environment. Nothing in the environment, and no file that ends in .secret, is
// ever printed.
func run(t *testing.T, a *txtar.Archive) outcome {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("PATH", filepath.Join(dir, "bin"))
	write(t, "bin/npx", "#!/bin/sh\n", 0o755)
	env, secrets := map[string]string{}, []string{}
	for _, f := range a.Files {
		write(t, f.Name, string(f.Data), 0o644)
		if strings.HasSuffix(f.Name, ".secret") {
			secrets = append(secrets, strings.TrimSpace(string(f.Data)))
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(member(a, "env")), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			env[name] = value
			secrets = append(secrets, value)
		}
	}
	paths := strings.Fields(member(a, "args"))
	if len(paths) == 0 {
		paths = []string{"gateway.hcl"}
	}
	out := load(t, paths, env)
	for _, secret := range secrets {
		if secret != "" && strings.Contains(out.text, secret) {
			t.Errorf("%q was printed:\n%s", secret, out.text)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out.text = strings.NewReplacer(self, "$SELF", dir, "$DIR").Replace(out.text)
	return out
}

// load loads paths, and checks that the two forms of what it prints agree.
func load(t *testing.T, paths []string, env map[string]string) outcome {
	t.Helper()
	c, err := Load(paths, func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	var text, asJSON bytes.Buffer
	var mistakes *Mistakes
	switch {
	case errors.As(err, &mistakes):
		must(t, mistakes.WriteText(&text))
		must(t, json.NewEncoder(&asJSON).Encode(mistakes))
	case err != nil:
		t.Fatalf("Load returned a %T: %v", err, err)
	default:
		must(t, c.Show(&text))
		must(t, c.ShowJSON(&asJSON))
	}
	for _, value := range env {
		if value != "" && strings.Contains(asJSON.String(), value) {
			t.Errorf("%q was printed:\n%s", value, asJSON.String())
		}
	}
	return outcome{config: c, err: err, text: text.String()}
}

func archive(text string) *txtar.Archive { return txtar.Parse([]byte(text)) }

// member is the text of a file in an archive, "" if it is not there.
func member(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), mode))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Files that would overflow the parser's stack are refused.
func TestDeepFiles(t *testing.T) {
	for _, value := range []string{strings.Repeat("[", 100_000), strings.Repeat("(", 100_000), strings.Repeat("!", 1_000_000), strings.Repeat("- ", 1_000_000)} {
		path := filepath.Join(t.TempDir(), "gateway.hcl")
		if err := os.WriteFile(path, []byte("locals {\n  a = "+value+"\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load([]string{path}, func(string) (string, bool) { return "", false })
		if err == nil || !strings.Contains(err.Error(), "nested more than 500 levels deep") {
			t.Errorf("%.10s…: %v", value, err)
		}
	}
}
