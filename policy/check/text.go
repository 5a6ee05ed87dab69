package check

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Bounds of what is shown of a finding.
const (
	maxAlso     = 10  // other objects
	maxColumns  = 160 // of a line of source
	beforeCaret = 60  // of them, where the line is longer
	tabWidth    = 4
)

// A Painter colours a text, such as that of an error; nil leaves all as it is.
type Painter func(s Severity, text string) string

// WriteText writes findings for people, each with the line that it is about and carets
// under it. What commands a terminal is not written.
func WriteText(w io.Writer, all []Finding, paint Painter) error {
	if paint == nil {
		paint = func(_ Severity, text string) string { return text }
	}
	var b strings.Builder
	for i, f := range all {
		if i > 0 {
			b.WriteByte('\n')
		}
		f.write(&b, paint)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f Finding) write(b *strings.Builder, paint Painter) {
	fmt.Fprintf(b, "%s: %s\n", paint(f.Severity, fmt.Sprintf("%s[%s]", f.Severity, f.Code)), printable(f.Text))
	suggestion := printable(f.Suggestion)
	if f.Line == 0 {
		fmt.Fprintf(b, "  %s\n", printable(f.File))
		if suggestion != "" {
			fmt.Fprintf(b, "  %s\n", suggestion)
		}
		return
	}
	fmt.Fprintf(b, "  %s:%d:%d\n", printable(f.File), f.Line, f.Column)
	before, at, after := f.excerpt()
	number := fmt.Sprint(f.Line)
	fmt.Fprintf(b, "  %s | %s\n", number, strings.TrimRightFunc(before+at+after, unicode.IsSpace))
	carets := paint(f.Severity, strings.Repeat("^", max(columnsIn(at), 1)))
	line := fmt.Sprintf("  %s | %s%s %s", strings.Repeat(" ", len(number)), strings.Repeat(" ", columnsIn(before)), carets, suggestion)
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	if len(f.Also) > 0 {
		fmt.Fprintf(b, "  also affects: %s\n", f.also())
	}
}

// also names the first few of the other objects.
func (f Finding) also() string {
	if more := len(f.Also) - maxAlso; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(f.Also[:maxAlso], ", "), more)
	}
	return strings.Join(f.Also, ", ")
}

// excerpt is the line that a finding is about, in three parts, as it is shown: without
// tabs, and without its ends if it is long.
func (f Finding) excerpt() (before, at, after string) {
	line := []rune(f.Source)
	from := min(max(f.Column-1, 0), len(line))
	to := min(max(f.EndColumn-1, from), len(line))
	before, at, after = shown(line[:from], 0), "", ""
	if n := columnsIn(before); n+columnsIn(shown(line[from:], n)) > maxColumns && n > beforeCaret {
		before = "…" + lastColumns(before, beforeCaret)
	}
	at = firstColumns(shown(line[from:to], columnsIn(before)), maxColumns-columnsIn(before))
	after = firstColumns(shown(line[to:], columnsIn(before+at)), maxColumns-columnsIn(before+at))
	return before, at, after
}

// shown is a part of a line as it is shown, behind so many columns.
func shown(part []rune, column int) string {
	var b strings.Builder
	for _, r := range part {
		if r == '\t' {
			n := tabWidth - column%tabWidth
			b.WriteString(strings.Repeat(" ", n))
			column += n
			continue
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
		column += columnsOf(r)
	}
	return b.String()
}

// columnsIn is how wide a printable text is on a terminal.
func columnsIn(s string) int {
	n := 0
	for _, r := range s {
		n += columnsOf(r)
	}
	return n
}

// columnsOf is how wide a character is: most characters of East Asia, and pictures, take
// two columns, and marks on other characters take none.
func columnsOf(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// firstColumns is the beginning of a text that is so wide at most.
func firstColumns(s string, most int) string {
	n := 0
	for at, r := range s {
		if n += columnsOf(r); n > max(most, 0) {
			return s[:at] + "…"
		}
	}
	return s
}

// lastColumns is the end of a text that is so wide at most.
func lastColumns(s string, most int) string {
	runes := []rune(s)
	n, from := 0, len(runes)
	for from > 0 && n+columnsOf(runes[from-1]) <= most {
		from--
		n += columnsOf(runes[from])
	}
	for from < len(runes) && columnsOf(runes[from]) == 0 {
		from++ // a mark on what is left out
	}
	return string(runes[from:])
}
