package clientdoc_test

import (
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// TestKnownWithoutInternet has clients that are known sign in where their documents
// cannot be fetched, and what is published count as soon as it can be.
func TestKnownWithoutInternet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startWith(t, redirect.Rules{Loopback: true})
		for id, want := range map[string][]string{
			"https://claude.ai/oauth/claude-code-client-metadata": {"http://localhost/callback", "http://127.0.0.1/callback"},
			"https://vscode.dev/oauth/client-metadata.json":       {"http://127.0.0.1:33418/", "https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect"},
		} {
			s.breakDown(http.StatusServiceUnavailable)
			for range 2 { // the second time, it is known that the host is down
				if doc := s.get(id); doc == nil || doc.ID != id || !slices.Equal(doc.Redirects, want) {
					t.Errorf("%s: got %+v", id, doc)
				}
			}
			s.publish(id, document(id, object{"client_name": "Another", "client_uri": nil}))
			time.Sleep(time.Minute)
			if doc := s.get(id); doc == nil || doc.Name != "Another" {
				t.Errorf("%s: got %+v once it is there", id, doc)
			}
		}
		s.breakDown(http.StatusServiceUnavailable)
		s.unavailable("https://claude.ai/oauth/another", "503")
	})
}

// TestKnownRedirectsAreThoseOfTheRules leaves nothing of a client that only goes where
// nobody may.
func TestKnownRedirectsAreThoseOfTheRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startWith(t, redirect.Rules{})
		s.breakDown(http.StatusServiceUnavailable)
		s.unavailable("https://claude.ai/oauth/claude-code-client-metadata", "503")
	})
}
