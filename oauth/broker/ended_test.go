package broker

import (
	"log/slog"
	"testing"
	"time"

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
	defer s.Close()
	r := &record{Person: `User::"contoso/alice"`, Ends: time.Now().Add(time.Hour)}
	id, err := s.createSession(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	_, revision, err := s.record(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.endSession(t.Context(), id, "a test"); err != nil {
		t.Fatal(err)
	}
	s.applySession(store.Event{Entry: store.Entry{Key: id, Revision: revision + 1}, Deleted: true}) // as the store tells
	s.remember(id, r, revision)
	if s.session(id) != nil {
		t.Error("it has come back")
	}
}

// TestOwnTokensAreBounded has more tokens than are remembered.
func TestOwnTokensAreBounded(t *testing.T) {
	tokens := newOwnTokens()
	for i := range 3 * maxOwnTokens {
		tokens.put([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, &ownToken{})
	}
	if n := len(tokens.young) + len(tokens.old); n > 2*maxOwnTokens {
		t.Errorf("%d are remembered", n)
	}
	last := 3*maxOwnTokens - 1
	if tokens.get([32]byte{byte(last), byte(last >> 8), byte(last >> 16)}) == nil {
		t.Error("the last one is not")
	}
}
