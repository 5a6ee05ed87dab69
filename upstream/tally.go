package upstream

import (
	"context"
	"errors"
	"sort"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream/egress"
)

// LatencyBounds are the upper bounds of the buckets of a [Latency], in
// ascending order. They never change.
var LatencyBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// Latency is how long calls took, as a histogram.
type Latency struct {
	// Counts are the calls in each bucket alone: Counts[i] took at most
	// LatencyBounds[i] and more than the bound before, the last one more than
	// every bound.
	Counts [len(LatencyBounds) + 1]uint64
	// Sum is the time of all of them.
	Sum time.Duration
}

// Count is how many calls there were.
func (l Latency) Count() (n uint64) {
	for _, c := range l.Counts {
		n += c
	}
	return n
}

// Quantile estimates the time that the share q of the calls, from 0 to 1, took
// at most: as if the calls of a bucket were spread evenly in it. It is 0 if
// there were none, and never more than the last bound.
func (l Latency) Quantile(q float64) time.Duration {
	rank := min(max(q, 0), 1) * float64(l.Count())
	below, lower := 0.0, time.Duration(0)
	for i, upper := range LatencyBounds {
		n := float64(l.Counts[i])
		if n > 0 && below+n >= rank {
			return lower + time.Duration(float64(upper-lower)*(rank-below)/n)
		}
		below, lower = below+n, upper
	}
	if l.Count() == 0 {
		return 0
	}
	return lower
}

// A Tally counts the calls of one or several upstreams, and the connections of
// their containers. It is safe for
// concurrent use. The zero value is ready for use.
type Tally struct {
	inFlight      atomic.Int64
	calls, failed atomic.Uint64
	took          [len(LatencyBounds) + 1]atomic.Uint64
	sum           atomic.Int64 // nanoseconds
	egress        egress.Tally
}

// begin notes that a call begins, now.
func (t *Tally) begin() time.Time {
	t.inFlight.Add(1)
	t.calls.Add(1)
	return time.Now()
}

// end notes that a call that began then has ended with err.
func (t *Tally) end(began time.Time, err error) {
	t.inFlight.Add(-1)
	switch {
	case isAnswered(err):
		took := time.Since(began)
		t.took[sort.Search(len(LatencyBounds), func(i int) bool { return took <= LatencyBounds[i] })].Add(1)
		t.sum.Add(int64(took))
	case !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		t.failed.Add(1)
	}
}

// isAnswered reports whether err is what the server answered.
func isAnswered(err error) bool {
	_, answer := err.(*jsonrpc.Error)
	return answer || err == nil
}

// fill puts the numbers into s.
func (t *Tally) fill(s *Status) {
	s.InFlight = int(t.inFlight.Load())
	s.Calls, s.Failed = t.calls.Load(), t.failed.Load()
	for i := range t.took {
		s.Latency.Counts[i] = t.took[i].Load()
	}
	s.Latency.Sum = time.Duration(t.sum.Load())
	s.EgressAllowed, s.EgressRefused = t.egress.Allowed.Load(), t.egress.Refused.Load()
}
