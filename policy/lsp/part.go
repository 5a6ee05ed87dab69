package lsp

import (
	"bytes"
	"slices"

	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// minPart is the size of a text, in bytes, from which on only the policies that changed
// are checked first.
const minPart = 8 << 10

// A shown is what was found in a text, and is shown with it.
type shown struct {
	text *text
	all  []diagnostic
}

// changedPart is what is wrong with a document: found anew in the policies that changed
// since something was shown of it, and as it was in the others. ok is false where the
// document is better checked as a whole.
func (v *view) changedPart(d *document, before shown) (all []diagnostic, ok bool) {
	if v.project == nil || d.text == nil || before.text == nil || len(d.text.bytes) < minPart {
		return nil, false
	}
	start, end := partOf(before.text.bytes, d.text.bytes)
	if end-start > len(d.text.bytes)/2 {
		return nil, false
	}
	in := v.project.Input
	in.Files, in.Done = []source.File{{Name: v.nameOf(d), Text: blanked(d.text.bytes, start, end)}}, v.stale
	found := diagnostics(d.text, check.Check(in))
	grown := len(d.text.bytes) - len(before.text.bytes)
	for _, old := range before.all {
		from, to := before.text.offset(old.Range.Start), before.text.offset(old.Range.End)
		switch {
		case from < start:
		case from >= end-grown:
			from, to = from+grown, to+grown
		default:
			continue // which was checked anew
		}
		old.Range = d.text.span(from, to)
		all = append(all, old)
	}
	return append(all, found...), true
}

// partOf is the part of a text with the policies in which it differs from another.
func partOf(before, after []byte) (start, end int) {
	most := min(len(before), len(after))
	same, tail := 0, 0
	for same < most && before[same] == after[same] {
		same++
	}
	for tail < most-same && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	end = len(after)
	for l := syntax.NewLexer(after); ; {
		t := l.Next()
		switch {
		case t.Kind == syntax.End:
			return start, end
		case t.Kind != syntax.Symbol || after[t.Start] != ';':
		case t.End <= same:
			start = t.End
		case t.Start >= len(after)-tail:
			return start, t.End
		}
	}
}

// blanked is a text without what is outside of a part of it, in which all that is left
// has its line and column.
func blanked(b []byte, start, end int) []byte {
	blank := func(b []byte) []byte {
		return bytes.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			return ' '
		}, b)
	}
	bare := bytes.TrimPrefix(b[:start], []byte("\uFEFF"))
	return slices.Concat(blank(bare), b[start:end], blank(b[end:]))
}
