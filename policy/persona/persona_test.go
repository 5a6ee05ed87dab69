package persona_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/source"
)

const full = `
# Who tests call as.
persona "dev" {
  id         = "contoso/u-1"
  name       = "Dev Eloper"
  email      = "dev@contoso.com"
  groups     = ["platform", "on-call"]
  roles      = ["author"]
  scopes     = ["mcp.access"]
  app        = "vscode"
  claims     = { department = "R&D", level = 3, "odd name" = [1, 2], gone = null }
  mfa        = true
  acrs       = ["c1"]
  auth_age   = "5m"
  ip         = "203.0.113.7"
}
persona "bot" { workload = true }
`

func read(t *testing.T, text string) []*persona.Persona {
	t.Helper()
	all, err := persona.Read("personas.hcl", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRead(t *testing.T) {
	age := 5 * time.Minute
	want := []*persona.Persona{
		{
			Name: "dev", ID: "contoso/u-1", DisplayName: "Dev Eloper", Email: "dev@contoso.com",
			Groups: []string{"platform", "on-call"}, Roles: []string{"author"}, Scopes: []string{"mcp.access"}, App: "vscode",
			Claims: map[string]any{"department": "R&D", "level": int64(3), "odd name": []any{int64(1), int64(2)}},
			MFA:    true, ACRs: []string{"c1"}, AuthAge: &age, IP: netip.MustParseAddr("203.0.113.7"),
			File: "personas.hcl", Line: 3,
		},
		{Name: "bot", Workload: true, File: "personas.hcl", Line: 17},
	}
	if diff := cmp.Diff(want, read(t, full), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReadMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`persona "dev" { group = ["a"] }`:                                `p.hcl:1:17: a persona has no attribute "group"; did you mean "groups"?`,
		`persona "dev" { colour = "red" }`:                               `p.hcl:1:17: a persona has no attribute "colour"; its attributes are acrs, app, auth_age, claims,`,
		`persona { }`:                                                    `p.hcl:1:1: this persona has no name; write persona "…" {`,
		`persona "" { }`:                                                 `p.hcl:1:9: the name of this persona is empty`,
		`persona "a" "b" { }`:                                            `p.hcl:1:13: a persona has one name`,
		`person "a" { }`:                                                 `p.hcl:1:1: such a file has no block "person"; did you mean "persona"?`,
		"persona \"a\" {}\npersona \"a\" {}":                             `p.hcl:2:9: there is another persona "a" at line 1`,
		`persona "a" { mfa = "sometimes" }`:                              `p.hcl:1:21: mfa must be true or false, not a text`,
		`persona "a" { groups = [["b"]] }`:                               `p.hcl:1:24: groups must be a list of texts`,
		`persona "a" { roles = [""] }`:                                   `p.hcl:1:23: there is an empty text in roles`,
		`persona "a" { auth_age = "5 minutes" }`:                         `p.hcl:1:26: "5 minutes" is no time such as`,
		`persona "a" { ip = "10.0.0.0/8" }`:                              `p.hcl:1:20: "10.0.0.0/8" is no address`,
		`persona "a" { claims = ["x"] }`:                                 `p.hcl:1:24: claims must be a map such as`,
		"persona \"a\" {\n  claims { x = 1 }\n}":                         `p.hcl:2:3: a persona has no block "claims"; it is an attribute: write claims = …`,
		`persona "a" { groups = [local.x] }`:                             `p.hcl:1:25: groups has to be written out`,
		`persona "a" { name = upper("x") }`:                              `p.hcl:1:22: name has to be written out`,
		`persona "a" { groups = ["g"] groups_known = false }`:            `p.hcl:1:30`,
		"persona \"a\" {\n  groups = [\"g\"]\n  groups_known = false\n}": `p.hcl:3:18: this persona has groups, and groups_known = false says that nobody knows them`,
		`persona "a" {`:                                                  `p.hcl:1:1`,
	} {
		_, err := persona.Read("p.hcl", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestAllMistakes tells every mistake of a file at once, in its order.
func TestAllMistakes(t *testing.T) {
	_, err := persona.Read("p.hcl", []byte("persona \"a\" {\n  mfa = 3\n  emial = \"x\"\n}\npersona \"b\" {\n  ip = \"x\"\n}\n"))
	var mistakes source.Mistakes
	if !errors.As(err, &mistakes) || len(mistakes) != 3 {
		t.Fatalf("got %v, want three mistakes", err)
	}
	for i, line := range []int{2, 3, 6} {
		if mistakes[i].Line != line {
			t.Errorf("mistake %d is %v, want one at line %d", i, mistakes[i], line)
		}
	}
}

// TestDecisions asks an engine about personas: each is what a policy sees.
func TestDecisions(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	dev, bot := read(t, full)[0], read(t, full)[1]
	dev = dev.Resolve(map[string]string{"platform": "4f1c2d3e-0000-0000-0000-000000000001"})
	for condition, want := range map[string][2]bool{
		`principal == User::"contoso/u-1" && principal.id == "u-1" && principal.tenant == "contoso"`:                    {true, false},
		`principal == Workload::"bot" && principal is Workload`:                                                         {false, true},
		`principal in Group::"platform" && principal in Group::"4f1c2d3e-0000-0000-0000-000000000001"`:                  {true, false},
		`principal in Role::"author" && principal.scopes.contains("mcp.access") && principal.claim_scp == "mcp.access"`: {true, false},
		`principal.claim_department == "R&D" && principal.claim_level == 3 && principal.claim_sub == "u-1"`:             {true, false},
		`principal.name == "Dev Eloper" && principal.email == "dev@contoso.com"`:                                        {true, false},
		`context.app == App::"vscode"`:                                                               {true, false},
		`context.app == App::"unknown" && !principal.guest`:                                          {false, true},
		`context.auth.mfa && context.auth.acrs.contains("c1") && context.auth.age <= duration("5m")`: {true, false},
		`!(context.auth has age)`:                                                                    {false, true},
	} {
		e := engine(t, "permit(principal, action, resource) when { "+condition+" };")
		for i, p := range []*persona.Persona{dev, bot} {
			principal := p.Principal()
			principal.Auth = p.Auth(now)
			got := e.Decide(&policy.Request{Principal: principal, Object: policy.ToolObject(policy.Tool{Upstream: "a", Original: "b"}), Now: now})
			if got.Allow != want[i] {
				t.Errorf("%s: %s is allowed: %v, want %v", condition, p.Name, got.Allow, want[i])
			}
		}
	}
}

func TestGroupsUnknown(t *testing.T) {
	p := read(t, `persona "somebody" { groups_known = false }`)[0]
	e := engine(t, `permit(principal, action, resource); permit(principal in Group::"a", action, resource);`)
	if why := e.GroupsNeeded(p.Principal()); !strings.Contains(why, "somebody has groups_known = false") {
		t.Errorf("groups are needed: %q", why)
	}
}

// TestResolve knows a group by its alias and by its id, whichever is written.
func TestResolve(t *testing.T) {
	ids := map[string]string{"platform": "id-1", "late": ""}
	for _, written := range []string{"platform", "id-1"} {
		p := (&persona.Persona{Groups: []string{written}}).Resolve(ids)
		if diff := cmp.Diff([][]string{{"platform"}, {"id-1"}}, [][]string{p.Groups, p.GroupIDs}); diff != "" {
			t.Errorf("%s (-want +got)\n%s", written, diff)
		}
	}
	if p := (&persona.Persona{Groups: []string{"late", "other"}}).Resolve(ids); len(p.Groups) != 2 || p.GroupIDs != nil {
		t.Errorf("groups without an id became %q and %q", p.Groups, p.GroupIDs)
	}
}

func TestAtoms(t *testing.T) {
	policies := engine(t, `
		permit(principal in Group::"b", action, resource);
		forbid(principal, action, resource) when { principal in Group::"a" || principal.groups.contains("c") || principal.claim_groups.containsAny(["d", "b"]) };
		permit(principal in Role::"reader", action, resource) when { principal.roles.contains("writer") && ["x"].contains("y") };`).Policies()
	want := []*persona.Persona{
		{Name: "anybody", ID: "somebody"},
		{Name: "Group a", ID: "somebody", Groups: []string{"a"}},
		{Name: "Group b", ID: "somebody", Groups: []string{"b"}},
		{Name: "Group c", ID: "somebody", Groups: []string{"c"}},
		{Name: "Group d", ID: "somebody", Groups: []string{"d"}},
		{Name: "Role reader", ID: "somebody", Roles: []string{"reader"}},
		{Name: "Role writer", ID: "somebody", Roles: []string{"writer"}},
	}
	if diff := cmp.Diff(want, persona.Atoms(policies), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func engine(t *testing.T, text string) *policy.Engine {
	t.Helper()
	policies, _, err := source.Parse([]source.File{{Name: "p.cedar", Text: []byte(text)}}, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := policy.New(policy.Options{Policies: policies})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// FuzzRead wants mistakes with places, or personas of which callers can be made.
func FuzzRead(f *testing.F) {
	for _, s := range []string{full, `persona "a" { claims = { a = [[-1.5e300, "${1}"]], "b" = <<X` + "\nx\nX\n} }", `persona "a" { groups = [for x in [1] : x] }`, "persona \"\x00\xff\" { id = \"#/\" }"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := persona.Read("p.hcl", []byte(text))
		var mistakes source.Mistakes
		if err != nil && !errors.As(err, &mistakes) {
			t.Fatalf("error %T, want mistakes", err)
		}
		for _, m := range mistakes {
			if line := m.String(); strings.ContainsAny(line, "\n\x00\x1b") || !utf8.ValidString(line) {
				t.Fatalf("%q is not one line", line)
			}
		}
		if err != nil {
			return
		}
		for _, p := range all {
			claims := p.Principal().Claims
			if len(claims) == 0 || p.Name == "" {
				t.Fatalf("%+v makes no caller", p)
			}
		}
	})
}
