package policycmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/suite"
)

// firstTest is how to begin.
const firstTest = `persona "somebody" { groups = ["platform"] }

test "somebody may read" {
  as = "somebody"
  call "github/get_issue" {
    input  = { number = 1 }
    expect = "allow"
  }
  list { excludes = ["github/delete_*"] }
}
`

// A testCommand is what the flags of mcpagg policy test say.
type testCommand struct {
	flags    workspace.Flags
	dir      string // "" for the folder of the policies
	run      string
	coverage bool
	update   bool
	junit    string
	json     bool
}

func newTestCommand(live workspace.Live) *cobra.Command {
	var t testCommand
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the tests of policies",
		Long: `Run the tests in the *_test.hcl files of a folder and those below it: the folder of
the policies unless DIR is given. Each case is decided as the gateway would; one that
does not fit the tools any more is an error.

The exit code is 4 if a test fails, if --run matches none, or if there is none in DIR.
Without DIR, policies that have no tests yet are no failure.

` + workspace.Help,
		Example: `  mcpagg policy test -c gateway.hcl --catalog catalog.json
  mcpagg policy test --run 'guests' --coverage
  mcpagg policy test --update                # have tests say what policies do; read the diff
  mcpagg policy test --junit results.xml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				t.dir = args[0]
			}
			return t.do(cmd, live)
		},
	}
	t.flags.Add(cmd)
	cmd.Flags().StringVar(&t.run, "run", "", "run only tests whose names match this regular expression")
	cmd.Flags().BoolVar(&t.coverage, "coverage", false, "say which policies, conditions and tools no test looks at")
	cmd.Flags().BoolVar(&t.update, "update", false, "rewrite expect, by, message and count of what fails to what policies do")
	cmd.Flags().StringVar(&t.junit, "junit", "", "also write the results to this file, in JUnit's XML")
	cmd.Flags().BoolVar(&t.json, "json", false, "print JSON")
	return cmd
}

func (t *testCommand) do(cmd *cobra.Command, live workspace.Live) error {
	run, err := regexp.Compile(t.run)
	if err != nil {
		return cli.UsageError("--run: %w", err)
	}
	w, err := t.flags.Load(cmd.Context(), workspace.Options{Live: live, Stderr: cmd.ErrOrStderr()})
	if err != nil {
		return err
	}
	dir := t.dir
	if dir == "" {
		dir = testFolder(w)
	}
	files, err := testFiles(dir)
	if err != nil {
		return err
	}
	tests, err := readTests(files)
	if err != nil {
		return err
	}
	if len(tests.Tests) == 0 {
		return t.none(cmd.OutOrStdout(), dir)
	}
	o := t.options(w, run)
	for _, warning := range tests.Warnings(o) {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+cli.Visible(warning.String()))
	}
	report, err := tests.Run(o)
	if err != nil {
		return cli.UsageError("%w", err)
	}
	if len(report.Results) == 0 {
		return &cli.ExitError{Code: cli.ExitTests, Err: fmt.Errorf("no test has a name that matches --run %s", cli.Visible(t.run))}
	}
	if t.update {
		if report, err = t.rewrite(cmd, report, files, o); err != nil {
			return err
		}
	}
	return t.print(cmd, report)
}

func (t *testCommand) options(w *workspace.Workspace, run *regexp.Regexp) suite.Options {
	return suite.Options{
		Policy: w.Policy, Catalog: w.Catalog, Groups: w.Set.Groups, Run: run, Coverage: t.coverage,
		CheckArguments: aggregator.ArgumentChecker, ExtraArguments: w.Set.ExtraArguments,
	}
}

// testFolder is the folder of the policies, from the working directory; "" if they are
// in none.
func testFolder(w *workspace.Workspace) string {
	for _, place := range w.Set.Places {
		folder := strings.TrimSuffix(place, "/")
		for _, f := range w.Set.Files {
			below, ok := strings.CutPrefix(f.Name, folder+"/")
			if !ok {
				continue
			}
			if path, ok := strings.CutSuffix(filepath.ToSlash(w.Path(f.Name)), "/"+below); ok {
				return path
			}
		}
	}
	for _, f := range w.Set.Files {
		return filepath.Dir(w.Path(f.Name))
	}
	return "."
}

// testFiles are the tests in a folder, or in a single file.
func testFiles(dir string) ([]source.File, error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, cli.UsageError("there is no folder %s", cli.Visible(dir))
	case !info.IsDir():
		return nil, cli.UsageError("%s is no folder; name the one that it is in, and --run for some of its tests", cli.Visible(dir))
	}
	files, err := suite.Files(os.DirFS(dir), filepath.ToSlash(filepath.Clean(dir)))
	if err != nil {
		return nil, cli.UsageError("%w", err)
	}
	return files, nil
}

// readTests reads tests. Mistakes in them are as bad as tests that fail.
func readTests(files []source.File) (*suite.Suite, error) {
	tests, err := suite.ParseFiles(files)
	if err != nil {
		return nil, &cli.ExitError{Code: cli.ExitTests, Err: err}
	}
	return tests, nil
}

// none says how to write a first test.
func (t *testCommand) none(w io.Writer, dir string) error {
	if t.dir != "" || t.run != "" {
		return &cli.ExitError{Code: cli.ExitTests, Err: fmt.Errorf("there is no test in %s", cli.Visible(dir))}
	}
	if t.json {
		return cli.PrintJSON(w, (&suite.Report{}))
	}
	fmt.Fprintf(w, "There is no test in %s. Write a first one, for instance into %s:\n\n%s", cli.Visible(dir), cli.Visible(filepath.Join(dir, "first_test.hcl")), firstTest)
	return nil
}

// rewrite has the tests say what policies do, and runs them again.
func (t *testCommand) rewrite(cmd *cobra.Command, report *suite.Report, files []source.File, o suite.Options) (*suite.Report, error) {
	changed, changes := report.Update(files)
	for _, f := range changed {
		if err := replaceFile(f.Name, f.Text); err != nil {
			return nil, err
		}
		for i := range files {
			if files[i].Name == f.Name {
				files[i] = f
			}
		}
	}
	for _, c := range changes {
		place := fmt.Sprintf("%s:%d", c.File, c.Line)
		switch {
		case c.Kept != "":
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: not changed: %s\n", cli.Visible(place), cli.Visible(c.Kept))
		case c.Old == "":
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s = %s\n", cli.Visible(place), c.Name, cli.Visible(c.New))
		default:
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s = %s, was %s\n", cli.Visible(place), c.Name, cli.Visible(c.New), cli.Visible(c.Old))
		}
	}
	tests, err := readTests(files)
	if err != nil {
		return nil, err
	}
	return tests.Run(o)
}

// replaceFile writes a file that is there, at once.
func replaceFile(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("rewriting tests: %w", err)
	}
	next := path + ".new"
	if err := os.WriteFile(next, text, info.Mode().Perm()); err != nil {
		return fmt.Errorf("rewriting tests: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("rewriting tests: %w", errors.Join(err, os.Remove(next)))
	}
	return nil
}

func (t *testCommand) print(cmd *cobra.Command, report *suite.Report) error {
	if t.junit != "" {
		var b bytes.Buffer
		if err := report.WriteJUnit(&b); err != nil {
			return err
		}
		if err := os.WriteFile(t.junit, b.Bytes(), 0o644); err != nil {
			return fmt.Errorf("writing --junit: %w", err)
		}
	}
	var err error
	if t.json {
		err = cli.PrintJSON(cmd.OutOrStdout(), report)
	} else {
		err = report.WriteText(cmd.OutOrStdout())
	}
	if err == nil && len(report.Failed()) > 0 {
		return &cli.ExitError{Code: cli.ExitTests}
	}
	return err
}
