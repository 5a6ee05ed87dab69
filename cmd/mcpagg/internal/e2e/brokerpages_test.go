//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// picturesEnv names a folder in which pictures of the pages are kept.
const picturesEnv = "MCPAGG_PICTURES"

// A chromium is a running chromium.mjs.
type chromium struct {
	*daemon
	lines *bufio.Scanner
}

func startChromium(t testing.TB) *chromium {
	t.Helper()
	s := newSandbox(t)
	folder := os.Getenv(picturesEnv)
	if folder == "" {
		folder = s.work()
	}
	r, w := io.Pipe()
	c := &chromium{s.start(t, w, nil, append(s.scriptOf(t, servers, "chromium.mjs"), program(t, "chromium"), folder)...), bufio.NewScanner(r)}
	c.lines.Buffer(nil, 1<<20)
	go func() {
		<-c.exited
		w.Close()
	}()
	t.Cleanup(func() { // or its processes go on for a moment, and write
		c.stdin.Close()
		select {
		case <-c.exited:
		case <-time.After(10 * time.Second):
		}
	})
	return c
}

// A shown is what the browser shows.
type shown struct {
	URL, Text, Error string
	Status           int
	Frames           []string
	Forms            []struct {
		Action string
		Fields map[string]string
	}
}

func (c *chromium) do(t testing.TB, command object) (s shown) {
	t.Helper()
	if _, err := fmt.Fprintf(c.stdin, "%s\n", encode(command)); err != nil {
		t.Fatal(err)
	}
	if !c.lines.Scan() {
		t.Fatalf("chromium.mjs ends: %v\n%s", c.lines.Err(), c.stderr)
	}
	if err := json.Unmarshal(c.lines.Bytes(), &s); err != nil || s.Error != "" {
		t.Fatalf("%s: %v, at %s: %s", encode(command), err, s.URL, s.Error)
	}
	return s
}

// open opens a page that must have something on it.
func (c *chromium) open(t testing.TB, address, want, picture string) shown {
	t.Helper()
	return c.mustShow(t, object{"open": address, "picture": picture}, want)
}

func (c *chromium) mustShow(t testing.TB, command object, want string) shown {
	t.Helper()
	s := c.do(t, command)
	if !strings.Contains(s.Text, want) {
		t.Fatalf("%s leads to %s, which does not say %q but\n%s", encode(command), s.URL, want, s.Text)
	}
	return s
}

const (
	approveButton = "button[value=approve]"
	denyButton    = "button[value=deny]"
)

// signIn signs somebody in at Entra's pages, from the first one on.
func (c *chromium) signIn(t testing.TB, name, until string) shown {
	t.Helper()
	c.do(t, object{"click": fmt.Sprintf("button[value=%q]", name)})
	return c.do(t, object{"click": "button.primary", "until": until})
}

// TestBrokerPages has a browser go through the pages of the gateway, with the
// policies that they come with.
func TestBrokerPages(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	c := startChromium(t)
	callback := startCallback(t)
	v := b.visitorTo(t, callback.URL+"/callback")

	c.open(t, v.address(), "visitor", "consent")
	c.mustShow(t, object{"click": approveButton, "until": b.entra.URL()}, "gateway")
	end := c.signIn(t, brokerUser, callback.URL)
	q := parseURL(t, end.URL).Query()
	if q.Get("code") == "" || q.Get("state") != v.state || q.Get("iss") != b.base {
		t.Fatalf("approving ends at %s", end.URL)
	}
	if err := v.redeem(t.Context(), q.Get("code")); err != nil {
		t.Fatal(err)
	}
	b.mustWork(t, v)

	c.open(t, v.address(), "visitor", "")
	end = c.do(t, object{"click": denyButton, "until": callback.URL})
	if q := parseURL(t, end.URL).Query(); q.Get("error") != "access_denied" || q.Get("state") != v.state || q.Get("iss") != b.base {
		t.Errorf("denying ends at %s", end.URL)
	}

	c.open(t, b.base+"/me", "Sign in", "sign-in")
	c.do(t, object{"click": "main form button", "until": b.base + "/me"})
	me := c.mustShow(t, object{"picture": "me"}, upstreamTools[0])
	if !strings.Contains(me.Text, "visitor") {
		t.Errorf("the page of a person does not say that visitor acts in their name:\n%s", me.Text)
	}
	c.do(t, object{"click": "form:has(input[name=session]) button", "until": b.base + "/me"})
	if status, _, err := v.list(t.Context()); err != nil || status != http.StatusUnauthorized {
		t.Errorf("after its session was revoked, the client is answered %d, %v", status, err)
	}
	c.open(t, b.base+"/oauth2/authorize?client_id=nobody&redirect_uri=http%3A%2F%2F127.0.0.1%2F&response_type=code", "", "problem")
}

// TestBrokerPagesApart has pages of others try to show the pages of the gateway in a
// frame, and to answer them.
func TestBrokerPagesApart(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	c := startChromium(t)
	callback := startCallback(t)
	v := b.visitorTo(t, callback.URL+"/callback")
	others := startAttacker(t)
	for name, origin := range map[string]string{"another port": others.URL, "another site": strings.Replace(others.URL, "127.0.0.1", "localhost", 1)} {
		for target, isShown := range map[string]bool{v.address(): false, b.base + "/me": false, callback.URL: true} {
			framed := c.open(t, origin+"/frame?"+url.Values{"to": {target}}.Encode(), "", "")
			text := strings.Join(framed.Frames, "")
			if strings.Contains(text, "MCP gateway") || strings.Contains(text, "Back in the client") != isShown {
				t.Errorf("on %s, a frame of %s shows %q", name, target, text)
			}
		}
		// Those who know what is on the page can still not answer it.
		page := c.open(t, v.address(), "visitor", "")
		form := page.Forms[0]
		fields := url.Values{"to": {form.Action}, "answer": {"approve"}}
		for field, value := range form.Fields {
			fields.Set(field, value)
		}
		c.open(t, origin+"/form?"+fields.Encode(), "", "")
		posted := c.do(t, object{"click": "button", "until": b.base})
		if posted.Status != http.StatusForbidden {
			t.Errorf("from %s, a form is answered %d at %s:\n%s", name, posted.Status, posted.URL, posted.Text)
		}
	}
	if asked := b.entra.Requests("authorize"); len(asked) != 0 {
		t.Errorf("somebody came as far as Entra: %v", asked)
	}
}

// visitorTo is a visitor with a redirect URI of its own.
func (b *brokerGateway) visitorTo(t testing.TB, redirect string) *visitor {
	t.Helper()
	v := b.visitor(t)
	if err := v.register(t.Context(), redirect); err != nil {
		t.Fatal(err)
	}
	return v
}

// startCallback is where a client is called back.
func startCallback(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Back in the client.") }))
	t.Cleanup(s.Close)
	return s
}

// attack is a page that shows another one in a frame, or has a form for it.
var attack = template.Must(template.New("").Parse(`<!doctype html>
{{if .Frame}}<iframe src="{{.To}}"></iframe>
{{else}}<form method="post" action="{{.To}}">
{{range $name, $values := .Fields}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">{{end}}{{end}}
<button>Win a prize</button>
</form>
{{end}}`))

func startAttacker(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		to := q.Get("to")
		q.Del("to")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = attack.Execute(w, map[string]any{"Frame": r.URL.Path == "/frame", "To": template.URL(to), "Fields": q})
	}))
	t.Cleanup(s.Close)
	return s
}

func parseURL(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
