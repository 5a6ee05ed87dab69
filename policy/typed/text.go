package typed

import (
	"net/netip"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
)

var errDatetime = &UnholdableError{Why: "it is not a date or time of RFC 3339"}

// datetime reads a date or a time of RFC 3339 section 5.6. A date alone is its
// midnight in UTC.
func datetime(s string) (types.Value, *UnholdableError) {
	written, err := cedarDatetime(s)
	if err != nil {
		return nil, err
	}
	d, parseErr := types.ParseDatetime(written)
	if parseErr != nil {
		return nil, errDatetime
	}
	return d, nil
}

// cedarDatetime writes a time as Cedar does: T and Z in upper case, three digits
// of a second or none, and no colon in the offset.
func cedarDatetime(s string) (string, *UnholdableError) {
	const toSeconds = len("2006-01-02T15:04:05")
	if len(s) == len("2006-01-02") && digit(s[0]) || len(s) == toSeconds+1 && s[10] == 'T' && s[toSeconds] == 'Z' {
		return s, nil
	}
	if len(s) <= toSeconds || !digit(s[0]) || s[10]|0x20 != 't' {
		return "", errDatetime
	}
	seconds, rest := s[:10]+"T"+s[11:toSeconds], s[toSeconds:]
	if rest[0] == '.' {
		end := 1
		for end < len(rest) && digit(rest[end]) {
			end++
		}
		millis := strings.TrimRight(rest[1:end], "0")
		if end == 1 {
			return "", errDatetime
		}
		if len(millis) > 3 {
			return "", &UnholdableError{Why: "it is finer than a millisecond"}
		}
		seconds += "." + millis + "000"[len(millis):]
		rest = rest[end:]
	}
	switch {
	case rest == "Z" || rest == "z":
		return seconds + "Z", nil
	case len(rest) == len("+0000"):
		return seconds + rest, nil // of ISO 8601, and Cedar's
	case len(rest) == len("+00:00") && rest[3] == ':':
		return seconds + rest[:3] + rest[4:], nil
	}
	return "", errDatetime
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// address reads one IP address. A range is none, and neither is an IPv4 address
// in the clothes of IPv6: it would be in no range of IPv4 that a policy names.
func address(s string) (types.Value, *UnholdableError) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil || a.Zone() != "":
		return nil, &UnholdableError{Why: "it is not an IP address"}
	case a.Is4In6():
		return nil, &UnholdableError{Why: "it is an IPv4 address written as IPv6"}
	}
	return types.IPAddr(netip.PrefixFrom(a, a.BitLen())), nil
}
