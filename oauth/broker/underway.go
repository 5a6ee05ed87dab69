package broker

import (
	"net/netip"
	"sync"
	"time"
)

// Sign-ins are stored before anybody knows who it is, so that how many of them there
// can be at once is bounded: strangers could fill the disk with sign-ins that nobody
// goes on with, or come back with codes that they made up, about which the provider
// is asked. Once there are many, each network has a few only, so that it takes a lot of
// networks to keep others out: one machine can have 65,536 of the addresses of IPv6 that
// count as one each.
const (
	maxUnderWay      = 10_000
	maxUnderWayEach  = 300
	manyUnderWay     = maxUnderWay / 2
	maxUnderWayOfFew = 5
)

// underWay counts the sign-ins that somebody agreed to, as long as nobody has signed in.
// It is safe for concurrent use.
type underWay struct {
	mu   sync.Mutex
	open map[string]netip.Prefix // whose a sign-in is, by the request's id; guarded by mu
	each map[netip.Prefix]int    // how many of open each has, and each network; guarded by mu
	ages []aging                 // the oldest first, also those that are over; guarded by mu
}

// An aging sign-in is over at a time, at the latest.
type aging struct {
	id    string
	until time.Time
}

func newUnderWay() *underWay {
	return &underWay{open: map[string]netip.Prefix{}, each: map[netip.Prefix]int{}}
}

// begin reports whether there may be another one, and counts it.
func (u *underWay) begin(id string, from netip.Prefix) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	u.forgetLocked(now)
	if _, known := u.open[id]; known { // a form that was sent twice
		return true
	}
	n := len(u.open)
	if n >= maxUnderWay || u.each[from] >= maxUnderWayEach || n >= manyUnderWay && u.each[network(from)] >= maxUnderWayOfFew {
		return false
	}
	u.open[id] = from
	u.each[from]++
	u.each[network(from)]++
	u.ages = append(u.ages, aging{id, now.Add(loginTTL)})
	return true
}

// end is that somebody has signed in, or that it was not begun after all.
func (u *underWay) end(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.endLocked(id)
}

func (u *underWay) endLocked(id string) {
	from, ok := u.open[id]
	if !ok {
		return
	}
	delete(u.open, id)
	for _, of := range []netip.Prefix{from, network(from)} {
		if u.each[of]--; u.each[of] == 0 {
			delete(u.each, of)
		}
	}
}

// network is what somebody gets who gets more than one address.
func network(from netip.Prefix) netip.Prefix {
	bits := 48
	if from.Addr().Is4() {
		bits = 24
	}
	return netip.PrefixFrom(from.Addr(), bits).Masked()
}

// forgetLocked ends those that nobody can come back from any more.
func (u *underWay) forgetLocked(now time.Time) {
	n := 0
	for n < len(u.ages) && !now.Before(u.ages[n].until) {
		u.endLocked(u.ages[n].id)
		n++
	}
	u.ages = u.ages[n:]
}
