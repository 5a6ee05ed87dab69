package pages_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth/pages"
)

// hostile is a name of a program that does all it can to be taken for another,
// or to be more than a name.
var hostile = "\u202eedualC\u202c \u2066</p>\u2069<script>alert(1)</script>\x00\x1b[31m\n\nCl\u200baude" + strings.Repeat("\u0301", 50) + " verified by contoso.com " + strings.Repeat("A", 1_000)

var now = time.Date(2026, time.November, 27, 21, 47, 0, 0, time.UTC)

// A sample is a page with what it may be asked to show.
type sample struct {
	name  string
	write func(http.ResponseWriter)
}

// samples are pages that fit on a screen or two, each of which is in testdata.
func samples() []sample {
	return []sample{
		{"problem", func(w http.ResponseWriter) {
			pages.Problem(w, http.StatusBadRequest, pages.ProblemPage{
				Gateway: "mcp.contoso.com", Error: "invalid_request",
				Text: "The redirect URI 'https://evil.example/callback' is not one that this gateway sends people to.",
			})
		}},
		{"problem-back", func(w http.ResponseWriter) {
			pages.Problem(w, http.StatusForbidden, pages.ProblemPage{
				Gateway: "mcp.contoso.com", Title: "This was not done", Text: "The form is too old.", Advice: "Go back and try again.", Back: "/me", BackText: "To your page",
			})
		}},
		{"consent-host", consent(func(*pages.ConsentPage) {})},
		{"consent-host-local", consent(func(c *pages.ConsentPage) {
			c.Client = pages.Client{Name: "Claude Code", ID: "https://claude.ai/oauth/claude-code-client-metadata", Host: "claude.ai", Verified: true, Redirect: "http://localhost:5000/callback"}
		})},
		{"consent-operator-scheme", consent(func(c *pages.ConsentPage) {
			c.Client = pages.Client{Name: "Cursor", ID: "cursor", Verified: true, Redirect: "cursor://anysphere.cursor-mcp/oauth/callback"}
			c.Scopes = []pages.Scope{{Name: "mcp.access"}, {Name: "mcp.admin", Text: "change the configuration of upstream servers"}}
		})},
		{"consent-self-local", consent(func(c *pages.ConsentPage) {
			c.Client = pages.Client{Name: "OpenCode", ID: "eyJuIjoiT3BlbkNvZGUifQ.c2lnbmF0dXJl", Redirect: "http://127.0.0.1:19876/mcp/oauth/callback"}
		})},
		{"consent-self-remote", consent(func(c *pages.ConsentPage) {
			c.Client = pages.Client{Name: "Claude", ID: "eyJuIjoiQ2xhdWRlIn0.c2lnbmF0dXJl", Redirect: "https://claude.ai.sign-in.accounts.a-very-long-label-that-goes-on-and-on-and-on.evil.example:8443/callback?x=1"}
		})},
		{"consent-nameless", consent(func(c *pages.ConsentPage) {
			c.Client = pages.Client{Redirect: "http://[::1]/"}
			c.Scopes, c.Me = nil, ""
		})},
		{"consent-hostile", consent(func(c *pages.ConsentPage) {
			c.Client = pages.Client{Name: hostile, ID: hostile, Host: "xn--clude-0nf.ai\u202e<b>" + strings.Repeat("x", 1000) + ".evil.example", Redirect: "http://localhost:5000/callback"}
			c.Scopes = []pages.Scope{{Name: hostile, Text: hostile}}
			c.Provider, c.Request, c.Token = hostile, hostile, `"><script>`
			c.Action = "javascript:alert(1)"
			c.FormTargets = []string{"https://login.microsoftonline.com", "cursor:", "https:", "https://*", "*", "data:", "javascript:", "http:", "'unsafe-inline'", "https://a; script-src *", "https://a/b"}
		})},
		{"consent-rtl", consent(func(c *pages.ConsentPage) {
			c.Client = pages.Client{Name: "עוזר הקוד 2.0 (בטא)", ID: "https://code.example/id", Host: "code.example", Verified: true, Redirect: "http://localhost:5000/callback"}
		})},
		{"leave", func(w http.ResponseWriter) {
			pages.Leave(w, pages.LeavePage{Gateway: "mcp.contoso.com", Provider: "contoso (Microsoft Entra ID)", URL: "https://login.microsoftonline.com/t/oauth2/v2.0/authorize?client_id=c&state=s"})
		}},
		{"leave-denied", func(w http.ResponseWriter) {
			pages.Leave(w, pages.LeavePage{Gateway: "mcp.contoso.com", Client: "Claude Code", URL: "http://localhost:5000/callback?error=access_denied&state=s"})
		}},
		{"leave-nowhere", func(w http.ResponseWriter) {
			pages.Leave(w, pages.LeavePage{Gateway: "mcp.contoso.com", Provider: "contoso", URL: "javascript:alert(1)"})
		}},
		{"signedin", signedIn(func(*pages.SignedInPage) {})},
		{"signedin-unknown", signedIn(func(p *pages.SignedInPage) {
			p.Name, p.Client, p.Groups, p.Tools, p.Me = "", "", nil, 0, ""
			p.GroupsWhy = "they are too many for the token, and Microsoft Graph could not be asked for them"
			p.ToolsWhy = "every policy names a group, and yours are not known"
		})},
		{"signin", func(w http.ResponseWriter) {
			pages.SignIn(w, pages.SignInPage{Gateway: "mcp.contoso.com", Provider: "contoso (Microsoft Entra ID)", Action: "/me", Token: "t"})
		}},
		{"signin-notice", func(w http.ResponseWriter) {
			pages.SignIn(w, pages.SignInPage{Gateway: "mcp.contoso.com", Provider: "contoso (Microsoft Entra ID)", Notice: "You have signed out.", Action: "/me", FormTargets: []string{"https://login.microsoftonline.com"}})
		}},
		{"me", me(func(*pages.MePage) {})},
		{"me-new", me(func(m *pages.MePage) {
			m.Name, m.Groups, m.Roles, m.Tools, m.Denials, m.Sessions = "", nil, nil, nil, nil, nil
			m.ToolsWhy = "no policy permits anything to somebody without a group"
		})},
		{"me-hostile", me(func(m *pages.MePage) {
			m.Name, m.Person, m.Groups, m.GroupsWhy, m.Roles = hostile, hostile, []string{hostile, "a"}, hostile, []string{hostile}
			m.Tools = []pages.Tool{{Name: hostile, Title: hostile, Upstream: hostile, Description: hostile}}
			m.Denials = []pages.Denial{{Tool: hostile, Why: hostile, Reference: hostile}}
			m.Sessions = []pages.Session{{ID: hostile, Client: hostile, ClientHost: hostile}}
		})},
	}
}

