package lsp

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// A text is one with the places of its lines, as the protocol counts them: \n, \r\n and
// \r end a line. It never changes.
type text struct {
	bytes  []byte
	starts []int // where lines begin
}

func newText(b []byte) *text {
	t := &text{bytes: b, starts: []int{0}}
	for i, c := range b {
		if c == '\n' || c == '\r' && (i+1 == len(b) || b[i+1] != '\n') {
			t.starts = append(t.starts, i+1)
		}
	}
	return t
}

// line is where a line begins, and where it ends without what ends it.
func (t *text) line(n int) (start, end int) {
	start, end = t.starts[n], len(t.bytes)
	if n+1 < len(t.starts) {
		end = t.starts[n+1]
	}
	for end > start && (t.bytes[end-1] == '\n' || t.bytes[end-1] == '\r') {
		end--
	}
	return start, end
}

// offset is the byte that a position is at. Positions behind the end of a line are at
// its end, those within a character before it.
func (t *text) offset(p Position) int {
	if p.Line < 0 {
		return 0
	}
	if p.Line >= len(t.starts) {
		return len(t.bytes)
	}
	at, end := t.line(p.Line)
	for left := p.Character; at < end; {
		r, n := utf8.DecodeRune(t.bytes[at:end])
		if left -= units(r); left < 0 {
			break
		}
		at += n
	}
	return at
}

// position is where a byte is.
func (t *text) position(offset int) Position {
	offset = max(min(offset, len(t.bytes)), 0)
	line, found := slices.BinarySearch(t.starts, offset)
	if !found {
		line--
	}
	p := Position{Line: line}
	for _, r := range string(t.bytes[t.starts[line]:offset]) {
		p.Character += units(r)
	}
	return p
}

func (t *text) span(start, end int) Range { return Range{t.position(start), t.position(end)} }

// units are those of UTF-16 that a character has.
func units(r rune) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}

// place is the byte at a line and column from 1, in characters, where \n alone ends
// lines: as findings have it, which do not count a byte order mark.
func (t *text) place(line, column int) int {
	rest := bytes.TrimPrefix(t.bytes, []byte("\uFEFF"))
	for ; line > 1; line-- {
		_, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			return len(t.bytes)
		}
		rest = after
	}
	at := len(t.bytes) - len(rest)
	for ; column > 1 && at < len(t.bytes) && t.bytes[at] != '\n'; column-- {
		_, n := utf8.DecodeRune(t.bytes[at:])
		at += n
	}
	return at
}

// changed is the text after a change.
func (t *text) changed(c contentChange) *text {
	if c.Range == nil {
		return newText([]byte(c.Text))
	}
	start := t.offset(c.Range.Start)
	end := max(t.offset(c.Range.End), start)
	return newText(slices.Concat(t.bytes[:start], []byte(c.Text), t.bytes[end:]))
}

// edit is the smallest edit of whole lines that makes one text of the other, nil if they
// are the same.
func (t *text) edit(made []byte) []textEdit {
	before := t.bytes
	if bytes.Equal(before, made) {
		return []textEdit{}
	}
	same := 0
	for same < min(len(before), len(made)) && before[same] == made[same] {
		same++
	}
	same = bytes.LastIndexByte(before[:same], '\n') + 1
	tail := 0
	for tail < min(len(before), len(made))-same && before[len(before)-1-tail] == made[len(made)-1-tail] {
		tail++
	}
	if i := bytes.IndexByte(before[len(before)-tail:], '\n'); i >= 0 {
		tail -= i + 1
	} else {
		tail = 0
	}
	return []textEdit{{t.span(same, len(before)-tail), string(made[same : len(made)-tail])}}
}
