package main

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/guard"
	"github.com/mcpagg/mcpagg/upstream/egress"
)

// TestOnePublicInternet sees that what a container may reach by name, and what
// is fetched for strangers, is the same Internet: oauth/guard and upstream/egress
// each have the list, as neither may import the other.
func TestOnePublicInternet(t *testing.T) {
	public := 0
	check := func(addr netip.Addr) {
		guarded, open := guard.Public(addr), egress.Public(addr)
		if guarded != open {
			t.Errorf("%s is public to oauth/guard: %v, to upstream/egress: %v", addr, guarded, open)
		}
		if guarded {
			public++
		}
	}
	check(netip.Addr{})
	for i := range 1 << 16 { // both ends of every IPv4 network of up to 16 bits, and of every /16 of IPv6
		high, low := byte(i>>8), byte(i)
		check(netip.AddrFrom4([4]byte{high, low}))
		check(netip.AddrFrom4([4]byte{high, low, 255, 255}))
		check(netip.AddrFrom16([16]byte{high, low}))
		check(netip.AddrFrom16([16]byte{high, low, 2: 255, 3: 255, 15: 255}))
	}
	for _, s := range []string{
		"168.63.129.15", "168.63.129.16", "168.63.129.17", "192.0.0.255", "192.0.1.0", "192.0.2.255", "192.0.3.0", "192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0",
		"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0", "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0",
		"::1", "::2", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:0:1::", "::ffff:10.0.0.1", "::ffff:8.8.8.8",
		"2001:1ff:ffff::", "2001:200::", "2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::", "2001:db9::", "3fff:fff::", "3fff:1000::", "fe80::1%eth0",
	} {
		check(netip.MustParseAddr(s))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		n := random.Uint32()
		v4 := [4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		check(netip.AddrFrom4(v4))
		check(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: v4[0], v4[1], v4[2], v4[3]}))
		check(netip.AddrFrom16([16]byte{0x20, 0x01, v4[0], v4[1], v4[2], v4[3]}))
	}
	if public == 0 {
		t.Error("no address is public")
	}
}
