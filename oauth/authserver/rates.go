package authserver

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxAddresses bounds how many addresses are counted in a generation.
const maxAddresses = 5000

// Rates bound the requests from each address; nil bounds nothing. There are two generations of
// addresses: when the younger one is full, the older one is forgotten, which
// costs the same however many strangers there are.
type Rates struct {
	limit rate.Limit
	burst int

	mu         sync.Mutex
	young, old map[netip.Prefix]*rate.Limiter // guarded by mu
}

// NewRates lets each address make a burst of requests, and then so many per second.
func NewRates(perSecond float64, burst int) *Rates {
	return &Rates{limit: rate.Limit(perSecond), burst: burst, young: map[netip.Prefix]*rate.Limiter{}}
}

// Take takes one request from the allowance of an address, or says when to come
// back.
func (r *Rates) Take(remote string) (wait time.Duration) {
	if r == nil {
		return 0
	}
	reservation := r.limiter(Neighbourhood(remote)).Reserve()
	if wait = reservation.Delay(); wait > 0 {
		reservation.Cancel()
	}
	return wait
}

func (r *Rates) limiter(from netip.Prefix) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.young[from]; ok {
		return l
	}
	l, ok := r.old[from]
	if !ok {
		l = rate.NewLimiter(r.limit, r.burst)
	}
	if len(r.young) >= maxAddresses {
		r.young, r.old = map[netip.Prefix]*rate.Limiter{}, r.young
	}
	r.young[from] = l
	return l
}

// Neighbourhood is an IPv4 address, or the network of 64 bits around an IPv6
// one, of which a single machine has as many as it likes. All that is no address
// is one.
func Neighbourhood(remote string) netip.Prefix {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := min(addr.BitLen(), 64)
	return netip.PrefixFrom(addr, bits).Masked()
}
