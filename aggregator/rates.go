package aggregator

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"golang.org/x/time/rate"
)

// codeBusy is a JSON-RPC server error: the request is fine, the moment is not.
const codeBusy = -32000

// maxRates bounds how many callers are counted at once.
const maxRates = 10_000

// rates bound the tool calls of each caller.
type rates struct {
	perMinute int // 0: no bound

	mu       sync.Mutex
	byCaller map[string]*rate.Limiter // guarded by mu
}

func newRates(perMinute int) *rates {
	return &rates{perMinute: perMinute, byCaller: map[string]*rate.Limiter{}}
}

// allow takes one call from the caller's allowance, or says when to come back.
func (r *rates) allow(c Caller) error {
	if r.perMinute == 0 {
		return nil
	}
	reservation := r.limiter(c).Reserve()
	delay := reservation.Delay()
	if delay == 0 {
		return nil
	}
	reservation.Cancel()
	return &jsonrpc.Error{Code: codeBusy, Message: fmt.Sprintf(
		"more than %d tool calls in a minute; try again in %d s", r.perMinute, int(math.Ceil(delay.Seconds())))}
}

func (r *rates) limiter(c Caller) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.byCaller[c.ID]
	if l == nil {
		if len(r.byCaller) >= maxRates {
			r.forgetIdleLocked()
		}
		l = rate.NewLimiter(rate.Every(time.Minute/time.Duration(r.perMinute)), r.perMinute)
		r.byCaller[c.ID] = l
	}
	return l
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
