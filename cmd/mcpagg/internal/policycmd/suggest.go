package policycmd

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/replay"
)

func newSuggestCommand() *cobra.Command {
	var (
		flags   workspace.Flags
		logs    logFlags
		groupBy string
	)
	cmd := &cobra.Command{
		Use:   "suggest [LOG]...",
		Short: "Write the permits that would have been enough for what people did",
		Long: `Read audit files and write permits, for each group or person, of the tools that were
used and allowed. What was only allowed under conditions is named in comments: a permit
without them would be more than was allowed. It is a draft, and says what it cannot know.

` + logsHelp + workspace.Help,
		Example: `  mcpagg policy suggest --since 90d > policies-next/used.cedar
  mcpagg policy suggest audit.jsonl --group-by person --policies policies`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if groupBy != "group" && groupBy != "person" {
				return cli.UsageError("--group-by %q is neither group nor person", cli.Visible(groupBy))
			}
			since, err := logs.time(time.Now())
			if err != nil {
				return err
			}
			w, err := flags.Load(cmd.Context(), workspace.Options{Stderr: cmd.ErrOrStderr(), WithoutTools: true, WithoutPolicies: true})
			if err != nil {
				return err
			}
			files, err := logsOf(args, w, since)
			if err != nil {
				return err
			}
			s, err := replay.Suggest(files, replay.Options{Engine: w.Engine, Since: since}, groupBy == "person")
			if err != nil {
				return err
			}
			if logs.json {
				return cli.PrintJSON(cmd.OutOrStdout(), s)
			}
			writeRead(cmd.ErrOrStderr(), s.Read)
			_, err = fmt.Fprint(cmd.OutOrStdout(), s.Cedar())
			return err
		},
	}
	flags.AddPolicies(cmd)
	logs.add(cmd)
	cmd.Flags().StringVar(&groupBy, "group-by", "group", "group or person: whom permits are for")
	return cmd
}
