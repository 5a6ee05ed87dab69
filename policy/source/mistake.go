package source

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Mistake is what is wrong at one place.
type Mistake struct {
	File         string
	Line, Column int // from 1, in characters; 0 where it is about the whole file
	Text, Remedy string
}

// String is the mistake in one line: file:line:column: text; remedy.
func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", m.Line, m.Column)
	}
	b.WriteString(": " + m.Text)
	if m.Remedy != "" {
		b.WriteString("; " + m.Remedy)
	}
	return b.String()
}

// Mistakes are all of them, in the order of the files. It is an error.
type Mistakes []Mistake

// shownMistakes bounds how many mistakes an error text lists.
const shownMistakes = 50

// Error lists the mistakes, one a line, the first 50 of them.
func (m Mistakes) Error() string {
	lines := make([]string, 0, min(len(m), shownMistakes+1))
	for i, mistake := range m {
		if i == shownMistakes {
			lines = append(lines, fmt.Sprintf("and %d more mistakes", len(m)-i))
			break
		}
		lines = append(lines, mistake.String())
	}
	return strings.Join(lines, "\n")
}

// asError is m as an error, nil if there are none.
func (m Mistakes) asError() error {
	if len(m) == 0 {
		return nil
	}
	return m
}

// shownText bounds what is repeated of a text that somebody wrote.
const shownText = 80

// quoted is what somebody wrote, in quotes, in one line and not too long.
func quoted(s string) string {
	return `"` + plain(s) + `"`
}

// plain is what somebody wrote in one line and not too long.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s[:min(len(s), 4*shownText)])
	if utf8.RuneCountInString(s) <= shownText {
		return s
	}
	return string([]rune(s)[:shownText-1]) + "…"
}
