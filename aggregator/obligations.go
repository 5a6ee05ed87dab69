package aggregator

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/policy/source"
)

// maxQuotas bounds the allowances of a generation.
const maxQuotas = 20_000

// quotas bound how often each caller uses each tool, prompt or resource where
// policies oblige them to. For each length of time there are two generations, as in
// rates. They are safe for concurrent use.
type quotas struct {
	mu  sync.Mutex
	per map[time.Duration]*quotaPair // guarded by mu
}

type quotaPair struct {
	young, old map[quotaKey]*rate.Limiter
	born       time.Time // when young was empty
}

// A quotaKey is a digest of the caller, the object and the rate: clients make up
// the names of resources, as long as they like.
type quotaKey [sha256.Size]byte

func quotaKeyOf(r Request, of source.Rate) quotaKey {
	return sha256.Sum256([]byte(r.Caller.ID + "\x00" + r.about.object.String() + "\x00" + strconv.Itoa(of.Calls)))
}

// oblige sees to what the satisfied permits demand before the request goes on. Its
// error is a *denied.
func (q *quotas) oblige(r Request, o source.Obligations) error {
	if size := int64(len(r.about.arguments.raw)); o.MaxBytesIn > 0 && size > o.MaxBytesIn {
		return deniedByPolicy("max_bytes_in", fmt.Sprintf("the arguments have %d bytes, and may have %s", size, formatBytes(o.MaxBytesIn)))
	}
	if len(o.Rates) == 0 {
		return nil
	}
	worst, wait := q.take(r, o.Rates, time.Now())
	if wait == 0 {
		return nil
	}
	return deniedByPolicy("rate", fmt.Sprintf("more than %d calls in %s; try again in %d s",
		worst.Calls, formatTime(worst.Per), int(math.Ceil(wait.Seconds()))))
}

// take takes one call from each allowance, or from none: then it says which of them
// makes the caller wait longest.
func (q *quotas) take(r Request, rates []source.Rate, now time.Time) (worst source.Rate, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken []*rate.Reservation
	for _, of := range rates {
		reservation := q.limiterLocked(r, of, now).ReserveN(now, 1)
		taken = append(taken, reservation)
		if delay := reservation.DelayFrom(now); delay > wait {
			worst, wait = of, delay
		}
	}
	if wait > 0 {
		for _, reservation := range taken {
			reservation.CancelAt(now)
		}
	}
	return worst, wait
}

func (q *quotas) limiterLocked(r Request, of source.Rate, now time.Time) *rate.Limiter {
	if q.per == nil {
		q.per = map[time.Duration]*quotaPair{}
	}
	pair := q.per[of.Per]
	if pair == nil {
		pair = &quotaPair{}
		q.per[of.Per] = pair
	}
	if pair.young == nil || len(pair.young) >= maxQuotas || now.Sub(pair.born) >= of.Per {
		pair.young, pair.old, pair.born = map[quotaKey]*rate.Limiter{}, pair.young, now
	}
	key := quotaKeyOf(r, of)
	l := pair.young[key]
	if l == nil {
		if l = pair.old[key]; l == nil {
			l = rate.NewLimiter(rate.Every(of.Per/time.Duration(of.Calls)), of.Calls)
		}
		pair.young[key] = l
	}
	return l
}

// mark gives the caller the labels of a tool before it is called, so that another
// request knows of them, and counts the call.
func (g *Gateway) mark(ctx context.Context, r Request, labels []string) error {
	if g.labels == nil {
		return nil
	}
	client := clientOf(r.Caller)
	if err := g.labels.Mark(ctx, r.Caller.ID, client, labels); err != nil {
		g.log.Warn("a call is refused, since its labels cannot be kept", append(r.attributes(), "err", err)...)
		return &denied{reason: "labels", answer: &jsonrpc.Error{
			Code: codeBusy, Message: "the gateway cannot keep what it must remember of this call, and so does not make it; try again later",
		}}
	}
	g.labels.Count(r.Caller.ID, client)
	return nil
}

// formatTime is a time as the obligations of policies name it.
func formatTime(d time.Duration) string {
	switch d {
	case time.Second:
		return "a second"
	case time.Minute:
		return "a minute"
	case time.Hour:
		return "an hour"
	case 24 * time.Hour:
		return "a day"
	}
	return d.String()
}
