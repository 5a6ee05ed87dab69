package may_test

import (
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A place is where some value of a type is found.
type place struct {
	node ast.Node
	typ  *typed.Type
}

// places are those of the unknown context, and entities.
func (g *generator) places() []place {
	p := []place{
		{variable("principal"), &typed.Type{Kind: typed.Entity, Entity: "User"}},
		{variable("resource"), &typed.Type{Kind: typed.Entity, Entity: "Tool"}},
		{variable("context"), g.env.Unknown},
	}
	return append(p, below(variable("context"), g.env.Unknown)...)
}

func below(of ast.Node, t *typed.Type) []place {
	var p []place
	for _, f := range t.Fields {
		n := access(of, types.String(f.Name))
		p = append(p, place{n, f.Type}, place{n, f.Type})
		if f.Type.Kind == typed.Record {
			p = append(p, below(n, f.Type)...)
		}
	}
	return p
}

// about is a condition on what is not known, with values that it can have.
func (g *generator) about() ast.Node {
	p := pick(g.choices, g.places())
	if g.oneIn(4) {
		return g.equality(p)
	}
	switch p.typ.Kind {
	case typed.Set:
		return g.aboutSet(p)
	case typed.Record:
		if g.oneIn(4) {
			return has(p.node, pick(g.choices, names))
		}
	case typed.Entity:
		return g.aboutEntity(p)
	case typed.String:
		return g.aboutText(p)
	case typed.Long, typed.Datetime, typed.Duration:
		return ast.LessThan{BinaryNode: g.sides(p.node, g.like(p))}
	case typed.Bool:
		return p.node
	}
	return g.equality(p)
}

// sides puts two nodes in some order.
func (g *generator) sides(a, b ast.Node) ast.BinaryNode {
	if g.oneIn(2) {
		a, b = b, a
	}
	return both(a, b)
}

// like is a value like that of a place, or another place.
func (g *generator) like(p place) ast.Node {
	switch g.n(6) {
	case 0:
		return pick(g.choices, g.places()).node
	case 1:
		return ast.IfThenElse{If: g.leaf(typed.Bool), Then: g.constant(p.typ), Else: g.constant(p.typ)}
	}
	return g.constant(p.typ)
}

// constant is a value of a type, of which some parts may not be known.
func (g *generator) constant(t *typed.Type) ast.Node {
	if g.oneIn(2) {
		switch t.Kind {
		case typed.Record:
			return g.recordLike(t)
		case typed.Set:
			return g.setLike(t.Elem)
		}
	}
	return ast.Value{Value: g.value(t, 3)}
}

func (g *generator) recordLike(t *typed.Type) ast.Node {
	r := ast.Record{}
	for _, f := range t.Fields {
		if !f.Required && g.oneIn(2) {
			continue
		}
		r.Elements = append(r.Elements, ast.RecordElement{Key: types.String(f.Name), Value: g.member(f.Type)})
	}
	return r
}

func (g *generator) setLike(elem *typed.Type) ast.Node {
	s := ast.Set{}
	for range g.n(4) {
		s.Elements = append(s.Elements, g.member(elem))
	}
	return s
}

// member is a place of the type's kind if there is one, else a value.
func (g *generator) member(t *typed.Type) ast.Node {
	var fit []ast.Node
	for _, p := range g.places() {
		if p.typ.Kind == t.Kind {
			fit = append(fit, p.node)
		}
	}
	if len(fit) == 0 || g.oneIn(2) {
		return ast.Value{Value: g.value(t, 3)}
	}
	return pick(g.choices, fit)
}

func (g *generator) equality(p place) ast.Node {
	sides := g.sides(p.node, g.like(p))
	if g.oneIn(4) {
		return ast.NotEquals{BinaryNode: sides}
	}
	return ast.Equals{BinaryNode: sides}
}

func (g *generator) aboutSet(p place) ast.Node {
	switch g.n(5) {
	case 0:
		return ast.IsEmpty{UnaryNode: ast.UnaryNode{Arg: p.node}}
	case 1:
		return ast.ContainsAll{BinaryNode: g.sides(p.node, g.like(p))}
	case 2:
		return ast.ContainsAny{BinaryNode: g.sides(p.node, g.like(p))}
	case 3:
		return ast.In{BinaryNode: both(g.leaf(typed.Entity), p.node)}
	}
	return ast.Contains{BinaryNode: both(p.node, g.member(p.typ.Elem))}
}

func (g *generator) aboutText(p place) ast.Node {
	if g.oneIn(4) {
		return ast.Like{Arg: p.node, Value: types.NewPattern("x", types.Wildcard{})}
	}
	set := g.setLike(p.typ)
	if g.oneIn(2) {
		set = ast.Value{Value: g.value(&typed.Type{Kind: typed.Set, Elem: &typed.Type{Kind: typed.String}}, 1)}
	}
	return ast.Contains{BinaryNode: both(set, p.node)}
}

func (g *generator) aboutEntity(p place) ast.Node {
	uid := ast.Value{Value: pick(g.choices, uids)}
	is := ast.Is{Left: p.node, EntityType: pick(g.choices, []types.EntityType{p.typ.Entity, "User", "Tool"})}
	switch g.n(8) {
	case 0:
		return ast.In{BinaryNode: g.sides(p.node, uid)}
	case 1:
		s := g.setLike(p.typ).(ast.Set)
		s.Elements = append(s.Elements, pick(g.choices, g.places()).node)
		return ast.In{BinaryNode: both(pick(g.choices, []ast.Node{p.node, uid}), s)}
	case 2:
		return is
	case 3:
		return ast.IsIn{NodeTypeIs: is, Entity: uid}
	case 4:
		return ast.In{BinaryNode: both(p.node, g.member(p.typ))}
	case 5:
		return has(p.node, "a")
	case 6:
		return ast.Contains{BinaryNode: both(g.setLike(p.typ), uid)}
	}
	set := &typed.Type{Kind: typed.Set, Elem: &typed.Type{Kind: typed.Entity, Entity: pick(g.choices, uids).Type}}
	return ast.In{BinaryNode: both(pick(g.choices, []ast.Node{p.node, uid}), ast.Value{Value: g.value(set, 1)})}
}
