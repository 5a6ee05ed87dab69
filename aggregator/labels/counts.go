package labels

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxCounted bounds how many owners are counted in a generation.
	maxCounted = 10_000
	// idle is after what time without a call an owner may be forgotten.
	idle = 30 * time.Minute
)

// counts are how many calls owners have made. There are two generations of them: when
// the younger one is half an hour old, or full, the older one is forgotten. Whoever
// makes no call for an hour begins anew.
type counts struct {
	mu         sync.RWMutex
	young, old map[owner]*atomic.Int64 // guarded by mu
	born       time.Time               // when young was empty; guarded by mu
}

func (c *counts) of(o owner) int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.young) == 0 && len(c.old) == 0 {
		return 0
	}
	age := time.Since(c.born)
	if n := c.young[o]; n != nil && age < 2*idle {
		return n.Load()
	}
	if n := c.old[o]; n != nil && age < idle {
		return n.Load()
	}
	return 0
}

func (c *counts) add(o owner) {
	now := time.Now()
	if c.addYoung(o, now) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch age := now.Sub(c.born); {
	case age >= 2*idle:
		c.young, c.old, c.born = map[owner]*atomic.Int64{}, nil, now
	case age >= idle || len(c.young) >= maxCounted:
		c.young, c.old, c.born = map[owner]*atomic.Int64{}, c.young, now
	}
	n := c.young[o]
	if n == nil {
		if n = c.old[o]; n == nil {
			n = new(atomic.Int64)
		}
		c.young[o] = n
	}
	n.Add(1)
}

// addYoung counts a call of an owner of the younger generation.
func (c *counts) addYoung(o owner, now time.Time) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := c.young[o]
	if n == nil || now.Sub(c.born) >= idle {
		return false
	}
	n.Add(1)
	return true
}
