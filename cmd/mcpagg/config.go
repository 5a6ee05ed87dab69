package main

import (
	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Show what a configuration amounts to",
		Example: "  mcpagg config show -c gateway.hcl",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigShowCommand(), newConfigSchemaCommand())
	return cmd
}

func newConfigShowCommand() *cobra.Command {
	var (
		paths  []string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration that is in effect",
		Long: `Print the configuration that is in effect: all files as one, with defaults filled
in and expressions replaced by their values. Secrets, and whatever comes from
the environment or a file, are replaced by placeholders.`,
		Example: `  mcpagg config show -c gateway.hcl
  mcpagg config show -c conf.d --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(paths, cmd.ErrOrStderr())
			switch {
			case err != nil:
				return err
			case asJSON:
				return cfg.ShowJSON(cmd.OutOrStdout())
			}
			return cfg.Show(cmd.OutOrStdout())
		},
	}
	addConfigFlag(cmd, &paths)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func newConfigSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON schema of *.hcl.json files",
		Long: `Print a JSON schema of *.hcl.json files, with which editors complete and explain
what can stand in them.`,
		Example: "  mcpagg config schema > gateway.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema())
			return err
		},
	}
}
