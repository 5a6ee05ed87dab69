package config

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

const (
	tenantA = "6c1f6c8e-0000-0000-0000-000000000000"
	tenantB = "7c1f6c8e-0000-0000-0000-000000000000"
	clientA = "0b7a2f1c-0000-0000-0000-000000000000"
	api     = "9d3e5a7b-0000-0000-0000-000000000000"
)

// loadText loads a configuration that has no mistakes. It gets an upstream, and a
// policy if it needs one.
func loadText(t *testing.T, text string) *Config {
	t.Helper()
	if strings.Contains(text, "auth \"") {
		text += openPolicy
	}
	out := run(t, archive("-- gateway.hcl --\n"+text+"\nupstream \"notes\" {\n  command = [\"mcpagg\"]\n}\n"))
	if out.err != nil {
		t.Fatal(out.err)
	}
	return out.config
}

// openPolicy opens everything to everybody who signs in.
const openPolicy = "\npolicy {\n  inline = \"permit(principal, action, resource);\"\n}\n"

func loadFile(t *testing.T, path string) *Config {
	t.Helper()
	a, err := txtar.ParseFile(path)
	must(t, err)
	out := run(t, a)
	must(t, out.err)
	return out.config
}

// TestSignIn checks what becomes of auth, group and app blocks.
func TestSignIn(t *testing.T) {
	tests := map[string]struct {
		file   string
		public string // "" if it is not given
		want   oauth.Options
	}{
		"entra-compat": {
			file: "testdata/valid/auth_compat.txtar",
			want: oauth.Options{
				PublicURL: parseURL(t, "https://mcp.contoso.com"),
				Providers: []oauth.Provider{{
					Name:      "contoso",
					Audiences: []string{api, "api://mcp"},
					Scopes:    []oauth.Scope{{Name: "mcp.access", Advertised: "mcp.access"}, {Name: "mcp.admin", Advertised: "mcp.admin"}},
					Clients:   []string{clientA},
					Skew:      2 * time.Minute, AllowAppTokens: true,
					Entra: &oauth.EntraTenant{
						Cloud: entra.Clouds["usgov"], Tenant: "organizations", Allowed: []string{tenantA, tenantB}, GroupsMaxAge: 10 * time.Minute,
					},
				}},
				GroupAliases:  map[string]string{"4f1c2d3e-0000-0000-0000-000000000001": "platform"},
				ClientAliases: map[string]string{clientA: "gateway"},
			},
		},
		"several on loopback": {
			file: "testdata/valid/auth_several.txtar",
			want: several(t, "http://127.0.0.1:8080"),
		},
		"several at an address that is known later": {
			file: "testdata/valid/auth_several.txtar", public: "http://127.0.0.1:43210",
			want: several(t, "http://127.0.0.1:43210"),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := loadFile(t, test.file)
			test.want.Log = slog.New(slog.DiscardHandler)
			got, ok := c.SignIn(nil, test.want.Log)
			if test.public != "" {
				got, ok = c.SignIn(parseURL(t, test.public), test.want.Log)
			}
			if !ok {
				t.Fatal("nobody signs in")
			}
			if diff := cmp.Diff(test.want, got, compareOptions, cmpopts.IgnoreTypes(&slog.Logger{}), cmpopts.IgnoreFields(oauth.Options{}, "Facade"), cmpopts.IgnoreFields(oauth.EntraTenant{}, "Graph")); diff != "" {
				t.Errorf("options differ (-want +got):\n%s", diff)
			}
		})
	}
}

