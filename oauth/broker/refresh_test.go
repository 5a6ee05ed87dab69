package broker_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

func TestRefreshRotates(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		seen := []string{got.refresh}
		for range 3 {
			time.Sleep(10 * time.Minute)
			got = s.refresh(client, got.refresh).tokens(s)
			s.works(got.access, true)
			seen = append(seen, got.refresh)
		}
		slices.Sort(seen)
		if len(slices.Compact(seen)) != 4 {
			s.Error("a refresh token came twice")
		}
		if upstream := m.refreshes(); len(upstream) != 3 || upstream[0] == upstream[1] || upstream[1] == upstream[2] {
			s.Error("the refresh tokens that the provider gave were not used, each once")
		}
		if n := len(s.state.Sessions()); n != 1 {
			s.Errorf("%d sessions", n)
		}
	})
}

func TestRefresh28ReuseInGrace(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, first := s.signedIn()
		second := s.refresh(client, first.refresh).tokens(s)
		time.Sleep(59 * time.Second)
		again := s.refresh(client, first.refresh).tokens(s)
		if again.refresh != second.refresh {
			s.Error("it gets another successor")
		}
		if len(m.refreshes()) != 1 {
			s.Error("the provider was asked again")
		}
		s.works(again.access, true)
		s.refresh(client, second.refresh).tokens(s)
	})
}

func TestRefresh28ReuseLater(t *testing.T) {
	for name, refreshes := range map[string]int{"the one before, after a minute": 1, "the one before that, at once": 2} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(s *stage, _ *middleman) {
				client, stolen := s.signedIn()
				got := stolen
				for range refreshes {
					got = s.refresh(client, got.refresh).tokens(s)
				}
				if refreshes == 1 {
					time.Sleep(61 * time.Second)
				}
				s.works(got.access, true)
				s.refresh(client, stolen.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
				s.works(got.access, false)
				s.refresh(client, got.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
				s.logs("WARN", "the refresh token was used before")
			})
		})
	}
}

func TestRefresh28AtOnce(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		successors := map[string]bool{}
		for _, a := range atOnce(10, func() *answer { return s.refresh(client, got.refresh) }) {
			next := a.tokens(s)
			s.works(next.access, true)
			successors[next.refresh] = true
		}
		if len(successors) != 1 || len(m.refreshes()) != 1 {
			s.Errorf("%d successors, and %d questions to the provider", len(successors), len(m.refreshes()))
		}
	})
}

// TestRefreshQueue has more wait for one session than may.
func TestRefreshQueue(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		release := m.holds()
		time.AfterFunc(time.Second, func() { close(release) })
		status := map[int]int{}
		for _, a := range atOnce(30, func() *answer { return s.refresh(client, got.refresh) }) {
			status[a.status]++
			if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
				s.Error("it is not said when to come back")
			}
		}
		if status[http.StatusOK] != 20 || status[http.StatusServiceUnavailable] != 10 || len(m.refreshes()) != 1 {
			s.Errorf("answers by status: %v, and %d questions to the provider", status, len(m.refreshes()))
		}
	})
}

func TestRefreshOfOneWhoHangsUp(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		release := m.holds()
		ctx, hangUp := context.WithCancel(t.Context())
		form := url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {got.refresh}}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+"/oauth2/token", strings.NewReader(form.Encode()))
		if err != nil {
			s.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		gone := make(chan error)
		go func() { _, err := s.browser().http.Do(r); gone <- err }()
		synctest.Wait() // until the provider is asked
		hangUp()
		if <-gone == nil {
			s.Fatal("the client was answered")
		}
		close(release)
		synctest.Wait()
		m.retires()
		time.Sleep(30 * time.Second)
		next := s.refresh(client, got.refresh).tokens(s)
		if n := len(m.refreshes()); n != 1 {
			s.Errorf("the provider was asked %d times", n)
		}
		s.refresh(client, next.refresh).tokens(s)
	})
}

// TestRefreshOverReload refreshes at two configurations at the same time.
func TestRefreshOverReload(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		release := m.holds()
		answers := make(chan *answer)
		for range 2 {
			go func() { answers <- s.refresh(client, got.refresh) }()
			synctest.Wait()
			s.configure()
		}
		close(release)
		one, two := (<-answers).tokens(s), (<-answers).tokens(s)
		if one.refresh != two.refresh || len(m.refreshes()) != 1 {
			s.Errorf("the same successor: %t; the provider was asked %d times", one.refresh == two.refresh, len(m.refreshes()))
		}
		s.works(one.access, true)
		s.works(two.access, true)
	})
}

