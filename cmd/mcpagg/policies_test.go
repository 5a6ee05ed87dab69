package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/policy"
)

const (
	policyBlock = "policy {\n  dir = \"policies\"\n}\n"
	openAll     = "permit (principal, action, resource);\n"
)

// writePolicy writes a file with policies.
func (h *home) writePolicy(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(h.dir, name)), 0o700); err != nil {
		t.Fatal(err)
	}
	h.write(t, name, text)
}

// awaitLog waits until the gateway has written what the pattern matches.
func (g *gatewayProcess) awaitLog(t *testing.T, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	eventually(t, func() string {
		if !re.MatchString(g.written()) {
			return "nothing in the log matches " + pattern
		}
		return ""
	})
}

// TestPoliciesReload changes the policies of a gateway that runs: a mistake in them is
// said with its place and leaves the old ones in effect, and what is right takes their
// place.
func TestPoliciesReload(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(t, "gateway.hcl", policyBlock+notesBlock)
	h.writePolicy(t, "policies/a.cedar", openAll)
	g := h.start(t)
	before := g.awaitStates(t, "notes connected")
	if p := before.Policy; p == nil || p.Policies != 1 || p.Mode != "enforce" || len(p.Places) != 1 || p.Places[0] != "policies/" {
		t.Fatalf("policies %+v", p)
	}
	g.awaitLog(t, `msg="policies `+before.Policy.Digest[:8]+`… active: 1 policy"`)

	h.writePolicy(t, "policies/below/b.cedar", "\nforbid (principal, action, resource == Tool::\"note/add\");\n")
	const place = "policies/below/b.cedar:2:"
	eventually(t, func() string {
		f := g.status(t).Config.Failure
		if f == nil || len(f.Mistakes) != 1 || f.Mistakes[0].File != "policies/below/b.cedar" || f.Mistakes[0].Line != 2 {
			return fmt.Sprintf("the status tells %+v", f)
		}
		return ""
	})
	if after := g.status(t).Policy; after == nil || after.Digest != before.Policy.Digest {
		t.Errorf("a mistake changes the policies: %+v", after)
	}
	g.awaitLog(t, `not reloaded; the old configuration keeps serving`)
	g.awaitLog(t, `mistake in the configuration" mistake="`+place)
	if status, body := g.get(t, "/health/ready"); status != 200 || !strings.Contains(body, `"reload_failed"`) || !strings.Contains(body, "policies/below/b.cedar") {
		t.Errorf("status %d, %s", status, body)
	}
	if stdout, _, _ := h.run(t, "status"); !strings.Contains(stdout, place) || !strings.Contains(stdout, "policies       1 policy from policies/, ") {
		t.Errorf("screen:\n%s", stdout)
	}
	if _, metrics := g.get(t, "/metrics"); !strings.Contains(metrics, `mcpagg_policy_info{digest="`+before.Policy.Digest+`",mode="enforce"} 1`) ||
		!strings.Contains(metrics, "mcpagg_config_last_reload_successful 0") {
		t.Errorf("metrics:\n%s", metrics)
	}
	if got := g.note(t); got != "Noted as number 1." {
		t.Errorf("a note gives %q", got)
	}

	h.writePolicy(t, "policies/below/b.cedar", "forbid (principal, action, resource == Tool::\"notes/add\");\n")
	eventually(t, func() string {
		s := g.status(t)
		if s.Policy.Policies != 2 || s.Policy.Digest == before.Policy.Digest || s.Config.Failure != nil {
			return fmt.Sprintf("the status tells %+v, %+v", s.Policy, s.Config.Failure)
		}
		return ""
	})
	if _, body := g.get(t, "/health/ready"); strings.Contains(body, "reload_failed") {
		t.Errorf("the mistake is fixed, but: %s", body)
	}
	g.awaitLog(t, `msg="policies `+g.status(t).Policy.Digest[:8]+`… active: \+0 −1 tools for everybody" .*removed=\[notes/add\]`)
	g.awaitLog(t, `msg="nobody can use this" why="always forbidden by [^"]+" count=1 of=\[notes/add\]`)
}

