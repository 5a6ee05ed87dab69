package policycmd

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// A whatCanCommand is what the flags of mcpagg policy what-can say.
type whatCanCommand struct {
	flags  workspace.Flags
	caller callerFlags
	all    bool
	json   bool
}

func newWhatCanCommand(live workspace.Live) *cobra.Command {
	var c whatCanCommand
	cmd := &cobra.Command{
		Use:   "what-can [TOOL…]",
		Short: "Say what somebody may use",
		Long: `List the tools, prompts and resources that somebody may use, by upstream, with the
condition of each that may be used only at times. Names and patterns such as 'github/*'
choose some of them.

The caller is a persona of the tests (--as), or one that policies speak of, such as
"anybody", "Group NAME" or "Role NAME"; or is made up with --group, --role and so on.
Without any of these, it says of all callers how much each may use.

` + workspace.Help,
		Example: `  mcpagg policy what-can --as dev
  mcpagg policy what-can --group platform --mfa 'github/*'
  mcpagg policy what-can                     # how much each caller may use
  mcpagg policy what-can --as dev --all --json`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.do(cmd, args, live) },
	}
	c.flags.Add(cmd)
	c.caller.add(cmd)
	cmd.Flags().BoolVar(&c.all, "all", false, "list also what the caller may not use, with the reason")
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON")
	return cmd
}

func (c *whatCanCommand) do(cmd *cobra.Command, args []string, live workspace.Live) error {
	w, err := c.flags.Load(cmd.Context(), workspace.Options{Live: live, Stderr: cmd.ErrOrStderr()})
	if err != nil {
		return err
	}
	rows, err := chooseRows(w, args)
	if err != nil {
		return err
	}
	callers, err := c.callers(cmd, w)
	if err != nil {
		return err
	}
	m, err := survey.Of(w.Engine, callers, rows, survey.Options{Groups: w.Set.Groups})
	if err != nil {
		return cli.UsageError("%w", err)
	}
	if note := observed(w.Engine); note != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: "+note)
	}
	p := &abilities{m: m, w: w, all: c.all, width: cli.Width(cmd.OutOrStdout()), paint: cli.Painter(cli.Coloured(cmd.OutOrStdout()))}
	one := c.asked(cmd)
	switch {
	case c.json:
		return p.json(cmd.OutOrStdout())
	case one:
		return p.one(cmd.OutOrStdout())
	}
	return p.everybody(cmd.OutOrStdout(), c.flags.Command())
}

// asked reports whether the flags say who calls.
func (c *whatCanCommand) asked(cmd *cobra.Command) bool {
	for _, name := range []string{"as", "group", "role", "claim", "acr", "id", "email", "app", "guest", "workload", "mfa"} {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// callers are the one that the flags say, or all.
func (c *whatCanCommand) callers(cmd *cobra.Command, w *workspace.Workspace) ([]survey.Caller, error) {
	all, err := callersOf(w, w.Policy.Policies)
	if err != nil || !c.asked(cmd) {
		return all, err
	}
	p, err := c.caller.persona(cmd, w)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(o survey.Caller) bool {
		return o.Name == p.Name && o.About() == (survey.Caller{Persona: p}).About()
	}); i >= 0 {
		return all[i : i+1], nil
	}
	return []survey.Caller{{Persona: p, Sort: survey.Made}}, nil
}

// abilities prints what callers may use.
type abilities struct {
	m     *survey.Map
	w     *workspace.Workspace
	all   bool
	width int
	paint cli.Painter
}

// tally counts outcomes.
type tally [3]int

func (t tally) allowed() int { return t[explain.Always] + t[explain.Sometimes] }

func (p *abilities) tally(caller int, rows []int) tally {
	var t tally
	for _, r := range rows {
		t[p.m.At(caller, r).Outcome]++
	}
	return t
}

// upstreams are the rows of each upstream, in order.
func upstreams(rows []survey.Row) (all [][]int) {
	for i, r := range rows {
		if i == 0 || r.Object.Upstream() != rows[i-1].Object.Upstream() {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], i)
	}
	return all
}

func every(rows []survey.Row) []int {
	all := make([]int, len(rows))
	for i := range all {
		all[i] = i
	}
	return all
}

// one prints all of a caller.
func (p *abilities) one(w io.Writer) error {
	c := p.m.Callers[0]
	title := cli.Visible(c.Name)
	if about := c.About(); about != "" && !c.IsSpokenOf() {
		title += " (" + cli.Visible(about) + ")"
	}
	t := p.tally(0, every(p.m.Rows))
	fmt.Fprintf(w, "%s may use %s\n", p.paint.Paint(cli.Bold, title), counted(t, p.m.Rows))
	for _, rows := range upstreams(p.m.Rows) {
		p.upstream(w, rows)
	}
	return nil
}

