package pages_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/pages"
	"golang.org/x/net/html"
)

func meWith(t testing.TB, edit func(*pages.MePage)) *html.Node {
	t.Helper()
	return check(t, bodyOf(t, written(me(edit))))
}

// section is the text of a part of a page, by the id of its heading.
func section(t testing.TB, page *html.Node, id string) (*html.Node, string) {
	t.Helper()
	found := elements(page, "section", "aria-labelledby="+id)
	if len(found) != 1 {
		t.Fatalf("there are %d sections %q", len(found), id)
	}
	return found[0], textOf(found[0])
}

// TestToolLists counts what is shown of few and of many tools.
func TestToolLists(t *testing.T) {
	for _, tt := range []struct {
		tools        int
		shown, open  int // tools, and upstreams that are open
		summaries    []string
		alsoMentions string
	}{
		{0, 0, 0, nil, "None are open to you: no policy permits anything."},
		{1, 1, 1, []string{"github 1 tool"}, "Open an issue"},
		{7, 7, 2, []string{"github 5 tools", "postgres 2 tools"}, "Tools 7"},
		{200, 200, 0, []string{"github 134 tools", "postgres 66 tools"}, "Tools 200"},
		{2000, 400, 0, []string{"github 1,334 tools", "postgres 666 tools"}, "And 1,134 more"},
	} {
		page := meWith(t, func(m *pages.MePage) { m.Tools, m.ToolsWhy = tools(tt.tools), "no policy permits anything" })
		part, text := section(t, page, "tools")
		var summaries []string
		open := 0
		for _, d := range elements(part, "details") {
			summaries = append(summaries, textOf(elements(d, "summary")[0]))
			if slices.ContainsFunc(d.Attr, func(a html.Attribute) bool { return a.Key == "open" }) {
				open++
			}
		}
		if shown := len(elements(part, "li")); shown != tt.shown || open != tt.open || !slices.Equal(summaries, tt.summaries) {
			t.Errorf("of %d tools %d are shown, in %q of which %d are open; want %d, %q, %d", tt.tools, shown, summaries, open, tt.shown, tt.summaries, tt.open)
		}
		if !strings.Contains(text, tt.alsoMentions) {
			t.Errorf("of %d tools it does not say %q: %.200s", tt.tools, tt.alsoMentions, text)
		}
	}
}

// TestManyUpstreams bounds the page, however many upstreams there are.
func TestManyUpstreams(t *testing.T) {
	page := meWith(t, func(m *pages.MePage) {
		m.Tools = nil
		for i := range 20_000 {
			m.Tools = append(m.Tools, pages.Tool{Name: fmt.Sprint("t", i), Upstream: fmt.Sprint("u", i/100)})
		}
	})
	part, _ := section(t, page, "tools")
	if shown, upstreams := len(elements(part, "li")), len(elements(part, "summary")); shown != 2000 || upstreams != 200 {
		t.Errorf("%d tools of %d upstreams are shown, want 2000 of 200", shown, upstreams)
	}
}

func TestGroupLists(t *testing.T) {
	for _, tt := range []struct {
		groups, shown, folded int
		why, says             string
	}{
		{0, 0, 0, "", "Groups 0 You are in none that count here."},
		{0, 0, 0, "they are too many for the token", "Groups They are not known: they are too many for the token."},
		{1, 1, 0, "", "Groups 1 platform"},
		{15, 15, 0, "", "Groups 15 platform"},
		{200, 200, 188, "", "Show all 200"},
		{2000, 500, 488, "the directory was down.", "Not all are known: the directory was down."},
		{2000, 500, 488, "", "And 1,500 more"},
	} {
		page := meWith(t, func(m *pages.MePage) {
			m.Groups, m.GroupsWhy, m.Roles = nil, tt.why, nil
			if tt.groups > 0 {
				m.Groups = groups(tt.groups)
			}
		})
		part, text := section(t, page, "groups")
		folded := 0
		for _, d := range elements(part, "details") {
			folded = len(elements(d, "li"))
		}
		if shown := len(elements(part, "li")); shown != tt.shown || folded != tt.folded || !strings.Contains(text, tt.says) {
			t.Errorf("of %d groups %d are shown, %d of them after a click; want %d, %d, and %q: %.200s", tt.groups, shown, folded, tt.shown, tt.folded, tt.says, text)
		}
	}
}

