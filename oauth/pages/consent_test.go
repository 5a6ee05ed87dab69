package pages_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/oauth/pages"
	"golang.org/x/net/html"
)

// consentWith is the page for such a client, which it also checks.
func consentWith(t testing.TB, client pages.Client) *html.Node {
	t.Helper()
	c := consentPage()
	c.Client = client
	return check(t, bodyOf(t, written(func(w http.ResponseWriter) { pages.Consent(w, c) })))
}

// TestWhoGetsAccess is what a person reads about who asks and who gets the answer.
func TestWhoGetsAccess(t *testing.T) {
	const (
		anyProgram = "Any program on this computer could claim to be it. Continue only if you have just started it yourself, and it asked you to sign in."
		thisOne    = "Any program on this computer could claim to be this one. Continue only if you have just started it yourself, and it asked you to sign in."
		unchecked  = "Nobody has checked this program. Continue only if you know evil.example, and have just asked it yourself to connect you."
		itself     = "Unverified: it registered itself, under a name of its own choice"
	)
	for _, tt := range []struct {
		name                 string
		client               pages.Client
		who, gets, careWords string
	}{
		{
			"vouched for by a host, in the web",
			pages.Client{Name: "VS Code", Host: "vscode.dev", Verified: true, Redirect: "https://vscode.dev/redirect"},
			"VS Code From vscode.dev", "vscode.dev", "",
		},
		{
			"vouched for by a host, on this computer",
			pages.Client{Name: "Claude Code", Host: "claude.ai", Verified: true, Redirect: "http://localhost:5000/callback"},
			"Claude Code From claude.ai", "a program on this computer, port 5000", anyProgram,
		},
		{
			"set up by the operator, on this computer",
			pages.Client{Name: "CI", Verified: true, Redirect: "http://127.0.0.1/cb"},
			"CI Set up by the operator of this gateway", "a program on this computer", anyProgram,
		},
		{
			"set up by the operator, with a scheme",
			pages.Client{Name: "Cursor", Verified: true, Redirect: "cursor://anysphere.cursor-mcp/oauth/callback"},
			"Cursor Set up by the operator of this gateway", "the program on this computer that opens addresses with cursor:", anyProgram,
		},
		{
			"registered itself, on this computer",
			pages.Client{Name: "Claude", Redirect: "http://[::1]:8080/"},
			"A program says it is called Claude " + itself, "a program on this computer, port 8080", thisOne,
		},
		{
			"registered itself, in the web",
			pages.Client{Name: "Claude", Redirect: "https://evil.example/claude.ai"},
			"A program says it is called Claude " + itself, "evil.example", unchecked,
		},
		{
			"without a name",
			pages.Client{Redirect: "https://evil.example/"},
			"A program that gives no name Unverified: it registered itself", "evil.example", unchecked,
		},
		{
			"with nothing but what cannot be seen for a name",
			pages.Client{Name: "\u200b \u2066", Redirect: "https://evil.example/"},
			"A program that gives no name Unverified: it registered itself", "evil.example", unchecked,
		},
		{
			"a host that is claimed",
			pages.Client{Name: "Claude", Host: "claude.ai", Redirect: "https://evil.example/"},
			"A program says it is called Claude Unverified: it claims to come from claude.ai", "evil.example", unchecked,
		},
		{
			"a host of letters that look like others",
			pages.Client{Name: "A", Host: "clаude.ai", Verified: true, Redirect: "https://xn--clude-4ve.ai/cb"},
			"A From cl%D0%B0ude.ai", "xn--clude-4ve.ai", "",
		},
		{
			"a host that only begins like this computer",
			pages.Client{Name: "A", Verified: true, Redirect: "https://localhost.evil.example:8443/"},
			"A Set up by the operator of this gateway", "localhost.evil.example:8443", "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page := consentWith(t, tt.client)
			if got := textOf(elements(page, "section")[0]); got != tt.who {
				t.Errorf("who asks: %q, want %q", got, tt.who)
			}
			if got := answerTo(page); got != tt.gets {
				t.Errorf("who gets the answer: %q, want %q", got, tt.gets)
			}
			warnings := elements(page, "div", "class=warning")
			switch {
			case len(warnings) == 0 && tt.careWords != "", len(warnings) > 0 && textOf(warnings[0]) != tt.careWords:
				t.Errorf("the warnings are %d, want %q", len(warnings), tt.careWords)
			}
		})
	}
}

