package suite_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/suite"
)

const policies = `
@id("engineers-open-issues")
permit (principal in Group::"platform", action, resource == Tool::"github/create_issue")
when { context.input.owner == "contoso" }
unless { context.input has labels && context.input.labels.contains("secret") };

@id("everybody-reads")
permit (principal, action, resource)
when { resource.read_only };

@id("no-deletes")
@deny_message("Nobody deletes repositories here.")
forbid (principal, action, resource == Tool::"github/delete_repo");

@id("prompts-and-docs")
permit (principal in Group::"platform", action in [Action::"get_prompt", Action::"read_resource"], resource);
`

func schema(required string, properties string) json.RawMessage {
	return json.RawMessage(`{"type":"object","required":[` + required + `],"properties":{` + properties + `}}`)
}

var catalog = policy.Catalog{
	Tools: []policy.Tool{
		{Upstream: "github", Original: "create_issue", Published: "gh_create_issue", InputSchema: schema(`"owner"`, `"owner":{"type":"string"},"labels":{"type":"array","items":{"type":"string"}}`)},
		{Upstream: "github", Original: "delete_repo", Published: "gh_delete_repo", InputSchema: schema(`"repo"`, `"repo":{"type":"string"}`)},
		{Upstream: "github", Original: "get_issue", Published: "gh_get_issue", Trusted: true, Annotations: json.RawMessage(`{"readOnlyHint":true}`), InputSchema: schema("", `"number":{"type":"integer"}`)},
	},
	Prompts:   []policy.Prompt{{Upstream: "github", Original: "review", Published: "gh_review", Arguments: json.RawMessage(`[{"name":"pr"}]`)}},
	Resources: []policy.Resource{{Upstream: "docs", URI: "file:///a.md", Published: "docs+file:///a.md"}},
	Templates: []policy.Resource{{Upstream: "docs", URI: "file:///{path}", Published: "docs+file:///{path}"}},
}

