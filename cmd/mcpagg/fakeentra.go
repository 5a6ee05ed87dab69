package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// fakeEntraFlags are what the stand-in for Entra is started with.
type fakeEntraFlags struct {
	listen, admin, loopbackIPPort, autoSignIn string
	logLevel                                  string
}

func newDevFakeEntraCommand() *cobra.Command {
	f := fakeEntraFlags{}
	cmd := &cobra.Command{
		Use:   "fake-entra",
		Short: "Run a stand-in for Microsoft Entra ID on this machine",
		Long: `Run a stand-in for Microsoft Entra ID and Microsoft Graph on this machine, with a
few people to sign in as, until it is interrupted. It prints what to paste into
gateway.hcl. Nothing is sent anywhere, and nothing is kept: whoever reaches it can
be anybody, so it listens on loopback addresses only.

The admin address serves GET /journal (all requests with their secrets), GET and
PATCH /switches, /faults, /keys and more; GET / lists it all.`,
		Example: `  mcpagg dev fake-entra
  mcpagg dev fake-entra --listen 127.0.0.1:9500 --admin 127.0.0.1:9501 --auto-sign-in alice@contoso.example
  curl -X PATCH -H 'Content-Type: application/json' -d '{"access_token_lifetime":"30s"}' http://127.0.0.1:9401/switches`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fakeEntra(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:9400", "loopback address of the stand-in")
	flags.StringVar(&f.admin, "admin", "127.0.0.1:9401", "loopback address of its admin API")
	flags.StringVar(&f.loopbackIPPort, "loopback-ip-port", fakeentra.PortIgnore, "whether the port of http://127.0.0.1 in redirect URIs counts: ignore or exact")
	flags.StringVar(&f.autoSignIn, "auto-sign-in", "", "sign this person in without a page")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// fakeEntra runs the stand-in until ctx ends.
func fakeEntra(ctx context.Context, f fakeEntraFlags, stdout, stderr io.Writer) error {
	if f.loopbackIPPort != fakeentra.PortIgnore && f.loopbackIPPort != fakeentra.PortExact {
		return usageError("--loopback-ip-port %q is neither ignore nor exact", f.loopbackIPPort)
	}
	log, err := newLogger(stderr, f.logLevel, "text")
	if err != nil {
		return err
	}
	fake, err := fakeentra.Open(fakeentra.Options{
		Addr: f.listen, AdminAddr: f.admin, Log: log, Demo: true,
		Switches: fakeentra.Switches{LoopbackIPPort: f.loopbackIPPort, AutoSignIn: f.autoSignIn},
	})
	if err != nil {
		return &exitError{Code: exitRunTime, Err: err}
	}
	defer fake.Close()
	demo := fake.AddDemo()
	if _, known := fake.User(f.autoSignIn); f.autoSignIn != "" && !known {
		return usageError("--auto-sign-in %q is none of the people", f.autoSignIn)
	}
	introduce(stdout, fake, demo)
	<-ctx.Done()
	return nil
}

// introduce prints who is there, and how a gateway gets there.
func introduce(w io.Writer, fake *fakeentra.Server, demo fakeentra.Demo) {
	fmt.Fprintf(w, `A stand-in for Microsoft Entra ID, for tests and demos, at

  %s      admin API: %s
  tenant %s (%s)

People, whose password is anything:
`, fake.URL(), fake.AdminURL(), fake.TenantID(), fakeentra.DefaultDomain)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, u := range demo.Users {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", u.Name, u.ID, fake.About(u.ID))
	}
	fmt.Fprintf(table, "\nApps:\n")
	for _, a := range []fakeentra.App{demo.API, demo.Client, demo.Broker, demo.Graph, demo.Daemon} {
		about := "public client"
		switch {
		case len(a.Scopes) > 0:
			about = "API with the scope " + strings.Join(a.Scopes, ", ")
		case len(a.Secrets) > 0:
			about = "secret " + strings.Join(a.Secrets, ", ")
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", a.Name, a.ClientID, about)
	}
	_ = table.Flush() // as with Fprintf, there is nobody to tell
	fmt.Fprintf(w, "\nIn gateway.hcl:\n\n%s", authBlock(fake, demo))
}

// authBlock is what a gateway's configuration needs to let people sign in here.
func authBlock(fake *fakeentra.Server, demo fakeentra.Demo) string {
	var b strings.Builder
	fmt.Fprintf(&b, `auth "entra" "demo" {
  tenant_id     = %q
  client_id     = %q
  client_secret = env("DEMO_BROKER_SECRET", %q)

  custom_cloud {
    authority = %q
    sts       = %q
    graph     = %q
  }
  graph {
    client_id     = %q
    client_secret = env("DEMO_GRAPH_SECRET", %q)
  }
}
`, fake.TenantID(), demo.Broker.ClientID, demo.Broker.Secrets[0], fake.URL(), fake.STS(), fake.GraphURL(), demo.Graph.ClientID, demo.Graph.Secrets[0])
	for _, g := range demo.Groups {
		fmt.Fprintf(&b, "\ngroup %q {\n  id = %q\n}\n", g.Name, g.ID)
	}
	b.WriteString("\npolicy {\n  inline = \"permit(principal, action, resource);\"\n}\n")
	return b.String()
}
