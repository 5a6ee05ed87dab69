package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/policycmd"
	"github.com/mcpagg/mcpagg/policy"
)

func newPolicyCommand() *cobra.Command { return policycmd.New(liveCatalog) }

// liveCatalog asks the upstreams of a configuration what they offer. The policies in it
// are not looked at, and may have mistakes.
func liveCatalog(ctx context.Context, paths []string, stderr io.Writer) (policy.Catalog, error) {
	cfg, err := config.LoadUpstreams(paths, os.LookupEnv)
	if err != nil {
		return policy.Catalog{}, reportMistakes(err, stderr)
	}
	var catalog policy.Catalog
	err = connected(ctx, ownGateway(cfg, stderr), func(_ context.Context, c *client) error {
		catalog = c.gateway.Catalog().ForPolicies()
		return reportGaps(stderr, c.gateway) // what is not there would pass for what nobody offers
	})
	return catalog, err
}
