package aggregator

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
)

// TestQuotasOfLongNames counts the calls about resources whose URIs are long, without
// keeping those.
func TestQuotasOfLongNames(t *testing.T) {
	var q quotas
	now := time.Unix(1_800_000_000, 0)
	take := func(i int) time.Duration {
		o := policy.ResourceObject(policy.Resource{Upstream: "up", URI: "a:" + strings.Repeat("a", 1<<20) + strconv.Itoa(i)})
		_, wait := q.take(Request{Caller: &oauth.Caller{ID: "ann"}, about: &matter{object: o}}, []source.Rate{{Calls: 1, Per: time.Hour}}, now)
		return wait
	}
	before := heapInUse()
	for i := range 50 {
		if take(i) != 0 {
			t.Fatal("a first call has to wait")
		}
	}
	if grown := heapInUse() - before; grown > 10<<20 {
		t.Errorf("%d MiB are kept", grown>>20)
	}
	if take(7) == 0 {
		t.Error("a second call need not wait")
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
