package doctor_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/doctor"
	"github.com/mcpagg/mcpagg/oauth"
)

// TestHealthy has nothing wrong: every check says what it has seen.
func TestHealthy(t *testing.T) {
	_, got := newStage(t).examine(t)
	want := `ok configuration: contoso: entra-compat, for tokens of https://entra/` + tenant + `/v2.0 for ` + api + `
ok metadata: contoso: the issuer is https://entra/` + tenant + `/v2.0, as configured
ok keys: contoso: key-1 (RSA 2048)
ok clock: within 5s of contoso's
ok gateway: a request without a token is told where to sign in
ok gateway: /.well-known/oauth-protected-resource/mcp is as it should be
ok gateway: /.well-known/oauth-protected-resource is as it should be
ok gateway: /.well-known/oauth-authorization-server is as it should be
ok gateway: /.well-known/openid-configuration is as it should be
ok sign-in: Claude Code, http://localhost/callback: Entra shows its sign-in page
ok sign-in: OpenCode, http://127.0.0.1:19876/mcp/oauth/callback: Entra shows its sign-in page
ok sign-in: VS Code, http://127.0.0.1:33418/: Entra shows its sign-in page
ok sign-in: VS Code, https://vscode.dev/redirect: Entra shows its sign-in page
ok sign-in: Cursor, cursor://anysphere.cursor-mcp/oauth/callback: Entra shows its sign-in page
ok sign-in: Codex, http://127.0.0.1:1456/callback: Entra shows its sign-in page
ok sign-in: Gemini CLI, mcp-remote, http://localhost/oauth/callback: Entra shows its sign-in page
ok sign-in: MCP Inspector, http://127.0.0.1:6276/oauth/callback: Entra shows its sign-in page
ok sign-in: Entra refuses a foreign resource, as it should; the gateway sends none
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestResourceServer is the other mode, in which Entra has to know the MCP endpoint.
func TestResourceServer(t *testing.T) {
	s := newStage(t)
	s.resourceServer()
	_, got := s.examine(t)
	for _, want := range []string{
		"ok configuration: contoso: resource-server, for tokens of",
		"ok clients: contoso registers no clients: each needs the client id",
		"warning clients: contoso's metadata does not mention PKCE",
		"ok sign-in: as VS Code, for https://gateway/mcp: Entra shows its sign-in page",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	s.refuse = func(url.Values) int { return 700016 } // maybe nobody uses VS Code
	if _, got = s.examine(t); !strings.Contains(got, "warning sign-in: as VS Code, for https://gateway/mcp: AADSTS700016") {
		t.Errorf("what is only about VS Code is no warning in\n%s", got)
	}
	s.refuse = nil
	s.opts.SignIn.Providers[0].Scopes = []oauth.Scope{{Name: "mcp.access", Advertised: "api://x/mcp.access"}}
	if _, got = s.examine(t); !strings.Contains(got, "problem sign-in: as VS Code, for https://gateway/mcp: AADSTS9010010") {
		t.Errorf("a strange resource is no problem in\n%s", got)
	}
}

// TestProblems makes one thing wrong each time, and wants it said.
func TestProblems(t *testing.T) {
	for name, test := range map[string]struct {
		spoil   func(*stage)
		want    string // a line, or its beginning
		without string // what must not be looked at any more
	}{
		"issuer of another tenant": {
			func(s *stage) { s.issuer = "https://entra.example/other/v2.0" },
			`problem metadata: https://entra/` + tenant + `/v2.0/.well-known/openid-configuration is the metadata of the issuer "https://entra.example/other/v2.0", not of "https://entra/` + tenant + `/v2.0" -> Correct the issuer or the tenant in the configuration.`,
			"sign-in:",
		},
		"tenant that there is not": {
			func(s *stage) { s.opts.SignIn.Providers[0].Entra.Tenant = client },
			`problem metadata: https://entra/` + client + `/v2.0/.well-known/openid-configuration answers 400 Bad Request (AADSTS90002) -> There is no such tenant`, "sign-in:",
		},
		"provider that is down": {func(s *stage) { s.entra.Close() }, `problem metadata: Get "https://entra/`, "sign-in:"},
		"weak key": {
			func(s *stage) { s.keys = append(s.keys, publicKey("key-2", newKey(1024))) },
			"warning keys: contoso: key-1 (RSA 2048), key-2 (RSA 1024); 1 of them cannot be used", "",
		},
		"clock": {
			func(s *stage) { s.ahead = 10 * time.Minute },
			"problem clock: this machine's clock is about 10m0s behind contoso's -> Have this machine's clock set by NTP.", "",
		},
		"clock within the skew": {func(s *stage) { s.ahead = -30 * time.Second }, "warning clock: this machine's clock is about 30s ahead of contoso's", ""},
		"gateway that is down":  {func(s *stage) { s.gateway.Close() }, "warning gateway: no gateway answers at https://gateway/mcp: dial tcp", "gateway: /.well-known"},
		"gateway without sign-in": {
			func(s *stage) { s.serve = func(http.Handler) http.Handler { return status(http.StatusOK) } },
			"problem gateway: https://gateway/mcp answers 200 OK to a request without a token, not 401", "gateway: /.well-known",
		},
		"gateway behind a proxy that passes on /mcp alone": {
			func(s *stage) { s.serve = only("/mcp") },
			"problem gateway: https://gateway/.well-known/oauth-protected-resource/mcp answers 404 Not Found -> A proxy in front has to pass on", "",
		},
		"gateway with another configuration": {
			func(s *stage) {
				s.opts.SignIn.Providers = []oauth.Provider{s.opts.SignIn.Providers[0]}
				s.opts.SignIn.Providers[0].Scopes = []oauth.Scope{{Name: "mcp.other", Advertised: "mcp.other"}}
			},
			`problem gateway: https://gateway/.well-known/oauth-protected-resource/mcp is not what this configuration makes of it: scopes_supported is ["mcp.access"], not ["mcp.other"]`, "",
		},
		"redirect URI that is not registered": {
			func(s *stage) { s.registered = []string{"http://localhost/callback"} },
			"warning sign-in: OpenCode, http://127.0.0.1:19876/mcp/oauth/callback: AADSTS50011 -> If people use this client: The redirect URI of the client is not registered", "",
		},
		"no redirect URI at all": {
			func(s *stage) { s.registered = nil },
			"problem sign-in: Claude Code, http://localhost/callback: AADSTS50011", "foreign resource",
		},
		"client app that there is not": {
			func(s *stage) { s.refuse = func(url.Values) int { return 700016 } },
			"problem sign-in: every client: AADSTS700016 -> The tenant has no app with this client id.", "Claude Code",
		},
		"scope that there is not": {
			func(s *stage) {
				s.refuse = func(q url.Values) int {
					if strings.Contains(q.Get("scope"), api+"/mcp.access") {
						return 650053
					}
					return 0
				}
			},
			"problem sign-in: every client: AADSTS650053 -> A scope", "Claude Code",
		},
		"code that nobody knows": {
			func(s *stage) { s.refuse = func(url.Values) int { return 99999999 } },
			"problem sign-in: every client: AADSTS99999999 -> Look this code up", "Claude Code",
		},
		"secret for Graph": {
			func(s *stage) { s.askGraph("wrong", nil) },
			"problem groups: contoso: the gateway cannot sign in to Microsoft Graph: the identity provider answered invalid_client, AADSTS7000215 -> The client secret is wrong or has expired.", "groups of the configuration",
		},
		"group that there is not": {
			func(s *stage) {
				s.askGraph("right", map[string]string{api: "platform", client: "nobody"})
				s.known = []string{api}
			},
			"problem groups: group \"nobody\": there is no group " + client + " in tenant " + tenant + " -> Write the Object ID", "",
		},
		"Graph that is not reached": {
			func(s *stage) { s.askGraph("right", nil); s.entra.Close() },
			"problem groups: contoso: Microsoft Graph cannot be asked: ", "GroupMember.Read.All",
		},
		"Graph without groups": {
			func(s *stage) { s.askGraph("right", nil) },
			"ok groups: contoso: Microsoft Graph answers; 0 of 0 groups of the configuration are known", "",
		},
		"Entra that takes any resource": {
			func(s *stage) {
				s.registered = append(s.registered, "https://any")
				s.refuse = func(q url.Values) int { q.Del("resource"); return 0 }
			},
			"warning sign-in: Entra does not refuse a foreign resource", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			test.spoil(s)
			_, got := s.examine(t)
			if !strings.Contains("\n"+got, "\n"+test.want) {
				t.Errorf("%q is missing in\n%s", test.want, got)
			}
			if test.without != "" && strings.Contains(got, test.without) {
				t.Errorf("%q was looked at:\n%s", test.without, got)
			}
		})
	}
}

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func only(path string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle(path, h)
		return mux
	}
}

