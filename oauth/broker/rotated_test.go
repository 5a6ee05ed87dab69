package broker_test

import (
	"path/filepath"
	"testing"
)

// TestRestartAfterRotation has sessions stored in another order than they began in:
// what the store seals anew comes later.
func TestRestartAfterRotation(t *testing.T) {
	s := newStage(t)
	dir := filepath.Join(t.TempDir(), "store")
	s.restart(dir)
	var all []tokens
	for range 5 {
		_, got := s.signedIn()
		all = append(all, got)
	}
	for range 2 {
		if _, err := s.state.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.restart(dir)
	if n := len(s.state.Sessions()); n != len(all) {
		t.Errorf("%d sessions", n)
	}
	for _, got := range all {
		s.works(got.access, true)
	}
}
