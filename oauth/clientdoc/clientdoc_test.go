package clientdoc_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpagg/mcpagg/oauth/clientdoc"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

func TestIsID(t *testing.T) {
	for clientID, want := range map[string]bool{
		id: true, "HTTPS://app.example.com/": true, "http://app.example.com/client.json": true,
		"": false, "vscode": false, "6c1f6c8e-0000-0000-0000-000000000000": false, "https:": false, "mcpagg1.eyJ.abc": false, "api://app.example.com": false, "x-https://app.example.com/": false,
	} {
		if got := clientdoc.IsID(clientID); got != want {
			t.Errorf("IsID(%q) is %v", clientID, got)
		}
	}
}

// TestKnownClients has the documents of clients in use, as they publish them.
func TestKnownClients(t *testing.T) {
	for _, tt := range []struct {
		id, document string
		want         clientdoc.Document
		asks         []string // redirect URIs that the client asks for
	}{
		{
			"https://claude.ai/oauth/claude-code-client-metadata",
			`{"client_id":"https://claude.ai/oauth/claude-code-client-metadata","client_name":"Claude Code","client_uri":"https://claude.ai","redirect_uris":["http://localhost/callback","http://127.0.0.1/callback"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}`,
			clientdoc.Document{Name: "Claude Code", Host: "claude.ai", URI: "https://claude.ai", Redirects: []string{"http://localhost/callback", "http://127.0.0.1/callback"}, LoopbackOnly: true, GrantTypes: []string{"authorization_code", "refresh_token"}},
			[]string{"http://localhost:54545/callback", "http://127.0.0.1:1/callback"},
		},
		{
			"https://vscode.dev/oauth/client-metadata.json",
			`{"client_name":"Visual Studio Code","logo_uri":"https://code.visualstudio.com/assets/branding/code-stable.png","grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"response_types":["code"],"token_endpoint_auth_method":"none","application_type":"native","client_id":"https://vscode.dev/oauth/client-metadata.json","client_uri":"https://vscode.dev/product","redirect_uris":["http://127.0.0.1:33418/","https://vscode.dev/redirect","https://insiders.vscode.dev/redirect"]}`,
			clientdoc.Document{Name: "Visual Studio Code", Host: "vscode.dev", URI: "https://vscode.dev/product", Redirects: []string{"http://127.0.0.1:33418/", "https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect"}, GrantTypes: []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"}},
			[]string{"http://127.0.0.1:33418/", "http://127.0.0.1:40000", "https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect"},
		},
		{
			"https://chatgpt.com/oauth/codex/client.json",
			`{"client_id":"https://chatgpt.com/oauth/codex/client.json","client_name":"Codex","redirect_uris":["http://127.0.0.1/callback","http://localhost/callback"],"token_endpoint_auth_method":"none"}`,
			clientdoc.Document{Name: "Codex", Host: "chatgpt.com", Redirects: []string{"http://127.0.0.1/callback", "http://localhost/callback"}, LoopbackOnly: true, GrantTypes: []string{"authorization_code"}},
			[]string{"http://127.0.0.1:1455/callback"},
		},
		{ // authenticates with a key where it may, and without where not
			"https://chatgpt.com/oauth/client.json",
			`{"client_id":"https://chatgpt.com/oauth/client.json","client_name":"ChatGPT","redirect_uris":["https://chatgpt.com/connector_platform_oauth_redirect"],"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["none","private_key_jwt"],"jwks_uri":"https://chatgpt.com/oauth/jwks.json"}`,
			clientdoc.Document{Name: "ChatGPT", Host: "chatgpt.com", Redirects: []string{"https://chatgpt.com/connector_platform_oauth_redirect"}, GrantTypes: []string{"authorization_code"}},
			[]string{"https://chatgpt.com/connector_platform_oauth_redirect"},
		},
		{ // the second of these is on another host
			"https://claude.ai/oauth/mcp-oauth-client-metadata",
			`{"client_id":"https://claude.ai/oauth/mcp-oauth-client-metadata","client_name":"Claude","redirect_uris":["https://claude.ai/api/mcp/auth_callback","https://claude.com/api/mcp/auth_callback"],"token_endpoint_auth_method":"none"}`,
			clientdoc.Document{Name: "Claude", Host: "claude.ai", Redirects: []string{"https://claude.ai/api/mcp/auth_callback"}, GrantTypes: []string{"authorization_code"}},
			[]string{"https://claude.ai/api/mcp/auth_callback"},
		},
		{
			"https://opencode.ai/oauth/opencode/client.json",
			`{"client_id":"https://opencode.ai/oauth/opencode/client.json","client_name":"opencode","client_uri":"https://opencode.ai","logo_uri":"https://opencode.ai/web-app-manifest-512x512.png","application_type":"native","redirect_uris":["http://127.0.0.1/callback","http://localhost/callback"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none","token_endpoint_auth_methods_supported":["none"]}`,
			clientdoc.Document{Name: "opencode", Host: "opencode.ai", URI: "https://opencode.ai", Redirects: []string{"http://127.0.0.1/callback", "http://localhost/callback"}, LoopbackOnly: true, GrantTypes: []string{"authorization_code", "refresh_token"}},
			[]string{"http://127.0.0.1:5000/callback"},
		},
	} {
		t.Run(tt.want.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.publish(tt.id, tt.document)
				tt.want.ID, tt.want.TokenEndpointAuthMethod = tt.id, "none"
				doc := s.get(tt.id)
				if diff := cmp.Diff(&tt.want, doc, cmpopts.IgnoreUnexported(clientdoc.Document{})); diff != "" {
					t.Error(diff)
				}
				for _, uri := range tt.asks {
					if err := doc.Check(uri); err != nil {
						t.Errorf("%s %v", uri, err)
					}
				}
			})
		})
	}
}

