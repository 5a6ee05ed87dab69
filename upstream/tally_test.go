package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

func TestLatencyQuantile(t *testing.T) {
	var l Latency
	if got := l.Quantile(0.5); got != 0 {
		t.Errorf("the median of no calls is %v", got)
	}
	l.Counts[1] = 100 // 1 ms to 2.5 ms
	l.Counts[3] = 100 // 5 ms to 10 ms
	l.Counts[len(LatencyBounds)] = 2
	for _, tc := range []struct {
		q    float64
		want time.Duration
	}{
		{-1, time.Millisecond},
		{0, time.Millisecond},
		{50. / 202, 1750 * time.Microsecond},
		{100. / 202, 2500 * time.Microsecond},
		{150. / 202, 7500 * time.Microsecond},
		{1, time.Minute},
		{2, time.Minute},
	} {
		if got := l.Quantile(tc.q); got.Round(time.Microsecond) != tc.want {
			t.Errorf("quantile %.3f is %v, want %v", tc.q, got, tc.want)
		}
	}
	if !slices.IsSorted(LatencyBounds[:]) {
		t.Error("the bounds are not in order")
	}
}

func TestTally(t *testing.T) {
	var all Tally
	for _, err := range []error{
		nil,
		&jsonrpc.Error{Code: -32603},
		&Error{Upstream: "x", Err: errors.New("no answer within 60s")},
		&Error{Upstream: "x", Err: context.Canceled},
		&Error{Upstream: "x", Err: context.DeadlineExceeded},
	} {
		all.end(all.begin().Add(-3*time.Second), err)
	}
	all.begin()
	var got Status
	all.fill(&got)
	if got.Calls != 6 || got.Failed != 1 || got.InFlight != 1 {
		t.Errorf("%d calls, %d failed, %d under way; want 6, 1, 1", got.Calls, got.Failed, got.InFlight)
	}
	if n := got.Latency.Count(); n != 2 || got.Latency.Counts[11] != 2 {
		t.Errorf("latency %+v, want two calls of up to 5 s", got.Latency)
	}
	if mean := (got.Latency.Sum / 2).Round(time.Second); mean != 3*time.Second {
		t.Errorf("a call took %v, want 3s", mean)
	}
}

// The status counts clients' calls, and says when the server is dialled again.
func TestStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer, u *Upstream, _ *[]string) {
		call := func(c Call) error {
			c.Method = "ping"
			_, err := u.Call(t.Context(), c)
			return err
		}
		want := func(what, want string) {
			t.Helper()
			s := u.Status()
			next := "never"
			if !s.NextAttempt.IsZero() {
				next = s.NextAttempt.Sub(f.began).String()
			}
			got := fmt.Sprintf("%s, restarts %d, next %s, calls %d, failed %d", s.State, s.Restarts, next, s.Calls, s.Failed)
			if got != want {
				t.Errorf("%s: %s\nwant %s", what, got, want)
			}
		}
		want("at first", "connected, restarts 0, next never, calls 0, failed 0")
		if call(Call{}) != nil || call(Call{Own: true}) != nil {
			t.Error("a call failed")
		}
		wait(time.Minute)
		want("after a call", "connected, restarts 0, next never, calls 1, failed 0")
		f.set(func() { f.down = true })
		if call(Call{}) == nil {
			t.Error("a call did not fail")
		}
		wait(10 * time.Millisecond)
		want("lost", "lost, restarts 0, next 1m0.5s, calls 2, failed 1")
		f.set(func() { f.down = false })
		wait(time.Second)
		want("back", "connected, restarts 1, next never, calls 2, failed 1")
	})
}