// TestLogsWithoutEscapes writes what is to be read in the log as it is read.
func TestLogsWithoutEscapes(t *testing.T) {
	var log strings.Builder
	p := newPolicyTeller(nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
	p.told = map[string]bool{}
	p.tellNewLocked("a policy does not fit the tools", "policy", []string{`no tool has an argument "reppo"`})
	p.tellUncallableLocked([]policy.Uncallable{
		{Object: policy.ToolObject(policy.Tool{Upstream: "notes", Original: "add"}), Why: "no policy permits it"},
		{Object: policy.PromptObject(policy.Prompt{Upstream: "notes", Original: "ask"}), Why: "no policy permits it"},
	})
	if got := log.String(); strings.Contains(got, `\"`) || !strings.Contains(got, "'reppo'") || !strings.Contains(got, `of="[notes/add prompt notes/ask]"`) {
		t.Errorf("the log is\n%s", got)
	}
}

// TestChangeText says of a change what it is about, and for whom.
func TestChangeText(t *testing.T) {
	for _, test := range []struct {
		change policy.Change
		signIn bool
		want   string
	}{
		{policy.Change{Added: []string{"a", "b"}, ToolsAdded: 2}, true, "+2 −0 tools for whoever is in no group"},
		{policy.Change{Group: "platform", Added: []string{"a", "b"}, Removed: []string{"c"}, ToolsAdded: 1}, true, `+1 −0 tools, +1 −1 prompts and resources for Group "platform"`},
		{policy.Change{Removed: []string{"c"}}, false, "+0 −1 prompts and resources for everybody"},
	} {
		if got := changeText(test.change, test.signIn); got != test.want {
			t.Errorf("%+v: %q, want %q", test.change, got, test.want)
		}
	}
}

// TestPoliciesThatDoNotFit names a tool that there is not and an argument that a tool has
// not: the log, the status, validate --live and doctor say so, and stop when it is right.
func TestPoliciesThatDoNotFit(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(t, "gateway.hcl", policyBlock+notesBlock)
	const wrong = "@id(\"a\")\nforbid (principal, action, resource == Tool::\"notes/ads\");\n\n@id(\"b\")\npermit (principal, action == Action::\"call_tool\", resource == Tool::\"notes/add\")\nwhen { context.input.txt like \"*\" };\n"
	h.writePolicy(t, "policies/a.cedar", wrong)
	const tool = `policies/a.cedar:2:40: the upstream notes has no tool "ads"; did you mean Tool::"notes/add"?`
	const argument = `policies/a.cedar:6:22: tool notes/add has no argument "txt"; did you mean "text"?`

	stdout, stderr, code := h.run(t, "validate", "--live")
	if code != 0 || !strings.Contains(stdout, "The policies have 2 errors for these tools:\n") || !strings.Contains(stdout, "^^^ did you mean \"text\"?\n") {
		t.Errorf("validate --live exits with %d and prints\n%s%s", code, stdout, stderr)
	}
	if stdout, _, _ := h.run(t, "validate", "--live", "--json"); !strings.Contains(stdout, `"code": "unknown-tool"`) {
		t.Errorf("validate --live --json prints\n%s", stdout)
	}

	g := h.start(t)
	eventually(t, func() string {
		if got := g.status(t).Policy.Warnings; len(got) != 2 || got[0] != tool || got[1] != argument {
			return fmt.Sprintf("the status tells %q", got)
		}
		return ""
	})
	g.awaitLog(t, regexp.QuoteMeta(`msg="a policy does not fit the tools" policy="policies/a.cedar:2:40: the upstream notes has no tool 'ads'`))
	if stdout, _, _ := h.run(t, "status"); !strings.Contains(stdout, `has no argument "txt"`) {
		t.Errorf("status prints\n%s", stdout)
	}
	if stdout, _, _ := h.run(t, "doctor"); !strings.Contains(stdout, `has no argument`) || !strings.Contains(stdout, "mcpagg policy") {
		t.Errorf("doctor prints\n%s", stdout)
	}

	h.writePolicy(t, "policies/a.cedar", strings.NewReplacer("notes/ads\"", "notes/add\"", "input.txt", "input.text").Replace(wrong))
	eventually(t, func() string {
		if got := g.status(t).Policy.Warnings; len(got) != 1 || !strings.Contains(got[0], "this permit never counts: a forbids all that it permits") {
			return fmt.Sprintf("the status tells %q", got)
		}
		return ""
	})
	h.writePolicy(t, "policies/a.cedar", "@id(\"a\")\n"+openAll)
	eventually(t, func() string {
		if got := g.status(t).Policy.Warnings; len(got) != 0 {
			return fmt.Sprintf("the status tells %q", got)
		}
		return ""
	})
}

// TestPoliciesAtStart checks that nothing is served with broken policies, or with
// sign-in and none.
func TestPoliciesAtStart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config, policy, want string
	}{
		"broken":        {policyBlock, "permit (principal, action resource);\n", "policies/a.cedar:1:27: Invalid policy\n"},
		"no folder":     {"policy {\n  dir = \"policy\"\n}\n", openAll, `gateway.hcl:2:9: Invalid dir`},
		"no policy":     {strings.ReplaceAll(ephemeral, openPolicy, ""), openAll, `gateway.hcl:1:13: Missing policy`},
		"empty":         {"policy {}\n", openAll, `gateway.hcl:1:1: Empty policy`},
		"binds nothing": {"policy {\n  dir = \"policies\"\n  bind \"x\" {\n    type = \"X\"\n    id = \"${input.a}${input.b}\"\n  }\n}\n", openAll, `gateway.hcl:5:10: Invalid id`},
	} {
		h := newHome(t)
		h.write(t, "gateway.hcl", test.config+notesBlock)
		h.writePolicy(t, "policies/a.cedar", test.policy)
		for _, command := range []string{"serve", "validate"} {
			stdout, stderr, code := h.run(t, command)
			if code != exitUsage || !strings.Contains(stderr, test.want) || stdout != "" {
				t.Errorf("%s: %s exits with %d, prints %q and\n%s", name, command, code, stdout, stderr)
			}
		}
	}
}

