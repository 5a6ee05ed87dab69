package syntax

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Error is a mistake at one place.
type Error struct {
	File string
	Span
	Line, Column int // of Start, from 1, in characters
	Text         string
	// TooMuch: it is too much for this parser, and no mistake for Cedar.
	TooMuch bool
}

// Error is the mistake in one line: file:line:column: text.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// shown bounds how many characters are repeated of what somebody wrote.
const shown = 80

// quoted is what somebody wrote, in quotes, in one line and not too long.
func quoted(s string) string { return `"` + plain(s) + `"` }

// plain is what somebody wrote in one line and not too long.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s[:min(len(s), 4*shown)])
	if utf8.RuneCountInString(s) <= shown {
		return s
	}
	return string([]rune(s)[:shown-1]) + "…"
}
