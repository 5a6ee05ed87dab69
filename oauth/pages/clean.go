package pages

import (
	"strconv"
	"strings"
	"unicode"
)

const (
	// maxName bounds the name of a program, a person, a group and the like, in
	// characters.
	maxName = 60
	// maxBrief bounds what tells a tool from others.
	maxBrief = 160
	// maxText bounds what is longer than a name, such as the reason for something.
	maxText = 1000
	// maxHost bounds a host, in bytes: DNS names have 253, and a port 6.
	maxHost = 260
	// maxMarks bounds the combining marks on one letter. Languages do with two; more
	// grow over the lines above and below.
	maxMarks = 2
)

// cleanName is how a name is shown that a stranger may have chosen.
func cleanName(s string) string { return clean(s, maxName) }

// cleanBrief is how the beginning of a description is shown.
func cleanBrief(s string) string { return clean(s, maxBrief) }

// cleanText is how a sentence or two are shown.
func cleanText(s string) string { return clean(s, maxText) }

// cleanWhy is how a reason is shown at the end of a sentence, after a colon.
func cleanWhy(s string) string {
	s = strings.TrimRight(cleanText(s), ".")
	if s == "" || strings.HasSuffix(s, "…") {
		return s
	}
	return s + "."
}

// clean makes one line of at most so many characters from what a stranger wrote,
// without what cannot be seen or changes how the rest is seen: controls of
// terminals and of writing direction, letters without width or ink, private
// ones, and piles of combining marks. What is left may still be a lie, or letters
// of one alphabet in place of another's; so pages say what nobody has checked.
func clean(s string, most int) string {
	s = s[:min(len(s), 64*most)] // most of what is longer would not be shown anyway
	var b strings.Builder
	n, marks, gap := 0, maxMarks, false // a mark at the beginning has no letter to be on
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Z, r):
			gap, marks = n > 0, maxMarks
			continue
		case invisible(r):
			continue
		case !unicode.Is(unicode.M, r):
			marks = 0
		case marks == maxMarks:
			continue
		default:
			marks++
		}
		if gap {
			b.WriteByte(' ')
			n, gap = n+1, false
		}
		b.WriteRune(r)
		n++
		if n > most {
			return shorten(b.String(), most)
		}
	}
	return b.String()
}

// shorten keeps the beginning of a text, and says that it is one.
func shorten(s string, most int) string {
	runes := []rune(s)
	return strings.TrimSpace(string(runes[:most-1])) + "…"
}

// invisible are the characters that have no ink or no meaning of their own: all
// that are no letter, mark, number, sign or symbol, and some that only look like
// nothing. U+FFFD, the sign for bytes that are no UTF-8, is left out as well.
func invisible(r rune) bool {
	return !unicode.IsGraphic(r) || r == unicode.ReplacementChar || r == '\u2800' /* braille without dots */ ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// cleanHost is how a host and its port are shown: as ASCII in lower case, so that
// no letter can be taken for another, and all of it. Of more than a host can have
// it keeps the end, which says whose it is.
func cleanHost(s string) string {
	if over := len(s) - maxHost; over > 0 {
		return "…" + escapeHost(s[over:])
	}
	return escapeHost(s)
}

func escapeHost(s string) string {
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(s)) {
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte(".-_:[]", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(strconv.FormatUint(0x100|uint64(c), 16)[1:]))
	}
	return b.String()
}

// count writes a number and what is counted, such as "1 tool" and "2,000 tools".
func count(n int, one, more string) string {
	if n == 1 {
		return strings.TrimSpace("1 " + one)
	}
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return strings.TrimSpace(digits + " " + more)
}
