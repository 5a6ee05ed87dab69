package policycmd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/format"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

func newFmtCommand() *cobra.Command {
	var f formatting
	cmd := &cobra.Command{
		Use:   "fmt [FILE|FOLDER…]",
		Short: "Lay out policy files, and write ToolHive's forms as ours",
		Long: `Lay out policy files as Cedar's own formatter does: in lines of at most 80 columns where
that can be. Comments stay. What comes out is read again, and nothing is written that
would be decided in another way.

Without files or folders, they are those of the configuration (-c, or gateway.hcl in this
folder), or else the folder policies; "-" is standard input. The result is printed. With
-w it is written, and with --check nothing is: files that are not laid out are listed with
what would change, and the exit code is 3 if there are any. Policies that are written in
the configuration itself stay as they are.

With --upgrade, what is in ToolHive's form is also written as it is read here:
resource.arg_x as context.arg_x, and Tool::"x" with the upstream that it is of, where the
configuration tells, or --upstream.`,
		Example: `  mcpagg policy fmt -w policies
  mcpagg policy fmt --check -c gateway.hcl
  mcpagg policy fmt --upgrade --upstream github -w policies/old.cedar
  mcpagg policy fmt - < policies/github.cedar`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.in, f.out, f.err = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return f.run(cmd.Context(), args)
		},
	}
	f.flags.AddPolicies(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&f.write, "write", "w", false, "write the files, and name those that changed")
	flags.BoolVar(&f.check, "check", false, "write nothing, and end with 3 if a file is not laid out")
	flags.BoolVar(&f.upgrade, "upgrade", false, "write ToolHive's forms as they are read")
	flags.StringVar(&f.upstream, "upstream", "", "with --upgrade, label of the upstream of tools that are named without one")
	flags.BoolVar(&f.json, "json", false, "print what there is to say as JSON")
	cmd.MarkFlagsMutuallyExclusive("write", "check")
	return cmd
}

// A formatting is one run of the command.
type formatting struct {
	flags                       workspace.Flags
	write, check, upgrade, json bool
	upstream                    string
	args                        []string
	in                          io.Reader
	out, err                    io.Writer

	options source.Options
	results []laidOut
	invalid int // files that cannot be read as policies
}

// A laidOut is what became of a file, as JSON has it.
type laidOut struct {
	File     string   `json:"file"`
	Changed  bool     `json:"changed"` // or would, with --check
	Upgraded []string `json:"upgraded,omitempty"`
	Mistakes []string `json:"mistakes,omitempty"` // for which it was left
	Text     string   `json:"text,omitempty"`     // where nothing is written or checked
	Diff     string   `json:"diff,omitempty"`     // with --check
}

func (f *formatting) run(ctx context.Context, args []string) error {
	if f.upstream != "" && !f.upgrade {
		return cli.UsageError("--upstream is about --upgrade, which is not given")
	}
	f.args = args
	files, err := f.files(ctx)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := f.file(file); err != nil {
			return err
		}
	}
	return f.end()
}

// files are those to lay out, by where they are.
func (f *formatting) files(ctx context.Context) ([]source.File, error) {
	var w *workspace.Workspace
	if len(f.args) == 0 || f.upgrade {
		var err error
		w, err = f.flags.Load(ctx, workspace.Options{
			WithoutTools: true, WithMistakes: true, WithoutPolicies: len(f.args) > 0, Stderr: f.err,
		})
		if err != nil {
			return nil, err
		}
		f.options = w.Set.Source
		f.options.Only = cmp.Or(f.upstream, f.options.Only)
	}
	switch {
	case len(f.args) == 0:
		return f.own(w), nil
	case slices.Contains(f.args, "-"):
		return f.standardInput()
	}
	return f.named()
}

// named are the files that were named, and those in folders.
func (f *formatting) named() ([]source.File, error) {
	var all []source.File
	for _, arg := range f.args {
		files, err := source.Read(arg)
		switch {
		case err != nil:
			return nil, cli.UsageError("%w", err)
		case len(files) == 0:
			return nil, cli.UsageError("there is no *.cedar file in %s", cli.Visible(arg))
		}
		all = append(all, files...)
	}
	return once(all), nil
}

// once are files without those that are there already.
func once(files []source.File) []source.File {
	seen := map[string]bool{}
	return slices.DeleteFunc(files, func(f source.File) bool {
		known := seen[f.Name]
		seen[f.Name] = true
		return known
	})
}

