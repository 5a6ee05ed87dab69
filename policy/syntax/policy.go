package syntax

func (p *parser) policy() *Policy {
	r := &Policy{Span: p.peek().Span}
	known := map[string]bool{}
	for p.is("@") {
		r.Annotations = append(r.Annotations, p.annotation(known))
	}
	r.Effect = p.peek().Span
	r.Permit = p.is("permit")
	if !p.accept("permit") && !p.accept("forbid") {
		p.unexpected(p.peek(), "permit or forbid")
	}
	p.expect("(")
	r.Principal = p.scope("principal")
	p.expect(",")
	r.Action = p.actionScope()
	p.expect(",")
	r.Resource = p.scope("resource")
	p.accept(",")
	p.expect(")")
	for p.is("when") || p.is("unless") {
		r.Conditions = append(r.Conditions, p.condition())
	}
	r.End = p.expect(";").End
	return r
}

func (p *parser) annotation(known map[string]bool) *Annotation {
	a := &Annotation{Span: p.expect("@")}
	t := p.next()
	if t.Kind != Word {
		p.unexpected(t, "a name or reserved keyword")
	}
	a.Name, a.NameSpan, a.End = p.of(t), t.Span, t.End
	if known[a.Name] {
		p.fail(t.Span, "duplicate annotation: @%s", plain(a.Name))
	}
	known[a.Name] = true
	if p.accept("(") {
		value := p.quotedText("string")
		a.Value, a.ValueSpan, a.HasValue = value.Text, value.Span, true
		a.End = p.expect(")").End
	}
	return a
}

// scope is that of principal or resource.
func (p *parser) scope(variable string) *Scope {
	s := p.variable(variable)
	switch {
	case p.accept("=="):
		p.scopeEntity(s, "==")
	case p.accept("in"):
		p.scopeEntity(s, "in")
	case p.accept("is"):
		t := p.typeName()
		s.Op, s.Type, s.TypeSpan, s.End = "is", t.Text, t.Span, t.End
		if p.accept("in") {
			p.scopeEntity(s, "is in")
		}
	}
	return s
}

// actionScope is one that may have a list.
func (p *parser) actionScope() *Scope {
	s := p.variable("action")
	switch {
	case p.accept("=="):
		p.scopeEntity(s, "==")
	case p.accept("in"):
		if !p.accept("[") {
			p.scopeEntity(s, "in")
			break
		}
		s.Op, s.List = "in", true
		s.End = p.list("]", func() { s.Entities = append(s.Entities, p.entity()) }).End
	}
	return s
}

func (p *parser) variable(name string) *Scope {
	at := p.expect(name)
	return &Scope{Span: at, Variable: name, VariableSpan: at}
}

func (p *parser) scopeEntity(s *Scope, op string) {
	e := p.entity()
	s.Op, s.Entities, s.End = op, []*Node{e}, e.End
}

func (p *parser) condition() *Condition {
	c := &Condition{Unless: p.is("unless")}
	c.Start = p.next().Start
	p.expect("{")
	c.Body = p.expression()
	c.End = p.expect("}").End
	return c
}

// list goes over members with commas between them, and one at the end if there is
// one, up to the token that ends it, of which it is the place.
func (p *parser) list(end string, member func()) Span {
	for !p.is(end) && p.err == nil {
		member()
		if !p.accept(",") && !p.is(end) {
			p.unexpected(p.peek(), quoted(","))
		}
	}
	return p.expect(end)
}

// entity is Type::"id".
func (p *parser) entity() *Node { return p.entityOf(p.name("a name")) }

// entityOf goes on after the first name of the type.
func (p *parser) entityOf(typ Name) *Node {
	for p.err == nil {
		p.expect("::")
		part := p.peek()
		if part.Kind == Text {
			return p.entityRef(typ, p.quotedText(""))
		}
		typ = joined(typ, p.name("a name or string"))
	}
	return &Node{Kind: EntityRef, Span: typ.Span}
}

// typeName is A::B.
func (p *parser) typeName() Name {
	typ := p.name("a name")
	for p.accept("::") {
		typ = joined(typ, p.name("a name"))
	}
	return typ
}

func joined(a, b Name) Name { return Name{a.Text + "::" + b.Text, Span{a.Start, b.End}} }
