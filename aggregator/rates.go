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

// maxRates bounds how many callers are counted at once.
const maxRates = 10_000

// rates bound the tool calls of each caller.
type rates struct {
	mu        sync.Mutex
	perMinute int                      // 0: no bound; guarded by mu
	byCaller  map[string]*rate.Limiter // guarded by mu
}

func newRates(perMinute int) *rates {
	return &rates{perMinute: perMinute, byCaller: map[string]*rate.Limiter{}}
}

// allow takes one call from the caller's allowance, or says when to come back.
func (r *rates) allow(c *oauth.Caller) error {
	limiter, perMinute := r.limiter(c)
	if limiter == nil {
		return nil
	}
	reservation := limiter.Reserve()
	delay := reservation.Delay()
	if delay == 0 {
		return nil
	}
	reservation.Cancel()
	return &denied{"calls_per_minute", &jsonrpc.Error{Code: codeBusy, Message: fmt.Sprintf(
		"more than %d tool calls in a minute; try again in %d s", perMinute, int(math.Ceil(delay.Seconds())))}}
}

// limiter is the caller's allowance, nil for no bound.
func (r *rates) limiter(c *oauth.Caller) (l *rate.Limiter, perMinute int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perMinute == 0 {
		return nil, 0
	}
	l = r.byCaller[c.ID]
	if l == nil {
		if len(r.byCaller) >= maxRates {
			r.forgetIdleLocked()
		}
		l = rate.NewLimiter(rate.Every(time.Minute/time.Duration(r.perMinute)), r.perMinute)
		r.byCaller[c.ID] = l
	}
	return l, r.perMinute
}

// limit sets how many calls there may be in a minute. Where that changes
// anything, everybody begins anew.
func (r *rates) limit(perMinute int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if perMinute != r.perMinute {
		r.perMinute, r.byCaller = perMinute, map[string]*rate.Limiter{}
	}
}

// forgetIdleLocked drops callers whose allowance is whole again: a new limiter
// would treat them the same.
func (r *rates) forgetIdleLocked() {
	for id, l := range r.byCaller {
		if l.Tokens() >= float64(r.perMinute) {
			delete(r.byCaller, id)
		}
	}
}
