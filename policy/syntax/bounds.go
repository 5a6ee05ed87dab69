package syntax

import "fmt"

// Bounds of one policy. The parser, and all that walks a policy's tree, recurses;
// it may go as deep as this and no deeper.
const (
	maxNesting = 100    // brackets in brackets
	maxSteps   = 10_000 // operators that may each make the tree one level deeper
	maxChain   = 16     // names after each other, as in a.b.c
)

// A nesting measures how deep the tree of a policy can be.
type nesting struct{ brackets, steps, chain int }

// add looks at the next token and says what is too much, "" if nothing is.
func (n *nesting) add(text []byte, t Token) string {
	switch t.Kind {
	case Text:
		n.chain = 0
		return ""
	case Word, Number:
		if string(text[t.Start:t.End]) == "if" {
			n.steps++
		}
		return n.complaint()
	}
	c := text[t.Start]
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