// TestRefreshOfOneWhoIsCutOff has a session end while the provider is asked.
func TestRefreshOfOneWhoIsCutOff(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		release := m.holds()
		answers := make(chan *answer)
		go func() { answers <- s.refresh(client, got.refresh) }()
		synctest.Wait()
		s.revoked(broker.Match{Person: "Alice Example"})
		close(release)
		(<-answers).refused(s, http.StatusBadRequest, "invalid_grant")
		s.works(got.access, false)
		if n := len(s.state.Sessions()); n != 0 {
			s.Errorf("%d sessions are left", n)
		}
	})
}

func TestRefresh29OfAnotherClient(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		s.refresh(s.register(), got.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
		if len(m.refreshes()) != 0 {
			s.Error("the provider was asked")
		}
		s.works(got.access, true)
		s.refresh(client, got.refresh).tokens(s)
	})
}

func TestRefresh29Scopes(t *testing.T) {
	for _, tt := range []struct{ signIn, refresh, want string }{
		{"mcp.access mcp.read", "", "mcp.access mcp.read"},
		{"mcp.access mcp.read", "mcp.read", "mcp.read"},
		{"mcp.access mcp.read", "openid offline_access mcp.access", "mcp.access"},
		{"mcp.access mcp.read", "openid", "mcp.access mcp.read"},
		{"mcp.read", "mcp.read mcp.access", ""},
		{"mcp.read", "mcp.access", ""},
		{"mcp.read", "https://graph.microsoft.com/.default", ""},
	} {
		t.Run(tt.signIn+" to "+tt.refresh, func(t *testing.T) {
			inTime(t, func(s *stage, m *middleman) {
				client := s.register()
				got := s.redeem(client, s.code(client, "scope", tt.signIn)).tokens(s)
				a := s.refresh(client, got.refresh, "scope", tt.refresh)
				for _, form := range m.forms {
					if form.Get("scope") != "" && form.Get("scope") != "openid profile email offline_access" {
						s.Errorf("the provider was asked for %s", form.Get("scope"))
					}
				}
				if tt.want == "" {
					a.refused(s, http.StatusBadRequest, "invalid_scope")
					s.refresh(client, got.refresh).tokens(s)
					return
				}
				next := a.tokens(s)
				if a.json(s)["scope"] != tt.want || part(s, next.access, 1)["scope"] != tt.want {
					s.Errorf("the answer is %s", a.body)
				}
				if again := s.refresh(client, next.refresh).json(s)["scope"]; again != tt.signIn { // RFC 6749 section 6
					s.Errorf("the refresh after that gives %v", again)
				}
			})
		})
	}
}

func TestRefreshForged(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		_, other := s.signedIn()
		const head = len("mcpagg_rt_")
		letter := "A"
		if got.refresh[head+50] == 'A' {
			letter = "B"
		}
		for name, token := range map[string]string{
			"another's end":    got.refresh[:head+27] + other.refresh[head+27:],
			"one letter":       got.refresh[:head+50] + letter + got.refresh[head+51:],
			"another length":   got.refresh + "AAAA",
			"cut":              got.refresh[:len(got.refresh)-1],
			"no prefix":        got.refresh[head:],
			"an access token":  got.access,
			"nothing of that":  "x",
			"the provider's":   m.got[len(m.got)-1],
			"an unknown id":    "mcpagg_rt_" + strings.Repeat("A", 70),
			"letters too many": strings.Repeat("A", 10_000),
		} {
			if a := s.refresh(client, token); a.status != http.StatusBadRequest || a.json(s)["error"] != "invalid_grant" {
				s.Errorf("%s: HTTP %d %s", name, a.status, a.body)
			}
		}
		if len(m.refreshes()) != 0 {
			s.Error("the provider was asked")
		}
		s.refresh(client, got.refresh).tokens(s)
	})
}

func TestSessionEndsUnused(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client, unused := s.signedIn()
		clientOfUsed, used := s.signedIn()
		for range 4 {
			time.Sleep(50 * time.Minute)
			used = s.refresh(clientOfUsed, used.refresh).tokens(s)
		}
		s.refresh(client, unused.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
		if n := len(s.state.Sessions()); n != 1 {
			s.Errorf("%d sessions", n)
		}
		s.works(used.access, true)
	}, func(o *broker.Options) { o.SessionTTL = 2 * time.Hour })
}

