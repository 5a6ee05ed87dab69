package broker

import (
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnderWayOfNetworks has strangers with as many addresses as they like begin
// sign-ins, and people sign in meanwhile.
func TestUnderWayOfNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, n := newUnderWay(), 0
		begin := func(from netip.Prefix) bool { n++; return u.begin(strconv.Itoa(n), from) }
		addr := func(a, b, c, d byte) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), 32) }
		for i := range 65_536 {
			begin(netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 0, 1, byte(i >> 8), byte(i)}), 64))
		}
		if len(u.open) != manyUnderWay {
			t.Errorf("%d are under way from one network", len(u.open))
		}
		for i := range 5 {
			if !begin(addr(192, 0, 2, byte(i))) {
				t.Errorf("somebody elsewhere is kept out, after %d", i)
			}
		}
		if begin(addr(192, 0, 2, 5)) {
			t.Error("a network gets more than a few")
		}
		if begin(netip.Prefix{}); begin(addr(198, 51, 100, 1)) {
			u.end(strconv.Itoa(n))
		}
		for i := range 10_000 {
			begin(addr(10, byte(i>>8), byte(i), 1))
		}
		if len(u.open) != maxUnderWay {
			t.Errorf("%d are under way", len(u.open))
		}
		time.Sleep(loginTTL)
		if !begin(addr(192, 0, 2, 5)) || len(u.open) != 1 || len(u.each) != 2 || len(u.ages) != 1 {
			t.Errorf("%d, %d and %d are left", len(u.open), len(u.each), len(u.ages))
		}
	})
}
