package syntax

import (
	"bytes"
	"unicode/utf8"
)

// A TokenKind is what a token is.
type TokenKind byte

// The kinds of tokens.
const (
	End     TokenKind = iota
	Word              // a name or keyword
	Number            // of digits
	Text              // in quotes, with them
	Symbol            // one or two characters
	Remark            // a comment
	Strange           // what is no Cedar
)

// A Token is a piece of a text that is not cut further.
type Token struct {
	Kind TokenKind
	Span
	// Mistake is what is wrong with it, "" for nothing, but for its escape sequences.
	Mistake string
}

// Tokens are those of a text, with its comments, however wrong the text is.
func Tokens(text []byte) []Token {
	var all []Token
	for l := NewLexer(text); ; {
		t := l.Next()
		if t.Kind == End {
			return all
		}
		all = append(all, t)
	}
}

// A Lexer cuts a text into tokens, without a copy and without judging them.
type Lexer struct {
	text []byte
	pos  int
}

// NewLexer makes one of a text, which must not be changed meanwhile.
func NewLexer(text []byte) *Lexer { return &Lexer{text: text} }

// Of is a token's text.
func (l *Lexer) Of(t Token) []byte { return l.text[t.Start:t.End] }

// Next is the next token; of kind End, and at the end, when there is none.
func (l *Lexer) Next() Token {
	for l.pos < len(l.text) && blank(l.text[l.pos]) {
		l.pos++
	}
	t := Token{Kind: End, Span: Span{l.pos, l.pos}}
	if l.pos == len(l.text) {
		return t
	}
	t.Kind, t.End, t.Mistake = cut(l.text[l.pos:])
	t.End += l.pos
	l.pos = t.End
	return t
}

// cut is the token that a text begins with.
func cut(text []byte) (kind TokenKind, end int, mistake string) {
	switch c := text[0]; {
	case letter(c):
		return Word, run(text, func(c byte) bool { return letter(c) || digit(c) }), ""
	case digit(c):
		return Number, run(text, digit), ""
	case c == '"':
		end, mistake = cutText(text)
		return Text, end, mistake
	case c == '/' && len(text) > 1 && (text[1] == '/' || text[1] == '*'):
		end, mistake = cutComment(text)
		return Remark, end, mistake
	case len(text) > 1 && pair(c, text[1]):
		return Symbol, 2, ""
	case bytes.IndexByte([]byte("@.,;(){}[]+-*:!<>"), c) >= 0:
		return Symbol, 1, ""
	}
	return Strange, max(runeLen(text), 1), wrongByte(text[:max(runeLen(text), 1)])
}

func run(text []byte, of func(byte) bool) int {
	end := 1
	for end < len(text) && of(text[end]) {
		end++
	}
	return end
}

func runeLen(text []byte) int {
	_, n := utf8.DecodeRune(text)
	return n
}

func blank(c byte) bool  { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }
func letter(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func pair(a, b byte) bool {
	switch a {
	case '&', '|', ':':
		return a == b
	case '=', '!', '<', '>':
		return b == '='
	}
	return false
}

// cutText is where the text that begins in quotes ends: after its quote, or at the
// end of the line if it has none.
func cutText(text []byte) (end int, mistake string) {
	for i := 1; i < len(text) && text[i] != '\n'; i++ {
		switch text[i] {
		case '\\':
			if i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case '"':
			return i + 1, wrongByte(text[:i+1])
		}
	}
	end = bytes.IndexByte(text, '\n')
	if end < 0 {
		end = len(text)
	}
	return end, "literal not terminated"
}

// cutComment is where the comment that a text begins with ends.
func cutComment(text []byte) (end int, mistake string) {
	if text[1] == '/' {
		end = bytes.IndexByte(text, '\n')
		if end < 0 {
			end = len(text)
		}
		return end, wrongByte(text[:end])
	}
	end = bytes.Index(text[2:], []byte("*/"))
	if end < 0 {
		return len(text), "comment not terminated"
	}
	return end + 4, wrongByte(text[:end+4])
}

// wrongByte says so where a text has what no text file has.
func wrongByte(text []byte) string {
	switch {
	case bytes.IndexByte(text, 0) >= 0:
		return "invalid character NUL"
	case !utf8.Valid(text):
		return "invalid UTF-8 encoding"
	}
	return ""
}