// counted is how much may be used of some rows.
func counted(t tally, rows []survey.Row) string {
	text := fmt.Sprintf("%d of %s", t.allowed(), numbered(rows))
	if strings.Contains(text, ",") { // not only tools
		text = fmt.Sprintf("%d of %d (%s)", t.allowed(), len(rows), numbered(rows))
	}
	if t[explain.Sometimes] > 0 {
		text += fmt.Sprintf(": %d always, %d under a condition", t[explain.Always], t[explain.Sometimes])
	}
	return text
}

// numbered is how many rows there are of each kind, such as 12 tools, 1 prompt.
func numbered(rows []survey.Row) string {
	var parts []string
	for _, kind := range []string{"tool", "prompt", "resource", "template"} {
		n := 0
		for _, r := range rows {
			if r.Kind == kind {
				n++
			}
		}
		if n > 0 || kind == "tool" {
			parts = append(parts, cli.Count(n, kind))
		}
	}
	return strings.Join(parts, ", ")
}

// upstream prints what may be used of one.
func (p *abilities) upstream(w io.Writer, rows []int) {
	t := p.tally(0, rows)
	if t.allowed() == 0 && !p.all {
		return
	}
	fmt.Fprintf(w, "\n%s  %s\n", p.paint.Paint(cli.Bold, cli.Visible(p.m.Rows[rows[0]].Object.Upstream())), p.paint.Paint(cli.Dim, fmt.Sprintf("%d of %d", t.allowed(), len(rows))))
	names := 0
	for _, r := range rows {
		if p.shown(r) {
			names = max(names, len([]rune(rowTitle(p.m.Rows[r]))))
		}
	}
	names = min(names, p.width/2)
	for _, r := range rows {
		if p.shown(r) {
			p.row(w, r, names)
		}
	}
}

func (p *abilities) shown(row int) bool { return p.all || p.m.At(0, row).Outcome != explain.Never }

// row prints one line.
func (p *abilities) row(w io.Writer, row, names int) {
	a := p.m.At(0, row)
	text := ""
	switch a.Outcome {
	case explain.Sometimes:
		text = conditionText(a)
	case explain.Never:
		text = a.Why
	}
	sign := p.paint.Paint(outcomeColours[a.Outcome], outcomeSigns[a.Outcome])
	line := fmt.Sprintf("  %s %-*s  ", sign, names, shortened(rowTitle(p.m.Rows[row]), names))
	fmt.Fprintln(w, strings.TrimRight(line+p.paint.Paint(cli.Dim, shortened(text, p.width-names-6)), " "))
}

// everybody prints how much each caller may use.
func (p *abilities) everybody(w io.Writer, flags string) error {
	names := len("caller")
	for _, c := range p.m.Callers {
		names = max(names, len([]rune(c.Name)))
	}
	names = min(names, p.width/2)
	fmt.Fprintf(w, "%-*s  always  when  never\n", names, "caller")
	for i, c := range p.m.Callers {
		t := p.tally(i, every(p.m.Rows))
		about := ""
		if !c.IsSpokenOf() {
			about = shortened(c.About(), p.width-names-23)
		}
		line := fmt.Sprintf("%-*s  %6d  %4d  %5d  ", names, shortened(c.Name, names), t[explain.Always], t[explain.Sometimes], t[explain.Never])
		fmt.Fprintln(w, strings.TrimRight(line+p.paint.Paint(cli.Dim, about), " "))
	}
	fmt.Fprintf(w, "\n%s in all. What one of them may use: mcpagg policy what-can%s --as NAME\n", numbered(p.m.Rows), flags)
	return nil
}

// conditionText says when something is allowed that is so at times.
func conditionText(a *explain.Answer) string {
	return strings.TrimPrefix(strings.TrimPrefix(a.Sentence(), "only "), "always, ")
}

func (p *abilities) json(w io.Writer) error {
	type entry struct {
		jsonRow
		jsonAnswer
	}
	type caller struct {
		jsonCaller
		Always    int     `json:"always"`
		Sometimes int     `json:"sometimes"`
		Never     int     `json:"never"`
		Objects   []entry `json:"objects"`
	}
	var all []caller
	for i, c := range p.m.Callers {
		t := p.tally(i, every(p.m.Rows))
		one := caller{callerJSON(c), t[explain.Always], t[explain.Sometimes], t[explain.Never], []entry{}}
		for r, row := range p.m.Rows {
			if a := p.m.At(i, r); p.all || a.Outcome != explain.Never {
				one.Objects = append(one.Objects, entry{rowJSON(row), answerJSON(p.w.Path, a)})
			}
		}
		all = append(all, one)
	}
	return cli.PrintJSON(w, struct {
		Callers []caller `json:"callers"`
	}{all})
}