// several are the options in auth_several.txtar.
func several(t *testing.T, public string) oauth.Options {
	return oauth.Options{
		PublicURL: parseURL(t, public),
		Providers: []oauth.Provider{
			{
				Name: "contoso", Audiences: []string{clientA}, IDTokens: true, Skew: time.Minute,
				Entra: &oauth.EntraTenant{Cloud: entra.Clouds["global"], Tenant: tenantA},
			},
			{
				Name: "robots", Audiences: []string{api}, AllowAppTokens: true, Skew: time.Minute,
				Scopes: []oauth.Scope{
					{Name: "mcp.access", Advertised: public + "/mcp/mcp.access"},
					{Name: "mcp.admin", Advertised: "https://mcp.contoso.com/mcp/mcp.admin"},
				},
				Entra: &oauth.EntraTenant{
					Cloud:  entra.Cloud{Authority: "http://127.0.0.1:8081", STS: "http://127.0.0.1:8081/sts", Graph: "http://127.0.0.1:8081/graph"},
					Tenant: tenantA, GroupsMaxAge: 5 * time.Minute,
				},
			},
			{
				Name: "keycloak", Issuer: "https://login.contoso.com/realms/Tools/", Audiences: []string{public + "/mcp", public + "/mcp/"}, Skew: time.Minute,
				Scopes:      []oauth.Scope{{Name: "openid", Advertised: "openid"}, {Name: "mcp:tools", Advertised: "mcp:tools"}},
				GroupsClaim: "https://contoso.com/groups", RolesClaim: "roles",
			},
		},
		GroupAliases:  map[string]string{"/platform": "platform"},
		ClientAliases: map[string]string{"robot": "robot"},
	}
}

// TestFacade checks that clients sign in as the client of the block, in its tenant,
// and are asked for its scopes by their whole names.
func TestFacade(t *testing.T) {
	const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	for name, test := range map[string]struct {
		file, redirect, wantAt, wantScope string
		wantStatus                        int
	}{
		"scopes": {
			file: "auth_compat", redirect: "https://portal.contoso.com/callback", wantStatus: http.StatusFound,
			wantAt:    "https://login.microsoftonline.us/organizations/oauth2/v2.0/authorize",
			wantScope: api + "/mcp.access api://mcp/mcp.admin openid profile offline_access",
		},
		"ID tokens": {
			file: "auth_several", redirect: "https://vscode.dev/redirect", wantStatus: http.StatusFound,
			wantAt:    "https://login.microsoftonline.com/" + tenantA + "/oauth2/v2.0/authorize",
			wantScope: "openid profile offline_access",
		},
		"a word that is listed":     {file: "auth_compat", redirect: "https://claude.ai/api/mcp/auth_callback", wantStatus: http.StatusFound},
		"a word that is not listed": {file: "auth_compat", redirect: "https://vscode.dev/redirect", wantStatus: http.StatusBadRequest},
		"loopback":                  {file: "auth_several", redirect: "http://localhost:1234/callback", wantStatus: http.StatusFound},
	} {
		t.Run(name, func(t *testing.T) {
			options, _ := loadFile(t, "testdata/valid/"+test.file+".txtar").SignIn(nil, slog.New(slog.DiscardHandler))
			query := url.Values{
				"response_type": {"code"}, "client_id": {clientA}, "redirect_uri": {test.redirect}, "state": {"s"},
				"code_challenge": {challenge}, "code_challenge_method": {"S256"},
			}
			w := httptest.NewRecorder()
			options.Facade.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/oauth2/authorize?"+query.Encode(), nil))
			if w.Code != test.wantStatus {
				t.Fatalf("status %d, want %d: %s", w.Code, test.wantStatus, w.Body)
			}
			at := parseURL(t, w.Header().Get("Location"))
			asked := at.Query()
			at.RawQuery = ""
			if test.wantAt != "" && (at.String() != test.wantAt || asked.Get("client_id") != clientA || asked.Get("scope") != test.wantScope) {
				t.Errorf("sent to %s with %v", at, asked)
			}
		})
	}
}

// TestGraph checks that Microsoft Graph is asked in the cloud of the block, as the
// application in its graph block.
func TestGraph(t *testing.T) {
	const group = "4f1c2d3e-0000-0000-0000-000000000001"
	var asked url.Values // of the token endpoint
	mux := http.NewServeMux()
	mux.HandleFunc("POST /"+tenantA+"/oauth2/v2.0/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // what cannot be read is missing below
		asked = r.PostForm
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"token_type": "Bearer", "expires_in": 3600, "access_token": "a.b.c"}`)
	})
	mux.HandleFunc("/graph/v1.0/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"value": [{"id": %q}]}`, group)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	options, _ := loadText(t, fmt.Sprintf(verifying, fmt.Sprintf(`
  custom_cloud {
    authority = %[1]q
    sts       = "%[1]s/sts"
    graph     = "%[1]s/graph"
  }
  graph {
    client_id     = %[2]q
    client_secret = "hunter2hunter2"
  }
`, server.URL, api))).SignIn(nil, slog.New(slog.DiscardHandler))
	ids, _, err := options.Providers[0].Entra.Graph.Groups(t.Context(), "", tenantB)
	if err != nil || !slices.Equal(ids, []string{group}) {
		t.Errorf("groups %q, %v", ids, err)
	}
	if asked.Get("client_id") != api || asked.Get("client_secret") != "hunter2hunter2" {
		t.Errorf("asked with %v", asked)
	}
}

