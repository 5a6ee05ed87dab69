package broker_test

import (
	"net/http"
	"testing"
)

func TestSignIn(t *testing.T) {
	s := newStage(t)
	clientID, got := s.signedIn()
	c, status := s.mcp(got.access)
	if status != http.StatusOK {
		t.Fatalf("HTTP %d\n%s", status, s.log)
	}
	if c.Name != "Alice Example" || c.Client.ID != clientID || len(c.Scopes) != 1 {
		t.Errorf("the caller is %+v", c)
	}
	next := s.refresh(clientID, got.refresh).tokens(t)
	if next.refresh == got.refresh || next.access == got.access {
		t.Error("a refresh changes nothing")
	}
	if _, status := s.mcp(next.access); status != http.StatusOK {
		t.Errorf("HTTP %d", status)
	}
}
