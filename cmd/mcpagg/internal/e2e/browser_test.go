//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browserEnv makes the test binary stand in for a browser, at which the user of
// that name sits, and open the address in its first argument.
const browserEnv = "MCPAGG_E2E_BROWSER"

// browserNames are the commands with which programs open a browser.
var browserNames = []string{"browser", "xdg-open", "open", "gio", "sensible-browser", "x-www-browser", "www-browser", "chromium"}

// withBrowser returns the environment in which programs of the sandbox find a
// browser with a user at it. It opens addresses without making them wait.
func (s sandbox) withBrowser(t testing.TB, user string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.home, "browsers")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nfor url; do :; done\n%s=%s %s \"$url\" >>%s 2>&1 &\n", browserEnv, user, self, s.browserLog())
	for _, name := range browserNames {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"PATH=" + dir + ":" + nodeBin + ":/usr/local/bin:/usr/bin:/bin",
		"BROWSER=" + filepath.Join(dir, "browser"),
		"XDG_DATA_DIRS=/nonexistent", // no desktop files, which name other browsers
	}
}

// browserLog is where the browser of a sandbox says how it went.
func (s sandbox) browserLog() string { return filepath.Join(s.home, "browser.log") }

// browserSays is what the browser of a sandbox has said so far.
func (s sandbox) browserSays() string {
	data, _ := os.ReadFile(s.browserLog()) // not there while none was opened
	return string(data)
}

// openInBrowser waits as long as a person may take to look at the page: some
// programs listen for the callback only after they have opened the browser.
func openInBrowser(user, address string) error {
	time.Sleep(time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	where, err := browse(ctx, user, address)
	fmt.Println(where)
	return err
}

// browse does what a user does at an address where a client wants them to sign
// in: follow redirects, fill in forms and press their buttons, until the client
// is called back. It returns the callback without its query.
func browse(ctx context.Context, user, address string) (callback string, err error) {
	b, err := newBrowser(user)
	if err != nil {
		return "", err
	}
	defer b.http.CloseIdleConnections()
	at, err := b.signIn(ctx, address)
	if err != nil {
		return "", err
	}
	at.RawQuery = ""
	return at.String(), nil
}

// A browser is one with somebody at it. It keeps cookies, and says in each request
// what browsers say of where it comes from.
type browser struct {
	user string
	http *http.Client
	// stops is nil, or says where redirects are not followed.
	stops func(from, to *url.URL) bool
}

func newBrowser(user string) (*browser, error) {
	jar, err := cookiejar.New(nil)
	b := &browser{user: user, http: &http.Client{Jar: jar}}
	b.http.CheckRedirect = b.redirected
	return b, err
}

// redirected makes the request that follows a redirect what a browser makes it.
func (b *browser) redirected(req *http.Request, via []*http.Request) error {
	if b.stops != nil && b.stops(via[len(via)-1].URL, req.URL) {
		return http.ErrUseLastResponse
	}
	if len(via) > 10 {
		return errors.New("redirects have no end")
	}
	if req.Method == http.MethodGet {
		req.Header.Del("Origin")
	}
	if site := siteOf(via[len(via)-1].URL, req.URL); site != "same-origin" && req.Header.Get(fetchSite) != "none" {
		req.Header.Set(fetchSite, site)
	}
	return nil
}

const fetchSite = "Sec-Fetch-Site"

// siteOf is what a browser says of a request from one place to another.
func siteOf(from, to *url.URL) string {
	switch {
	case from.Scheme == to.Scheme && from.Host == to.Host:
		return "same-origin"
	case from.Hostname() == to.Hostname():
		return "same-site"
	}
	return "cross-site"
}

// signIn goes through pages from an address on until a client is called back, and
// returns where that is.
func (b *browser) signIn(ctx context.Context, address string) (callback *url.URL, err error) {
	p, err := b.open(ctx, address)
	const pages = 10
	for range pages {
		if err != nil {
			return nil, err
		}
		switch q := p.at.Query(); {
		case q.Has("code"):
			return p.at, nil
		case q.Has("error"):
			return nil, fmt.Errorf("the client is told %s: %s", q.Get("error"), q.Get("error_description"))
		}
		p, err = b.goOn(ctx, p)
	}
	return nil, errors.New("the pages have no end")
}

// A page is what a browser shows.
type page struct {
	at     *url.URL // after all redirects
	header http.Header
	text   string
}

func (b *browser) open(ctx context.Context, address string) (page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return page{}, err
	}
	req.Header.Set(fetchSite, "none")
	return b.visit(req)
}

