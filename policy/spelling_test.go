package policy_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy"
)

// mayRead reports whether a resource that nobody lists may be read, where all may.
func mayRead(t testing.TB, e *policy.Engine, uri string) bool {
	t.Helper()
	p, o := person(), policy.UnlistedObject(policy.Resource{Upstream: "github", URI: uri})
	d := e.Decide(requestOf(p, o, `{}`))
	if seen := e.View(p, []*policy.Object{o})[0]; seen != d.Allow {
		t.Errorf("%q: seen %v, allowed %v", uri, seen, d.Allow)
	}
	if !d.Allow && d.Why != "the URI has a simpler spelling" {
		t.Errorf("%q: %s", uri, d.Why)
	}
	return d.Allow
}

// TestSpelling reads resources that nobody lists by URIs that are as simple as they
// may be, and by others.
func TestSpelling(t *testing.T) {
	e := engine(t, `permit(principal, action, resource);`)
	for _, uri := range []string{
		"file:///a/b.md", "file:///a/..b", "file:///a/...", "file:///a/.git/b", "file:///a/", "file:///", "file:///100%25", "file:///a%20b", "file:///caf%C3%A9",
		"file:///café", "file://server/a", "db://Users/42", "db:users", "repo://Owner/name/docs%2Fa.md", "page://https://example.com/a", "https://example.com:8080/a?b=c#d", "a+b:c", "urn:x:y",
	} {
		if !mayRead(t, e, uri) {
			t.Errorf("%s may not be read", uri)
		}
	}
	for _, uri := range []string{
		"file:///a/../b", "file:///a/./b", "file:///a/..", "file:///..", "file:///a/..?b", "file:///a/..;/b", "file:///a/..#", "db:..", "file:///a/%2e%2E/b", "file:///a/.%2e/b",
		"file:///a/..%2fb", "file:///a/..%5Cb", "file:///a%2F..%2Fb", `file:///a\b`, "file:///%61", "file:///%7A", "file:///%30", "file:///%5F", "file:///%7e", "file:///%2d", "file:///a%00",
		"FILE:///a", "File:///a", "file:/a", "file:a", "file://localhost/a", "file:////a", "file:///a//b", "file:///c://b", "file:///a%2F%2Fb", "file:///a/%zz", "file:///a b", "file:///a\tb", "file:///a\x00",
		" file:///a", "file:///a/%c0%ae%c0%ae/b", "https:example.com", "https:///example.com", "https://Example.com/", "https://a@example.com/", "a", "#:a", ":a",
	} {
		if mayRead(t, e, uri) {
			t.Errorf("%q may be read", uri)
		}
	}
	if listed := policy.ResourceObject(policy.Resource{Upstream: "github", URI: "file:///a//b"}); !e.Decide(requestOf(person(), listed, `{}`)).Allow {
		t.Error("one that is listed may not be read")
	}
}

// FuzzSpelling makes sure that nothing is left to clean in the path of a URI that may
// be read.
func FuzzSpelling(f *testing.F) {
	e := engine(f, `permit(principal, action, resource);`)
	for _, uri := range []string{"file:///a/../b", "file:///a/%2e%2e/b", "db:a/./b", "db://a/b?c", "file:///a%2F..%2Fb", "x://y//z"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "file" && strings.Contains(u.Path, "://") || !mayRead(t, e, uri) {
			return
		}
		if !strings.HasPrefix(uri, u.Scheme+":") {
			t.Errorf("%q: the scheme is %q", uri, u.Scheme)
		}
		if rooted := "/" + strings.TrimPrefix(u.Path, "/"); path.Clean(rooted) != "/"+strings.Trim(u.Path, "/") {
			t.Errorf("%q has the path %q, which is %q", uri, u.Path, path.Clean(rooted))
		}
	})
}
