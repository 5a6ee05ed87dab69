package check

import (
	"regexp"
	"unicode/utf8"
)

// wordAtPattern is a name, with the id behind it if there is one, or a text.
var wordAtPattern = regexp.MustCompile(`^(@?[\pL_][\pL\pN_]*(::[\pL_][\pL\pN_]*)*(::"[^"]*")?|"[^"]*")`)

// wordAt is the length of what stands at a column of a line, at least 1.
func wordAt(line string, column int) int {
	runes := []rune(line)
	word := wordAtPattern.FindString(string(runes[min(max(column-1, 0), len(runes)):]))
	return max(utf8.RuneCountInString(word), 1)
}
