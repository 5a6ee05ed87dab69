package check_test

import (
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A listedTool is one of a catalogue.
type listedTool struct {
	Name, Title string
	Annotations json.RawMessage
	InputSchema json.RawMessage
}

// catalogues are the tools of real servers, and of one whose names are odd.
func catalogues(t testing.TB) map[string][]listedTool {
	t.Helper()
	f, err := os.Open("testdata/catalogues.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]listedTool
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	odd, err := os.ReadFile("testdata/odd.json")
	if err != nil {
		t.Fatal(err)
	}
	var tools []listedTool
	if err := json.Unmarshal(odd, &tools); err != nil {
		t.Fatal(err)
	}
	all["odd"] = tools
	return all
}

// tags are those of upstreams.
var tags = map[string][]string{
	"kubernetes": {"production", "infrastructure"}, "azure": {"production", "infrastructure"}, "mongodb": {"data"}, "notion": {"data", "wiki"},
}

// toolsOf are the tools of a catalogue as policies see them. Those of some upstreams are
// believed, and those of playwright are pinned.
func toolsOf(label string, listed []listedTool, published map[string]string) []*policy.Object {
	var all []*policy.Object
	for _, l := range listed {
		t := policy.Tool{
			Upstream: label, Original: l.Name, Published: label + "_" + l.Name, Title: l.Title, Tags: tags[label],
			Annotations: l.Annotations, InputSchema: l.InputSchema,
			Trusted: label == "kubernetes" || label == "filesystem", Pinned: label == "playwright",
		}
		all = append(all, policy.ToolObject(t))
		published[label+"/"+l.Name] = t.Published
	}
	return all
}

// realWorld is a gateway in front of all catalogues, with an upstream docs that has
// prompts and resources, and one, billing, that is down.
func realWorld(t testing.TB, text string) check.Input {
	t.Helper()
	all := catalogues(t)
	in := check.Input{
		Published: map[string]string{}, Down: []string{"billing"}, Tags: []string{"production", "infrastructure", "data", "wiki", "finance"},
		Groups: map[string]string{"4f1c2d3e-0000-0000-0000-000000000001": "platform"}, Labels: []string{"private-data"},
		LeftOut: func(upstream, tool string) bool { return tool == "secrets_get" },
	}
	for _, label := range slices.Sorted(maps.Keys(all)) {
		in.Objects = append(in.Objects, toolsOf(label, all[label], in.Published)...)
		in.Options.Upstreams = append(in.Options.Upstreams, label)
	}
	in.Options.Upstreams = append(in.Options.Upstreams, "billing", "docs")
	in.Objects = append(in.Objects,
		policy.PromptObject(policy.Prompt{Upstream: "docs", Original: "review", Arguments: json.RawMessage(`[{"name": "topic", "required": true}, {"name": "tone"}]`)}),
		policy.ResourceObject(policy.Resource{Upstream: "docs", URI: "file:///handbook.md", Name: "handbook", MIMEType: "text/markdown"}),
		policy.ResourceObject(policy.Resource{Upstream: "docs", URI: "file:///salaries.md", Name: "salaries"}),
		policy.ResourceObject(policy.Resource{Upstream: "notion", URI: "notion://page/1", Name: "page"}),
		policy.TemplateObject(policy.Resource{Upstream: "notion", URI: "notion://page/{id}", Name: "pages"}),
	)
	in.Options.Groups, in.Options.Apps = []string{"platform", "data", "support", "oncall"}, []string{"vscode", "claude"}
	in.Files = []source.File{{Name: "policies/test.cedar", Text: []byte(text)}}
	addFacts(t, &in)
	return in
}

// addFacts adds namespaces of Kubernetes and the teams that they belong to.
func addFacts(t testing.TB, in *check.Input) {
	t.Helper()
	f, err := facts.Load([]source.File{
		{Name: "teams.json", Text: []byte(`[
{"uid": {"type": "Team", "id": "web"}, "parents": [], "attrs": {"group": {"__entity": {"type": "Group", "id": "platform"}}}},
{"uid": {"type": "Team", "id": "payments"}, "parents": [], "attrs": {"group": {"__entity": {"type": "Group", "id": "support"}}, "size": 3}},
{"uid": {"type": "Namespace", "id": "shop"}, "parents": [{"type": "Team", "id": "web"}], "attrs": {"owner": {"__entity": {"type": "Team", "id": "web"}}, "public": true}},
{"uid": {"type": "User", "id": "t/root"}, "parents": [], "attrs": {"floor": 2}}]`)},
		{Name: "teams.cedarschema", Text: []byte(`entity Team = { group: Group, size?: Long }; entity Namespace in [Team] = { owner: Team, public: Bool };`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	in.Policy.Facts = f
	in.Policy.Binds = []facts.Bind{{Name: "target", Type: "Namespace", ID: []facts.Part{{Argument: []string{"namespace"}}}}}
	in.Options.Types, in.Options.Targets, in.Options.Attributes = f.Types, []string{"target"}, f.Attributes
}
