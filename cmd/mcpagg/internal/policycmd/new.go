package policycmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
)

func newNewCommand(live workspace.Live) *cobra.Command {
	n := &starter{live: live}
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Write a first policy and its test, step by step",
		Long: `Ask who may use which tools, with which arguments, and write a policy that says so and
a test of it. What flags say is not asked for, and elsewhere than on a terminal nothing
is: the policy is shown, and written with --yes. What is there already is not overwritten.

The test has what the policies decide now, all of them together.

` + workspace.Help,
		Example: `  mcpagg policy new
  mcpagg policy new --group platform --upstream github --read-only --yes
  mcpagg policy new --group platform --tool github/create_issue --when 'repo == web' --yes
  mcpagg policy new --everybody --effect forbid --tool 'github/delete_*' --id no-deletes --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n.out, n.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			n.asks = n.ask || !n.yes && cli.OnTerminal(cmd.InOrStdin()) && cli.OnTerminal(n.out)
			n.effectTold = cmd.Flags().Changed("effect")
			n.asker = &asker{bufio.NewScanner(cmd.InOrStdin()), n.out, cli.Painter(cli.Coloured(n.out))}
			return n.run(cmd.Context())
		},
	}
	n.flags.Add(cmd)
	f := cmd.Flags()
	f.StringVar(&n.group, "group", "", "group that it is about, by the label of its group block or its id")
	f.BoolVar(&n.everybody, "everybody", false, "it is about everybody")
	f.StringVar(&n.upstream, "upstream", "", "upstream whose tools it is about")
	f.StringArrayVar(&n.tools, "tool", nil, "tool that it is about, by published name or origin, in which * is any text (repeatable)")
	f.BoolVar(&n.readOnly, "read-only", false, "of these, only the tools that do nothing but read")
	f.StringArrayVar(&n.when, "when", nil, "condition on an argument, such as 'repo == web' (repeatable)")
	f.StringVar(&n.effect, "effect", "permit", "permit or forbid")
	f.StringVar(&n.id, "id", "", "id of the policy, and name of its file")
	f.StringVarP(&n.dir, "output", "o", "", "folder to write into; that of the other policies if it is not given")
	f.BoolVarP(&n.yes, "yes", "y", false, "write without asking")
	f.BoolVar(&n.ask, "ask", false, "ask, though this is no terminal")
	_ = f.MarkHidden("ask") // fails only for a flag that does not exist
	cmd.MarkFlagsMutuallyExclusive("group", "everybody")
	cmd.MarkFlagsMutuallyExclusive("yes", "ask")
	return cmd
}

// A starter is one run of the command.
type starter struct {
	live                             workspace.Live
	flags                            workspace.Flags
	group, upstream, effect, id, dir string
	everybody, readOnly, yes, ask    bool
	tools, when                      []string

	asks, effectTold, back bool // back: on the way to an earlier question
	asker                  *asker
	out, err               io.Writer

	w *workspace.Workspace
	d draft
}

func (n *starter) run(ctx context.Context) error {
	var err error
	n.w, err = n.flags.Load(ctx, workspace.Options{Live: n.live, Stderr: n.err, WithoutPolicies: true})
	if err != nil {
		return err
	}
	if err := n.take(); err != nil {
		return err
	}
	if n.asks {
		fmt.Fprintln(n.out, hint)
		if err := n.interview(); err != nil {
			return err
		}
	}
	if err := n.complete(); err != nil {
		return err
	}
	files, unmade, err := n.files()
	if err != nil {
		return err
	}
	return n.finish(files, unmade)
}

// take takes what the flags say.
func (n *starter) take() error {
	if n.effect != "permit" && n.effect != "forbid" {
		return cli.UsageError("--effect %q is neither permit nor forbid", n.effect)
	}
	n.d = draft{forbid: n.effect == "forbid", group: n.group, readOnly: n.readOnly}
	if err := n.takeUpstream(n.upstream); err != nil {
		return err
	}
	if err := n.takeTools(n.tools); err != nil {
		return err
	}
	for _, text := range n.when {
		c, err := parseCondition(text, arguments(n.about()))
		if err != nil {
			return err
		}
		n.d.when = append(n.d.when, c)
	}
	return nil
}

func (n *starter) takeUpstream(label string) error {
	if all := n.upstreams(); label != "" && !slices.Contains(all, label) {
		return cli.UsageError("there is no upstream %q; there are %s", cli.Visible(label), cli.Visible(strings.Join(all, ", ")))
	}
	n.d.upstream = label
	return nil
}

// takeTools chooses tools by names and patterns.
func (n *starter) takeTools(names []string) error {
	if len(names) == 0 {
		return nil
	}
	objects, err := n.w.Match(names)
	if err != nil {
		return err
	}
	n.d.tools = nil
	for _, o := range objects {
		if n.w.Tool(o) != nil && (n.d.upstream == "" || o.Upstream() == n.d.upstream) {
			n.d.tools = append(n.d.tools, o)
		}
	}
	if len(n.d.tools) == 0 {
		return cli.UsageError("none of that is a tool of %q; policies about prompts and resources are written by hand", cli.Visible(n.d.upstream))
	}
	same := func(o *policy.Object) bool { return o.Upstream() == n.d.tools[0].Upstream() }
	if !slices.ContainsFunc(n.d.tools, func(o *policy.Object) bool { return !same(o) }) {
		n.d.upstream = n.d.tools[0].Upstream()
	}
	return nil
}

// upstreams are the labels of those that have tools.
func (n *starter) upstreams() []string {
	var all []string
	for i := range n.w.Catalog.Tools {
		if u := n.w.Catalog.Tools[i].Upstream; !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	return all
}

// about are the tools that the policy is about.
func (n *starter) about() []*policy.Object {
	if n.d.tools != nil {
		return n.d.tools
	}
	var all []*policy.Object
	for _, o := range n.w.Objects {
		if t := n.w.Tool(o); t != nil && (n.d.upstream == "" || t.Upstream == n.d.upstream) && (!n.d.readOnly || t.Effects().ReadOnly) {
			all = append(all, o)
		}
	}
	return all
}

// idPattern is what ids can be, which are names of files, too.
var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// complete checks that everything is said, and names the policy.
func (n *starter) complete() error {
	switch {
	case !n.asks && n.d.group == "" && !n.everybody:
		return cli.UsageError("it is not said who the policy is about: --group NAME, or --everybody")
	case !n.asks && n.d.upstream == "" && n.d.tools == nil && !n.readOnly:
		return cli.UsageError("it is not said what the policy is about: --tool, --upstream or --read-only")
	}
	if n.d.id = n.id; n.d.id == "" {
		n.d.id = n.freeID()
	}
	taken := func(p *source.Policy) bool { return p.ID == n.d.id }
	switch {
	case !idPattern.MatchString(n.d.id):
		return cli.UsageError("--id %q has other characters than small letters, digits, '-', '.' and '_'", cli.Visible(n.d.id))
	case slices.ContainsFunc(n.w.Policy.Policies, taken):
		return cli.UsageError("there is a policy %s already; take another --id", n.id)
	}
	return nil
}

// files are the policy and its test. unmade are tools for which no call could be made up.
func (n *starter) files() (files []newFile, unmade []string, err error) {
	dir := n.folder()
	name := filepath.Join(dir, n.d.id+".cedar")
	text := []byte("// " + n.d.sentence() + "\n" + n.d.text())
	set := n.w.Set
	policies, _, err := source.Parse(append(slices.Clone(set.Files), source.File{Name: name, Text: text}), set.Source)
	if err != nil {
		return nil, nil, &cli.ExitError{Code: cli.ExitCheck, Err: err}
	}
	options := n.w.Policy
	options.Policies, options.Candidate = policies, nil
	engine, err := policy.New(options)
	if err != nil {
		return nil, nil, err
	}
	t := &draftTest{w: n.w, d: &n.d, engine: engine}
	t.write(n.d.id + ".cedar")
	slices.Sort(t.unmade)
	return []newFile{{name, text}, {filepath.Join(dir, n.d.id+"_test.hcl"), []byte(t.String())}}, slices.Compact(t.unmade), nil
}

// folder is where the other policies are.
func (n *starter) folder() string {
	switch {
	case n.dir != "":
		return n.dir
	case n.flags.Policies != "":
		if strings.HasSuffix(n.flags.Policies, ".cedar") {
			return filepath.Dir(n.flags.Policies)
		}
		return n.flags.Policies
	case n.w.ConfigPaths != nil && len(n.w.Set.Places) > 0 && strings.HasSuffix(n.w.Set.Places[0], "/"):
		place := filepath.Clean(n.w.Set.Places[0])
		if filepath.IsAbs(place) {
			return place
		}
		return filepath.Join(filepath.Dir(n.w.ConfigPaths[0]), place)
	}
	return "policies"
}

// finish shows the files, and writes them.
func (n *starter) finish(files []newFile, unmade []string) error {
	for _, f := range files {
		fmt.Fprintf(n.out, "\n%s\n\n%s", n.asker.paint.Paint(cli.Bold, cli.Visible(f.path)), cli.VisibleText(string(f.text)))
	}
	fmt.Fprintln(n.out)
	for _, name := range unmade {
		fmt.Fprintf(n.err, "warning: no arguments could be made up for %s: write a call of it into the test\n", cli.Visible(name))
	}
	if n.asks {
		answer, err := n.asker.line("Write these two files?", "yes")
		if err != nil && !errors.Is(err, errBack) {
			return err
		}
		n.yes = slices.Contains([]string{"y", "yes"}, strings.ToLower(answer))
	}
	if !n.yes {
		fmt.Fprintln(n.out, "Nothing was written; --yes writes.")
		return nil
	}
	if err := writeNew(files); err != nil {
		return err
	}
	fmt.Fprintf(n.out, "Wrote %s and %s. Next:\n\n  mcpagg policy check%[3]s\n  mcpagg policy test%[3]s\n", files[0].path, files[1].path, n.flags.Command())
	return nil
}