// Test42IDs has ids that are refused before anything is fetched.
func Test42IDs(t *testing.T) {
	var asked []string
	s := &stage{Fetcher: answering("{}", &asked)}
	for _, tt := range []struct{ name, id, want string }{
		{"42 http", "http://app.example.com/client.json", "it is not https"},
		{"42 user name", "https://user@app.example.com/client.json", "it has a user name"},
		{"42 password", "https://user:hunter2@app.example.com/client.json", "it has a user name"},
		{"42 fragment", id + "#x", "it has a fragment"},
		{"42 empty fragment", id + "#", "it has a fragment"},
		{"42 query", id + "?v=1", "it has a query"},
		{"42 empty query", id + "?", "it has a query"},
		{"42 no path", "https://app.example.com", "it has no path"},
		{"42 root path", "https://app.example.com/", "it has no path"},
		{"42 port 22", "https://app.example.com:22/client.json", "it has a port other than 443"},
		{"42 port 8443", "https://app.example.com:8443/client.json", "it has a port other than 443"},
		{"42 IPv4", "https://93.184.216.34/client.json", "it has an address"},
		{"42 loopback", "https://127.0.0.1/client.json", "it has an address"},
		{"42 IPv6", "https://[::1]/client.json", "it has an address"},
		{"42 number", "https://2130706433/client.json", "it has an address"},
		{"42 hexadecimal", "https://0x7f.1/client.json", "it has an address"},
		{"42 localhost", "https://localhost/client.json", "on a local network"},
		{"42 one word", "https://intranet/client.json", "of one word"},
		{"42 metadata of a cloud", "https://metadata.google.internal/client.json", "on a local network"},
		{"42 dot at the end", "https://app.example.com./client.json", "ends in a dot"},
		{"42 dot segment", "https://app.example.com/a/./client.json", "it has a dot segment"},
		{"42 dot segments", "https://app.example.com/a/../client.json", "it has a dot segment"},
		{"42 dot segment at the end", "https://app.example.com/a/..", "it has a dot segment"},
		{"42 escaped dots", "https://app.example.com/%2e%2E/client.json", "it has the escape"},
		{"42 half escaped dots", "https://app.example.com/.%2e/client.json", "it has the escape"},
		{"42 dots escaped twice", "https://app.example.com/%252e/client.json", "it has the escape"},
		{"42 escaped slash", "https://app.example.com/a%2Fb", "it has the escape"},
		{"42 backslash", `https://app.example.com/a\b`, "as other programs write"},
		{"42 not ASCII", "https://app.example.com/ä", "as other programs write"},
		{"42 space", "https://app.example.com/a b", "as other programs write"},
		{"42 half an escape", "https://app.example.com/%4", "is no URL"},
		{"42 control character", "https://app.example.com/\r\nHost: x", "is no URL"},
		{"42 scheme in upper case", "HTTPS://app.example.com/client.json", "as other programs write"},
		{"42 host in upper case", "https://APP.example.com/client.json", "lower-case"},
		{"42 long", "https://app.example.com/" + strings.Repeat("a", 512), "longer than 512 bytes"},
		{"42 no URL", "vscode", "it is not https"},
		{"42 empty", "", "it is not https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			s.refuse(tt.id, tt.want)
		})
	}
	if len(asked) != 0 {
		t.Errorf("fetched %v", asked)
	}
}

