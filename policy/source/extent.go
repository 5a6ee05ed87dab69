package source

import "fmt"

// Bounds of one policy. The parser, and all that walks a policy's tree, recurses;
// it may go as deep as this and no deeper.
const (
	maxNesting = 100    // brackets in brackets
	maxSteps   = 10_000 // operators that may each make the tree one level deeper
	maxChain   = 16     // names after each other, as in a.b.c
)

// An extent is where the text of one policy begins and ends.
type extent struct{ start, end int }

// extents finds the policies of a text by their semicolons, and complains, with the
// place, about the first one that is nested too deep.
func extents(text []byte) (list []extent, at int, complaint string) {
	lex := lexer{text: text}
	n := nesting{}
	start := -1
	for {
		t := lex.next()
		if t.kind == tokenEnd {
			break
		}
		if start < 0 {
			start = t.start
		}
		if complaint := n.add(text, t); complaint != "" {
			return nil, t.start, complaint
		}
		if n.brackets == 0 && text[t.start] == ';' {
			list = append(list, extent{start, t.end})
			n, start = nesting{}, -1
		}
	}
	if start >= 0 {
		list = append(list, extent{start, len(text)})
	}
	return list, 0, ""
}

// A nesting measures how deep the tree of a policy can be.
type nesting struct{ brackets, steps, chain int }

// add looks at the next token and says what is too much, "" if nothing is.
func (n *nesting) add(text []byte, t token) string {
	switch t.kind {
	case tokenText:
		n.chain = 0
		return ""
	case tokenWord:
		if string(text[t.start:t.end]) == "if" {
			n.steps++
		}
		return n.complaint()
	}
	c := text[t.start]
	if c != '.' {
		n.chain = 0
	}
	switch c {
	case '(', '[', '{':
		n.brackets++
		n.steps++
	case ')', ']', '}':
		n.brackets = max(n.brackets-1, 0)
	case '.':
		n.chain++
		n.steps++
	case '!', '-', '+', '*', '&', '|':
		n.steps++
	}
	return n.complaint()
}

func (n *nesting) complaint() string {
	switch {
	case n.brackets > maxNesting:
		return fmt.Sprintf("brackets are nested more than %d deep", maxNesting)
	case n.steps > maxSteps:
		return fmt.Sprintf("a policy has more than %d operators", maxSteps)
	case n.chain > maxChain:
		return fmt.Sprintf("more than %d names follow each other with dots", maxChain)
	}
	return ""
}
