package policycmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/schema"
)

// Formats of schemas.
const (
	schemaText = "cedarschema"
	schemaJSON = "json"
)

func newSchemaCommand(live workspace.Live) *cobra.Command {
	var (
		flags       workspace.Flags
		tools       []string
		all         bool
		format, out string
	)
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Write Cedar's schema of what policies can say",
		Long: `Write a schema of principals, tools and arguments, as Cedar's own tools and the
extensions for editors take it. Entities of policy.entities and bind blocks are in it,
and the claims that policies look at.

With --tool it is exact: the arguments of that tool, with their types. Otherwise it is
of all tools, whose arguments it unites: Cedar has one type for the arguments of all.
Those of which tools have another idea are left out, and a comment says so. What does
not fit a tool is found by 'mcpagg policy check', which looks at each by itself.

` + workspace.Help,
		Example: `  mcpagg policy schema -o policies/gateway.cedarschema
  mcpagg policy schema --tool github/create_issue
  mcpagg policy schema --catalog catalog.json --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != schemaText && format != schemaJSON {
				return cli.UsageError("--format %q is neither %s nor %s", format, schemaText, schemaJSON)
			}
			w, err := flags.Load(cmd.Context(), workspace.Options{
				Live: live, Stderr: cmd.ErrOrStderr(), WithMistakes: true, WithoutPolicies: true,
			})
			if err != nil {
				return err
			}
			text, err := schemaOf(w, tools)
			if err == nil && format == schemaJSON {
				text, err = indentedSchema(text)
			}
			if err != nil {
				return err
			}
			if out == "-" {
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			return os.WriteFile(out, text, 0o644)
		},
	}
	flags.Add(cmd)
	cmd.Flags().StringArrayVar(&tools, "tool", nil, "tool, prompt or resource to write it of, by published name or origin (repeatable)")
	cmd.Flags().BoolVar(&all, "all", false, "write it of everything, as without --tool")
	cmd.Flags().StringVar(&format, "format", schemaText, schemaText+" or "+schemaJSON)
	cmd.Flags().StringVarP(&out, "output", "o", "-", "file to write, or - for standard output")
	cmd.MarkFlagsMutuallyExclusive("tool", "all")
	return cmd
}

// schemaOf is the schema of what is named, or of everything.
func schemaOf(w *workspace.Workspace, names []string) ([]byte, error) {
	objects := w.Objects
	if len(names) > 0 {
		var err error
		if objects, err = w.Match(names); err != nil {
			return nil, err
		}
	}
	o := w.Policy
	text := schema.Of(schema.Input{
		Objects: objects, Binds: o.Binds, Facts: o.Facts, Policies: slices.Concat(o.Policies, o.Candidate),
	})
	return text, nil
}

// indentedSchema is a schema in JSON for people, too.
func indentedSchema(text []byte) ([]byte, error) {
	raw, err := schema.JSON(text)
	if err != nil {
		return nil, fmt.Errorf("the schema cannot be written as JSON: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