// TestRefreshTellsOfChanges is the reason why every refresh asks the provider.
func TestRefreshTellsOfChanges(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client, got := s.signedIn()
		group := s.fake.AddGroup(fakeentra.Group{Name: "platform"})
		s.fake.ChangeUser(s.alice.ID, func(u *fakeentra.User) {
			u.DisplayName, u.Groups, u.Roles = "Alice Newname", []string{group.ID}, map[string][]string{s.app.ClientID: {"Admin"}}
		})
		if c, _ := s.mcp(got.access); c.Name != "Alice Example" || len(c.Groups.IDs) != 0 {
			s.Errorf("before, the caller is %+v", c)
		}
		next := s.refresh(client, got.refresh).tokens(s)
		for name, token := range map[string]string{"new": next.access, "old": got.access} {
			c, _ := s.mcp(token)
			if c == nil || c.Name != "Alice Newname" || !slices.Equal(c.Groups.IDs, []string{group.ID}) {
				s.Errorf("the caller of the %s token is %+v", name, c)
			}
		}
		if one := s.state.Sessions()[0]; one.Name != "Alice Newname" {
			s.Errorf("the session is %+v", one)
		}
		s.fake.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Groups = nil })
		next = s.refresh(client, next.refresh).tokens(s)
		if c, _ := s.mcp(next.access); len(c.Groups.IDs) != 0 {
			s.Errorf("the group stays: %+v", c)
		}
	})
}

