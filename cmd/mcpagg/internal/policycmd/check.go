package policycmd

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/policy/source"
)

func newCheckCommand(live workspace.Live) *cobra.Command {
	var (
		flags          workspace.Flags
		strict, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find mistakes in policies, against the tools that there are",
		Long: `Find mistakes in policies, against the tools, prompts and resources that they are
about: names and arguments that there are not, values of the wrong type, arguments that
may be missing, policies that are never satisfied or never count, and more.

An error is what cannot work as it is written, a warning is probably a mistake, and a
note is what one should know. The exit code is 3 if there are errors, and with --strict
also if there are warnings. Nothing is said of tools of an upstream of which a catalog
has none. docs/policies.md says what each finding is.

` + workspace.Help,
		Example: `  mcpagg policy check -c gateway.hcl
  mcpagg policy check --catalog catalog.json --strict
  mcpagg policy check --policies policies --catalog catalog.json --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := flags.Load(cmd.Context(), workspace.Options{Live: live, Stderr: cmd.ErrOrStderr(), WithMistakes: true})
			if err != nil {
				return err
			}
			r := checked(w)
			if asJSON {
				err = cli.PrintJSON(cmd.OutOrStdout(), r)
			} else {
				err = r.print(cmd.OutOrStdout())
			}
			if err == nil && (r.Errors > 0 || strict && r.Warnings > 0) {
				return &cli.ExitError{Code: cli.ExitCheck}
			}
			return err
		},
	}
	flags.Add(cmd)
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 3 also if there are warnings")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// A checkReport is what a check found.
type checkReport struct {
	Findings []check.Finding `json:"findings"`
	Errors   int             `json:"errors"`
	Warnings int             `json:"warnings"`
	Notes    int             `json:"notes"`
	Policies int             `json:"policies"`
	Tools    int             `json:"tools"`
	Others   int             `json:"others"` // prompts, resources and templates
}

// checked checks the policies of a workspace, and those that are decided in their shadow.
func checked(w *workspace.Workspace) *checkReport {
	c := w.Catalog
	r := &checkReport{
		Findings: []check.Finding{}, Policies: len(w.Policy.Policies) + len(w.Policy.Candidate),
		Tools: len(c.Tools), Others: len(c.Prompts) + len(c.Resources) + len(c.Templates),
	}
	for _, files := range [][]source.File{w.Set.Files, w.Set.Candidate} {
		r.Findings = append(r.Findings, check.Check(checkInput(w, files))...)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		f.File = w.Path(f.File)
		switch f.Severity {
		case check.Error:
			r.Errors++
		case check.Warning:
			r.Warnings++
		default:
			r.Notes++
		}
	}
	return r
}

// checkInput is what there is to check files of policies against.
func checkInput(w *workspace.Workspace, files []source.File) check.Input {
	in := check.Input{
		Files: files, Options: w.Set.Source, Policy: w.Policy, Objects: w.Objects,
		Partial:   len(w.Catalog.Prompts)+len(w.Catalog.Resources)+len(w.Catalog.Templates) == 0,
		Published: map[string]string{}, Tags: w.Set.Tags, Labels: w.Set.Labels, Groups: w.Set.GroupsByID(),
	}
	if w.Set.Rules != nil {
		in.LeftOut = w.Set.LeavesOut
	}
	for _, o := range w.Objects {
		in.Published[o.Origin()] = w.Published(o)
	}
	return in
}

// Painter colours findings by how bad they are, if w is a terminal.
func Painter(w io.Writer) check.Painter {
	painter := cli.Painter(cli.Coloured(w))
	colours := map[check.Severity]cli.Colour{check.Error: cli.Red, check.Warning: cli.Yellow, check.Info: cli.Cyan}
	return func(s check.Severity, text string) string { return painter.Paint(colours[s], text) }
}

func (r *checkReport) print(w io.Writer) error {
	if err := check.WriteText(w, r.Findings, Painter(w)); err != nil {
		return err
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintln(w, r.summary())
	return err
}

// summary is what was checked, and what came of it.
func (r *checkReport) summary() string {
	of := cli.Count(r.Tools, "tool")
	if r.Policies > 0 {
		of = cli.Count(r.Policies, "policy") + ", " + of
	}
	if r.Others > 0 {
		of += fmt.Sprintf(", %d prompts and resources", r.Others)
	}
	found := check.Summary(r.Findings)
	if found == "" {
		found = "nothing is wrong"
	}
	return of + ": " + found
}
