package policy_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy"
)

// TestTemplateIsNoResource decides about a template itself, where files say more of
// one resource of its upstream than of the others.
func TestTemplateIsNoResource(t *testing.T) {
	const scattered = `[{"uid": {"type": "Resource", "id": "github/file:///a"}, "parents": [{"type": "Team", "id": "web"}], "attrs": {}},
		{"uid": {"type": "Team", "id": "web"}, "parents": [], "attrs": {}}]`
	for name, text := range map[string]string{
		"nothing is forbidden": `permit(principal, action, resource);`,
		"in its upstream":      `permit(principal, action, resource); forbid(principal, action, resource in Upstream::"github");`,
		"by a tag":             `permit(principal, action, resource); forbid(principal, action, resource in Tag::"secret");`,
		"by an attribute":      `permit(principal, action, resource); forbid(principal, action, resource) when { resource has upstream && resource.upstream == "github" };`,
	} {
		e := filed(t, scattered, text)
		o := policy.TemplateObject(policy.Resource{Upstream: "github", URI: "file:///{path}", Tags: []string{"secret"}})
		if d := e.Decide(requestOf(person(), o, `{}`)); d.Allow || d.Why != "a template is no resource" {
			t.Errorf("%s: allowed %v: %s", name, d.Allow, d.Why)
		}
	}
}

// TestLongNames has strangers ask for resources that nobody lists, whose URIs are
// long: an engine does not keep them.
func TestLongNames(t *testing.T) {
	e := engine(t, `permit(principal, action, resource);`)
	p := person()
	before := heap()
	for range 400 {
		o := policy.ResourceObject(policy.Resource{Upstream: "github", URI: "file:///" + strings.Repeat("a", 256<<10)})
		if !e.Decide(requestOf(p, o, `{}`)).Allow || !e.View(p, []*policy.Object{o})[0] {
			t.Fatal("a resource with a long name is denied")
		}
	}
	if grown := heap() - before; grown > 20<<20 {
		t.Errorf("an engine keeps %d MiB", grown>>20)
	}
	runtime.KeepAlive(e)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
