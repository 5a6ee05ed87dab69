package block

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

// shownText bounds what is repeated of a text that somebody wrote, in characters.
const shownText = 80

// Quote is what somebody wrote, in quotes, in one line and not too long.
func Quote(s string) string { return `"` + cut(plain(s), shownText) + `"` }

// plain is a text in one line, without what is not to be seen.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}

// shownError bounds what is repeated of an error, in characters.
const shownError = 300

// Plain is what others say, in one line and not too long.
func Plain(s string) string { return cut(plain(s), shownError) }

func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// DidYouMean is a remedy: the candidate that was probably meant by what is given, or
// else otherwise.
func DidYouMean(given string, candidates []string, otherwise string) string {
	if meant := Near(given, candidates); meant != "" {
		return fmt.Sprintf("did you mean %s?", Quote(meant))
	}
	return otherwise
}

// Near is the candidate that was probably meant; "" if none is near, or it is one.
func Near(given string, candidates []string) string {
	if slices.Contains(candidates, given) {
		return ""
	}
	folded := fold(given)
	best, least := "", max(len(folded)/4, 1)+1
	for _, c := range candidates {
		if d := apart(folded, fold(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// apart is how many letters differ, at most the longest name. Those that only changed
// places are one.
func apart(a, b string) int {
	if a != b && letters(a) == letters(b) {
		return 1
	}
	if d := len(a) - len(b); d > longest/4 || d < -longest/4 {
		return longest
	}
	return levenshtein.Distance(a, b, nil)
}

// letters are those of a name, in order.
func letters(s string) string {
	all := []byte(s)
	slices.Sort(all)
	return string(all)
}

// longest bounds the names that are compared, which takes time.
const longest = 100

// fold leaves of a name what matters to a reader.
func fold(s string) string {
	s = s[:min(len(s), longest)]
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_ ./", r) {
			return -1
		}
		return r
	}, strings.ToLower(s))
}
