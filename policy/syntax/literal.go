package syntax

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go/types"
)

// unquote is what a text in quotes says.
func (p *parser) unquote(t Token) string {
	s, rest := p.plainText(Span{t.Start + 1, t.End - 1}, false)
	if rest >= 0 {
		p.fail(Span{rest, rest + 2}, "%s is no escape sequence", quoted(string(p.text[rest:rest+2])))
	}
	return s
}

// pattern is what a text after like says.
func (p *parser) pattern(t Token) types.Pattern {
	var parts []any
	for at, end := t.Start+1, t.End-1; at < end; {
		if p.text[at] == '*' {
			parts = append(parts, types.Wildcard{})
			at++
			continue
		}
		s, rest := p.plainText(Span{at, end}, true)
		if rest >= 0 && p.text[rest] != '*' {
			p.fail(Span{rest, rest + 2}, "%s is no escape sequence", quoted(string(p.text[rest:rest+2])))
			break
		}
		parts = append(parts, types.String(s))
		if rest < 0 {
			break
		}
		at = rest
	}
	return types.NewPattern(parts...)
}

// plainText is what a part of the text says, up to where it cannot be read on: a star
// in a pattern, or a wrong escape sequence; stop is -1 if there is none.
func (p *parser) plainText(part Span, inPattern bool) (s string, stop int) {
	var b strings.Builder
	for at := part.Start; at < part.End; {
		special := bytes.IndexByte(p.text[at:part.End], '\\')
		if inPattern {
			special = bytes.IndexAny(p.text[at:part.End], `\*`)
		}
		if special < 0 {
			b.Write(p.text[at:part.End])
			break
		}
		b.Write(p.text[at : at+special])
		at += special
		if p.text[at] == '*' {
			return b.String(), at
		}
		r, n := escape(p.text[at+1:part.End], inPattern)
		if n == 0 {
			return b.String(), at
		}
		b.WriteRune(r)
		at += 1 + n
	}
	return b.String(), -1
}

// escape is the character of an escape sequence without its backslash, and how many
// bytes that is; 0 if there is none like it.
func escape(s []byte, inPattern bool) (r rune, n int) {
	if len(s) == 0 {
		return 0, 0
	}
	switch s[0] {
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case '0':
		return 0, 1
	case '\\', '\'', '"':
		return rune(s[0]), 1
	case '*':
		if inPattern {
			return '*', 1
		}
	case 'x':
		return hexEscape(s)
	case 'u':
		return unicodeEscape(s)
	}
	return 0, 0
}

// hexEscape is that of x41.
func hexEscape(s []byte) (rune, int) {
	if len(s) < 3 || !hex(s[1]) || !hex(s[2]) {
		return 0, 0
	}
	r, err := strconv.ParseUint(string(s[1:3]), 16, 7)
	if err != nil { // beyond ASCII
		return 0, 0
	}
	return rune(r), 3
}

// unicodeEscape is that of u{1F600}; underscores may separate digits, but not lead.
func unicodeEscape(s []byte) (rune, int) {
	end := bytes.IndexByte(s, '}')
	if end < 3 || s[1] != '{' || s[2] == '_' {
		return 0, 0
	}
	digits := bytes.ReplaceAll(s[2:end], []byte("_"), nil)
	r, err := strconv.ParseUint(string(digits), 16, 32)
	if err != nil || len(digits) > 6 || !utf8.ValidRune(rune(r)) {
		return 0, 0
	}
	return rune(r), end + 1
}

func hex(c byte) bool { return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
