package guard

import "net/netip"

// special are the networks that no stranger's URL may lead to, with what they
// are: those that the IANA special-purpose address registries (RFC 6890) call
// not globally reachable, and the address at which Azure serves its virtual
// machines. The other clouds serve theirs at addresses that are link-local,
// private or reserved.
//
// A container's way out, upstream/egress, has the same list, since neither of
// the two packages may import the other. A test in cmd/mcpagg compares them.
var special = []struct {
	network netip.Prefix
	what    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "private (shared by a carrier)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "the platform's own"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},

	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("2001::/23"), "reserved"}, // Teredo is in it
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("3fff::/20"), "for documentation"},
}

var (
	// global holds all global unicast addresses of IPv6 that were ever assigned
	// (RFC 4291 section 2.4).
	global = netip.MustParsePrefix("2000::/3")
	// nat64 holds IPv4 addresses in their last four bytes (RFC 6052 section 2.1).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// Public reports whether an address is one of the public Internet. An IPv4
// address in an IPv6 one counts as itself. The zero Addr is not public.
func Public(addr netip.Addr) bool { return addr.IsValid() && whySpecial(addr) == "" }

// whySpecial says what kind of address that is not public this is, "" if it is
// none.
func whySpecial(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		bytes := addr.As16()
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	for _, s := range special {
		if s.network.Contains(addr) {
			return s.what
		}
	}
	if addr.Is6() && !global.Contains(addr) {
		return "reserved"
	}
	return ""
}
