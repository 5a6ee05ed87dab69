package broker

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/pages"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// TestEndedSessionStaysEnded is about a session that ends in the moment between its
// being stored and its being in memory, which no test from outside can hit.
func TestEndedSessionStaysEnded(t *testing.T) {
	st, err := store.Open(t.Context(), store.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s, err := OpenState(t.Context(), StateOptions{Store: st, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.Close() // so that the store tells what the test says, and nothing else
	r := &record{Person: `User::"contoso/alice"`, Ends: time.Now().Add(time.Hour)}
	id, err := s.createSession(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	_, revision, err := s.record(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := st.Get(t.Context(), kindSession, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.endSession(t.Context(), id, "a test"); err != nil {
		t.Fatal(err)
	}
	for i, happens := range []func(){
		func() { s.applySession(store.Event{Entry: stored}) }, // the store tells of how it was
		func() {
			s.applySession(store.Event{Entry: store.Entry{Key: id, Revision: revision + 1}, Deleted: true})
		},
		func() { s.remember(id, r, revision) }, // and whoever stored it comes last
	} {
		if happens(); s.session(id) != nil {
			t.Errorf("it has come back after step %d", i)
		}
	}
}

// TestEndOwnSessions has a person end all their sessions while nothing can be stored.
func TestEndOwnSessions(t *testing.T) {
	st, err := store.Open(t.Context(), store.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenState(t.Context(), StateOptions{Store: st, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	const alice = `User::"contoso/alice"`
	for range 3 {
		if _, err := s.createSession(t.Context(), &record{Person: alice, Ends: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.endOwn(t.Context(), alice, pages.AllSessions); err == nil {
		t.Error("nobody is told that they will be there after a restart")
	}
	if n := len(s.sessionsOf(alice)); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// TestOwnTokensAreBounded has more tokens than are remembered.
func TestOwnTokensAreBounded(t *testing.T) {
	tokens := newOwnTokens()
	for i := range 3 * maxOwnTokens {
		tokens.put([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, &ownToken{claims: &accessClaims{}, caller: &oauth.Caller{}})
	}
	if n := len(tokens.young) + len(tokens.old); n > 2*maxOwnTokens {
		t.Errorf("%d are remembered", n)
	}
	last := 3*maxOwnTokens - 1
	if tokens.get([32]byte{byte(last), byte(last >> 8), byte(last >> 16)}) == nil {
		t.Error("the last one is not")
	}
}

// TestTurnsAreDrained has many want the turns of a few sessions, and some give up.
func TestTurnsAreDrained(t *testing.T) {
	f := newFlights()
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if i%3 == 0 {
				cancel()
			}
			defer cancel()
			if release, err := f.take(ctx, string(rune('a'+i%7))); err == nil {
				release()
			}
		})
	}
	all.Wait()
	if n := len(f.turns); n != 0 {
		t.Errorf("%d are left", n)
	}
	for i := range 2 * maxPauses {
		f.pause(strconv.Itoa(i), time.Hour)
	}
	if n := len(f.pauses); n > maxPauses {
		t.Errorf("%d people are remembered", n)
	}
}
