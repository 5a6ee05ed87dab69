package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// sessionsFlags are the flags of mcpagg sessions and what is below it.
type sessionsFlags struct {
	runningFlags
	match sessionMatch
	yes   bool
	json  bool
}

func (f *sessionsFlags) add(cmd *cobra.Command) {
	f.runningFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.match.Person, "person", "", "only those of a person, by their id or name")
	flags.StringVar(&f.match.Client, "client", "", "only those with a client, by its client id or name")
	flags.BoolVar(&f.json, "json", false, "print as JSON")
}

func newSessionsCommand() *cobra.Command {
	cmd := newSessionsListCommand()
	cmd.Use, cmd.Short = "sessions", "Show who is signed in at a running gateway, or end that"
	cmd.Example = `  mcpagg sessions -c gateway.hcl
  mcpagg sessions list --person 5f2b0c1d-0000-0000-0000-000000000001
  mcpagg sessions revoke --person "Ann Example"`
	cmd.AddCommand(newSessionsListCommand(), newSessionsRevokeCommand())
	return cmd
}

func newSessionsListCommand() *cobra.Command {
	var f sessionsFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show who is signed in at a running gateway",
		Long: `Show who is signed in at a running gateway, and with which client; the latest
comes first. A person who uses three clients has three sessions. They are known
only where the gateway signs people in itself, in the mode broker.

REFRESHED is when the client last renewed its token, and ENDS when the session is
over if it does not do so again. A name of a client is what the client says of
itself; --json has its client id as well, and that of the person.`,
		Example: `  mcpagg sessions list -c gateway.hcl
  mcpagg sessions list --client "Claude Code" --json`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, err := f.gateway(cmd)
			if err != nil {
				return err
			}
			sessions, err := g.sessions(cmd.Context(), f.match)
			switch {
			case err != nil:
				return err
			case f.json:
				return printJSON(cmd.OutOrStdout(), sessions)
			}
			return printSessions(cmd.OutOrStdout(), sessions, f.match, time.Now())
		},
	}
	f.add(cmd)
	return cmd
}

func newSessionsRevokeCommand() *cobra.Command {
	var f sessionsFlags
	cmd := &cobra.Command{
		Use:   "revoke [ID…]",
		Short: "End sessions at a running gateway",
		Long: `End sessions at a running gateway, at once: what is being streamed is cut off, and
the next request of the client is answered as if nobody had signed in. The client
then asks its person to sign in again, who may do so, unless the provider does not
let them in any more.

With --person alone, browsers in which that person has their own page (/me) open are
signed out of it, too.

The exit code is 1 if no session matches. With --all, you are asked first. An ID
that begins with - has to stand behind --.`,
		Example: `  mcpagg sessions revoke --person "Ann Example"
  mcpagg sessions revoke --client "Claude Code" --json
  mcpagg sessions revoke --all --yes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			f.match.IDs = ids
			if err := f.check(); err != nil {
				return err
			}
			g, err := f.gateway(cmd)
			if err != nil {
				return err
			}
			if err := f.confirm(cmd, g); err != nil {
				return err
			}
			result, err := g.revoke(cmd.Context(), f.match)
			if err != nil {
				return err
			}
			return f.tell(cmd, result)
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.match.All, "all", false, "end all sessions of everybody")
	flags.BoolVar(&f.yes, "yes", false, "do not ask whether that is meant")
	return cmd
}

// check refuses to guess which sessions are meant.
func (f *sessionsFlags) check() error {
	some := len(f.match.IDs) > 0 || f.match.Person != "" || f.match.Client != ""
	switch {
	case !some && !f.match.All:
		return usageError("which sessions? Name their ids, as 'mcpagg sessions' prints them, or --person, --client or --all")
	case some && f.match.All:
		return usageError("--all ends the sessions of everybody, and goes with nothing else that says which")
	}
	return nil
}

// gateway is the one that is meant, and runs.
func (f *sessionsFlags) gateway(cmd *cobra.Command) (*runningGateway, error) {
	g, err := f.find(cmd)
	if err != nil {
		return nil, err
	}
	_, err = g.status(cmd.Context()) // it may be another gateway
	return g, err
}

// confirm asks whether everybody's sessions are meant.
func (f *sessionsFlags) confirm(cmd *cobra.Command, g *runningGateway) error {
	if !f.match.All || f.yes {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if ok {
		_, _, ok = terminalSize(in)
	}
	if !ok {
		return usageError("--all ends the sessions of everybody; where nobody can be asked, confirm it with --yes")
	}
	sessions, err := g.sessions(cmd.Context(), sessionMatch{})
	if err != nil {
		return err
	}
	return ask(in, cmd.ErrOrStderr(), fmt.Sprintf("End all %s? Everybody has to sign in again. [y/N] ", count(len(sessions), "session")))
}

// ask returns nil if the answer to a question is yes.
func ask(in io.Reader, out io.Writer, question string) error {
	fmt.Fprint(out, question)
	answer, _ := bufio.NewReader(in).ReadString('\n') // none is no
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// tell prints what came of it.
func (f *sessionsFlags) tell(cmd *cobra.Command, result revocation) error {
	if f.json {
		if err := printJSON(cmd.OutOrStdout(), result); err != nil {
			return err
		}
	} else if result.Revoked > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "Ended %s.\n", count(result.Revoked, "session"))
	}
	switch {
	case len(result.Unknown) > 0:
		return fmt.Errorf("there is no session %s", strings.Join(result.Unknown, ", "))
	case result.Revoked == 0 && !f.match.All:
		return errors.New("no session matches; 'mcpagg sessions' lists those that there are")
	case result.Revoked == 0 && !f.json:
		fmt.Fprintln(cmd.OutOrStdout(), "Nobody is signed in.")
	}
	return nil
}

func (g *runningGateway) sessions(ctx context.Context, m sessionMatch) (sessions []session, err error) {
	query := url.Values{"person": {m.Person}, "client": {m.Client}}
	err = g.ask(ctx, http.MethodGet, "/sessions?"+query.Encode(), nil, &sessions)
	return sessions, err
}

func (g *runningGateway) revoke(ctx context.Context, m sessionMatch) (result revocation, err error) {
	err = g.ask(ctx, http.MethodPost, "/sessions/revoke", m, &result)
	return result, err
}

// printSessions prints a line for each session.
func printSessions(out io.Writer, sessions []session, m sessionMatch, now time.Time) error {
	switch {
	case len(sessions) > 0:
	case m.Person != "" || m.Client != "":
		_, err := fmt.Fprintln(out, "No session matches.")
		return err
	default:
		_, err := fmt.Fprintln(out, "Nobody is signed in.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PERSON\tCLIENT\tSIGNED IN\tREFRESHED\tENDS\tID")
	for _, s := range sessions {
		fmt.Fprintf(w, "%s\t%s\t%s ago\t%s ago\tin %s\t%s\n", named(s.Name, s.Person), named(s.ClientName, s.Client),
			ago(s.SignedIn, now), ago(s.Refreshed, now), ago(now, s.Ends), visible(s.ID))
	}
	return w.Flush()
}

// named is a name that somebody chose, or else an id, and short enough for a column.
func named(name, id string) string {
	if name == "" {
		name = id
	}
	return cut(visible(name), 40)
}