// Test42Hosts has hosts that lead inside. What is said is the same as for a host
// that does not answer.
func Test42Hosts(t *testing.T) {
	for name, addr := range map[string]string{
		"private": "10.0.0.5", "link-local": "fe80::1", "metadata of a cloud": "169.254.169.254", "loopback": "127.0.0.1", "IPv6 loopback": "::1",
		"IPv4 in IPv6": "::ffff:127.0.0.1", "NAT64": "64:ff9b::a00:5", "CGNAT": "100.64.0.1", "unique local": "fd00:ec2::254",
	} {
		t.Run("42 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.addrs[host] = netip.MustParseAddr(addr)
				for range 3 {
					s.unavailable(id, "not public")
				}
				if got := strings.Count(s.log.String(), "\n"); got != 1 || s.count() != 0 {
					t.Errorf("looked up %d times, fetched %d", got, s.count())
				}
			})
		})
	}
}

func Test42Rebinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		asked := 0
		s.resolve = func(string) []netip.Addr {
			if asked++; asked%2 == 1 {
				return []netip.Addr{netip.MustParseAddr("93.184.216.34")}
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		s.publish(id, document(id, nil), "Cache-Control: no-store")
		s.get(id)
		time.Sleep(5 * time.Minute)
		s.get(id) // what was there before
		if s.count() != 1 || asked != 2 || !strings.Contains(s.log.String(), "127.0.0.1 is loopback") {
			t.Errorf("%d requests after %d look-ups, and in the log %s", s.count(), asked, s.log)
		}
	})
}

// Test42Answers has answers that are no document.
func Test42Answers(t *testing.T) {
	good := document(id, nil)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 10<<20))
	_ = z.Close()
	for _, tt := range []struct {
		name, want string
		answer     func(n *internet)
	}{
		{"42 redirect", "redirect (status 302), which is not followed", func(n *internet) {
			n.handle(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://other.example.com/client.json", http.StatusFound)
			})
		}},
		{"42 redirect to the inside", "redirect (status 308)", func(n *internet) {
			n.handle(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://169.254.169.254/latest", http.StatusPermanentRedirect)
			})
		}},
		{"42 not there", "status 404 instead of 200", func(n *internet) { n.breakDown(http.StatusNotFound) }},
		{"42 no content", "status 204 instead of 200", func(n *internet) { n.breakDown(http.StatusNoContent) }},
		{"42 large", "larger than 5 KiB", func(n *internet) { n.publish(id, document(id, object{"x": strings.Repeat("a", 5<<10)})) }},
		{"42 endless", "larger than 5 KiB", func(n *internet) {
			n.handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				for {
					if _, err := io.WriteString(w, "          "); err != nil {
						return
					}
				}
			})
		}},
		{"42 compressed bomb", "is sent compressed", func(n *internet) { n.publish(id, bomb.String(), "Content-Encoding: gzip") }},
		{"42 compressed bomb that is not called one", "not one JSON object", func(n *internet) { n.publish(id, bomb.String()[:1000]) }},
		{"42 web page", `sent as "text/html"`, func(n *internet) { n.publish(id, good, "Content-Type: text/html; charset=utf-8") }},
		{"42 plain text", `sent as "text/plain"`, func(n *internet) { n.publish(id, good, "Content-Type: text/plain") }},
		{"42 no content type", `sent as ""`, func(n *internet) { n.publish(id, good, "Content-Type: ") }},
		{"42 text with JSON", `sent as "text/x+json"`, func(n *internet) { n.publish(id, good, "Content-Type: text/x+json") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				tt.answer(s.internet)
				for range 3 {
					s.refuse(id, tt.want)
				}
				if s.count() != 1 {
					t.Errorf("%d requests, want 1", s.count())
				}
			})
		})
	}
}

// Test42Stall has a server that takes 10 seconds, which is twice of what it gets.
func Test42Stall(t *testing.T) {
	for name, head := range map[string]string{"42 10 s stall": "", "42 10 s stall in the body": "{"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.handle(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					if head != "" {
						_, _ = io.WriteString(w, head)
						_ = http.NewResponseController(w).Flush()
					}
					select {
					case <-time.After(10 * time.Second):
					case <-r.Context().Done():
					}
				})
				began := time.Now()
				s.unavailable(id, "deadline exceeded")
				if took := time.Since(began); took != 5*time.Second {
					t.Errorf("it took %v", took)
				}
				s.unavailable(id, "")
				if took := time.Since(began); took != 5*time.Second || s.count() != 1 {
					t.Errorf("the second one took %v longer, with %d requests", took-5*time.Second, s.count())
				}
			})
		})
	}
}

