package policycmd

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// A sheet is a map for text: callers of the same answers share a column, and conditions
// have numbers.
type sheet struct {
	*matrix
	columns    [][]int           // callers
	numbers    map[string]string // of conditions, by their sentences
	conditions []string
	unnumbered bool // there are too many conditions
}

// maxConditions bounds how many conditions are numbered.
const maxConditions = 99

func (p *matrix) sheet() *sheet {
	s := &sheet{matrix: p, numbers: map[string]string{}}
	same := map[string]int{}
	sentences := map[*explain.Answer]string{}
	for c := range p.m.Callers {
		var key strings.Builder
		for r := range p.m.Rows {
			a := p.m.At(c, r)
			if _, ok := sentences[a]; !ok {
				sentences[a] = a.Outcome.String() + a.Sentence()
			}
			if a.Outcome == explain.Sometimes {
				key.WriteString(sentences[a])
			}
			key.WriteString(outcomeSigns[a.Outcome] + "\n")
		}
		at, ok := same[key.String()]
		if !ok {
			at = len(s.columns)
			same[key.String()] = at
			s.columns = append(s.columns, nil)
		}
		s.columns[at] = append(s.columns[at], c)
	}
	s.number()
	return s
}

// number numbers the conditions in the order in which one meets them.
func (s *sheet) number() {
	for r := range s.m.Rows {
		for _, callers := range s.columns {
			a := s.m.At(callers[0], r)
			if a.Outcome != explain.Sometimes || s.numbers[a.Sentence()] != "" {
				continue
			}
			s.conditions = append(s.conditions, a.Sentence())
			s.numbers[a.Sentence()] = strconv.Itoa(len(s.conditions))
			if len(s.conditions) > maxConditions {
				s.unnumbered = true
				return
			}
		}
	}
}

// sign is what stands in a cell.
func (s *sheet) sign(column, row int) string {
	a := s.m.At(s.columns[column][0], row)
	if a.Outcome == explain.Sometimes && !s.unnumbered {
		return s.numbers[a.Sentence()]
	}
	return outcomeSigns[a.Outcome]
}

// letter names a column: A, B … Z, AA …
func letter(column int) string {
	if column < 26 {
		return string(rune('A' + column))
	}
	return letter(column/26-1) + string(rune('A'+column%26))
}

// legend says what signs mean.
func (s *sheet) legend() string {
	when := "a number under the condition below"
	if s.unnumbered {
		when = "◐ under a condition (see them with: mcpagg policy what-can --as NAME)"
	}
	if len(s.conditions) == 0 {
		return "✓ always, · never"
	}
	return "✓ always, " + when + ", · never"
}

// names are the callers of a column.
func (s *sheet) names(column int) string {
	var names []string
	for _, c := range s.columns[column] {
		names = append(names, cli.Visible(s.m.Callers[c].Name))
	}
	return strings.Join(names, ", ")
}

func (s *sheet) text(w io.Writer) error {
	fmt.Fprintf(w, "%s for %s\n%s\n\n", s.paint.Paint(cli.Bold, numbered(s.m.Rows)), s.paint.Paint(cli.Bold, cli.Count(len(s.m.Callers), "caller")), s.legend())
	wide := len(letter(len(s.columns) - 1))
	for i := range s.columns {
		hanging(w, s.width, fmt.Sprintf("%*s  ", wide, letter(i)), s.names(i))
	}
	names := 0
	for _, r := range s.m.Rows {
		names = max(names, len([]rune(rowTitle(r)))+2)
	}
	names = min(names, s.width*6/10)
	fits := max((s.width-names)/3, 1)
	for from := 0; from < len(s.columns); from += fits {
		s.block(w, from, min(from+fits, len(s.columns)), names)
	}
	if !s.unnumbered && len(s.conditions) > 0 {
		fmt.Fprintln(w)
		for i, text := range s.conditions {
			hanging(w, s.width, fmt.Sprintf("%2d  ", i+1), text)
		}
	}
	if note := observed(s.w.Engine); note != "" {
		fmt.Fprintf(w, "\nnote: %s\n", note)
	}
	return nil
}

// hanging prints a text behind a word, in lines of some width.
func hanging(w io.Writer, width int, word, text string) {
	for i, line := range lines(cli.Visible(text), width-len([]rune(word))) {
		if i > 0 {
			word = strings.Repeat(" ", len([]rune(word)))
		}
		fmt.Fprintln(w, word+line)
	}
}

// block prints some columns of all rows.
func (s *sheet) block(w io.Writer, from, to, names int) {
	fmt.Fprintf(w, "\n%-*s", names, "")
	for c := from; c < to; c++ {
		fmt.Fprintf(w, "%3s", letter(c))
	}
	fmt.Fprintln(w)
	for _, rows := range upstreams(s.m.Rows) {
		fmt.Fprintln(w, s.paint.Paint(cli.Bold, shortened(s.m.Rows[rows[0]].Object.Upstream(), s.width)))
		for _, r := range rows {
			fmt.Fprintf(w, "  %-*s", names-2, shortened(rowTitle(s.m.Rows[r]), names-2))
			for c := from; c < to; c++ {
				sign := s.sign(c, r)
				fmt.Fprint(w, strings.Repeat(" ", 3-len([]rune(sign)))+s.paint.Paint(outcomeColours[s.m.At(s.columns[c][0], r).Outcome], sign))
			}
			fmt.Fprintln(w)
		}
	}
}

// markdown prints a table for each upstream. What others wrote is in code.
func (s *sheet) markdown(w io.Writer) error {
	fmt.Fprintf(w, "## Who may use what\n\n%s for %s: %s.\n\n", numbered(s.m.Rows), cli.Count(len(s.m.Callers), "caller"), s.legend())
	for i := range s.columns {
		var names []string
		for _, c := range s.columns[i] {
			names = append(names, code(s.m.Callers[c].Name))
		}
		fmt.Fprintf(w, "* **%s** %s\n", letter(i), strings.Join(names, ", "))
	}
	for _, rows := range upstreams(s.m.Rows) {
		s.markdownTable(w, rows)
	}
	if !s.unnumbered && len(s.conditions) > 0 {
		fmt.Fprint(w, "\n### Conditions\n\n")
		for i, text := range s.conditions {
			fmt.Fprintf(w, "%d. %s\n", i+1, code(text))
		}
	}
	if note := observed(s.w.Engine); note != "" {
		fmt.Fprintf(w, "\nNote: %s.\n", note)
	}
	return nil
}

func (s *sheet) markdownTable(w io.Writer, rows []int) {
	fmt.Fprintf(w, "\n### %s\n\n| |", code(s.m.Rows[rows[0]].Object.Upstream()))
	for c := range s.columns {
		fmt.Fprintf(w, " %s |", letter(c))
	}
	fmt.Fprint(w, "\n|---|"+strings.Repeat(":---:|", len(s.columns))+"\n")
	for _, r := range rows {
		fmt.Fprintf(w, "| %s |", rowCode(s.m.Rows[r]))
		for c := range s.columns {
			fmt.Fprintf(w, " %s |", s.sign(c, r))
		}
		fmt.Fprintln(w)
	}
}

// rowCode is a row's name in a cell of a table, which a | would end, also in code.
func rowCode(r survey.Row) string {
	text := code(strings.ReplaceAll(r.Name(), "|", "¦"))
	if r.Kind != "tool" {
		text += " (" + r.Kind + ")"
	}
	return text
}
