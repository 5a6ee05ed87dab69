package policy_test

import (
	"bytes"
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

func TestReadCatalogRefuses(t *testing.T) {
	for file, want := range map[string]string{
		`{`:                                 "unexpected EOF",
		`{"tool":[]}`:                       `unknown field "tool"`,
		`{"tools":[{"upstream":"github"}]}`: "tool 0 lacks upstream, original or published",
		`{"tools":[{"upstream":"a","original":"b","published":"c","pinned":true,"drifted":true}]}`:    "tool 0 is both pinned and drifted",
		`{"tools":[{"upstream":"a","original":"b","published":"c","overridden":{"read_only":true}}]}`: `tool 0 overrides "read_only"`,
	} {
		if _, err := policy.ReadCatalog(strings.NewReader(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadCatalog(%s) = %v, want %q", file, err, want)
		}
	}
}

func FuzzReadCatalog(f *testing.F) {
	f.Add([]byte(`{"tools":[{"upstream":"a","original":"b","published":"a_b","input_schema":{}}]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := policy.ReadCatalog(bytes.NewReader(file))
		if err != nil {
			return
		}
		if err := policy.WriteCatalog(&bytes.Buffer{}, c); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
	})
}