// TestRefreshEnds is about what ends a session for good.
func TestRefreshEnds(t *testing.T) {
	another := func(s *stage) string {
		bob := s.fake.AddUser(fakeentra.User{Name: "bob@contoso.example"})
		token, err := s.fake.Token(fakeentra.TokenRequest{User: bob.ID, Client: s.app.ClientID, ID: true})
		if err != nil {
			s.Fatal(err)
		}
		return token
	}
	for name, happens := range map[string]func(*stage, *middleman){
		"the account is disabled": func(s *stage, _ *middleman) {
			s.fake.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Disabled = true })
		},
		"the password was reset":      func(s *stage, _ *middleman) { s.fake.Revoke(s.alice.ID) },
		"another person's ID token":   func(s *stage, m *middleman) { m.changes(map[string]any{"id_token": another(s)}) },
		"an ID token that is none":    func(_ *stage, m *middleman) { m.changes(map[string]any{"id_token": "x.y.z"}) },
		"an ID token for another app": func(s *stage, m *middleman) { m.changes(map[string]any{"id_token": s.idTokenFor("other-app")}) },
		"consent is withdrawn": func(_ *stage, m *middleman) {
			m.answers(http.StatusBadRequest, `{"error": "invalid_grant", "suberror": "consent_required", "error_description": "AADSTS65001: for alice@contoso.example", "error_codes": [65001]}`)
		},
		"more than a refresh is needed": func(s *stage, _ *middleman) { s.fake.Switch(func(sw *fakeentra.Switches) { sw.RequireMFA = true }) },
		"access is denied":              func(_ *stage, m *middleman) { m.answers(http.StatusBadRequest, `{"error": "access_denied"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(s *stage, m *middleman) {
				client, got := s.signedIn()
				happens(s, m)
				s.works(got.access, true) // until the provider is asked
				a := s.refresh(client, got.refresh)
				a.refused(s, http.StatusBadRequest, "invalid_grant")
				if strings.Contains(a.body+s.log.String(), "alice@") {
					s.Error("the address is told")
				}
				m.retires()
				s.works(got.access, false)
				s.refresh(client, got.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
				s.logs("INFO", "session ended")
				if n := len(s.state.Sessions()); n != 0 {
					s.Errorf("%d sessions are left", n)
				}
			})
		})
	}
}

// idTokenFor is an ID token of Alice's for an app.
func (s *stage) idTokenFor(app string) string {
	s.Helper()
	token, err := s.fake.Token(fakeentra.TokenRequest{User: s.alice.ID, Client: app, ID: true})
	if err != nil {
		s.Fatal(err)
	}
	return token
}

// TestRefreshWithoutIDToken is allowed (OpenID Connect Core 1.0 section 12.2), as
// is one without another refresh token.
func TestRefreshWithoutIDToken(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		m.changes(map[string]any{"id_token": nil, "refresh_token": nil})
		for range 2 {
			got = s.refresh(client, got.refresh).tokens(s)
			if c, _ := s.mcp(got.access); c == nil || c.Name != "Alice Example" {
				s.Errorf("the caller is %+v", c)
			}
		}
		if asked := m.refreshes(); asked[0] != asked[1] {
			s.Error("the refresh token that still counts is not used")
		}
	})
}

// TestRefresh33WhileTheProviderHasTrouble keeps sessions, and goes on afterwards.
func TestRefresh33WhileTheProviderHasTrouble(t *testing.T) {
	json := func(text string) func(*stage, *middleman) {
		return func(_ *stage, m *middleman) { m.answers(http.StatusBadRequest, text) }
	}
	fault := func(f fakeentra.Fault) func(*stage, *middleman) {
		return func(s *stage, _ *middleman) { f.Endpoint = "token"; s.fake.Fail(f) }
	}
	for name, tt := range map[string]struct {
		happens func(*stage, *middleman)
		level   string
	}{
		"503":                {fault(fakeentra.Fault{Status: 503}), "ERROR"},
		"its own 503":        {fault(fakeentra.Fault{Status: 503, Body: fakeentra.BodyTransient}), "WARN"},
		"429":                {fault(fakeentra.Fault{Status: 429, RetryAfter: "3"}), "ERROR"},
		"HTML":               {fault(fakeentra.Fault{Body: fakeentra.BodyHTML}), "ERROR"},
		"HTML of an error":   {fault(fakeentra.Fault{Status: 400, Body: fakeentra.BodyHTML}), "ERROR"},
		"a redirect":         {fault(fakeentra.Fault{Body: fakeentra.BodyRedirect}), "ERROR"},
		"an endless answer":  {fault(fakeentra.Fault{Body: fakeentra.BodyEndless}), "ERROR"},
		"a slow answer":      {fault(fakeentra.Fault{Body: fakeentra.BodySlow}), "ERROR"},
		"no answer":          {func(_ *stage, m *middleman) { m.holds() }, "ERROR"},
		"a broken answer":    {fault(fakeentra.Fault{Body: fakeentra.BodyCut}), "ERROR"},
		"tokens of another":  {func(_ *stage, m *middleman) { m.changes(map[string]any{"token_type": "mac"}) }, "ERROR"},
		"server_error":       {json(`{"error": "server_error"}`), "WARN"},
		"an unknown secret":  {json(`{"error": "invalid_client", "error_codes": [7000215]}`), "ERROR"},
		"an unknown client":  {json(`{"error": "unauthorized_client", "error_codes": [700016]}`), "ERROR"},
		"a scope it has not": {json(`{"error": "invalid_scope"}`), "ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(s *stage, m *middleman) {
				client, got := s.signedIn()
				tt.happens(s, m)
				a := s.refresh(client, got.refresh)
				a.refused(s, http.StatusServiceUnavailable, "temporarily_unavailable")
				if a.header.Get("Retry-After") == "" {
					s.Error("it is not said when to come back")
				}
				s.logs(tt.level, "sign-in refused")
				s.works(got.access, true)
				s.fake.ClearFaults()
				m.retires()
				s.works(s.refresh(client, got.refresh).tokens(s).access, true)
			})
		})
	}
}

func TestRefreshClaimsChallenge(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client, got := s.signedIn()
		s.fake.Switch(func(sw *fakeentra.Switches) { sw.RequireMFA = true })
		s.refresh(client, got.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
		for i, want := range []bool{true, false} { // once is enough
			s.fake.ClearJournal()
			s.works(s.redeem(client, s.code(client)).tokens(s).access, true)
			carried := slices.ContainsFunc(s.fake.Requests("authorize"), func(e fakeentra.Entry) bool { return strings.Contains(e.Query.Get("claims"), "polids") })
			if carried != want {
				s.Errorf("sign-in %d: claims were asked for: %t", i, carried)
			}
		}
	})
}

func TestRefreshPausesAfterALoop(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		m.answers(http.StatusBadRequest, `{"error": "invalid_grant", "error_codes": [50196]}`)
		for range 5 {
			a := s.refresh(client, got.refresh)
			a.refused(s, http.StatusServiceUnavailable, "temporarily_unavailable")
			if a.header.Get("Retry-After") == "" {
				s.Error("it is not said when to come back")
			}
			time.Sleep(55 * time.Second)
		}
		if n := len(m.refreshes()); n != 1 {
			s.Errorf("the provider was asked %d times", n)
		}
		s.works(got.access, true)
		m.retires()
		time.Sleep(30 * time.Second)
		s.refresh(client, got.refresh).tokens(s)
	})
}

// TestRefreshAfterTheProviderWent is about a configuration with another provider.
func TestRefreshAfterTheProviderWent(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		s.configure(func(o *broker.Options) { o.Provider = "fabrikam" })
		s.refresh(client, got.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
		if len(m.refreshes()) != 0 {
			s.Error("the provider was asked")
		}
		s.works(got.access, false)
	})
}
