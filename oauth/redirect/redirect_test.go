package redirect_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// rules are those of a gateway with everything that is known and one more.
func rules() redirect.Rules {
	r := redirect.Rules{Loopback: true, Allowed: []string{"https://inspector.example/oauth?tenant=1"}, Own: &url.URL{Scheme: "https", Host: "mcp.example"}}
	for _, uris := range redirect.Vendors {
		r.Allowed = append(r.Allowed, uris...)
	}
	return r
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name, uri string
		want      string // part of the complaint; "" if there must be none
	}{
		{"Claude Code", "http://localhost:3118/callback", ""},
		{"OpenCode", "http://127.0.0.1:19876/mcp/oauth/callback", ""},
		{"VS Code", "http://127.0.0.1:33418/", ""},
		{"VS Code without a path", "http://127.0.0.1:33418", ""},
		{"VS Code in the browser", "https://vscode.dev/redirect", ""},
		{"VS Code Insiders in the browser", "https://insiders.vscode.dev/redirect", ""},
		{"Codex", "http://127.0.0.1:1455/callback/a1b2c3d4e5f6", ""},
		{"Cursor", "cursor://anysphere.cursor-mcp/oauth/callback", ""},
		{"Cursor's agents", "https://www.cursor.com/agents/mcp/oauth/callback", ""},
		{"Claude", "https://claude.ai/api/mcp/auth_callback", ""},
		{"Claude at its other host", "https://claude.com/api/mcp/auth_callback", ""},
		{"IPv6", "http://[::1]:8000/callback", ""},
		{"somewhere in 127.0.0.0/8", "http://127.8.9.1:8000/callback", ""},
		{"its own, with a query", "https://inspector.example/oauth?tenant=1", ""},
		{"loopback with a query", "http://localhost:1/cb?session=a%20b", ""},

		{"02 other host", "https://evil.example/oauth?tenant=1", "is not one that this gateway sends people to"},
		{"02 other path", "https://vscode.dev/redirect/", "is not one"},
		{"02 other case", "https://vscode.dev/Redirect", "is not one"},
		{"02 extra query", "https://vscode.dev/redirect?next=1", "is not one"},
		{"02 empty query", "https://vscode.dev/redirect?", "is not one"},
		{"02 other query", "https://inspector.example/oauth?tenant=2", "is not one"},
		{"02 other port", "https://vscode.dev:444/redirect", "is not one"},
		{"02 default port", "https://vscode.dev:443/redirect", "is not one"},
		{"02 below", "https://a.vscode.dev/redirect", "is not one"},
		{"02 other scheme", "http://vscode.dev/redirect", "is not https"},
		{"02 host in upper case", "https://VSCODE.dev/redirect", "lower-case letters"},
		{"02 scheme in upper case", "HTTPS://vscode.dev/redirect", "scheme in lower case"},

		{"03 user name", "http://localhost:5000@evil.com/callback", "has a user name"},
		{"03 empty user name", "http://@localhost/callback", "has a user name"},
		{"03 begins like localhost", "http://localhost.evil.com", "is not https"},
		{"03 begins like an address", "http://127.0.0.1.nip.io", "is not https"},
		{"03 ends like localhost", "http://evil.localhost/", "is not https"},
		{"03 short address", "http://127.1/callback", "neither a name nor an address"},
		{"03 number", "http://2130706433/callback", "neither a name nor an address"},
		{"03 hexadecimal address", "http://0x7f.0.0.1/callback", "neither a name nor an address"},
		{"03 hexadecimal last part", "http://evil.0x1/callback", "neither a name nor an address"},
		{"03 octal address", "http://0177.0.0.1/callback", "neither a name nor an address"},
		{"03 address with a dot", "http://127.0.0.1./callback", "has no host"},
		{"03 localhost with a dot", "http://localhost./callback", "has no host"},
		{"03 other address", "http://10.0.0.1/callback", "is not https"},
		{"03 unspecified address", "http://0.0.0.0/callback", "is not https"},
		{"03 long IPv6", "http://[0:0:0:0:0:0:0:1]/callback", "no IPv6 address in its shortest form"},
		{"03 IPv4 in IPv6", "http://[::ffff:127.0.0.1]/callback", "no IPv6 address"},
		{"03 zone", "http://[::1%25lo]/callback", "no IPv6 address"},
		{"03 bracket", "http://[::1/callback", "no IPv6 address"},
		{"03 after the bracket", "http://[::1]evil.com/callback", "no IPv6 address"},
		{"03 escape in the host", "http://local%68ost/callback", "has no host"},
		{"03 no host", "http:///callback", "has no host"},
		{"03 one slash", "http:/localhost/callback", `does not continue with "http://"`},
		{"03 no slash", "http:localhost", `does not continue with "http://"`},
		{"03 no scheme", "//localhost/callback", "does not begin with a scheme"},
		{"03 a path", "/callback", "does not begin with a scheme"},
		{"03 port without digits", "http://localhost:/callback", "has a port"},
		{"03 port 0", "http://localhost:0/callback", "has a port"},
		{"03 port too large", "http://localhost:65536/callback", "has a port"},
		{"03 port with a zero", "http://localhost:080/callback", "has a port"},

		{"04 javascript", "javascript:alert(1)", "no sign-in ends at"},
		{"04 javascript with an authority", "javascript://localhost/%0aalert(1)", "no sign-in ends at"},
		{"04 data", "data:text/html,x", "no sign-in ends at"},
		{"04 file", "file:///etc/passwd", "no sign-in ends at"},
		{"04 vbscript", "vbscript:x", "no sign-in ends at"},
		{"04 blob", "blob:https://vscode.dev/1", "no sign-in ends at"},
		{"04 unknown scheme", "evil://callback", "is not one"},
		{"04 unknown scheme without a slash", "evil:callback", "does not continue"},
		{"04 Cursor, elsewhere", "cursor://evil.extension/oauth/callback", "is not one"},

		{"05 fragment", "http://localhost/callback#x", "has a fragment"},
		{"05 empty fragment", "http://localhost/callback#", "has a fragment"},
		{"05 backslash", `http://localhost\@evil.com/callback`, "has a backslash"},
		{"05 dots", "http://localhost/a/../callback", "has a dot segment"},
		{"05 dot", "http://localhost/./callback", "has a dot segment"},
		{"05 escaped dots", "http://localhost/%2e%2e/callback", "has the escape"},
		{"05 half escaped dots", "http://localhost/.%2E/callback", "has the escape"},
		{"05 dots escaped twice", "http://localhost/%252e%252e/callback", "has the escape"},
		{"05 escaped slash", "http://localhost/a%2Fb", "has the escape"},
		{"05 escaped backslash", "http://localhost/a%5cb", "has the escape"},
		{"05 CR", "http://localhost/callback\r\nLocation: x", "has the character"},
		{"05 escaped CR", "http://localhost/callback%0d%0aLocation:x", "escaped control character"},
		{"05 escaped CR in the query", "http://localhost/callback?a=%0d", "escaped control character"},
		{"05 NUL", "http://localhost/\x00", "has the character"},
		{"05 tab", "ht\ttp://localhost/", "has the character"},
		{"05 space before", " http://localhost/", "has the character"},
		{"05 not ASCII", "http://localhost/ä", "has the character"},
		{"05 half an escape", "http://localhost/%4", "has a percent sign"},
		{"05 no escape", "http://localhost/%zz", "has a percent sign"},
		{"05 long", "http://localhost/" + strings.Repeat("a", 2048), "is longer than 2048"},
		{"05 wildcard", "http://localhost/*", "no wildcards"},
		{"05 wildcard host", "https://*.vscode.dev/redirect", "no wildcards"},
		{"05 empty", "", "is empty"},
		{"05 code", "http://localhost/callback?code=1", "which the answer will have"},
		{"05 escaped state", "http://localhost/callback?%73tate=1", "which the answer will have"},
		{"05 semicolons", "http://localhost/callback?a=1;b=2", "not of the form"},

		{"06 https on loopback", "https://localhost:5000/callback", "is not one"},

		{"07 own", "https://mcp.example/oauth2/callback", "is an address of this gateway"},
		{"07 own with the port", "https://mcp.example:443/", "is an address of this gateway"},
		{"07 own with another scheme", "app://mcp.example:443/", "is an address of this gateway"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := rules().Check(tt.uri)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("%s %v", tt.uri, err)
			case tt.want != "" && err == nil:
				t.Errorf("%s is accepted", tt.uri)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("%s %v; want %q in that", tt.uri, err, tt.want)
			}
		})
	}
}

