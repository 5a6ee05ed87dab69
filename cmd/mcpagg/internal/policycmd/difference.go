package policycmd

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// A difference prints what is different between two sets of policies.
type difference struct {
	before, after *side
	diff          *survey.Diff
	note          string // what else one should know, "" for nothing
	width         int
	paint         cli.Painter
}

// kindTitles are what kinds of changes are called.
var kindTitles = map[survey.Kind]string{
	survey.Allowed:     "newly allowed",
	survey.Denied:      "newly denied",
	survey.Wider:       "condition changed, allows more",
	survey.Narrower:    "condition changed, allows less",
	survey.Changed:     "condition changed",
	survey.Obligations: "other bounds for what is allowed",
}

var kindColours = map[survey.Kind]cli.Colour{
	survey.Allowed: cli.Green, survey.Wider: cli.Green, survey.Denied: cli.Red, survey.Narrower: cli.Red,
	survey.Changed: cli.Yellow, survey.Obligations: cli.Yellow,
}

// of are the changes of a kind.
func (p *difference) of(k survey.Kind) []survey.Change {
	return slices.DeleteFunc(slices.Clone(p.diff.Changes), func(c survey.Change) bool { return c.Kind != k })
}

// changed is how many pairs are different.
func (p *difference) changed() int {
	n := 0
	for i := range p.diff.Changes {
		n += p.diff.Changes[i].Pairs()
	}
	return n
}

func (p *difference) text(w io.Writer) error {
	fmt.Fprintf(w, "%s\n", p.paint.Paint(cli.Bold, cli.Visible(p.before.label)+" -> "+cli.Visible(p.after.label)))
	for _, k := range survey.Kinds() {
		changes := p.of(k)
		if len(changes) > 0 {
			fmt.Fprintf(w, "\n%s\n", p.paint.Paint(kindColours[k], kindTitles[k]))
		}
		for i := range changes {
			p.change(w, &changes[i])
		}
	}
	fmt.Fprintln(w)
	p.paragraph(w, "", p.summary()+" "+p.enumerated())
	if p.note != "" {
		p.paragraph(w, "", "note: "+p.note)
	}
	return nil
}

// summary counts.
func (p *difference) summary() string {
	all := len(p.diff.Callers) * len(p.diff.Rows)
	if p.changed() == 0 {
		return "Nothing changes."
	}
	return fmt.Sprintf("%d of %s of a caller and a tool change.", p.changed(), cli.Count(all, "pair"))
}

// enumerated says what was asked, and what that means.
func (p *difference) enumerated() string {
	return fmt.Sprintf("Asked about %s (%s) and %s, one by one: an enumeration, and no proof. Somebody else, such as one who is in two groups at once, may be affected otherwise.",
		cli.Count(len(p.diff.Callers), "caller"), namesOf(p.diff.Callers), numbered(p.diff.Rows))
}

// paragraph prints a text in lines that fit.
func (p *difference) paragraph(w io.Writer, indent, text string) {
	for _, line := range lines(cli.Visible(text), p.width-len(indent)) {
		fmt.Fprintln(w, indent+line)
	}
}

// change prints one change.
func (p *difference) change(w io.Writer, c *survey.Change) {
	fmt.Fprintln(w)
	p.paragraph(w, "  ", strings.Join(objectNames(c.Rows, mostNamed), ", "))
	hanging(w, p.width, "    for ", strings.Join(callerNames(c.Callers, mostNamed), ", "))
	for _, line := range p.sentences(c) {
		hanging(w, p.width, "    "+line[0]+" ", line[1])
	}
}

// mostNamed bounds how many names are in one list.
const mostNamed = 20

func objectNames(rows []survey.Row, most int) []string {
	var names []string
	for _, r := range rows {
		names = append(names, cli.Visible(r.Object.Origin()))
	}
	return bounded(names, most)
}

func callerNames(callers []survey.Caller, most int) []string {
	var names []string
	for _, c := range callers {
		names = append(names, cli.Visible(c.Name))
	}
	return bounded(names, most)
}

