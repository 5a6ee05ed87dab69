package broker_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// TestUnsavedRefreshToken has the provider replace its refresh token while nothing can
// be stored, and then have trouble: the new one is the only one that counts.
func TestUnsavedRefreshToken(t *testing.T) {
	t.Parallel()
	inTime(t, func(s *stage, m *middleman) {
		clientID, got := s.signedIn()
		next := strings.Repeat("r", 300<<10) // more than a value of the store may have
		m.changes(map[string]any{"refresh_token": next})
		s.refresh(clientID, got.refresh).refused(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		m.answers(http.StatusServiceUnavailable, `{"error": "temporarily_unavailable"}`)
		s.refresh(clientID, got.refresh).refused(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		s.refresh(clientID, got.refresh).refused(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		if sent := m.refreshes(); len(sent) != 3 || sent[1] != next || sent[2] != next {
			t.Errorf("of %d refreshes, the last two are not with the token that the provider gave last", len(sent))
		}
	})
}

// TestSignInFlood has a stranger agree to sign-ins, and never come back from them.
// Who comes back makes room.
func TestSignInFlood(t *testing.T) {
	t.Parallel()
	inTime(t, func(s *stage, _ *middleman) {
		clientID := s.register()
		begin := func() *answer {
			time.Sleep(time.Second) // so that it is not the rate
			b := s.browser()
			return b.approve(b.authorize(s.request(clientID)))
		}
		refused := func() bool {
			switch a := begin(); a.status {
			case http.StatusSeeOther:
				return false
			case http.StatusTooManyRequests:
				return true
			default:
				t.Fatalf("HTTP %d %s", a.status, a.body)
			}
			return false
		}
		for range 400 {
			s.code(clientID)
			time.Sleep(time.Second)
		}
		n := 0
		for ; !refused(); n++ {
			if n > 1000 {
				t.Fatal("there is no end to it")
			}
		}
		if n != 300 {
			t.Errorf("%d sign-ins are under way from one address", n)
		}
		time.Sleep(10 * time.Minute)
		if refused() {
			t.Error("sign-ins that nobody can come back from any more are still counted")
		}
	})
}

// TestProviderReplaced has the operator put another provider in the place of one, under
// its name: it gets neither the codes nor the refresh tokens of the one before.
func TestProviderReplaced(t *testing.T) {
	t.Parallel()
	inTime(t, func(s *stage, m *middleman) {
		clientID, got := s.signedIn()
		b := s.browser()
		begun := b.approve(b.authorize(s.request(clientID)))
		back := b.get(begun.location().String())
		s.app = s.fake.AddApp(fakeentra.App{Name: "another gateway", Secrets: []string{gatewaySecret}})
		s.configure()
		before := len(m.forms)
		if a := b.get(back.location().String()); a.status != http.StatusBadRequest {
			t.Errorf("HTTP %d to %q for a code of the provider before", a.status, a.header.Get("Location"))
		}
		s.refresh(clientID, got.refresh).refused(t, http.StatusBadRequest, "invalid_grant")
		if n := len(m.forms) - before; n != 0 {
			t.Errorf("the other provider was asked %d times", n)
		}
		s.logs("INFO", "its provider is not in the configuration any more")
	})
}

// TestForgedTokenFlood has a stranger make tokens in the name of the gateway's key,
// which everybody may know: what is logged of real ones is still there.
func TestForgedTokenFlood(t *testing.T) {
	t.Parallel()
	inTime(t, func(s *stage, _ *middleman) {
		_, got := s.signedIn()
		forged := got.access[:len(got.access)-20] + strings.Repeat("A", 20)
		for range 300 {
			s.works(forged, false)
		}
		if _, err := s.state.Revoke(t.Context(), broker.Match{Person: "Alice Example"}); err != nil {
			t.Fatal(err)
		}
		s.works(got.access, false)
		s.logs("WARN", oauth.ErrForged.Error())
		s.logs("INFO", oauth.ErrEnded.Error())
	})
}

// TestRememberedTokens has somebody who is in many groups get and use tokens as fast as
// they can.
func TestRememberedTokens(t *testing.T) {
	t.Parallel()
	if got := broker.RememberedClaims(10_000, 30<<10); got > 33<<20 || got < 8<<20 {
		t.Errorf("%d MiB of claims are remembered", got>>20)
	}
	if got := broker.RememberedClaims(100_000, 100); got > 4_000_000 || got < 2_000_000 {
		t.Errorf("%d bytes of small claims are remembered", got)
	}
}

// TestRevokeAndCode has an operator end somebody's access between their sign-in and
// the client's redeeming of the code.
func TestRevokeAndCode(t *testing.T) {
	t.Parallel()
	for _, m := range []broker.Match{{}, {Person: "Alice Example"}, {Client: "Test client"}} {
		s := newStage(t)
		clientID := s.register()
		code := s.code(clientID)
		if n, err := s.state.Revoke(t.Context(), m); n != 0 || err != nil {
			t.Errorf("%+v: %d sessions, %v", m, n, err)
		}
		s.redeem(clientID, code).refused(t, http.StatusBadRequest, "invalid_grant")
		if n := len(s.state.Sessions()); n != 0 {
			t.Errorf("%+v: there are %d sessions", m, n)
		}
	}
	s := newStage(t)
	clientID := s.register()
	code := s.code(clientID)
	if _, err := s.state.Revoke(t.Context(), broker.Match{Person: "Somebody Else"}); err != nil {
		t.Error(err)
	}
	s.redeem(clientID, code).tokens(t)
}

// TestRevokeAndHangUp has whoever ends a session be gone before it has ended. It does not
// come back when the gateway restarts.
func TestRevokeAndHangUp(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	clientID, got := s.signedIn()
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	if n, err := s.state.Revoke(ctx, broker.Match{Person: "Alice Example"}); n != 1 || err != nil {
		t.Errorf("%d sessions, %v", n, err)
	}
	next, err := broker.OpenState(t.Context(), broker.StateOptions{Store: s.store, Log: s.opts.Log})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if n := len(next.Sessions()); n != 0 {
		t.Errorf("%d sessions come back", n)
	}
	s.refresh(clientID, got.refresh).refused(t, http.StatusBadRequest, "invalid_grant")
}

// TestRefreshFlood has a client refresh its session without a pause. The session stays.
func TestRefreshFlood(t *testing.T) {
	t.Parallel()
	inTime(t, func(s *stage, m *middleman) {
		clientID, got := s.signedIn()
		for range 210 {
			a := s.refresh(clientID, got.refresh)
			if a.status != http.StatusOK {
				a.refused(t, http.StatusServiceUnavailable, "temporarily_unavailable")
				if a.header.Get("Retry-After") != "1" {
					t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
				}
				continue
			}
			got = a.tokens(t)
		}
		if n := len(m.refreshes()); n != 200 {
			t.Errorf("the provider was asked %d times", n)
		}
		time.Sleep(time.Second)
		s.refresh(clientID, got.refresh).tokens(t)
	})
}

// TestDeclineFlood has a stranger decline again and again.
func TestDeclineFlood(t *testing.T) {
	t.Parallel()
	inTime(t, func(s *stage, _ *middleman) {
		clientID := s.register()
		for range 150 {
			b := s.browser()
			b.post(s.server.URL+"/oauth2/consent", changed(b.authorize(s.request(clientID)).form(), "answer", "deny"))
		}
		if n := strings.Count(s.log.String(), "\n"); n > 60 {
			t.Errorf("the log has %d lines", n)
		}
		s.logs("INFO", "sign-in declined")
	})
}

// TestJournalFlood has a stranger send nonsense while something happens that the operator
// has to know.
func TestJournalFlood(t *testing.T) {
	t.Parallel()
	inTime(t, func(s *stage, m *middleman) {
		clientID, got := s.signedIn()
		for range 100 {
			s.refresh(clientID, "nonsense").refused(t, http.StatusBadRequest, "invalid_grant")
		}
		m.answers(http.StatusBadGateway, "<html>")
		s.refresh(clientID, got.refresh).refused(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		s.logs("ERROR", "HTTP 502")
	})
}

// manyDocuments answers with a metadata document for each id, and counts.
type manyDocuments struct{ fetched atomic.Int64 }

func (d *manyDocuments) RoundTrip(r *http.Request) (*http.Response, error) {
	d.fetched.Add(1)
	return reply(http.StatusOK, `{"client_id": "`+r.URL.String()+`", "client_name": "Test", "redirect_uris": ["`+redirectURI+`"]}`), nil
}

// TestDocumentFlood has a stranger make up clients whose documents have to be fetched. The
// gateway fetches five a second for everybody, so one address gets a part of it; what
// is known counts.
func TestDocumentFlood(t *testing.T) {
	t.Parallel()
	d := &manyDocuments{}
	inTime(t, func(s *stage, _ *middleman) {
		ask := func(n int) int {
			return s.browser().authorize(s.request(fmt.Sprintf("https://client.example/%d.json", n))).status
		}
		for n := range 20 {
			want := http.StatusOK
			if n >= 15 {
				want = http.StatusTooManyRequests
			}
			if got := ask(n); got != want {
				t.Errorf("client %d: HTTP %d", n, got)
			}
		}
		if n := d.fetched.Load(); n != 15 {
			t.Errorf("%d documents were fetched", n)
		}
		if got := ask(0); got != http.StatusOK {
			t.Errorf("a client that is known: HTTP %d", got)
		}
		time.Sleep(time.Second)
		if got := ask(16); got != http.StatusOK {
			t.Errorf("HTTP %d after a while", got)
		}
	}, func(o *broker.Options) { o.Documents, o.DocumentHTTP = true, &http.Client{Transport: d} })
}

// TestMadeUpCodes has a stranger come back from sign-ins with codes of their own.
func TestMadeUpCodes(t *testing.T) {
	t.Parallel()
	inTime(t, func(s *stage, m *middleman) {
		clientID := s.register()
		for range 400 {
			time.Sleep(time.Second) // so that it is not the rate
			b := s.browser()
			if to := b.approve(b.authorize(s.request(clientID))).location(); to != nil && to.Query().Has("state") {
				b.get(s.server.URL + broker.CallbackPath + "?" + url.Values{"code": {"made up"}, "state": {to.Query().Get("state")}}.Encode())
			}
		}
		if n := len(m.forms); n != 300 {
			t.Errorf("the provider was asked about %d codes", n)
		}
	})
}

// TestSignInsOfOnePerson has somebody sign in who has done nothing else for hours.
func TestSignInsOfOnePerson(t *testing.T) {
	t.Parallel()
	inTime(t, func(s *stage, _ *middleman) {
		client := s.register()
		s.redeem(client, s.code(client)).tokens(s)
		if n := s.state.SpendSignIns(s.state.Sessions()[0].Person); n < 4999 || n > 5001 {
			t.Errorf("%d more sign-ins at once", n)
		}
		if got := s.browser().signIn(s.request(client)); got.Get("error") != "temporarily_unavailable" {
			t.Errorf("it ends with %v", got)
		}
		time.Sleep(time.Second)
		s.redeem(client, s.code(client)).tokens(s)
	})
}

// TestScopeTakenAway has the operator take a scope away that a session has.
func TestScopeTakenAway(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	clientID := s.register()
	got := s.redeem(clientID, s.code(clientID, "scope", "mcp.access mcp.read")).tokens(t)
	s.configure(func(o *broker.Options) { o.Scopes = o.Scopes[:1] })
	got = s.refresh(clientID, got.refresh).tokens(t)
	if c, _ := s.mcp(got.access); c == nil || len(c.Scopes) != 1 || c.Scopes[0] != "mcp.access" {
		t.Errorf("the caller is %+v", c)
	}
	s.refresh(clientID, got.refresh, "scope", "mcp.read").refused(t, http.StatusBadRequest, "invalid_scope")
	s.configure(func(o *broker.Options) { o.Scopes = []broker.Scope{{Name: "another"}} })
	s.refresh(clientID, got.refresh).refused(t, http.StatusBadRequest, "invalid_grant")
}

// TestLargeClaimsChallenge has the provider refuse somebody with a challenge that fits
// neither into the store nor into a URL. They are refused all the same.
func TestLargeClaimsChallenge(t *testing.T) {
	t.Parallel()
	inTime(t, func(s *stage, m *middleman) {
		clientID, got := s.signedIn()
		m.answers(http.StatusBadRequest, `{"error": "interaction_required", "claims": "`+strings.Repeat("x", 300<<10)+`"}`)
		s.refresh(clientID, got.refresh).refused(t, http.StatusBadRequest, "invalid_grant")
		s.works(got.access, false)
	})
}
