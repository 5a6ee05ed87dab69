package aggregator

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
)

func (r *rates) size() int { return len(r.young) + len(r.old) }

func caller(n int) *oauth.Caller { return &oauth.Caller{ID: fmt.Sprint("caller ", n)} }

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(2)
		for call := range 3 {
			if err := r.allow(caller(1)); (err == nil) != (call < 2) {
				t.Errorf("call %d: %v, want two to be allowed", call, err)
			}
		}
		if err := r.allow(caller(2)); err != nil {
			t.Errorf("another caller: %v", err)
		}
		time.Sleep(30*time.Second - time.Millisecond)
		if r.allow(caller(1)) == nil {
			t.Error("too soon, another call was allowed")
		}
		time.Sleep(time.Millisecond)
		if err := r.allow(caller(1)); err != nil {
			t.Errorf("half a minute later: %v", err)
		}
	})
}

// TestRatesOfManyCallers counts who has called lately, and nobody else, however
// many there are.
func TestRatesOfManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 100_000
		r, most := newRates(2), 0
		for i := range callers { // over a day
			if err := r.allow(caller(i)); err != nil {
				t.Fatal(err)
			}
			most = max(most, r.size())
			time.Sleep(24 * time.Hour / callers)
		}
		if most > 150 { // of two minutes
			t.Errorf("%d callers were counted at once", most)
		}
		for i := range callers { // at once
			if err := r.allow(caller(i)); err != nil {
				t.Fatal(err)
			}
			most = max(most, r.size())
		}
		if most > 2*maxRates {
			t.Errorf("%d callers were counted at once", most)
		}
	})
}

// TestRatesAreKept lets nobody call more often because the generation ends.
func TestRatesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, allowed := newRates(6), 0
		begin := time.Now()
		for i := 0; time.Since(begin) < time.Hour; i++ {
			if r.allow(caller(0)) == nil {
				allowed++
			}
			_ = r.allow(caller(1 + i%5000))
			time.Sleep(100 * time.Millisecond)
		}
		if allowed < 360 || allowed > 366 { // those of the beginning, and one each 10 s
			t.Errorf("%d calls were allowed in an hour, want 366 at most", allowed)
		}
	})
}
