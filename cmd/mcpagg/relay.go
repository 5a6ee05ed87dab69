package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/upstream/egress"
)

// newRelayCommand is for containers that the gateway starts, beside an upstream
// whose network is "egress".
func newRelayCommand() *cobra.Command {
	var relay egress.Relay
	cmd := &cobra.Command{
		Use:    "relay",
		Short:  "Join a container's network with the gateway",
		Hidden: true,
		Long: `Join a network namespace that has loopback only with the gateway, through Unix
sockets in a folder that both see. The gateway starts this itself, in a container
of its own. It prints "ready" when it listens, and ends when its standard input
does.`,
		Example: "  mcpagg relay --out 127.0.0.1:3128 --out-socket /run/mcpagg/out.sock",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() {
				_, _ = io.Copy(io.Discard, cmd.InOrStdin())
				cancel()
			}()
			return relay.Run(ctx, func() { fmt.Fprintln(cmd.OutOrStdout(), "ready") })
		},
	}
	cmd.Flags().StringVar(&relay.Out, "out", "127.0.0.1:3128", "where clients in the container find the proxy")
	cmd.Flags().StringVar(&relay.OutSocket, "out-socket", "", "socket of the proxy")
	cmd.Flags().StringVar(&relay.In, "in", "", "address of a server in the container")
	cmd.Flags().StringVar(&relay.InSocket, "in-socket", "", "socket to make for that server")
	_ = cmd.MarkFlagRequired("out-socket")
	cmd.MarkFlagsRequiredTogether("in", "in-socket")
	return cmd
}
