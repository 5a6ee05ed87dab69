package main

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/doctor"
)

// showReport prints a report for a person.
func (sc *screen) showReport(r *doctor.Report) error {
	var lines []string
	told := map[doctor.Finding]bool{} // remedies of a check
	for _, f := range r.Findings {
		remedy := doctor.Finding{Check: f.Check, Remedy: f.Remedy}
		if told[remedy] {
			f.Remedy = ""
		}
		told[remedy] = true
		lines = append(lines, sc.finding(f)...)
	}
	if len(r.Token) > 0 {
		lines = append(lines, "", "The token says:", "")
		for _, fact := range r.Token {
			lines = append(lines, sc.field("  "+fact.Name, visible(fact.Value))...)
		}
	}
	lines = append(lines, "", summarize(r))
	_, err := io.WriteString(sc.out, strings.Join(lines, "\n")+"\n")
	return err
}

// Columns of a finding: the verdict, and the name of the check.
const (
	verdictColumn = 9
	checkColumn   = 15
)

var verdictColours = map[doctor.Verdict]string{doctor.OK: green, doctor.Warning: yellow, doctor.Problem: red}

// wholeWord is up to how many characters a word is not broken: that of most URLs,
// which people copy.
const wholeWord = 160

// finding is what was seen, and below it what to do.
func (sc *screen) finding(f doctor.Finding) []string {
	const indent = verdictColumn + checkColumn
	var lines []string
	for i, line := range wrapWhole(visible(f.Seen), sc.width-indent, 8, wholeWord) {
		head := strings.Repeat(" ", indent)
		if i == 0 {
			verdict := sc.paint(verdictColours[f.Verdict], []string{string(f.Verdict)})[0]
			head = verdict + strings.Repeat(" ", verdictColumn-len(f.Verdict)) + f.Check + strings.Repeat(" ", checkColumn-utf8.RuneCountInString(f.Check))
		}
		lines = append(lines, head+line)
	}
	if f.Remedy == "" {
		return lines
	}
	for i, line := range wrapWhole(visible(f.Remedy), sc.width-indent-2, 12, wholeWord) {
		lines = append(lines, strings.Repeat(" ", indent)+map[bool]string{true: "→ ", false: "  "}[i == 0]+line)
	}
	return lines
}

func summarize(r *doctor.Report) string {
	problems, warnings := r.Count(doctor.Problem), r.Count(doctor.Warning)
	switch {
	case problems+warnings == 0:
		return "Nothing is wrong."
	case problems == 0:
		return count(warnings, "warning") + ", no problem."
	case warnings == 0:
		return count(problems, "problem") + "."
	}
	return count(problems, "problem") + ", " + count(warnings, "warning") + "."
}