func answerTo(page *html.Node) string {
	for _, dt := range elements(page, "dt") {
		if textOf(dt) == "Access goes to" {
			return strings.TrimPrefix(textOf(dt.Parent), "Access goes to ")
		}
	}
	return ""
}

// TestConsentForm sends what the gateway asked to have back; the button that
// Enter presses is the first.
func TestConsentForm(t *testing.T) {
	page := consentWith(t, pages.Client{})
	form := elements(page, "form", "method=post", "action=/oauth2/consent")[0]
	if len(elements(form, "input", "name=request", "value=r-1")) != 1 || len(elements(form, "input", "name=token", "value=t-1")) != 1 {
		t.Error("the form does not send what it was given")
	}
	var answers []string
	for _, button := range elements(form, "button", "type=submit", "name=answer") {
		answers = append(answers, attribute(button, "value"))
	}
	if strings.Join(answers, " ") != "deny approve" {
		t.Errorf("the answers are %q", answers)
	}
}

// TestChecklist25 shows names that would be more than names. Each must be
// harmless and say that nobody has checked it.
func TestChecklist25(t *testing.T) {
	for _, tt := range []struct{ name, shown string }{
		{"Claude", "Claude"},
		{"\u202eevil", "evil"},
		{"a\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061cb", "ab"},
		{"<script>alert(1)</script>", "<script>alert(1)</script>"},
		{`"><img src=x onerror=alert(1)>`, `"><img src=x onerror=alert(1)>`},
		{"{{.Token}}", "{{.Token}}"},
		{"Cl\u200ba\u200cu\u200dd\u2060e\ufeff\u00ad", "Claude"},
		{"Claude\n\n\nverified\r\nby\tcontoso\u2028\u2029!", "Claude verified by contoso !"},
		{"Cla\u0301\u0301\u0301\u0301\u0301ude", "Cla\u0301\u0301ude"},
		{"\u0301\u0301Claude \u0301x", "Claude x"},
		{"\x00\x1b[31mred\x7f\u0085", "[31mred"},
		{"\xff\xfeCl\xc0aude\xed\xa0\x80", "Claude"},
		{"\u3164\u115f\u2800\uffa0", ""},
		{"a\U000e0041\U000e007f\ufe0fb\ue000\U0010ffff", "ab"},
		{strings.Repeat("A", 10_000), strings.Repeat("A", 59) + "…"},
		{strings.Repeat("A", 60), strings.Repeat("A", 60)},
		{strings.Repeat("ß ", 5_000), strings.TrimSpace(strings.Repeat("ß ", 30)) + "…"},
		{strings.Repeat("\u200b", 100_000) + "Claude", ""},
		{"  Claude   Code  ", "Claude Code"},
		{"עוזר הקוד", "עוזר הקוד"},
		{"代码助手", "代码助手"},
		{"Trợ lý mã", "Trợ lý mã"},
	} {
		page := consentWith(t, pages.Client{Name: tt.name, Redirect: "https://evil.example/"})
		shown := ""
		for _, n := range elements(page, "p", "class=name") {
			shown = textOf(n)
		}
		if shown != tt.shown || utf8.RuneCountInString(shown) > 60 {
			t.Errorf("%.100q is shown as %q, want %q", tt.name, shown, tt.shown)
		}
		if !strings.Contains(textOf(page), "Unverified") {
			t.Errorf("%.100q is shown without a mark that it is unverified", tt.name)
		}
	}
}

