package policycmd

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/replay"
)

func newCoverageCommand(live workspace.Live) *cobra.Command {
	var (
		flags workspace.Flags
		logs  logFlags
	)
	cmd := &cobra.Command{
		Use:   "coverage [LOG]...",
		Short: "Say which policies decided calls, and which never did",
		Long: `Count in audit files how often each policy decided, and when it did last; and for each
permit, the tools that it may be about and never allowed. A policy goes by its @id, also
where the records are of other policies.

A forbid that never decided need not be useless: who cannot see a tool seldom calls it.

` + logsHelp + workspace.Help,
		Example: `  mcpagg policy coverage --since 30d
  mcpagg policy coverage audit.jsonl --policies policies --catalog catalog.json --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			since, err := logs.time(time.Now())
			if err != nil {
				return err
			}
			w, err := flags.Load(cmd.Context(), workspace.Options{Live: live, Stderr: cmd.ErrOrStderr()})
			if err != nil {
				return err
			}
			files, err := logsOf(args, w, since)
			if err != nil {
				return err
			}
			c, err := replay.Cover(files, replay.Options{Engine: w.Engine, Objects: w.Objects, Since: since})
			if err != nil {
				return err
			}
			if logs.json {
				return cli.PrintJSON(cmd.OutOrStdout(), c)
			}
			return writeCoverage(cmd.OutOrStdout(), c)
		},
	}
	flags.Add(cmd)
	logs.add(cmd)
	return cmd
}

func writeCoverage(w io.Writer, c *replay.Coverage) error {
	writeRead(w, c.Read)
	if c.Others > 0 {
		fmt.Fprintf(w, "%s by other policies than these, of which those of the same id count\n", cli.Count(c.Others, "decision"))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POLICY\tEFFECT\tDECIDED\tOBSERVED\tFAILED\tLAST")
	never := 0
	for _, u := range c.Policies {
		last := "never"
		if !u.Last.IsZero() {
			last = day(u.Last)
		} else {
			never++
		}
		effect := "forbid"
		if u.Permit {
			effect = "permit"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\n", policyAt(u.Policy), effect, u.Decided, u.Observed, u.Failed, last)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s never used\n", cli.Count(never, "policy"))
	for _, u := range c.Policies {
		if len(u.Unused) > 0 {
			fmt.Fprintf(w, "%s never allowed %s\n", policyAt(u.Policy), fewOf(u.Unused))
		}
	}
	return nil
}

// fewOf are the first of some names, and how many more there are.
func fewOf(names []string) string {
	const most = 5
	text := cli.Visible(strings.Join(names[:min(len(names), most)], ", "))
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
