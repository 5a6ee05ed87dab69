package format

import (
	"unicode"

	"golang.org/x/text/width"
)

// A doc is text with places in it where a line may end. nil is the empty one.
type doc struct {
	kind  docKind
	text  string // of docText
	width int    // of text, in columns
	depth int    // of docNest, in columns
	parts []*doc // of the others, none of them nil
}

type docKind byte

const (
	docText   docKind = iota
	docConcat         // its parts after each other
	docNest           // lines that begin in it are indented further
	docGroup          // if it fits into what is left of the line, no line ends in it
	docHard           // the end of a line
	docLine           // the end of a line, or a space in a group that fits
	docBreak          // the end of a line, or nothing in a group that fits
)

// The docs without parts.
var (
	hard  = &doc{kind: docHard}
	line  = &doc{kind: docLine}
	brk   = &doc{kind: docBreak}
	space = text(" ")
)

func text(s string) *doc { return &doc{kind: docText, text: s, width: columns(s)} }

// concat is its parts after each other.
func concat(parts ...*doc) *doc {
	var some []*doc
	for _, p := range parts {
		if p != nil {
			some = append(some, p)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return &doc{kind: docConcat, parts: some}
}

func nest(depth int, d *doc) *doc {
	if d == nil {
		return nil
	}
	return &doc{kind: docNest, depth: depth, parts: []*doc{d}}
}

func group(d *doc) *doc {
	if d == nil || d.kind == docGroup || d.kind == docText {
		return d
	}
	return &doc{kind: docGroup, parts: []*doc{d}}
}

// columns is how wide a text is on a terminal.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r < 0x7F:
			n++
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Cc):
		case width.LookupRune(r).Kind() == width.EastAsianWide || width.LookupRune(r).Kind() == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}
