package oauth_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

const finance = "4f1c2d3e-0000-0000-0000-000000000002"

// A graph stands in for Microsoft Graph, and for the endpoint where the gateway
// gets its own token.
type graph struct {
	*internet
	groupsMu sync.Mutex
	groups   []string            // of everybody; guarded by groupsMu
	named    map[string][]string // groups by tenant; guarded by groupsMu
	down     bool                // guarded by groupsMu
}

func newGraph(groups ...string) *graph {
	g := &graph{internet: newInternet(), groups: groups, named: map[string][]string{}}
	g.set(g.answer)
	return g
}

func (g *graph) change(f func()) {
	g.groupsMu.Lock()
	defer g.groupsMu.Unlock()
	f()
}

func (g *graph) answer(w http.ResponseWriter, r *http.Request) {
	g.groupsMu.Lock()
	defer g.groupsMu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	of, isToken := strings.CutSuffix(r.URL.Path, "/oauth2/v2.0/token")
	switch {
	case isToken:
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":%q}`, strings.Trim(of, "/"))
	case r.URL.Host != "graph.microsoft.com":
		g.serve(w, r)
	case g.down:
		w.WriteHeader(http.StatusBadGateway)
	case r.URL.Path == "/v1.0/groups":
		list(w, g.named[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")])
	case r.URL.Path == "/v1.0/users/"+alice+"/transitiveMemberOf/microsoft.graph.group":
		list(w, g.groups)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func list(w http.ResponseWriter, ids []string) {
	var objects []string
	for _, id := range ids {
		objects = append(objects, fmt.Sprintf(`{"id":%q,"displayName":"A group"}`, id))
	}
	fmt.Fprintf(w, `{"value":[%s]}`, strings.Join(objects, ","))
}

// provider takes tokens of a tenant, and asks the graph for what they leave out.
func (g *graph) provider() oauth.Provider {
	p := entraProvider()
	p.Entra.Graph = entra.NewGraph(entra.GraphOptions{
		Cloud: p.Entra.Cloud, ClientID: clientApp, HTTP: g.client(),
		Secret: func(context.Context) (string, error) { return "a secret of the application", nil },
	})
	return p
}

// start runs a SignIn with three aliases, one of them for a group that Entra cannot
// have, as with another provider beside it.
func (g *graph) start(t *testing.T, p oauth.Provider) *signIn {
	t.Helper()
	return startWith(t, oauth.Options{
		HTTP: g.client(), Providers: []oauth.Provider{p},
		GroupAliases: map[string]string{platform: "platform", finance: "finance", "/staff": "staff"},
	})
}

// overage is the payload of a token whose person is in too many groups.
func overage() object {
	return with(accessToken(), object{
		"groups": nil, "_claim_names": object{"groups": "src1"},
		"_claim_sources": object{"src1": object{"endpoint": "https://graph.windows.net/x/getMemberObjects"}},
	})
}

func Test51GroupsThatTheTokenLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGraph(finance, platform)
		s := g.start(t, g.provider())
		c := s.admit(sign(t, overage(), nil))
		if !c.Groups.Complete || !slices.Equal(c.Groups.IDs, []string{platform, finance}) || !slices.Equal(c.Groups.Names, []string{"platform", "finance"}) {
			t.Errorf("the groups are %+v", c.Groups)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		for u := range g.fetches {
			if strings.Contains(u, "windows.net") {
				t.Errorf("the token sent the gateway to %s", u)
			}
		}
	})
}

// Test51GraphIsDown takes groups that cannot be had for unknown, and not for none.
func Test51GraphIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGraph(platform)
		s := g.start(t, g.provider())
		g.change(func() { g.down = true })
		token := sign(t, overage(), nil)
		if c := s.admit(token); !c.Groups.Unavailable || c.Groups.Complete || c.Groups.IDs != nil || c.Groups.Why == "" {
			t.Errorf("the groups are %+v", c.Groups)
		}
		if !strings.Contains(s.log.String(), "HTTP 502") {
			t.Errorf("the log does not say why:\n%s", s.log)
		}
		g.change(func() { g.down = false })
		time.Sleep(time.Minute)
		if c := s.admit(token); !c.Groups.Complete || !slices.Equal(c.Groups.IDs, []string{platform}) {
			t.Errorf("a minute later the groups are %+v", c.Groups)
		}
	})
}

// TestGroupsChange takes a person out of a group while the token that lists it
// lasts.
func TestGroupsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGraph(finance)
		s := g.start(t, g.provider())
		token := sign(t, accessToken(), nil) // it lists platform
		begin := time.Now()
		for slices.Contains(s.admit(token).Groups.IDs, platform) {
			time.Sleep(time.Second)
		}
		if took := time.Since(begin); took != 5*time.Minute {
			t.Errorf("it took effect after %s, want 5 min", took)
		}
		g.change(func() { g.groups = nil })
		begin = time.Now()
		for slices.Contains(s.admit(token).Groups.IDs, finance) {
			time.Sleep(time.Second)
		}
		if took := time.Since(begin); took != 5*time.Minute {
			t.Errorf("it took effect after %s, want 5 min", took)
		}
	})
}

// TestAliases looks for the groups of the configuration in every tenant.
func TestAliases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGraph()
		g.named[tenant], g.named[otherTenant] = []string{platform}, nil
		p := g.provider()
		p.Entra.Tenant, p.Entra.Allowed = "common", []string{tenant, otherTenant}
		s := g.start(t, p)
		synctest.Wait()
		if c := s.admit(sign(t, accessToken(), nil)); !slices.Equal(c.Groups.Unresolved, []string{"finance"}) {
			t.Errorf("the aliases %q are unknown, want finance alone", c.Groups.Unresolved)
		}
		if log := s.log.String(); !strings.Contains(log, finance) || strings.Contains(log, "group=platform") {
			t.Errorf("the log says:\n%s", log)
		}
	})
}

// TestAliasesLater looks for them again when Graph was not there.
func TestAliasesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGraph()
		g.down, g.named[tenant] = true, []string{finance}
		s := g.start(t, g.provider())
		time.Sleep(30 * time.Second)
		if !strings.Contains(s.log.String(), "could not be looked up") {
			t.Errorf("the log does not say why:\n%s", s.log)
		}
		if c := s.admit(sign(t, accessToken(), nil)); !slices.Equal(c.Groups.Unresolved, []string{"finance", "platform"}) {
			t.Errorf("the aliases %q are unknown, want all", c.Groups.Unresolved)
		}
		g.change(func() { g.down = false })
		time.Sleep(5 * time.Minute)
		if c := s.admit(sign(t, accessToken(), nil)); !slices.Equal(c.Groups.Unresolved, []string{"platform"}) {
			t.Errorf("the aliases %q are unknown, want platform alone", c.Groups.Unresolved)
		}
	})
}
