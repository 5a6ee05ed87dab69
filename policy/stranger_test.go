package policy_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy"
)

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
