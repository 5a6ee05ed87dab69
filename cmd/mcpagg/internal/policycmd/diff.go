package policycmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// A diffCommand is what the flags of mcpagg policy diff say.
type diffCommand struct {
	flags    workspace.Flags
	callers  callersFlags
	format   string
	json     bool
	exitCode bool
}

func newDiffCommand(live workspace.Live) *cobra.Command {
	var d diffCommand
	cmd := &cobra.Command{
		Use:   "diff [OLD [NEW]]",
		Short: "Say what other policies change for whom",
		Long: `Compare what two sets of policies allow: what is newly allowed, newly denied, or allowed
under another condition.

OLD and NEW are folders, files, or revisions of git such as HEAD~1, in which the policies
are where those of the configuration are now, or main:policies/team for another folder of
the repository. Without NEW, a revision is compared with the policies of the
configuration, and those with a folder or file. Without OLD, it is HEAD.

Groups, binds, entities and tools are those of the configuration on both sides.

` + callersHelp + ` Callers and tools are enumerated: somebody
else, such as one who is in two groups at once, may be affected otherwise, so that no
change here proves nothing.

` + workspace.Help,
		Example: `  mcpagg policy diff                         # what has changed since the last commit
  mcpagg policy diff origin/main HEAD --format markdown > comment.md
  mcpagg policy diff policies-next -c gateway.hcl --catalog catalog.json
  mcpagg policy diff main:policies policies --json --exit-code`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return d.do(cmd, args, live) },
	}
	d.flags.Add(cmd)
	d.callers.add(cmd)
	f := cmd.Flags()
	f.StringVar(&d.format, "format", "text", "text, markdown (for a comment on a pull request), or json")
	f.BoolVar(&d.json, "json", false, "print JSON, the same as --format json")
	f.BoolVar(&d.exitCode, "exit-code", false, "exit with 1 if there is a difference")
	return cmd
}

