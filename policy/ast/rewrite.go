package ast

// Rewrite is a copy of n with each of its nodes replaced by what f makes of it, from
// below.
func Rewrite(n Node, f func(Node) Node) Node {
	return f(withChildren(n, func(n Node) Node { return Rewrite(n, f) }))
}

// withChildren is a copy of n with what f makes of the nodes right below it.
func withChildren(n Node, f func(Node) Node) Node {
	binary := func(n BinaryNode) BinaryNode { return BinaryNode{Left: f(n.Left), Right: f(n.Right)} }
	unary := func(n UnaryNode) UnaryNode { return UnaryNode{Arg: f(n.Arg)} }
	named := func(n StrOpNode) StrOpNode { return StrOpNode{Arg: f(n.Arg), Value: n.Value} }
	switch n := n.(type) {
	case Or:
		return Or{BinaryNode: binary(n.BinaryNode)}
	case And:
		return And{BinaryNode: binary(n.BinaryNode)}
	case LessThan:
		return LessThan{BinaryNode: binary(n.BinaryNode)}
	case LessOrEqual:
		return LessOrEqual{BinaryNode: binary(n.BinaryNode)}
	case GreaterThan:
		return GreaterThan{BinaryNode: binary(n.BinaryNode)}
	case GreaterOrEqual:
		return GreaterOrEqual{BinaryNode: binary(n.BinaryNode)}
	case Equals:
		return Equals{BinaryNode: binary(n.BinaryNode)}
	case NotEquals:
		return NotEquals{BinaryNode: binary(n.BinaryNode)}
	case In:
		return In{BinaryNode: binary(n.BinaryNode)}
	case HasTag:
		return HasTag{BinaryNode: binary(n.BinaryNode)}
	case GetTag:
		return GetTag{BinaryNode: binary(n.BinaryNode)}
	case Add:
		return Add{BinaryNode: binary(n.BinaryNode)}
	case Sub:
		return Sub{BinaryNode: binary(n.BinaryNode)}
	case Mult:
		return Mult{BinaryNode: binary(n.BinaryNode)}
	case Contains:
		return Contains{BinaryNode: binary(n.BinaryNode)}
	case ContainsAll:
		return ContainsAll{BinaryNode: binary(n.BinaryNode)}
	case ContainsAny:
		return ContainsAny{BinaryNode: binary(n.BinaryNode)}
	case Not:
		return Not{UnaryNode: unary(n.UnaryNode)}
	case Negate:
		return Negate{UnaryNode: unary(n.UnaryNode)}
	case IsEmpty:
		return IsEmpty{UnaryNode: unary(n.UnaryNode)}
	case Has:
		return Has{StrOpNode: named(n.StrOpNode)}
	case Access:
		return Access{StrOpNode: named(n.StrOpNode)}
	case Like:
		return Like{Arg: f(n.Arg), Value: n.Value}
	case Is:
		return Is{Left: f(n.Left), EntityType: n.EntityType}
	case IsIn:
		return IsIn{NodeTypeIs: Is{Left: f(n.Left), EntityType: n.EntityType}, Entity: f(n.Entity)}
	case IfThenElse:
		return IfThenElse{If: f(n.If), Then: f(n.Then), Else: f(n.Else)}
	case Call:
		return Call{Name: n.Name, Args: all(n.Args, f)}
	case Set:
		return Set{Elements: all(n.Elements, f)}
	case Record:
		elements := make([]RecordElement, len(n.Elements))
		for i, e := range n.Elements {
			elements[i] = RecordElement{Key: e.Key, Value: f(e.Value)}
		}
		return Record{Elements: elements}
	}
	return n // Value, Variable
}

func all(nodes []Node, f func(Node) Node) []Node {
	made := make([]Node, len(nodes))
	for i, n := range nodes {
		made[i] = f(n)
	}
	return made
}
