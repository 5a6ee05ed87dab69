package policycmd

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// A whoCanCommand is what the flags of mcpagg policy who-can say.
type whoCanCommand struct {
	flags          workspace.Flags
	callers        callersFlags
	input, now, ip string
	json           bool
}

func newWhoCanCommand(live workspace.Live) *cobra.Command {
	var c whoCanCommand
	cmd := &cobra.Command{
		Use:   "who-can TOOL",
		Short: "Say who may use a tool",
		Long: `Say who may use a tool, a prompt or a resource: in words by what policies mention, and
for each caller whether always, under a condition, or never. With --input, it is about one
call with these arguments.

` + callersHelp + ` Two of those that policies speak of are also
asked about as one person. It is an enumeration all the same, and no proof.

` + workspace.Help,
		Example: `  mcpagg policy who-can github/create_issue
  mcpagg policy who-can github/create_issue --input '{"owner": "contoso", "repo": "web"}'
  mcpagg policy who-can github/create_issue --as dev --group platform --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.do(cmd, args[0], live) },
	}
	c.flags.Add(cmd)
	c.callers.add(cmd)
	f := cmd.Flags()
	f.StringVar(&c.input, "input", "", "arguments of one call: JSON, @FILE, or - for standard input")
	f.StringVar(&c.now, "now", "", "with --input, time of the call, such as 2026-11-23T12:00:00Z (default: now)")
	f.StringVar(&c.ip, "ip", "", "with --input, address that the call comes from, for callers who have none of their own")
	f.BoolVar(&c.json, "json", false, "print JSON")
	return cmd
}

func (c *whoCanCommand) do(cmd *cobra.Command, name string, live workspace.Live) error {
	w, err := c.flags.Load(cmd.Context(), workspace.Options{Live: live, Stderr: cmd.ErrOrStderr()})
	if err != nil {
		return err
	}
	o, err := w.Find(name)
	if err != nil {
		return err
	}
	all, err := callersOf(w, w.Policy.Policies)
	if err != nil {
		return err
	}
	callers, err := c.callers.choose(all)
	if err != nil {
		return err
	}
	if note := observed(w.Engine); note != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: "+note)
	}
	p := &accesses{w: w, row: rowsOf(w, []*policy.Object{o})[0], width: cli.Width(cmd.OutOrStdout()), paint: cli.Painter(cli.Coloured(cmd.OutOrStdout())), asJSON: c.json}
	if cmd.Flags().Changed("input") {
		return c.call(cmd, p, callers)
	}
	if c.now != "" || c.ip != "" {
		return cli.UsageError("--now and --ip are of one call; say with which arguments, with --input")
	}
	options := survey.Options{Groups: w.Set.Groups}
	m, err := survey.Of(w.Engine, callers, []survey.Row{p.row}, options)
	if err != nil {
		return cli.UsageError("%w", err)
	}
	return p.access(cmd.OutOrStdout(), m, survey.Who(w.Engine, all, o, options))
}

// call prints who may make one call.
func (c *whoCanCommand) call(cmd *cobra.Command, p *accesses, callers []survey.Caller) error {
	r := &policy.Request{Object: p.row.Object, Now: time.Now()}
	var err error
	if c.now != "" {
		if r.Now, err = time.Parse(time.RFC3339, c.now); err != nil {
			return cli.UsageError("--now %q is no time such as 2026-11-23T12:00:00Z", cli.Visible(c.now))
		}
	}
	if c.ip != "" {
		if r.IP, err = netip.ParseAddr(c.ip); err != nil {
			return cli.UsageError("--ip %q is no address such as 10.1.2.3", cli.Visible(c.ip))
		}
	}
	if err := readArguments(cmd, c.input, r); err != nil {
		return err
	}
	if note := unfit(p.w, r); note != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: "+cli.Visible(note))
	}
	x := explain.New(p.w.Engine)
	var all []verdict
	for _, caller := range callers {
		one := *r
		one.Principal = caller.Resolve(p.w.Set.Groups).Principal()
		one.Principal.Auth = caller.Auth(r.Now)
		if caller.IP.IsValid() {
			one.IP = caller.IP
		}
		v := x.Explain(&one, nil)
		all = append(all, verdict{caller, v.Allowed, v.Why, v.Lacks})
	}
	return p.verdicts(cmd.OutOrStdout(), all)
}

// accesses prints who may use something.
type accesses struct {
	w      *workspace.Workspace
	row    survey.Row
	width  int
	paint  cli.Painter
	asJSON bool
}

func (p *accesses) title() string {
	return p.paint.Paint(cli.Bold, cli.Visible(p.row.Object.Origin())) + p.paint.Paint(cli.Dim, " ("+p.row.Kind+")")
}

// access prints the words, and the answer for each caller.
func (p *accesses) access(w io.Writer, m *survey.Map, who survey.Access) error {
	if p.asJSON {
		return p.accessJSON(w, m, who)
	}
	fmt.Fprintf(w, "%s\n\n", p.title())
	for _, words := range who.Words {
		p.paragraph(w, "  ", words)
	}
	for _, o := range who.Others {
		p.paragraph(w, "  ", "anyone else whom "+p.policyName(o)+" permits it, which needs that "+o.Needs)
	}
	sentences := map[string][]string{}
	var order []*explain.Answer
	for i, c := range m.Callers {
		a := m.At(i, 0)
		if sentences[a.Sentence()] == nil {
			order = append(order, a)
		}
		sentences[a.Sentence()] = append(sentences[a.Sentence()], c.Name)
	}
	slices.SortStableFunc(order, func(a, b *explain.Answer) int { return int(b.Outcome) - int(a.Outcome) })
	for _, a := range order {
		sign := p.paint.Paint(outcomeColours[a.Outcome], outcomeSigns[a.Outcome])
		fmt.Fprintf(w, "\n  %s ", sign)
		p.wrapped(w, "    ", a.Sentence())
		p.paragraph(w, "      ", strings.Join(sentences[a.Sentence()], ", "))
	}
	return nil
}

func (p *accesses) policyName(o explain.Other) string {
	return fmt.Sprintf("%s (%s:%d)", o.Policy.ID, p.w.Path(o.Policy.File), o.Policy.Line)
}

// paragraph prints a text in lines that fit.
func (p *accesses) paragraph(w io.Writer, indent, text string) {
	io.WriteString(w, indent)
	p.wrapped(w, indent, text)
}

// wrapped prints a text of which the first line is already indented.
func (p *accesses) wrapped(w io.Writer, indent, text string) {
	for i, line := range lines(cli.Visible(text), p.width-len(indent)) {
		if i > 0 {
			io.WriteString(w, indent)
		}
		fmt.Fprintln(w, line)
	}
}

// lines breaks a text between words.
func lines(text string, width int) []string {
	var all []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) > width:
			all = append(all, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(all, line)
}

// A verdict is what comes of one caller's call.
type verdict struct {
	caller     survey.Caller
	allowed    bool
	why, lacks string
}

func (p *accesses) verdicts(w io.Writer, all []verdict) error {
	if p.asJSON {
		return p.verdictsJSON(w, all)
	}
	fmt.Fprintln(w, p.title())
	slices.SortStableFunc(all, func(a, b verdict) int { return rank(a) - rank(b) })
	var texts []string
	same := map[string][]verdict{}
	for _, v := range all {
		if same[v.text()] == nil {
			texts = append(texts, v.text())
		}
		same[v.text()] = append(same[v.text()], v)
	}
	for _, text := range texts {
		p.verdict(w, same[text])
	}
	return nil
}

func rank(v verdict) int {
	if v.allowed {
		return 0
	}
	return 1
}

func (v verdict) text() string {
	if v.lacks == "" {
		return v.why
	}
	return v.why + "; " + v.lacks
}

// verdict prints callers of whom the same is decided.
func (p *accesses) verdict(w io.Writer, same []verdict) {
	sign := p.paint.Paint(cli.Red, "✗")
	if same[0].allowed {
		sign = p.paint.Paint(cli.Green, "✓")
	}
	names := make([]string, len(same))
	for i, v := range same {
		names[i] = v.caller.Name
	}
	fmt.Fprintf(w, "\n  %s ", sign)
	p.wrapped(w, "    ", same[0].text())
	p.paragraph(w, "      ", strings.Join(names, ", "))
}

func (p *accesses) accessJSON(w io.Writer, m *survey.Map, who survey.Access) error {
	type entry struct {
		jsonCaller
		jsonAnswer
	}
	type other struct {
		jsonPolicy
		Needs string `json:"needs"`
	}
	out := struct {
		jsonRow
		Words   []string `json:"words"`
		Others  []other  `json:"others,omitempty"` // permits that no caller satisfies
		Callers []entry  `json:"callers"`
	}{rowJSON(p.row), who.Words, nil, nil}
	for _, o := range who.Others {
		out.Others = append(out.Others, other{jsonPolicy{o.Policy.ID, p.w.Path(o.Policy.File), o.Policy.Line}, o.Needs})
	}
	for i, c := range m.Callers {
		out.Callers = append(out.Callers, entry{callerJSON(c), answerJSON(p.w.Path, m.At(i, 0))})
	}
	return cli.PrintJSON(w, out)
}

func (p *accesses) verdictsJSON(w io.Writer, all []verdict) error {
	type entry struct {
		jsonCaller
		Allowed bool   `json:"allowed"`
		Why     string `json:"why"`
		Lacks   string `json:"lacks,omitempty"`
	}
	out := struct {
		jsonRow
		Callers []entry `json:"callers"`
	}{rowJSON(p.row), nil}
	for _, v := range all {
		out.Callers = append(out.Callers, entry{callerJSON(v.caller), v.allowed, v.why, v.lacks})
	}
	return cli.PrintJSON(w, out)
}
