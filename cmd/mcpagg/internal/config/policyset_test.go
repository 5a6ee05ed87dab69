package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// written puts files into a new folder, and returns its gateway.hcl.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "gateway.hcl")
}

func nothing(string) (string, bool) { return "", false }

// needy takes most of what it says from an environment that is not there.
const needy = `
locals {
  host   = env("HOST")
  folder = "policies"
}
server {
  listen = local.host
}
secrets "vault" "v" {
  address = env("VAULT_ADDR")
}
auth "entra" "contoso" {
  tenant_id     = env("TENANT")
  client_secret = file("/nowhere/secret")
}
group "platform" { id = env("PLATFORM") }
group "oncall" { id = "1" }
app "vscode" { client_id = env("VSCODE") }
upstream "github" {
  url   = "https://${local.host}/mcp"
  token = env("GITHUB_TOKEN")
}
upstream "files" { command = [env("COMMAND")] }
audit "file" "main" { path = "audit.jsonl" }
policy {
  dir      = local.folder
  inline   = "permit(principal in Group::\"platform\", action, resource);"
  entities = ["teams.json", "teams.cedarschema"]
  mode     = env("MODE", "observe")
  bind "target" {
    type = "Repo"
    id   = "${input.repo}"
  }
}
`

// TestLoadPoliciesWithoutSecrets reads policies where nothing else can be known.
func TestLoadPoliciesWithoutSecrets(t *testing.T) {
	path := written(t, map[string]string{
		"gateway.hcl": needy, "policies/a.cedar": "permit (;", "teams.cedarschema": "entity Repo;", "teams.json": `[{"uid":{"type":"Repo","id":"x"},"attrs":{},"parents":[]}]`,
	})
	set, err := LoadPolicies([]string{path}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range set.Files {
		names = append(names, f.Name)
		if _, err := os.Stat(set.Paths[f.Name]); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if want := []string{"policies/a.cedar", "gateway.hcl"}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	if s := set.Source; !slices.Equal(s.Upstreams, []string{"github", "files"}) || !slices.Equal(s.Groups, []string{"platform", "oncall"}) ||
		!slices.Equal(s.Apps, []string{"vscode"}) || !slices.Equal(s.Types, []string{"Repo"}) || !slices.Equal(s.Targets, []string{"target"}) {
		t.Errorf("policies can name %+v", s)
	}
	if !maps.Equal(set.Groups, map[string]string{"platform": "", "oncall": "1"}) {
		t.Errorf("groups %v", set.Groups)
	}
	if !set.Options.Observe || len(set.Options.Binds) != 1 || len(set.Options.Facts.Entities) != 1 || set.Options.Digest == "" {
		t.Errorf("options %+v", set.Options)
	}
	if len(set.AuditFiles) != 1 || filepath.Base(set.AuditFiles[0]) != "audit.jsonl" {
		t.Errorf("audit files %q", set.AuditFiles)
	}
}

// TestLoadPoliciesIsTheSame compares what is read with what a gateway decides by.
func TestLoadPoliciesIsTheSame(t *testing.T) {
	c := loadFile(t, "testdata/valid/policy.txtar")
	set, err := LoadPolicies(c.Inputs.paths, func(name string) (string, bool) { return name, true })
	if err != nil {
		t.Fatal(err)
	}
	if set.Options.Digest != c.Policy.Digest || set.Options.CandidateDigest != c.Policy.CandidateDigest || !slices.Equal(set.Places, c.PolicyPlaces) {
		t.Errorf("got %s, %s of %q, want %s, %s of %q", set.Options.Digest, set.Options.CandidateDigest, set.Places,
			c.Policy.Digest, c.Policy.CandidateDigest, c.PolicyPlaces)
	}
}

// TestLoadPoliciesComplains tells what is wrong with the block, but nothing else.
func TestLoadPoliciesComplains(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"syntax", "policy {", "Unclosed configuration block"},
		{"unset folder", "upstream \"a\" { url = env(\"U\") }\npolicy {\n  dir = env(\"DIR\")\n}", "DIR is not set"},
		{"unset local", "locals { d = env(\"DIR\") }\npolicy {\n  dir = local.d\n}", "DIR is not set"},
		{"no folder", "policy {\n  dir = \"gateway.hcl\"\n}", "not a directory"},
		{"no such attribute", "policy {\n  folder = \"none\"\n}", `"folder"`},
		{"no such upstream", "policy {\n  inline = \"permit(principal, action, resource);\"\n  toolhive_upstream = \"x\"\n}", `no upstream "x"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadPolicies([]string{written(t, map[string]string{"gateway.hcl": tt.text})}, nothing)
			var mistakes *Mistakes
			if !errors.As(err, &mistakes) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "U is not set") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestLoadPoliciesOfAnEmptyFolder is for who writes the first one.
func TestLoadPoliciesOfAnEmptyFolder(t *testing.T) {
	for _, files := range []map[string]string{{}, {"policies/readme.md": ""}} {
		files["gateway.hcl"] = "policy {\n  dir = \"policies\"\n}"
		set, err := LoadPolicies([]string{written(t, files)}, nothing)
		if err != nil || len(set.Files) > 0 || !slices.Equal(set.Places, []string{"policies/"}) {
			t.Errorf("got %+v, %v", set, err)
		}
	}
}

func TestLoadPoliciesOfNone(t *testing.T) {
	set, err := LoadPolicies([]string{written(t, map[string]string{"gateway.hcl": `upstream "a" { url = env("U") }`})}, nothing)
	if err != nil || !set.Absent || len(set.Files) > 0 || !slices.Equal(set.Source.Upstreams, []string{"a"}) {
		t.Errorf("got %+v, %v", set, err)
	}
}