// TestPoliciesGreeting checks that the first lines say who may call what.
func TestPoliciesGreeting(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		"":          "There is no policy block: every tool may be called.\n",
		policyBlock: "1 policy of policies/ decides who may use what.\n",
		openPolicy:  "1 policy of policy.inline decides who may use what.\n",
		policyBlock[:len(policyBlock)-2] + "  mode = \"observe\"\n}\n": "Policies are only observed: what they deny is let through.\n",
	} {
		h := newHome(t)
		h.write(t, "gateway.hcl", config+notesBlock)
		h.writePolicy(t, "policies/a.cedar", openAll)
		g := h.start(t)
		eventually(t, func() string {
			if !strings.Contains(g.written(), want) { // what comes after the URL
				return fmt.Sprintf("with %q nothing says %q", config, want)
			}
			return ""
		})
	}
}

// cedarBlocks are the policies of a page.
var cedarBlocks = regexp.MustCompile("(?ms)^```cedar\n(.*?)^```$")

// beside is what the policies and configurations of docs/policies.md need.
const beside = `
upstream "github" {
  url = "https://mcp.contoso.com/github"
}

upstream "crm" {
  url = "https://mcp.contoso.com/crm"
}

group "platform" {
  id = "4f1c2d3e-0000-0000-0000-000000000001"
}

group "support" {
  id = "4f1c2d3e-0000-0000-0000-000000000002"
}
`

// TestDocsPolicies loads the policies that docs/policies.md shows, together, and the
// configurations, each of them.
func TestDocsPolicies(t *testing.T) {
	h := newHome(t)
	var policies strings.Builder
	for _, match := range cedarBlocks.FindAllStringSubmatch(page(t, "policies.md"), -1) {
		policies.WriteString(match[1])
	}
	h.writePolicy(t, "policies/all.cedar", policies.String())
	for _, name := range []string{"teams.json", "teams.cedarschema"} {
		text, err := os.ReadFile("../../examples/own-team/" + name)
		if err != nil {
			t.Fatal(err)
		}
		h.write(t, name, string(text))
	}
	h.write(t, "authz.json", `{"version": "1.0", "type": "cedarv1", "cedar": {"policies": ["permit(principal, action, resource == Tool::\"get_issue\");"], "entities_json": "[]"}}`)
	blocks := hclBlocks.FindAllStringSubmatch(page(t, "policies.md"), -1)
	if len(blocks) < 3 || policies.Len() == 0 {
		t.Fatalf("%d configurations, %d bytes of policies", len(blocks), policies.Len())
	}
	const target = "\n  entities = [\"teams.json\", \"teams.cedarschema\"]\n  bind \"target\" {\n    type = \"Repo\"\n    id   = \"${input.repo}\"\n  }\n}"
	for _, block := range blocks {
		text := block[1]
		if tidy, err := config.Format("policies.md", []byte(text)); err != nil || string(tidy) != text {
			t.Errorf("not formatted; it should be\n%s", tidy)
		}
		if !strings.Contains(text, "entities") {
			text = strings.TrimSuffix(strings.TrimSpace(text), "}") + target + "\n"
		}
		h.write(t, "gateway.hcl", text+beside)
		if stdout, stderr, code := h.run(t, "validate"); code != 0 {
			t.Errorf("%s%s of\n%s", stdout, stderr, text)
		}
	}
}

// TestPolicyFindingsAreBounded checks that what policies come to is said once, and no
// more than somebody reads.
func TestPolicyFindingsAreBounded(t *testing.T) {
	var log strings.Builder
	p := newPolicyTeller(nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
	p.told = map[string]bool{}
	var findings []string
	for i := range 50 {
		findings = append(findings, fmt.Sprintf("tool%d", i))
	}
	for range 2 {
		p.tellNewLocked("a policy does not fit the tools", "policy", findings)
	}
	if n := strings.Count(log.String(), "\n"); n != mostFindings+1 || !strings.Contains(log.String(), `policy="and 30 more"`) {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	log.Reset()
	p.tellNewLocked("a policy does not fit the tools", "policy", append(findings, "another"))
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "policy=another") {
		t.Errorf("of another one it says\n%s", got)
	}
}
