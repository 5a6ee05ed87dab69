package broker_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// run is a part of a test, not of a benchmark, that has the stage to itself.
func (s *stage) run(name string, test func(*testing.T)) {
	s.Helper()
	whole := s.TB.(*testing.T)
	whole.Run(name, func(t *testing.T) {
		s.TB = t
		defer func() { s.TB = whole }()
		test(t)
	})
}

// stored counts what sign-ins have left in the store.
func (s *stage) stored() (n int) {
	s.Helper()
	for _, kind := range []string{"login", "code", "session", "page", "challenge"} {
		n += s.storedOf(kind)
	}
	return n
}

func (s *stage) storedOf(kind string) (n int) {
	s.Helper()
	count := func(store.Entry) error { n++; return nil }
	if err := s.store.List(s.Context(), kind, "", count); err != nil {
		s.Fatal(err)
	}
	return n
}

// asked counts what has reached the provider of sign-ins: people and codes.
func (s *stage) asked() int { return len(s.fake.Requests("authorize")) + len(s.fake.Requests("token")) }

// reopen is what comes after a kill -9: all that was in memory is gone.
func (s *stage) reopen(dir string) {
	s.Helper()
	s.state.Close()
	if err := s.store.Close(); err != nil {
		s.Fatal(err)
	}
	s.openStore(store.Options{Dir: dir})
	s.configure()
}

var markup = regexp.MustCompile(`(?s)<style>.*?</style>|<[^>]*>`)

// text is what people read of a page.
func (a *answer) text() string {
	return strings.Join(strings.Fields(html.UnescapeString(markup.ReplaceAllString(a.body, " "))), " ")
}

// onward is where a page goes on to by itself.
func (a *answer) onward(t testing.TB) *url.URL {
	t.Helper()
	_, to, found := strings.Cut(a.header.Get("Refresh"), ";url=")
	u, err := url.Parse(to)
	if a.status != http.StatusOK || a.header.Get("Location") != "" || a.header.Get("Cache-Control") != "no-store" || !found || err != nil {
		t.Fatalf("HTTP %d %v: %s", a.status, a.header, a.text())
	}
	return u
}

// checkPage makes sure that the person in front of the browser is told something,
// and that nobody else is.
func (a *answer) checkPage(t testing.TB, status int, want string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.text(), want) {
		t.Errorf("HTTP %d, want %d and %q in: %s", a.status, status, want, a.text())
	}
	if to := a.header.Get("Location") + a.header.Get("Refresh"); to != "" {
		t.Errorf("the page leads to %q", to)
	}
	policy := a.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// checkSentBack makes sure of an answer to the client, and returns its parameters.
func (s *stage) checkSentBack(t testing.TB, to *url.URL, uri, state string) url.Values {
	t.Helper()
	if to == nil || !strings.HasPrefix(to.String(), uri) {
		t.Fatalf("the answer goes to %s, want %s", to, uri)
	}
	got := to.Query()
	if !slices.Equal(got["iss"], []string{s.server.URL}) {
		t.Errorf("iss = %q, want %s once", got["iss"], s.server.URL)
	}
	if want := []string{state}; state != "" && !slices.Equal(got["state"], want) || state == "" && got.Has("state") {
		t.Errorf("state = %q, want %q", got["state"], want)
	}
	own, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range own.Query() {
		if !slices.Equal(got[name], values) {
			t.Errorf("%s = %q, want %q, which the redirect URI has", name, got[name], values)
		}
	}
	return got
}

// checkError makes sure that the client is told of an error, and gets no code.
func (s *stage) checkError(t testing.TB, a *answer, uri, state, oauth string) {
	t.Helper()
	if a.status != http.StatusFound && a.status != http.StatusSeeOther || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("HTTP %d %v: %s", a.status, a.header, a.body)
	}
	got := s.checkSentBack(t, a.location(), uri, state)
	if !slices.Equal(got["error"], []string{oauth}) || got.Get("error_description") == "" || got.Has("code") {
		t.Errorf("the client is told %v, want %s", got, oauth)
	}
}

// agreed goes up to where the browser is sent to the provider, and returns that URL.
func (b *browser) agreed(v url.Values) string {
	b.Helper()
	a := b.approve(b.authorize(v))
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), b.provider) {
		b.Fatalf("HTTP %d to %s: %s", a.status, a.header.Get("Location"), a.body)
	}
	return a.header.Get("Location")
}

// returned goes up to where the provider sends the browser back, and returns that
// URL.
func (b *browser) returned(v url.Values) string {
	b.Helper()
	a := b.get(b.agreed(v))
	if to := a.header.Get("Location"); a.status == http.StatusFound && strings.HasPrefix(to, b.server.URL+broker.CallbackPath) {
		return to
	}
	b.Fatalf("the provider answers HTTP %d to %s: %s", a.status, a.header.Get("Location"), a.body)
	return ""
}
