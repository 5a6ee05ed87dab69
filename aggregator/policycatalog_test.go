package aggregator_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/typed"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// TestCatalogFileMakesTheSameObjects writes what policies see of a gateway to a file,
// and compares what is read from it with what the gateway decides about.
func TestCatalogFileMakesTheSameObjects(t *testing.T) {
	reviewed := upstreamtest.New(t, upstreamtest.Script{
		Tools: []string{
			reader, issueTool, plainTool,
			`{"name":"ranges","title":"Über <b>","annotations":{"readOnlyHint":true,"readOnlyHint":false},"inputSchema":{"type":"object","properties":{"n":{"type":"integer","default":9007199254740993}}}}`,
		},
		Prompts:   []string{`{"name":"review","arguments":[{"name":"pr","required":true},{"name":"tone"}]}`, `{"name":"bare"}`},
		Resources: []string{`{"uri":"file:///a.md","name":"a","mimeType":"text/markdown"}`, `{"uri":"file:///b","name":""}`},
		Templates: []string{`{"uriTemplate":"file:///{path}","name":"files"}`},
	})
	trusted := upstreamtest.New(t, upstreamtest.Script{Tools: []string{reader, strings.Replace(issueTool, "create_issue", "a.b/c d", 1)}})
	up, other := at(t, "up", reviewed.URL.String()), at(t, "other", trusted.URL.String())
	up.Tags, up.Pins = []string{"scm", "production"}, pins(t, reader, issueTool)
	up.Tools.Overrides = map[string]aggregator.Override{
		"create_issue": {Name: "new_issue", Annotations: map[string]bool{"destructiveHint": false}},
		"t":            {Annotations: map[string]bool{"readOnlyHint": true}},
	}
	other.TrustHints = true
	third := at(t, "third", trusted.URL.String()) // nothing of which is believed but what is overridden
	third.Tools.Overrides = map[string]aggregator.Override{"read": {Annotations: map[string]bool{"readOnlyHint": true}}}
	g, _ := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up, other, third}})

	var file bytes.Buffer
	if err := policy.WriteCatalog(&file, g.Catalog().ForPolicies()); err != nil {
		t.Fatal(err)
	}
	read, err := policy.ReadCatalog(&file)
	if err != nil {
		t.Fatal(err)
	}
	got, want := facesOf(read.Objects()), facesOf(g.Objects())
	if len(want) != 13 {
		t.Errorf("the gateway decides about %d objects, want 13", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-gateway +file)\n%s", diff)
	}
}

// A face is all that policies see of an object.
type face struct {
	Entity, Action   string
	Parents, Omitted []string
	Attributes       string
	Context          *typed.Type
	Template         bool
}

// facesOf are those of the objects, sorted.
func facesOf(objects []*policy.Object) []face {
	var all []face
	for _, o := range objects {
		e := o.Entity()
		f := face{Entity: o.String(), Action: o.Action().String(), Template: o.IsTemplate(), Attributes: string(e.Attributes.MarshalCedar()), Context: o.Context(nil)}
		for p := range e.Parents.All() {
			f.Parents = append(f.Parents, p.String())
		}
		for path, why := range o.Shape().Omitted {
			f.Omitted = append(f.Omitted, path+": "+why)
		}
		slices.Sort(f.Parents)
		slices.Sort(f.Omitted)
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b face) int { return strings.Compare(a.Entity+a.Action, b.Entity+b.Action) })
	return all
}
