package lock

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// hidden are the characters that have no ink of their own or change how others
// are seen: controls of terminals and of writing direction, letters without
// width, tags, private ones. Spaces are not among them.
func hidden(r rune) bool {
	return !unicode.IsGraphic(r) || r == '\u2800' /* braille without dots */ ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Visible makes one line of text that an upstream chose: characters that cannot be
// seen, or command a terminal, become <U+200B> and the like, and a new line \n.
// A sign in colour, such as most emoji, stays as it is.
func Visible(text string) string {
	var b strings.Builder
	each(text, func(r rune, size int, sign bool) {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == utf8.RuneError && size == 1:
			b.WriteString("<not UTF-8>")
		case hidden(r) && !sign:
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
		}
	})
	return b.String()
}

// each calls f for each character. sign says of one without ink that it makes the
// one before it a sign in colour, or joins two signs.
func each(text string, f func(r rune, size int, sign bool)) {
	var before rune
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		after, _ := utf8.DecodeRuneInString(text[i+size:])
		symbol := unicode.Is(unicode.S, before)
		sign := r == '\ufe0f' && symbol || r == '\u200d' && (symbol || before == '\ufe0f') && unicode.Is(unicode.S, after)
		f(r, size, sign)
		before = r
	}
}

const (
	// longGap is how many blank characters in a row push what follows out of sight.
	longGap = 40
	// maxNotes bounds what is said of one text.
	maxNotes = 8
)

// Suspicious says what of a text people would not see when they read it, though a
// model does; nil for nothing. It says nothing of what the text tells to do.
func Suspicious(text string) []string {
	found := map[rune]int{}
	var tags strings.Builder // what those say that stand for ASCII
	gap, longest := 0, 0
	each(text, func(r rune, _ int, sign bool) {
		if unicode.IsSpace(r) {
			gap++
			longest = max(longest, gap)
			return
		}
		gap = 0
		if !hidden(r) || sign {
			return
		}
		if isTag(r) {
			tags.WriteRune(r - tagBase)
			r = tagBase // all of them are one
		}
		found[r]++
	})
	var notes []string
	for _, r := range slices.Sorted(maps.Keys(found)) {
		note := fmt.Sprintf("%d × U+%04X, %s", found[r], r, whatIs(r))
		if r == tagBase {
			note = fmt.Sprintf("%d %s: %q", found[r], whatIs(r), bounded(tags.String()))
		}
		notes = append(notes, note)
	}
	if longest >= longGap {
		notes = append(notes, fmt.Sprintf("%d blank characters in a row", longest))
	}
	if over := len(notes) - maxNotes; over > 0 {
		notes = append(notes[:maxNotes], fmt.Sprintf("%d more kinds of hidden characters", over))
	}
	return notes
}

// tagBase is added to ASCII to make text that cannot be seen.
const tagBase = 0xe0000

func isTag(r rune) bool { return tagBase <= r && r <= tagBase+0x7f }

func whatIs(r rune) string {
	switch {
	case isTag(r):
		return "characters that cannot be seen and spell"
	case r == 0x1b:
		return "which commands terminals"
	case unicode.Is(unicode.Bidi_Control, r):
		return "which changes the direction of writing"
	case unicode.In(r, unicode.Variation_Selector):
		return "which changes the look of another character"
	case unicode.Is(unicode.Cf, r):
		return "which has no width"
	case unicode.Is(unicode.Cc, r):
		return "a control character"
	case unicode.Is(unicode.Co, r):
		return "a private character"
	case unicode.IsGraphic(r):
		return "which cannot be seen"
	}
	return "which no standard knows"
}

// Suspicious says what of the definition people would not see, by what it is in.
func (p Pin) Suspicious() []string {
	var notes []string
	for _, part := range []struct {
		what string
		text string
	}{
		{"title", p.Title},
		{"description", p.Description},
		{"annotations", textsIn(jsontext.Value(p.Annotations))},
		{"input schema", textsIn(jsontext.Value(p.InputSchema))},
		{"output schema", textsIn(jsontext.Value(p.OutputSchema))},
	} {
		for _, note := range Suspicious(part.text) {
			notes = append(notes, part.what+": "+note)
		}
	}
	return notes
}

// textsIn are the strings in JSON, one after the other, with the names of members.
func textsIn(v jsontext.Value) string {
	var b strings.Builder
	d := jsontext.NewDecoder(bytes.NewReader(v))
	for {
		t, err := d.ReadToken()
		if err != nil {
			return b.String()
		}
		if t.Kind() == '"' {
			b.WriteString(t.String() + "|") // so that two are not taken for one
		}
	}
}

// maxExcerpt bounds how much of a text is shown in one line, in characters.
const maxExcerpt = 160

// bounded is the beginning of a text, in one line that hides nothing.
func bounded(text string) string {
	if n := utf8.RuneCountInString(text); n > maxExcerpt {
		return Visible(string([]rune(text)[:maxExcerpt])) + fmt.Sprintf("… (%d characters)", n)
	}
	return Visible(text)
}

// differences are those of two texts that differ: what lies between their common
// beginning and end, with a little of both.
func differences(was, is string) (string, string) {
	const around = 20
	a, b := []rune(was), []rune(is)
	start := 0
	for start < min(len(a), len(b)) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < min(len(a), len(b))-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	from, after := max(start-around, 0), max(end-around, 0)
	excerpt := func(text []rune) string {
		cut := bounded(string(text[from : len(text)-after]))
		if from > 0 {
			cut = "…" + cut
		}
		if after > 0 {
			cut += "…"
		}
		return cut
	}
	return excerpt(a), excerpt(b)
}
