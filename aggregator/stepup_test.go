package aggregator_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// strongly lets nobody in the vault who is not signed in strongly.
const strongly = `
	@id("weak") permit(principal, action, resource);
	@id("strong") @deny_message("The vault is not for everybody.") forbid(principal, action == Action::"call_tool", resource)
	when { context.input.repo == "vault" } unless { context.auth.acrs.contains("c1") };
	forbid(principal, action == Action::"call_tool", resource) when { context.input.repo == "never" };
	forbid(principal, action in [Action::"get_prompt", Action::"read_resource"], resource) unless { context.auth.acrs.contains("c1") };`

// A steppedUp signs ann in again and again, and counts how often she was to.
type steppedUp struct {
	people *staff
	fails  error

	mu    sync.Mutex
	ended chan struct{} // of the session; guarded by mu
	asked []string      // guarded by mu
}

// signIn begins a session of ann's.
func (s *steppedUp) signIn(contexts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = make(chan struct{})
	s.people.put("ann", &oauth.Caller{
		ID: `User::"t/ann"`, Session: fmt.Sprint("s", len(s.asked)), Ended: s.ended,
		AuthContexts: contexts, Groups: oauth.Groups{Complete: true},
	})
}

func (s *steppedUp) stepUp(_ context.Context, c *oauth.Caller, authContext string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, c.Session+" "+authContext)
	if s.fails != nil {
		return s.fails
	}
	close(s.ended)
	s.people.put("ann", nil)
	return nil
}

func (s *steppedUp) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func governStrongly(t *testing.T) (*governed, *steppedUp) {
	t.Helper()
	s := &steppedUp{}
	g := govern(t, upstreamtest.Script{
		Tools: []string{issueTool}, Prompts: []string{`{"name":"p"}`}, Resources: []string{`{"uri":"file:///r","name":"r"}`}, Reply: echo,
	}, strongly, func(o *aggregator.Options) { o.StepUp = s.stepUp })
	s.people = g.people
	s.signIn()
	return g, s
}

const vault = `{"repo":"vault"}`

// TestStepUp is about calls that lack stronger authentication alone: the first of a
// person gets the challenge of any request without a good token, and no other does
// until that has helped.
func TestStepUp(t *testing.T) {
	for _, era := range eras {
		t.Run(string(era), func(t *testing.T) {
			g, s := governStrongly(t)
			if r := g.call(era, "up_create_issue", `{"repo":"never"}`); r.status != 200 || strings.Contains(r.body, "authentication") {
				t.Errorf("what nobody may do gets %d %s", r.status, r.body)
			}
			r := g.call(era, "up_create_issue", vault)
			if r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") != "Bearer" || strings.Contains(r.body, "result") {
				t.Fatalf("the first call gets %d %v %s", r.status, r.header, r.body)
			}
			s.signIn()
			for range 3 {
				r := g.call(era, "up_create_issue", vault)
				if r.status != 200 || !strings.Contains(r.body, `"isError":true`) || !strings.Contains(r.body, `"text":"Stronger authentication is needed for this: sign in with the authentication context c1.\nThe vault is not for everybody.\nReference: `) {
					t.Errorf("who is as weak as before gets %d %s", r.status, r.body)
				}
			}
			s.signIn("c1")
			if r := g.call(era, "up_create_issue", vault); r.status != 200 || !strings.Contains(r.body, `"got":`+vault) {
				t.Errorf("who signed in strongly gets %d %s", r.status, r.body)
			}
			if n := s.times(); n != 1 || s.asked[0] != "s0 c1" {
				t.Errorf("the person was to sign in for %v", s.asked)
			}
			s.signIn() // with another client
			if r := g.call(era, "up_create_issue", vault); r.status != http.StatusUnauthorized || s.times() != 2 {
				t.Errorf("who signed in strongly before gets %d %s", r.status, r.body)
			}
			whys := map[any]int{}
			for _, line := range g.lines(t) {
				if line["decision"] == "deny" {
					whys[line["why"]]++
				}
			}
			if whys["stronger authentication is missing (c1)"] != 5 {
				t.Errorf("the audit file has %v", whys)
			}
		})
	}
}

// TestStepUpForPromptsAndResources is the same for what is no tool.
func TestStepUpForPromptsAndResources(t *testing.T) {
	for what, ask := range map[string]func(g *governed) reply{
		"a prompt":        func(g *governed) reply { return g.modern.modern("prompts/get", "up_p", `"name":"up_p",`) },
		"a legacy prompt": func(g *governed) reply { return g.legacy.request("prompts/get", `{"name":"up_p"}`) },
		"a resource": func(g *governed) reply {
			return g.modern.modern("resources/read", "up+file:///r", `"uri":"up+file:///r",`)
		},
		"a legacy's resource": func(g *governed) reply { return g.legacy.request("resources/read", `{"uri":"up+file:///r"}`) },
	} {
		g, s := governStrongly(t)
		if r := ask(g); r.status != http.StatusUnauthorized || s.times() != 1 {
			t.Errorf("%s gets %d %s", what, r.status, r.body)
		}
	}
}

// TestNoStepUp is about who cannot be had to sign in again, or not for this.
func TestNoStepUp(t *testing.T) {
	const needed = "Stronger authentication is needed"
	for what, prepare := range map[string]func(*governed, *steppedUp){
		"a token of no session": func(g *governed, _ *steppedUp) { g.people.set("ann") },
		"a store that fails":    func(_ *governed, s *steppedUp) { s.fails = errors.New("the store is down") },
	} {
		g, s := governStrongly(t)
		prepare(g, s)
		for _, era := range eras {
			if r := g.call(era, "up_create_issue", vault); r.status != 200 || !strings.Contains(r.body, needed) {
				t.Errorf("%s, %s: %d %s", what, era, r.status, r.body)
			}
		}
	}
	g, s := governStrongly(t)
	batch := newHTTPClient(t, g.url)
	batch.header.Set("X-User", "ann")
	r := batch.do("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, nil)
	batch.session = r.header.Get("Mcp-Session-Id")
	r = batch.do("POST", `[{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"up_create_issue","arguments":`+vault+`}}]`, nil)
	if r.status != 200 || !strings.Contains(r.body, needed) || s.times() != 0 {
		t.Errorf("a batch gets %d %s", r.status, r.body)
	}
	if r := g.legacy.request("resources/subscribe", `{"uri":"up+file:///r"}`); r.status != 200 || !strings.Contains(r.body, needed) || s.times() != 0 {
		t.Errorf("a subscription gets %d %s", r.status, r.body)
	}
}
