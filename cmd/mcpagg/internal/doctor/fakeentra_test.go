package doctor_test

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/doctor"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/compat"
	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// TestFakeEntra examines the set-up of mcpagg dev fake-entra, whose pages and errors
// are like Entra's, without a gateway that runs.
func TestFakeEntra(t *testing.T) {
	fake, err := fakeentra.Open(fakeentra.Options{Switches: fakeentra.Switches{LoopbackIPPort: fakeentra.PortIgnore}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	demo := fake.AddDemo()
	opts := demoOptions(t, fake, demo)
	for name, test := range map[string]struct {
		token    fakeentra.TokenRequest
		problems int
		want     string
	}{
		"a person": {
			fakeentra.TokenRequest{User: "alice@contoso.example", Client: demo.Client.ClientID, Resource: demo.API.ClientID, Scopes: []string{"mcp.access"}},
			0, "groups 2: platform data",
		},
		"somebody in 300 groups": {
			fakeentra.TokenRequest{User: "dave@contoso.example", Client: demo.Client.ClientID, Resource: demo.API.ClientID, Scopes: []string{"mcp.access"}},
			0, "groups 300: 0",
		},
		"a token for Graph": {
			fakeentra.TokenRequest{User: "alice@contoso.example", Client: demo.Client.ClientID, Resource: fakeentra.GraphApp, Scopes: []string{"User.Read"}},
			1, "kind access token for Microsoft Graph",
		},
		"a program": {
			fakeentra.TokenRequest{Client: demo.Daemon.ClientID, Resource: demo.API.ClientID},
			1, "kind access token of version 2.0, of a program without a person",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if opts.Token, err = fake.Token(test.token); err != nil {
				t.Fatal(err)
			}
			report := doctor.Examine(context.Background(), opts)
			if n := report.Count(doctor.Problem); n != test.problems {
				t.Errorf("%d problems, want %d: %+v", n, test.problems, report.Findings)
			}
			var facts strings.Builder
			for _, f := range report.Token {
				facts.WriteString(f.Name + " " + f.Value + "\n")
			}
			if !strings.Contains(facts.String(), test.want) {
				t.Errorf("%q is missing in\n%s", test.want, facts.String())
			}
		})
	}
}

func demoOptions(t *testing.T, fake *fakeentra.Server, demo fakeentra.Demo) doctor.Options {
	public, err := url.Parse("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	cloud := entra.Cloud{Authority: fake.URL(), STS: fake.STS(), Graph: fake.GraphURL()}
	aliases := map[string]string{}
	for _, g := range demo.Groups {
		aliases[g.ID] = g.Name
	}
	return doctor.Options{SignIn: oauth.Options{
		PublicURL: public, GroupAliases: aliases,
		Providers: []oauth.Provider{{
			Name: "demo", Audiences: []string{demo.API.ClientID}, Scopes: []oauth.Scope{{Name: "mcp.access", Advertised: "mcp.access"}},
			Entra: &oauth.EntraTenant{Cloud: cloud, Tenant: fake.TenantID(), Graph: entra.NewGraph(entra.GraphOptions{
				Cloud: cloud, Tenant: fake.TenantID(), ClientID: demo.Graph.ClientID,
				Secret: func(context.Context) (string, error) { return demo.Graph.Secrets[0], nil },
			})},
		}},
		Facade: compat.New(compat.Options{
			PublicURL: public, Cloud: cloud, Tenant: fake.TenantID(), ClientID: demo.Client.ClientID, Log: log,
			Redirects: redirect.Rules{Loopback: true, Allowed: redirect.Vendors["vscode"]},
			Scopes:    []compat.Scope{{Name: "mcp.access", Qualified: demo.API.ClientID + "/mcp.access"}},
		}),
	}}
}
