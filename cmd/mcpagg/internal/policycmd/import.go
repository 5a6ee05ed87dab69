package policycmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

func newImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import",
		Short:   "Make policies of those of another gateway",
		Example: "  mcpagg policy import toolhive authz.json -o policies",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImportToolHiveCommand())
	return cmd
}

func newImportToolHiveCommand() *cobra.Command {
	var i toolHiveImport
	cmd := &cobra.Command{
		Use:   "toolhive FILE",
		Short: "Make policy files of a ToolHive authorization configuration",
		Long: `Read the authorization configuration of a ToolHive server, in JSON or YAML, and write
its policies as they are written here: with ids, and with the upstream in the names of
tools. What was written otherwise is listed. They decide the same as the file itself does
with policy.toolhive in the configuration. Comments are lost.

Without -o, the policies are printed.`,
		Example: `  mcpagg policy import toolhive authz.json --upstream github -o policies
  mcpagg policy import toolhive authz.yaml -c gateway.hcl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			i.file, i.out, i.err = args[0], cmd.OutOrStdout(), cmd.ErrOrStderr()
			return i.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&i.config, "config", "c", nil, "configuration whose upstreams tools can be of; gateway.hcl if it is there")
	flags.StringVar(&i.upstream, "upstream", "", "label of the upstream whose tools are meant; not needed where there is one")
	flags.StringVarP(&i.dir, "output", "o", "-", "folder to write into, or - for standard output")
	flags.BoolVar(&i.json, "json", false, "print what was made as JSON")
	return cmd
}

// A toolHiveImport is one run of the command.
type toolHiveImport struct {
	config              []string
	file, upstream, dir string
	json                bool
	out, err            io.Writer
}

// An importedPolicy is a policy that was made, as JSON has it.
type importedPolicy struct {
	ID        string   `json:"id"`
	From      string   `json:"from"`      // its place in the file
	Rewritten []string `json:"rewritten"` // in words
	Text      string   `json:"text"`
}

// An importResult is what was made.
type importResult struct {
	Files    []string         `json:"files"` // that were written
	Policies []importedPolicy `json:"policies"`
}

func (i *toolHiveImport) run(ctx context.Context) error {
	policies, entities, err := i.read(ctx)
	if err != nil {
		return err
	}
	result := importResult{Files: []string{}, Policies: importedOf(policies)}
	files := i.files(result.Policies, entities)
	if i.dir != "-" {
		if err := writeNew(files); err != nil {
			return err
		}
		for _, f := range files {
			result.Files = append(result.Files, f.path)
		}
	}
	if i.json {
		return cli.PrintJSON(i.out, result)
	}
	return i.print(result, files)
}

// read reads the file, and what its policies mean here.
func (i *toolHiveImport) read(ctx context.Context) (policies []*source.Policy, entities []byte, err error) {
	files, err := source.Read(i.file)
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("%s is no file", cli.Visible(i.file))
	}
	if err != nil {
		return nil, nil, cli.UsageError("%w", err)
	}
	files, entities, err = source.ToolHive(files[0])
	if err != nil {
		return nil, nil, cli.UsageError("%w", err)
	}
	options, err := i.options(ctx)
	if err != nil {
		return nil, nil, err
	}
	policies, _, err = source.Parse(files, options)
	var mistakes source.Mistakes
	if errors.As(err, &mistakes) {
		if options.Only == "" {
			err = fmt.Errorf("%w\nThe upstream whose tools are meant is named with --upstream", err)
		}
		return nil, nil, &cli.ExitError{Code: cli.ExitCheck, Err: err}
	}
	return policies, entities, err
}

// options say what policies can name.
func (i *toolHiveImport) options(ctx context.Context) (source.Options, error) {
	flags := workspace.Flags{Config: i.config}
	w, err := flags.Load(ctx, workspace.Options{WithoutTools: true, WithoutPolicies: true, WithMistakes: true, Stderr: i.err})
	if err != nil {
		return source.Options{}, err
	}
	o := w.Set.Source
	if i.upstream != "" {
		o.Only = i.upstream
		if o.Upstreams != nil && !slices.Contains(o.Upstreams, i.upstream) {
			return o, cli.UsageError("there is no upstream %q in %s; there are %s", cli.Visible(i.upstream),
				strings.Join(w.ConfigPaths, ", "), strings.Join(o.Upstreams, ", "))
		}
	}
	return o, nil
}

// importedOf gives each policy an id, and its text.
func importedOf(policies []*source.Policy) []importedPolicy {
	taken := map[string]bool{}
	for _, p := range policies {
		if hasID(p.AST) {
			taken[p.ID] = true
		}
	}
	var all []importedPolicy
	for _, p := range policies {
		tree := *p.AST
		if !hasID(&tree) {
			p := ast.Annotation{Key: "id", Value: types.String(freeID(idFor(&tree), taken))}
			tree.Annotations = append([]ast.Annotation{p}, tree.Annotations...)
		}
		all = append(all, importedPolicy{
			ID: string(idOf(&tree)), From: p.File, Rewritten: append([]string{}, p.Rewritten...), Text: policyText(&tree),
		})
	}
	return all
}

func hasID(p *ast.Policy) bool { return idOf(p) != "" }

func idOf(p *ast.Policy) types.String {
	for _, a := range p.Annotations {
		if a.Key == "id" {
			return a.Value
		}
	}
	return ""
}

// idFor says in an id what a policy is about.
func idFor(p *ast.Policy) string {
	words := "permit"
	if p.Effect == ast.Forbid {
		words = "forbid"
	}
	for _, scope := range []any{p.Action, p.Resource, p.Principal} {
		switch s := scope.(type) {
		case ast.ScopeEq:
			words += " " + string(s.Entity.ID)
		case ast.ScopeIn:
			words += " " + string(s.Entity.ID)
		case ast.ScopeIsIn:
			words += " " + string(s.Entity.ID)
		}
	}
	if words == "permit" || words == "forbid" {
		words += " toolhive"
	}
	return slug(words)
}

// files are those to write.
func (i *toolHiveImport) files(policies []importedPolicy, entities []byte) []newFile {
	name := strings.TrimSuffix(filepath.Base(i.file), filepath.Ext(i.file))
	texts := []string{"// From " + filepath.Base(i.file) + " of ToolHive.\n"}
	for _, p := range policies {
		texts = append(texts, p.Text)
	}
	files := []newFile{{filepath.Join(i.dir, name+".cedar"), []byte(cli.VisibleText(texts[0]) + strings.Join(texts[1:], "\n"))}}
	if entities != nil {
		files = append(files, newFile{filepath.Join(i.dir, name+".entities.json"), append(entities, '\n')})
	}
	return files
}

// print says what was made, and what to do with it.
func (i *toolHiveImport) print(result importResult, files []newFile) error {
	say := i.out
	if i.dir == "-" {
		say = i.err
		for _, f := range files {
			if _, err := i.out.Write(f.text); err != nil {
				return err
			}
		}
	}
	for _, p := range result.Policies {
		for _, r := range p.Rewritten {
			fmt.Fprintf(say, "%s: %s\n", cli.Visible(p.ID), cli.Visible(r))
		}
	}
	for _, path := range result.Files {
		fmt.Fprintf(say, "Wrote %s.\n", path)
	}
	if len(files) > 1 {
		fmt.Fprintf(say, "The entities belong into the policy block: entities = [%q], with a *.cedarschema that declares their types.\n", files[1].path)
	}
	if i.dir != "-" {
		fmt.Fprintf(say, "%s. Next: mcpagg policy check --policies %s\n", cli.Count(len(result.Policies), "policy"), workspace.Quoted(files[0].path))
	}
	return nil
}