// TestOneClient looks at one client, for which a problem stays one.
func TestOneClient(t *testing.T) {
	s := newStage(t)
	s.registered = []string{"http://localhost/callback"}
	s.opts.Client = doctor.FindClient("opencode")
	report, got := s.examine(t)
	if report.Count(doctor.Problem) != 1 || !strings.Contains(got, "problem sign-in: OpenCode") || strings.Contains(got, "Claude Code") {
		t.Errorf("one problem is wanted, of OpenCode:\n%s", got)
	}
	s.opts.Client = doctor.FindClient("claude-ai")
	if _, got = s.examine(t); !strings.Contains(got, "problem sign-in: Claude.ai and Claude Desktop, https://claude.ai/api/mcp/auth_callback: the gateway refuses it") {
		t.Errorf("a client that the gateway refuses is no problem:\n%s", got)
	}
}

// TestToken looks at tokens of every kind.
func TestToken(t *testing.T) {
	for name, test := range map[string]struct {
		change     map[string]any
		want       string // the finding, or its beginning
		wantKind   string
		wantGroups string
	}{
		"good": {
			nil, `ok token: the gateway takes it, as User::"` + tenant + `/` + person + `"`,
			"access token of version 2.0, for a person", "2: g-1 g-2",
		},
		"ID token": {
			map[string]any{"scp": nil, "azp": nil},
			"problem token: the gateway refuses it: it is an ID token",
			"ID token", "2: g-1 g-2",
		},
		"Graph": {
			map[string]any{"aud": "00000003-0000-0000-c000-000000000000"},
			"problem token: the gateway refuses it: it is for Microsoft Graph -> The client must ask for a scope of this gateway's API.",
			"access token for Microsoft Graph", "2: g-1 g-2",
		},
		"version 1": {
			map[string]any{"ver": "1.0", "aud": "api://" + api, "appid": client, "azp": nil, "iss": "STS"},
			"problem token: the gateway refuses it: it is for [\"api://" + api + "\"] (aud), not for this gateway, which is [\"" + api + "\"] -> It is of version 1, whose aud is an App ID URI. Set requestedAccessTokenVersion to 2",
			"access token of version 1.0, for a person", "2: g-1 g-2",
		},
		"program": {
			map[string]any{"scp": nil, "sub": person, "idtyp": "app", "groups": nil},
			"problem token: the gateway refuses it: it is a program's own token, which nobody signed in for",
			"access token of version 2.0, of a program without a person", "none listed: the claim is not there",
		},
		"expired": {
			map[string]any{"exp": time.Now().Add(-time.Hour).Unix(), "iat": time.Now().Add(-2 * time.Hour).Unix()},
			"problem token: the gateway refuses it: it has expired",
			"access token of version 2.0, for a person", "2: g-1 g-2",
		},
		"overage": {
			map[string]any{"groups": nil, "_claim_names": map[string]string{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]string{"endpoint": "https://graph.windows.net/x"}}},
			`warning token: the gateway takes it, as User::"` + tenant + `/` + person + `" -> Requests of this caller are refused until their groups are known`,
			"access token of version 2.0, for a person", "too many for the token (overage)",
		},
		"no groups claim": {
			map[string]any{"groups": nil},
			`warning token: the gateway takes it, as User::"` + tenant + `/` + person + `" -> Groups of this caller are not known`,
			"access token of version 2.0, for a person", "none listed: the claim is not there",
		},
		"numbers for texts": {
			map[string]any{"ver": 2}, "problem token: the gateway refuses it: its version", "JWT", "2: g-1 g-2",
		},
		"no scope": {
			map[string]any{"scp": "mcp.other"},
			`problem token: the gateway refuses it: it lacks the scope "mcp.access" -> The client must ask for it, and the provider must grant it.`,
			"access token of version 2.0, for a person", "2: g-1 g-2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			if test.change["iss"] == "STS" {
				test.change["iss"] = s.cloud().IssuerV1(tenant)
			}
			s.opts.Token = token(s, test.change)
			report, got := s.examine(t)
			if !strings.Contains("\n"+got, "\n"+test.want) {
				t.Errorf("%q is missing in\n%s", test.want, got)
			}
			facts := map[string]string{}
			for _, f := range report.Token {
				facts[f.Name] = f.Value
			}
			if facts["kind"] != test.wantKind || facts["groups"] != test.wantGroups {
				t.Errorf("it is %q with groups %q, want %q with %q", facts["kind"], facts["groups"], test.wantKind, test.wantGroups)
			}
			secretsIn(t, report, s.opts.Token)
		})
	}
}