func TestCheckWithFewerRules(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rules redirect.Rules
		uri   string
		ok    bool
	}{
		{"none", redirect.Rules{}, "http://localhost/", false},
		{"exact loopback", redirect.Rules{Allowed: []string{"http://localhost:5000/cb"}}, "http://localhost:5000/cb", true},
		{"exact loopback, other port", redirect.Rules{Allowed: []string{"http://localhost:5000/cb"}}, "http://localhost:5001/cb", false},
		{"an entry that is no URI", redirect.Rules{Allowed: []string{"javascript:x"}}, "javascript:x", false},
		{"a program's own scheme", redirect.Rules{Allowed: []string{"com.example.app:/callback"}}, "com.example.app:/callback", true},
		{"07 own on loopback", ownLoopback("http://127.0.0.1:8080"), "http://localhost:8080/oauth2/callback", false},
		{"07 own on loopback, IPv6", ownLoopback("http://[::1]:8080"), "http://[::1]:8080/", false},
		{"07 own on loopback, other port", ownLoopback("http://127.0.0.1:8080"), "http://localhost:8081/callback", true},
		{"07 own without a port", ownLoopback("http://localhost"), "http://localhost:80/", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.rules.Check(tt.uri); (err == nil) != tt.ok {
				t.Errorf("%s: %v", tt.uri, err)
			}
		})
	}
}

