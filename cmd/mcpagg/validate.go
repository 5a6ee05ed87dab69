package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/policycmd"
	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/upstream"
)

// validateFlags are the flags of mcpagg validate.
type validateFlags struct {
	config []string
	live   bool
	json   bool
}

func newValidateCommand() *cobra.Command {
	var f validateFlags
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a configuration and report every mistake in it",
		Long: `Check a configuration and report every mistake in it, each with its place and
what to do about it. The exit code is 2 if there are any.

With --live, also connect to every upstream, list its tools, and check the policies
against them as mcpagg policy check does. The exit code is 1 if one could not be
reached.`,
		Example: `  mcpagg validate -c gateway.hcl
  mcpagg validate -c gateway.hcl --live
  mcpagg validate -c conf.d --json`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return validate(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addConfigFlag(cmd, &f.config)
	cmd.Flags().BoolVar(&f.live, "live", false, "connect to every upstream and list its tools")
	cmd.Flags().BoolVar(&f.json, "json", false, "print as JSON")
	return cmd
}

// A validation is what came of checking a configuration.
type validation struct {
	Valid     bool           `json:"valid"`
	Upstreams int            `json:"upstreams"`
	Policies  int            `json:"policies,omitempty"`
	Mistakes  any            `json:"mistakes"` // an array
	Warnings  []string       `json:"warnings,omitempty"`
	Live      []liveUpstream `json:"live,omitempty"`
	Hidden    []string       `json:"not_published,omitempty"`
	// Findings are what of the policies does not fit the tools.
	Findings []check.Finding `json:"policy_findings,omitempty"`
}

// A liveUpstream is what connecting to an upstream showed.
type liveUpstream struct {
	Name      string       `json:"name"`
	Connected bool         `json:"connected"`
	Era       upstream.Era `json:"era,omitempty"`
	Tools     int          `json:"tools"` // published ones
	Error     string       `json:"error,omitempty"`
}

func validate(ctx context.Context, f validateFlags, stdout, stderr io.Writer) error {
	cfg, err := readConfig(f, stdout, stderr)
	if err != nil {
		return err
	}
	v := validation{Valid: true, Upstreams: len(cfg.Gateway.Upstreams), Mistakes: []string{}, Warnings: cfg.Warnings}
	if cfg.Policy != nil {
		v.Policies = len(cfg.Policy.Policies)
	}
	if f.live {
		if err := v.connect(ctx, cfg); err != nil {
			return &exitError{Code: exitRunTime, Err: err}
		}
	}
	if f.json {
		err = printJSON(stdout, v)
	} else {
		err = v.print(stdout, f.config)
	}
	if missing := v.missing(); missing > 0 && err == nil {
		return &exitError{Code: exitRunTime, Err: fmt.Errorf("%s could not be reached", count(missing, "upstream"))}
	}
	return err
}

// readConfig reads the configuration, or prints all that is wrong with it.
func readConfig(f validateFlags, stdout, stderr io.Writer) (*config.Config, error) {
	if !f.json {
		return loadTested(f.config, stderr)
	}
	cfg, err := config.Load(f.config, os.LookupEnv)
	var mistakes *config.Mistakes
	if errors.As(err, &mistakes) {
		return nil, &exitError{Code: exitUsage, Err: printJSON(stdout, validation{Mistakes: mistakes})}
	}
	if err != nil {
		return nil, err
	}
	if err := usePolicies(cfg); err != nil {
		return nil, err
	}
	return cfg, testPolicies(cfg)
}

// connect connects to every upstream and notes what it has.
func (v *validation) connect(ctx context.Context, cfg *config.Config) error {
	gateway := newGateway(cfg, slog.New(slog.DiscardHandler))
	runCtx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer cfg.CloseSecrets()
	defer running.Wait()
	defer stop()
	running.Go(func() { gateway.Run(runCtx) })
	if err := gateway.Settled(ctx); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	catalog := gateway.Catalog()
	for _, u := range gateway.Upstreams() {
		v.Live = append(v.Live, liveUpstream{
			Name: u.Name, Connected: u.State == upstream.Connected, Era: u.Era,
			Tools: toolsOf(catalog, u.Name), Error: u.LastError,
		})
	}
	for _, h := range catalog.Hidden {
		v.Hidden = append(v.Hidden, visible(fmt.Sprintf("%s %s/%s: %s", h.Kind, h.Upstream, h.Original, h.Reason)))
	}
	v.Findings = checkPolicies(ctx, cfg, gateway)
	return nil
}

func toolsOf(catalog *aggregator.Catalog, name string) int {
	n := 0
	for _, t := range catalog.Tools() {
		if t.Policy().Upstream == name {
			n++
		}
	}
	return n
}

func (v *validation) missing() int {
	n := 0
	for _, u := range v.Live {
		if !u.Connected {
			n++
		}
	}
	return n
}

func (v *validation) print(w io.Writer, paths []string) error {
	is := "is"
	if len(paths) > 1 {
		is = "are"
	}
	has := count(v.Upstreams, "upstream")
	if v.Policies > 0 {
		has += ", " + count(v.Policies, "policy")
	}
	fmt.Fprintf(w, "%s %s valid: %s\n", strings.Join(paths, ", "), is, has)
	for _, warning := range v.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", warning)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, u := range v.Live {
		if u.Connected {
			fmt.Fprintf(table, "  %s\t%s, %s\n", u.Name, u.Era, count(u.Tools, "tool"))
		} else {
			fmt.Fprintf(table, "  %s\t%s\n", u.Name, visible(u.Error))
		}
	}
	for _, h := range v.Hidden {
		fmt.Fprintf(table, "  not published: %s\n", h)
	}
	if err := table.Flush(); err != nil || len(v.Findings) == 0 {
		return err
	}
	fmt.Fprintf(w, "\nThe policies have %s for these tools:\n\n", check.Summary(v.Findings))
	return check.WriteText(w, v.Findings, policycmd.Painter(w))
}
