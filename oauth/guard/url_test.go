package guard_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/guard"
)

func TestCheckURL(t *testing.T) {
	long := strings.Repeat("a.", 130) + "example.com"
	for _, tt := range []struct{ name, raw, want string }{ // want is part of the complaint; "" if there must be none
		{"a name", "https://app.example.com/client.json", ""},
		{"port 443", "https://app.example.com:443/client.json", ""},
		{"international", "https://xn--bcher-kva.example/", ""},
		{"digits", "https://1password.com/", ""},

		{"42 http", "http://app.example.com/", "is not https"},
		{"42 other scheme", "gopher://app.example.com/", "is not https"},
		{"42 no scheme", "//app.example.com/", "is not https"},
		{"42 opaque", "https:app.example.com", "has no host"},
		{"42 no host", "https:///client.json", "has no host"},
		{"42 user name", "https://a@app.example.com/", "has a user name"},
		{"42 empty user name", "https://@app.example.com/", "has a user name"},
		{"42 password", "https://a:b@app.example.com/", "has a user name"},
		{"42 port 22", "https://app.example.com:22/", "has a port"},
		{"42 port 8443", "https://app.example.com:8443/", "has a port"},
		{"42 no digits in the port", "https://app.example.com:/", "has a port"},
		{"42 IPv4", "https://93.184.216.34/", "has an address"},
		{"42 loopback", "https://127.0.0.1/", "has an address"},
		{"42 IPv6", "https://[::1]/", "has an address"},
		{"42 IPv6 with the port", "https://[::1]:443/", "has an address"},
		{"42 IPv4 in IPv6", "https://[::ffff:127.0.0.1]/", "has an address"},
		{"42 zone", "https://[fe80::1%25eth0]/", "has an address"},
		{"42 short", "https://127.1/", "has an address"},
		{"42 number", "https://2130706433/", "has an address"},
		{"42 hexadecimal", "https://0x7f.1/", "has an address"},
		{"42 hexadecimal number", "https://0x7f000001/", "has an address"},
		{"42 octal", "https://0177.0.0.1/", "has an address"},
		{"42 hexadecimal end", "https://app.0x1/", "has an address"},
		{"42 address with a dot", "https://127.0.0.1./", "ends in a dot"},
		{"42 name with a dot", "https://app.example.com./", "ends in a dot"},
		{"42 full-width digits", "https://１２７.0.0.1/", "no host name"},
		{"42 full-width dots", "https://127。0。0。1/", "no host name"},
		{"42 not ASCII", "https://bücher.example/", "no host name"},
		{"42 escaped", "https://local%68ost/", "is no URL"},
		{"42 upper case", "https://APP.example.com/", "no host name"},
		{"42 underscore", "https://a_b.example.com/", "no host name"},
		{"42 empty label", "https://app..example.com/", "no host name"},
		{"42 hyphen", "https://-app.example.com/", "no host name"},
		{"42 long", "https://" + long + "/", "no host name"},
		{"42 long label", "https://" + strings.Repeat("a", 64) + ".example.com/", "no host name"},
		{"42 backslash", `https://app.example.com\@127.0.0.1/`, "is no URL"},
		{"42 space", "https://app.example.com /", "is no URL"},
		{"42 control character", "https://app.example.com\n/", "is no URL"},
		{"42 localhost", "https://localhost/", "on a local network"},
		{"42 below localhost", "https://app.localhost/", "on a local network"},
		{"42 local", "https://printer.local/", "on a local network"},
		{"42 internal", "https://metadata.google.internal/", "on a local network"},
		{"42 home", "https://nas.home.arpa/", "on a local network"},
		{"42 one word", "https://intranet/", "of one word"},
		{"42 empty", "", "is not https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := guard.CheckURL(tt.raw)
			switch {
			case tt.want == "" && (err != nil || u.String() != tt.raw):
				t.Errorf("%s: %v, %v", tt.raw, u, err)
			case tt.want != "" && err == nil:
				t.Errorf("%s is accepted", tt.raw)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("%s %v; want %q in that", tt.raw, err, tt.want)
			}
		})
	}
}

// FuzzCheckURL looks for a URL that is accepted and leads to an address, or that
// means another host to somebody else.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{
		"https://app.example.com/a", "https://app.example.com:443/", "https://127.1/", "https://[::1]/", "https://0x7f000001/", "https://a@b.example/", `https://a.example\@b.example/`,
		"https://a.example#@b.example/", "https://a.example?@b.example/", "https://localhost./", "https://xn--a.example/", "https://１２７.1/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := guard.CheckURL(raw)
		if err != nil {
			return
		}
		name := u.Hostname()
		if _, err := netip.ParseAddr(name); err == nil || !strings.Contains(name, ".") || strings.ToLower(name) != name {
			t.Fatalf("%q has the host %q", raw, name)
		}
		authority, _, _ := strings.Cut(strings.TrimPrefix(raw[len("https:"):], "//"), "/")
		if i := strings.IndexAny(authority, `?#`); i >= 0 {
			authority = authority[:i]
		}
		if strings.TrimSuffix(authority, ":443") != name {
			t.Fatalf("%q has the host %q here, and %q elsewhere", raw, name, authority)
		}
		if again, err := url.Parse(u.String()); err != nil || again.Host != u.Host {
			t.Fatalf("%q becomes %v, %v", raw, again, err)
		}
	})
}