// TestSessionForms revokes what it says it does.
func TestSessionForms(t *testing.T) {
	page := meWith(t, func(*pages.MePage) {})
	want := []string{"s-1 Revoke Claude Code", "s-2 Revoke OpenCode", "s-3 Revoke Browser", pages.AllSessions + " Revoke all sign-ins"}
	var got []string
	for _, form := range elements(page, "form", "method=post", "action=/me/revoke") {
		got = append(got, attribute(elements(form, "input", "name=session")[0], "value")+" "+textOf(elements(form, "button")[0]))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the forms are %q, want %q", got, want)
	}
	if out := elements(page, "form", "action=/me/sign-out"); len(out) != 1 || textOf(out[0]) != "Sign out" {
		t.Errorf("there are %d forms to sign out", len(out))
	}
	for _, form := range elements(page, "form") {
		if len(elements(form, "input", "name=token", "value=t-1")) != 1 {
			t.Error("a form does not send the token")
		}
	}
}

// TestTimes says times in words, and exactly.
func TestTimes(t *testing.T) {
	const day = 24 * time.Hour
	for ago, want := range map[time.Duration]string{
		0: "just now", 29 * time.Second: "just now", -10 * time.Second: "in a moment",
		31 * time.Second: "1 minute ago", 59 * time.Minute: "59 minutes ago", time.Hour: "1 hour ago", 47 * time.Hour: "47 hours ago",
		2 * day: "2 days ago", 89 * day: "89 days ago", 90 * day: "3 months ago", 5 * 365 * day: "5 years ago",
		-15 * time.Minute: "in 15 minutes", -30 * day: "in 30 days",
	} {
		at := now.Add(-ago)
		page := meWith(t, func(m *pages.MePage) { m.Denials = []pages.Denial{{Time: at.In(time.FixedZone("", 7200))}} })
		part, text := section(t, page, "denials")
		stamp := attribute(elements(part, "time")[0], "datetime")
		if got := textOf(elements(part, "time")[0]); got != want || stamp != at.Format(time.RFC3339) || !strings.Contains(text, at.Format("2 January 2006, 15:04 UTC")) {
			t.Errorf("%v ago is %q, %q, want %q: %s", ago, got, stamp, want, text)
		}
	}
}

// TestNow is the clock, unless something else is given.
func TestNow(t *testing.T) {
	m := mePage()
	m.Now, m.Denials = time.Time{}, []pages.Denial{{Time: time.Now()}}
	page := check(t, bodyOf(t, written(func(w http.ResponseWriter) { pages.Me(w, m) })))
	if _, text := section(t, page, "denials"); !strings.Contains(text, "just now") {
		t.Errorf("what happens now is told as %q", text)
	}
}

// TestDenials shows the first, keeps some at hand, and no more than that.
func TestDenials(t *testing.T) {
	page := meWith(t, func(m *pages.MePage) {
		m.Denials = nil
		for i := range 500 {
			m.Denials = append(m.Denials, pages.Denial{Tool: fmt.Sprintf("tool_%03d", i)})
		}
	})
	part, text := section(t, page, "denials")
	folded := elements(part, "details")[0]
	if all, rest := len(elements(part, "li")), len(elements(folded, "li")); all != 20 || rest != 17 {
		t.Errorf("%d denials are shown, %d of them after a click; want 20, 17", all, rest)
	}
	if !strings.HasPrefix(text, "Recently denied tool_000") || strings.Contains(text, "ago") {
		t.Errorf("the denials begin with %.60q; none has a time", text)
	}
}

// TestSessions counts all sessions, and lists those that fit.
func TestSessions(t *testing.T) {
	for _, tt := range []struct {
		sessions, shown, folded int
		says                    string
	}{
		{0, 0, 0, "Where you are signed in 0 In no program."},
		{8, 8, 0, "Where you are signed in 8 Program 0"},
		{9, 9, 1, "Show 1 more"},
		{1234, 100, 92, "Where you are signed in 1,234 Program 0"},
		{1234, 100, 92, "And 1,134 more, which revoking all ends as well."},
	} {
		page := meWith(t, func(m *pages.MePage) {
			m.Sessions = nil
			for i := range tt.sessions {
				m.Sessions = append(m.Sessions, pages.Session{ID: fmt.Sprint("s-", i), Client: fmt.Sprint("Program ", i)})
			}
		})
		part, text := section(t, page, "sessions")
		folded := 0
		for _, d := range elements(part, "details") {
			folded += len(elements(d, "li"))
		}
		if shown := len(elements(part, "li")); shown != tt.shown || folded != tt.folded || !strings.Contains(text, tt.says) {
			t.Errorf("of %d sessions %d are shown, %d of them after a click; want %d, %d, and %q: %.200s", tt.sessions, shown, folded, tt.shown, tt.folded, tt.says, text)
		}
	}
}