// Test42Documents has documents that are refused.
func Test42Documents(t *testing.T) {
	with := func(name string, value any) object { return document(id, object{name: value}) }
	for _, tt := range []struct {
		name string
		doc  any
		want string
	}{
		{"42 other client_id", with("client_id", "https://other.example.com/client.json"), "which is another one than its own URL"},
		{"42 client_id but for the port", with("client_id", "https://app.example.com:443/oauth/client.json"), "which is another one"},
		{"42 client_id but for a slash", with("client_id", id+"/"), "which is another one"},
		{"42 client_id but for case", with("client_id", "https://App.example.com/oauth/client.json"), "which is another one"},
		{"42 no client_id", with("client_id", nil), "has no client_id"},
		{"42 null client_id", `{"client_id":null}`, "has no client_id"},
		{"42 not JSON", "<html>", "not one JSON object"},
		{"42 empty", "", "not one JSON object"},
		{"42 half", `{"client_id":"` + id, "not one JSON object"},
		{"42 two objects", `{} {}`, "not one JSON object"},
		{"42 list", `[]`, "not one JSON object"},
		{"42 null", `null`, "has no client_id"},
		{"42 member twice", `{"client_id":"` + id + `","client_id":"` + id + `"}`, "no member stands twice"},
		{"42 unknown member twice", `{"client_id":"` + id + `","x":1,"x":2}`, "no member stands twice"},
		{"42 member twice below", `{"client_id":"` + id + `","x":{"y":1,"y":2}}`, "no member stands twice"},
		{"42 invalid UTF-8", `{"client_id":"` + id + "\xff" + `"}`, "not one JSON object"},
		{"42 wrong type", with("redirect_uris", "http://localhost/callback"), `"/redirect_uris" has the wrong type`},
		{"42 wrong type below", with("redirect_uris", []any{1}), `"/redirect_uris/0" has the wrong type`},
		{"42 no name", with("client_name", nil), "has no client_name"},
		{"42 secret", with("client_secret", "hunter2"), "has a client_secret"},
		{"42 empty secret", with("client_secret", ""), "has a client_secret"},
		{"42 expiry of a secret", with("client_secret_expires_at", 0), "has a client_secret"},
		{"42 private key", with("jwks", object{"keys": []object{{"kty": "EC", "d": "x"}}}), "private or symmetric key"},
		{"42 symmetric key", with("jwks", object{"keys": []object{{"kty": "EC"}, {"kty": "oct", "k": "x"}}}), "private or symmetric key"},
		{"42 client_secret_basic", with("token_endpoint_auth_method", "client_secret_basic"), "which needs a secret"},
		{"42 client_secret_post besides none", document(id, object{"token_endpoint_auth_method": "client_secret_post", "token_endpoint_auth_methods_supported": []string{"none"}}), "which needs a secret"},
		{"42 private_key_jwt", with("token_endpoint_auth_method", "private_key_jwt"), `"private_key_jwt", which is not supported here`},
		{"42 tls_client_auth", with("token_endpoint_auth_method", "tls_client_auth"), "which is not supported here"},
		{"42 grants", with("grant_types", []string{"client_credentials"}), "authorization_code among its grant_types"},
		{"42 responses", with("response_types", []string{"token"}), "code among its response_types"},
		{"42 no redirect_uris", with("redirect_uris", nil), "has 0 redirect_uris"},
		{"42 empty redirect_uris", with("redirect_uris", []string{}), "has 0 redirect_uris"},
		{"42 many redirect_uris", with("redirect_uris", slices.Repeat([]string{"http://localhost/"}, 11)), "has 11 redirect_uris"},
		{"42 javascript", with("redirect_uris", []string{"http://localhost/", "javascript:alert(1)"}), "which has the scheme"},
		{"42 http", with("redirect_uris", []string{"http://app.example.com/callback"}), "which is not https"},
		{"42 fragment", with("redirect_uris", []string{"https://app.example.com/callback#"}), "which has a fragment"},
		{"42 wildcard", with("redirect_uris", []string{"https://app.example.com/*"}), "no wildcards"},
		{"42 other host", with("redirect_uris", []string{"https://victim.example/callback"}), "is not one that this gateway sends people to"},
		{"42 host above", with("redirect_uris", []string{"https://example.com/callback"}), "is not one that this gateway sends people to"},
		{"42 host that ends alike", with("redirect_uris", []string{"https://evilapp.example.com/callback"}), "is not one that this gateway sends people to"},
		{"42 unknown scheme", with("redirect_uris", []string{"cursor://anysphere.cursor-mcp/oauth/callback"}), "is not one that this gateway sends people to"},
		{"42 scheme of another", with("redirect_uris", []string{"com.example:/callback"}), "is not one that this gateway sends people to"},
		{"42 own", with("redirect_uris", []string{"https://mcp.example.com/oauth2/callback"}), "is an address of this gateway itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.publish(id, tt.doc)
				s.refuse(id, tt.want)
				s.refuse(id, id)
				if s.count() != 1 {
					t.Errorf("%d requests, want 1", s.count())
				}
				if strings.Contains(s.log.String(), "hunter2") {
					t.Errorf("the log has the secret: %s", s.log)
				}
			})
		})
	}
}

