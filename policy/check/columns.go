package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/syntax"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A column has a number for each object, equal for those that are equal in one respect.
// Objects that are equal in all that a policy looks at are checked once.
type column []int32

// columns are made when they are first needed.
type columns struct {
	objects   []*object
	actions   column
	templates column
	contexts  column
	upstreams column
	binds     column
	arguments map[string]column
	attribute map[string]column
	relations map[types.EntityUID]column
	shapes    map[*typed.Type]string
}

func newColumns(w *world) columns {
	c := columns{
		objects: w.objects, arguments: map[string]column{}, attribute: map[string]column{}, relations: map[types.EntityUID]column{},
		shapes: map[*typed.Type]string{},
	}
	c.actions = c.by(func(o *object) string { return string(o.action.ID) })
	c.templates = c.by(func(o *object) string { return fmt.Sprint(o.IsTemplate()) })
	c.upstreams = c.by(func(o *object) string { return o.Upstream() })
	return c
}

// by numbers the texts that objects have.
func (c *columns) by(of func(o *object) string) column {
	numbers := map[string]int32{}
	all := make(column, len(c.objects))
	for i, o := range c.objects {
		s := of(o)
		n, ok := numbers[s]
		if !ok {
			n = int32(len(numbers))
			numbers[s] = n
		}
		all[i] = n
	}
	return all
}

// argument is by what is known of an argument.
func (c *columns) argument(name string) column {
	if all, ok := c.arguments[name]; ok {
		return all
	}
	all := c.by(func(o *object) string {
		shape := o.Shape()
		if f, ok := shape.Input.Field(name); ok {
			return fmt.Sprintf("%v %s%s", f.Required, typeKey(f.Type), omittedBelow(shape, name))
		}
		return "\x00" + o.omitted(name)
	})
	c.arguments[name] = all
	return all
}