// TestLongHost keeps the end of a host, which says whose it is.
func TestLongHost(t *testing.T) {
	label := strings.Repeat("a", 63) + "."
	for host, want := range map[string]string{
		strings.Repeat(label, 3) + strings.Repeat("b", 49) + ".evil.example": strings.Repeat(label, 3) + strings.Repeat("b", 49) + ".evil.example",
		"claude.ai." + strings.Repeat(label, 100) + "evil.example":           "…",
	} {
		page := consentWith(t, pages.Client{Name: "Claude", Host: host, Verified: true, Redirect: "https://" + host + "/cb"})
		for where, got := range map[string]string{"who asks": textOf(elements(page, "bdi", "class=host")[0]), "who gets the answer": answerTo(page)} {
			if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, ".evil.example") || len(got) > 300 {
				t.Errorf("%s: %q, want %q and the end of the host", where, got, want)
			}
		}
	}
}

func FuzzConsent(f *testing.F) {
	f.Add("Claude", "claude.ai", "http://localhost:5000/callback", "mcp.access")
	f.Add(hostile, hostile, hostile, hostile)
	f.Add("\u202eevil", "xn--e1afmkfd.example", "cursor://a/b", "<b>")
	f.Add("\xf0\x9f\x91", "a\x00b", "https://[::1]:x/", "&lt;")
	f.Fuzz(func(t *testing.T, name, host, redirect, scope string) {
		for _, verified := range []bool{true, false} {
			c := consentPage()
			c.Client = pages.Client{Name: name, ID: name, Host: host, Verified: verified, Redirect: redirect}
			c.Scopes = []pages.Scope{{Name: scope, Text: scope}}
			c.Request, c.Token = scope, name
			body := bodyOf(t, written(func(w http.ResponseWriter) { pages.Consent(w, c) }))
			checkCharacters(t, visible(check(t, body)))
		}
	})
}

// visible is all text of a page that people see.
func visible(page *html.Node) string {
	return textOf(elements(page, "title")[0]) + textOf(elements(page, "body")[0])
}

// checkCharacters looks for what changes how other text is seen.
func checkCharacters(t testing.TB, text string) {
	t.Helper()
	for _, r := range text {
		switch {
		case r == utf8.RuneError, r < ' ', '\x7f' <= r && r < '\xa0', r == '\xad', r == '\u061c', '\u200b' <= r && r <= '\u200f', '\u2028' <= r && r <= '\u202e', '\u2060' <= r && r <= '\u206f', r == '\ufeff', '\U000e0000' <= r && r <= '\U000e0fff':
			t.Fatalf("the page shows %U", r)
		}
	}
}

// TestHostileText looks at every page for what must not be shown on any.
func TestHostileText(t *testing.T) {
	for _, s := range append(samples(), longSamples()...) {
		checkCharacters(t, visible(check(t, bodyOf(t, written(s.write)))))
	}
}

// TestFormTargets lets a form lead to what names one place, and to nothing that
// changes the rest of the policy.
func TestFormTargets(t *testing.T) {
	for target, want := range map[string]string{
		"https://login.microsoftonline.com": "'self' https://login.microsoftonline.com",
		"http://127.0.0.1:5000":             "'self' http://127.0.0.1:5000",
		"https:":                            "'self' https:",
		"cursor:":                           "'self' cursor:",
		"http:":                             "'self'",
		"":                                  "'self'",
		"*":                                 "'self'",
		"https://*.example":                 "'self'",
		"http://[::1]:5000":                 "'self'",
		"https://a.example/b":               "'self'",
		"https://a.example;script-src":      "'self'",
		"https://a.example 'unsafe-inline'": "'self'",
		"https://a.example\n":               "'self'",
		"'unsafe-inline'":                   "'self'",
		"javascript:":                       "'self'",
		"data:":                             "'self'",
		"blob:":                             "'self'",
	} {
		c := consentPage()
		c.FormTargets = []string{target}
		policy := written(func(w http.ResponseWriter) { pages.Consent(w, c) }).Header.Get("Content-Security-Policy")
		if _, got, _ := strings.Cut(policy, "form-action "); got != want {
			t.Errorf("with %q form-action is %q, want %q", target, got, want)
		}
	}
}