// bounded is the beginning of a list, and how much more there is.
func bounded(names []string, most int) []string {
	if len(names) <= most {
		return names
	}
	return append(names[:most:most], fmt.Sprintf("and %d more", len(names)-most))
}

// sentences say what was and is, each behind a word.
func (p *difference) sentences(c *survey.Change) [][2]string {
	var all [][2]string
	add := func(word, text string) {
		if text != "" {
			all = append(all, [2]string{word, text})
		}
	}
	switch c.Kind {
	case survey.Allowed:
		add("now", c.After.Sentence())
		add("by ", places(p.after, c.After.Permits))
	case survey.Denied:
		add("was", c.Before.Sentence())
		add("now", c.After.Sentence())
		add("by ", places(p.after, decisive(c.After)))
	case survey.Obligations:
		add("by ", places(p.after, c.After.Permits))
	default:
		add("was", c.Before.Sentence())
		add("now", c.After.Sentence())
		add("by ", places(p.after, slices.Concat(c.After.Permits, c.After.Forbids)))
	}
	if c.BeforeObligations != nil || c.AfterObligations != nil {
		add("bounds were", orNone(c.BeforeObligations))
		add("bounds are ", orNone(c.AfterObligations))
	}
	return all
}

// decisive are the forbids for which something is never allowed.
func decisive(a *explain.Answer) []explain.Part {
	return slices.DeleteFunc(slices.Clone(a.Forbids), func(p explain.Part) bool { return p.Condition() != "false" })
}

func orNone(texts []string) string {
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, "; ")
}

// places are policies with where they are.
func places(s *side, parts []explain.Part) string {
	var all []string
	for _, part := range parts {
		all = append(all, placeOf(s, part))
	}
	return strings.Join(bounded(all, mostNamed), ", ")
}

func placeOf(s *side, part explain.Part) string {
	of := part.Policy
	place := fmt.Sprintf("%s:%d", s.path(of.File), of.Line)
	if strings.HasPrefix(of.ID, of.File+"#") {
		return place
	}
	return of.ID + " (" + place + ")"
}

func (p *difference) json(w io.Writer) error {
	type change struct {
		Kind              survey.Kind `json:"kind"`
		Callers           []string    `json:"callers"`
		Objects           []string    `json:"objects"`
		Before            jsonAnswer  `json:"before"`
		After             jsonAnswer  `json:"after"`
		BeforeObligations []string    `json:"before_obligations,omitempty"`
		AfterObligations  []string    `json:"after_obligations,omitempty"`
	}
	out := struct {
		Before  string              `json:"before"`
		After   string              `json:"after"`
		Callers []jsonCaller        `json:"callers"`
		Objects int                 `json:"objects"` // how many were asked about
		Pairs   map[survey.Kind]int `json:"pairs"`   // of a caller and an object that change
		Changes []change            `json:"changes"`
		Notes   []string            `json:"notes"`
	}{
		p.before.label, p.after.label, nil, len(p.diff.Rows),
		map[survey.Kind]int{},
		[]change{},
		[]string{p.enumerated()},
	}
	for _, c := range p.diff.Callers {
		out.Callers = append(out.Callers, callerJSON(c))
	}
	for _, k := range survey.Kinds() {
		out.Pairs[k] = p.diff.Pairs(k)
	}
	for i := range p.diff.Changes {
		c := &p.diff.Changes[i]
		one := change{Kind: c.Kind, Before: sideJSON(p.before, c.Before), After: sideJSON(p.after, c.After), BeforeObligations: c.BeforeObligations, AfterObligations: c.AfterObligations}
		for _, caller := range c.Callers {
			one.Callers = append(one.Callers, caller.Name)
		}
		for _, r := range c.Rows {
			one.Objects = append(one.Objects, r.Object.String())
		}
		out.Changes = append(out.Changes, one)
	}
	if p.note != "" {
		out.Notes = append(out.Notes, p.note)
	}
	return cli.PrintJSON(w, out)
}

func sideJSON(s *side, a *explain.Answer) jsonAnswer { return answerJSON(s.path, a) }
