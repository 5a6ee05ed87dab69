package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func newReloadCommand() *cobra.Command {
	var (
		f      runningFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make a running gateway load its configuration anew",
		Long: `Make a running gateway load its configuration anew, and print what has changed.
What has not changed keeps its connections, and calls in flight finish. If there
is a mistake in the configuration, all of them are printed, nothing changes and
the exit code is 2.

SIGHUP does the same, and so does the gateway by itself when one of its files
changes, unless server.watch is false.`,
		Example: `  mcpagg reload -c gateway.hcl
  mcpagg reload --socket /run/mcpagg/mcpagg.sock --json`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, err := f.find(cmd)
			if err != nil {
				return err
			}
			result, err := g.reload(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return result.exit(printJSON(cmd.OutOrStdout(), result), true)
			}
			return result.exit(result.print(cmd.OutOrStdout(), cmd.ErrOrStderr()), false)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (g *runningGateway) reload(ctx context.Context) (result reloadResult, err error) {
	if _, err := g.status(ctx); err != nil { // it may be another gateway
		return result, err
	}
	err = g.ask(ctx, http.MethodPost, "/reload", nil, &result)
	return result, err
}

// exit is the error to end with, after printing.
func (r *reloadResult) exit(printed error, silent bool) error {
	if printed != nil || r.Reloaded || r.Failure == nil {
		return printed
	}
	code, err := exitRunTime, errors.New(r.Failure.Error+"; the old configuration keeps serving")
	if len(r.Failure.Mistakes) > 0 {
		code = exitUsage
	}
	if silent {
		err = nil
	}
	return &exitError{Code: code, Err: err}
}

func (r *reloadResult) print(stdout, stderr io.Writer) error {
	if r.Text != "" {
		_, err := fmt.Fprintln(stderr, visibleText(r.Text))
		return err
	}
	if !r.Reloaded {
		return nil // exit says why
	}
	changed := false
	for _, c := range []struct {
		what   string
		labels []string
	}{
		{"added", r.Added}, {"removed", r.Removed}, {"reconnected", r.Reconnected}, {"republished", r.Republished},
	} {
		if len(c.labels) > 0 {
			changed = true
			fmt.Fprintf(stdout, "%-12s %s\n", c.what, strings.Join(c.labels, ", "))
		}
	}
	if r.SignIn {
		changed = true
		fmt.Fprintf(stdout, "%-12s how people sign in\n", "changed")
	}
	for _, line := range r.Policies {
		changed = true
		fmt.Fprintln(stdout, visible(line))
	}
	if !changed {
		fmt.Fprintln(stdout, "reloaded; no upstream has changed")
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(stderr, "warning: "+warning)
	}
	for _, attribute := range r.RestartNeeded {
		fmt.Fprintf(stderr, "warning: the change of %s shows only after a restart\n", attribute)
	}
	return nil
}
