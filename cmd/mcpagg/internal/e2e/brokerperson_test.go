//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// TestBrokerGroups has the groups of people come from a provider in ID tokens, or only
// from its userinfo endpoint. The page of a person lists them.
func TestBrokerGroups(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]string{"ID token": nil, "userinfo": {"--userinfo"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := fmt.Sprintf("127.0.0.1:%d", freePort(t))
			base := "http://" + host
			_, auth := startBrokered(t, base+"/oauth2/callback", options...)
			s := newSandbox(t)
			c := signInConfig{server: fmt.Sprintf("  public_url = %q\n", base), blocks: auth}
			s.write(t, "gateway.hcl", c.file(upstream{label: "recorder", url: startRecorder(t).url}))
			s.serve(t, []string{gatewaySecretEnv + "=" + gatewaySecret}, "--listen", host)
			eventually(t, func() string {
				page, err := ownPage(t.Context(), base, "alice")
				if err != nil {
					return err.Error() // the gateway does not know its provider yet
				}
				if !strings.Contains(page, ">people<") {
					t.Fatalf("the page of a person does not list the group:\n%s", page)
				}
				return ""
			})
		})
	}
}

// ownPage signs somebody in to their own page.
func ownPage(ctx context.Context, base, user string) (string, error) {
	b, err := newBrowser(user)
	if err != nil {
		return "", err
	}
	defer b.http.CloseIdleConnections()
	p, err := b.open(ctx, base+"/me")
	const pages = 10
	for range pages {
		if err != nil {
			return "", err
		}
		if strings.Contains(p.text, "Policies know you as") {
			return p.text, nil
		}
		p, err = b.goOn(ctx, p)
	}
	return "", errors.New("the pages have no end")
}

// TestBrokerPerson is what happens at the provider to somebody who is signed in: it
// counts from the next refresh on.
func TestBrokerPerson(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	for name, change := range map[string]func(user string){
		"disabled": func(user string) { b.entra.ChangeUser(user, func(u *fakeentra.User) { u.Disabled = true }) },
		"revoked":  func(user string) { b.entra.Revoke(user) },
		"challenged": func(string) {
			b.entra.Switch(func(sw *fakeentra.Switches) {
				sw.Challenge = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
			})
		},
	} {
		user := name + "@contoso.example"
		b.entra.AddUser(fakeentra.User{Name: user})
		v, err := newVisitor(t.Context(), b.base, user, "")
		if err == nil {
			err = v.enter(t.Context())
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		change(user)
		var r *refusal
		if err := v.renew(t.Context()); !errors.As(err, &r) || r.text != "invalid_grant" {
			t.Errorf("%s: the refresh comes to %v", name, err)
		}
		if status, _, err := v.list(t.Context()); err != nil || status != http.StatusUnauthorized {
			t.Errorf("%s: the access token is answered %d, %v", name, status, err)
		}
		if name == "challenged" {
			if err := v.enter(t.Context()); err != nil {
				t.Errorf("%s: signing in again: %v", name, err)
			}
			if err := v.renew(t.Context()); err != nil {
				t.Errorf("%s: a refresh after signing in again: %v", name, err)
			}
			b.entra.Switch(func(sw *fakeentra.Switches) { sw.Challenge = "" })
		}
	}
}
