package policycmd

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/source"
)

// explained prints what is explained of a request, or of all like it.
type explained struct {
	w       *workspace.Workspace
	who     *persona.Persona
	request *policy.Request
	paint   cli.Painter
	json    bool
	holding []string // arguments whose values policies may not be able to hold
}

// title names the caller and what it is about.
func (p *explained) title() string {
	who := p.who.Name
	if in := slices.Concat(prefixed("Group ", p.who.Groups), prefixed("Role ", p.who.Roles)); len(in) > 0 && !slices.Contains(in, who) {
		who += " (" + strings.Join(in, ", ") + ")"
	}
	return cli.Visible(who + ", " + p.request.Object.Origin())
}

func prefixed(prefix string, all []string) []string {
	made := make([]string, len(all))
	for i, s := range all {
		made[i] = prefix + s
	}
	return made
}

// A jsonPolicy names a policy.
type jsonPolicy struct {
	ID   string `json:"id"`
	File string `json:"file"`
	Line int    `json:"line"`
}

func (p *explained) named(of *source.Policy) jsonPolicy {
	return jsonPolicy{of.ID, p.w.Path(of.File), of.Line}
}

// answer prints what holds for all requests.
func (p *explained) answer(w io.Writer, a *explain.Answer, example *policy.Request, others []explain.Other) error {
	if p.json {
		return p.answerJSON(w, a, example, others)
	}
	colour := map[explain.Outcome]cli.Colour{explain.Always: cli.Green, explain.Sometimes: cli.Yellow, explain.Never: cli.Red}[a.Outcome]
	fmt.Fprintf(w, "%s\n\n  %s\n", p.paint.Paint(cli.Bold, p.title()), p.paint.Paint(colour, cli.Visible(a.Sentence())))
	if a.Outcome == explain.Sometimes {
		fmt.Fprintln(w)
		if text := a.Condition(); text != "" {
			fmt.Fprintf(w, "  in Cedar  %s\n", cli.Visible(text))
		}
		if !a.Exact() {
			fmt.Fprintln(w, "            (where a part of it cannot be evaluated, a permit permits nothing, and a forbid forbids)")
		}
		switch {
		case example != nil:
			fmt.Fprintf(w, "  such as   %s\n", cli.Visible(string(example.Raw)))
		case !a.Template:
			fmt.Fprintln(w, "  no arguments were found with which it is allowed; the circumstances may have to be others")
		}
	}
	p.parts(w, "permits", a.Permits)
	p.parts(w, "forbids", a.Forbids)
	if a.Outcome == explain.Never {
		p.others(w, others)
	}
	for _, note := range p.notes() {
		fmt.Fprintf(w, "\n  note: %s\n", cli.Visible(note))
	}
	return nil
}

// parts prints the policies that matter.
func (p *explained) parts(w io.Writer, title string, parts []explain.Part) {
	for i, part := range parts {
		if i == 0 {
			fmt.Fprintln(w)
		} else {
			title = ""
		}
		fmt.Fprintf(w, "  %-9s %s\n", title, cli.Visible(p.nameOf(part.Policy)))
	}
}

// maxOthers bounds how many policies are printed that permit it to others.
const maxOthers = 10

// others prints who else is permitted what the caller is not.
func (p *explained) others(w io.Writer, all []explain.Other) {
	for i, o := range all {
		switch {
		case i == 0:
			fmt.Fprintf(w, "\n  others are permitted it by\n")
		case i == maxOthers:
			fmt.Fprintf(w, "    and %s more\n", cli.Count(len(all)-i, "policy"))
			return
		}
		fmt.Fprintf(w, "    %s\n      which needs that %s\n", cli.Visible(p.nameOf(o.Policy)), cli.Visible(o.Needs))
	}
}

// nameOf is a policy with its place.
func (p *explained) nameOf(of *source.Policy) string {
	place := fmt.Sprintf("%s:%d", p.w.Path(of.File), of.Line)
	if strings.HasPrefix(of.ID, of.File+"#") {
		return place
	}
	return of.ID + "  " + place
}

// notes are what one should know of the tool and the gateway.
func (p *explained) notes() []string {
	var notes []string
	if p.w.Engine.Observes() {
		notes = append(notes, "policies are only observed (mode = \"observe\"): the gateway lets everything through")
	}
	if t := p.w.Tool(p.request.Object); t != nil && t.Drifted {
		notes = append(notes, "the tool is not as it was reviewed: its annotations do not count until it is again (mcpagg lock)")
	}
	if len(p.holding) > 0 {
		notes = append(notes, "a call is denied where Cedar cannot hold the value of "+strings.Join(p.holding, ", ")+", such as a number that is too large or has more than four decimals, or a date that is none")
	}
	return notes
}

func (p *explained) answerJSON(w io.Writer, a *explain.Answer, example *policy.Request, others []explain.Other) error {
	type other struct {
		jsonPolicy
		Needs string `json:"needs"`
	}
	out := struct {
		Caller    string          `json:"caller"`
		Object    string          `json:"object"`
		Outcome   string          `json:"outcome"`
		Sentence  string          `json:"sentence"`
		Condition string          `json:"condition"`
		Exact     bool            `json:"exact"`
		Example   json.RawMessage `json:"example,omitempty"`
		Permits   []jsonPolicy    `json:"permits"`
		Forbids   []jsonPolicy    `json:"forbids"`
		Others    []other         `json:"others,omitempty"` // who are permitted it
		Notes     []string        `json:"notes,omitempty"`
	}{
		p.who.Name, p.request.Object.String(), a.Outcome.String(), a.Sentence(), a.Condition(), a.Exact(),
		nil,
		[]jsonPolicy{},
		[]jsonPolicy{},
		nil, p.notes(),
	}
	if example != nil {
		out.Example = example.Raw
	}
	for _, part := range a.Permits {
		out.Permits = append(out.Permits, p.named(part.Policy))
	}
	for _, part := range a.Forbids {
		out.Forbids = append(out.Forbids, p.named(part.Policy))
	}
	if a.Outcome == explain.Never {
		for _, o := range others {
			out.Others = append(out.Others, other{p.named(o.Policy), o.Needs})
		}
	}
	return cli.PrintJSON(w, out)
}