// Entra names an app by its App ID URI in tokens of version 1 alone.
func TestAudienceWithoutClientID(t *testing.T) {
	const says = "has no client id among its audiences"
	for audiences, warned := range map[string]bool{
		`["api://` + api + `"]`:                true,
		`["api://` + api + `", "` + api + `"]`: false,
		`["` + api + `"]`:                      false,
	} {
		c := loadText(t, fmt.Sprintf(verifying, "  audiences = "+audiences+"\n"))
		if got := strings.Contains(strings.Join(c.Warnings, "\n"), says); got != warned {
			t.Errorf("audiences %s: warnings %q", audiences, c.Warnings)
		}
	}
}

// Without an auth block, nobody signs in.
func TestNoSignIn(t *testing.T) {
	c := loadText(t, "group \"a\" {\n  id = \"a\"\n}\n")
	if got, ok := c.SignIn(nil, slog.New(slog.DiscardHandler)); ok {
		t.Errorf("got %+v", got)
	}
	if c.SignInFingerprint != "" || len(c.Warnings) > 0 {
		t.Errorf("fingerprint %q and warnings %q", c.SignInFingerprint, c.Warnings)
	}
}

const verifying = "auth \"entra\" \"a\" {\n  mode = \"resource-server\"\n  tenant_id = \"" + tenantA + "\"\n  client_id = \"" + clientA + "\"\n%s}\n"

// TestCompatIsFirst checks that clients are sent to the gateway, wherever the block
// with entra-compat stands: it is the first provider whose scopes they are told.
func TestCompatIsFirst(t *testing.T) {
	c := loadText(t, fmt.Sprintf(verifying, "")+fmt.Sprintf(`
auth "entra" "b" {
  mode      = "entra-compat"
  tenant_id = %q
  client_id = %q
  audiences = [%q]
  scopes    = ["mcp.access"]
}`, tenantA, clientA, api))
	got, _ := c.SignIn(nil, slog.New(slog.DiscardHandler))
	if len(got.Providers) != 2 || got.Providers[0].Name != "b" {
		t.Errorf("got %+v", got.Providers)
	}
}

