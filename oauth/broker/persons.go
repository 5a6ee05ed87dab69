package broker

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// personRates bound how often something is done for each person, so that what one has
// their clients do costs nobody else anything. They are safe for concurrent use.
type personRates struct {
	// Set by newPersonRates, never changed.
	every time.Duration // once in the long run
	burst int           // at once

	mu sync.Mutex
	of map[string]*rate.Limiter // by person; guarded by mu
}

// maxCounted bounds the people that are counted.
const maxCounted = 10_000

func newPersonRates(every time.Duration, burst int) *personRates {
	return &personRates{every: every, burst: burst, of: map[string]*rate.Limiter{}}
}

// allow reports whether it may be done once more.
func (p *personRates) allow(person string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.of[person]
	if one == nil {
		if len(p.of) >= maxCounted {
			clear(p.of)
		}
		one = rate.NewLimiter(rate.Every(p.every), p.burst)
		p.of[person] = one
	}
	return one.Allow()
}
