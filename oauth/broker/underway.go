package broker

import (
	"net/netip"
	"sync"
	"time"
)

// Sign-ins are stored before anybody knows who it is, so that how many of them there
// can be at once is bounded: strangers could fill the disk with sign-ins that nobody
// goes on with, or come back with codes that they made up, about which the provider
// is asked. Once there are many, each address gets a few only, so that it takes
// a lot of addresses to keep others out.
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
	each map[netip.Prefix]int    // how many of open each has; guarded by mu
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
	most := maxUnderWayEach
	if len(u.open) >= manyUnderWay {
		most = maxUnderWayOfFew
	}
	if _, known := u.open[id]; known { // a form that was sent twice
		return true
	}
	if len(u.open) >= maxUnderWay || u.each[from] >= most {
		return false
	}
	u.open[id] = from
	u.each[from]++
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
	if u.each[from]--; u.each[from] == 0 {
		delete(u.each, from)
	}
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
