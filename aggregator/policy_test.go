package aggregator_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// engineOf decides by policies; edit, if there is one, changes the options first.
func engineOf(t testing.TB, text string, edit ...func(*policy.Options)) *policy.Engine {
	t.Helper()
	o := policy.Options{Policies: policiesOf(t, text), Digest: source.Digest([]source.File{{Name: "t.cedar", Text: []byte(text)}})}
	for _, change := range edit {
		change(&o)
	}
	e, err := policy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func policiesOf(t testing.TB, text string) []*source.Policy {
	t.Helper()
	policies, _, err := source.Parse([]source.File{{Name: "t.cedar", Text: []byte(text)}}, source.Options{Upstreams: []string{"up", "other"}})
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

// staff says who is calling by X-User, as a directory has them: a caller stays the
// same until something about them changes.
type staff struct {
	mu    sync.Mutex
	known map[string]*oauth.Caller // guarded by mu
}

// set makes somebody a member of groups.
func (s *staff) set(name string, groups ...string) *oauth.Caller {
	return s.put(name, &oauth.Caller{
		ID: fmt.Sprintf("User::%q", "t/"+name), Subject: name, Name: name,
		Groups: oauth.Groups{IDs: groups, Names: groups, Complete: true},
	})
}

func (s *staff) put(name string, c *oauth.Caller) *oauth.Caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]*oauth.Caller{}
	}
	s.known[name] = c
	return c
}

func (s *staff) authenticate(r *http.Request) (*oauth.Caller, *oauth.Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.known[r.Header.Get("X-User")]
	if c == nil {
		return nil, &oauth.Refusal{Status: http.StatusUnauthorized, Challenge: "Bearer", Message: "no X-User"}
	}
	return c, nil
}

// issueTool writes issues of a repository.
const issueTool = `{"name":"create_issue","inputSchema":{"type":"object","properties":{"repo":{"type":"string"},"title":{"type":"string"},"draft":{"type":"boolean","default":false},"n":{"type":"integer"}},"required":["repo"]}}`

// TestHiddenIsUnknown compares what is told of what a caller may not see with what
// is told of what is not there.
func TestHiddenIsUnknown(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{
		Tools: []string{issueTool, plainTool}, Prompts: []string{`{"name":"secret"}`},
		Resources: []string{`{"uri":"file:///secret","name":"s"}`}, Templates: []string{`{"uriTemplate":"db:///{table}","name":"t"}`},
	})
	var people staff
	people.set("ann")
	_, url := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}, Authenticate: people.authenticate,
		Policy: engineOf(t, `permit(principal, action, resource == Tool::"up/t");`),
	})
	modern, legacy := as(t, url, "ann"), as(t, url, "ann")
	legacy.initialize()
	for _, tt := range []struct{ method, name, hidden, unknown, params string }{
		{"tools/call", "name", "up_create_issue", "up_nothing", `"name":"%s","arguments":{"repo":1}`},
		{"prompts/get", "name", "up_secret", "up_nothing", `"name":"%s"`},
		{"resources/read", "uri", "up+file:///secret", "none+file:///secret", `"uri":"%s"`},
		{"completion/complete", "", "up_secret", "up_nothing", `"ref":{"type":"ref/prompt","name":"%s"},"argument":{"name":"a","value":"b"}`},
		{"completion/complete", "", "up+db:///{table}", "none+db:///{table}", `"ref":{"type":"ref/resource","uri":"%s"},"argument":{"name":"a","value":"b"}`},
		{"resources/subscribe", "", "up+file:///secret", "none+file:///secret", `"uri":"%s"`},
		{"resources/unsubscribe", "", "up+file:///secret", "none+file:///secret", `"uri":"%s"`},
	} {
		for era, ask := range map[upstream.Era]func(what string) reply{
			upstream.LegacyEra: func(what string) reply { return legacy.request(tt.method, "{"+fmt.Sprintf(tt.params, what)+"}") },
			upstream.ModernEra: func(what string) reply {
				name := what
				if tt.name == "" {
					name = ""
				}
				return modern.modern(tt.method, name, fmt.Sprintf(tt.params, what)+",")
			},
		} {
			hidden, unknown := ask(tt.hidden), ask(tt.unknown)
			if want := strings.ReplaceAll(unknown.body, tt.unknown, tt.hidden); hidden.body != want || hidden.status != unknown.status || !strings.Contains(want, "error") {
				t.Errorf("%s %s: %d %s\nwant %d %s", era, tt.method, hidden.status, hidden.body, unknown.status, want)
			}
		}
	}
	for _, method := range []string{"tools/call", "prompts/get", "resources/read", "completion/complete", "resources/subscribe", "resources/unsubscribe"} {
		if n := len(srv.Requests(method)); n > 0 {
			t.Errorf("the upstream got %d requests of %s", n, method)
		}
	}
}
