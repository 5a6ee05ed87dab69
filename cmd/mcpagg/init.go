package main

import (
	_ "embed" // for starter.hcl
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed starter.hcl
var starter []byte

func newInitCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a first configuration",
		Long: `Write a first configuration, by default to gateway.hcl. It runs as it stands, and
shows in comments how to add your own MCP servers.`,
		Example: `  mcpagg init
  mcpagg init conf.d/10-servers.hcl`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "gateway.hcl"
			if len(args) == 1 {
				path = args[0]
			}
			return initialize(path, force, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite the file if it exists")
	return cmd
}

func initialize(path string, force bool, stdout io.Writer) error {
	if !strings.HasSuffix(path, ".hcl") {
		return usageError("the name of %s does not end in .hcl", path)
	}
	if err := writeNew(path, starter, 0o644, force); errors.Is(err, fs.ErrExist) {
		return usageError("%s exists already; --force overwrites it", path)
	} else if err != nil {
		return &exitError{Code: exitRunTime, Err: err}
	}
	_, err := fmt.Fprintf(stdout, `Wrote %[1]s.

  mcpagg serve -c %[1]s       start the gateway; it prints what to paste into a client
  mcpagg catalog -c %[1]s     see the tools it publishes
  mcpagg validate -c %[1]s    check it after a change

`, path)
	return err
}