func (d *diffCommand) do(cmd *cobra.Command, args []string, live workspace.Live) error {
	if d.json {
		d.format = "json"
	}
	if !slices.Contains([]string{"text", "markdown", "json"}, d.format) {
		return cli.UsageError("--format %q is not one of text, markdown, json", cli.Visible(d.format))
	}
	d.aloneWith(args)
	w, err := d.flags.Load(cmd.Context(), workspace.Options{Live: live, Stderr: cmd.ErrOrStderr(), WithMistakes: true})
	if err != nil {
		return err
	}
	p, err := d.compare(cmd.Context(), w, args, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch d.format {
	case "json":
		err = p.json(out)
	case "markdown":
		err = p.markdown(out)
	default:
		p.width, p.paint = cli.Width(out), cli.Painter(cli.Coloured(out))
		err = p.text(out)
	}
	if err == nil && d.exitCode && len(p.diff.Changes) > 0 {
		return &cli.ExitError{Code: 1}
	}
	return err
}

// aloneWith has folders be compared where there is no configuration.
func (d *diffCommand) aloneWith(args []string) {
	if d.flags.Config != nil || d.flags.Policies != "" {
		return
	}
	for _, here := range []string{"gateway.hcl", "policies"} {
		if _, err := os.Stat(here); err == nil {
			return
		}
	}
	for _, arg := range args {
		if _, err := os.Stat(arg); err == nil {
			d.flags.Policies = arg
		}
	}
}

// compare compares what the arguments name.
func (d *diffCommand) compare(ctx context.Context, w *workspace.Workspace, args []string, stderr io.Writer) (*difference, error) {
	s := &sides{w: w, stderr: stderr}
	before, after, err := s.resolve(ctx, args)
	if err != nil {
		return nil, err
	}
	callers, err := s.callers(before, after)
	if err != nil {
		return nil, err
	}
	if callers, err = d.callers.choose(callers); err != nil {
		return nil, err
	}
	p := &difference{before: before, after: after}
	var maps []*survey.Map
	for _, one := range []*side{before, after} {
		m, err := survey.Of(one.engine, callers, rowsOf(w, w.Objects), survey.Options{Groups: w.Set.Groups})
		if err != nil {
			return nil, cli.UsageError("%w", err)
		}
		maps = append(maps, m)
	}
	p.diff = survey.Compare(maps[0], maps[1])
	p.note = observed(after.engine)
	return p, nil
}

// A side is one of two sets of policies.
type side struct {
	label    string // as somebody wrote it
	prefix   string // of paths of its files: REVISION:, or ""
	files    []source.File
	policies []*source.Policy
	engine   *policy.Engine
	tests    string // the folder with its tests, "" for none of its own
	w        *workspace.Workspace
}

// path is where a file is.
func (s *side) path(name string) string { return s.prefix + s.w.Path(name) }

// sides find what arguments name.
type sides struct {
	w      *workspace.Workspace
	stderr io.Writer
}

func (s *sides) resolve(ctx context.Context, args []string) (before, after *side, err error) {
	names := args
	switch {
	case len(args) == 0:
		names = []string{"HEAD", ""}
	case len(args) == 1 && exists(args[0]):
		names = []string{"", args[0]}
	case len(args) == 1:
		names = []string{args[0], ""}
	}
	if before, err = s.side(ctx, names[0]); err == nil {
		after, err = s.side(ctx, names[1])
	}
	return before, after, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// side is that of a name; "" is that of the configuration.
func (s *sides) side(ctx context.Context, name string) (*side, error) {
	made := &side{label: name, w: s.w}
	var err error
	switch {
	case name == "":
		made.label = strings.Join(s.w.Set.Places, ", ")
		made.files = s.w.Set.Files
	case exists(name):
		made.files, err = source.Read(name)
		made.tests = name
	default:
		err = s.revision(ctx, made)
	}
	var mistakes source.Mistakes
	switch {
	case errors.As(err, &mistakes):
		return nil, s.mistaken(made, mistakes)
	case err != nil:
		return nil, err
	case len(made.files) == 0:
		fmt.Fprintf(s.stderr, "note: there is no *.cedar file in %s, and so nothing is allowed\n", cli.Visible(made.label))
	}
	return made, s.parse(made)
}

// revision reads the policies of a revision. Those that the configuration has from
// elsewhere, such as inline, are the same on both sides.
func (s *sides) revision(ctx context.Context, made *side) error {
	r, err := parseRevision(made.label)
	if err != nil {
		return err
	}
	made.prefix = r.commit + ":"
	if strings.Contains(r.text, ":") {
		made.files, err = repository{}.read(ctx, r, r.path)
		if errors.Is(err, errNoPath) {
			return cli.UsageError("there is no %q in %s; paths are from the root of the repository, or from here if they begin with ./", cli.Visible(r.path), cli.Visible(r.commit))
		}
		return err
	}
	folder, name, others := s.folder()
	if folder == "" {
		return cli.UsageError("the policies are in no folder or file of which there could be a revision %s; write REVISION:FOLDER", cli.Visible(r.text))
	}
	made.files, err = repository{folder}.read(ctx, r, name)
	if errors.Is(err, errNoPath) {
		err = nil // and a note says so
	}
	if len(others) > 0 {
		fmt.Fprintf(s.stderr, "note: policies of %s that are not in %s are taken to be the same in %s\n", cli.Visible(strings.Join(s.w.ConfigPaths, ", ")), cli.Visible(folder), cli.Visible(made.label))
		made.files = append(made.files, others...)
	}
	return err
}

// folder is where the configuration has its policies from, "" for none; the name that
// stands before the files there, and the files from elsewhere.
func (s *sides) folder() (folder, name string, others []source.File) {
	for _, place := range s.w.Set.Places {
		name := strings.TrimSuffix(place, "/")
		var found string
		others = nil
		for _, f := range s.w.Set.Files {
			below, ok := strings.CutPrefix(f.Name, name+"/")
			if path, is := strings.CutSuffix(filepath.ToSlash(s.w.Path(f.Name)), "/"+below); ok && is {
				found = path
			} else {
				others = append(others, f)
			}
		}
		if found != "" {
			return found, name, others
		}
	}
	return "", "", nil
}

// parse makes an engine of the policies. A label that is gone may still be in old ones.
func (s *sides) parse(made *side) error {
	known := s.w.Set.Source
	policies, _, err := source.Parse(made.files, known)
	if err != nil && known.Upstreams != nil {
		known.Upstreams = nil
		if again, _, errAgain := source.Parse(made.files, known); errAgain == nil {
			fmt.Fprintf(s.stderr, "note: policies of %s name an upstream that the configuration does not have\n", cli.Visible(made.label))
			policies, err = again, nil
		}
	}
	var mistakes source.Mistakes
	if errors.As(err, &mistakes) {
		return s.mistaken(made, mistakes)
	}
	made.policies = policies
	o := s.w.Set.Options
	o.Policies = policies
	if made.engine, err = policy.New(o); err != nil {
		return cli.UsageError("%w", err)
	}
	return nil
}

// mistaken prints what is wrong with the policies of a side.
func (s *sides) mistaken(made *side, mistakes source.Mistakes) error {
	for _, m := range mistakes {
		fmt.Fprintln(s.stderr, made.prefix+cli.Visible(m.String()))
	}
	return &cli.ExitError{Code: cli.ExitCheck, Err: fmt.Errorf("%s in the policies of %s", cli.Count(len(mistakes), "mistake"), cli.Visible(made.label))}
}

// callers are those of both sides, with the personas of the tests beside the policies,
// and beside those of the sides.
func (s *sides) callers(before, after *side) ([]survey.Caller, error) {
	var personas []*persona.Persona
	taken := map[string]bool{}
	for _, folder := range []string{after.tests, testFolder(s.w), before.tests} {
		if folder == "" {
			continue
		}
		more, err := testPersonas(folder)
		if err != nil {
			return nil, err
		}
		for _, p := range more {
			if !taken[p.Name] {
				taken[p.Name] = true
				personas = append(personas, p)
			}
		}
	}
	return survey.Callers(slices.Concat(before.policies, after.policies), personas), nil
}