func ownLoopback(own string) redirect.Rules {
	u, err := url.Parse(own)
	if err != nil {
		panic(err)
	}
	return redirect.Rules{Loopback: true, Own: u}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		name, registered, requested string
		want                        bool
	}{
		{"same", "https://vscode.dev/redirect", "https://vscode.dev/redirect", true},
		{"06 other port", "http://localhost/callback", "http://localhost:5000/callback", true},
		{"06 one port for another", "http://127.0.0.1:33418/", "http://127.0.0.1:33419/", true},
		{"06 no path", "http://127.0.0.1/", "http://127.0.0.1:33418", true},
		{"06 IPv6", "http://[::1]/callback", "http://[::1]:1/callback", true},
		{"06 other path", "http://localhost/callback", "http://localhost:5000/Callback", false},
		{"06 other query", "http://localhost/callback", "http://localhost:5000/callback?a=b", false},
		{"06 empty query", "http://localhost/callback", "http://localhost:5000/callback?", false},
		{"06 other host", "http://localhost/callback", "http://127.0.0.1:5000/callback", false},
		{"06 https", "http://localhost/callback", "https://localhost/callback", false},
		{"06 port elsewhere", "https://vscode.dev/redirect", "https://vscode.dev:8443/redirect", false},
		{"02 query", "https://vscode.dev/redirect", "https://vscode.dev/redirect?a", false},
		{"neither is one", "javascript:x", "javascript:x", false},
		{"the registered one is none", "http://localhost/callback#", "http://localhost:1/callback", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := redirect.Match(tt.registered, tt.requested); got != tt.want {
				t.Errorf("Match(%q, %q) = %v", tt.registered, tt.requested, got)
			}
		})
	}
}

func TestVendorsAreURIs(t *testing.T) {
	for vendor, uris := range redirect.Vendors {
		for _, uri := range uris {
			if _, err := redirect.Parse(uri); err != nil {
				t.Errorf("%s: %s %v", vendor, uri, err)
			}
		}
	}
}
