package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

const testedConfig = `
upstream "github" {
  url = "http://127.0.0.1:1/mcp"
}

policy {
  dir           = "policies"
  require_tests = true
  catalog       = "catalog.json"
}
`

const passingPolicyTest = `persona "somebody" {}
test "everybody reads" {
  as = "somebody"
  call "github/get_issue" { expect = "allow" }
}
`

// tested makes a configuration whose policies have to pass a test.
func tested(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"gateway.hcl":         testedConfig,
		"policies/a.cedar":    `@id("reads") permit (principal, action, resource == Tool::"github/get_issue");`,
		"policies/a_test.hcl": passingPolicyTest,
		"catalog.json":        `{"version":1,"tools":[{"upstream":"github","original":"get_issue","published":"github_get_issue","input_schema":{"type":"object"}}]}`,
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if text == "" {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "gateway.hcl")
}

func TestRequireTests(t *testing.T) {
	failing := strings.ReplaceAll(passingPolicyTest, "allow", "deny")
	for name, c := range map[string]struct {
		files map[string]string
		want  string // in what is printed; "" if it starts
	}{
		"passing":          {nil, ""},
		"failing":          {map[string]string{"policies/a_test.hcl": failing}, `1 of 1 test of the policies fail: "everybody reads" (policies/a_test.hcl:2); to see why: mcpagg policy test`},
		"a failing one":    {map[string]string{"policies/sub/b_test.hcl": strings.ReplaceAll(failing, "everybody", "nobody")}, `1 of 2 tests of the policies fail: "nobody reads" (policies/sub/b_test.hcl:2)`},
		"misspelt":         {map[string]string{"policies/a_test.hcl": "tset \"a\" {}"}, `policies/a_test.hcl:1:1: such a file has no block "tset"`},
		"none":             {map[string]string{"policies/a_test.hcl": ""}, "there is no test in policies/"},
		"other tools":      {map[string]string{"catalog.json": `{"version":1,"tools":[]}`}, `1 of 1 test of the policies fail`},
		"no catalog":       {map[string]string{"gateway.hcl": strings.Replace(testedConfig, `  catalog       = "catalog.json"`, "", 1)}, "Missing catalog"},
		"no dir":           {map[string]string{"gateway.hcl": strings.Replace(testedConfig, `dir           = "policies"`, `inline = "permit(principal, action, resource);"`, 1)}, "Missing dir"},
		"not there":        {map[string]string{"catalog.json": ""}, "policy.catalog: catalog.json: no such file or directory; write it with: mcpagg catalog pull"},
		"no catalog in it": {map[string]string{"catalog.json": "{}"}, "policy.require_tests: policy.catalog: catalog.json: "},
		"not required":     {map[string]string{"gateway.hcl": strings.Replace(testedConfig, "= true", "= false", 1), "policies/a_test.hcl": failing}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := tested(t, c.files)
			var out bytes.Buffer
			code := run([]string{"validate", "-c", path}, &out, &out)
			if want := map[bool]int{true: 0, false: exitUsage}[c.want == ""]; code != want || !strings.Contains(out.String(), c.want) {
				t.Errorf("exit code %d, want %d and %q in\n%s", code, want, c.want, out.String())
			}
		})
	}
}

// TestReloadRequiresTests keeps the policies that passed their tests, says which fail,
// and takes others once they pass.
func TestReloadRequiresTests(t *testing.T) {
	path := tested(t, nil)
	r, served := reloaderOf(t, path)
	policies := filepath.Join(filepath.Dir(path), "policies/a.cedar")
	if err := os.WriteFile(policies, []byte(`@id("none") forbid (principal, action, resource);`), 0o644); err != nil {
		t.Fatal(err)
	}
	if result := r.attempt(t.Context()); result.Failure == nil || !strings.Contains(result.Failure.Error, `fail: "everybody reads"`) {
		t.Errorf("reloading: %+v, want a failure that names the test", result)
	}
	if got := r.served().Policy.Policies[0].ID; got != "reads" || len(*served) != 0 {
		t.Errorf("policies %s are served, want reads", got)
	}
	tests := filepath.Join(filepath.Dir(path), "policies/a_test.hcl")
	before, _ := r.watched()
	if err := os.WriteFile(tests, []byte(strings.ReplaceAll(passingPolicyTest, "allow", "deny")), 0o644); err != nil {
		t.Fatal(err)
	}
	if before.Now().Equal(before) {
		t.Error("a change of a test is not noticed")
	}
	if result := r.attempt(t.Context()); !result.Reloaded || r.served().Policy.Policies[0].ID != "none" {
		t.Errorf("reloading: %+v", result)
	}
}

// reloaderOf reloads a configuration without a gateway, and notes what it would serve.
func reloaderOf(t *testing.T, path string) (*reloader, *[]*config.Config) {
	t.Helper()
	cfg, err := loadConfig([]string{path}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	var served []*config.Config
	swap := func(_ context.Context, c *config.Config) (aggregator.Changes, error) {
		served = append(served, c)
		return aggregator.Changes{}, nil
	}
	return newReloader(serveFlags{config: []string{path}}, cfg, swap, slog.New(slog.DiscardHandler)), &served
}
