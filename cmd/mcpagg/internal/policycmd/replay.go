package policycmd

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/replay"
)

func newReplayCommand(live workspace.Live) *cobra.Command {
	var (
		flags     workspace.Flags
		logs      logFlags
		arguments bool
	)
	cmd := &cobra.Command{
		Use:   "replay [LOG]...",
		Short: "Decide past calls again, and say which would come out otherwise",
		Long: `Read audit files and decide each request again by the policies at hand, or in
--policies. Which come out otherwise is listed by policy and tool. That is claimed only
where it is certain: where a record does not tell what a condition looks at, the request
is unknown, with what is lacking and how to have it written.

Tools are taken as they are now, and arguments that are not written for such as the
tool's schema allows.

` + logsHelp + workspace.Help,
		Example: `  mcpagg policy replay --policies policies-next --since 30d
  mcpagg policy replay audit.jsonl --policies policies-next --catalog catalog.json --json`,
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
			report, err := replay.Replay(files, replay.Options{
				Engine: w.Engine, Objects: w.Objects, Aliases: w.Set.Groups, Since: since, Arguments: arguments,
			})
			if err != nil {
				return err
			}
			if logs.json {
				return cli.PrintJSON(cmd.OutOrStdout(), report)
			}
			writeReplay(cmd.OutOrStdout(), report)
			return nil
		},
	}
	flags.Add(cmd)
	logs.add(cmd)
	cmd.Flags().BoolVar(&arguments, "show-arguments", false, "show arguments of examples, where they are written whole")
	return cmd
}

func writeReplay(w io.Writer, r *replay.Report) {
	writeRead(w, r.Read)
	fmt.Fprintf(w, "\n%-8d come out as before\n%-8d would be denied\n%-8d would be allowed\n%-8d unknown\n", r.Same, r.Denied, r.Allowed, r.Unknown)
	if r.Other > 0 {
		fmt.Fprintf(w, "%-8d were refused for other reasons, whatever policies say\n", r.Other)
	}
	fmt.Fprintf(w, "%d of %d are certain\n", r.Certain(), r.Decided)
	for _, f := range r.Flips {
		fmt.Fprintf(w, "\n%s → %s  %s\n", f.From, f.To, cli.Visible(f.Object))
		fmt.Fprintf(w, "  %s\n", decidedBy(f))
		writeGroup(w, &f.Group)
	}
	for _, o := range r.Unknowns {
		fmt.Fprintf(w, "\n%s → unknown  %s\n", o.From, cli.Visible(o.Object))
		if o.Policy.ID != "" {
			fmt.Fprintf(w, "  %s may matter\n", policyAt(o.Policy))
		}
		fmt.Fprintf(w, "  the records do not tell %s\n", cli.Visible(strings.Join(o.Lacks, ", ")))
		for _, how := range o.How {
			fmt.Fprintf(w, "  %s\n", how)
		}
		writeGroup(w, &o.Group)
	}
	if r.More > 0 {
		fmt.Fprintf(w, "\n%s in none of the lists, which are full; read less with --since\n", cli.Count(r.More, "request"))
	}
}

// decidedBy says what decides now, and what did before.
func decidedBy(f *replay.Flip) string {
	text := f.Why
	if f.Policy.ID != "" {
		text = "by " + policyAt(f.Policy)
	}
	if f.Before.ID != "" {
		text += "; before by " + policyAt(f.Before)
	}
	return text
}

func policyAt(p replay.Reason) string {
	return cli.Visible(fmt.Sprintf("%s (%s:%d)", p.ID, p.File, p.Line))
}

func writeGroup(w io.Writer, g *replay.Group) {
	fmt.Fprintf(w, "  %s by %s, first %s, last %s\n", cli.Count(g.Count, "request"), cli.Count(g.Callers, "caller"), day(g.First), day(g.Last))
	for _, e := range g.Examples {
		fmt.Fprintf(w, "    %s  %s  %s", cli.Visible(e.ID), cli.Visible(e.Place), cli.Visible(e.Caller))
		if e.Arguments != nil {
			fmt.Fprintf(w, "  %s", cli.Visible(string(e.Arguments)))
		}
		fmt.Fprintln(w)
	}
}
