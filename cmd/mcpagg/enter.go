package main

import (
	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/upstream/entry"
)

// newEnterCommand is for containers that the gateway starts, in which it runs
// before the image's own program.
func newEnterCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:    "enter -- PROGRAM [ARGUMENT…]",
		Short:  "Become the program of a container",
		Hidden: true,
		Long: `Take over the environment, stdin and stdout that the gateway has for this
container, from a Unix socket in a folder that both see, and become the program.
The gateway starts this itself, as the first program of the containers it runs.`,
		Example: "  mcpagg enter --socket /.mcpagg-x/entry.sock -- node server.js",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return &exitError{Code: exitNotFound, Err: entry.Enter(socket, args)}
		},
	}
	cmd.Flags().StringVar(&socket, "socket", "", "socket of the gateway")
	_ = cmd.MarkFlagRequired("socket")
	return cmd
}

// exitNotFound is the exit code of a container whose program is not there, as
// engines have it.
const exitNotFound = 127
