package aggregator

import (
	"crypto/sha256"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/policy/source"
)

const (
	// maxQuotasPerCaller bounds the objects for which a caller has an allowance of
	// its own in a generation. All others together have one: clients make up the
	// names of resources, and must not get back by that what they have used up.
	maxQuotasPerCaller = 2_000
	// maxQuotas bounds those of all callers. Once there are so many, a caller has
	// one allowance for all new objects, and with twice as many all new callers have.
	maxQuotas = 100_000
)

// quotas bound how often each caller uses each tool, prompt or resource where
// policies oblige them to. For each length of time there are two generations: an
// allowance that was not used for that long is whole again, and so can be
// forgotten. For nothing else is one forgotten. They are safe for concurrent use.
type quotas struct {
	mu  sync.Mutex
	per map[time.Duration]*quotaPair // guarded by mu
}

type quotaPair struct {
	young, old map[quotaKey]*rate.Limiter
	callers    map[string]int // how many in young are for one object, by Caller.ID
	born       time.Time      // when young was empty
}

// A quotaKey is a digest of the caller, the object and the rate: the names of
// resources are as long as clients like.
type quotaKey [sha256.Size]byte

// quotaKeyOf is that of a caller and object. Of the empty ones it is that of all
// which have none.
func quotaKeyOf(caller, object string, of source.Rate) quotaKey {
	return sha256.Sum256([]byte(caller + "\x00" + object + "\x00" + strconv.Itoa(of.Calls)))
}

// take takes one call from each allowance, or from none: then it says which of them
// makes the caller wait longest.
func (q *quotas) take(r Request, rates []source.Rate, now time.Time) (worst source.Rate, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken []*rate.Reservation
	for _, of := range rates {
		for _, limiter := range q.pairLocked(of.Per, now).limiters(r.Caller.ID, r.about.object.String(), of) {
			reservation := limiter.ReserveN(now, 1)
			taken = append(taken, reservation)
			if delay := reservation.DelayFrom(now); delay > wait {
				worst, wait = of, delay
			}
		}
	}
	if wait > 0 {
		for _, reservation := range taken {
			reservation.CancelAt(now)
		}
	}
	return worst, wait
}

// pairLocked are the generations for a length of time.
func (q *quotas) pairLocked(per time.Duration, now time.Time) *quotaPair {
	if q.per == nil {
		q.per = map[time.Duration]*quotaPair{}
	}
	pair := q.per[per]
	if pair == nil {
		pair = &quotaPair{}
		q.per[per] = pair
	}
	if pair.young == nil || now.Sub(pair.born) >= per {
		pair.young, pair.old, pair.born = map[quotaKey]*rate.Limiter{}, pair.young, now
		pair.callers = map[string]int{}
	}
	return pair
}

// limiters are those that a call has to pass: the allowance for the object, or, once
// there are too many of such, the one for all others, and what the older generation
// knows of the object.
func (p *quotaPair) limiters(caller, object string, of source.Rate) []*rate.Limiter {
	key := quotaKeyOf(caller, object, of)
	if l := p.young[key]; l != nil {
		return []*rate.Limiter{l}
	}
	if p.callers[caller] < maxQuotasPerCaller && len(p.young) < maxQuotas {
		p.callers[caller]++
		return []*rate.Limiter{p.limiter(key, of)}
	}
	shared := quotaKeyOf(caller, "", of)
	if p.young[shared] == nil && len(p.young) >= 2*maxQuotas {
		shared = quotaKeyOf("", "", of)
	}
	all := []*rate.Limiter{p.limiter(shared, of)}
	if l := p.old[key]; l != nil {
		all = append(all, l)
	}
	return all
}

// limiter is the one of a key, which is in the younger generation from now on.
func (p *quotaPair) limiter(key quotaKey, of source.Rate) *rate.Limiter {
	l := p.young[key]
	if l == nil {
		l = p.old[key]
	}
	if l == nil {
		l = rate.NewLimiter(rate.Every(of.Per/time.Duration(of.Calls)), of.Calls)
	}
	p.young[key] = l
	return l
}
