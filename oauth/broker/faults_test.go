package broker_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
	"github.com/mcpagg/mcpagg/oauth/pages"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// restart closes everything, and opens it again from the disk.
func (s *stage) restart(dir string) {
	s.Helper()
	s.state.Close()
	if err := s.store.Close(); err != nil {
		s.Fatal(err)
	}
	s.openStore(store.Options{Dir: dir})
	s.configure()
}

// TestRestart is about a gateway that ends between any two steps.
func TestRestart(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		dir := filepath.Join(t.TempDir(), "store")
		s.restart(dir)
		client := s.register()
		s.restart(dir)
		b := s.browser()
		page := b.authorize(s.request(client))
		s.restart(dir)
		toProvider := b.approve(page)
		s.restart(dir)
		code := b.follow(toProvider).Query().Get("code")
		s.restart(dir)
		got := s.redeem(client, code).tokens(s)
		keys := s.jwks()
		for range 3 {
			s.restart(dir)
			s.works(got.access, true)
			got = s.refresh(client, got.refresh).tokens(s)
		}
		s.works(got.access, true)
		if now := s.jwks(); len(now.Keys) != 1 || now.Keys[0].KeyID != keys.Keys[0].KeyID {
			s.Error("the key is another one")
		}
		if n := len(s.fake.Requests("authorize")); n != 1 {
			s.Errorf("the person signed in %d times", n)
		}
		s.redeem(client, code).refused(s, http.StatusBadRequest, "invalid_grant")
		s.restart(dir)
		s.works(got.access, false) // the code was used twice
		s.refresh(client, got.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
	})
}

// TestRefreshThatCannotBeStored is about a provider that replaces its refresh tokens
// while the store can take none: the new one must not be lost, whatever happens
// then. What is longer than 256 KiB cannot be stored.
func TestRefreshThatCannotBeStored(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		upstream := m.got[len(m.got)-1]
		replaced := strings.Repeat("r", 300<<10)
		refuse := func() {
			s.Helper()
			a := s.refresh(client, got.refresh)
			a.refused(s, http.StatusServiceUnavailable, "temporarily_unavailable")
			if a.header.Get("Retry-After") == "" {
				s.Error("it is not said when to come back")
			}
			s.works(got.access, true)
		}
		m.changes(map[string]any{"refresh_token": replaced})
		refuse()
		if s.state.Status().Err == nil {
			s.Error("the status does not say it")
		}
		m.answers(http.StatusServiceUnavailable, "")
		refuse()
		s.refresh(client, got.refresh[:70]+strings.Repeat("A", len(got.refresh)-70)) // somebody guesses
		s.revoke(s.register(), got.refresh)
		m.answers(http.StatusOK, `{"token_type": "Bearer", "access_token": "x", "refresh_token": "`+upstream+`"}`)
		got = s.refresh(client, got.refresh).tokens(s)
		if asked := m.refreshes(); len(asked) != 3 || asked[1] != replaced || asked[2] != replaced {
			s.Error("the provider was asked with a refresh token that it had replaced")
		}
		if err := s.state.Status().Err; err != nil {
			s.Error(err)
		}
		m.retires()
		s.works(s.refresh(client, got.refresh).tokens(s).access, true)
		if asked := m.refreshes(); asked[3] != upstream {
			s.Error("the provider was not asked with the last refresh token")
		}
	})
}

// TestNothingSecretIsLogged does all that there is, and looks at what was logged.
func TestNothingSecretIsLogged(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		secrets := map[string]string{"the gateway's secret": gatewaySecret, "the name": "Alice Example", "the address": alice, "a verifier": verifier, "a state": "a-state-of-the-client"}
		keep := func(name, text string) string { secrets[fmt.Sprint(name, len(secrets))] = text; return text }
		client := s.register()
		b := s.browser()
		page := b.authorize(s.request(client, "state", "a-state-of-the-client", "login_hint", alice))
		keep("request", page.form().Get("request"))
		keep("form token", page.form().Get("token"))
		to := b.approve(page)
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			keep(name, to.location().Query().Get(name))
		}
		code := keep("code", b.follow(to).Query().Get("code"))
		got := s.redeem(client, code).tokens(s)
		next := s.refresh(client, got.refresh).tokens(s)
		s.refresh(client, got.refresh)
		m.answers(http.StatusBadRequest, `{"error": "invalid_client", "error_description": "AADSTS7000215: for alice@contoso.example"}`)
		s.refresh(client, next.refresh)
		m.answers(http.StatusServiceUnavailable, "<p>alice@contoso.example")
		s.refresh(client, next.refresh)
		m.retires()
		s.works(next.access, true)
		s.works(next.access+"x", false)
		s.redeem(client, code)
		s.redeem(client, code+"x")
		s.revoke(client, next.access)
		s.refresh(client, next.refresh)
		token := b.openPage(alice).form().Get("token")
		keep("page token", token)
		b.post(s.server.URL+"/me/revoke", url.Values{"token": {token}, "session": {pages.AllSessions}}, "Origin", "https://evil.example")
		b.post(s.server.URL+"/me/sign-out", url.Values{"token": {token}})
		s.fake.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Disabled = true })
		b.authorize(s.request(client, "redirect_uri", "http://localhost:3118/other?secret=a-state-of-the-client"))
		b.get(s.server.URL + "/oauth2/callback?code=" + code + "&state=" + secrets["a state"] + "&error_description=" + alice)
		if _, err := s.state.RotateKeys(t.Context()); err != nil {
			s.Fatal(err)
		}
		for _, c := range b.http.Jar.Cookies(mustParse(s, s.server.URL)) {
			keep("cookie", c.Value)
		}
		for _, token := range append(m.got, got.access, got.refresh, next.access, next.refresh) {
			keep("token", token)
			for _, p := range strings.Split(token, ".")[1:] {
				keep("part of a token", p)
			}
		}
		for _, f := range m.forms {
			for _, name := range []string{"code", "code_verifier", "refresh_token", "client_secret"} {
				keep(name, f.Get(name))
			}
		}
		log := s.log.String()
		for name, text := range secrets {
			if len(text) > 4 && strings.Contains(log, text) {
				s.Errorf("the log holds %s: %s", name, text)
			}
		}
		for _, want := range []string{"signed in", "session ended", "sign-in refused"} {
			if !strings.Contains(log, want) {
				s.Errorf("the log does not say %q", want)
			}
		}
	})
}

// TestCloseWhileAsked ends the gateway while clients wait.
func TestCloseWhileAsked(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, got := s.signedIn()
		release := m.holds()
		answers := make(chan *answer, 5)
		for range 5 {
			go func() { answers <- s.refresh(client, got.refresh) }()
		}
		synctest.Wait()
		s.state.Close()
		if err := s.store.Close(); err != nil {
			s.Fatal(err)
		}
		close(release)
		for range 5 {
			(<-answers).refused(s, http.StatusServiceUnavailable, "temporarily_unavailable")
		}
		if _, err := s.store.Get(t.Context(), "session", "x"); !errors.Is(err, store.ErrClosed) {
			s.Error(err)
		}
		time.Sleep(time.Hour) // nothing goes on: the test would not end
	})
}
