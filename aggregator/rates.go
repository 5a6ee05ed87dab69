package aggregator

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/oauth"
)

// codeBusy is a JSON-RPC server error: the request is fine, the moment is not.
const codeBusy = -32000

const (
	// maxRates bounds how many callers are counted in a generation.
	maxRates = 10_000
	// wholeAgain is after what time without a call an allowance is whole again.
	wholeAgain = time.Minute
)

// rates bound the tool calls of each caller. There are two generations of callers:
// when the younger one is a minute old, or full, the older one is forgotten. Who
// is forgotten after a minute without a call would be treated the same anyway.
type rates struct {
	mu         sync.Mutex
	perMinute  int                      // 0: no bound; guarded by mu
	young, old map[string]*rate.Limiter // by Caller.ID; guarded by mu
	born       time.Time                // when young was empty; guarded by mu
}

func newRates(perMinute int) *rates { return &rates{perMinute: perMinute} }

// allow takes one call from the caller's allowance, or says when to come back.
func (r *rates) allow(c *oauth.Caller) error {
	now := time.Now()
	limiter, perMinute := r.limiter(c, now)
	if limiter == nil {
		return nil
	}
	reservation := limiter.ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	reservation.CancelAt(now)
	return &denied{reason: "calls_per_minute", answer: &jsonrpc.Error{Code: codeBusy, Message: fmt.Sprintf(
		"more than %d tool calls in a minute; try again in %d s", perMinute, int(math.Ceil(delay.Seconds())))}}
}

// limiter is the caller's allowance, nil for no bound.
func (r *rates) limiter(c *oauth.Caller, now time.Time) (l *rate.Limiter, perMinute int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perMinute == 0 {
		return nil, 0
	}
	if r.young == nil || len(r.young) >= maxRates || now.Sub(r.born) >= wholeAgain {
		r.young, r.old, r.born = map[string]*rate.Limiter{}, r.young, now
	}
	if l, ok := r.young[c.ID]; ok {
		return l, r.perMinute
	}
	l, ok := r.old[c.ID]
	if !ok {
		l = rate.NewLimiter(rate.Every(wholeAgain/time.Duration(r.perMinute)), r.perMinute)
	}
	r.young[c.ID] = l
	return l, r.perMinute
}

// limit sets how many calls there may be in a minute. Where that changes
// anything, everybody begins anew.
func (r *rates) limit(perMinute int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if perMinute != r.perMinute {
		r.perMinute, r.young, r.old = perMinute, nil, nil
	}
}
