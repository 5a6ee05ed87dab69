package syntax

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go/types"
)

type tok struct {
	kind byte // 'w' word, 'n' number, 's' string, 'o' operator, 0 end
	s    string
	Span
}

type parser struct {
	text      []byte
	toks      []tok
	at, depth int
}

func Parse(name string, text []byte) (f *File, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("%v", r)
		}
	}()
	p := &parser{text: text}
	p.lex()
	f = &File{Name: name, Text: text, lines: []int{0}}
	for at, c := range text {
		if c == '\n' {
			f.lines = append(f.lines, at+1)
		}
	}
	for p.peek().kind != 0 {
		q := p.policy()
		q.Index = len(f.Policies)
		f.Policies = append(f.Policies, q)
	}
	return f, nil
}

// Place is line and column, from 1 and in characters, of a byte of the text.
func (f *File) Place(offset int) (line, column int) {
	line = sort.SearchInts(f.lines, offset+1)
	return line, utf8.RuneCount(f.Text[f.lines[line-1]:offset]) + 1
}

func (p *parser) lex() {
	t := p.text
	i := 0
	for i < len(t) {
		c := t[i]
		s := i
		switch {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			i++
			continue
		case c == '/' && i+1 < len(t) && t[i+1] == '/':
			for i < len(t) && t[i] != '\n' {
				i++
			}
			continue
		case c == '_' || c|32 >= 'a' && c|32 <= 'z':
			for i < len(t) && (t[i] == '_' || t[i]|32 >= 'a' && t[i]|32 <= 'z' || t[i] >= '0' && t[i] <= '9') {
				i++
			}
			p.toks = append(p.toks, tok{'w', string(t[s:i]), Span{s, i}})
		case c >= '0' && c <= '9':
			for i < len(t) && t[i] >= '0' && t[i] <= '9' {
				i++
			}
			p.toks = append(p.toks, tok{'n', string(t[s:i]), Span{s, i}})
		case c == '"':
			i++
			for t[i] != '"' {
				if t[i] == '\\' {
					i++
				}
				i++
			}
			i++
			p.toks = append(p.toks, tok{'s', string(t[s:i]), Span{s, i}})
		default:
			i++
			if i < len(t) && strings.Contains(":: == != <= >= && ||", string(t[s:i+1])) && t[i] != ' ' {
				i++
			}
			p.toks = append(p.toks, tok{'o', string(t[s:i]), Span{s, i}})
		}
	}
	p.toks = append(p.toks, tok{0, "", Span{len(t), len(t)}})
}

func (p *parser) peek() tok { return p.toks[p.at] }
func (p *parser) next() tok { t := p.toks[p.at]; p.at++; return t }
func (p *parser) is(s string) bool {
	return p.peek().kind != 's' && p.peek().s == s
}

