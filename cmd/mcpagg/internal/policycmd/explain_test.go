package policycmd_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

const regulated = "../../../../examples/policies/regulated"

// explained runs mcpagg policy explain on the set of a regulated company.
func explained(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if _, err := os.Stat("gateway.hcl"); err != nil { // and so it is not there yet
		t.Chdir(regulated)
	}
	return command(append([]string{"explain", "-c", "gateway.hcl", "--catalog", "catalog.json"}, args...)...)
}

func TestExplainWithoutInput(t *testing.T) {
	code, stdout, stderr := explained(t, "--as", "on call", "--tool", "cluster/resources_scale")
	want := `on call (Group engineers, Group on-call), cluster/resources_scale

  only when ` + "`namespace` is given, `kind` is \"Deployment\", `namespace` is not \"kube-system\", `scale` is at most 20, and the time of day (UTC) is before 17:00, unless the time of day (UTC) is before 07:00" + `

  in Cedar  context.input has namespace && context.input.kind == "Deployment" && context.input.namespace != "kube-system" && context.input has scale && context.input.scale <= 20 && context.now.toTime() >= duration("7h") && context.now.toTime() < duration("17h")
`
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, want) {
		t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
	}
	if !strings.Contains(stdout, "  permits   on-call-scales  policies/production.cedar:") {
		t.Errorf("the permit is not named:\n%s", stdout)
	}
}

func TestExplainNeverSaysWhoElse(t *testing.T) {
	code, stdout, _ := explained(t, "--as", "engineer", "--tool", "cluster/resources_scale")
	for _, want := range []string{"  never: no policy permits it\n", "    on-call-scales  policies/", "      which needs that the caller is in Group \"on-call\"\n"} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, %q is missing in\n%s", code, want, stdout)
		}
	}
}

func TestExplainKnowsCircumstances(t *testing.T) {
	args := []string{"--tool", "ledger/find", "--group", "analysts"}
	_, open, _ := explained(t, args...)
	_, home, _ := explained(t, append(args, "--ip", "203.0.113.7")...)
	_, office, _ := explained(t, append(args, "--ip", "10.1.2.3")...)
	if !strings.Contains(open, "the client's address is in 10.0.0.0/8") || !strings.Contains(home, "never: always forbidden by from-our-network") || strings.Contains(office, "address") {
		t.Errorf("%s\n%s\n%s", open, home, office)
	}
}

func TestExplainWithInput(t *testing.T) {
	code, stdout, stderr := explained(t, "--as", "engineer", "--tool", "cluster/resources_get",
		"--input", `{"kind": "Secret", "apiVersion": "v1", "name": "x"}`, "--now", "2026-11-23T12:00:00Z")
	want := `engineer (Group engineers), cluster/resources_get

  forbidden by no-secrets (policies/production.cedar:11)
`
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, want) {
		t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
	}
	tree := `  when
    ✓ context.input has kind && context.input.kind == "Secret"
      ✓ context.input has kind
      ✓ context.input.kind == "Secret"
        - context.input.kind = "Secret"
  unless
    ✗ principal in Group::"break-glass" && context.auth.acrs.contains("c1")
      ✗ principal in Group::"break-glass"
        - principal = User::"engineer", in Group::"engineers"
      - context.auth.acrs.contains("c1")  (not looked at)
`
	if !strings.Contains(stdout, tree) {
		t.Errorf("the tree is not in\n%s\nwant\n%s", stdout, tree)
	}
}

func TestExplainJSON(t *testing.T) {
	_, stdout, _ := explained(t, "--as", "analyst", "--tool", "ledger/find", "--json")
	var answer struct {
		Outcome, Condition string
		Example            map[string]any
		Permits            []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil || answer.Outcome != "sometimes" || answer.Example["database"] != "sales" || answer.Permits[0].ID != "analysts-read" {
		t.Errorf("%v\n%s", err, stdout)
	}
	_, stdout, _ = explained(t, "--as", "analyst", "--tool", "ledger/find", "--input", `{"database": "hr"}`, "--json")
	var verdict struct {
		Allowed  bool
		Lacks    string
		Policies []struct {
			ID         string
			Conditions []struct{ Node struct{ Parts []any } }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &verdict); err != nil || verdict.Allowed || !strings.Contains(verdict.Lacks, `is "sales" (it is "hr")`) || len(verdict.Policies[0].Conditions[0].Node.Parts) != 2 {
		t.Errorf("%v\n%s", err, stdout)
	}
}

func TestExplainMistakesOfUse(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--as", "engineer", "--tool", "cluster/resource_get"}, "did you mean cluster/resources_get"},
		{[]string{"--as", "enginer", "--tool", "cluster/resources_get"}, `there is no persona "enginer"; there are: engineer, on call`},
		{[]string{"--as", "engineer"}, "at least one of the flags"},
		{[]string{"--as", "engineer", "--tool", "cluster/resources_get", "--input", "[1]"}, "--input is no JSON object"},
		{[]string{"--as", "engineer", "--tool", "cluster/resources_get", "--now", "noon"}, "--now"},
		{[]string{"--claim", "x", "--tool", "cluster/resources_get"}, "--claim"},
	} {
		code, stdout, stderr := explained(t, c.args...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit code %d, %s%s", c.args, code, stdout, stderr)
		}
	}
}
