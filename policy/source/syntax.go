package source

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"
)

// What the parser says: its errors are texts, and lack the name of the file.
var (
	parserPlace = regexp.MustCompile(`^parser error: (parse error at )?<input>:(\d+):(\d+)(?: "(?:[^"\\]|\\.)*")?: (.*)$`)
	parserWant  = regexp.MustCompile(`^(?:exact )?got (.*) want (.+)$`)
	badNumber   = regexp.MustCompile(`^strconv\.ParseInt: parsing "(.*)": value out of range$`)
)

// shownSyntax bounds how many syntax mistakes of one file are listed.
const shownSyntax = 20

// syntaxMistakes are those of a file that the parser refuses with err. The parser
// stops at the first one; so each policy is tried alone.
func syntaxMistakes(f File, list []extent, err error) Mistakes {
	var found Mistakes
	for _, e := range list {
		if _, err := cedar.NewPolicyListFromBytes(f.Name, f.Text[e.start:e.end]); err != nil {
			found = append(found, syntaxMistake(f, e, err))
		}
		if len(found) == shownSyntax {
			break
		}
	}
	if len(found) == 0 { // what is wrong is between them
		found = append(found, syntaxMistake(f, extent{0, len(f.Text)}, err))
	}
	return found
}

// syntaxMistake is what the parser says of the text of one policy.
func syntaxMistake(f File, e extent, err error) Mistake {
	text := f.Text[e.start:e.end]
	line, column := place(f.Text, e.start)
	m := Mistake{File: f.Name, Line: line, Column: column, Remedy: "see https://docs.cedarpolicy.com/policies/syntax-policy.html"}
	message := strings.ReplaceAll(err.Error(), "\n", " ")
	parts := parserPlace.FindStringSubmatch(message)
	if parts == nil { // a literal, of which the parser gives no place
		m.Text = "syntax: " + literalMistake(strings.TrimPrefix(message, "parser error: "))
		return m
	}
	atLine, _ := strconv.Atoi(parts[2])
	atColumn, _ := strconv.Atoi(parts[3])
	if parts[1] != "" { // not the scanner, which knows better where it was
		text, atLine, atColumn = offending(text, atLine, atColumn, parts[4])
	}
	if atLine == 1 {
		atColumn += column - 1
	}
	m.Line, m.Column = line+max(atLine, 1)-1, max(atColumn, 1)
	m.Text = "syntax: " + parserText(parts[4], text)
	return m
}

// offending is the token that the parser complains about, and its place. The place
// that the parser gives is the next token's, but where it has looked ahead only.
func offending(text []byte, line, column int, message string) (token []byte, atLine, atColumn int) {
	at := offset(text, line, column)
	lex := lexer{text: text}
	last, t := lex.next(), lex.next()
	for t.kind != tokenEnd && t.start < at {
		last, t = t, lex.next()
	}
	if strings.HasPrefix(message, "got ") || last.start >= at {
		last = t
	}
	atLine, atColumn = place(text, last.start)
	return text[last.start:last.end], atLine, atColumn
}

// offset is the byte at line and column.
func offset(text []byte, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		next := strings.IndexByte(string(text[at:]), '\n')
		if next < 0 {
			return len(text)
		}
		at += next + 1
	}
	for i := range string(text[at:]) {
		if column--; column == 0 {
			return at + i
		}
	}
	return len(text)
}

// parserText is the parser's message in our words.
func parserText(message string, token []byte) string {
	if parts := parserWant.FindStringSubmatch(message); parts != nil {
		if parts[1] == "" {
			return fmt.Sprintf("the text ends where %s belongs", quoted(parts[2]))
		}
		return fmt.Sprintf("%s stands where %s belongs", quoted(parts[1]), quoted(parts[2]))
	}
	switch {
	case message == "invalid primary" && len(token) == 0:
		return "the text ends where a value belongs"
	case message == "invalid primary":
		return fmt.Sprintf("%s stands where a value belongs", quoted(string(token)))
	case strings.HasPrefix(message, "unexpected effect"):
		return fmt.Sprintf("%s stands where permit or forbid belongs", quoted(string(token)))
	case strings.HasPrefix(message, "expected "):
		want := strings.ReplaceAll(strings.TrimPrefix(message, "expected "), "ident", "a name")
		return fmt.Sprintf("%s stands where %s belongs", quoted(string(token)), want)
	}
	return plain(message)
}

// literalMistake is what is wrong with a literal.
func literalMistake(message string) string {
	if parts := badNumber.FindStringSubmatch(message); parts != nil {
		return fmt.Sprintf("the number %s does not fit into 64 bits", plain(parts[1]))
	}
	return plain(message)
}