// options decide by the policies, about the catalog.
func options(t *testing.T, text string) suite.Options {
	t.Helper()
	parsed, _, err := source.Parse([]source.File{{Name: "policies/github.cedar", Text: []byte(text)}}, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return suite.Options{
		Policy: policy.Options{Policies: parsed}, Catalog: catalog,
		CheckArguments: func(schema json.RawMessage) func(json.RawMessage) error {
			return func(arguments json.RawMessage) error {
				if bytes.Contains(schema, []byte(`"owner"]`)) && !bytes.Contains(arguments, []byte(`"owner"`)) {
					return errors.New(`missing properties: ["owner"]`)
				}
				return nil
			}
		},
	}
}

const personas = `
persona "dev" { groups = ["platform"] }
persona "guest" {}
`

func parse(t *testing.T, text string) *suite.Suite {
	t.Helper()
	s, err := suite.ParseFiles([]source.File{{Name: "policies/a_test.hcl", Text: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t *testing.T, text string, o suite.Options) *suite.Report {
	t.Helper()
	r, err := parse(t, text).Run(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// text is what people read of a report, without the time that it took.
func text(t *testing.T, r *suite.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(` in \d+\.\d\d s`).ReplaceAllString(b.String(), "")
}

const passing = personas + `
test "engineers write issues, nobody deletes repositories" {
  as = "dev"
  call "github/create_issue" {
    input  = { owner = "contoso" }
    expect = "allow"
    by     = ["engineers-open-issues"]
  }
  call "gh_create_issue" {
    input  = { owner = "contoso", labels = ["secret"] }
    expect = "deny"
    by     = []
  }
  call "github/delete_repo" {
    input   = { repo = "web" }
    expect  = "deny"
    by      = ["no-deletes"]
    message = "" # they do not see it
  }
  list {
    includes = ["github/create_*", "gh_get_issue"]
    excludes = ["*delete*"]
    count    = 2
  }
  list "prompts" { count = 1 }
  get "gh_review" { expect = "allow" }
  read "docs/file:///a.md" { expect = "allow" }
  read "docs/file:///not/listed.md" { expect = "allow" }
  read "docs/file:///a/../b.md" { expect = "deny" }
}

test "everybody reads" {
  as = ["dev", "guest"]
  call "github/get_issue" { expect = "allow" }
  list "tools" { includes = ["github/get_issue"] }
}

test "guests see no documents" {
  as = "guest"
  list "resources" { count = 0 }
  list { excludes = ["github/create_*"] }
}
`

func TestPassing(t *testing.T) {
	r := run(t, passing, options(t, policies))
	if got := text(t, r); got != "ok    3 tests, 15 cases\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestFailures(t *testing.T) {
	r := run(t, personas+`
test "wrong" {
  as = "guest"
  call "github/create_issue" {
    input  = { owner = "contoso" }
    expect = "allow"
    by     = ["engineers-open-issues"]
  }
  call "github/delete_repo" {
    input   = { repo = "main" }
    expect  = "deny"
    message = "No."
  }
  call "github/get_issue" { expect = "deny" }
  list { includes = ["github/*"] }
  list { excludes = ["github/get_*"] }
  list { count = 3 }
}
test "rotten" {
  as = ["dev", "guest"]
  call "github/create_isue" { expect = "deny" }
  call "create_issue" { expect = "deny" }
  call "github/create_issue" {
    input  = { ownr = "contoso" }
    expect = "deny"
  }
  call "github/create_issue" {
    input  = { owner = "contoso", label = ["a"] }
    expect = "deny"
  }
  get "github/reviews" { expect = "deny" }
  read "dcs/file:///a.md" { expect = "deny" }
  list { includes = ["github/list_*"] }
  call "github/get_issue" {}
}
`, options(t, policies))
	want := `FAIL  wrong
  policies/a_test.hcl:7: call github/create_issue as guest
    expected  allow by engineers-open-issues
    got       deny by no policy
    why       no policy permits it; it is not in their list of tools, and so they are told that it does not exist
  policies/a_test.hcl:12: call github/delete_repo as guest
    expected  deny, with the message "No."
    got       deny by no-deletes
              policies/github.cedar:11: no-deletes
    why       a policy forbids it; it is not in their list of tools, and so they are told that it does not exist
  policies/a_test.hcl:17: call github/get_issue as guest
    expected  deny
    got       allow by everybody-reads
              policies/github.cedar:7: everybody-reads
  policies/a_test.hcl:18: list tools as guest
    expected  "github/*" listed
    got       not listed: github/create_issue, github/delete_repo
  policies/a_test.hcl:19: list tools as guest
    expected  "github/get_*" not listed
    got       listed: github/get_issue
  policies/a_test.hcl:20: list tools as guest
    expected  3 tools
    got       1: github/get_issue

FAIL  rotten
  policies/a_test.hcl:24: call github/create_isue as dev
    error     there is no tool "github/create_isue"; did you mean "github/create_issue"?
  policies/a_test.hcl:25: call create_issue as dev
    error     there is no tool "create_issue"; did you mean "github/create_issue"?
  policies/a_test.hcl:26: call github/create_issue as dev
    error     the input does not fit the input schema of "github/create_issue": missing properties: ["owner"]
  policies/a_test.hcl:30: call github/create_issue as dev
    error     the input does not fit the input schema of "github/create_issue": "label" is not declared; did you mean "labels"?
  policies/a_test.hcl:34: get github/reviews as dev
    error     there is no prompt "github/reviews"; did you mean "github/review"?
  policies/a_test.hcl:35: read dcs/file:///a.md as dev
    error     there is no resource "dcs/file:///a.md"; did you mean "docs/file:///a.md"?
  policies/a_test.hcl:36: list tools as dev
    error     no tool is called "github/list_*"; patterns are for upstream/name and for published names
  policies/a_test.hcl:37: call github/get_issue as dev
    expected  nothing: write expect = "allow" or "deny", or have --update write it
    got       allow by everybody-reads
              policies/github.cedar:7: everybody-reads
  policies/a_test.hcl:37: call github/get_issue as guest
    expected  nothing: write expect = "allow" or "deny", or have --update write it
    got       allow by everybody-reads
              policies/github.cedar:7: everybody-reads

FAIL  2 of 2 tests, 15 cases
`
	if diff := cmp.Diff(want, text(t, r)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestCircumstances has tests say when, from where and after what a request comes.
func TestCircumstances(t *testing.T) {
	o := options(t, `
		permit (principal, action, resource == Tool::"github/delete_repo") when {
			context.now == datetime("2026-11-23T12:00:00Z") && context.ip == ip("203.0.113.7") &&
			context.session.calls == 3 && context.session.labels.contains("private") &&
			context.app == App::"vscode" && context.auth.age == duration("5m") };
		permit (principal, action, resource == Tool::"github/get_issue") when {
			context.now == datetime("2026-01-01T12:00:00Z") && !(context has ip) && context.session.calls == 0 && context.app == App::"unknown" };
		@max_bytes_in("20B")
		permit (principal, action, resource == Tool::"github/create_issue");`)
	r := run(t, `
persona "a" {
  app      = "vscode"
  ip       = "203.0.113.8"
  auth_age = "5m"
}
persona "b" {}
test "as it says" {
  as  = "a"
  now = "2026-11-23T13:00:00+01:00"
  ip  = "203.0.113.7"
  session {
    calls  = 3
    labels = ["private"]
  }
  call "github/delete_repo" {
    input  = { repo = "web" }
    expect = "allow"
  }
}
test "as it is otherwise" {
  as = "b"
  call "github/get_issue" { expect = "allow" }
}
test "few bytes" {
  as = "b"
  call "github/create_issue" {
    input  = { owner = "contoso and more" }
    expect = "deny"
  }
  call "github/create_issue" {
    input  = { owner = "a" }
    expect = "allow"
  }
}`, o)
	if got := text(t, r); got != "ok    3 tests, 4 cases\n" {
		t.Errorf("got\n%s", got)
	}
}

// TestMessage has a message for who sees the tool, and none for who does not.
func TestMessage(t *testing.T) {
	o := options(t, `@deny_message("Not this one.")
		permit (principal in Group::"platform", action, resource) when { context.input has repo && context.input.repo == "web" };`)
	r := run(t, personas+`
test "seen" {
  as = "dev"
  call "github/delete_repo" {
    input   = { repo = "api" }
    expect  = "deny"
    message = "Not this one."
  }
}
test "not seen" {
  as = "guest"
  call "github/delete_repo" {
    input   = { repo = "api" }
    expect  = "deny"
    message = ""
  }
}
test "another message" {
  as = "dev"
  call "github/delete_repo" {
    input   = { repo = "api" }
    expect  = "deny"
    message = "No."
  }
}`, o)
	want := `FAIL  another message
  policies/a_test.hcl:23: call github/delete_repo as dev
    expected  deny, with the message "No."
    got       deny by no policy
    why       no policy permits it
    message   "Not this one."

FAIL  1 of 3 tests, 3 cases
`
	if diff := cmp.Diff(want, text(t, r)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestObserve tests what policies say, though the gateway would let it through.
func TestObserve(t *testing.T) {
	o := options(t, policies)
	o.Policy.Observe = true
	if got := text(t, run(t, passing, o)); !strings.HasPrefix(got, "ok") {
		t.Errorf("got\n%s", got)
	}
}

func TestRunSome(t *testing.T) {
	o := options(t, policies)
	o.Run = regexp.MustCompile("guests|reads")
	if r := run(t, passing, o); len(r.Results) != 2 {
		t.Errorf("%d tests ran, want 2", len(r.Results))
	}
}

func TestCoverage(t *testing.T) {
	o := options(t, policies)
	o.Coverage = true
	r := run(t, personas+`
test "some" {
  as = "dev"
  call "github/create_issue" {
    input  = { owner = "contoso" }
    expect = "allow"
  }
  call "github/create_issue" {
    input  = { owner = "evil" }
    expect = "deny"
  }
}`, o)
	want := `coverage  1/4 of policies, 1/3 of conditions, 1/3 of tools
  policies/github.cedar:7: everybody-reads decided nothing
  policies/github.cedar:11: no-deletes decided nothing
  policies/github.cedar:15: prompts-and-docs decided nothing
  policies/github.cedar:2: condition 2 (unless) of engineers-open-issues was always false
  policies/github.cedar:7: condition 1 (when) of everybody-reads was always false
  no test calls github/delete_repo
  no test calls github/get_issue

ok    1 test, 2 cases
`
	if diff := cmp.Diff(want, text(t, r)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	raw, err := json.Marshal(r)
	if err != nil || !bytes.Contains(raw, []byte(`"coverage":{"policies":{"covered":1,"all":4}`)) || !bytes.Contains(raw, []byte(`"uncalled":["github/delete_repo","github/get_issue"]`)) {
		t.Errorf("%v\n%s", err, raw)
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`tset "a" {}`:                                                                                                  `a_test.hcl:1:1: such a file has no block "tset"; did you mean "test"?`,
		`test { as = "dev" }`:                                                                                          `a_test.hcl:1:1: this test has no name`,
		`test "a" { as = "dev" }`:                                                                                      `a_test.hcl:1:6: this test tests nothing`,
		"test \"a\" {\n  list { count = 1 }\n}":                                                                        `a_test.hcl:1:6: it is not said who calls`,
		"test \"a\" {\n  as = \"dve\"\n  list { count = 1 }\n}":                                                        `a_test.hcl:2:8: there is no persona "dve"; did you mean "dev"?`,
		"test \"a\" {\n  as = \"zzz\"\n  list { count = 1 }\n}":                                                        `a_test.hcl:2:8: there is no persona "zzz"; write persona "zzz" { … } in this file, or in personas.hcl`,
		"test \"a\" {\n  as = [\"dev\", \"dev\"]\n  list { count = 1 }\n}":                                             `a_test.hcl:2:8: the persona "dev" is named twice`,
		"test \"a\" {\n  as = \"dev\"\n  list {}\n}":                                                                   `a_test.hcl:3:3: this list says nothing`,
		"test \"a\" {\n  as = \"dev\"\n  list \"tool\" { count = 1 }\n}":                                               `a_test.hcl:3:8: there is no list of "tool"; did you mean "tools"?`,
		"test \"a\" {\n  as = \"dev\"\n  call \"x\" { expect = \"permit\" }\n}":                                        `a_test.hcl:3:23: "permit" is neither allow nor deny`,
		"test \"a\" {\n  as = \"dev\"\n  call \"x\" { inputs = {} }\n}":                                                `a_test.hcl:3:14: a call has no attribute "inputs"; did you mean "input"?`,
		"test \"a\" {\n  as = \"dev\"\n  read \"x\" { input = {} }\n}":                                                 `a_test.hcl:3:14: a read has no attribute "input"`,
		"test \"a\" {\n  as = \"dev\"\n  call \"x\" {\n    expect = \"allow\"\n    message = \"m\"\n  }\n}":            `a_test.hcl:5:15: who is allowed something is told nothing`,
		"test \"a\" {\n  as = \"dev\"\n  now = \"noon\"\n  list { count = 1 }\n}":                                      `a_test.hcl:3:9: "noon" is no time such as`,
		"test \"a\" {\n  as = \"dev\"\n  list { count = -1 }\n}":                                                       `a_test.hcl:3:18: count must be a whole number from 0`,
		"test \"a\" {\n  as = \"dev\"\n  list { count = 1 }\n}\ntest \"a\" {\n  as = \"dev\"\n  list { count = 1 }\n}": `a_test.hcl:5:6: there is another test "a" at line 1`,
	} {
		_, err := suite.ParseFiles([]source.File{{Name: "a_test.hcl", Text: []byte(text)}, {Name: "personas.hcl", Text: []byte(personas)}})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestFiles finds tests in folders, and shares personas with those below.
func TestFiles(t *testing.T) {
	one := func(as string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("test \"t\" {\n  as = \"" + as + "\"\n  list { count = 1 }\n}\n")}
	}
	folder := fstest.MapFS{
		"personas.hcl": {Data: []byte(`persona "dev" {}`)}, "a_test.hcl": one("dev"), "team/b_test.hcl": one("dev"),
		".git/c_test.hcl": one("dev"), "a.cedar": {}, "gateway.hcl": {Data: []byte("upstream {")}, ".d_test.hcl": one("dev"),
	}
	files, err := suite.Files(folder, "policies")
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"policies/a_test.hcl", "policies/personas.hcl", "policies/team/b_test.hcl"}, names); err != nil || diff != "" {
		t.Fatalf("%v (-want +got)\n%s", err, diff)
	}
	if s, err := suite.ParseFiles(files); err != nil || len(s.Tests) != 2 {
		t.Errorf("%v, %+v", err, s)
	}
	folder["team/personas.hcl"] = &fstest.MapFile{Data: []byte(`persona "lead" {}`)}
	folder["a_test.hcl"] = one("lead")
	files, _ = suite.Files(folder, "policies")
	if _, err := suite.ParseFiles(files); err == nil || !strings.Contains(err.Error(), `there is no persona "lead"`) {
		t.Errorf("a persona of a folder below is shared: %v", err)
	}
}

func TestJUnit(t *testing.T) {
	r := run(t, passing+`
test "failing <&>" {
  as = "guest"
  call "github/get_issue" { expect = "deny" }
}
test "rotten" {
  as = "guest"
  call "github/nothing" { expect = "deny" }
}`, options(t, policies))
	var b bytes.Buffer
	if err := r.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
				Error *struct {
					Message string `xml:"message,attr"`
				} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 5 || got.Failures != 1 || got.Errors != 1 || len(got.Suites) != 1 || len(got.Suites[0].Cases) != 5 {
		t.Fatalf("got %+v\n%s", got, &b)
	}
	cases := got.Suites[0].Cases
	if cases[3].Name != "failing <&>" || cases[3].Failure == nil || cases[3].Failure.Message != "call github/get_issue as guest: expected deny, got allow by everybody-reads" {
		t.Errorf("got %+v", cases[3])
	}
	if cases[4].Error == nil || !strings.Contains(cases[4].Error.Message, "there is no tool") || cases[4].Failure != nil {
		t.Errorf("got %+v", cases[4])
	}
}

// TestUpdate has tests say what policies do, and leaves what it does not have to change.
func TestUpdate(t *testing.T) {
	const before = personas + `
# Why this test is here.
test "wrong" {
  as = "guest"
  call "github/create_issue" { # the call
    input  = { owner = "contoso" } # arguments
    expect = "allow"               # how it was
    by     = ["engineers-open-issues", "x"]
  }
  call "github/delete_repo" {
    input   = { repo = "web" }
    expect  = "allow"
  }
  call "gh_delete_repo" {
    input = { repo = "a" }
  }
  list {
    excludes = ["*delete*"]
    count    = 7
  }
}
test "kept" {
  as = ["dev", "guest"]
  call "github/create_issue" {
    input  = { owner = "contoso" }
    expect = "allow"
  }
  call "github/nothing" { expect = "allow" }
  list { includes = ["*delete*"] }
  call "github/get_issue" {}
}
`
	files := []source.File{{Name: "policies/a_test.hcl", Text: []byte(before)}, {Name: "policies/b_test.hcl", Text: []byte(personas)}}
	changed, changes := run(t, before, options(t, policies)).Update(files)
	want := strings.NewReplacer(
		"    expect = \"allow\"               # how it was\n    by     = [\"engineers-open-issues\", \"x\"]", "    expect = \"deny\"               # how it was\n    by     = []",
		"{ repo = \"web\" }\n    expect  = \"allow\"", "{ repo = \"web\" }\n    expect  = \"deny\"",
		"{ repo = \"a\" }\n", "{ repo = \"a\" }\n    expect = \"deny\"\n    by = [\"no-deletes\"]\n",
		"count    = 7", "count    = 1",
	).Replace(before)
	if len(changed) != 1 {
		t.Fatalf("%d files changed, want 1", len(changed))
	}
	if diff := cmp.Diff(want, string(changed[0].Text)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var told []string
	for _, c := range changes {
		told = append(told, fmt.Sprintf("%d %s %s>%s %.20s", c.Line, c.Name, c.Old, c.New, c.Kept))
	}
	wantTold := []string{
		`10 expect "allow">"deny" `, `11 by ["engineers-open-issues", "x"]>[] `, `15 expect "allow">"deny" `,
		`17 expect >"deny" `, `17 by []>["no-deletes"] `, `22 count 7>1 `,
		`27  > what comes of it is `, `31  > there is no tool "gi`, `32  > includes and exclude`, `33  > it is written in one`,
	}
	if diff := cmp.Diff(wantTold, told); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if r := run(t, string(changed[0].Text), options(t, policies)); len(r.Failed()) != 1 {
		t.Errorf("afterwards\n%s", text(t, r))
	}
}

// TestUpdateKeepsLayout aligns what it writes in a file that is laid out.
func TestUpdateKeepsLayout(t *testing.T) {
	const before = personas + "\ntest \"t\" {\n  as = \"guest\"\n  call \"github/delete_repo\" {\n    input = { repo = \"web\" }\n  }\n}\n"
	changed, _ := run(t, before, options(t, policies)).Update([]source.File{{Name: "policies/a_test.hcl", Text: []byte(before)}})
	want := strings.Replace(before, "    input = { repo = \"web\" }\n", "    input  = { repo = \"web\" }\n    expect = \"deny\"\n    by     = [\"no-deletes\"]\n", 1)
	if diff := cmp.Diff(want, string(changed[0].Text)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestManyCases decides 5,000 cases in less than a second.
func TestManyCases(t *testing.T) {
	var b strings.Builder
	b.WriteString(personas)
	for i := range 1000 {
		fmt.Fprintf(&b, "test \"t%d\" {\n  as = \"dev\"\n", i)
		for range 5 {
			b.WriteString("  call \"github/create_issue\" {\n    input = { owner = \"contoso\" }\n    expect = \"allow\"\n    by = [\"engineers-open-issues\"]\n  }\n")
		}
		b.WriteString("}\n")
	}
	o := options(t, policies)
	begun := time.Now()
	r := run(t, b.String(), o)
	took := time.Since(begun)
	t.Logf("%d cases are read and decided in %v", r.Cases(), took)
	if most := time.Second; r.Cases() != 5000 || len(r.Failed()) > 0 || took > most && !raceEnabled {
		t.Errorf("%d cases, %d failed, in %v, want at most %v", r.Cases(), len(r.Failed()), took, most)
	}
}

// FuzzParse wants mistakes, or tests that can be run.
func FuzzParse(f *testing.F) {
	f.Add(passing)
	f.Add("test \"a\" {\n  as = \"dev\"\n  session { labels = [1] }\n  call \"github/create_issue\" {\n    input = { owner = -1e400, x = [[{ y = null }]] }\n  }\n}\n" + personas)
	f.Fuzz(func(t *testing.T, text string) {
		files := []source.File{{Name: "a_test.hcl", Text: []byte(text)}}
		s, err := suite.ParseFiles(files)
		var mistakes source.Mistakes
		if err != nil && !errors.As(err, &mistakes) {
			t.Fatalf("error %T, want mistakes", err)
		}
		if err != nil {
			return
		}
		r, err := s.Run(options(t, policies))
		if err != nil {
			t.Fatal(err)
		}
		if changed, _ := r.Update(files); len(changed) == 1 {
			if _, err := suite.ParseFiles(changed); err != nil {
				t.Fatalf("after an update: %v\n%s", err, changed[0].Text)
			}
		}
	})
}

// TestBy wants exactly the policies that decide, in any order.
func TestBy(t *testing.T) {
	o := options(t, `@id("a") permit (principal, action, resource); @id("b") permit (principal, action, resource);`)
	for by, passes := range map[string]bool{`["a", "b"]`: true, `["b", "a"]`: true, `["a"]`: false, `[]`: false, `["a", "b", "c"]`: false} {
		r := run(t, personas+"test \"t\" {\n  as = \"guest\"\n  call \"github/get_issue\" {\n    expect = \"allow\"\n    by = "+by+"\n  }\n}", o)
		if got := len(r.Failed()) == 0; got != passes {
			t.Errorf("by = %s passes: %v, want %v", by, got, passes)
		}
	}
}

// TestCoverageOfConditions wants each condition to have been both true and false.
func TestCoverageOfConditions(t *testing.T) {
	o := options(t, `permit (principal, action, resource) when { resource.read_only } unless { context.now < datetime("2020-01-01") } when { principal.guest };`)
	o.Coverage = true
	r := run(t, personas+"test \"t\" {\n  as = \"guest\"\n  call \"github/get_issue\" { expect = \"deny\" }\n}", o)
	var got []string
	for _, c := range r.Coverage.Constant {
		got = append(got, c.Word+" "+c.Was)
	}
	if diff := cmp.Diff([]string{"when always true", "unless always false", "when always false"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
