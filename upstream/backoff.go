package upstream

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	minBackoff = 500 * time.Millisecond
	maxBackoff = 30 * time.Second
	// steady is how long a connection must have lived for its loss to count as
	// the first one.
	steady = 30 * time.Second
)

// A backoff says how long to wait between attempts: up to a limit that doubles
// from minBackoff to maxBackoff, at random so that many gateways do not come
// back in step.
type backoff struct {
	tries  int
	jitter func(limit time.Duration) time.Duration
}

func fullJitter(limit time.Duration) time.Duration { return rand.N(limit) }

func (b *backoff) next() time.Duration {
	limit := min(maxBackoff, minBackoff<<min(b.tries, 10))
	b.tries++
	return b.jitter(limit)
}

// settle forgets the attempts so far if what they led to lived long enough.
func (b *backoff) settle(lived time.Duration) {
	if lived >= steady {
		b.tries = 0
	}
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keepOpen keeps a stream open until ctx ends or open, which blocks while the
// stream lives, says that there is no point. again says that it was open before.
func keepOpen(ctx context.Context, open func(ctx context.Context, again bool) (hopeless bool)) {
	retry := backoff{jitter: fullJitter}
	for again := false; ; again = true {
		began := time.Now()
		if open(ctx, again) {
			return
		}
		retry.settle(time.Since(began))
		if !sleep(ctx, retry.next()) {
			return
		}
	}
}