// secretsIn fails if a report has a part of the token, or a person's name.
func secretsIn(t *testing.T, report *doctor.Report, token string) {
	t.Helper()
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range append(strings.Split(token, "."), "ada@contoso.com") {
		if strings.Contains(string(text), part) {
			t.Errorf("the report has %.20q… in it: %s", part, text)
		}
	}
}

// TestUnreadableToken looks at what is no token, of which nothing is repeated.
func TestUnreadableToken(t *testing.T) {
	s := newStage(t)
	s.opts.Token = "opaque-1234567890"
	report, got := s.examine(t)
	if !strings.Contains(got, "problem token: the gateway refuses it: it is not a JWT") || report.Token != nil {
		t.Errorf("an opaque token is not refused:\n%s", got)
	}
	secretsIn(t, report, s.opts.Token)
}

// TestManyKeys lists the first ones.
func TestManyKeys(t *testing.T) {
	s := newStage(t)
	s.keys = nil
	for _, id := range strings.Split("a b c d e f g h i j k l m n", " ") {
		s.keys = append(s.keys, jose.JSONWebKey{KeyID: id, Use: "sig", Key: &key().PublicKey})
	}
	if _, got := s.examine(t); !strings.Contains(got, "l (RSA 2048), and 2 more\n") {
		t.Errorf("the keys are not listed in short:\n%s", got)
	}
}
