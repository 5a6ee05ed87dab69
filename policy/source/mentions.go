package source

import (
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// Mentions is what a policy looks at, in its scope and its conditions. It may say
// too much, never too little. All lists are sorted and without duplicates.
type Mentions struct {
	// Principal are the attributes that may be the principal's: those of principal,
	// and of whatever else may lead to the same entity, such as context.target.owner.
	Principal []string
	// Tags are the keys of getTag and hasTag; AnyTag says that one is no literal.
	Tags   []string
	AnyTag bool
	// Compared says that it matters who the principal is beyond its attributes and
	// whether it is, or is in, one of Entities: it is compared with something
	// that is no literal, or is a part of a value.
	Compared bool
	// Entities are all entities that are written out, but for actions.
	Entities []types.EntityUID
	// Groups says that it may depend on the groups of the principal: it names a group,
	// the attributes groups or claim_groups, or asks whether somebody is in
	// something that is neither a Role, Client, App, User nor Workload.
	Groups bool

	// Resource are the attributes that may be the resource's, in the way of Principal.
	Resource []string

	// Context are the attributes of context, such as auth, session, ip, now, bytes,
	// app, input, size, arg_repo and those of binds. Whole says that it is
	// used other than by attribute, so that all of them are.
	Context []string
	Whole   bool
	// Arguments are the top-level arguments of input and arg_<name>; arg_a_present
	// mentions a and a_present. AnyArgument says that input is used other than by
	// attribute.
	Arguments   []string
	AnyArgument bool
	// Sizes are the arguments of size; AnySize is as AnyArgument.
	Sizes   []string
	AnySize bool
}

// Variables are what a part of a policy refers to.
type Variables uint8

// The members of Variables.
const (
	Principal Variables = 1 << iota
	ActionVariable
	Resource
	Context
)

// VariablesOf are the variables that a node refers to.
func VariablesOf(n ast.Node) Variables {
	var all Variables
	ast.Inspect(n, func(n ast.Node) bool {
		if v, ok := n.(ast.Variable); ok {
			all |= variable(v)
		}
		return true
	})
	return all
}

func variable(v ast.Variable) Variables {
	switch v.Name {
	case "principal":
		return Principal
	case "action":
		return ActionVariable
	case "resource":
		return Resource
	}
	return Context
}

// MentionsOf walks over a policy once.
func MentionsOf(p *Policy) Mentions {
	var w mentioner
	w.scope(p.AST.Principal)
	w.scope(p.AST.Resource)
	for _, condition := range p.AST.Conditions {
		w.walk(condition.Body)
	}
	m := &w.Mentions
	for _, list := range []*[]string{&m.Principal, &m.Tags, &m.Resource, &m.Context, &m.Arguments, &m.Sizes} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.SortFunc(m.Entities, compareUIDs)
	m.Entities = slices.Compact(m.Entities)
	return *m
}

func compareUIDs(a, b types.EntityUID) int {
	if c := strings.Compare(string(a.Type), string(b.Type)); c != 0 {
		return c
	}
	return strings.Compare(string(a.ID), string(b.ID))
}

// A mentioner gathers what a policy mentions.
type mentioner struct{ Mentions }

func (w *mentioner) scope(scope any) {
	switch s := scope.(type) {
	case ast.ScopeEq:
		w.entity(s.Entity)
	case ast.ScopeIn:
		w.entity(s.Entity)
		w.membership(s.Entity)
	case ast.ScopeIsIn:
		w.entity(s.Entity)
		w.membership(s.Entity)
	}
}

func (w *mentioner) entity(uid types.EntityUID) {
	if isAction(uid.Type) {
		return
	}
	w.Entities = append(w.Entities, uid)
	if uid.Type == "Group" || uid.Type == "THVGroup" {
		w.Groups = true
	}
}

// isAction reports whether a type is one of actions: Action, in any namespace.
func isAction(t types.EntityType) bool {
	return t == "Action" || strings.HasSuffix(string(t), "::Action")
}

// membership notes that somebody may be asked to be in uid. In entities of the
// operator's own one may be by way of a group.
func (w *mentioner) membership(uid types.EntityUID) {
	switch uid.Type {
	case "Role", "Client", "App", "User", "Workload", "Upstream", "Tag", "MCP", "Tool", "Prompt", "Resource":
	default:
		w.Groups = w.Groups || !isAction(uid.Type)
	}
}

func (w *mentioner) walk(n ast.Node) { ast.Inspect(n, w.node) }

// node looks at one node and says whether to go on below it.
func (w *mentioner) node(n ast.Node) bool {
	switch n := n.(type) {
	case ast.Value:
		w.value(n.Value)
	case ast.Variable:
		w.variable(n)
	case ast.Access:
		return w.attribute(n.Arg, string(n.Value), true)
	case ast.Has:
		return w.attribute(n.Arg, string(n.Value), false)
	case ast.GetTag:
		return w.tag(n.BinaryNode)
	case ast.HasTag:
		return w.tag(n.BinaryNode)
	case ast.Equals:
		return w.compared(n.Left, n.Right)
	case ast.NotEquals:
		return w.compared(n.Left, n.Right)
	case ast.Contains:
		return w.compared(n.Left, n.Right)
	case ast.In:
		return w.in(n.Left, n.Right)
	case ast.IsIn:
		return w.in(n.Left, n.Entity)
	case ast.Is:
		return !isVariable(n.Left)
	}
	return true
}

// value finds the entities of a literal.
func (w *mentioner) value(v types.Value) {
	switch v := v.(type) {
	case types.EntityUID:
		w.entity(v)
	case types.Set:
		for member := range v.All() {
			w.value(member)
		}
	case types.Record:
		for _, member := range v.All() {
			w.value(member)
		}
	}
}

// variable is one that is used as it is.
func (w *mentioner) variable(v ast.Variable) {
	switch variable(v) {
	case Principal:
		w.Compared = true
	case Context:
		w.Whole, w.AnyArgument, w.AnySize = true, true, true
	}
}

// attribute is base.name, or base has name.
func (w *mentioner) attribute(base ast.Node, name string, access bool) bool {
	if v, ok := base.(ast.Variable); ok {
		switch variable(v) {
		case Principal:
			w.ofEntity(name, true, false)
		case Resource:
			w.ofEntity(name, false, true)
		case Context:
			w.ofContext(name, access)
		}
		return false
	}
	root := contextRoot(base)
	if inner, ok := base.(ast.Access); ok && isContext(inner.Arg) && (root == "input" || root == "size") {
		w.Context = append(w.Context, root)
		if root == "input" {
			w.Arguments = append(w.Arguments, name)
		} else {
			w.Sizes = append(w.Sizes, name)
		}
		return false
	}
	if !slices.Contains([]string{"input", "size", "auth", "session"}, root) {
		w.ofEntity(name, true, true)
	}
	return true
}

// ofEntity is an attribute that may be the principal's or the resource's.
func (w *mentioner) ofEntity(name string, principal, resource bool) {
	if principal {
		w.Principal = append(w.Principal, name)
		w.Groups = w.Groups || name == "groups" || name == "claim_groups"
	}
	if resource {
		w.Resource = append(w.Resource, name)
	}
}

// ofContext is an attribute of the context, with nothing below it.
func (w *mentioner) ofContext(name string, access bool) {
	w.Context = append(w.Context, name)
	w.AnyArgument = w.AnyArgument || access && name == "input"
	w.AnySize = w.AnySize || access && name == "size"
	if argument, ok := strings.CutPrefix(name, ArgumentPrefix); ok {
		w.Arguments = append(w.Arguments, argument)
		if present, ok := strings.CutSuffix(argument, PresentSuffix); ok {
			w.Arguments = append(w.Arguments, present)
		}
	}
}

// contextRoot is the attribute of context that n begins with; "" for others.
func contextRoot(n ast.Node) string {
	for {
		access, ok := n.(ast.Access)
		if !ok {
			return ""
		}
		if isContext(access.Arg) {
			return string(access.Value)
		}
		n = access.Arg
	}
}

func isContext(n ast.Node) bool {
	v, ok := n.(ast.Variable)
	return ok && v.Name == "context"
}

func isVariable(n ast.Node) bool {
	_, ok := n.(ast.Variable)
	return ok
}

func (w *mentioner) tag(n ast.BinaryNode) bool {
	key, ok := n.Right.(ast.Value)
	text, isText := key.Value.(types.String)
	if ok && isText {
		w.Tags = append(w.Tags, string(text))
		w.Groups = w.Groups || text == "groups"
	} else {
		w.AnyTag, w.Groups = true, true
		w.walk(n.Right)
	}
	if !isVariable(n.Left) {
		w.walk(n.Left)
	}
	return false
}

// compared is left == right, or a set that contains something.
func (w *mentioner) compared(left, right ast.Node) bool {
	switch {
	case isVariable(left) && !isContext(left) && isLiteral(right):
		w.walk(right)
		return false
	case isVariable(right) && !isContext(right) && isLiteral(left):
		w.walk(left)
		return false
	}
	return true
}

// in is left in right.
func (w *mentioner) in(left, right ast.Node) bool {
	of := VariablesOf(left)
	if v := isVariable(left); !v || of == Principal {
		w.memberships(right)
	}
	if !isVariable(left) || of == Principal && !isLiteral(right) || of == Context {
		w.walk(left)
	}
	w.walk(right)
	return false
}

// memberships are those of an entity, or of several.
func (w *mentioner) memberships(n ast.Node) {
	switch n := n.(type) {
	case ast.Value:
		if uid, ok := n.Value.(types.EntityUID); ok {
			w.membership(uid)
			return
		}
	case ast.Set:
		for _, element := range n.Elements {
			w.memberships(element)
		}
		return
	}
	w.Groups = true
}

// isLiteral reports whether n is written out.
func isLiteral(n ast.Node) bool {
	if set, ok := n.(ast.Set); ok {
		return !slices.ContainsFunc(set.Elements, func(n ast.Node) bool { return !isLiteral(n) })
	}
	_, ok := n.(ast.Value)
	return ok
}
