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

// readOf is a call of a caller about a resource whose name has a number.
func readOf(q *quotas, caller string, uri int, now time.Time) (wait time.Duration) {
	o := policy.ResourceObject(policy.Resource{Upstream: "up", URI: "a:" + strconv.Itoa(uri)})
	_, wait = q.take(Request{Caller: &oauth.Caller{ID: caller}, about: &matter{object: o}}, []source.Rate{{Calls: 3, Per: time.Hour}}, now)
	return wait
}

// TestQuotasAreNotForgotten has a caller use up an allowance, and then that caller, and
// another one, ask for more names than anybody remembers.
func TestQuotasAreNotForgotten(t *testing.T) {
	for _, who := range []string{"ann", "bob"} {
		var q quotas
		now := time.Unix(1_800_000_000, 0)
		for range 3 {
			if readOf(&q, "ann", 0, now) != 0 {
				t.Fatal("she has to wait too early")
			}
		}
		served := 0
		for i := range 3 * maxQuotasPerCaller {
			if readOf(&q, who, i+1, now) == 0 {
				served++
			}
		}
		if readOf(&q, "ann", 0, now) == 0 {
			t.Errorf("ann's allowance is whole again by what %s asks for", who)
		}
		if served > maxQuotasPerCaller+3 {
			t.Errorf("%s is served %d times, with names that nobody counts", who, served)
		}
		if n := len(q.per[time.Hour].young); n > maxQuotasPerCaller+2 {
			t.Errorf("%d allowances are kept", n)
		}
		if readOf(&q, "cid", 0, now) != 0 {
			t.Error("somebody else has to wait")
		}
		if readOf(&q, "ann", 0, now.Add(20*time.Minute)) != 0 {
			t.Error("ann has to wait for longer than a third of the hour")
		}
	}
}

// TestQuotasOfTheGenerationBefore has a caller who has used one up, and then fills the
// next generation with other names.
func TestQuotasOfTheGenerationBefore(t *testing.T) {
	var q quotas
	now := time.Unix(1_800_000_000, 0)
	readOf(&q, "ann", 1, now)
	now = now.Add(59 * time.Minute)
	for range 3 {
		readOf(&q, "ann", 0, now)
	}
	now = now.Add(2 * time.Minute)
	for i := range maxQuotasPerCaller {
		readOf(&q, "ann", i+1, now)
	}
	if readOf(&q, "ann", 0, now) == 0 {
		t.Error("the allowance is whole again two minutes after it was used up")
	}
}

// TestQuotasOfManyCallers has so many of them that new ones share an allowance.
func TestQuotasOfManyCallers(t *testing.T) {
	var q quotas
	now := time.Unix(1_800_000_000, 0)
	for i := range 2*maxQuotas + 10 {
		readOf(&q, strconv.Itoa(i), 0, now)
	}
	if n := len(q.per[time.Hour].young); n > 2*maxQuotas+1 {
		t.Errorf("%d allowances are kept", n)
	}
	if readOf(&q, "new", 0, now) == 0 {
		t.Error("nobody counts the calls of a new caller")
	}
	if readOf(&q, "0", 0, now) != 0 {
		t.Error("an old caller has to share as well")
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
