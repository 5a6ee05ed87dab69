package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A Rule is one destination that may be connected to: a host name, all names
// below a domain, or a network, always with one port. The zero value allows
// nothing.
type Rule struct {
	name    string // lower case, without a trailing dot; "" in a rule of addresses
	below   bool   // the names below name, instead of name itself
	network netip.Prefix
	port    uint16
}

// ParseRule reads a rule:
//
//	api.github.com:443      the host of that name
//	*.atlassian.net:443     all hosts below it, a.atlassian.net and b.a.atlassian.net, but not atlassian.net itself
//	10.20.0.0/16:5432       the addresses of a network
//	192.168.1.5:8443        one address
//	[2001:db8::/32]:443     the same for IPv6
//
// Names are compared without regard to case. They are written in ASCII, so
// international ones as clients send them ("xn--bcher-kva.example"). Errors are
// worded to follow the rule: "has no port; …".
func ParseRule(s string) (Rule, error) {
	host, port, bracketed, err := splitHostPort(s)
	if err != nil {
		return Rule{}, err
	}
	rule, err := parseRuleHost(host, bracketed)
	if err != nil {
		return Rule{}, err
	}
	rule.port = port
	return rule, nil
}

func parseRuleHost(host string, bracketed bool) (Rule, error) {
	if bracketed || strings.Contains(host, "/") || looksLikeAddress(host) {
		network, err := parseNetwork(host)
		return Rule{network: network}, err
	}
	name, below := strings.CutPrefix(host, "*.")
	if strings.Contains(name, "*") {
		return Rule{}, errors.New(`has a "*" that does not stand for all names below a domain, as in "*.example.com:443"`)
	}
	name, err := parseName(name)
	if err != nil {
		return Rule{}, err
	}
	if below && !strings.Contains(name, ".") {
		return Rule{}, errors.New("would allow a whole top-level domain")
	}
	return Rule{name: name, below: below}, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(s)
	addr, errAddr := netip.ParseAddr(s)
	if errAddr == nil {
		network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New(`does not begin with an address or network such as "10.20.0.0/16:443" or "[2001:db8::/32]:443"`)
	case addr.Zone() != "":
		return netip.Prefix{}, errors.New("has an address with a zone, which is not supported")
	case network.Addr().Is4In6():
		return netip.Prefix{}, errors.New("has an IPv4 address in the form of an IPv6 one; write it as an IPv4 address")
	case network.Bits() == 0:
		return netip.Prefix{}, errors.New("would allow every address")
	case network != network.Masked():
		return netip.Prefix{}, fmt.Errorf("has an address inside of the network %s; write that, or the address alone", network.Masked())
	}
	return network, nil
}

// String is the rule as ParseRule reads it.
func (r Rule) String() string {
	host := r.name
	switch {
	case r.below:
		host = "*." + r.name
	case r.network.IsValid() && r.network.IsSingleIP():
		host = r.network.Addr().String()
	case r.network.IsValid():
		host = r.network.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(r.port)))
}

// MarshalText is String.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// allowsName reports whether the rule is one for this name and port.
func (r Rule) allowsName(name string, port uint16) bool {
	switch {
	case r.name == "" || r.port != port:
		return false
	case r.below:
		return strings.HasSuffix(name, "."+r.name)
	}
	return name == r.name
}

// allowsAddr reports whether the rule is one for this address and port.
func (r Rule) allowsAddr(addr netip.Addr, port uint16) bool {
	return r.network.IsValid() && r.port == port && r.network.Contains(addr)
}

// splitHostPort takes "host:port" and "[host]:port" apart.
func splitHostPort(s string) (host string, port uint16, bracketed bool, err error) {
	if strings.Contains(s, "://") {
		return "", 0, false, errors.New(`must not have a scheme; write the host and port alone, such as "api.github.com:443"`)
	}
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || strings.HasSuffix(s, "]") {
		return "", 0, false, errors.New(`has no port; write one, such as "api.github.com:443"`)
	}
	host = s[:colon]
	number := s[colon+1:]
	parsed, err := strconv.ParseUint(number, 10, 16)
	if err != nil || parsed == 0 || number[0] < '0' || number[0] > '9' {
		return "", 0, false, errors.New("does not end in a port number from 1 to 65535")
	}
	if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		inner = strings.TrimSuffix(inner, "]")
		if !strings.Contains(inner, ":") {
			return "", 0, false, errors.New("has brackets, which only IPv6 addresses need")
		}
		return inner, uint16(parsed), true, nil
	}
	if strings.Contains(host, ":") {
		return "", 0, false, errors.New(`has an IPv6 address without brackets; write it as "[2001:db8::1]:443"`)
	}
	return host, uint16(parsed), false, nil
}

// maxName is the length of the longest host name (RFC 1035 section 2.3.4).
const maxName = 253

// parseName checks a host name, and returns it in lower case and without the
// dot that may end it. Besides letters, digits and hyphens it may have
// underscores, as some names in use do.
func parseName(s string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if name == "" || len(name) > maxName {
		return "", errors.New("does not begin with a host name")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", errors.New("does not begin with a host name")
		}
		for _, c := range []byte(label) {
			switch {
			case c >= 0x80:
				return "", errors.New(`has a name that is not in ASCII; write it as clients send it, such as "xn--bcher-kva.example:443"`)
			case !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'):
				return "", errors.New("does not begin with a host name")
			}
		}
	}
	if looksLikeAddress(name) {
		return "", errors.New("has an unusual form of an IPv4 address")
	}
	return name, nil
}

// looksLikeAddress reports whether a host would be an IPv4 address to some
// programs: its last label is a number, perhaps a hexadecimal one (URL
// Standard, "ends in a number checker").
func looksLikeAddress(host string) bool {
	last := strings.TrimSuffix(host, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	if hex, ok := strings.CutPrefix(strings.ToLower(last), "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
