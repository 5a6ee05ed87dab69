package lsp

import (
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// FuzzPositions goes from every place of a text to its position and back, and changes the
// text there.
func FuzzPositions(f *testing.F) {
	f.Add("a\r\nb\rc\n🙂é\x00", 3, 1, "x")
	f.Add("\uFEFF@id(\"a\")\n\npermit", 0, 9, "\r")
	f.Add("", -1, 1<<30, "")
	f.Fuzz(func(t *testing.T, s string, line, character int, put string) {
		if len(s) > 1000 || !utf8.ValidString(s) {
			return // JSON is valid
		}
		text := newText([]byte(s))
		for at, r := range s {
			p := text.position(at)
			start := text.starts[p.Line]
			if got := len(utf16.Encode([]rune(s[start:at]))); p.Character != got {
				t.Fatalf("byte %d of %q is at %+v, want character %d", at, s, p, got)
			}
			if back := text.offset(p); back != at && r != '\n' && r != '\r' {
				t.Fatalf("byte %d of %q is at %+v, which is byte %d", at, s, p, back)
			}
		}
		p := Position{line, character}
		at := text.offset(p)
		if at < 0 || at > len(s) || !utf8.ValidString(s[:at]) {
			t.Fatalf("%+v of %q is byte %d", p, s, at)
		}
		_ = text.place(line%1000, character%1000)
		changed := text.changed(contentChange{Range: &Range{p, p}, Text: put})
		if got, want := string(changed.bytes), s[:at]+put+s[at:]; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		for _, e := range text.edit(changed.bytes) {
			if got := string(text.changed(contentChange{&e.Range, e.NewText}).bytes); got != string(changed.bytes) {
				t.Fatalf("%q edited by %+v is %q, want %q", s, e, got, changed.bytes)
			}
		}
		start, end := partOf(text.bytes, changed.bytes)
		if after := string(changed.bytes); !strings.HasPrefix(s, after[:start]) || !strings.HasSuffix(s, after[end:]) {
			t.Fatalf("%q and %q differ elsewhere than in %d to %d", s, after, start, end)
		}
		c := cursorAt(text.bytes, at)
		_, _ = (&Project{}).at(&c)
		if start, end := c.written(); start < 0 || start > end || end > len(s) {
			t.Fatalf("%+v of %q is in %d to %d", p, s, start, end)
		}
	})
}
