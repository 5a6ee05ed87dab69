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
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	b := &http.Client{Jar: jar}
	defer b.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	const pages = 10
	for range pages {
		at, page, err := visit(b, req)
		if err != nil {
			return "", err
		}
		switch q := at.Query(); {
		case q.Has("code"):
			at.RawQuery = ""
			return at.String(), nil
		case q.Has("error"):
			return "", fmt.Errorf("the client is told %s: %s", q.Get("error"), q.Get("error_description"))
		}
		if req, err = submit(ctx, at, page, user); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", at.Path, err, short(page))
		}
	}
	return "", errors.New("the forms have no end")
}

// visit loads a page and returns its address after all redirects.
func visit(b *http.Client, req *http.Request) (*url.URL, string, error) {
	resp, err := b.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s answers %d: %s", resp.Request.URL.Path, resp.StatusCode, short(string(page)))
	}
	return resp.Request.URL, string(page), nil
}

var (
	formElement  = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	inputElement = regexp.MustCompile(`<(input|button)\b([^>]*)>`)
	attribute    = regexp.MustCompile(`([a-z-]+)\s*=\s*"([^"]*)"`)
)

// submit is the request that the first form of a page makes.
func submit(ctx context.Context, at *url.URL, page, user string) (*http.Request, error) {
	form := formElement.FindStringSubmatch(page)
	if form == nil {
		return nil, errors.New("the page has no form")
	}
	attributes := attributesOf(form[1])
	target, err := at.Parse(attributes["action"])
	if err != nil {
		return nil, err
	}
	body := strings.NewReader(fillIn(form[2], user).Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", at.Scheme+"://"+at.Host)
	return req, nil
}

// fillIn answers a form as its user does. Of its buttons they press the one with
// their name on it, or else the first.
func fillIn(form, user string) url.Values {
	values := url.Values{}
	var pressed map[string]string
	for _, element := range inputElement.FindAllStringSubmatch(form, -1) {
		a := attributesOf(element[2])
		switch {
		case element[1] == "button" || a["type"] == "submit":
			if pressed == nil || a["value"] == user {
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
