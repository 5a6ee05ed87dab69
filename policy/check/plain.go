package check

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go/types"
)

// shownText bounds what is repeated of a text that somebody wrote, in characters.
const shownText = 80

// plain is what somebody wrote in one line, printable and not too long.
func plain(s string) string {
	s = printable(s[:min(len(s), 4*shownText)])
	if utf8.RuneCountInString(s) <= shownText {
		return s
	}
	return string([]rune(s)[:shownText-1]) + "…"
}

// printable is s with ? for what commands a terminal, or cannot be seen.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// quoted is what somebody wrote, in quotes.
func quoted(s string) string { return `"` + plain(s) + `"` }

// uidText is an entity as policies write it.
func uidText(uid types.EntityUID) string { return plain(string(uid.MarshalCedar())) }

// didYouMean is a suggestion, "" if nothing was meant.
func didYouMean(meant string) string {
	if meant == "" {
		return ""
	}
	return "did you mean " + meant + "?"
}

// list names a few of many.
func list(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
