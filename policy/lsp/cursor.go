package lsp

import (
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/policy/syntax"
)

// A cursor is a place in a text, and what is written around it. It looks at tokens alone,
// so that half of a policy will do.
type cursor struct {
	text   []byte
	tokens []syntax.Token // of the policy that it is in, without comments
	at     int            // the token that it is in or at the end of; -1 for none
	before int            // how many tokens are before it, without that one
	offset int
}

// cursorAt is the place of a byte.
func cursorAt(text []byte, offset int) cursor {
	c := cursor{text: text, offset: offset, at: -1}
	for l := syntax.NewLexer(text); ; {
		t := l.Next()
		if t.Kind == syntax.End {
			break
		}
		if t.Kind == syntax.Remark {
			continue
		}
		c.tokens = append(c.tokens, t)
		if !c.is(len(c.tokens)-1, ";") {
			continue
		}
		if t.Start >= offset {
			break
		}
		c.tokens = c.tokens[:0]
	}
	for i, t := range c.tokens {
		inside := t.Start < offset && offset <= t.End
		if t.Kind == syntax.Text && t.Mistake == "" {
			inside = t.Start < offset && offset < t.End
		}
		if inside && (t.Kind == syntax.Word || t.Kind == syntax.Text) {
			c.at = i
		}
		if t.End <= offset && c.at != i {
			c.before = i + 1
		}
	}
	return c
}

// of is the text of a token, "" for none.
func (c *cursor) of(i int) string {
	if i < 0 || i >= len(c.tokens) {
		return ""
	}
	return string(c.text[c.tokens[i].Start:c.tokens[i].End])
}

func (c *cursor) is(i int, s string) bool { return c.of(i) == s }

func (c *cursor) kind(i int) syntax.TokenKind {
	if i < 0 || i >= len(c.tokens) {
		return syntax.End
	}
	return c.tokens[i].Kind
}

// written is the span of what is being written there, without quotes.
func (c *cursor) written() (start, end int) {
	if c.at < 0 {
		return c.offset, c.offset
	}
	t := c.tokens[c.at]
	switch {
	case t.Kind != syntax.Text:
		return t.Start, t.End
	case t.Mistake == "":
		return t.Start + 1, t.End - 1
	}
	return t.Start + 1, c.offset // behind it is what should not be in quotes
}

// typeBefore is the type that the text at i is an id of, as in Tool::"x"; "" for none.
func (c *cursor) typeBefore(i int) string {
	if !c.is(i-1, "::") || c.kind(i-2) != syntax.Word {
		return ""
	}
	return c.of(i - 2)
}

// chain is what stands before a dot, as context and input before context.input.x; nil if
// there is no dot before the token, or more than names. i is the token behind the dot.
func (c *cursor) chain(i int) []string {
	var names []string
	for c.is(i-1, ".") {
		if c.kind(i-2) != syntax.Word {
			return nil
		}
		names = append([]string{c.of(i - 2)}, names...)
		i -= 2
	}
	return names
}

// subject are the names before the operator at i, as context and input before
// context.input has x.
func (c *cursor) subject(i int) []string {
	if c.kind(i-1) != syntax.Word {
		return nil
	}
	return append(c.chain(i-1), c.of(i-1))
}

// textAt is what a text in quotes means.
func (c *cursor) textAt(i int) string {
	raw := c.of(i)
	if s, err := strconv.Unquote(raw); err == nil {
		return s
	}
	return strings.Trim(raw, `"`)
}

// resource is what the policy says of its resource: the operator, the type and the id of
// an entity; "" where it does not say.
func (c *cursor) resource() (op, typ, id string) {
	for i := range c.tokens {
		if !c.is(i, "resource") || c.is(i+1, ".") {
			continue
		}
		j := i + 1
		if c.is(j, "is") {
			op, typ = "is", c.of(j+1)
			j += 2
		}
		if (c.is(j, "==") || c.is(j, "in")) && c.is(j+2, "::") && c.kind(j+3) == syntax.Text {
			return c.of(j), c.of(j + 1), c.textAt(j + 3)
		}
		return op, typ, ""
	}
	return "", "", ""
}
