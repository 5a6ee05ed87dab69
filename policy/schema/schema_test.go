package schema_test

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/schema"
	"github.com/mcpagg/mcpagg/policy/source"
)

var update = flag.Bool("update", false, "rewrite the schemas in testdata")

// catalogues are objects of real tools.
func catalogues(t testing.TB) []*policy.Object {
	t.Helper()
	f, err := os.Open("../typed/testdata/schemas.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]json.RawMessage
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	var objects []*policy.Object
	for _, server := range slices.Sorted(maps.Keys(all)) {
		for _, name := range slices.Sorted(maps.Keys(all[server])) {
			objects = append(objects, policy.ToolObject(policy.Tool{Upstream: server, Original: name, InputSchema: all[server][name]}))
		}
	}
	if len(objects) < 300 {
		t.Fatalf("there are %d tools", len(objects))
	}
	return objects
}

// read resolves a schema, also by way of JSON.
func read(t testing.TB, text []byte) *ast.Schema {
	t.Helper()
	s, err := ast.ReadSchema("schema", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	raw, err := schema.JSON(text)
	if err != nil || !json.Valid(raw) {
		t.Fatalf("%v: %.100s", err, raw)
	}
	return s
}

// parse parses policies as they are loaded.
func parse(t testing.TB, text string, o source.Options) []*source.Policy {
	t.Helper()
	policies, _, err := source.Parse([]source.File{{Name: "t.cedar", Text: []byte(text)}}, o)
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

func TestCatalogues(t *testing.T) {
	objects := catalogues(t)
	for _, o := range objects {
		read(t, schema.Of(schema.Input{Objects: []*policy.Object{o}}))
	}
	read(t, schema.Of(schema.Input{Objects: objects}))
	read(t, schema.Of(schema.Input{}))
}

// odd is a tool with arguments that are hard to write down.
func odd() *policy.Object {
	return policy.ToolObject(policy.Tool{
		Upstream: "odd", Original: "a.b/c d-e\"\n", InputSchema: []byte(`{"type":"object","required":["in","x-y"],"properties":{
"in":{"type":"string"},"x-y":{"type":"integer"},"a.b":{"type":"number"},"é \"q\" \\ \u0007":{"type":"boolean"},"Set":{"type":"array","items":{"type":"string"}},
"has":{"type":"object","properties":{"if":{"type":"string","enum":["a\nentity X;","b"]}},"required":["if"]},
"any\u2028where":{"oneOf":[{"type":"string"},{"type":"integer"}]},"when":{"type":"string","format":"date-time"},"from":{"type":"string","format":"ipv4"}}}`),
	})
}

// inputOf is the input of a schema with everything in it.
func inputOf(t testing.TB) schema.Input {
	t.Helper()
	f, err := facts.Load([]source.File{
		{Name: "own.cedarschema", Text: []byte("entity Team in [Team] = { lead: User, \"odd-name\"?: Long };\nnamespace Contoso { entity Repo = { team: Team }; }\n")},
		{Name: "own.json", Text: []byte(`[
{"uid":{"type":"Team","id":"web"},"attrs":{"lead":{"__entity":{"type":"User","id":"t/a"}}},"parents":[]},
{"uid":{"type":"User","id":"t/a"},"attrs":{"level":3,"mixed":1},"parents":[{"type":"Team","id":"web"}]},
{"uid":{"type":"User","id":"t/b"},"attrs":{"mixed":"one"},"parents":[]},
{"uid":{"type":"Tool","id":"github/create_issue"},"attrs":{"data level":{"of":["a"]}},"parents":[]}]`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := schema.Input{
		Facts: f,
		Binds: []facts.Bind{
			{Name: "target", Type: "Contoso::Repo", ID: []facts.Part{{Argument: []string{"repo"}}}},
			{Name: "place", Type: "Other::Place", ID: []facts.Part{{Argument: []string{"repo"}}}},
		},
		Objects: []*policy.Object{
			policy.ToolObject(policy.Tool{Upstream: "github", Original: "create_issue", InputSchema: []byte(`{"type":"object","required":["repo","draft"],"properties":{"repo":{"type":"string"},"draft":{"type":"boolean"},"labels":{"type":"array","items":{"type":"string"}},"kind":{"enum":["bug","idea"]},"at":{"type":"object","properties":{"line":{"type":"integer"},"file":{"type":"string"}},"required":["file"]}}}`)}),
			policy.ToolObject(policy.Tool{Upstream: "github", Original: "list", InputSchema: []byte(`{"type":"object","required":["repo"],"properties":{"repo":{"type":"string"},"draft":{"type":"string"},"kind":{"enum":["bug"]},"at":{"type":"object","properties":{"line":{"type":"number"}}}}}`)}),
			odd(),
			policy.PromptObject(policy.Prompt{Upstream: "github", Original: "review", Arguments: []byte(`[{"name":"pr","required":true},{"name":"my tone"}]`)}),
			policy.ResourceObject(policy.Resource{Upstream: "github", URI: "file:///a"}),
		},
	}
	in.Policies = parse(t, samples, source.Options{Types: append(f.Types, "Other::Place"), Targets: []string{"target", "place"}, Attributes: f.Attributes})
	return in
}

// samples say most of what can be said.
const samples = `
permit (principal in Group::"platform", action == Action::"call_tool", resource in Upstream::"github")
when { context.input.repo == "web" && (if context.input has kind then context.input.kind == "bug" else true) };
permit (principal is Workload in Role::"reader", action in [Action::"get_prompt", Action::"read_resource"], resource);
permit (principal, action == Action::"get_prompt", resource == Prompt::"github/review")
when { context.input.pr like "1*" && context.input has "my tone" && context.input["my tone"] != "rude" };
permit (principal, action == Action::"read_resource", resource)
when { resource.uri like "file:///*" && resource has mime_type && resource.mime_type == "text/plain" };
forbid (principal, action, resource)
unless { context.auth.mfa && context.auth.acrs.contains("c1") && context.auth has age && context.auth.age < duration("1h") };
forbid (principal, action, resource) when { context has ip && !context.ip.isInRange(ip("10.0.0.0/8")) };
forbid (principal, action == Action::"call_tool", resource)
when { context.session.labels.contains("private") && resource.open_world || context.bytes > 1000 || context.session.calls > 5 };
permit (principal, action == Action::"call_tool", resource == Tool::"github/create_issue")
when { context.size has labels && context.size.labels <= 3 && context.input has at && context.input.at has file && context.input.at.file like "*.go" };
permit (principal, action == Action::"call_tool", resource == Tool::"odd/a.b/c d-e\"\n")
when { context.input["x-y"] > 3 && context.input has "has" && context.input["has"]["if"] == "b" };
permit (principal is User, action, resource)
when { principal has claim_department && principal.claim_department == "IT" && principal.hasTag("office") && principal.getTag("office") == "Oslo" };
permit (principal is User, action, resource)
when { principal has claim_teams && principal.claim_teams.contains("web") && principal has claim_level && principal.claim_level > 3 && principal has level && principal.level > 2 };
permit (principal, action == Action::"call_tool", resource)
when { context has target && principal in context.target.team && context.target.team.lead == principal };
permit (principal, action == Action::"call_tool", resource == Tool::"github/create_issue")
when { resource has "data level" && resource["data level"].of.contains("a") && context.app == App::"vscode" && context.app.name == "VS" };
permit (principal in Client::"s", action == Action::"call_tool", resource in MCP::"github")
when { context.arg_repo == "web" && (if context has arg_labels_present then context.arg_labels_present else true) && principal.claim_groups.contains("g") && principal in THVGroup::"g" };
`

// TestSamplesValidate checks policies by a schema of everything, as strictly as Cedar
// can.
func TestSamplesValidate(t *testing.T) {
	in := inputOf(t)
	text := schema.Of(in)
	s := read(t, text)
	for _, p := range in.Policies {
		if err := ast.CheckPolicy(s, p.AST); err != nil {
			t.Errorf("%s: %v", p.ID, err)
		}
	}
	golden(t, "testdata/all.cedarschema", text)
	golden(t, "testdata/odd.cedarschema", schema.Of(schema.Input{Objects: []*policy.Object{odd()}}))
	if again := schema.Of(in); string(again) != string(text) {
		t.Errorf("written again it is another\n%s", cmp.Diff(string(text), string(again)))
	}
}

// TestMistakesDoNotValidate has the schema of one tool find what is wrong about it.
func TestMistakesDoNotValidate(t *testing.T) {
	in := inputOf(t)
	in.Objects = in.Objects[:1]
	s := read(t, schema.Of(in))
	for _, condition := range []string{
		`context.input.reppo == "x"`, `context.input.repo == 3`, `context.input.kind == "bug"`, `resource.uri == "x"`,
		`context.size.repo == "x"`, `principal.claim_department == "x"`, `context.target.owner == "x"`,
	} {
		all, _, err := source.Parse([]source.File{{Name: "t.cedar", Text: fmt.Appendf(nil, `permit (principal, action == Action::"call_tool", resource) when { %s };`, condition)}},
			source.Options{Targets: []string{"target"}, Types: in.Facts.Types})
		if err == nil && ast.CheckPolicy(s, all[0].AST) == nil {
			t.Errorf("%s is valid", condition)
		}
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}

// FuzzOf takes any tool.
func FuzzOf(f *testing.F) {
	f.Add("up", "tool", []byte(`{"type":"object","properties":{"a":{"type":"string"},"b":{"enum":["\n}"]}}}`), []byte(`[{"name":"x y"}]`))
	f.Add("u\u2028p", "\n\"*/", []byte(`{"properties":{"\u0000":{"type":"object","properties":{"true":{"type":"number"}}},"__cedar":{"type":"string"}}}`), []byte(`[{"name":"\r"}]`))
	f.Fuzz(func(t *testing.T, upstream, name string, input, arguments []byte) {
		objects := []*policy.Object{
			policy.ToolObject(policy.Tool{Upstream: upstream, Original: name, InputSchema: input}),
			policy.PromptObject(policy.Prompt{Upstream: upstream, Original: name, Arguments: arguments}), odd(),
		}
		for _, o := range [][]*policy.Object{objects, objects[:1], objects[1:2]} {
			text := schema.Of(schema.Input{Objects: o})
			if _, err := ast.ReadSchema("", text); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if strings.Count(string(text), "\nentity ") != 13 {
				t.Fatalf("a name left its place\n%s", text)
			}
		}
	})
}
