package egress

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseRule(t *testing.T) {
	for in, want := range map[string]string{
		"api.github.com:443":           "api.github.com:443",
		"API.GitHub.com.:443":          "api.github.com:443",
		"*.Atlassian.net:443":          "*.atlassian.net:443",
		"jira:8443":                    "jira:8443",
		"_dmarc.example.com:1":         "_dmarc.example.com:1",
		"xn--bcher-kva.example:65535":  "xn--bcher-kva.example:65535",
		"10.20.0.0/16:5432":            "10.20.0.0/16:5432",
		"192.168.1.5:8443":             "192.168.1.5:8443",
		"192.168.1.5/32:8443":          "192.168.1.5:8443",
		"[2001:db8::/32]:443":          "[2001:db8::/32]:443",
		"[2001:db8::1]:443":            "[2001:db8::1]:443",
		"[2001:DB8:0:0:0:0:0:1]:00443": "[2001:db8::1]:443",
	} {
		rule, err := ParseRule(in)
		if err != nil || rule.String() != want {
			t.Errorf("ParseRule(%q) = %v, %v; want %s", in, rule, err, want)
		}
	}
}

func TestParseRuleMistakes(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "has no port",
		"api.github.com":                  "has no port",
		"[2001:db8::1]":                   "has no port",
		"https://api.github.com:443":      "must not have a scheme",
		"https://api.github.com":          "must not have a scheme",
		"api.github.com:443/path":         "does not end in a port number",
		"api.github.com/path:443":         "address or network",
		"api.github.com:0":                "does not end in a port number",
		"api.github.com:65536":            "does not end in a port number",
		"api.github.com:+443":             "does not end in a port number",
		"api.github.com:*":                "does not end in a port number",
		"api.github.com:":                 "does not end in a port number",
		"api.github.com:https":            "does not end in a port number",
		":443":                            "does not begin with a host name",
		".:443":                           "does not begin with a host name",
		"a..b:443":                        "does not begin with a host name",
		"-a.example:443":                  "does not begin with a host name",
		"user@example.com:443":            "does not begin with a host name",
		"a b.example.com:443":             "does not begin with a host name",
		"a\nb.example.com:443":            "does not begin with a host name",
		".github.com:443":                 "does not begin with a host name",
		strings.Repeat("a", 64) + ":1":    "does not begin with a host name",
		strings.Repeat("a.", 127) + "a:1": "does not begin with a host name",
		"bücher.example:443":              "xn--",
		"*:443":                           `has a "*"`,
		"api.*.com:443":                   `has a "*"`,
		"*github.com:443":                 `has a "*"`,
		"*.*.github.com:443":              `has a "*"`,
		"*.com:443":                       "top-level domain",
		"*.com.:443":                      "top-level domain",
		"*.10.0.0.1:443":                  "address or network",
		"10.0.0.1/8:443":                  "10.0.0.0/8",
		"10.0.0.0/33:443":                 "address or network",
		"0.0.0.0/0:443":                   "every address",
		"[::/0]:443":                      "every address",
		"2001:db8::1:443":                 "without brackets",
		"[10.0.0.1]:443":                  "which only IPv6",
		"[::ffff:10.0.0.1]:443":           "as an IPv4 address",
		"[fe80::1%eth0]:443":              "zone",
		"127.1:443":                       "address or network",
		"0x7f.1:443":                      "address or network",
		"0x7f000001:443":                  "address or network",
		"010.0.0.1:443":                   "address or network",
	} {
		rule, err := ParseRule(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRule(%q) = %v, %v; want an error with %q", in, rule, err, want)
		}
	}
}

func TestRuleAllows(t *testing.T) {
	for _, c := range []struct {
		rule, target string
		want         bool
	}{
		{"api.github.com:443", "api.github.com:443", true},
		{"api.github.com:443", "API.GITHUB.COM.:443", true},
		{"api.github.com:443", "api.github.com:80", false},
		{"api.github.com:443", "evil-api.github.com:443", false},
		{"api.github.com:443", "api.github.com.evil.example:443", false},
		{"*.atlassian.net:443", "a.atlassian.net:443", true},
		{"*.atlassian.net:443", "b.a.atlassian.net:443", true},
		{"*.atlassian.net:443", "atlassian.net:443", false},
		{"*.atlassian.net:443", "evilatlassian.net:443", false},
		{"10.0.0.0/8:443", "10.1.2.3:443", true},
		{"10.0.0.0/8:443", "[::ffff:10.1.2.3]:443", true},
		{"10.0.0.0/8:443", "11.1.2.3:443", false},
		{"10.0.0.0/8:443", "10.1.2.3:80", false},
		{"[2001:db8::/32]:443", "[2001:db8::5]:443", true},
		{"[2001:db8::/32]:443", "10.1.2.3:443", false},
	} {
		rule, err := ParseRule(c.rule)
		if err != nil {
			t.Fatal(err)
		}
		to, err := parseTarget(c.target)
		if err != nil {
			t.Fatal(err)
		}
		if got := New(Options{Allow: []Rule{rule}}).lists(to); got != c.want {
			t.Errorf("rule %s allows %s: %v, want %v", c.rule, c.target, got, c.want)
		}
	}
	if New(Options{Allow: []Rule{{}}}).lists(target{}) {
		t.Error("the zero rule allows something")
	}
}

