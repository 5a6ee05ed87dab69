package policytest

import (
	"fmt"
	"strings"

	"github.com/mcpagg/mcpagg/policy/syntax"
)

// Text makes policies of all forms of the grammar, which need mean nothing: for what
// looks at texts alone.
func (g *Generator) Text() string {
	var b strings.Builder
	for range 1 + g.IntN(3) {
		for i, name := range g.some("id", "deny_message", "if", "a_b") {
			b.WriteString("@" + name)
			if i > 0 || g.chance(80) {
				fmt.Fprintf(&b, "(%s)", g.literalText())
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s(%s, %s, %s)", pick(g, "permit", "forbid"), g.anyScope("principal"), g.anyAction(), g.anyScope("resource"))
		for range g.IntN(3) {
			fmt.Fprintf(&b, " %s { %s }", pick(g, "when", "unless"), g.expression(1+g.IntN(5)))
		}
		b.WriteString(";\n")
	}
	return b.String()
}

func (g *Generator) anyScope(variable string) string {
	switch g.IntN(5) {
	case 0:
		return variable + pick(g, " == ", " in ") + g.entity()
	case 1:
		return variable + " is " + g.entityType()
	case 2:
		return variable + " is " + g.entityType() + " in " + g.entity()
	}
	return variable
}

func (g *Generator) anyAction() string {
	switch g.IntN(4) {
	case 0:
		return "action" + pick(g, " == ", " in ") + `Action::"` + pick(g, "call_tool", "x") + `"`
	case 1:
		return "action in [" + g.list(6, func() string { return `Action::"` + strings.Repeat("read", 1+g.IntN(4)) + `"` }) + "]"
	}
	return "action"
}

func (g *Generator) list(most int, member func() string) string {
	var all []string
	for range g.IntN(most) {
		all = append(all, member())
	}
	return strings.Join(all, ", ")
}

func (g *Generator) entityType() string {
	return pick(g, "User", "Group", "Tool", "Namespace::Of::Tool", "A::B", "AnEntityTypeWithALongName")
}

func (g *Generator) entity() string { return g.entityType() + "::" + g.literalText() }

func (g *Generator) literalText() string {
	return pick(g, `""`, `"a"`, `"b c"`, `"// no comment"`, `"\"\\ \u{e9}"`, `"日本語 é"`, `"github/create_issue"`, `"`+strings.Repeat("long ", g.IntN(12))+`"`)
}

func (g *Generator) name() string {
	return pick(g, "a", "b_c", "owner", "repository", "permit", "action", "a_rather_long_name_of_an_attribute", "X1")
}

// expression makes one of any kind, that deep.
func (g *Generator) expression(depth int) string {
	if depth <= 0 {
		return g.member(0)
	}
	sub := func() string { return g.expression(depth - 1) }
	sum := func() string { return g.sum(depth - 1) }
	switch g.IntN(12) {
	case 0:
		return "if " + sub() + " then " + sub() + " else " + sub()
	case 1, 2, 3:
		return g.chained("&&", func() string { return g.relation(depth - 1) })
	case 4, 5:
		return g.chained("||", func() string { return g.chained("&&", func() string { return g.relation(depth - 2) }) })
	case 6:
		return sum()
	}
	return g.relation(depth)
}

func (g *Generator) chained(operator string, operand func() string) string {
	all := []string{operand()}
	for range g.IntN(3) {
		all = append(all, operand())
	}
	return strings.Join(all, " "+operator+" ")
}

func (g *Generator) relation(depth int) string {
	left := g.sum(depth - 1)
	switch g.IntN(8) {
	case 0:
		return left + " has " + pick(g, g.name(), g.name()+"."+g.name()+"."+g.name(), g.literalText())
	case 1:
		return left + " like " + pick(g, `"*"`, `"a\*b*"`, `"`+strings.Repeat("x*", g.IntN(20))+`"`)
	case 2:
		return left + " is " + g.entityType()
	case 3:
		return left + " is " + g.entityType() + " in " + g.sum(depth-1)
	case 4:
		return left
	}
	return left + pick(g, " == ", " != ", " < ", " <= ", " > ", " >= ", " in ") + g.sum(depth-1)
}

func (g *Generator) sum(depth int) string {
	product := func() string {
		all := []string{g.unary(depth)}
		for g.chance(10) {
			all = append(all, g.unary(depth))
		}
		return strings.Join(all, " * ")
	}
	s := product()
	for g.chance(15) {
		s += pick(g, " + ", " - ") + product()
	}
	return s
}

func (g *Generator) unary(depth int) string {
	return pick(g, "", "", "", "", "!", "!!", "-", "--") + g.member(depth)
}

// member makes a value with some of what can be asked of it.
func (g *Generator) member(depth int) string {
	s := g.primary(depth)
	if s[0] >= '0' && s[0] <= '9' { // -1.a is no expression
		return s
	}
	for g.chance(45) {
		s += g.step(depth)
	}
	return s
}

// step is something that is asked of a value.
func (g *Generator) step(depth int) string {
	if depth > 0 && g.chance(30) {
		return pick(g, ".contains(", ".containsAny(", ".hasTag(", ".getTag(") + g.expression(depth-1) + ")"
	}
	return pick(g, "."+g.name(), "."+g.name(), "["+g.literalText()+"]", ".isEmpty()", ".isInRange(ip("+g.literalText()+"))", ".toTime()")
}

func (g *Generator) primary(depth int) string {
	if depth > 0 {
		argument := func() string { return g.expression(depth - 1) }
		switch g.IntN(7) {
		case 0, 1:
			return "(" + argument() + ")"
		case 2:
			return "[" + g.list(5, argument) + "]"
		case 3:
			i := 0
			return "{" + g.list(4, func() string { i++; return fmt.Sprintf(pick(g, "a%d", `"b %d"`), i) + ": " + argument() }) + "}"
		}
	}
	return pick(g, "principal", "action", "resource", "context", "context", "true", "false", "0", "12", "9223372036854775807",
		g.literalText(), g.entity(), "decimal("+g.literalText()+")", "datetime("+g.literalText()+")")
}

// Scattered is a text with other white space and with comments between its tokens;
// blocks are comments that Cedar does not have, but cedar-go.
func (g *Generator) Scattered(text string, blocks bool) string {
	var b strings.Builder
	dense := g.IntN(20)
	for _, t := range syntax.Tokens([]byte(text)) {
		b.WriteString(g.gap(dense, blocks))
		b.WriteString(text[t.Start:t.End])
	}
	b.WriteString(g.gap(dense, blocks))
	return b.String()
}

// gap makes what can stand between tokens, with a comment now and then.
func (g *Generator) gap(dense int, blocks bool) string {
	s := pick(g, " ", " ", " ", "\n", "\t", "\r\n", "\n\n\n", " \n  ")
	for g.chance(dense) {
		comment := pick(g, "//", "// why", "//\tindented  ", "// \"quoted\" {", "// permit(principal, action, resource);", "/// é 日本", "// "+strings.Repeat("long ", g.IntN(30)))
		end := pick(g, "\n", "\n", "\r\n", "\n\n", "\n   ")
		if blocks && g.chance(40) {
			comment, end = pick(g, "/**/", "/* why */", "/* two\n   lines */", "/* \" */", "/* // */"), pick(g, "", " ", "\n")
		}
		s += comment + end
	}
	return s
}