// longSamples are pages with more than they show.
func longSamples() []sample {
	return []sample{
		{"signedin-long", signedIn(func(p *pages.SignedInPage) {
			p.Name, p.Client, p.Groups, p.Tools = "סיגל שרה לוי", hostile, groups(2000), 2000
			p.GroupsWhy = "the directory does not know 2 of the names in the configuration"
			p.Continue = "javascript:alert(1)"
		})},
		{"me-long", me(func(m *pages.MePage) {
			m.Name, m.Groups, m.Tools = "عبد الرحمن بن عوف", groups(2000), tools(2000)
			m.GroupsWhy = "the directory does not know 2 of the names in the configuration"
			for i := range 150 {
				m.Sessions = append(m.Sessions, pages.Session{ID: fmt.Sprint("s", i), Client: fmt.Sprint("Program ", i)})
				m.Denials = append(m.Denials, m.Denials[i%2])
			}
		})},
	}
}

func consent(edit func(*pages.ConsentPage)) func(http.ResponseWriter) {
	c := consentPage()
	edit(&c)
	return func(w http.ResponseWriter) { pages.Consent(w, c) }
}

func me(edit func(*pages.MePage)) func(http.ResponseWriter) {
	m := mePage()
	edit(&m)
	return func(w http.ResponseWriter) { pages.Me(w, m) }
}