func TestWhySpecial(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0": "unspecified", "10.255.255.255": "private", "100.64.0.1": "private (shared by a carrier)",
		"100.127.255.255": "private (shared by a carrier)", "100.128.0.1": "", "127.0.0.1": "loopback", "127.255.0.1": "loopback",
		"168.63.129.16": "the platform's own", "168.63.129.17": "", "169.254.169.254": "link-local", "172.15.0.1": "", "172.16.0.1": "private",
		"172.31.255.255": "private", "172.32.0.1": "", "192.0.0.192": "reserved", "192.0.2.1": "for documentation", "192.88.99.1": "a 6to4 relay",
		"192.168.0.1": "private", "198.18.0.1": "for benchmarks", "198.19.255.255": "for benchmarks", "198.20.0.1": "",
		"198.51.100.1": "for documentation", "203.0.113.1": "for documentation", "224.0.0.1": "multicast", "239.255.255.250": "multicast",
		"240.0.0.1": "reserved", "255.255.255.255": "reserved", "8.8.8.8": "", "140.82.121.6": "",
		"::": "unspecified", "::1": "loopback", "fc00::1": "private", "fd00:ec2::254": "private", "fe80::1": "link-local", "fe80::1%eth0": "link-local",
		"fec0::1": "reserved", "ff02::1": "multicast", "2001::1": "reserved", "2001:db8::1": "for documentation", "2002:7f00:1::": "6to4",
		"3fff::1": "for documentation", "5f00::1": "reserved", "100::1": "reserved", "64:ff9b:1::1": "reserved", "::10.0.0.1": "reserved",
		"::ffff:127.0.0.1": "loopback", "::ffff:169.254.169.254": "link-local", "::ffff:8.8.8.8": "", "64:ff9b::169.254.169.254": "link-local",
		"64:ff9b::10.0.0.1": "private", "64:ff9b::8.8.8.8": "", "2606:4700::1111": "", "2a00:1450:4001::1": "",
	} {
		if got := whySpecial(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"api.github.com:443", "*.atlassian.net:443", "10.0.0.0/8:1", "[2001:db8::/32]:443", "*:1", "0x7f.1:443", "[::ffff:1.2.3.4]:443"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rule, err := ParseRule(s)
		if err != nil {
			if rule.port != 0 {
				t.Fatalf("ParseRule(%q) = %v with error %v", s, rule, err)
			}
			return
		}
		again, err := ParseRule(rule.String())
		if err != nil || again != rule {
			t.Fatalf("ParseRule(%q) = %v, which reads as %v, %v", s, rule, again, err)
		}
		if (rule.name == "") != rule.network.IsValid() || rule.port == 0 {
			t.Fatalf("ParseRule(%q) = %#v", s, rule)
		}
	})
}

// FuzzParseTarget looks for a target that means one thing to the rules and
// another to a resolver.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"api.github.com:443", "API.example.COM.:443", "10.0.0.1:443", "[::1]:443", "[::ffff:1.2.3.4]:443", "0x7f000001:80", "127.1:80", "[fe80::1%25lo]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		to, err := parseTarget(s)
		if err != nil {
			return
		}
		again, err := parseTarget(to.String())
		if err != nil || again != to {
			t.Fatalf("parseTarget(%q) = %v, which reads as %v, %v", s, to, again, err)
		}
		if to.name == "" {
			if to.addr.Is4In6() || to.addr.Zone() != "" || !to.addr.IsValid() {
				t.Fatalf("parseTarget(%q) has the address %v", s, to.addr)
			}
			return
		}
		if strings.Trim(to.name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || len(to.name) > maxName || looksLikeAddress(to.name) {
			t.Fatalf("parseTarget(%q) has the name %q", s, to.name)
		}
	})
}
