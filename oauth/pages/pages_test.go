package pages_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mcpagg/mcpagg/oauth/pages"
	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "rewrite the pages in testdata")

// written is a page as a browser gets it.
func written(write func(http.ResponseWriter)) *http.Response {
	w := httptest.NewRecorder()
	write(w)
	return w.Result()
}

func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

// inlineStyle is the style in a page.
var inlineStyle = regexp.MustCompile(`(?s)<style>(.*)</style>`)

// TestGolden compares pages with those that somebody has looked at. The style,
// the same in all, is left out.
func TestGolden(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			got := inlineStyle.ReplaceAllString(bodyOf(t, written(s.write)), "<style>…</style>")
			file := filepath.Join("testdata", s.name+".html")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the page has changed (-want +got); look at it in a browser, then run with -update\n%s", diff)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	sources := map[string]string{ // form-action
		"problem": "'none'", "leave": "'none'", "signedin": "'none'",
		"consent-host": "'self'", "signin": "'self'", "me": "'self'",
		"signin-notice":   "'self' https://login.microsoftonline.com",
		"consent-hostile": "'self' https://login.microsoftonline.com cursor: https:",
	}
	for _, s := range append(samples(), longSamples()...) {
		t.Run(s.name, func(t *testing.T) {
			resp := written(s.write)
			body := bodyOf(t, resp)
			for name, want := range map[string]string{
				"Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			digest := sha256.Sum256([]byte(inlineStyle.FindStringSubmatch(body)[1]))
			want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action "
			got, forms := resp.Header.Get("Content-Security-Policy"), ""
			if i := strings.Index(got, "form-action ") + len("form-action "); i <= len(got) {
				got, forms = got[:i], got[i:]
			}
			if got != want {
				t.Errorf("the policy is %q, want %q", got, want)
			}
			if want, ok := sources[s.name]; ok && forms != want {
				t.Errorf("form-action is %q, want %q", forms, want)
			}
		})
	}
}

// TestOpener keeps the tie to the window that opened a page where a client in a
// browser waits in it for the callback.
func TestOpener(t *testing.T) {
	for _, s := range append(samples(), longSamples()...) {
		want := ""
		if strings.HasPrefix(s.name, "me") || strings.HasPrefix(s.name, "signin") {
			want = "same-origin"
		}
		if got := written(s.write).Header.Get("Cross-Origin-Opener-Policy"); got != want {
			t.Errorf("%s: Cross-Origin-Opener-Policy is %q, want %q", s.name, got, want)
		}
	}
}

func TestStatus(t *testing.T) {
	for _, s := range append(samples(), longSamples()...) {
		want := map[string]int{"problem": http.StatusBadRequest, "problem-back": http.StatusForbidden}[s.name]
		if want == 0 {
			want = http.StatusOK
		}
		if got := written(s.write).StatusCode; got != want {
			t.Errorf("%s: HTTP %d, want %d", s.name, got, want)
		}
	}
}

// TestOnward looks at where pages go by themselves: to a program or a provider,
// and never to something that runs in the browser.
func TestOnward(t *testing.T) {
	pause := map[string]string{"SignedIn": "1", "Leave": "0"} // seconds
	for _, tt := range []struct {
		url  string
		want bool
	}{
		{"cursor://anysphere.cursor-mcp/oauth/callback?code=c&state=s", true},
		{"https://login.microsoftonline.com/t/authorize?a=b;url=c", true},
		{"http://127.0.0.1:5000/callback", true},
		{"", false},
		{"/oauth2/authorize", false},
		{"//evil.example", false},
		{"javascript:alert(1)", false},
		{"JavaScript:alert(1)", false},
		{" javascript:alert(1)", false},
		{"java\tscript:alert(1)", false},
		{"data:text/html,x", false},
		{"blob:https://mcp.contoso.com/1", false},
		{"file:///etc/passwd", false},
		{"https://a.example/\r\nSet-Cookie: a=b", false},
		{"https://a.example/<b>", false},
		{"https://é.example/", false},
	} {
		for page, write := range map[string]func(http.ResponseWriter){
			"SignedIn": func(w http.ResponseWriter) { pages.SignedIn(w, pages.SignedInPage{Continue: tt.url}) },
			"Leave":    func(w http.ResponseWriter) { pages.Leave(w, pages.LeavePage{URL: tt.url}) },
		} {
			resp := written(write)
			var refresh, link []string
			if tt.want {
				refresh, link = []string{pause[page] + ";url=" + tt.url}, []string{tt.url}
			}
			if got := resp.Header["Refresh"]; !slices.Equal(got, refresh) {
				t.Errorf("%s goes on to %q by itself, want %q", page, got, refresh)
			}
			if got := links(parsed(t, bodyOf(t, resp))); !slices.Equal(got, link) {
				t.Errorf("%s links to %q, want %q", page, got, link)
			}
		}
	}
}

// links are where a page leads to.
func links(page *html.Node) (hrefs []string) {
	for n := range page.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" {
			hrefs = append(hrefs, attribute(n, "href"))
		}
	}
	return hrefs
}