func (f *formatting) standardInput() ([]source.File, error) {
	if len(f.args) > 1 || f.write {
		return nil, cli.UsageError("- is standard input, which goes neither with -w nor with files")
	}
	text, err := io.ReadAll(f.in)
	return []source.File{{Name: "-", Text: text}}, err
}

// own are the policy files of the workspace. It tells of what is written elsewhere:
// in a configuration, or in a file of ToolHive's.
func (f *formatting) own(w *workspace.Workspace) []source.File {
	var all []source.File
	told := map[string]bool{}
	for _, file := range slices.Concat(w.Set.Files, w.Set.Candidate) {
		path := w.Path(file.Name)
		text, err := os.ReadFile(path)
		if err == nil && bytes.Equal(text, file.Text) {
			all = append(all, source.File{Name: path, Text: text})
			continue
		}
		if where, _, _ := strings.Cut(path, "#"); !told[where] {
			told[where] = true
			fmt.Fprintf(f.err, "note: policies in %s stay as they are, since that is no *.cedar file\n", cli.Visible(where))
		}
	}
	return once(all)
}

// file lays out one of them. Mistakes in it do not keep the next from that.
func (f *formatting) file(file source.File) error {
	r := laidOut{File: file.Name}
	text, changes, err := f.text(file)
	var mistakes source.Mistakes
	if errors.As(err, &mistakes) {
		f.invalid++
		for _, m := range mistakes {
			r.Mistakes = append(r.Mistakes, m.String())
		}
		f.results = append(f.results, r)
		f.say(r)
		return nil
	}
	if err != nil {
		return err
	}
	r.Upgraded, r.Changed = changes, !bytes.Equal(file.Text, text)
	switch {
	case f.check && r.Changed:
		r.Diff = string(diff.Diff(file.Name, file.Text, file.Name+" laid out", text))
	case f.write && r.Changed:
		if err := cli.ReplaceFile(file.Name, text); err != nil {
			return &cli.ExitError{Code: cli.ExitRunTime, Err: fmt.Errorf("writing %s: %w", cli.Visible(file.Name), err)}
		}
	case !f.check && !f.write:
		r.Text = string(text)
	}
	f.results = append(f.results, r)
	f.say(r)
	return nil
}

// text is what a file should be, and what was read as something else in it. The error
// is [source.Mistakes] if it cannot be read.
func (f *formatting) text(file source.File) (text []byte, changes []string, err error) {
	text = file.Text
	if f.upgrade {
		if text, changes, err = source.Upgrade(file, f.options); err != nil {
			return nil, nil, err
		}
	}
	text, err = format.Source(file.Name, text)
	var wrong *syntax.Error
	if errors.As(err, &wrong) {
		err = source.Mistakes{{File: wrong.File, Line: wrong.Line, Column: wrong.Column, Text: wrong.Text}}
	}
	return text, changes, err
}

// say prints what became of a file.
func (f *formatting) say(r laidOut) {
	if f.json {
		return
	}
	for _, m := range r.Mistakes {
		fmt.Fprintln(f.err, cli.Visible(m))
	}
	switch {
	case f.write && r.Changed:
		fmt.Fprintln(f.out, cli.Visible(r.File))
	case f.check:
		fmt.Fprint(f.out, cli.VisibleText(r.Diff))
	default:
		fmt.Fprint(f.out, r.Text)
	}
	for _, change := range r.Upgraded {
		fmt.Fprintf(f.err, "%s: %s\n", cli.Visible(r.File), cli.Visible(change))
	}
}

// end says how it went.
func (f *formatting) end() error {
	if f.json {
		if err := cli.PrintJSON(f.out, map[string]any{"files": append([]laidOut{}, f.results...)}); err != nil {
			return err
		}
	}
	changed := 0
	for _, r := range f.results {
		if r.Changed {
			changed++
		}
	}
	switch {
	case f.invalid > 0:
		return &cli.ExitError{Code: cli.ExitCheck, Err: fmt.Errorf("%s cannot be read", cli.Count(f.invalid, "file"))}
	case f.check && changed > 0:
		return &cli.ExitError{Code: cli.ExitCheck, Err: fmt.Errorf("%d of %s not laid out; to do that: %s",
			changed, cli.Count(len(f.results), "file"), f.command())}
	}
	return nil
}

// command is the one that writes what this one checked.
func (f *formatting) command() string {
	s := "mcpagg policy fmt -w" + f.flags.Command()
	if f.upgrade {
		s += " --upgrade"
	}
	if f.upstream != "" {
		s += " --upstream " + workspace.Quoted(f.upstream)
	}
	for _, arg := range f.args {
		s += " " + workspace.Quoted(arg)
	}
	return s
}
