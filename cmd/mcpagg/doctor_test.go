package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/doctor"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/policy"
)

// sampleReport is the one in docs/sign-in.md.
func sampleReport() *doctor.Report {
	return &doctor.Report{
		Findings: []doctor.Finding{
			{Check: "configuration", Verdict: doctor.OK, Seen: "contoso: broker, with people of https://login.microsoftonline.com/6c1f6c8e-0000-0000-0000-000000000000/v2.0"},
			{Check: "configuration", Verdict: doctor.OK, Seen: "contoso: the client 0b7a2f1c-0000-0000-0000-000000000000 there has to have the redirect URI https://mcp.contoso.com/oauth2/callback, on the platform Web"},
			{Check: "metadata", Verdict: doctor.OK, Seen: "contoso: the issuer is https://login.microsoftonline.com/6c1f6c8e-0000-0000-0000-000000000000/v2.0, as configured"},
			{Check: "keys", Verdict: doctor.OK, Seen: "contoso: JYhAcTPMZ_LX6DBlOWQ7Hn0NeXE (RSA 2048), 3g5nwGN1KY6kRfbOqdnE7iEnMKk (RSA 2048)"},
			{Check: "clock", Verdict: doctor.OK, Seen: "within 5s of contoso's"},
			{Check: "clients", Verdict: doctor.OK, Seen: "clients register by themselves, or by the URL of a document, which the gateway fetches from the internet"},
			{Check: "gateway", Verdict: doctor.OK, Seen: "a request without a token is told where to sign in"},
			{
				Check: "gateway", Verdict: doctor.Problem, Seen: "https://mcp.contoso.com/.well-known/oauth-protected-resource/mcp answers 404 Not Found",
				Remedy: "A proxy in front has to pass on /.well-known/, /oauth2/, /authorize, /token and /register as well as /mcp.",
			},
			{
				Check: "sign-in", Verdict: doctor.Problem, Seen: "the gateway, https://mcp.contoso.com/oauth2/callback: AADSTS50011",
				Remedy: "Add exactly this URI to the app under Authentication, on the platform Web.",
			},
			{
				Check: "credential", Verdict: doctor.Problem, Seen: "contoso does not believe that the gateway is its client: invalid_client (AADSTS7000222)",
				Remedy: expiredSecret(),
			},
			{Check: "refresh", Verdict: doctor.OK, Seen: "contoso is asked for refresh tokens"},
			{Check: "store", Verdict: doctor.OK, Seen: "/var/lib/mcpagg is closed to others, and a gateway that runs has it"},
		},
	}
}

// expiredSecret is what helps against AADSTS7000222.
func expiredSecret() string {
	code, _ := entra.Explain(7000222)
	return code.Meaning + " " + code.Remedy
}

// TestDocsDoctor shows the sample as docs/sign-in.md does.
func TestDocsDoctor(t *testing.T) {
	var out bytes.Buffer
	if err := screenOf(&out).showReport(sampleReport()); err != nil {
		t.Fatal(err)
	}
	inBlock(t, "sign-in.md", "doctor", "```\n"+out.String()+"```\n")
}

