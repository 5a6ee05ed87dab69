package main

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// sessions is what mcpagg sessions --json prints, as "name client".
func (h *home) sessions(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := h.run(t, append([]string{"sessions", "--json"}, args...)...)
	if code != 0 {
		t.Fatalf("sessions exits with %d: %s", code, stderr)
	}
	var sessions []session
	if err := json.Unmarshal([]byte(stdout), &sessions); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range sessions {
		all = append(all, s.Name+" "+s.ClientName)
	}
	return strings.Join(all, ", ")
}

// TestSessionsCommand has people sign in at a gateway, and its operator look at that
// and end it.
func TestSessionsCommand(t *testing.T) {
	t.Parallel()
	h, client := newHome(t), buildClient(t)
	address := freeAddress(t)
	h.write(t, "gateway.hcl", fmt.Sprintf("server {\n  listen = %q\n}\n\n", address)+startFakeEntra(t, h)+"\n"+notesBlock)
	g := h.start(t, "--listen", address)
	ready := func(want string) {
		t.Helper()
		eventually(t, func() string {
			if code, body := g.get(t, "/health/ready"); code != 200 || !strings.Contains(body, want) {
				return body
			}
			return ""
		})
	}
	ready(`"sessions": 0`)
	signIn := func(who string) {
		t.Helper()
		out, err := exec.Command(client, "--url", g.url, "--as", who+"@contoso.example", "notes_list").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "There are no notes.") {
			t.Fatalf("%s: %v, %s", who, err, out)
		}
	}
	expect := func(code int, want string, args ...string) string {
		t.Helper()
		stdout, stderr, got := h.run(t, args...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q exits with %d: %s%s; want %d and %q", args, got, stdout, stderr, code, want)
		}
		return stdout
	}
	expect(0, "Nobody is signed in.", "sessions")
	signIn("alice")
	signIn("bob")
	if got, want := h.sessions(t), "Bob Hansen entra-demo, Alice Young entra-demo"; got != want {
		t.Errorf("sessions %q, want %q", got, want)
	}
	if got, want := h.sessions(t, "--person", "Alice Young"), "Alice Young entra-demo"; got != want {
		t.Errorf("sessions %q, want %q", got, want)
	}
	expect(0, "No session matches.", "sessions", "list", "--client", "entra")

	// Nobody signs in anew because the gateway restarts.
	if err := g.signal(t, syscall.SIGTERM); err != nil {
		t.Errorf("the gateway ends with %v", err)
	}
	g = h.start(t, "--listen", address)
	if got, want := h.sessions(t), "Bob Hansen entra-demo, Alice Young entra-demo"; got != want {
		t.Errorf("sessions %q after a restart, want %q", got, want)
	}
	ready(`"sessions": 2`)
	if s := h.status(t); s.Broker == nil || s.Broker.Sessions != 2 || s.Broker.Key == "" || s.Broker.KeyCreated.IsZero() || s.Broker.Store != h.dir+"/state/mcpagg" || s.Broker.LastError != "" {
		t.Errorf("status %+v", s.Broker)
	}
	if _, metrics := g.get(t, "/metrics"); !strings.Contains(metrics, "mcpagg_broker_sessions 2\n") || !strings.Contains(metrics, "mcpagg_broker_store_writable 1\n") {
		t.Errorf("metrics\n%s", metrics)
	}
	report := expect(0, "Nothing is wrong.", "doctor", "-c", "gateway.hcl")
	for _, want := range []string{"has 1 of the gateway's keys (ES256)", "Entra shows its", "knows the gateway by its credential", "a gateway that runs"} {
		if !strings.Contains(report, want) {
			t.Errorf("doctor does not say %q:\n%s", want, report)
		}
	}
	mine := pageOf(t, strings.TrimSuffix(g.url, "/mcp"), "alice@contoso.example")
	for _, want := range []string{"Alice Young", "platform", "notes_list", "entra-demo"} {
		if !strings.Contains(mine, want) {
			t.Errorf("the page of Alice has no %q:\n%s", want, mine)
		}
	}

	before := h.status(t).Broker.Key
	expect(0, "Nobody has to sign in again.", "keys", "rotate")
	if after := h.status(t).Broker; after.Key == before || after.Sessions != 2 {
		t.Errorf("status %+v after new keys; the one before was %s", after, before)
	}

	expect(exitUsage, "which sessions?", "sessions", "revoke")
	expect(exitUsage, "confirm it with --yes", "sessions", "revoke", "--all")
	expect(exitUsage, "goes with nothing else", "sessions", "revoke", "--all", "--person", "Alice Young")
	expect(exitRunTime, "no session matches", "sessions", "revoke", "--person", "Alice")
	expect(0, "Ended 1 session.", "sessions", "revoke", "--person", "Alice Young")
	if got, want := h.sessions(t), "Bob Hansen entra-demo"; got != want {
		t.Errorf("sessions %q, want %q", got, want)
	}
	expect(exitRunTime, "there is no session x", "sessions", "revoke", "x")
	expect(0, `"revoked": 1`, "sessions", "revoke", "--all", "--yes", "--json")
	expect(0, "Nobody is signed in.", "sessions", "revoke", "--all", "--yes")
	signIn("alice")
}

// TestSessionsWithoutBroker asks a gateway that knows none.
func TestSessionsWithoutBroker(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(t, "gateway.hcl", notesBlock)
	for _, args := range [][]string{{"sessions"}, {"sessions", "list"}, {"sessions", "revoke", "x"}, {"keys", "rotate"}} {
		if _, stderr, code := h.run(t, args...); code != exitRunTime || !strings.Contains(stderr, "no gateway answers at") {
			t.Errorf("%q without a gateway exits with %d: %s", args, code, stderr)
		}
	}
	h.start(t)
	for _, args := range [][]string{{"sessions"}, {"sessions", "list"}, {"sessions", "revoke", "x"}, {"keys", "rotate"}} {
		if _, stderr, code := h.run(t, args...); code != exitRunTime || !strings.Contains(stderr, "no auth block in the mode broker") {
			t.Errorf("%q exits with %d: %s", args, code, stderr)
		}
	}
	if _, err := os.Stat(h.dir + "/state/mcpagg/store"); err == nil {
		t.Error("there is a store, which nobody needs")
	}
	for _, args := range [][]string{{"sessions", "--help"}, {"sessions", "revoke", "--help"}, {"keys", "rotate", "--help"}, {"keys"}} {
		if stdout, stderr, code := h.run(t, args...); code != 0 || !strings.Contains(stdout, "mcpagg "+args[0]) {
			t.Errorf("%q exits with %d: %s%s", args, code, stdout, stderr)
		}
	}
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	formHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// pageOf is the page at /me of somebody who signs in there with a browser.
func pageOf(t *testing.T, gateway, who string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	resp, err := browser.Get(gateway + "/me")
	for range 2 { // the gateway's form, and the provider's
		page := bodyOf(t, resp, err)
		action, form := formAction.FindStringSubmatch(page), url.Values{"login": {who}, "passwd": {"anything"}}
		if action == nil {
			t.Fatalf("there is no form at %s: %s", resp.Request.URL, page)
		}
		for _, field := range formHidden.FindAllStringSubmatch(page, -1) {
			form.Set(field[1], html.UnescapeString(field[2]))
		}
		to, parseErr := resp.Request.URL.Parse(html.UnescapeString(action[1]))
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		resp, err = browser.PostForm(to.String(), form)
	}
	return bodyOf(t, resp, err)
}

func bodyOf(t *testing.T, resp *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