func (p *parser) accept(s string) bool {
	if p.is(s) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(s string) tok {
	if !p.is(s) {
		panic(fmt.Sprintf("want %q, got %q at %d", s, p.peek().s, p.peek().Start))
	}
	return p.next()
}

func unquote(s string) string {
	s = s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case '0':
			b.WriteByte(0)
		case 'u':
			e := strings.IndexByte(s[i:], '}')
			n, _ := strconv.ParseInt(s[i+2:i+e], 16, 32)
			b.WriteRune(rune(n))
			i += e
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func (p *parser) policy() *Policy {
	q := &Policy{}
	q.Start = p.peek().Start
	for p.is("@") {
		a := &Annotation{}
		a.Start = p.next().Start
		n := p.next()
		a.Name, a.NameSpan, a.End = n.s, n.Span, n.End
		if p.accept("(") {
			v := p.next()
			a.Value, a.ValueSpan, a.HasValue = unquote(v.s), v.Span, true
			a.End = p.expect(")").End
		}
		q.Annotations = append(q.Annotations, a)
	}
	e := p.next()
	q.Effect, q.Permit = e.Span, e.s == "permit"
	if !q.Permit && e.s != "forbid" {
		panic("unexpected effect")
	}
	p.expect("(")
	q.Principal = p.scope()
	p.expect(",")
	q.Action = p.scope()
	p.expect(",")
	q.Resource = p.scope()
	p.expect(")")
	for p.is("when") || p.is("unless") {
		c := &Condition{}
		t := p.next()
		c.Start, c.Unless = t.Start, t.s == "unless"
		p.expect("{")
		c.Body = p.expr()
		c.End = p.expect("}").End
		q.Conditions = append(q.Conditions, c)
	}
	q.End = p.expect(";").End
	return q
}

func (p *parser) scope() *Scope {
	s := &Scope{}
	t := p.next()
	s.Variable, s.Span = t.s, t.Span
	if p.accept("is") {
		s.Op = "is"
		s.Type, s.TypeSpan = p.typ()
	}
	if p.is("==") || p.is("in") {
		op := p.next().s
		if s.Op == "is" {
			s.Op = "is in"
		} else {
			s.Op = op
		}
		if p.accept("[") {
			s.List = true
			for !p.is("]") {
				s.Entities = append(s.Entities, p.primary())
				p.accept(",")
			}
			p.next()
		} else {
			s.Entities = append(s.Entities, p.primary())
		}
	}
	return s
}

func (p *parser) typ() (string, Span) {
	t := p.next()
	s, sp := t.s, t.Span
	for p.is("::") && p.toks[p.at+1].kind == 'w' {
		p.next()
		t = p.next()
		s += "::" + t.s
		sp.End = t.End
	}
	return s, sp
}

func bin(k Kind, name string, ns Span, a, b *Node) *Node {
	return &Node{Kind: k, Name: name, NameSpan: ns, Span: Span{a.Start, b.End}, Args: []*Node{a, b}}
}

func (p *parser) expr() *Node {
	if p.is("if") {
		s := p.next()
		a := p.expr()
		p.expect("then")
		b := p.expr()
		p.expect("else")
		c := p.expr()
		return &Node{Kind: If, Span: Span{s.Start, c.End}, Args: []*Node{a, b, c}}
	}
	l := p.and()
	for p.is("||") {
		o := p.next()
		l = bin(Or, "||", o.Span, l, p.and())
	}
	return l
}

func (p *parser) and() *Node {
	l := p.rel()
	for p.is("&&") {
		o := p.next()
		l = bin(And, "&&", o.Span, l, p.rel())
	}
	return l
}

func (p *parser) rel() *Node {
	l := p.add()
	o := p.peek()
	if o.kind == 's' {
		return l
	}
	switch o.s {
	case "==", "!=", "<", "<=", ">", ">=":
		p.next()
		return bin(Compare, o.s, o.Span, l, p.add())
	case "in":
		p.next()
		return bin(In, "in", o.Span, l, p.add())
	case "has":
		p.next()
		t := p.next()
		n := &Node{Kind: Has, Name: t.s, NameSpan: t.Span, Args: []*Node{l}}
		if t.kind == 's' {
			n.Name = unquote(t.s)
		}
		n.Span = Span{l.Start, t.End}
		n.Path = append(n.Path, Name{n.Name, t.Span})
		for t.kind == 'w' && p.accept(".") {
			t := p.next()
			n.Path = append(n.Path, Name{t.s, t.Span})
			n.End = t.End
		}
		return n
	case "like":
		p.next()
		t := p.next()
		n := &Node{Kind: Like, NameSpan: t.Span, Span: Span{l.Start, t.End}, Args: []*Node{l}}
		var parts []any
		for i, s := range strings.Split(t.s[1:len(t.s)-1], "*") {
			if i > 0 {
				parts = append(parts, types.Wildcard{})
			}
			parts = append(parts, types.String(unquote(`"`+s+`"`)))
		}
		n.Pattern = types.NewPattern(parts...)
		return n
	case "is":
		p.next()
		n := &Node{Kind: Is, Args: []*Node{l}}
		n.Name, n.NameSpan = p.typ()
		n.Span = Span{l.Start, n.NameSpan.End}
		if p.accept("in") {
			r := p.add()
			n.Args = append(n.Args, r)
			n.End = r.End
		}
		return n
	}
	return l
}

func (p *parser) add() *Node {
	l := p.mult()
	for p.is("+") || p.is("-") {
		o := p.next()
		l = bin(Arithmetic, o.s, o.Span, l, p.mult())
	}
	return l
}

func (p *parser) mult() *Node {
	l := p.unary()
	for p.is("*") {
		o := p.next()
		l = bin(Arithmetic, o.s, o.Span, l, p.unary())
	}
	return l
}

func (p *parser) unary() *Node {
	if p.depth++; p.depth > 1000 {
		panic("nested too deep")
	}
	defer func() { p.depth-- }()
	if p.is("!") {
		o := p.next()
		a := p.unary()
		return &Node{Kind: Not, Span: Span{o.Start, a.End}, Args: []*Node{a}}
	}
	if p.is("-") {
		o := p.next()
		if t := p.peek(); t.kind == 'n' && t.s == "9223372036854775808" {
			p.next()
			return &Node{Kind: Literal, Span: Span{o.Start, t.End}, Value: types.Long(-1 << 63)}
		}
		a := p.unary()
		if l, ok := a.Value.(types.Long); ok && a.Kind == Literal {
			return &Node{Kind: Literal, Span: Span{o.Start, a.End}, Value: -l}
		}
		return &Node{Kind: Negate, Span: Span{o.Start, a.End}, Args: []*Node{a}}
	}
	return p.member()
}

func (p *parser) member() *Node {
	n := p.primary()
	for {
		switch {
		case p.accept("."):
			t := p.next()
			m := &Node{Kind: Attribute, Name: t.s, NameSpan: t.Span, Span: Span{n.Start, t.End}, Args: []*Node{n}}
			if p.accept("(") {
				m.Kind = Method
				for !p.is(")") {
					m.Args = append(m.Args, p.expr())
					p.accept(",")
				}
				m.End = p.next().End
			}
			n = m
		case p.accept("["):
			t := p.next()
			n = &Node{Kind: Index, Name: unquote(t.s), NameSpan: t.Span, Span: Span{n.Start, p.expect("]").End}, Args: []*Node{n}}
		default:
			return n
		}
	}
}

func (p *parser) primary() *Node {
	t := p.peek()
	switch t.kind {
	case 's':
		p.next()
		return &Node{Kind: Literal, Span: t.Span, Value: types.String(unquote(t.s))}
	case 'n':
		p.next()
		i, err := strconv.ParseInt(t.s, 10, 64)
		if err != nil {
			panic(err)
		}
		return &Node{Kind: Literal, Span: t.Span, Value: types.Long(i)}
	case 'w':
		switch t.s {
		case "true", "false":
			p.next()
			return &Node{Kind: Literal, Span: t.Span, Value: types.Boolean(t.s == "true")}
		case "principal", "action", "resource", "context":
			if p.toks[p.at+1].s != "::" {
				p.next()
				return &Node{Kind: Variable, Name: t.s, Span: t.Span}
			}
		}
		name, sp := p.typ()
		if p.accept("(") {
			n := &Node{Kind: Function, Name: name, NameSpan: sp, Span: sp}
			for !p.is(")") {
				n.Args = append(n.Args, p.expr())
				p.accept(",")
			}
			n.End = p.next().End
			return n
		}
		p.expect("::")
		id := p.next()
		return &Node{Kind: EntityRef, Span: Span{sp.Start, id.End}, Value: types.NewEntityUID(types.EntityType(name), types.String(unquote(id.s)))}
	}
	switch t.s {
	case "(":
		p.next()
		a := p.expr()
		e := p.expect(")")
		return &Node{Kind: Paren, Span: Span{t.Start, e.End}, Args: []*Node{a}}
	case "[":
		p.next()
		n := &Node{Kind: Set, Span: t.Span}
		for !p.is("]") {
			n.Args = append(n.Args, p.expr())
			p.accept(",")
		}
		n.End = p.next().End
		return n
	case "{":
		p.next()
		n := &Node{Kind: Record, Span: t.Span}
		for !p.is("}") {
			p.next()
			p.expect(":")
			n.Args = append(n.Args, p.expr())
			p.accept(",")
		}
		n.End = p.next().End
		return n
	}
	panic(fmt.Sprintf("unexpected %q", t.s))
}

func Walk(n *Node, f func(*Node) bool) {
	if !f(n) {
		return
	}
	for _, a := range n.Args {
		Walk(a, f)
	}
}
