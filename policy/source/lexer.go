package source

import (
	"bytes"
	"unicode/utf8"
)

// A lexer cuts Cedar text into tokens, without a copy and without judging them:
// what is no Cedar comes out as single characters. It is for what has to be known
// before the parser runs, and for places that the parser forgets.
type lexer struct {
	text []byte
	pos  int
}

// A token is a piece of the text, by its bytes.
type token struct {
	kind       byte // tokenEnd and so on
	start, end int
}

// The kinds of tokens.
const (
	tokenEnd    byte = iota
	tokenWord        // an identifier or keyword
	tokenText        // a string literal, with its quotes
	tokenSymbol      // one or two characters
)

// next is the next token; of kind tokenEnd at the end.
func (l *lexer) next() token {
	l.skip()
	start := l.pos
	if start == len(l.text) {
		return token{tokenEnd, start, start}
	}
	c := l.text[start]
	switch {
	case wordByte(c):
		for l.pos < len(l.text) && wordByte(l.text[l.pos]) {
			l.pos++
		}
		return token{tokenWord, start, l.pos}
	case c == '"':
		l.pos = endOfText(l.text, start)
		return token{tokenText, start, l.pos}
	}
	l.pos++
	if l.pos < len(l.text) && twoBytes(c, l.text[l.pos]) {
		l.pos++
	}
	return token{tokenSymbol, start, l.pos}
}

// skip goes over white space and comments, of which the parser knows both kinds.
func (l *lexer) skip() {
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			l.pos++
		case c == '/' && l.pos+1 < len(l.text) && l.text[l.pos+1] == '/':
			for l.pos < len(l.text) && l.text[l.pos] != '\n' {
				l.pos++
			}
		case c == '/' && l.pos+1 < len(l.text) && l.text[l.pos+1] == '*':
			l.pos = endOfComment(l.text, l.pos)
		default:
			return
		}
	}
}

// of is a token's text.
func (l *lexer) of(t token) string { return string(l.text[t.start:t.end]) }

func wordByte(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func twoBytes(a, b byte) bool {
	switch a {
	case '&', '|', ':':
		return a == b
	case '=', '!', '<', '>':
		return b == '='
	}
	return false
}

// endOfComment is where the comment that begins at start with /* ends.
func endOfComment(text []byte, start int) int {
	end := bytes.Index(text[start+2:], []byte("*/"))
	if end < 0 {
		return len(text)
	}
	return start + 2 + end + 2
}

// endOfText is where the string literal that begins at start ends: after its
// quote, or at the end of the line if it has none.
func endOfText(text []byte, start int) int {
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		case '\n':
			return i
		}
	}
	return len(text)
}

// place is line and column, from 1 and in characters, of a byte of text.
func place(text []byte, at int) (line, column int) {
	before := text[:min(at, len(text))]
	begin := bytes.LastIndexByte(before, '\n') + 1
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[begin:])
}
