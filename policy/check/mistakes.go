package check

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/policy/source"
)

// addMistakes adds what package source found, unless that is known better: the parser
// keeps no places within a policy.
func (c *checker) addMistakes(mistakes []source.Mistake, severity Severity) {
	known := len(c.findings)
	for _, m := range mistakes {
		f := Finding{Severity: severity, Code: c.codeOf(m, severity), File: m.File, Line: m.Line, Column: m.Column, Text: strings.TrimPrefix(m.Text, "syntax: "), Suggestion: m.Remedy}
		if m.Line > 0 {
			f.Source = c.lines[m.File].line(m.Line)
			f.EndColumn = m.Column + wordAt(f.Source, m.Column)
		}
		if p := c.subjectAt(m); p != nil {
			f.Policy = p.id
		}
		if at := slices.IndexFunc(c.findings[:known], func(k Finding) bool { return k.says(f) }); at >= 0 {
			k := &c.findings[at]
			k.Severity, k.Suggestion = min(k.Severity, severity), cmp.Or(k.Suggestion, f.Suggestion)
			continue
		}
		c.findings = append(c.findings, f)
	}
}

var quotedPattern = regexp.MustCompile(`"[^"]*"`)

// says reports whether k is the same as f, at a better place.
func (k Finding) says(f Finding) bool {
	if k.File != f.File || k.Policy != f.Policy || k.Severity == Info {
		return false
	}
	if k.Line == f.Line && k.Code == f.Code {
		return true
	}
	name := quotedPattern.FindString(f.Text)
	return k.Line == f.Line && k.Column == f.Column || k.Line >= f.Line && name != "" && strings.Contains(k.Text, name)
}

// codeOf is the code for a mistake that package source found.
func (c *checker) codeOf(m source.Mistake, severity Severity) string {
	if c.files[m.File] == nil && !strings.HasPrefix(m.Text, "syntax: ") {
		return "unreadable"
	}
	for _, known := range mistakeCodes {
		if strings.Contains(m.Text, known.says) {
			return known.code
		}
	}
	if severity == Warning {
		return "doubtful"
	}
	return "invalid"
}

// mistakeCodes are those of what package source finds, by what it says.
var mistakeCodes = []struct{ says, code string }{
	{"syntax: ", "syntax"},
	{"the id ", "duplicate-id"},
	{"@", "annotation"},
	{"an id is one line", "annotation"},
	{"a deny message is", "annotation"},
	{" is never in ", "never-in"},
	{" is never ", "never-equal"},
	{"has no attribute", "unknown-attribute"},
	{"has no arguments", "no-arguments"},
	{"there is no entity type", "unknown-type"},
	{"there is no action", "unknown-action"},
	{"there is no upstream", "unknown-upstream"},
	{"names no upstream", "no-upstream"},
	{"is about lists", "about-lists"},
	{" is read as ", "published-name"},
	{"takes a decimal", "wrong-type"},
}

// subjectAt is the policy in which a mistake is.
func (c *checker) subjectAt(m source.Mistake) *subject {
	for _, p := range c.subjects {
		behind := m.Line > p.firstLine || m.Line == p.firstLine && m.Column >= p.firstColumn
		if p.file.Name == m.File && behind && m.Line <= p.lastLine {
			return p
		}
	}
	return nil
}

// wordAtPattern is a name, with the id behind it if there is one, or a text.
var wordAtPattern = regexp.MustCompile(`^(@?[\pL_][\pL\pN_]*(::[\pL_][\pL\pN_]*)*(::"[^"]*")?|"[^"]*")`)

// wordAt is the length of what stands at a column of a line, at least 1.
func wordAt(line string, column int) int {
	runes := []rune(line)
	word := wordAtPattern.FindString(string(runes[min(max(column-1, 0), len(runes)):]))
	return max(utf8.RuneCountInString(word), 1)
}
