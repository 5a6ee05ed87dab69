package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/lock"
)

// TestPolicies checks what becomes of a policy block in which everything is set.
func TestPolicies(t *testing.T) {
	c := loadFile(t, "testdata/valid/policy.txtar")
	o := c.Policy
	var places []string
	for _, p := range o.Policies {
		places = append(places, fmt.Sprintf("%s %s:%d", p.ID, p.File, p.Line))
	}
	want := []string{
		"policies/a.cedar#1 policies/a.cedar:1", "no-deletes policies/below/b.cedar:1", "gateway.hcl#1 gateway.hcl:31",
	}
	if !slices.Equal(places, want) {
		t.Errorf("policies %q, want %q", places, want)
	}
	if len(o.Candidate) != 1 || o.Candidate[0].File != "policies-next/a.cedar" {
		t.Errorf("candidate %+v", o.Candidate)
	}
	if o.Digest == "" || o.CandidateDigest == "" || o.Digest == o.CandidateDigest {
		t.Errorf("digests %q and %q", o.Digest, o.CandidateDigest)
	}
	if !o.Observe || !o.SkipErrors || o.DenyMessage != "Ask for access at https://access.contoso.com/mcp" || len(o.Facts.Entities) != 2 {
		t.Errorf("options %+v", o)
	}
	binds := []facts.Bind{
		{
			Name: "target", Type: "Repo", Tools: []string{"github/*", "*/create_*", "*"},
			ID: []facts.Part{
				{Argument: []string{"owner"}, Case: "lower"}, {Literal: "/"}, {Argument: []string{"the repo", "name"}, Case: "upper", Trim: true}, {Literal: ` ${x} "q" \`},
			},
		},
		{Name: "team", Type: "Contoso::Team", ID: []facts.Part{{Argument: []string{"team"}}}},
	}
	if diff := cmp.Diff(binds, o.Binds); diff != "" {
		t.Errorf("binds differ (-want +got):\n%s", diff)
	}
	if got := strings.Join(c.PolicyPlaces, " "); got != "policies/ policy.inline" {
		t.Errorf("places %q", got)
	}
	if _, err := policy.New(*o); err != nil {
		t.Errorf("the policies make no engine: %v", err)
	}
	if len(c.Audit) != 1 || c.Audit[0].Arguments != audit.Full || filepath.Base(c.Audit[0].Path) != "audit.jsonl" {
		t.Errorf("audit %+v", c.Audit)
	}
	if c.LabelsTTL.String() != "1h0m0s" {
		t.Errorf("labels are kept for %v", c.LabelsTTL)
	}
}

// TestNoPolicy checks that there is nothing to decide by without a block, and that
// labels are kept all the same.
func TestNoPolicy(t *testing.T) {
	c := loadText(t, "")
	if c.Policy != nil || c.PolicyPlaces != nil || c.Audit != nil || c.LabelsTTL != noPolicyLabelsTTL {
		t.Errorf("got %+v, %q, %+v and %v", c.Policy, c.PolicyPlaces, c.Audit, c.LabelsTTL)
	}
}

// withPolicies is a configuration with policies in a folder, and the files.
func withPolicies(block string, files ...txtar.File) *txtar.Archive {
	a := archive("-- gateway.hcl --\nupstream \"notes\" {\n  url = \"http://localhost:1/mcp\"\n}\n\npolicy {\n" + block + "}\n")
	a.Files = append(a.Files, files...)
	return a
}

func textFile(name, text string) txtar.File { return txtar.File{Name: name, Data: []byte(text)} }

// TestPolicyDigest checks what counts: what they say, and what is theirs beside
// them, but not where it stands.
func TestPolicyDigest(t *testing.T) {
	digest := func(block string, files ...txtar.File) string {
		t.Helper()
		out := run(t, withPolicies(block, append(files, textFile("p/a.cedar", "permit (principal, action, resource);\n"))...))
		must(t, out.err)
		return out.config.Policy.Digest
	}
	const bind = "  bind \"target\" {\n    type = \"Repo\"\n    id   = \"${input.repo}\"\n  }\n"
	base := digest("  dir = \"p\"\n")
	if other := digest("\n\n  dir = \"p\"\n  mode = \"observe\"\n"); other != base {
		t.Error("another line is another digest")
	}
	seen := map[string]string{base: "only policies"}
	for name, other := range map[string]string{
		"another file": digest("  dir = \"p\"\n", textFile("p/b.cedar", "permit (principal, action, resource);\n")),
		"inline":       digest("  dir    = \"p\"\n  inline = \"forbid (principal, action, resource);\"\n"),
		"a bind":       digest("  dir = \"p\"\n" + bind),
		"another bind": digest("  dir = \"p\"\n" + strings.Replace(bind, "input.repo", "input.name", 1)),
		"entities": digest("  dir      = \"p\"\n  entities = [\"t.json\", \"t.cedarschema\"]\n",
			textFile("t.json", `[{"uid": {"type": "Team", "id": "web"}, "attrs": {}, "parents": []}]`), textFile("t.cedarschema", "entity Team;\n")),
	} {
		if seen[other] != "" {
			t.Errorf("%s has the digest of %s", name, seen[other])
		}
		seen[other] = name
	}
}

// TestToolHive loads the authorization file of a ToolHive server as it stands, in both
// forms.
func TestToolHive(t *testing.T) {
	const (
		inJSON = `{"version": "1.0", "type": "cedarv1", "cedar": {"policies": ["permit(principal, action == Action::\"call_tool\", resource == Tool::\"add\");"], "entities_json": "[]"}}`
		inYAML = "version: '1.0'\ntype: cedarv1\ncedar:\n  policies:\n    - 'permit(principal, action == Action::\"call_tool\", resource == Tool::\"add\");'\n  entities_json: '[]'\n"
	)
	for name, text := range map[string]string{"authz.json": inJSON, "authz.yaml": inYAML} {
		out := run(t, withPolicies("  toolhive = \""+name+"\"\n", textFile(name, text)))
		must(t, out.err)
		if p := out.config.Policy.Policies; len(p) != 1 || !p[0].Permit || !strings.HasPrefix(p[0].File, name) {
			t.Errorf("%s: %+v", name, p)
		}
		if _, err := policy.New(*out.config.Policy); err != nil {
			t.Errorf("%s makes no engine: %v", name, err)
		}
	}
}

// TestPolicyMistakes checks mistakes that a file in testdata cannot have.
func TestPolicyMistakes(t *testing.T) {
	const good = "permit (principal, action, resource);\n"
	for name, test := range map[string]struct {
		block string
		files []txtar.File
		then  func() // when the files are there
		want  []string
	}{
		"no UTF-8": {
			block: "  dir = \"p\"\n", files: []txtar.File{textFile("p/a.cedar", good+"// \xff\n")},
			want: []string{"p/a.cedar:2"},
		},
		"a link to itself": {
			block: "  dir = \"p\"\n", files: []txtar.File{textFile("p/a.cedar", good)},
			then: func() { must(t, os.Symlink("b.cedar", "p/b.cedar")) },
			want: []string{"p/b.cedar", "leads to itself"},
		},
		"a folder in itself": {
			block: "  dir = \"p\"\n", files: []txtar.File{textFile("p/a.cedar", good)},
			then: func() { must(t, os.Symlink(".", "p/again")) },
			want: []string{"p/again", "a folder that it is in"},
		},
		"many": {
			block: "  dir = \"p\"\n", files: []txtar.File{textFile("p/a.cedar", strings.Repeat("@rat(\"1/m\")\n"+good, 150))},
			want: []string{"@rat means nothing", "p/a.cedar:199", "There are 50 more mistakes."},
		},
		"an unknown upstream": {
			block: "  dir = \"p\"\n", files: []txtar.File{textFile("p/a.cedar", "permit (principal, action, resource in Upstream::\"note\");\n")},
			want: []string{"p/a.cedar:1", `Did you mean`, `notes`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := withPolicies(test.block, test.files...)
			out := run(t, a)
			if test.then != nil {
				must(t, out.err)
				test.then()
				out = load(t, []string{"gateway.hcl"}, nil)
			}
			var mistakes *Mistakes
			if !errors.As(out.err, &mistakes) {
				t.Fatalf("loaded: %v", out.err)
			}
			for _, want := range test.want {
				if !strings.Contains(mistakes.Error(), want) {
					t.Errorf("nothing says %q:\n%.2000s", want, mistakes.Error())
				}
			}
		})
	}
}

// TestBindInJSON checks that a template says the same in JSON.
func TestBindInJSON(t *testing.T) {
	out := run(t, archive(`-- args --
gateway.hcl.json
-- gateway.hcl.json --
{
  "upstream": { "notes": { "url": "http://localhost:1/mcp" } },
  "policy": {
    "inline": "permit(principal, action, resource);",
    "bind": { "target": { "type": "Repo", "id": "${lower(input.owner)}/${input.repo}" } }
  }
}
`))
	must(t, out.err)
	want := []facts.Part{{Argument: []string{"owner"}, Case: "lower"}, {Literal: "/"}, {Argument: []string{"repo"}}}
	if diff := cmp.Diff(want, out.config.Policy.Binds[0].ID); diff != "" {
		t.Errorf("the id differs (-want +got):\n%s", diff)
	}
}

// TestLock checks that each upstream knows what was reviewed of its tools, and that a
// file which cannot be read is a mistake.
func TestLock(t *testing.T) {
	pin, err := lock.PinOf([]byte(`{"name": "add", "inputSchema": {"type": "object"}}`))
	must(t, err)
	text := string(lock.File{Upstreams: map[string]lock.Upstream{"notes": {Tools: map[string]lock.Pin{"add": pin}}}}.Text())
	two := "-- conf/gateway.hcl --\nupstream \"notes\" {\n  url = \"http://localhost:1/mcp\"\n}\nupstream \"clock\" {\n  url = \"http://localhost:1/mcp\"\n}\n-- args --\nconf\n"
	a := archive(two)
	a.Files = append(a.Files, textFile("conf/mcpagg.lock", text))
	out := run(t, a)
	must(t, out.err)
	ups := out.config.Gateway.Upstreams
	if got := ups[0].Pins["add"]; !got.Equal(pin) || ups[1].Pins != nil {
		t.Errorf("pins %+v and %+v", ups[0].Pins, ups[1].Pins)
	}
	if dir, _ := os.Getwd(); out.config.LockFile != filepath.Join(dir, "conf/mcpagg.lock") {
		t.Errorf("the file is %s", out.config.LockFile)
	}
	if got := run(t, archive(two)).config.Gateway.Upstreams[0].Pins; got != nil {
		t.Errorf("without a file: %+v", got)
	}
	a.Files[len(a.Files)-1] = textFile("conf/mcpagg.lock", strings.Replace(text, "object", "array", 1))
	if got := run(t, a).text; !strings.Contains(got, "conf/mcpagg.lock:") || !strings.Contains(got, "review it anew with: mcpagg lock") {
		t.Errorf("a file that somebody has changed: %s", got)
	}
}

// TestPolicyWarnings checks that what is no mistake is told with its place, and not too
// much of it.
func TestPolicyWarnings(t *testing.T) {
	var text strings.Builder
	for i := range 30 {
		fmt.Fprintf(&text, "permit (principal in Group::\"team %d\", action, resource);\n", i)
	}
	out := run(t, withPolicies("  dir  = \"p\"\n  mode = \"observe\"\n}\n\ngroup \"platform\" {\n  id = \"1\"\n", textFile("p/a.cedar", text.String())))
	must(t, out.err)
	got := out.config.Warnings
	if len(got) != mostPolicyWarnings+2 {
		t.Fatalf("%d warnings: %q", len(got), got)
	}
	if !strings.HasPrefix(got[1], `p/a.cedar:2: No group block is called "team 1"`) || strings.HasSuffix(got[1], ".") {
		t.Errorf("the second is %q", got[1])
	}
	want := []string{"there are 10 more warnings about policies", "policies are only observed: what they deny is let through"}
	if !slices.Equal(got[mostPolicyWarnings:], want) {
		t.Errorf("they end with %q", got[mostPolicyWarnings:])
	}
	out = run(t, withPolicies("  dir = \"p\"\n", textFile("p/a.cedar", "// Nobody yet.\n")))
	must(t, out.err)
	if want := []string{"there is no policy in p/: nobody may use anything"}; !slices.Equal(out.config.Warnings, want) {
		t.Errorf("without a policy: %q", out.config.Warnings)
	}
}
