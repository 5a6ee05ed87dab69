package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Mistakes are everything that is wrong with a configuration, in the order of
// the files. Printing them reveals nothing that came from the environment or
// from a file that the configuration reads.
type Mistakes struct {
	// Inputs are the files that were read until then.
	Inputs *Inputs

	list  []*hcl.Diagnostic
	order []string             // of the files
	files map[string]*hcl.File // for the lines in question
}

// Len is the number of mistakes.
func (m *Mistakes) Len() int { return len(m.list) }

// Error is what [Mistakes.WriteText] writes.
func (m *Mistakes) Error() string {
	var b strings.Builder
	_ = m.WriteText(&b)
	return strings.TrimRight(b.String(), "\n")
}

// WriteText writes each mistake with its place, the line in question and what
// to do about it, and an empty line between them.
func (m *Mistakes) WriteText(w io.Writer) error {
	for i, diag := range m.list {
		text := m.text(diag)
		if i > 0 {
			text = "\n" + text
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mistakes) text(diag *hcl.Diagnostic) string {
	at := diag.Subject
	if at == nil {
		return fmt.Sprintf("%s\n%s\n", diag.Summary, diag.Detail)
	}
	return fmt.Sprintf("%s:%d:%d: %s\n%s%s\n",
		at.Filename, at.Start.Line, at.Start.Column, diag.Summary, m.snippet(diag), diag.Detail)
}

// addFile makes the lines known of a file that is no configuration.
func (m *Mistakes) addFile(path string, text []byte) {
	if m.files[path] == nil {
		m.order = append(m.order, path)
		m.files[path] = &hcl.File{Bytes: text}
	}
}

// line is a line of a file, counted from 1, and how many bytes are before it; "" if
// the file does not have it.
func (m *Mistakes) line(path string, number int) (line string, before int) {
	file := m.files[path]
	if file == nil {
		return "", 0
	}
	for text := range strings.Lines(string(file.Bytes)) {
		if number--; number == 0 {
			return strings.TrimRight(text, "\r\n"), before
		}
		before += len(text)
	}
	return "", before
}

// snippet is the first line of a mistake with carets under it, or "" if the
// file does not have that line.
func (m *Mistakes) snippet(diag *hcl.Diagnostic) string {
	at := diag.Subject
	file := m.files[at.Filename]
	if file == nil {
		return ""
	}
	lines := strings.Split(string(file.Bytes), "\n")
	if at.Start.Line < 1 || at.Start.Line > len(lines) {
		return ""
	}
	line := []rune(strings.TrimRight(lines[at.Start.Line-1], "\r"))
	start := min(max(at.Start.Column-1, 0), len(line))
	width := len(line) - start
	if at.End.Line == at.Start.Line {
		width = min(width, at.End.Column-at.Start.Column)
	}
	if _, conceal := diag.Extra.(concealLine); conceal {
		line, start, width = concealed(line, start)
	}
	carets := strings.Repeat("^", max(width, 1))
	return fmt.Sprintf("%5d | %s\n      | %s%s\n", at.Start.Line, string(line), blank(line[:start]), carets)
}

// concealLine is the Extra of a mistake in a secret that is written out in the
// file. Its line is shown only up to the first value in it.
type concealLine struct{}

func concealed(line []rune, start int) (shown []rune, caret, width int) {
	before := string(line[:start])
	if i := strings.IndexAny(before, "=:"); i >= 0 {
		before = before[:i+1] + " "
	}
	shown = []rune(before + "…")
	return shown, len(shown) - 1, 1
}

// blank is white space as wide as text.
func blank(text []rune) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(text))
}

// MarshalJSON writes the mistakes as an array of [Mistake].
func (m *Mistakes) MarshalJSON() ([]byte, error) { return json.Marshal(m.List()) }

// A Mistake is one of them as data. It has no place where the file is empty.
type Mistake struct {
	Severity string `json:"severity"` // always error
	Summary  string `json:"summary"`
	Detail   string `json:"detail"`
	File     string `json:"file,omitempty"`
	*Position
	End *Position `json:"end,omitempty"` // behind the last character
}

// A Position is a place in a file, counted from 1.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// String is the mistake in one line, without the line in question.
func (m Mistake) String() string {
	text := m.Summary + ": " + strings.Join(strings.Fields(m.Detail), " ")
	if m.Position == nil {
		return text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, text)
}

// List is the mistakes as data.
func (m *Mistakes) List() []Mistake {
	list := []Mistake{}
	for _, diag := range m.list {
		one := Mistake{Severity: "error", Summary: diag.Summary, Detail: diag.Detail}
		if at := diag.Subject; at != nil {
			one.File = at.Filename
			one.Position = &Position{at.Start.Line, at.Start.Column}
			one.End = &Position{at.End.Line, at.End.Column}
		}
		list = append(list, one)
	}
	return list
}

// add notes a mistake once: a dynamic block repeats its own for every element.
func (m *Mistakes) add(diag *hcl.Diagnostic) {
	same := func(d *hcl.Diagnostic) bool {
		return d.Summary == diag.Summary && d.Detail == diag.Detail && sameRange(d.Subject, diag.Subject)
	}
	if !slices.ContainsFunc(m.list, same) {
		m.list = append(m.list, diag)
	}
}

func sameRange(a, b *hcl.Range) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// sort puts the mistakes in the order of files and lines, those without a
// place first.
func (m *Mistakes) sort() {
	slices.SortStableFunc(m.list, func(a, b *hcl.Diagnostic) int {
		return cmp.Or(
			cmp.Compare(m.fileIndex(a), m.fileIndex(b)),
			cmp.Compare(offset(a), offset(b)))
	})
}

func (m *Mistakes) fileIndex(diag *hcl.Diagnostic) int {
	if diag.Subject == nil {
		return -1
	}
	return slices.Index(m.order, diag.Subject.Filename)
}

func offset(diag *hcl.Diagnostic) int {
	if diag.Subject == nil {
		return 0
	}
	return diag.Subject.Start.Byte
}

// hide replaces the values in secrets, which maps each to its origin, where a
// message of a library quotes one.
func (m *Mistakes) hide(secrets map[string]origin) {
	values := slices.SortedFunc(maps.Keys(secrets), func(a, b string) int {
		return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) // one may be a part of another
	})
	for _, diag := range m.list {
		for _, value := range values {
			diag.Detail = strings.ReplaceAll(diag.Detail, value, secrets[value].placeholder())
		}
	}
}
