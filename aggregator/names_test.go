package aggregator

import (
	"regexp"
	"strings"
	"testing"
)

func TestPublishedNames(t *testing.T) {
	for _, tt := range []struct {
		names                   Names
		label, prefix, original string
		want                    string
	}{
		{Names{}, "github", "gh", "create_issue", "gh_create_issue"},
		{Names{}, "github", "", "create_issue", "create_issue"},
		{Names{Separator: "-"}, "github", "gh", "create_issue", "gh-create_issue"},
		{Names{}, "notion", "notion", "API-get-user", "notion_API-get-user"},
		{Names{}, "slack", "slack", "post.message", "slack_post_message_bjzayv"},
		{Names{}, "slack", "slack", "post message", "slack_post_message_h45gpm"},
		{Names{}, "docs", "docs", "größe", "docs_gr__e_qb4bfi"},
		{Names{}, "azure", "azure", strings.Repeat("long_", 10), "azure_long_long_long_long_long_long_long_lo_elgjcx"},
		{Names{Max: 20}, "kubernetes", "kubernetes", "pods_list_in_namespace", "kubernetes_po_hildp4"},
	} {
		got := tt.names.publish(tt.label, tt.prefix, tt.original)
		if got != tt.want {
			t.Errorf("publish(%q, %q, %q) = %q, want %q", tt.label, tt.prefix, tt.original, got, tt.want)
		}
	}
}

func TestURIsGoThereAndBack(t *testing.T) {
	for _, tt := range []struct{ label, uri, want string }{
		{"docs", "file:///a", "docs+file:///a"},
		{"docs", "git+ssh://host/x", "docs+git+ssh://host/x"},
		{"my-docs", "urn:isbn:1", "my-docs+urn:isbn:1"},
		{"docs", "note:///{id}", "docs+note:///{id}"},
		{"", "file:///a", "file:///a"},
	} {
		got := publishURI(tt.label, tt.uri)
		if got != tt.want {
			t.Errorf("publishURI(%q, %q) = %q, want %q", tt.label, tt.uri, got, tt.want)
		}
		if tt.label == "" {
			continue
		}
		label, original, ok := splitURI(got)
		if !ok || label != tt.label || original != tt.uri {
			t.Errorf("splitURI(%q) = %q, %q, %v", got, label, original, ok)
		}
	}
	if got := publishLink("docs", "https://example.com/a"); got != "https://example.com/a" {
		t.Errorf("a link to the web became %q", got)
	}
}

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "anything", true},
		{"*", "", true},
		{"delete_*", "delete_repo", true},
		{"delete_*", "undelete_repo", false},
		{"*_repo", "delete_repo", true},
		{"a*c*e", "abcde", true},
		{"a*c*e", "abde", false},
		{"ab*ba", "aba", false},
		{"exact", "exact", true},
		{"exact", "exactly", false},
		{"", "x", false},
		{"a[b]", "ab", false},
	} {
		if got := glob(tt.pattern, tt.name); got != tt.want {
			t.Errorf("glob(%q, %q) = %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
}

func FuzzPublishedName(f *testing.F) {
	f.Add("github", "gh", "create_issue")
	f.Add("a", "", "\x00/../\xff")
	safe := regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)
	f.Fuzz(func(t *testing.T, label, prefix, original string) {
		if original == "" {
			return // refused before it gets a name
		}
		name := Names{}.publish(label, prefix, original)
		if !safe.MatchString(name) {
			t.Errorf("publish(%q, %q, %q) = %q", label, prefix, original, name)
		}
	})
}

func FuzzURI(f *testing.F) {
	f.Add("docs", "file:///a")
	f.Fuzz(func(t *testing.T, label, uri string) {
		if !regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(label) || !strings.Contains(uri, ":") {
			return
		}
		gotLabel, gotURI, ok := splitURI(publishURI(label, uri))
		if !ok || gotLabel != label || gotURI != uri {
			t.Errorf("%q of %q came back as %q of %q", uri, label, gotURI, gotLabel)
		}
	})
}
