package broker_test

import (
	"net/http"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// TestStatusOfTheProvider tells operators that the gateway is not let in any more, and
// nothing of people who are not.
func TestStatusOfTheProvider(t *testing.T) {
	s := newStage(t)
	client, got := s.signedIn()
	secrets := func(secrets ...string) {
		s.fake.ChangeApp(s.app.ClientID, func(a *fakeentra.App) { a.Secrets = secrets })
	}
	secrets("another")
	s.refresh(client, got.refresh).refused(t, http.StatusServiceUnavailable, "temporarily_unavailable")
	if err := s.state.Status().Provider; err == nil {
		t.Error("nothing is said of a secret that is wrong")
	}
	secrets(gatewaySecret)
	got = s.refresh(client, got.refresh).tokens(t)
	if err := s.state.Status().Provider; err != nil {
		t.Errorf("it still says %v", err)
	}
	s.fake.ChangeUser(alice, func(u *fakeentra.User) { u.Disabled = true })
	s.refresh(client, got.refresh).refused(t, http.StatusBadRequest, "invalid_grant")
	if err := s.state.Status().Provider; err != nil {
		t.Errorf("it says of somebody who is disabled: %v", err)
	}
}