func signedIn(edit func(*pages.SignedInPage)) func(http.ResponseWriter) {
	p := signedInPage()
	edit(&p)
	return func(w http.ResponseWriter) { pages.SignedIn(w, p) }
}

func consentPage() pages.ConsentPage {
	return pages.ConsentPage{
		Gateway: "mcp.contoso.com", Provider: "contoso (Microsoft Entra ID)",
		Client: pages.Client{
			Name: "Visual Studio Code", ID: "https://vscode.dev/oauth/client-metadata.json", Host: "vscode.dev", Verified: true,
			Redirect: "https://vscode.dev/redirect",
		},
		Scopes: []pages.Scope{{Name: "mcp.access", Text: "use the tools that are open to you"}},
		Action: "/oauth2/consent", Request: "r-1", Token: "t-1", Me: "mcp.contoso.com/me",
	}
}

func signedInPage() pages.SignedInPage {
	return pages.SignedInPage{
		Gateway: "mcp.contoso.com", Name: "Sigrid Ström", Client: "Cursor", Groups: []string{"platform", "Billing – EMEA"}, Tools: 42,
		Continue: "cursor://anysphere.cursor-mcp/oauth/callback?code=c&state=s&iss=https%3A%2F%2Fmcp.contoso.com", Me: "https://mcp.contoso.com/me",
	}
}

func mePage() pages.MePage {
	return pages.MePage{
		Gateway: "mcp.contoso.com", Name: "Sigrid Ström", Provider: "contoso (Microsoft Entra ID)",
		Person: `User::"6c1f6c8e-0000-0000-0000-000000000000/0b7a2f1c-0000-0000-0000-000000000000"`,
		Groups: []string{"platform", "Billing – EMEA"}, Roles: []string{"Tools.Admin"}, Tools: tools(7),
		Denials: []pages.Denial{
			{Time: now.Add(-12 * time.Minute), Tool: "gh_merge_pull_request", Why: "Only people of the repository's own team may merge. Ask for access at https://access.contoso.com/mcp", Reference: "d-7f3k2"},
			{Time: now.Add(-26 * time.Hour), Tool: "pg_query", Why: "Queries of more than 10,000 rows are not allowed."},
		},
		Sessions: []pages.Session{
			{ID: "s-1", Client: "Claude Code", ClientHost: "claude.ai", Created: now.Add(-3 * 24 * time.Hour), Refreshed: now.Add(-4 * time.Minute), Expires: now.Add(29*24*time.Hour + 22*time.Hour)},
			{ID: "s-2", Client: "OpenCode", Created: now.Add(-40 * time.Minute), Expires: now.Add(29 * 24 * time.Hour)},
			{ID: "s-3", Client: "Browser", ClientHost: "mcp.contoso.com", Created: now.Add(-20 * time.Second), Expires: now.Add(8 * time.Hour), This: true},
		},
		RevokeAction: "/me/revoke", SignOutAction: "/me/sign-out", Token: "t-1", Now: now,
	}
}

// tools are so many of three upstreams.
func tools(n int) (all []pages.Tool) {
	kinds := []pages.Tool{
		{Upstream: "github", Name: "gh_create_issue", Title: "Open an issue", Description: "Open an issue in one of our repositories. The repository must exist, and issues must be enabled in it; labels that do not exist are created, and people who are named are told by e-mail."},
		{Upstream: "github", Name: "gh_merge_pull_request", Title: "Merge"},
		{Upstream: "postgres", Name: "pg_query", Description: "Run a query that only reads."},
	}
	for i := range n {
		tool := kinds[i%len(kinds)]
		if i >= len(kinds) {
			tool.Name += fmt.Sprint("_", i)
		}
		all = append(all, tool)
	}
	return all
}

// groups are the names of so many, most of them ids.
func groups(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("4f1c2d3e-0000-0000-0000-%012d", i))
	}
	all[0] = "platform"
	return all
}