// goOn does what its user does on a page: wait if it goes on by itself, or else
// fill in the form.
func (b *browser) goOn(ctx context.Context, p page) (page, error) {
	req, err := b.onward(ctx, p)
	if err != nil {
		return page{}, fmt.Errorf("%s: %w\n%s", p.at.Path, err, short(p.text))
	}
	return b.visit(req)
}

func (b *browser) onward(ctx context.Context, p page) (*http.Request, error) {
	if _, target, ok := strings.Cut(p.header.Get("Refresh"), "url="); ok {
		to, err := p.at.Parse(target)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
		if err == nil {
			req.Header.Set(fetchSite, siteOf(p.at, to))
		}
		return req, err
	}
	return p.submit(ctx, b.user)
}

// visit loads a page, which must be a success.
func (b *browser) visit(req *http.Request) (page, error) {
	p, status, err := b.load(req)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %s", p.at.Path, status, short(p.text))
	}
	return p, err
}

// load loads a page. A redirect that is not followed is an empty page at its end.
func (b *browser) load(req *http.Request) (p page, status int, err error) {
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	resp, err := b.http.Do(req)
	if err != nil {
		return page{}, 0, err
	}
	defer resp.Body.Close()
	if to, err := resp.Location(); err == nil {
		return page{at: to, header: http.Header{}}, http.StatusOK, nil
	}
	text, err := io.ReadAll(resp.Body)
	return page{resp.Request.URL, resp.Header, string(text)}, resp.StatusCode, err
}

var (
	formElement  = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	inputElement = regexp.MustCompile(`<(input|button)\b([^>]*)>`)
	attribute    = regexp.MustCompile(`([a-z-]+)\s*=\s*"([^"]*)"`)
)

// form is that which a user fills in: the one that has their name on a button, or
// a field for it, or else the first.
func (p page) form(user string) []string {
	forms := formElement.FindAllStringSubmatch(p.text, -1)
	for _, sign := range []string{`value="` + html.EscapeString(user) + `"`, `type="text"`, ""} {
		for _, form := range forms {
			if strings.Contains(form[2], sign) {
				return form
			}
		}
	}
	return nil
}

// submit is the request that a form of a page makes.
func (p page) submit(ctx context.Context, user string) (*http.Request, error) {
	form := p.form(user)
	if form == nil {
		return nil, errors.New("the page has no form")
	}
	target, err := p.at.Parse(attributesOf(form[1])["action"])
	if err != nil {
		return nil, err
	}
	body := strings.NewReader(fillIn(form[2], user).Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", p.origin())
	req.Header.Set(fetchSite, siteOf(p.at, target))
	return req, nil
}

// origin is what a page's forms come with, as the page wishes.
func (p page) origin() string {
	if p.header.Get("Referrer-Policy") == "no-referrer" {
		return "null"
	}
	return p.at.Scheme + "://" + p.at.Host
}

// fillIn answers a form as its user does. Of its buttons they press the one with
// their name on it, the one that approves, or else the first.
func fillIn(form, user string) url.Values {
	values := url.Values{}
	var pressed map[string]string
	for _, element := range inputElement.FindAllStringSubmatch(form, -1) {
		a := attributesOf(element[2])
		switch {
		case element[1] == "button" || a["type"] == "submit":
			if pressed == nil || a["value"] == user || a["value"] == "approve" {
				pressed = a
			}
			continue
		case a["type"] == "password":
			a["value"] = "any"
		case a["type"] != "hidden" && a["value"] == "":
			a["value"] = user
		}
		values.Set(a["name"], a["value"])
	}
	if pressed["name"] != "" {
		values.Set(pressed["name"], pressed["value"])
	}
	return values
}

func attributesOf(tag string) map[string]string {
	attributes := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(tag, -1) {
		attributes[m[1]] = html.UnescapeString(m[2])
	}
	return attributes
}
