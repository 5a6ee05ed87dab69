package syntax

import "github.com/cedar-policy/cedar-go/types"

// primary reads what operators stand between.
func (p *parser) primary() *Node {
	t := p.peek()
	switch t.Kind {
	case Number:
		return p.number(t.Start)
	case Text:
		text := p.quotedText("")
		return &Node{Kind: Literal, Span: t.Span, Value: types.String(text.Text)}
	case Word:
		return p.word()
	}
	switch {
	case p.accept("("):
		inner := p.expression()
		return &Node{Kind: Paren, Span: Span{t.Start, p.expect(")").End}, Args: []*Node{inner}}
	case p.accept("["):
		n := &Node{Kind: Set, Span: t.Span}
		n.End = p.list("]", func() { n.Args = append(n.Args, p.expression()) }).End
		return n
	case p.accept("{"):
		return p.record(t)
	}
	p.unexpected(t, "a value")
	return &Node{Span: t.Span}
}

// word reads a value that begins with one.
func (p *parser) word() *Node {
	t := p.next()
	switch word := p.of(t); {
	case word == "true" || word == "false":
		return &Node{Kind: Literal, Span: t.Span, Value: types.Boolean(word == "true")}
	case p.isName(t) && (p.is("::") || p.is("(")):
		return p.entityOrFunction(Name{word, t.Span})
	case word == "principal" || word == "action" || word == "resource" || word == "context":
		return &Node{Kind: Variable, Span: t.Span, Name: word, NameSpan: t.Span}
	}
	p.unexpected(t, "a value")
	return &Node{Span: t.Span}
}

// entityOrFunction reads Type::"id" or name(…), of which the first name was read.
func (p *parser) entityOrFunction(name Name) *Node {
	for p.accept("::") {
		if p.peek().Kind == Text {
			return p.entityRef(name, p.quotedText(""))
		}
		name = joined(name, p.name("a name or string"))
	}
	if !p.is("(") {
		p.unexpected(p.peek(), quoted("::"))
	}
	switch {
	case methods[name.Text]:
		p.fail(name.Span, "`%s` is a method, not a function", name.Text)
	case !functions[name.Text]:
		p.fail(name.Span, "`%s` is not a function", plain(name.Text))
	}
	n := &Node{Kind: Function, Name: name.Text, NameSpan: name.Span}
	args, end := p.arguments()
	n.Span, n.Args = Span{name.Start, end}, args
	return n
}

func (p *parser) entityRef(typ, id Name) *Node {
	return &Node{
		Kind: EntityRef, Span: Span{typ.Start, id.End}, Name: typ.Text, NameSpan: typ.Span, IDSpan: id.Span,
		Value: types.NewEntityUID(types.EntityType(typ.Text), types.String(id.Text)),
	}
}

// record goes on after the brace.
func (p *parser) record(open Token) *Node {
	n := &Node{Kind: Record, Span: open.Span}
	known := map[string]bool{}
	n.End = p.list("}", func() {
		key := p.nameOrText()
		if known[key.Text] && p.err == nil {
			p.fail(key.Span, "duplicate key: %s", plain(key.Text))
		}
		known[key.Text] = true
		p.expect(":")
		n.Keys, n.Args = append(n.Keys, key), append(n.Args, p.expression())
	}).End
	return n
}