// omittedBelow are the members of an argument that policies cannot use.
func omittedBelow(s *typed.Shape, name string) string {
	var all []string
	for path, why := range s.Omitted {
		if strings.HasPrefix(path, name+".") {
			all = append(all, path+why)
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\x00")
}

// typeKey is the same for the same types.
func typeKey(t *typed.Type) string {
	switch t.Kind {
	case typed.Set:
		return "set of " + typeKey(t.Elem)
	case typed.Record:
		var b strings.Builder
		for _, f := range t.Fields {
			fmt.Fprintf(&b, "%q %v %s,", f.Name, f.Required, typeKey(f.Type))
		}
		return "{" + b.String() + "}"
	}
	return fmt.Sprintf("%d %s %q", t.Kind, t.Entity, t.Enum)
}

// attributes is by the value of an attribute of the object.
func (c *columns) attributeOf(name string) column {
	if all, ok := c.attribute[name]; ok {
		return all
	}
	all := c.by(func(o *object) string {
		v, ok := o.entity.Attributes.Get(types.String(name))
		if !ok {
			return ""
		}
		return "=" + string(v.MarshalCedar())
	})
	c.attribute[name] = all
	return all
}

// relation is by whether the object is, or is in, an entity.
func (c *columns) relation(uid types.EntityUID) column {
	if all, ok := c.relations[uid]; ok {
		return all
	}
	all := c.by(func(o *object) string {
		switch {
		case o.entity.UID == uid:
			return "is"
		case slices.Contains(o.ancestors, uid):
			return "in"
		}
		return ""
	})
	c.relations[uid] = all
	return all
}

// bound is by which binds are for the object.
func (c *columns) bound(targets []string) column {
	if c.binds == nil {
		c.binds = c.by(func(o *object) string {
			var b strings.Builder
			for _, name := range targets {
				_, ok := o.context.Field(name)
				fmt.Fprint(&b, ok)
			}
			return b.String()
		})
	}
	return c.binds
}

// context is by all that is known of the context.
func (c *columns) context() column {
	if c.contexts == nil {
		c.contexts = c.by(func(o *object) string { return typeKey(o.context) })
	}
	return c.contexts
}

// of are the columns that may make a difference to a policy.
func (c *columns) of(p *subject) []column {
	all := []column{c.actions, c.templates}
	add := func(more column) {
		if !slices.ContainsFunc(all, func(have column) bool { return &have[0] == &more[0] }) {
			all = append(all, more)
		}
	}
	if len(c.objects) == 0 {
		return all
	}
	for uid := range p.looks.entities {
		add(c.relation(uid))
		if uid.Type == "Upstream" || uid.Type == "MCP" {
			add(c.upstreams)
		}
	}
	for name := range p.looks.attributes {
		add(c.attributeOf(name))
	}
	for name := range p.looks.arguments {
		add(c.argument(name))
	}
	if p.looks.bound {
		add(c.bound(p.looks.targets))
	}
	if p.looks.context {
		add(c.context())
	}
	return all
}

// looks are what may make a difference to a policy between two objects.
type looks struct {
	ref        func(*syntax.Node) types.EntityUID
	targets    []string // of binds
	entities   map[types.EntityUID]bool
	attributes map[string]bool // of the resource
	arguments  map[string]bool
	context    bool // all of it
	bound      bool // what binds make
}

func (w *world) looksOf(p *syntax.Policy) looks {
	l := looks{ref: w.ref, targets: w.in.Options.Targets, entities: map[types.EntityUID]bool{}, attributes: map[string]bool{}, arguments: map[string]bool{}}
	for _, scope := range []*syntax.Scope{p.Principal, p.Action, p.Resource} {
		for _, e := range scope.Entities {
			l.add(e)
		}
	}
	for _, c := range p.Conditions {
		syntax.Walk(c.Body, func(n *syntax.Node) bool { return l.node(n) })
	}
	return l
}

func (l *looks) add(n *syntax.Node) {
	if uid := l.ref(n); uid.Type != "Action" && uid.Type != "Group" && uid.Type != "Role" && uid.Type != "User" && uid.Type != "App" {
		l.entities[uid] = true
	}
}

// node notes what one expression looks at, and says whether to go on below it.
func (l *looks) node(n *syntax.Node) bool {
	switch n.Kind {
	case syntax.EntityRef:
		l.add(n)
	case syntax.Variable:
		l.context = l.context || n.Name == "context"
	case syntax.Attribute, syntax.Index:
		return l.attribute(n.Args[0], n.Name)
	case syntax.Has:
		below := true
		for i, step := range hasSteps(n) {
			more := l.attribute(step.base, step.name)
			below = below && (more || i > 0)
		}
		return below
	}
	return true
}

// attribute notes base.name.
func (l *looks) attribute(base *syntax.Node, name string) bool {
	for base.Kind == syntax.Paren {
		base = base.Args[0]
	}
	path := pathOf(base)
	switch {
	case base.Kind == syntax.Variable && base.Name == "context":
		if argument, ok := strings.CutPrefix(name, "arg_"); ok {
			l.arguments[argument] = true
			l.arguments[strings.TrimSuffix(argument, "_present")] = true
		}
		l.context = l.context || name == "input" || name == "size"
		l.bound = l.bound || contains(l.targets, name)
		return false
	case path == "context\x00input" || path == "context\x00size":
		l.arguments[name] = true
		return false
	case base.Kind == syntax.Variable && base.Name == "resource":
		l.attributes[name] = true
		if argument, ok := strings.CutPrefix(name, "arg_"); ok {
			l.arguments[argument] = true
			l.arguments[strings.TrimSuffix(argument, "_present")] = true
		}
		return false
	case base.Kind == syntax.Variable:
		return false
	}
	return true
}

// groups are the objects that a policy can be about, those that are the same to it
// together.
func (c *columns) groups(p *subject, all []*object) [][]*object {
	groups := [][]*object{all}
	if len(all) == 0 {
		return nil
	}
	for _, by := range c.of(p) {
		var finer [][]*object
		for _, g := range groups {
			finer = append(finer, split(g, by)...)
		}
		groups = finer
	}
	slices.SortFunc(groups, func(a, b []*object) int { return a[0].at - b[0].at }) // columns come in any order
	return groups
}

// split is a group by what differs in one respect.
func split(g []*object, by column) [][]*object {
	first := by[g[0].at]
	if !slices.ContainsFunc(g, func(o *object) bool { return by[o.at] != first }) {
		return [][]*object{g}
	}
	var all [][]*object
	index := map[int32]int{}
	for _, o := range g {
		n := by[o.at]
		at, ok := index[n]
		if !ok {
			at = len(all)
			index[n] = at
			all = append(all, nil)
		}
		all[at] = append(all[at], o)
	}
	return all
}