// inBlock makes sure that a page has the text between its two marks, or puts it
// there.
func inBlock(t *testing.T, page, name, text string) {
	t.Helper()
	path := filepath.Join("../../docs", page)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->"
	before, rest, found := strings.Cut(string(content), begin)
	is, after, closed := strings.Cut(rest, end)
	switch {
	case !found || !closed:
		t.Fatalf("docs/%s has no block %s", page, name)
	case is == text:
	case *update:
		if err := os.WriteFile(path, []byte(before+begin+text+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("docs/%s does not show this; run go test ./cmd/mcpagg -run TestDocs -update:\n%s", page, text)
	}
}

// TestDocsCodes has every code of Entra in docs/entra.md.
func TestDocsCodes(t *testing.T) {
	var b strings.Builder
	b.WriteString("| AADSTS | seen by | what it means | what to do |\n|---|---|---|---|\n")
	numbers := map[entra.Code][]string{} // by what they have in common
	topicOf := func(c entra.Code) entra.Code { c.Number = 0; return c }
	for _, c := range entra.Codes() {
		numbers[topicOf(c)] = append(numbers[topicOf(c)], strconv.Itoa(c.Number))
	}
	for _, c := range entra.Codes() {
		if all := numbers[topicOf(c)]; all[0] == strconv.Itoa(c.Number) {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", strings.Join(all, ", "), seenBy(c), c.Meaning, c.Remedy)
		}
	}
	inBlock(t, "entra.md", "aadsts", b.String())
}

func seenBy(c entra.Code) string {
	switch {
	case c.OnPage && c.Error == "":
		return "the person"
	case c.OnPage:
		return "the person, or `" + c.Error + "`"
	}
	return "`" + c.Error + "`"
}

// TestDocsClients has each client in docs/clients.md as the program prints it, and
// its redirect URIs in docs/entra.md.
func TestDocsClients(t *testing.T) {
	clients, entraPage := page(t, "clients.md"), page(t, "entra.md")
	for _, c := range doctor.Clients {
		if snippet := c.Snippet("https://mcp.contoso.com/mcp") + "\n```"; !strings.Contains(clients, snippet) || !strings.Contains(clients, "## "+c.Title+"\n") {
			t.Errorf("docs/clients.md does not show this for %s:\n%s", c.Title, snippet)
		}
		for _, uri := range c.Redirects {
			if !strings.Contains(clients, "`"+uri+"`") {
				t.Errorf("docs/clients.md does not have the redirect URI %s of %s", uri, c.Title)
			}
			if !strings.Contains(entraPage, uri) {
				t.Errorf("docs/entra.md does not have the redirect URI %s of %s", uri, c.Title)
			}
		}
	}
}

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var hclBlocks = regexp.MustCompile("(?s)```hcl\n(.*?)```")

// TestDocsConfigurations formats and loads what the pages about signing in, and
// the README, have of it.
func TestDocsConfigurations(t *testing.T) {
	for _, name := range []string{"entra.md", "sign-in.md", "../README.md"} {
		for _, text := range configurations(t, name) {
			if tidy, err := config.Format(name, []byte(text)); err != nil || string(tidy) != text {
				t.Errorf("a configuration of docs/%s is not formatted; it should be\n%s", name, tidy)
			}
			if _, ok := loadText(t, text).SignIn(nil, slog.New(slog.DiscardHandler)); !ok {
				t.Errorf("nobody signs in with this one of docs/%s:\n%s", name, text)
			}
		}
	}
}

// TestReadmePolicy has somebody see a tool that only reads with the configuration of
// the README, and no other.
func TestReadmePolicy(t *testing.T) {
	cfg := loadText(t, configurations(t, "../README.md")[0])
	engine, err := policy.New(*cfg.Policy)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*policy.Object
	for _, name := range []string{"search", "write"} {
		tool := policy.Tool{Upstream: "github", Original: name, Published: "github_" + name, InputSchema: []byte(`{}`)}
		tool.Annotations = fmt.Appendf(nil, `{"readOnlyHint": %v}`, name == "search")
		for _, up := range cfg.Gateway.Upstreams {
			tool.Trusted = tool.Trusted || up.Name == "github" && up.TrustHints
		}
		objects = append(objects, policy.ToolObject(tool))
	}
	if got := engine.View(&policy.Principal{ID: "t/ann", GroupsKnown: true}, objects); !slices.Equal(got, []bool{true, false}) {
		t.Errorf("somebody sees %v", got)
	}
}

// configurations are those of a page that are about signing in.
func configurations(t *testing.T, name string) []string {
	t.Helper()
	var all []string
	for _, match := range hclBlocks.FindAllStringSubmatch(page(t, name), -1) {
		if strings.Contains(match[1], "auth ") {
			all = append(all, match[1])
		}
	}
	if all == nil {
		t.Fatalf("docs/%s has no configuration", name)
	}
	return all
}

// loadText loads a configuration that needs an upstream, and maybe variables and a
// policy.
func loadText(t *testing.T, text string) *config.Config {
	t.Helper()
	if !strings.Contains(text, "policy {") {
		text += "\n" + openPolicy
	}
	file := filepath.Join(t.TempDir(), "gateway.hcl")
	if err := os.WriteFile(file, []byte(text+"\nupstream \"notes\" {\n  url = \"https://notes.contoso.com/mcp\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load([]string{file}, func(string) (string, bool) { return "of-the-environment", true })
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return cfg
}

// TestDocsRefusals has the challenge that docs/sign-in.md shows, of the first
// configuration there, and the line of the log, of the first resource server.
func TestDocsRefusals(t *testing.T) {
	var log bytes.Buffer
	signIn, all := page(t, "sign-in.md"), configurations(t, "sign-in.md")
	direct := slices.IndexFunc(all, func(text string) bool { return strings.Contains(text, "resource-server") })
	serving := func(text string) *oauth.SignIn {
		opts, _ := loadText(t, "server {\n  public_url = \"https://mcp.contoso.com\"\n}\n"+strings.Replace(text, serverBlock.FindString(text), "", 1)).
			SignIn(nil, slog.New(slog.NewTextHandler(&log, nil)))
		return oauth.New(opts, nil)
	}
	r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	_, refused := serving(all[0]).Authenticate(r)
	if want := fmt.Sprintf("`%d`, `WWW-Authenticate: %s`", refused.Status, refused.Challenge); !strings.Contains(signIn, want) {
		t.Errorf("docs/sign-in.md does not show this:\n%s", want)
	}
	r.RemoteAddr = "192.0.2.7:40312"
	// {"alg":"RS256","kid":"a"}, {"iss":"https://login.contoso.com/realms/tools","aud":"account"}
	r.Header.Set("Authorization", "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwczovL2xvZ2luLmNvbnRvc28uY29tL3JlYWxtcy90b29scyIsImF1ZCI6ImFjY291bnQifQ.c2ln")
	if _, refused = serving(all[direct]).Authenticate(r); refused == nil {
		t.Fatal("a token of another audience is taken")
	}
	if _, line, _ := strings.Cut(log.String(), " "); !strings.Contains(signIn, strings.TrimSpace(line)) {
		t.Errorf("docs/sign-in.md does not show this:\n%s", line)
	}
}

var serverBlock = regexp.MustCompile(`(?s)^server \{.*?\n\}\n`)

// TestReportKeepsURLs checks that a URL can be copied.
func TestReportKeepsURLs(t *testing.T) {
	at := "https://login.microsoftonline.com/6c1f6c8e-0000-0000-0000-000000000000/v2.0/.well-known/openid-configuration"
	r := &doctor.Report{Findings: []doctor.Finding{{Check: "metadata", Verdict: doctor.Problem, Seen: "asking " + at + " fails"}}}
	var out bytes.Buffer
	if err := (&screen{out: &out, width: 80}).showReport(r); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), at+"\n") {
		t.Errorf("the URL is not in one piece:\n%s", out.String())
	}
}

// TestReportFits checks that no line is longer than the screen is wide, whatever
// providers and tokens say, but for URLs.
func TestReportFits(t *testing.T) {
	long := strings.Repeat("x", 300) + "\x1b[31m\n" + strings.Repeat("y z ", 300)
	r := &doctor.Report{
		Findings: []doctor.Finding{{Check: "configuration", Verdict: doctor.Problem, Seen: long, Remedy: long}},
		Token:    []doctor.Fact{{Name: "audience", Value: long}},
	}
	var out bytes.Buffer
	if err := (&screen{out: &out, width: 80}).showReport(r); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d characters: %s", n, line)
		}
		if strings.ContainsAny(line, "\x1b\n") {
			t.Errorf("a command for the terminal: %q", line)
		}
	}
}
