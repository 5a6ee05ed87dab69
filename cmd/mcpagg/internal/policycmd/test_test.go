package policycmd_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/policycmd"
)

// written makes files in a folder, and works in it.
func written(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// command runs mcpagg policy with arguments.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	cmd := policycmd.New(nil)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err := cmd.Execute()
	var exit *cli.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.Code
		errs.WriteString(exit.Error())
	case err != nil:
		code = cli.ExitUsage
		errs.WriteString(err.Error())
	}
	return code, out.String(), errs.String()
}

const catalogText = `{"version":1,"tools":[
	{"upstream":"github","original":"get_issue","published":"github_get_issue","input_schema":{"type":"object","required":["number"],"properties":{"number":{"type":"integer"}}}},
	{"upstream":"github","original":"delete_repo","published":"github_delete_repo","input_schema":{"type":"object"}}]}`

const passingTest = `persona "dev" { groups = ["platform"] }
test "reads" {
  as = "dev"
  call "github/get_issue" {
    input  = { number = 1 }
    expect = "allow"
  }
}
`

func files(test string) map[string]string {
	all := map[string]string{
		"policies/a.cedar": `@id("reads") permit (principal in Group::"platform", action, resource == Tool::"github/get_issue");`,
		"catalog.json":     catalogText,
	}
	if test != "" {
		all["policies/a_test.hcl"] = test
	}
	return all
}

func TestTest(t *testing.T) {
	for name, c := range map[string]struct {
		test string
		args []string
		code int
		want string // in what is printed
	}{
		"passing":             {passingTest, nil, 0, "ok    1 test, 1 case in "},
		"failing":             {strings.Replace(passingTest, "allow", "deny", 1), nil, 4, "got       allow by reads\n              policies/a.cedar:1: reads"},
		"not fitting":         {strings.Replace(passingTest, "= 1", `= "x"`, 1), nil, 4, `the input does not fit the input schema of "github/get_issue"`},
		"misspelt":            {strings.Replace(passingTest, "expect", "expct", 1), nil, 4, `policies/a_test.hcl:6:5: a call has no attribute "expct"; did you mean "expect"?`},
		"misspelt group":      {strings.Replace(passingTest, "platform", "platfrom", 1), nil, 4, `did you mean "platform"?`},
		"none":                {"", nil, 0, "There is no test in policies. Write a first one"},
		"none in DIR":         {"", []string{"policies"}, 4, "there is no test in policies"},
		"no DIR":              {passingTest, []string{"polices"}, 2, "there is no folder polices"},
		"chosen":              {passingTest, []string{"--run", "re.ds"}, 0, "ok    1 test"},
		"none is chosen":      {passingTest, []string{"--run", "writes"}, 4, "no test has a name that matches --run writes"},
		"no expression":       {passingTest, []string{"--run", "("}, 2, "--run: error parsing regexp"},
		"coverage":            {passingTest, []string{"--coverage"}, 0, "coverage  1/1 of policies, 0/0 of conditions, 1/2 of tools\n  no test calls github/delete_repo"},
		"JSON":                {passingTest, []string{"--json"}, 0, `"passed": true`},
		"mistake in policies": {passingTest, []string{"--policies", "catalog.json"}, 3, "mistake"},
	} {
		t.Run(name, func(t *testing.T) {
			written(t, files(c.test))
			code, stdout, stderr := command(append([]string{"test"}, c.args...)...)
			if all := stdout + stderr; code != c.code || !strings.Contains(all, c.want) {
				t.Errorf("exit code %d, want %d and %q in\n%s", code, c.code, c.want, all)
			}
		})
	}
}

// TestTestOfConfiguration finds the tests beside the policies of a configuration.
func TestTestOfConfiguration(t *testing.T) {
	all := map[string]string{"etc/gateway.hcl": `
group "platform" { id = "4f1c2d3e-0000-0000-0000-000000000001" }
upstream "github" { url = "http://127.0.0.1:1/mcp" }
policy { dir = "rules" }`}
	for name, text := range files(strings.Replace(passingTest, `"platform"`, `"4f1c2d3e-0000-0000-0000-000000000001"`, 1)) {
		all[strings.Replace("etc/"+name, "policies", "rules", 1)] = text
	}
	written(t, all)
	code, stdout, stderr := command("test", "-c", "etc/gateway.hcl", "--catalog", "etc/catalog.json", "--run", "reads")
	if code != 0 || !strings.HasPrefix(stdout, "ok    1 test, 1 case") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

// TestTestUpdate rewrites a test, tells what changed, and is content afterwards.
func TestTestUpdate(t *testing.T) {
	written(t, files("# Why.\n"+strings.Replace(passingTest, "allow", "deny", 1)))
	code, stdout, stderr := command("test", "--update", "--junit", "out.xml")
	if code != 0 || stderr != "policies/a_test.hcl:7: expect = \"allow\", was \"deny\"\n" || !strings.HasPrefix(stdout, "ok ") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if got, err := os.ReadFile("policies/a_test.hcl"); err != nil || string(got) != "# Why.\n"+passingTest {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err := os.ReadFile("out.xml"); err != nil || !strings.Contains(string(got), `<testcase classname="policies/a_test.hcl" name="reads"`) {
		t.Errorf("%v\n%s", err, got)
	}
}
