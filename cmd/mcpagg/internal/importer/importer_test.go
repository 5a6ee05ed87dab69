package importer

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

var update = flag.Bool("update", false, "rewrite what the tests expect")

const home = "/home/ada"

// Each file in testdata holds files to import, the texts in them that are secret
// ("secrets"), and what must come of it ("want"): the configuration, the file of
// variables, and what is said.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources, secrets, want := members(a)
			r, err := Import(sources, home)
			got := ""
			if err != nil {
				got = "error: " + err.Error() + "\n"
			} else {
				got = text(r)
				isHidden(t, r, secrets)
				isValid(t, r)
			}
			if got != want {
				compare(t, file, a, got, want)
			}
		})
	}
}

func members(a *txtar.Archive) (sources []Source, secrets []string, want string) {
	for _, f := range a.Files {
		switch f.Name {
		case "secrets":
			secrets = strings.Fields(string(f.Data))
		case "want":
			want = string(f.Data)
		default:
			sources = append(sources, Source{Path: f.Name, Text: f.Data})
		}
	}
	return sources, secrets, want
}

func text(r *Result) string {
	var b strings.Builder
	b.Write(r.HCL)
	b.WriteString("\n# variables\n")
	b.Write(EnvFile(r.Variables))
	for _, v := range r.Variables {
		if v.Value == nil {
			fmt.Fprintf(&b, "%s is not known, optional: %v\n", v.Name, v.Optional)
		}
	}
	b.WriteString("\n# upstreams\n")
	for _, u := range r.Upstreams {
		fmt.Fprintf(&b, "%s from %s, off: %v, notes: %d\n", u.Label, u.From, u.Off, len(u.Notes))
	}
	return b.String()
}

func compare(t *testing.T, path string, a *txtar.Archive, got, want string) {
	t.Helper()
	if !*update {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
		return
	}
	a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
	a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// isHidden checks that no secret is where everybody may see it.
func isHidden(t *testing.T, r *Result, secrets []string) {
	t.Helper()
	public := string(r.HCL)
	for _, v := range []any{r.Variables, r.Upstreams, r.Notes} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		public += string(text)
	}
	for _, secret := range secrets {
		if strings.Contains(public, secret) {
			t.Errorf("%q is in what everybody may see:\n%s", secret, public)
		}
	}
}

// isValid checks that the configuration loads where the programs and folders in
// it are there.
func isValid(t *testing.T, r *Result) {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	for _, name := range []string{"npx", "uvx", "node", "python", "docker", "bash", "sh", "thv"} {
		write(t, filepath.Join(bin, name), "#!/bin/sh\n", 0o755)
	}
	t.Setenv("PATH", bin)
	file := bytes.ReplaceAll(r.HCL, []byte(home), []byte(dir))
	for _, folder := range []string{"work", "server", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "server/run.sh"), "#!/bin/sh\n", 0o755)
	write(t, filepath.Join(dir, "profile.json"), `{"network": {"outbound": {"insecure_allow_all": true}}}`, 0o644)
	write(t, filepath.Join(dir, "docker.sock"), "", 0o600)
	write(t, filepath.Join(dir, ".secrets/key"), "from-a-file\n", 0o600)
	path := filepath.Join(dir, "gateway.hcl")
	write(t, path, string(file), 0o644)
	env := map[string]string{"HOME": dir}
	for _, v := range r.Variables {
		env[v.Name] = dir // where a path or any text will do
		if v.Value != nil {
			env[v.Name] = *v.Value
		}
	}
	env["WIKI_HOST"], env["IMAGE"] = "wiki.contoso.com", "contoso/server"
	on := slices.ContainsFunc(r.Upstreams, func(u Upstream) bool { return !u.Off })
	_, err := config.Load([]string{path}, func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	if err != nil && on {
		t.Errorf("with %q:\n%s\n%v", slices.Sorted(maps.Keys(env)), file, err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// Nothing that somebody else has written takes long or much memory.
func TestLimits(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	for name, text := range map[string]string{
		"servers":   `{"mcpServers":{` + many(maxServers+1, `"a%d":{"command":"a"},`) + `}}`,
		"variables": `{"mcpServers":{"a":{"command":"a","env":{` + many(maxTexts+1, `"A%d_TOKEN":"x",`) + `}}}}`,
		"notes":     `{"mcpServers":{"a":{"command":"docker","args":["run",` + many(maxTexts+1, `"--x%d=1",`) + `,"image"]}}}`,
		"lines":     many(maxVariables+1, "A%d=1\n"),
		"depth":     `{"mcpServers":` + strings.Repeat(`{"a":`, 100_000),
		"size":      strings.Repeat(" ", MaxBytes+1),
		"not UTF-8": "A=\xff",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Import([]Source{{Path: "x", Text: []byte(text)}}, home); err == nil {
				t.Error("no error")
			}
		})
	}
	grows := "A=" + strings.Repeat("x", 1<<19) + "\nB=" + strings.Repeat("${A}", 1<<8) + "\nGITHUB_TOKEN=" + strings.Repeat("${B}", 1<<8)
	r, err := Import([]Source{{Path: "x", Text: []byte(grows)}}, home)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(EnvFile(r.Variables)); n > 4*ownBytes {
		t.Errorf("%d bytes became %d", len(grows), n)
	}
	fields := `{"mcpServers":{"a":{"command":"a",` + many(maxFields, `"f%d":1,`) + `}}}`
	if r, err = Import([]Source{{Path: "x", Text: []byte(fields)}}, home); err != nil || !r.Upstreams[0].Off {
		t.Errorf("a server with many fields: %v, %v", r, err)
	}
}