func TestDocuments(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changes object
		same    func(d *clientdoc.Document) bool
	}{
		{"no method", object{"token_endpoint_auth_method": nil}, func(d *clientdoc.Document) bool { return d.TokenEndpointAuthMethod == "none" }},
		{"no grants", object{"grant_types": nil, "response_types": nil}, func(d *clientdoc.Document) bool { return slices.Equal(d.GrantTypes, []string{"authorization_code"}) }},
		{"long name", object{"client_name": "a" + strings.Repeat("ä", 500)}, func(d *clientdoc.Document) bool { return d.Name == "a"+strings.Repeat("ä", 99) }},
		{"page elsewhere", object{"client_uri": "https://bank.example/"}, func(d *clientdoc.Document) bool { return d.URI == "" }},
		{"page below", object{"client_uri": "https://www.app.example.com/"}, func(d *clientdoc.Document) bool { return d.URI == "" }},
		{"page that is none", object{"client_uri": "javascript:alert(1)"}, func(d *clientdoc.Document) bool { return d.URI == "" }},
		{"page with a fragment", object{"client_uri": "https://app.example.com/a?b=c#d"}, func(d *clientdoc.Document) bool { return d.URI == "https://app.example.com/a?b=c" }},
		{"public keys", object{"jwks": object{"keys": []object{{"kty": "EC", "x": "x", "y": "y"}}}}, func(d *clientdoc.Document) bool { return d.LoopbackOnly }},
		{"own schemes", object{"redirect_uris": []string{"com.example.app:/callback", "com.example.app.beta://x/callback"}}, func(d *clientdoc.Document) bool { return len(d.Redirects) == 2 && d.LoopbackOnly }},
		{"below", object{"redirect_uris": []string{"https://beta.app.example.com/callback"}}, func(d *clientdoc.Document) bool { return len(d.Redirects) == 1 && !d.LoopbackOnly }},
		{"both", object{"redirect_uris": []string{"http://[::1]/callback", "https://app.example.com/callback"}}, func(d *clientdoc.Document) bool { return len(d.Redirects) == 2 && !d.LoopbackOnly }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.publish(id, document(id, tt.changes), "Content-Type: application/client-metadata+json; charset=utf-8")
				if doc := s.get(id); !tt.same(doc) {
					t.Errorf("got %+v", doc)
				}
			})
		})
	}
}

// TestLeftOut has redirect URIs in a document that people are not sent to. The
// document counts without them.
func TestLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vendor := redirect.Vendors["cursor"][0]
		s := startWith(t, redirect.Rules{Allowed: []string{vendor}, Own: &url.URL{Scheme: "https", Host: "mcp.example.com"}})
		s.publish(id, document(id, object{"redirect_uris": []string{
			"http://localhost/callback", "https://app.example.com/callback", "https://victim.example/callback", "evil://callback/", vendor,
		}}))
		doc := s.get(id)
		if want := []string{"https://app.example.com/callback", vendor}; !slices.Equal(doc.Redirects, want) || doc.LoopbackOnly {
			t.Errorf("people are sent to %v (on their machine only: %v), want %v", doc.Redirects, doc.LoopbackOnly, want)
		}
		for uri, want := range map[string]string{
			"https://app.example.com/callback": "", vendor: "",
			"http://localhost:5000/callback":          "is on the person's own machine, where this gateway does not send people",
			"https://victim.example/callback":         "is not one that this gateway sends people to",
			"evil://callback/":                        "is not one that this gateway sends people to",
			"https://app.example.com/callback/":       "is not in the redirect_uris of the client's metadata document",
			"https://app.example.com/callback?a=b":    "is not in the redirect_uris",
			"https://app.example.com:443/callback":    "is not in the redirect_uris",
			"https://mcp.example.com/oauth2/callback": "is not in the redirect_uris",
			"javascript:alert(1)":                     "is not in the redirect_uris",
			"":                                        "is not in the redirect_uris",
		} {
			if got := fmt.Sprint(doc.Check(uri)); want == "" && got != "<nil>" || !strings.Contains(got, want) {
				t.Errorf("%q %s; want %q in that", uri, got, want)
			}
		}
	})
}
