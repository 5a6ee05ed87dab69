package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// statusFlags are the flags of mcpagg status.
type statusFlags struct {
	runningFlags
	watch, json bool
}

func newStatusCommand() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how a running gateway and its upstreams do",
		Long: `Show how a running gateway and its upstreams do. The exit code is 1 if there is
no gateway, and 0 if there is one, whatever state its upstreams are in; a script
finds that in the JSON:

  mcpagg status --json | jq -e 'all(.upstreams[]; .state == "connected")'

SINCE is for how long an upstream has been in its state, RESTARTS how often it
was lost and came back, BUSY how many calls are under way, FAILED how many got no
answer. P50 and P95 are how long half and 95 % of the answered calls took at most.`,
		Example: `  mcpagg status -c gateway.hcl
  mcpagg status --socket /run/mcpagg/mcpagg.sock --watch
  mcpagg status --json`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, err := f.find(cmd)
			if err != nil {
				return err
			}
			if f.watch {
				return f.repeat(cmd.Context(), g, cmd.OutOrStdout())
			}
			s, err := g.status(cmd.Context())
			switch {
			case err != nil:
				return err
			case f.json:
				return printJSON(cmd.OutOrStdout(), s)
			}
			return screenOf(cmd.OutOrStdout()).show(s, time.Now())
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "show it again every second, until interrupted")
	cmd.Flags().BoolVar(&f.json, "json", false, "print as JSON, with --watch one line each time")
	return cmd
}

// repeat shows the status every second until ctx ends or the gateway is gone.
func (f *statusFlags) repeat(ctx context.Context, g *runningGateway, out io.Writer) error {
	next := time.NewTicker(time.Second)
	defer next.Stop()
	for {
		s, err := g.status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f.showNext(out, s); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *statusFlags) showNext(out io.Writer, s status) error {
	if f.json {
		return json.NewEncoder(out).Encode(s) // in one line
	}
	return screenOf(out).redraw(s, time.Now())
}
