package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// A Severity says how bad a finding is.
type Severity uint8

// The severities, the worst first.
const (
	Error   Severity = iota // it cannot work as it is written
	Warning                 // it is probably not what somebody wanted
	Info                    // one should know it
)

// String is the severity in a word.
func (s Severity) String() string { return [...]string{"error", "warning", "info"}[s] }

// MarshalText implements [encoding.TextMarshaler].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Finding is something about a policy that somebody should know.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"` // such as unknown-argument
	File     string   `json:"file"`
	// Line and Column are its place, from 1, in characters; EndColumn is behind what it
	// is about, in the same line. They are 0 for what is about a whole file.
	Line      int    `json:"line,omitempty"`
	Column    int    `json:"column,omitempty"`
	EndColumn int    `json:"end_column,omitempty"`
	Policy    string `json:"policy,omitempty"` // id
	Text      string `json:"text"`
	// Suggestion is what to do about it, "" if nothing is known.
	Suggestion string `json:"suggestion,omitempty"`
	Source     string `json:"source,omitempty"` // the line, as it is
	// Also are the other objects of which the same holds, sorted.
	Also []string `json:"also,omitempty"`
}

// String is the finding in one line: file:line:column: text; suggestion.
func (f Finding) String() string {
	m := source.Mistake{File: f.File, Line: f.Line, Column: f.Column, Text: f.Text, Remedy: f.Suggestion}
	return m.String()
}

// object0 stands in texts for the object that a finding is about.
const object0 = "\x00"

// A finding is one in a policy, for one object.
type finding struct {
	severity Severity
	code     string
	at       syntax.Span
	expr     *syntax.Node // in which it is; nil if that does not matter
	// whole says that it is one only if it is for all objects that the policy is about.
	whole            bool
	text, suggestion string
	objects          []*object // of which it holds; nil if it has nothing to do with them
}

// finished is a finding as it is told.
func (p *subject) finished(f finding) Finding {
	made := p.at(f.at)
	made.Severity, made.Code, made.Policy, made.Suggestion = f.severity, f.code, p.id, f.suggestion
	first := "it"
	if len(f.objects) > 0 {
		first = f.objects[0].label()
		for _, o := range f.objects[1:] {
			made.Also = append(made.Also, o.short(f.objects[0]))
		}
		slices.Sort(made.Also)
		if !strings.Contains(f.text, object0) {
			f.text += " (" + object0 + ")"
		}
	}
	made.Text = strings.ReplaceAll(f.text, object0, first)
	return made
}

// at is a finding at a place of a policy.
func (p *subject) at(span syntax.Span) Finding {
	f := Finding{File: p.file.Name}
	f.Line, f.Column = p.file.Place(span.Start)
	line, column := p.file.Place(span.End)
	f.Source = p.lines.line(f.Line)
	if f.EndColumn = column; line != f.Line {
		f.EndColumn = len([]rune(f.Source)) + 1
	}
	f.EndColumn = max(f.EndColumn, f.Column+1)
	return f
}

// lines are those of a file.
type lines []string

func linesOf(text []byte) lines { return strings.Split(string(text), "\n") }

// line is the nth line from 1, without its end.
func (l lines) line(n int) string {
	if n < 1 || n > len(l) {
		return ""
	}
	return strings.TrimSuffix(l[n-1], "\r")
}

// sorted are findings by place, each once.
func sorted(all []Finding) []Finding {
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Text, b.Text))
	})
	return slices.CompactFunc(all, func(a, b Finding) bool {
		return a.File == b.File && a.Line == b.Line && a.Column == b.Column && a.Code == b.Code && a.Text == b.Text
	})
}

// Summary is how many there are, such as 2 errors, 1 warning; "" for none.
func Summary(all []Finding) string {
	var counts [3]int
	for _, f := range all {
		counts[f.Severity]++
	}
	var parts []string
	for s, n := range counts {
		if n > 0 {
			name := [...]string{"error", "warning", "note"}[s]
			if n > 1 {
				name += "s"
			}
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	return strings.Join(parts, ", ")
}
