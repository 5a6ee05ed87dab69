package format

import (
	"bytes"
	"strings"

	"github.com/mcpagg/mcpagg/policy/syntax"
)

// A token is one with the comments around it.
type token struct {
	text  string
	above []string // comments in lines before its own, or before the first token
	after []string // comments that begin in its line
}

// scan cuts a text into tokens. rest are the comments in the lines after the last.
func scan(source []byte) (tokens []token, rest []string) {
	lex := syntax.NewLexer(source)
	last := 0 // where the last token or comment ended
	sameLine := false
	for {
		t := lex.Next()
		if bytes.IndexByte(source[last:t.Start], '\n') >= 0 {
			sameLine = false
		}
		last = t.End
		switch {
		case t.Kind == syntax.End:
			return tokens, rest
		case t.Kind == syntax.Remark:
			remark := strings.TrimRight(string(lex.Of(t)), " \t\r")
			if sameLine {
				tokens[len(tokens)-1].after = append(tokens[len(tokens)-1].after, remark)
			} else {
				rest = append(rest, remark)
			}
		default:
			tokens = append(tokens, token{text: spelling(t.Kind, string(lex.Of(t))), above: rest})
			rest, sameLine = nil, true
		}
	}
}

// spelling is how a token is written: numbers without zeros before them.
func spelling(kind syntax.TokenKind, s string) string {
	if kind != syntax.Number {
		return s
	}
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return s
}
