package secrets

import (
	"context"
	"net/url"
	"testing"
	"time"
)

// A source whose own credential is missing has refused nothing, so what is known
// of its secrets counts on.
func TestMissingCredentialIsNoRefusal(t *testing.T) {
	missing := func(context.Context) (string, error) { return "", refused("there is no such file in the folder") }
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	for name, source := range map[string]Source{
		"exec":      Exec{Command: []string{"/bin/true"}, Env: map[string]func(context.Context) (string, error){"TOKEN": missing}},
		"token":     NewVault(VaultOptions{URL: u, Token: missing}),
		"approle":   NewVault(VaultOptions{URL: u, AppRole: &AppRole{RoleID: constant("r"), SecretID: missing}}),
		"key vault": NewKeyVault(KeyVaultOptions{URL: u, ClientSecret: missing}),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if _, err := source.Get(ctx, "x"); err == nil || isRefused(err) {
				t.Errorf("a refusal, or nothing: %v", err)
			}
		})
	}
}
