package policycmd_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// surveyed runs a command of mcpagg policy on the set of a regulated company.
func surveyed(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if _, err := os.Stat("gateway.hcl"); err != nil { // and so it is not there yet
		t.Chdir(regulated)
	}
	return command(append(args, "-c", "gateway.hcl", "--catalog", "catalog.json")...)
}

func TestWhatCan(t *testing.T) {
	code, stdout, stderr := surveyed(t, "what-can", "--as", "analyst")
	want := `analyst (groups analysts; from 10.1.2.3) may use 5 of 15 tools: 2 always, 3 under a condition

ledger  3 of 6
  ✓ count
  ◐ find              when ` + "`database` is \"sales\" and `limit` is at most 100.0" + `
  ✓ list-collections

web  2 of 2
  ◐ query-docs          unless the caller has had the label "personal-data"
  ◐ resolve-library-id  unless the caller has had the label "personal-data"
`
	if code != 0 || stdout != want || stderr != "" {
		t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
	}
	_, stdout, _ = surveyed(t, "what-can", "--as", "engineer", "--all", "cluster/*")
	for _, want := range []string{"4 of 7 tools", "  · pods_exec               no policy permits it\n", "  ✓ pods_log\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
}

func TestWhatEverybodyCan(t *testing.T) {
	code, stdout, _ := surveyed(t, "what-can")
	for _, want := range []string{
		"caller                        always  when  never\n",
		"analyst                            2     3     10  groups analysts; from 10.1.2…\n",
		"Group break-glass                  0    15      0\n",
		"15 tools in all. What one of them may use: mcpagg policy what-can -c gateway.hcl --catalog catalog.json --as NAME\n",
	} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, %q is missing in\n%s", code, want, stdout)
		}
	}
}

func TestWhatCanJSON(t *testing.T) {
	_, stdout, _ := surveyed(t, "what-can", "--as", "analyst", "--json")
	var out struct {
		Callers []struct {
			Caller                   string
			Always, Sometimes, Never int
			Objects                  []struct {
				Object, Outcome, Condition string
				Permits                    []struct {
					ID, File string
					Line     int
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || len(out.Callers) != 1 {
		t.Fatalf("%v\n%s", err, stdout)
	}
	c := out.Callers[0]
	if c.Always != 2 || c.Sometimes != 3 || c.Never != 10 || len(c.Objects) != 5 {
		t.Errorf("%+v", c)
	}
	if o := c.Objects[1]; o.Object != `Tool::"ledger/find"` || o.Outcome != "sometimes" || !strings.Contains(o.Condition, `context.input.database == "sales"`) || o.Permits[0].ID != "analysts-read" || o.Permits[0].Line != 4 {
		t.Errorf("%+v", o)
	}
}

func TestWhoCan(t *testing.T) {
	code, stdout, stderr := surveyed(t, "who-can", "ledger/find")
	for _, want := range []string{
		"ledger/find (tool)\n\n  anyone in Group analysts only when `database` is \"sales\", `limit` is at most\n",
		"\n  ✓ always\n      breaking the glass\n",
		"\n  ◐ only when `database` is \"sales\" and `limit` is at most 100.0\n      analyst\n",
		"\n  · never: always forbidden by from-our-network\n      analyst at home\n",
	} {
		if code != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, %q is missing in\n%s%s", code, want, stdout, stderr)
		}
	}
}

func TestWhoCanWithInput(t *testing.T) {
	args := []string{"who-can", "ledger/find", "--input", `{"connectionId": "x", "database": "sales", "collection": "orders"}`, "--now", "2026-01-01T12:00:00Z"}
	code, stdout, stderr := surveyed(t, args...)
	for _, want := range []string{
		"\n  ✓ allowed by analysts-read (policies/personal-data.cedar:4)\n      analyst\n",
		"(it is\n    203.0.113.7)\n      analyst at home\n",
	} {
		if code != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, %q is missing in\n%s%s", code, want, stdout, stderr)
		}
	}
	_, stdout, _ = surveyed(t, append(args, "--ip", "10.0.0.1", "--group", "analysts", "--json")...)
	var out struct {
		Object  string
		Callers []struct {
			Caller  string
			Allowed bool
			Why     string
		}
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || len(out.Callers) != 1 || !out.Callers[0].Allowed || out.Callers[0].Caller != "Group analysts" {
		t.Errorf("%v\n%s", err, stdout)
	}
}

func TestMistakesOfSurveys(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"what-can", "--as", "nobody"}, `there is no persona "nobody"`},
		{[]string{"what-can", "no/*"}, `nothing is called "no/*"`},
		{[]string{"who-can", "ledger/fnd"}, "did you mean ledger/find"},
		{[]string{"who-can", "ledger/find", "--as", "nobody"}, `there is no caller "nobody"; there are: engineer, on call`},
		{[]string{"who-can", "ledger/find", "--ip", "10.0.0.1"}, "with --input"},
		{[]string{"who-can", "ledger/find", "--input", "{", "--as", "engineer"}, "--input is no JSON object"},
	} {
		code, stdout, stderr := surveyed(t, c.args...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit code %d, %s%s", c.args, code, stdout, stderr)
		}
	}
}

// TestEveryKind lists prompts, resources and templates beside tools, for somebody with an
// app that policies name.
func TestEveryKind(t *testing.T) {
	written(t, map[string]string{
		"policies/a.cedar": `permit (principal in Group::"readers", action == Action::"read_resource", resource) when { resource.uri like "*.md" };
			permit (principal, action, resource) when { context.app == App::"vs" };`,
		"catalog.json": `{"version": 1, "tools": [{"upstream": "docs", "original": "search", "published": "docs_search", "input_schema": {"type": "object"}}],
			"prompts": [{"upstream": "docs", "original": "review", "published": "docs_review"}],
			"resources": [{"upstream": "docs", "uri": "file:///a.md", "published": "file:///a.md"}, {"upstream": "docs", "uri": "file:///a.txt", "published": "file:///a.txt"}],
			"templates": [{"upstream": "docs", "uri": "file:///{path}", "published": "file:///{path}"}]}`,
	})
	_, stdout, stderr := command("what-can", "--as", "Group readers")
	want := `Group readers may use 2 of 5 (1 tool, 1 prompt, 2 resources, 1 template): 1 always, 1 under a condition

docs  2 of 5
  ✓ file:///a.md (resource)
  ◐ file:///{path} (template)  some resources of the template: ask about one of…
`
	if stdout != want || stderr != "" {
		t.Errorf("%s%s\nwant\n%s", stdout, stderr, want)
	}
	if _, stdout, _ := command("what-can", "--as", "App vs"); !strings.HasPrefix(stdout, "App vs may use 5 of 5 ") {
		t.Error(stdout)
	}
	if _, stdout, _ := command("who-can", "docs_review"); !strings.Contains(stdout, "docs/review (prompt)\n\n  anyone with App vs\n") {
		t.Error(stdout)
	}
}