// TestWarnings checks what is said at the start though it is no mistake.
func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string // what each begins with
	}{
		"access tokens": {fmt.Sprintf(verifying, ""), nil},
		"ID tokens": {
			fmt.Sprintf(strings.Replace(verifying, "resource-server", "entra-compat", 1), "token = \"id_token\"\n"),
			[]string{`auth "a" takes ID tokens`},
		},
		"personal accounts": {
			fmt.Sprintf(strings.Replace(verifying, tenantA, "common", 1), "allowed_tenants = [\"9188040D-6C67-4C5B-B112-36A304B66DAD\"]\n"),
			[]string{`auth "a" lets in the tenant of personal accounts`},
		},
		"an app that no client is": {
			"auth \"oidc\" \"a\" {\n  issuer = \"https://login.contoso.com\"\n  client_id = \"gateway\"\n}\n" +
				"app \"portal\" {\n  client_id = \"portal\"\n}\napp \"code\" {\n  client_id = \"https://vscode.dev/oauth/client-metadata.json\"\n}\n" +
				"app \"ci\" {\n  client_id = \"ci\"\n  redirects = [\"loopback\"]\n}\n",
			[]string{`app "portal" is no client that there can be`},
		},
		"an app of another block": {
			fmt.Sprintf(verifying, "") + "app \"portal\" {\n  client_id = \"" + clientA + "\"\n}\n",
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := loadText(t, test.text).Warnings
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestCheckListen checks the addresses that flags give.
func TestCheckListen(t *testing.T) {
	const public = "server {\n  public_url = \"https://mcp.contoso.com\"\n}\n"
	for name, test := range map[string]struct {
		text, addr            string
		wantListen, wantAdmin string // a part of the error; "" if there is none
	}{
		"loopback":                   {"", "127.0.0.1:0", "", ""},
		"without sign-in":            {public, ":8080", "Without sign-in", "Without sign-in"},
		"with sign-in":               {public + fmt.Sprintf(verifying, ""), ":8080", "", ""},
		"with sign-in, on loopback":  {fmt.Sprintf(verifying, ""), "[::1]:8080", "", ""},
		"with sign-in at no URL":     {fmt.Sprintf(verifying, ""), ":8080", "set server.public_url", ""},
		"no address, with sign-in":   {public + fmt.Sprintf(verifying, ""), "8080", `Did you mean "127.0.0.1:8080"?`, `Did you mean "127.0.0.1:8080"?`},
		"no port, without sign-in":   {"", "0.0.0.0:http", "does not end in a port", "does not end in a port"},
		"other machines, and a hint": {"", "0.0.0.0:80", `Did you mean "127.0.0.1:80"?`, `Did you mean "127.0.0.1:80"?`},
	} {
		t.Run(name, func(t *testing.T) {
			c := loadText(t, test.text)
			checkError(t, "CheckListen", c.CheckListen(test.addr), test.wantListen)
			checkError(t, "CheckAdmin", c.CheckAdmin(test.addr), test.wantAdmin)
		})
	}
}

func checkError(t *testing.T, what string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}

// TestClouds checks that a configuration can name every cloud.
func TestClouds(t *testing.T) {
	if got := slices.Sorted(maps.Keys(entra.Clouds)); !slices.Equal(got, slices.Sorted(slices.Values(cloudNames))) {
		t.Errorf("clouds %q, want %q", got, cloudNames)
	}
}

// TestSignInFingerprint checks which changes of a configuration are a change of
// sign-in.
func TestSignInFingerprint(t *testing.T) {
	const (
		kv    = "secrets \"file\" \"kv\" {\n  dir = \"%s\"\n}\n"
		graph = "graph {\n  client_id = \"" + api + "\"\n  client_secret = %s\n}\n"
		names = "group \"g\" {\n  id = \"" + tenantA + "\"\n}\napp \"a\" {\n  client_id = \"" + clientA + "\"\n}\n"
	)
	base := fmt.Sprintf(kv, "/a") + fmt.Sprintf(verifying, fmt.Sprintf(graph, `secret("kv", "x")`)) + names
	fingerprint := loadText(t, base).SignInFingerprint
	for name, test := range map[string]struct {
		from, to string
		same     bool
	}{
		"nothing":           {"", "", true},
		"another attribute": {"auth", "server {\n  drain = \"1s\"\n}\nauth", true},
		"its default":       {"  mode", "  clock_skew = \"60s\"\n  mode", true},
		"kind of tokens":    {"  mode", "  allow_app_tokens = true\n  mode", false},
		"name":              {`"entra" "a"`, `"entra" "b"`, false},
		"public_url":        {"auth", "server {\n  public_url = \"https://mcp.contoso.com\"\n}\nauth", false},
		"listen":            {"auth", "server {\n  listen = \"127.0.0.1:1\"\n}\nauth", false},
		"name of secret":    {`"x"`, `"y"`, false},
		"secret":            {`secret("kv", "x")`, `"literal"`, false},
		"where secrets are": {`"/a"`, `"/b"`, false},
		"name of group":     {`group "g"`, `group "h"`, false},
		"name of app":       {`app "a"`, `app "b"`, false},
		"client of app":     {"client_id = \"" + clientA + "\"\n}\n", "client_id = \"" + api + "\"\n}\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := loadText(t, strings.Replace(base, test.from, test.to, 1)).SignInFingerprint
			if (changed == fingerprint) != test.same {
				t.Errorf("%s, and %s when it is changed; want the same: %v", fingerprint, changed, test.same)
			}
		})
	}
}
