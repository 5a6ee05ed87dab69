package policy_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy"
)

func TestCatalogRoundTrip(t *testing.T) {
	want := policy.Catalog{Tools: []policy.Tool{{
		Upstream: "github", Original: "create_issue", Published: "gh_create_issue", Tags: []string{"scm"},
		Annotations: []byte(`{"destructiveHint":false}`), InputSchema: []byte(`{"maximum":9007199254740993,"pattern":"<a>"}`),
		Title: "Create", Trusted: true, Overridden: map[string]bool{"destructiveHint": false}, Drifted: true,
	}, {
		Upstream: "github", Original: "list_issues", Published: "gh_list_issues", Annotations: []byte(`{}`), InputSchema: []byte(`{}`), Pinned: true,
	}}}
	var file bytes.Buffer
	if err := policy.WriteCatalog(&file, want); err != nil {
		t.Fatal(err)
	}
	got, err := policy.ReadCatalog(&file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got.Tools { // the file is indented, raw members included
		got.Tools[i].Annotations = bytes.Join(bytes.Fields(got.Tools[i].Annotations), nil)
		got.Tools[i].InputSchema = bytes.Join(bytes.Fields(got.Tools[i].InputSchema), nil)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestCatalogOfOthers reads what an earlier mcpagg wrote, and a later one that adds to
// the format.
func TestCatalogOfOthers(t *testing.T) {
	for _, file := range []string{
		`{"tools":[{"upstream":"a","original":"b","published":"a_b","input_schema":{}}]}`,
		`{"version":1,"made":"2031-01-01","tools":[{"upstream":"a","original":"b","published":"a_b","input_schema":{},"price":3}],"tasks":[{}]}`,
	} {
		c, err := policy.ReadCatalog(strings.NewReader(file))
		if err != nil || len(c.Tools) != 1 || c.Tools[0].Published != "a_b" {
			t.Errorf("ReadCatalog(%s) = %+v, %v", file, c, err)
		}
	}
}

// TestCatalogIsSorted writes the same file whatever the order of the upstreams is.
func TestCatalogIsSorted(t *testing.T) {
	tools := []policy.Tool{{Upstream: "b", Original: "x", Published: "b_x"}, {Upstream: "a", Original: "z", Published: "a_z"}, {Upstream: "a", Original: "y", Published: "a_y"}}
	resources := []policy.Resource{{Upstream: "b", URI: "file:///1"}, {Upstream: "a", URI: "file:///2"}}
	prompts := []policy.Prompt{{Upstream: "b", Original: "p"}, {Upstream: "a", Original: "p"}}
	var files [2]bytes.Buffer
	for i := range files {
		if err := policy.WriteCatalog(&files[i], policy.Catalog{Tools: tools, Prompts: prompts, Resources: resources, Templates: resources}); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(tools)
		slices.Reverse(resources)
		slices.Reverse(prompts)
	}
	if diff := cmp.Diff(files[0].String(), files[1].String()); diff != "" {
		t.Error(diff)
	}
	if tools[0].Upstream != "b" {
		t.Error("the caller's catalog was changed")
	}
}

// TestReadTools takes what a server answers to tools/list.
func TestReadTools(t *testing.T) {
	c, err := policy.ReadTools(strings.NewReader(`{"tools":[{"name":"get","title":"Get","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}],"nextCursor":"x"}`), "github")
	want := policy.Catalog{Tools: []policy.Tool{{
		Upstream: "github", Original: "get", Published: "github_get", Title: "Get",
		InputSchema: []byte(`{"type":"object"}`), Annotations: []byte(`{"readOnlyHint":true}`),
	}}}
	if diff := cmp.Diff(want, c); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if _, err := policy.ReadTools(strings.NewReader(`{}`), "github"); err == nil || !strings.Contains(err.Error(), "tools/list") {
		t.Errorf("of an empty object: %v", err)
	}
}

func TestReadCatalogRefuses(t *testing.T) {
	for file, want := range map[string]string{
		`{`:                                 "unexpected end of JSON input",
		`{"tool":[]}`:                       `there are no "tools" in it`,
		`{"version":2,"tools":[]}`:          "it is of version 2, and this mcpagg knows 1 at most",
		`{"tools":[{"upstream":"github"}]}`: "tool 0 lacks",
		`{"tools":[{"upstream":"a","original":"b"}]}`:                                                 "tool 0 lacks published",
		`{"tools":[{"upstream":"a/b","original":"b","published":"c"}]}`:                               `tool 0 has the upstream "a/b"`,
		`{"tools":[],"prompts":[{"upstream":"a"}]}`:                                                   "prompt 0 lacks",
		`{"tools":[],"templates":[{"upstream":"a","uri":"b"},{"upstream":"a","uri":"b"}]}`:            `template 1 "a/b" is there twice`,
		`{"tools":[{"upstream":"a","original":"b","published":"c","pinned":true,"drifted":true}]}`:    "tool 0 is both pinned and drifted",
		`{"tools":[{"upstream":"a","original":"b","published":"c","overridden":{"read_only":true}}]}`: `tool 0 overrides "read_only"`,
	} {
		_, err := policy.ReadCatalog(strings.NewReader(file))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mcpagg catalog pull") {
			t.Errorf("ReadCatalog(%s) = %v, want %q", file, err, want)
		}
	}
}

func FuzzReadCatalog(f *testing.F) {
	f.Add([]byte(`{"version":1,"tools":[{"upstream":"a","original":"b","published":"a_b","input_schema":{"properties":{"x":{"type":"string"}}}}],"prompts":[{"upstream":"a","original":"p","arguments":[{"name":"x"}]}]}`))
	f.Add([]byte(`{"tools":[],"resources":[{"upstream":"a","uri":"file:///x"}],"templates":[{"upstream":"a","uri":"file:///{x}","tags":["t"]}]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := policy.ReadCatalog(bytes.NewReader(file))
		if err != nil {
			return
		}
		var once, twice bytes.Buffer
		if err := policy.WriteCatalog(&once, c); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		again, err := policy.ReadCatalog(bytes.NewReader(once.Bytes()))
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if err := policy.WriteCatalog(&twice, again); err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Fatalf("written again it is another file (%v):\n%s\n%s", err, once.Bytes(), twice.Bytes())
		}
		for _, o := range again.Objects() {
			_ = o.Context(nil)
		}
	})
}
