package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/upstream"
)

func newCatalogCommand() *cobra.Command {
	list := newCatalogListCommand("catalog")
	list.AddCommand(newCatalogListCommand("list"), newCatalogPullCommand())
	return list
}

// newCatalogListCommand makes the same command twice: listing is what
// "mcpagg catalog" does by itself.
func newCatalogListCommand(use string) *cobra.Command {
	var (
		target targetFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   use,
		Short: "List the published tools and where they come from",
		Long: `Connect to the upstreams of a configuration, or to a running gateway, and list
the published tools: original name and published name, and whether they are as
somebody has reviewed them (see mcpagg lock). Tools that no policy lets anybody use
are marked, and what is hidden is listed, with the reason on standard error. The exit
code is 1 if an upstream could not be reached.`,
		Example: `  mcpagg catalog -c gateway.hcl
  mcpagg catalog --url http://127.0.0.1:8080/mcp --json
  mcpagg catalog pull -c gateway.hcl -o catalog.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return target.with(cmd.Context(), cmd.ErrOrStderr(), func(_ context.Context, c *client) error {
				nobody := c.uncallable()
				if err := printTools(cmd.OutOrStdout(), c.tools(), nobody, asJSON); err != nil {
					return err
				}
				reportUncallable(cmd.ErrOrStderr(), nobody)
				return reportGaps(cmd.ErrOrStderr(), c.gateway)
			})
		},
	}
	target.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func newCatalogPullCommand() *cobra.Command {
	var (
		target targetFlags
		out    string
	)
	cmd := &cobra.Command{
		Use:   "pull",
		Short: "Write what is published to a catalog.json",
		Long: `Write the published tools, prompts, resources and templates, with all that policies
see of them, to a file. With it, 'mcpagg policy' works without the upstreams and
without secrets, for instance in a pipeline: put it under version control. The order
in it is always the same, so that it changes where what is published does.`,
		Example: "  mcpagg catalog pull -c gateway.hcl -o catalog.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if target.url != "" {
				return usageError("pull needs a configuration: a running gateway does not tell where its tools come from")
			}
			return target.with(cmd.Context(), cmd.ErrOrStderr(), func(_ context.Context, c *client) error {
				if err := reportGaps(cmd.ErrOrStderr(), c.gateway); err != nil {
					return err // half a catalog would look like a whole one
				}
				return writeCatalogFile(out, c.gateway.Catalog().ForPolicies(), cmd.OutOrStdout())
			})
		},
	}
	target.add(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "catalog.json", "file to write, or - for standard output")
	return cmd
}

func writeCatalogFile(path string, catalog policy.Catalog, stdout io.Writer) error {
	if path == "-" {
		return policy.WriteCatalog(stdout, catalog)
	}
	file, err := os.Create(path)
	if err != nil {
		return &exitError{Code: exitRunTime, Err: err}
	}
	if err := cmp.Or(policy.WriteCatalog(file, catalog), file.Close()); err != nil {
		return &exitError{Code: exitRunTime, Err: err}
	}
	_, err = fmt.Fprintf(stdout, "%s: %s, %s, %s, %s\n", path, count(len(catalog.Tools), "tool"), count(len(catalog.Prompts), "prompt"),
		count(len(catalog.Resources), "resource"), count(len(catalog.Templates), "template"))
	return err
}

// printTools marks those that nobody can use.
func printTools(w io.Writer, tools []policy.Tool, nobody []policy.Uncallable, asJSON bool) error {
	if asJSON {
		return printJSON(w, policy.Catalog{Tools: tools})
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	reviewed := slices.ContainsFunc(tools, func(t policy.Tool) bool { return t.Pinned || t.Drifted })
	fmt.Fprint(table, "UPSTREAM\tORIGINAL\tPUBLISHED")
	if reviewed {
		fmt.Fprint(table, "\tLOCK")
	}
	hidden := map[string]bool{}
	for _, u := range nobody {
		hidden[u.Object.Origin()] = true
	}
	if len(hidden) > 0 {
		fmt.Fprint(table, "\tUSED BY")
	}
	for _, t := range tools {
		fmt.Fprintf(table, "\n%s\t%s\t%s", cmp.Or(t.Upstream, "-"), visible(cmp.Or(t.Original, "-")), visible(t.Published))
		if reviewed {
			fmt.Fprint(table, "\t"+inLock(t))
		}
		switch {
		case hidden[t.Upstream+"/"+t.Original]:
			fmt.Fprint(table, "\tnobody")
		case len(hidden) > 0:
			fmt.Fprint(table, "\t-")
		}
	}
	fmt.Fprintln(table)
	return table.Flush()
}

// inLock says how a tool stands to mcpagg.lock.
func inLock(t policy.Tool) string {
	switch {
	case t.Pinned:
		return "pinned"
	case t.Drifted:
		return "drifted"
	}
	return "-"
}

// reportUncallable says why nobody can use some tools, for each reason once.
func reportUncallable(w io.Writer, nobody []policy.Uncallable) {
	of := map[string][]string{}
	for _, u := range nobody {
		of[u.Why] = append(of[u.Why], u.Object.Origin())
	}
	for _, why := range slices.Sorted(maps.Keys(of)) {
		fmt.Fprintf(w, "nobody can use %s: %s\n", visible(strings.Join(firstNames(of[why]), ", ")), visible(why))
	}
}

// reportGaps prints what the list lacks: hidden definitions, and upstreams
// that could not be reached, which are an error.
func reportGaps(w io.Writer, g *aggregator.Gateway) error {
	if g == nil {
		return nil
	}
	for _, h := range g.Catalog().Hidden {
		fmt.Fprintf(w, "not published: %s %s/%s: %s\n", h.Kind, h.Upstream, visible(h.Original), visible(h.Reason))
	}
	missing := 0
	for _, u := range g.Upstreams() {
		if u.State != upstream.Connected {
			missing++
			fmt.Fprintf(w, "not connected: upstream %q: %s\n", u.Name, visible(u.LastError))
		}
	}
	if missing > 0 {
		return &exitError{Code: exitRunTime, Err: fmt.Errorf("%s could not be reached", count(missing, "upstream"))}
	}
	return nil
}
