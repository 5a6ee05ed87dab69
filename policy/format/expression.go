package format

import "github.com/mcpagg/mcpagg/policy/syntax"

// expression is not a group: its lines end at && and || where those around it end.
func (w *writer) expression(n *syntax.Node) *doc {
	switch n.Kind {
	case syntax.If:
		return group(concat(w.branch(n.Args[0]), line, w.branch(n.Args[1]), line, w.branch(n.Args[2])))
	case syntax.Or, syntax.And:
		return w.logical(n)
	case syntax.Compare, syntax.In:
		return concat(w.sum(n.Args[0]), space, w.token(), space, w.sum(n.Args[1]))
	case syntax.Is:
		return w.isType(n)
	case syntax.Has:
		left := concat(w.sum(n.Args[0]), line, w.token(), line)
		return group(concat(left, nest(indent, w.path(len(n.Path)))))
	case syntax.Like:
		left := concat(w.sum(n.Args[0]), line, w.token(), line)
		return group(concat(left, nest(indent, w.token())))
	}
	return w.sum(n)
}

// branch is if, then or else with what belongs to it.
func (w *writer) branch(n *syntax.Node) *doc {
	word := w.token()
	return concat(word, nest(indent, concat(line, w.expression(n))))
}

// logical is all that stands between operators of one kind.
func (w *writer) logical(n *syntax.Node) *doc {
	operands := chain(n, func(of *syntax.Node) bool { return of.Kind == n.Kind })
	parts := []*doc{w.expression(operands[0])}
	for _, o := range operands[1:] {
		parts = append(parts, space, w.next(line), w.expression(o))
	}
	return concat(parts...)
}

// chain is the operands of n, with those of its left one while it is of the kind.
func chain(n *syntax.Node, kind func(*syntax.Node) bool) []*syntax.Node {
	if !kind(n) {
		return []*syntax.Node{n}
	}
	return append(chain(n.Args[0], kind), n.Args[1])
}

func (w *writer) isType(n *syntax.Node) *doc {
	d := concat(w.sum(n.Args[0]), space, w.token(), space, nest(indent, w.name(n.Name)))
	if len(n.Args) > 1 {
		d = concat(d, line, w.token(), space, nest(indent, w.sum(n.Args[1])))
	}
	return group(d)
}

// path is a.b.c of so many names.
func (w *writer) path(names int) *doc {
	first := w.token()
	var more []*doc
	for range names - 1 {
		more = append(more, concat(w.token(), w.token()))
	}
	return group(concat(first, nest(indent, join(more, brk))))
}

// join is parts with something between them.
func join(parts []*doc, between *doc) *doc {
	var all []*doc
	for i, p := range parts {
		if i > 0 {
			all = append(all, between)
		}
		all = append(all, p)
	}
	return concat(all...)
}

func (w *writer) sum(n *syntax.Node) *doc {
	return w.arithmetic(n, func(of *syntax.Node) bool { return of.Kind == syntax.Arithmetic && of.Name != "*" }, w.product)
}

func (w *writer) product(n *syntax.Node) *doc {
	return w.arithmetic(n, func(of *syntax.Node) bool { return of.Kind == syntax.Arithmetic && of.Name == "*" }, w.unary)
}

func (w *writer) arithmetic(n *syntax.Node, kind func(*syntax.Node) bool, operand func(*syntax.Node) *doc) *doc {
	operands := chain(n, kind)
	parts := []*doc{operand(operands[0])}
	for _, o := range operands[1:] {
		parts = append(parts, space, w.token(), line, operand(o))
	}
	return group(concat(parts...))
}

func (w *writer) unary(n *syntax.Node) *doc {
	var signs []*doc
	for n.Kind == syntax.Not || n.Kind == syntax.Negate {
		signs, n = append(signs, w.token()), n.Args[0]
	}
	if w.is("-") { // of a number
		signs = append(signs, w.token())
	}
	return concat(append(signs, w.member(n))...)
}

// member is a value with what is asked of it.
func (w *writer) member(n *syntax.Node) *doc {
	value, steps := w.steps(n)
	return group(concat(value, nest(indent, join(steps, brk))))
}

// steps are .name, (…) and ["name"] after a value.
func (w *writer) steps(n *syntax.Node) (value *doc, steps []*doc) {
	switch n.Kind {
	case syntax.Attribute:
		value, steps = w.steps(n.Args[0])
		return value, append(steps, concat(w.token(), w.token()))
	case syntax.Index:
		value, steps = w.steps(n.Args[0])
		return value, append(steps, concat(w.token(), w.token(), w.token()))
	case syntax.Method:
		value, steps = w.steps(n.Args[0])
		steps = append(steps, concat(w.token(), w.token()))
		return value, append(steps, w.arguments(n.Args[1:]))
	case syntax.Function:
		return w.name(n.Name), []*doc{w.arguments(n.Args)}
	}
	return w.primary(n), nil
}

func (w *writer) primary(n *syntax.Node) *doc {
	switch n.Kind {
	case syntax.EntityRef:
		return concat(w.name(n.Name), w.token(), w.token())
	case syntax.Paren:
		open := w.token()
		return group(concat(open, nest(1, w.expression(n.Args[0])), w.token()))
	case syntax.Set:
		return w.list(n.Args)
	case syntax.Record:
		return w.record(n)
	}
	return w.token()
}

// members are docs with commas between them.
func (w *writer) members(n int, member func(i int) *doc) *doc {
	var parts []*doc
	for i := range n {
		if i > 0 {
			parts = append(parts, w.token(), line)
		}
		parts = append(parts, member(i))
	}
	w.dropComma()
	return concat(parts...)
}

func (w *writer) list(nodes []*syntax.Node) *doc {
	open := w.token()
	inner := w.members(len(nodes), func(i int) *doc { return w.expression(nodes[i]) })
	return concat(open, nest(1, inner), w.token())
}

func (w *writer) arguments(nodes []*syntax.Node) *doc {
	open := w.token()
	inner := w.members(len(nodes), func(i int) *doc { return w.expression(nodes[i]) })
	if inner != nil {
		inner = concat(nest(indent, concat(brk, inner)), brk)
	}
	return concat(open, inner, w.token())
}

func (w *writer) record(n *syntax.Node) *doc {
	open := w.token()
	inner := w.members(len(n.Args), func(i int) *doc {
		return concat(w.token(), w.token(), space, w.expression(n.Args[i]))
	})
	if inner != nil {
		inner = group(concat(line, inner, line))
	}
	return concat(open, nest(indent, inner), w.token())
}
