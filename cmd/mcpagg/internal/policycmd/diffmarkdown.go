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

const (
	// maxComment bounds the characters of Markdown: a comment at GitHub has 65,536 at most.
	maxComment = 60_000
	// maxCommented bounds those of one text in it.
	maxCommented = 1_500
)

// markdown prints a comment for a pull request. All that others wrote is in code, so that
// it can be no link, no picture and no mention of somebody.
func (p *difference) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### What the policies change\n\n%s → %s: %s\n", code(p.before.label), code(p.after.label), strings.ToLower(p.summary()[:1])+p.summary()[1:])
	p.table(&b)
	end := p.ending()
	room := maxComment - len([]rune(b.String())) - len([]rune(end)) - 200 // for how much is left out
	left := 0
	for _, k := range survey.Kinds() {
		title := "\n#### " + strings.ToUpper(kindTitles[k][:1]) + kindTitles[k][1:] + "\n"
		changes := p.of(k)
		for i := range changes {
			text := title + p.markdownChange(&changes[i])
			n := len([]rune(text))
			if n > room || left > 0 {
				left++
				continue
			}
			room -= n
			title = ""
			b.WriteString(text)
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n**%s more**, for which there is no room here: see `mcpagg policy diff`.\n", cli.Count(left, "change"))
	}
	b.WriteString(end)
	_, err := io.WriteString(w, b.String())
	return err
}

// table counts the changes of each kind.
func (p *difference) table(b *strings.Builder) {
	if len(p.diff.Changes) == 0 {
		return
	}
	b.WriteString("\n| | pairs of a caller and a tool |\n|---|---:|\n")
	for _, k := range survey.Kinds() {
		if n := p.diff.Pairs(k); n > 0 {
			fmt.Fprintf(b, "| %s | %d |\n", kindTitles[k], n)
		}
	}
}

// ending says what was asked, folded.
func (p *difference) ending() string {
	var b strings.Builder
	if p.note != "" {
		fmt.Fprintf(&b, "\nNote: %s.\n", p.note)
	}
	fmt.Fprintf(&b, "\n<details><summary>This is an enumeration of %s and %s, and no proof</summary>\n\nCallers: %s.\n\nSomebody else, such as one who is in two groups at once, may be affected otherwise.\n\n</details>\n",
		cli.Count(len(p.diff.Callers), "caller"), numbered(p.diff.Rows), codes(callerNames(p.diff.Callers, 100)))
	return b.String()
}

// markdownChange is one change, with its conditions and policies folded.
func (p *difference) markdownChange(c *survey.Change) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n* %s\n  for %s", codes(objectNames(c.Rows, mostNamed)), codes(callerNames(c.Callers, mostNamed)))
	switch c.Kind {
	case survey.Allowed, survey.Denied:
		fmt.Fprintf(&b, ": %s\n", code(c.After.Sentence()))
	case survey.Obligations:
		b.WriteString("\n")
	default:
		fmt.Fprintf(&b, ":\n  was %s,\n  now %s\n", code(c.Before.Sentence()), code(c.After.Sentence()))
	}
	if c.BeforeObligations != nil || c.AfterObligations != nil {
		fmt.Fprintf(&b, "  (bounds were %s, and are %s)\n", code(orNone(c.BeforeObligations)), code(orNone(c.AfterObligations)))
	}
	b.WriteString(p.details(c))
	return b.String()
}

// details are the conditions in Cedar, and the policies.
func (p *difference) details(c *survey.Change) string {
	var b strings.Builder
	b.WriteString("  <details><summary>Conditions and policies</summary>\n\n")
	for _, one := range []struct {
		word   string
		side   *side
		answer *explain.Answer
	}{{"Before", p.before, c.Before}, {"Now", p.after, c.After}} {
		fmt.Fprintf(&b, "  %s: %s", one.word, code(one.answer.Condition()))
		if all := slices.Concat(one.answer.Permits, one.answer.Forbids); len(all) > 0 {
			var names []string
			for _, part := range all {
				names = append(names, placeOf(one.side, part))
			}
			b.WriteString(" by " + codes(bounded(names, mostNamed)))
		}
		b.WriteString("\n\n")
	}
	b.WriteString("  </details>\n")
	return b.String()
}

// codes are names in code, with commas between them.
func codes(names []string) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = code(n)
		if strings.HasPrefix(n, "and ") && i == len(names)-1 && i > 0 {
			all[i] = n
		}
	}
	return strings.Join(all, ", ")
}

// code is a text as Markdown has code within a line.
func code(text string) string {
	text = shortened(strings.Join(strings.Fields(text), " "), maxCommented)
	if text == "" {
		return "(none)"
	}
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		return fence + " " + text + " " + fence
	}
	return fence + text + fence
}
