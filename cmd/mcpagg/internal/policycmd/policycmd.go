// Package policycmd is mcpagg policy: commands with which people write policies, check
// and test them, and look at what they come to. Each has a file of its own here; what
// they do is in the packages below policy.
package policycmd

import (
	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
)

// New makes the command. What upstreams offer is listed by live.
func New(live workspace.Live) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write policies, check and test them, and see what they come to",
		Long: `Policies say who may use which tools. The commands below work on those of a
configuration and the tools of its upstreams, or on files alone: 'mcpagg catalog pull'
writes the tools to a catalog.json, with which everything works without upstreams and
without secrets.

The exit code is 3 if policies have mistakes, and 4 if their tests fail.`,
		Example: `  mcpagg catalog pull -c gateway.hcl      # write the tools to catalog.json
  mcpagg policy new                       # write a first policy and its test
  mcpagg policy check                     # what is wrong with policies
  mcpagg policy test                      # run the tests beside them
  mcpagg policy matrix --format html -o matrix.html
  mcpagg policy explain --group platform --tool github/create_issue`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newNewCommand(live),
		newImportCommand(),
		newSchemaCommand(live),
		newCheckCommand(live),
		newFmtCommand(),
		newTestCommand(live),
		newExplainCommand(live),
		newWhatCanCommand(live),
		newWhoCanCommand(live),
		newMatrixCommand(live),
		newDiffCommand(live),
		newReplayCommand(live),
		newCoverageCommand(live),
		newSuggestCommand(),
		newLSPCommand(live),
	)
	return cmd
}
