package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestExamples checks that every configuration that we hand out loads, and is
// formatted.
func TestExamples(t *testing.T) {
	root := filepath.Join(packageDir, "../../../..")
	files, err := filepath.Glob(filepath.Join(root, "examples/*/*.hcl"))
	if err != nil || len(files) < 4 {
		t.Fatalf("found only %q: %v", files, err)
	}
	sets, err := filepath.Glob(filepath.Join(root, "examples/policies/*/gateway.hcl"))
	if err != nil || len(sets) < 3 {
		t.Fatalf("found only %q: %v", sets, err)
	}
	files = append(files, sets...)
	files = append(files, filepath.Join(root, "cmd/mcpagg/starter.hcl"))
	bin := t.TempDir()
	for _, program := range []string{"npx", "go"} {
		write(t, filepath.Join(bin, program), "#!/bin/sh\n", 0o755)
	}
	t.Setenv("PATH", bin)
	env := map[string]string{
		"GITHUB_TOKEN": "ghp_0123456789", "WIKI_KEY": "wiki-0123456789",
		"GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_9876543210",
	}
	for _, file := range files {
		name, err := filepath.Rel(root, file)
		must(t, err)
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			if out := load(t, []string{file}, env); out.err != nil {
				t.Error(out.err)
			}
			src, err := os.ReadFile(file)
			must(t, err)
			formatted, err := Format(name, src)
			must(t, err)
			if !bytes.Equal(src, formatted) {
				t.Errorf("not formatted; want\n%s", formatted)
			}
		})
	}
}