// maxJudged bounds how many policies are printed that did not decide.
const maxJudged = 20

// verdict prints why one request is decided as it is.
func (p *explained) verdict(w io.Writer, v *explain.Verdict) error {
	v.Notes = append(v.Notes, p.notes()...)
	if p.json {
		return p.verdictJSON(w, v)
	}
	colour := cli.Red
	if v.Allowed {
		colour = cli.Green
	}
	fmt.Fprintf(w, "%s\n\n  %s\n", p.paint.Paint(cli.Bold, p.title()), p.paint.Paint(colour, cli.Visible(v.Why)))
	if v.Lacks != "" {
		fmt.Fprintf(w, "  %s\n", cli.Visible(v.Lacks))
	}
	if v.StepUp != "" {
		fmt.Fprintf(w, "  all that is missing is a sign-in with the authentication context %s\n", cli.Visible(v.StepUp))
	}
	for _, o := range v.Obligations.Words() {
		fmt.Fprintf(w, "  %s\n", cli.Visible(o))
	}
	for _, note := range v.Notes {
		fmt.Fprintf(w, "  note: %s\n", cli.Visible(note))
	}
	others := 0
	for _, j := range v.Judged {
		if !j.Deciding {
			if others++; others > maxJudged {
				continue
			}
		}
		p.judged(w, j)
	}
	if others > maxJudged {
		fmt.Fprintf(w, "\n%s more\n", cli.Count(others-maxJudged, "policy"))
	}
	return nil
}

// judged prints what one policy comes to.
func (p *explained) judged(w io.Writer, j explain.Judged) {
	effect, state := "permit", p.paint.Paint(cli.Dim, "not satisfied")
	if !j.Policy.Permit {
		effect = "forbid"
	}
	switch {
	case j.Error != "":
		state = p.paint.Paint(cli.Yellow, "cannot be evaluated")
	case j.Deciding:
		state = p.paint.Paint(cli.Bold, "satisfied, and decides")
	case j.Satisfied:
		state = "satisfied"
	}
	if j.Policy.Observe {
		state += ", only observed"
	}
	fmt.Fprintf(w, "\n%s %s: %s\n", effect, cli.Visible(p.nameOf(j.Policy)), state)
	for _, n := range j.Scope {
		p.node(w, n, "  ")
	}
	for _, c := range j.Conditions {
		word := "when"
		if c.Unless {
			word = "unless"
		}
		fmt.Fprintf(w, "  %s\n", word)
		p.node(w, c.Node, "    ")
	}
}

// node prints a condition, and below it what it is made of.
func (p *explained) node(w io.Writer, n *explain.Node, indent string) {
	mark, value := "-", ""
	switch {
	case n.Skipped:
		fmt.Fprintln(w, p.paint.Paint(cli.Dim, indent+"- "+cli.Visible(n.Text)+"  (not looked at)"))
		return
	case n.Error != "":
		mark, value = p.paint.Paint(cli.Yellow, "!"), ": "+n.Error
	case n.Value == "true":
		mark = p.paint.Paint(cli.Green, "✓")
	case n.Value == "false":
		mark = p.paint.Paint(cli.Red, "✗")
	default:
		value = " = " + n.Value
	}
	fmt.Fprintf(w, "%s%s %s%s\n", indent, mark, cli.Visible(n.Text), cli.Visible(value))
	for _, part := range n.Parts {
		p.node(w, part, indent+"  ")
	}
}

func (p *explained) verdictJSON(w io.Writer, v *explain.Verdict) error {
	type judged struct {
		jsonPolicy
		Permit     bool                `json:"permit"`
		Satisfied  bool                `json:"satisfied"`
		Deciding   bool                `json:"deciding"`
		Error      string              `json:"error,omitempty"`
		Scope      []*explain.Node     `json:"scope,omitempty"`
		Conditions []explain.Condition `json:"conditions,omitempty"`
	}
	out := struct {
		Caller      string   `json:"caller"`
		Object      string   `json:"object"`
		Allowed     bool     `json:"allowed"`
		Why         string   `json:"why"`
		Lacks       string   `json:"lacks,omitempty"`
		StepUp      string   `json:"step_up,omitempty"`
		Obligations []string `json:"obligations,omitempty"`
		Notes       []string `json:"notes,omitempty"`
		Policies    []judged `json:"policies"`
	}{p.who.Name, p.request.Object.String(), v.Allowed, v.Why, v.Lacks, v.StepUp, v.Obligations.Words(), v.Notes, []judged{}}
	for _, j := range v.Judged {
		out.Policies = append(out.Policies, judged{p.named(j.Policy), j.Policy.Permit, j.Satisfied, j.Deciding, j.Error, j.Scope, j.Conditions})
	}
	return cli.PrintJSON(w, out)
}
