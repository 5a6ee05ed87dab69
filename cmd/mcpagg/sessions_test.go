package main

import (
	"bytes"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/broker"
)

// TestSessionMatch checks which sessions are meant by what an operator writes.
func TestSessionMatch(t *testing.T) {
	sessions := []broker.Session{
		{ID: "a", Person: `User::"6c1f6c8e-0000-0000-0000-000000000000/5f2b0c1d-0000-0000-0000-000000000001"`, Name: "Ann Example", Client: "https://claude.ai/oauth/claude-code-client-metadata", ClientName: "Claude Code"},
		{ID: "b", Person: `User::"6c1f6c8e-0000-0000-0000-000000000000/5f2b0c1d-0000-0000-0000-000000000001"`, Name: "Ann Example", Client: "dcr.1", ClientName: "OpenCode"},
		{ID: "c", Person: `User::"https://login.contoso.com#ben"`, Name: "Ben", Client: "dcr.2", ClientName: "OpenCode"},
		{ID: "d", Person: `User::"https://login.contoso.com#Ann Example"`, Client: "ci"},
	}
	for name, test := range map[string]struct {
		match sessionMatch
		want  string
	}{
		"all":                    {sessionMatch{}, "a b c d"},
		"a name":                 {sessionMatch{Person: "Ann Example"}, "a b d"}, // which may be a subject, too
		"a principal":            {sessionMatch{Person: sessions[0].Person}, "a b"},
		"an object id":           {sessionMatch{Person: "5f2b0c1d-0000-0000-0000-000000000001"}, "a b"},
		"the subject in it":      {sessionMatch{Person: "https://login.contoso.com#ben"}, "c"},
		"a part of a name":       {sessionMatch{Person: "Ann"}, ""},
		"a client id":            {sessionMatch{Client: "dcr.2"}, "c"},
		"the name of a client":   {sessionMatch{Client: "OpenCode"}, "b c"},
		"both":                   {sessionMatch{Person: "Ann Example", Client: "OpenCode"}, "b"},
		"ids":                    {sessionMatch{IDs: []string{"d", "a", "x"}}, "a d"},
		"an id of somebody else": {sessionMatch{IDs: []string{"c"}, Person: "Ann Example"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, s := range sessions {
				if test.match.of(s) {
					got = append(got, s.ID)
				}
			}
			if !slices.Equal(got, strings.Fields(test.want)) {
				t.Errorf("got %q, want %s", got, test.want)
			}
		})
	}
}

// TestSessionsTable shows sessions as docs/operating.md does.
func TestSessionsTable(t *testing.T) {
	sessions := []session{
		{ID: "Q0s8vZr2aPLdWm1xNk4e7g", Person: "t/2", Name: "Ben Example", ClientName: "OpenCode", SignedIn: noon.Add(-3 * time.Minute), Refreshed: noon.Add(-3 * time.Minute), Ends: noon.Add(720*time.Hour - 3*time.Minute)},
		{ID: "uY3kq0fWm1xNQ0s8vZr2aA", Person: "t/1", Name: "Ann Example", ClientName: "Claude Code", SignedIn: noon.Add(-26 * time.Hour), Refreshed: noon.Add(-4 * time.Minute), Ends: noon.Add(720*time.Hour - 4*time.Minute)},
	}
	var out bytes.Buffer
	if err := printSessions(&out, sessions, sessionMatch{}, noon); err != nil {
		t.Fatal(err)
	}
	inDocs(t, "$ mcpagg sessions -c gateway.hcl\n"+out.String())

	// Names are what others chose.
	out.Reset()
	sessions = []session{{ID: "x\x1b[2J", Person: "t/1", ClientName: "\u202eedoC\n" + strings.Repeat("x", 100)}}
	if err := printSessions(&out, sessions, sessionMatch{}, noon); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\u202e") || strings.Count(got, "\n") != 2 || !strings.Contains(got, "t/1  ") || strings.Contains(got, strings.Repeat("x", 41)) {
		t.Errorf("prints %q", got)
	}
	for want, m := range map[string]sessionMatch{"Nobody is signed in.\n": {}, "No session matches.\n": {Person: "x"}} {
		out.Reset()
		if err := printSessions(&out, nil, m, noon); err != nil || out.String() != want {
			t.Errorf("%+v: %v, prints %q, want %q", m, err, out.String(), want)
		}
	}
}

// TestSessionRequests asks the control socket's handler what it must refuse.
func TestSessionRequests(t *testing.T) {
	brokers := idle(t, "notes")
	others := &operated{signIns: newTestSignIns(t, brokers.signIns.log)}
	for name, test := range map[string]struct {
		gateway              *operated
		method, target, body string
		status               int
		want                 string
	}{
		"nothing to list":       {brokers, "GET", "/sessions", "", 200, "[]"},
		"nobody of that name":   {brokers, "GET", "/sessions?person=Ann&client=x", "", 200, "[]"},
		"no broker":             {others, "GET", "/sessions", "", 409, "no auth block in the mode broker"},
		"no broker to end":      {others, "POST", "/sessions/revoke", `{"all": true}`, 409, "no auth block in the mode broker"},
		"no broker with keys":   {others, "POST", "/keys/rotate", "", 409, "no auth block in the mode broker"},
		"whose?":                {brokers, "POST", "/sessions/revoke", `{}`, 400, "which sessions"},
		"all of one":            {brokers, "POST", "/sessions/revoke", `{"all": true, "person": "Ann"}`, 400, "which sessions"},
		"what is that?":         {brokers, "POST", "/sessions/revoke", `{"al": true}`, 400, "which sessions"},
		"no JSON":               {brokers, "POST", "/sessions/revoke", `all`, 400, "which sessions"},
		"too long":              {brokers, "POST", "/sessions/revoke", `{"person": "` + strings.Repeat("x", 1<<20) + `"}`, 400, "which sessions"},
		"all of nobody":         {brokers, "POST", "/sessions/revoke", `{"all": true}`, 200, `"revoked": 0`},
		"one that there is not": {brokers, "POST", "/sessions/revoke", `{"ids": ["x"]}`, 200, `"x"`},
		"keys":                  {brokers, "POST", "/keys/rotate", "", 200, `"until"`},
		"a link":                {brokers, "GET", "/sessions/revoke", "", 405, "Method Not Allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			controlHandler(test.gateway).ServeHTTP(w, httptest.NewRequest(test.method, test.target, strings.NewReader(test.body)))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, test.status, test.want)
			}
		})
	}
}

// TestRotation shows what comes of new keys as docs/operating.md does.
func TestRotation(t *testing.T) {
	var out bytes.Buffer
	if err := (rotation{Until: noon.Add(12 * time.Hour)}).print(&out); err != nil {
		t.Fatal(err)
	}
	inDocs(t, "$ mcpagg keys rotate -c gateway.hcl\n"+out.String())
}
