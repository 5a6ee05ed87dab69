package guard

import (
	"errors"
	"net/url"
	"strings"
)

// maxName is the length of the longest host name (RFC 1035 section 2.3.4).
const maxName = 253

// local are the top-level domains, and one domain, whose names mean something
// else on each network (RFC 6761, RFC 6762, RFC 8375 and ICANN's "internal").
var local = []string{"localhost", "local", "internal", "home.arpa"}

// CheckURL reads a URL that a stranger has chosen, and says what about it is
// refused before anything is looked up:
//
//   - it is https, on port 443, and has no user name
//   - its host is a full name in lower-case ASCII, such as "app.example.com":
//     no address in any form that some program would read as one, no name of a
//     local network, and no dot at the end
//
// Errors are worded to follow the URL: "is not https".
func CheckURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is no URL") // the cause would repeat it
	case u.Scheme != "https":
		return nil, errors.New("is not https")
	case u.Opaque != "" || u.Host == "":
		return nil, errors.New("has no host")
	case u.User != nil:
		return nil, errors.New("has a user name")
	}
	name := strings.TrimSuffix(u.Host, ":443")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, ']') {
		return nil, errors.New("has a port other than 443")
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	return u, nil
}

func checkName(name string) error {
	if strings.HasPrefix(name, "[") {
		return errors.New("has an address instead of a host name")
	}
	if strings.HasSuffix(name, ".") {
		return errors.New("has a host name that ends in a dot")
	}
	labels := strings.Split(name, ".")
	if len(name) > maxName || !isLabels(labels) {
		return errors.New("has no host name of lower-case letters, digits and hyphens; international ones begin with xn--")
	}
	if isNumber(labels[len(labels)-1]) {
		return errors.New("has an address instead of a host name")
	}
	for _, domain := range local {
		if name == domain || strings.HasSuffix(name, "."+domain) {
			return errors.New("has the name of a host on a local network")
		}
	}
	if len(labels) < 2 {
		return errors.New("has a host name of one word, which means something else on each network")
	}
	return nil
}

func isLabels(labels []string) bool {
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// isNumber reports whether a host that ends in this label is an IPv4 address to
// some programs (URL Standard, "ends in a number checker"). No top-level domain
// begins with a digit, so no other host is lost.
func isNumber(label string) bool { return '0' <= label[0] && label[0] <= '9' }
