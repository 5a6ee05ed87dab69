package broker_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// revoke is RFC 7009.
func (s *stage) revoke(clientID, token string, changes ...string) *answer {
	s.Helper()
	return s.browser().post(s.server.URL+"/oauth2/revoke", changed(url.Values{"client_id": {clientID}, "token": {token}}, changes...))
}

func TestRevocation(t *testing.T) {
	for name, tt := range map[string]struct {
		token func(tokens) string
		hint  string
		ends  bool
	}{
		"the access token":          {func(t tokens) string { return t.access }, "", true},
		"the refresh token":         {func(t tokens) string { return t.refresh }, "", true},
		"with a hint":               {func(t tokens) string { return t.refresh }, "refresh_token", true},
		"with a wrong hint":         {func(t tokens) string { return t.access }, "refresh_token", true},
		"with an unknown hint":      {func(t tokens) string { return t.access }, "x", true},
		"nothing of that":           {func(tokens) string { return "x" }, "", false},
		"a forged refresh token":    {func(t tokens) string { return t.refresh[:70] + strings.Repeat("A", len(t.refresh)-70) }, "", false},
		"a forged access token":     {func(t tokens) string { return t.access[:len(t.access)-20] + strings.Repeat("A", 20) }, "", false},
		"a text that is not a text": {func(tokens) string { return "\xff" }, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(s *stage, _ *middleman) {
				client, got := s.signedIn()
				for range 2 { // also when it has ended (RFC 7009 section 2.2)
					a := s.revoke(client, tt.token(got), "token_type_hint", tt.hint)
					if a.status != http.StatusOK || a.body != "" || a.header.Get("Access-Control-Allow-Origin") != "*" {
						s.Errorf("HTTP %d %s", a.status, a.body)
					}
				}
				s.works(got.access, !tt.ends)
				if tt.ends {
					s.refresh(client, got.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
				}
			})
		})
	}
}

// TestRevocationOfOldTokens takes a refresh token that has a successor: whoever has
// it may end the session, and nothing else.
func TestRevocationOfOldTokens(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client, old := s.signedIn()
		next := s.refresh(client, old.refresh).tokens(s)
		s.revoke(client, old.refresh)
		s.works(next.access, false)
	})
}

func TestRevocationOfAnotherClients(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		_, got := s.signedIn()
		other := s.register()
		for _, token := range []string{got.access, got.refresh} {
			if a := s.revoke(other, token); a.status != http.StatusOK {
				s.Errorf("HTTP %d %s", a.status, a.body)
			}
		}
		s.works(got.access, true)
		s.revoke("unknown", got.access).refused(s, http.StatusUnauthorized, "invalid_client")
		s.revoke(other, "").refused(s, http.StatusBadRequest, "invalid_request")
		s.works(got.access, true)
	})
}

// TestRevoke cuts people and clients off.
func TestRevoke(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		bob := s.fake.AddUser(fakeentra.User{Name: "bob@contoso.example", DisplayName: "Bob Example"})
		client, other := s.register(), s.register()
		for _, one := range [][2]string{{client, alice}, {other, alice}, {client, bob.Name}} {
			s.signInAs(one[0], one[1])
			tick()
		}
		person := s.state.Sessions()[0].Person // Bob's
		subject := person[len(`User::"`) : len(person)-1]
		id := s.state.Sessions()[2].ID
		for _, tt := range []struct {
			match broker.Match
			want  []string // who is left, and by which client
		}{
			{broker.Match{Person: "Carol Example"}, []string{"Alice Example 1", "Alice Example 2", "Bob Example 1"}},
			{broker.Match{Person: "Bob"}, []string{"Alice Example 1", "Alice Example 2", "Bob Example 1"}},
			{broker.Match{Person: person}, []string{"Alice Example 1", "Alice Example 2"}},
			{broker.Match{Person: subject}, []string{"Alice Example 1", "Alice Example 2"}},
			{broker.Match{Person: subject[strings.Index(subject, "/")+1:]}, []string{"Alice Example 1", "Alice Example 2"}},
			{broker.Match{Person: subject[:strings.Index(subject, "/")]}, []string{"Alice Example 1", "Alice Example 2", "Bob Example 1"}},
			{broker.Match{Person: "Alice Example"}, []string{"Bob Example 1"}},
			{broker.Match{Client: client}, []string{"Alice Example 2"}},
			{broker.Match{Client: "Test client"}, nil},
			{broker.Match{Person: "Alice Example", Client: client}, []string{"Alice Example 2", "Bob Example 1"}},
			{broker.Match{ID: id}, []string{"Alice Example 2", "Bob Example 1"}},
			{broker.Match{ID: id, Person: "Bob Example"}, []string{"Alice Example 1", "Alice Example 2", "Bob Example 1"}},
			{broker.Match{}, nil},
		} {
			var got []string
			for _, one := range s.state.Sessions() {
				if !tt.match.Matches(one) {
					got = append(got, one.Name+map[string]string{client: " 1", other: " 2"}[one.Client])
				}
			}
			if slices.Sort(got); !slices.Equal(got, tt.want) {
				s.Errorf("%+v leaves %q, want %q", tt.match, got, tt.want)
			}
		}
		if n, err := s.state.Revoke(t.Context(), broker.Match{Person: subject}); n != 1 || err != nil {
			s.Errorf("%d ended: %v", n, err)
		}
		if n := len(s.state.Sessions()); n != 2 {
			s.Errorf("%d are left", n)
		}
	})
}

// signInAs signs a person in with a client.
func (s *stage) signInAs(client, person string) tokens {
	s.Helper()
	s.fake.Switch(func(sw *fakeentra.Switches) { sw.AutoSignIn = person })
	defer s.fake.Switch(func(sw *fakeentra.Switches) { sw.AutoSignIn = alice })
	return s.redeem(client, s.code(client)).tokens(s)
}

// TestSessionsOfOnePerson are bounded: the one that was used the longest time ago
// goes first.
func TestSessionsOfOnePerson(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client := s.register()
		first := s.redeem(client, s.code(client)).tokens(s)
		second := s.redeem(client, s.code(client)).tokens(s)
		tick()
		first = s.refresh(client, first.refresh).tokens(s)
		for range 99 {
			tick()
			s.redeem(client, s.code(client)).tokens(s)
		}
		if n := len(s.state.Sessions()); n != 100 {
			s.Errorf("%d sessions", n)
		}
		s.works(first.access, true)
		s.works(second.access, false)
	})
}

// TestEndThatWasNotStored cuts somebody off while the store takes nothing.
func TestEndThatWasNotStored(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		dir := filepath.Join(t.TempDir(), "store")
		s.restart(dir)
		client, got := s.signedIn()
		s.state.EndUnstored(s.state.Sessions()[0].ID)
		s.works(got.access, false)
		s.refresh(client, got.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
		if n, err := s.state.Revoke(t.Context(), broker.Match{Person: "Alice Example"}); n != 0 || err != nil {
			s.Errorf("%d ended: %v", n, err)
		}
		s.restart(dir)
		s.works(got.access, false)
		s.refresh(client, got.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
	})
}
