package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// An address is a host and port to listen on.
type address struct {
	setting
	value string
	in    input
}

func (v *address) kind() kind { return textKind("address, such as `\"127.0.0.1:8080\"`") }

func (v *address) take(in input) {
	s, ok := in.text()
	if !ok {
		return
	}
	if problem, hint := addressProblem(s); problem != "" {
		in.mistake("%v %s%s", in, problem, in.unless(hint))
		return
	}
	v.value, v.in = s, in
}

// addressProblem is what is wrong with an address to listen on, "" if nothing
// is. Only the hint quotes the address.
func addressProblem(addr string) (problem, hint string) {
	_, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return `is not a host and port such as "127.0.0.1:8080".`, portHint(addr)
	case !isPort(port):
		return "does not end in a port number from 0 to 65535.", ""
	}
	return "", ""
}

// isReachable reports whether other machines can reach an address.
func isReachable(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && !isLoopback(host)
}

// reachProblem is what is wrong with such an address where nobody signs in.
const reachProblem = "can be reached from other machines. Without sign-in, the gateway listens on loopback only."

// reachHint quotes the address.
func reachHint(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return portHint(port)
}

func portHint(s string) string {
	if isPort(s) {
		return ` Did you mean "127.0.0.1:` + s + `"?`
	}
	return ""
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// An endpoint is the URL of an MCP server.
type endpoint struct {
	setting
	value *url.URL
}

func (v *endpoint) kind() kind { return textKind("URL") }

func (v *endpoint) take(in input) { v.value = in.webURL("https://mcp.contoso.com/mcp") }

// webURL is the input as an http or https URL, or nil after noting a mistake.
func (in input) webURL(example string) *url.URL {
	s, ok := in.text()
	if !ok {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		in.mistake("%v is not an http or https URL such as %q.%s", in, example, in.unless(schemeHint(s)))
	case u.Port() != "" && !isPort(u.Port()):
		in.mistake("The port in %v is not a number from 0 to 65535.", in)
	case u.User != nil:
		in.conceal = true
		in.mistake("A URL must not hold a user name or password, since URLs are printed.")
	case u.Fragment != "":
		in.mistake("%v must not have a part after #.", in)
	default:
		return u
	}
	return nil
}

// schemeHint helps where only the scheme is missing.
func schemeHint(s string) string {
	if u, err := url.Parse("http://" + s); err != nil || u.Host == "" || strings.Contains(s, "://") || strings.ContainsAny(s, " \t") {
		return ""
	}
	scheme := "https://"
	if host, _, _ := strings.Cut(s, ":"); isLoopback(host) {
		scheme = "http://"
	}
	return ` Did you mean "` + scheme + s + `"?`
}

// A publicURL is a URL that others are built from.
type publicURL struct{ endpoint }

func (v *publicURL) take(in input) {
	u := in.webURL("https://mcp.contoso.com")
	if u != nil && (u.RawQuery != "" || u.ForceQuery) {
		in.mistake("%v must not have a part after ?.", in)
		return
	}
	v.value = u
	if u != nil {
		u.Host = canonicalHost(u)
	}
}

// canonicalHost is the host and port of a URL as clients write them (RFC 3986,
// section 6.2): in lower case, and without the port that the scheme has anyway.
// They compare URLs that are built from it with those that they know, and ask for
// tokens by them.
func canonicalHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch port := u.Port(); {
	case port == "", u.Scheme == "https" && port == "443", u.Scheme == "http" && port == "80":
		return strings.TrimSuffix(host, ":"+port)
	}
	return host
}

// networks is a list of address ranges.
type networks struct {
	setting
	value []netip.Prefix
}

func (v *networks) kind() kind { return listKind("networks, such as `\"10.0.0.0/8\"`") }

func (v *networks) take(in input) {
	elements, _ := in.list()
	for _, e := range elements {
		s, ok := e.text()
		if !ok {
			continue
		}
		network, err := netip.ParsePrefix(s)
		if err != nil {
			e.mistake("%v is not a network such as \"10.0.0.0/8\".%s", e, e.unless(networkHint(s)))
			continue
		}
		v.value = append(v.value, network.Masked())
	}
}

// networkHint helps where a network is a single address.
func networkHint(s string) string {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return ""
	}
	return ` Did you mean "` + netip.PrefixFrom(addr, addr.BitLen()).String() + `"?`
}

// webOrigins is a list of what browsers send as Origin.
type webOrigins struct {
	setting
	value []string
}

func (v *webOrigins) kind() kind { return listKind("origins, such as `\"https://example.com\"`") }

var originPattern = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://[^/?#@\s\\*]+$`)

func (v *webOrigins) take(in input) {
	elements, _ := in.list()
	for _, e := range elements {
		s, ok := e.text()
		if !ok {
			continue
		}
		u, err := url.Parse(s)
		lower := strings.ToLower(s)
		if err != nil || !originPattern.MatchString(lower) || u.Port() != "" && !isPort(u.Port()) {
			e.mistake("%v is not a scheme and host such as \"https://example.com\" or \"https://example.com:8443\".%s",
				e, e.unless(originHint(u)))
			continue
		}
		v.value = append(v.value, lower)
	}
}

// originHint helps where an origin is a whole URL.
func originHint(u *url.URL) string {
	if u == nil || u.Scheme == "" || u.Host == "" || strings.Contains(u.Host, "*") {
		return ""
	}
	return ` Did you mean "` + strings.ToLower(u.Scheme+"://"+u.Host) + `"?`
}
