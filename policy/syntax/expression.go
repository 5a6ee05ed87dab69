package syntax

import (
	"strconv"

	"github.com/cedar-policy/cedar-go/types"
)

func (p *parser) expression() *Node {
	if !p.is("if") {
		return p.or()
	}
	n := &Node{Kind: If, Span: p.next().Span}
	n.Args = append(n.Args, p.expression())
	p.expect("then")
	n.Args = append(n.Args, p.expression())
	p.expect("else")
	last := p.expression()
	n.Args, n.End = append(n.Args, last), last.End
	return n
}

// binary goes over an operator between two arguments.
func (p *parser) binary(kind Kind, left *Node, right func() *Node) *Node {
	op := p.next()
	n := &Node{Kind: kind, Name: p.of(op), NameSpan: op.Span}
	b := right()
	n.Span, n.Args = Span{left.Start, b.End}, []*Node{left, b}
	return n
}

func (p *parser) or() *Node {
	n := p.and()
	for p.is("||") {
		n = p.binary(Or, n, p.and)
	}
	return n
}

func (p *parser) and() *Node {
	n := p.relation()
	for p.is("&&") {
		n = p.binary(And, n, p.relation)
	}
	return n
}

func (p *parser) relation() *Node {
	left := p.sum()
	switch p.of(p.peek()) {
	case "<", "<=", ">", ">=", "!=", "==":
		return p.binary(Compare, left, p.sum)
	case "in":
		return p.binary(In, left, p.sum)
	case "has":
		return p.has(left)
	case "like":
		return p.like(left)
	case "is":
		return p.isType(left)
	}
	return left
}

func (p *parser) has(left *Node) *Node {
	p.next()
	dotted := p.peek().Kind != Text
	name := p.nameOrText()
	n := &Node{Kind: Has, Span: Span{left.Start, name.End}, Name: name.Text, NameSpan: name.Span, Path: []Name{name}, Args: []*Node{left}}
	for dotted && p.accept(".") {
		name := p.name("a name")
		n.Path, n.End = append(n.Path, name), name.End
	}
	return n
}

func (p *parser) like(left *Node) *Node {
	p.next()
	t := p.peek()
	n := &Node{Kind: Like, Span: Span{left.Start, t.End}, NameSpan: t.Span, Args: []*Node{left}}
	if t.Kind != Text {
		p.unexpected(t, "string literal")
		return n
	}
	p.next()
	n.Pattern = p.pattern(t)
	return n
}

func (p *parser) isType(left *Node) *Node {
	p.next()
	typ := p.typeName()
	n := &Node{Kind: Is, Span: Span{left.Start, typ.End}, Name: typ.Text, NameSpan: typ.Span, Args: []*Node{left}}
	if p.accept("in") {
		right := p.sum()
		n.Args, n.End = append(n.Args, right), right.End
	}
	return n
}

func (p *parser) sum() *Node {
	n := p.product()
	for p.is("+") || p.is("-") {
		n = p.binary(Arithmetic, n, p.product)
	}
	return n
}

func (p *parser) product() *Node {
	n := p.unary()
	for p.is("*") {
		n = p.binary(Arithmetic, n, p.unary)
	}
	return n
}

// unary reads what may have ! and - before it. A - right before a number belongs to
// the number.
func (p *parser) unary() *Node {
	if !p.is("-") && !p.is("!") {
		return p.member()
	}
	op := p.next()
	kind := Not
	if p.of(op) == "-" {
		kind = Negate
		if p.peek().Kind == Number {
			return p.number(op.Start)
		}
	}
	arg := p.unary()
	return &Node{Kind: kind, Span: Span{op.Start, arg.End}, Name: p.of(op), NameSpan: op.Span, Args: []*Node{arg}}
}

// number is the next token, with the sign before it if start is there.
func (p *parser) number(start int) *Node {
	t := p.next()
	digits := p.of(t)
	if start < t.Start {
		digits = "-" + digits
	}
	i, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		p.fail(Span{start, t.End}, "the number %s does not fit into 64 bits", plain(digits))
	}
	return &Node{Kind: Literal, Span: Span{start, t.End}, Value: types.Long(i)}
}

// member reads what may have .name, .name(…) and ["name"] after it.
func (p *parser) member() *Node {
	n := p.primary()
	for {
		switch {
		case p.accept("."):
			name := p.name("a name")
			if p.is("(") {
				n = p.method(n, name)
				continue
			}
			n = &Node{Kind: Attribute, Span: Span{n.Start, name.End}, Name: name.Text, NameSpan: name.Span, Args: []*Node{n}}
		case p.accept("["):
			name := p.quotedText("string")
			n = &Node{Kind: Index, Span: Span{n.Start, p.expect("]").End}, Name: name.Text, NameSpan: name.Span, Args: []*Node{n}}
		default:
			return n
		}
	}
}

func (p *parser) method(of *Node, name Name) *Node {
	n := &Node{Kind: Method, Name: name.Text, NameSpan: name.Span}
	args, end := p.arguments()
	n.Span, n.Args = Span{of.Start, end}, append([]*Node{of}, args...)
	want, known := operators[name.Text]
	switch {
	case known && len(args) != want && want == 1:
		p.fail(name.Span, "%s expects one argument", name.Text)
	case known && len(args) != want:
		p.fail(name.Span, "%s expects no arguments", name.Text)
	case functions[name.Text]:
		p.fail(name.Span, "`%s` is a function, not a method", name.Text)
	case !known && !methods[name.Text]:
		p.fail(name.Span, "`%s` is not a method", plain(name.Text))
	}
	return n
}

// arguments are those in ( and ), and where these end.
func (p *parser) arguments() (args []*Node, end int) {
	p.expect("(")
	end = p.list(")", func() { args = append(args, p.expression()) }).End
	return args, end
}

// operators are methods of which the parser knows how many arguments they have.
var operators = map[string]int{"contains": 1, "containsAll": 1, "containsAny": 1, "hasTag": 1, "getTag": 1, "isEmpty": 0}

// functions and methods are those of Cedar's extensions.
var (
	functions = map[string]bool{"ip": true, "decimal": true, "datetime": true, "duration": true}
	methods   = map[string]bool{
		"lessThan": true, "lessThanOrEqual": true, "greaterThan": true, "greaterThanOrEqual": true,
		"isIpv4": true, "isIpv6": true, "isLoopback": true, "isMulticast": true, "isInRange": true,
		"toDate": true, "toTime": true, "offset": true, "durationSince": true,
		"toDays": true, "toHours": true, "toMinutes": true, "toSeconds": true, "toMilliseconds": true,
	}
)
