package source

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// names are what policies may use, gathered once.
type names struct {
	types     []string // of entities
	callers   []string // attributes of principals
	context   []string
	actions   []string
	operators []string // attributes that operators give to our own types
}

func namesOf(o Options) *names {
	n := &names{operators: o.Attributes}
	for _, e := range words.Entities {
		n.types = append(n.types, e.Name)
	}
	for _, a := range words.Actions {
		n.actions = append(n.actions, a.Name)
	}
	n.types = append(n.types, o.Types...)
	n.callers = append(attributeNames(callerAttributes), o.Attributes...)
	n.context = append(attributeNames(words.Context), o.Targets...)
	return n
}

// static finds what can be known to be wrong without any request: names of which
// there is nothing, and comparisons that never hold.
func (c *check) static() {
	tree := c.policy.AST
	c.scope("principal", tree.Principal)
	c.actionScope(tree.Action)
	c.scope("resource", tree.Resource)
	c.narrow(tree.Resource)
	for _, condition := range tree.Conditions {
		ast.Inspect(condition.Body, c.node)
	}
}

// scope checks that of principal or resource.
func (c *check) scope(variable string, scope any) {
	switch s := scope.(type) {
	case ast.ScopeEq:
		c.entity(s.Entity)
		c.isA(variable, s.Entity.Type, &s.Entity)
	case ast.ScopeIn:
		c.entity(s.Entity)
		c.isIn(variable, s.Entity)
	case ast.ScopeIs:
		c.entityType(s.Type)
		c.isA(variable, s.Type, nil)
	case ast.ScopeIsIn:
		c.entityType(s.Type)
		c.isA(variable, s.Type, nil)
		c.entity(s.Entity)
		c.isIn(variable, s.Entity)
	}
}

// actionScope checks the actions, and keeps which of them it is about.
func (c *check) actionScope(scope any) {
	var uids []types.EntityUID
	switch s := scope.(type) {
	case ast.ScopeEq:
		uids = []types.EntityUID{s.Entity}
	case ast.ScopeIn:
		uids = []types.EntityUID{s.Entity}
	case ast.ScopeInSet:
		uids = s.Entities
	default:
		c.actions = words.Actions
		return
	}
	for _, uid := range uids {
		c.entity(uid)
		for _, a := range words.Actions {
			if a.Name == string(uid.ID) {
				c.actions = append(c.actions, a)
			}
		}
	}
}

// narrow finds the types that the resource can have.
func (c *check) narrow(scope any) {
	for _, a := range c.actions {
		c.objects = append(c.objects, a.Resource)
	}
	var only string
	switch s := scope.(type) {
	case ast.ScopeEq:
		only = string(s.Entity.Type)
	case ast.ScopeIs:
		only = string(s.Type)
	case ast.ScopeIsIn:
		only = string(s.Type)
	}
	if !isObject(types.EntityType(only)) {
		return
	}
	if len(c.actions) > 0 && !slices.Contains(c.objects, only) {
		c.warn(only, fmt.Sprintf("the action %s is never done to a %s", c.actions[0].Name, only),
			fmt.Sprintf("it is done to a %s", c.actions[0].Resource))
		return
	}
	c.objects = []string{only}
}

// node checks one node of a condition. All below it are checked too.
func (c *check) node(n ast.Node) bool {
	switch n := n.(type) {
	case ast.Value:
		if uid, ok := n.Value.(types.EntityUID); ok {
			c.entity(uid)
		}
	case ast.Access:
		c.attribute(n.Arg, string(n.Value))
	case ast.Has:
		c.attribute(n.Arg, string(n.Value))
	case ast.Is:
		c.entityType(n.EntityType)
		c.isA(variableName(n.Left), n.EntityType, nil)
	case ast.IsIn:
		c.entityType(n.EntityType)
		c.isA(variableName(n.Left), n.EntityType, nil)
		c.isInNode(n.Left, n.Entity)
	case ast.Equals:
		c.equal(n.BinaryNode)
	case ast.NotEquals:
		c.equal(n.BinaryNode)
	case ast.In:
		c.isInNode(n.Left, n.Right)
	case ast.Call:
		c.decimal(n)
	}
	return true
}

func variableName(n ast.Node) string {
	v, _ := n.(ast.Variable)
	return string(v.Name)
}

func (c *check) equal(n ast.BinaryNode) {
	for _, side := range [][2]ast.Node{{n.Left, n.Right}, {n.Right, n.Left}} {
		v, _ := side[1].(ast.Value)
		if uid, ok := v.Value.(types.EntityUID); ok {
			c.isA(variableName(side[0]), uid.Type, &uid)
		}
	}
}

func (c *check) isInNode(left, right ast.Node) {
	switch n := right.(type) {
	case ast.Value:
		if uid, ok := n.Value.(types.EntityUID); ok {
			c.isIn(variableName(left), uid)
		}
	case ast.Set:
		for _, element := range n.Elements {
			c.isInNode(left, element)
		}
	}
}

// isA checks that a principal or resource can be of a type, or be that entity.
func (c *check) isA(variable string, t types.EntityType, uid *types.EntityUID) {
	var may []string
	switch variable {
	case "principal":
		may = []string{"User", "Workload"}
	case "resource":
		may = []string{"Tool", "Prompt", "Resource"}
	default:
		return
	}
	if slices.Contains(may, string(t)) || !slices.Contains(c.reader.names.types, string(t)) {
		return // or entityType has complained
	}
	remedy := fmt.Sprintf("it is %s", article(orList(may)))
	if uid != nil && slices.Contains(words.Entity(may[0]).Parents, string(t)) {
		remedy = fmt.Sprintf("write %s in %s", variable, uidText(*uid))
	} else if t == "App" {
		remedy = `write context.app == App::"…" for the client program`
	}
	c.mistake(string(t), fmt.Sprintf("a %s is never %s", variable, article(string(t))), remedy)
}

// isIn warns where a principal or resource is in an entity only if the operator's
// own entities say so.
func (c *check) isIn(variable string, uid types.EntityUID) {
	of := "User"
	switch variable {
	case "principal":
	case "resource":
		of = "Tool"
	default:
		return
	}
	e := words.Entity(string(uid.Type))
	parents := words.Entity(of).Parents
	if e == nil || slices.Contains(parents, e.Name) || slices.Equal(e.Parents, parents) {
		return // of its own type, or of the operator's
	}
	remedy := fmt.Sprintf("it is in %s", article(orList(parents)))
	if e.Name == "App" {
		remedy = fmt.Sprintf("write context.app == %s", uidText(uid))
	}
	c.warn(uidText(uid), fmt.Sprintf("a %s is never in %s", variable, article(e.Name)), remedy)
}

// entityType checks the name of a type.
func (c *check) entityType(t types.EntityType) {
	if slices.Contains(c.reader.names.types, string(t)) || isAction(t) || t == "FeatureType" {
		return
	}
	c.mistake(string(t), fmt.Sprintf("there is no entity type %s", plain(string(t))),
		didYouMean(string(t), c.reader.names.types, "declare types of your own in a *.cedarschema file of policy.entities"))
}

// entity checks an entity that is written out.
func (c *check) entity(uid types.EntityUID) {
	switch t := string(uid.Type); {
	case t == "Action":
		c.action(uid)
	case t == "FeatureType":
		c.listed(uid)
	case isAction(uid.Type) || !slices.Contains(c.reader.names.types, t):
		remedy := didYouMean(t, c.reader.names.types, "declare types of your own in a *.cedarschema file of policy.entities")
		if isAction(uid.Type) {
			remedy = fmt.Sprintf("actions are Action::%s", orList(quotedList(c.reader.names.actions)))
		}
		c.mistake(t+"::", fmt.Sprintf("there is no entity type %s", plain(t)), remedy)
	case isObject(uid.Type):
		c.object(uid)
	case t == "Upstream" || t == "MCP":
		c.upstream(uidText(uid), string(uid.ID))
	case t == "Group":
		c.alias(uid, "group", c.reader.options.Groups)
	case t == "App":
		c.alias(uid, "app", c.reader.options.Apps)
	}
}

func (c *check) action(uid types.EntityUID) {
	name := string(uid.ID)
	switch {
	case slices.Contains(c.reader.names.actions, name):
	case slices.Contains(listActions, name):
		c.listed(uid)
	default:
		c.mistake(uidText(uid), fmt.Sprintf("there is no action %s", quoted(name)),
			didYouMean(name, c.reader.names.actions, "actions are "+strings.Join(c.reader.names.actions, ", ")))
	}
}

// listed warns of what ToolHive has for lists.
func (c *check) listed(uid types.EntityUID) {
	c.warn(uidText(uid), "the policy is about lists, which are not asked about", "lists show what may be called, got or read")
}

// object checks that a tool, prompt or resource is of an upstream.
func (c *check) object(uid types.EntityUID) {
	if c.labelled(uid) {
		c.published(uid)
		return
	}
	upstreams := c.reader.options.Upstreams
	label, rest, ok := strings.Cut(string(uid.ID), "/")
	if uid.Type != "Resource" && ok {
		if upstreams == nil {
			return
		}
		remedy := noUpstream(upstreams)
		if meant := c.nearLabel(label); meant != "" {
			remedy = fmt.Sprintf("did you mean %s?", uidText(types.NewEntityUID(uid.Type, types.String(meant+"/"+rest))))
		}
		c.mistake(uidText(uid), fmt.Sprintf("%s is of the upstream %s, which there is not", plain(uidText(uid)), quoted(label)), remedy)
		return
	}
	if uid.Type == "Resource" && upstreams == nil {
		return
	}
	c.mistake(uidText(uid), fmt.Sprintf("%s names no upstream", plain(uidText(uid))), c.withLabel(uid))
}

// published warns where an object was named without its upstream, by what may have
// been its published name.
func (c *check) published(uid types.EntityUID) {
	label, name, _ := strings.Cut(string(uid.ID), "/")
	rest, ok := strings.CutPrefix(name, label+"_")
	written := types.NewEntityUID(uid.Type, types.String(name))
	if note := readAs(uidText(written), uidText(uid)); ok && slices.Contains(c.policy.Rewritten, note) {
		meant := types.NewEntityUID(uid.Type, types.String(label+"/"+rest))
		c.warn(uidText(written), note, fmt.Sprintf("if it is the published name, write %s", plain(uidText(meant))))
	}
}

// withLabel says how to name an object that is named without its upstream.
func (c *check) withLabel(uid types.EntityUID) string {
	for _, label := range c.reader.options.Upstreams {
		for _, separator := range []string{"_", "+"} { // as tools and resources are published
			if rest, ok := strings.CutPrefix(string(uid.ID), label+separator); ok && rest != "" {
				return fmt.Sprintf("did you mean %s?", uidText(types.NewEntityUID(uid.Type, types.String(label+"/"+rest))))
			}
		}
	}
	label := "LABEL"
	if len(c.reader.options.Upstreams) == 1 {
		label = c.reader.options.Upstreams[0]
	}
	remedy := fmt.Sprintf("write %s", uidText(types.NewEntityUID(uid.Type, types.String(label+"/"+plain(string(uid.ID))))))
	if label == "LABEL" {
		remedy += ", the label being that of its upstream" + oneOf(c.reader.options.Upstreams)
	}
	return remedy
}

// upstream checks the label of an upstream that token names.
func (c *check) upstream(token, label string) {
	o := &c.reader.options
	if o.Upstreams == nil || slices.Contains(o.Upstreams, label) || label == o.Only {
		return
	}
	c.mistake(token, fmt.Sprintf("there is no upstream %s", quoted(label)), didYouMean(label, o.Upstreams, noUpstream(o.Upstreams)))
}

func noUpstream(upstreams []string) string {
	if len(upstreams) == 0 {
		return "configure one"
	}
	return "upstreams are" + strings.TrimPrefix(oneOf(upstreams), ": one of")
}

// oneOf lists labels, the first few of them.
func oneOf(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	const most = 8
	more := ""
	if len(labels) > most {
		more = fmt.Sprintf(" and %d more", len(labels)-most)
	}
	return ": one of " + strings.Join(labels[:min(len(labels), most)], ", ") + more
}

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// alias warns of a group or app that no block names, and that is no id either.
func (c *check) alias(uid types.EntityUID, block string, aliases []string) {
	id := string(uid.ID)
	if len(aliases) == 0 || slices.Contains(aliases, id) || guid.MatchString(id) || block == "app" && (id == "unknown" || strings.Contains(id, "://")) {
		return
	}
	c.warn(uidText(uid), fmt.Sprintf("no %s block is called %s", block, quoted(id)),
		didYouMean(id, aliases, fmt.Sprintf("it is taken for an id of the identity provider's; add %s %s { … } if it is none", block, quoted(id))))
}

// decimal warns of numbers that ToolHive has as decimals.
func (c *check) decimal(n ast.Call) {
	operators := map[types.Path]string{"lessThan": "<", "lessThanOrEqual": "<=", "greaterThan": ">", "greaterThanOrEqual": ">="}
	operator := operators[n.Name]
	if operator == "" || len(n.Args) == 0 {
		return
	}
	access, ok := n.Args[0].(ast.Access)
	if !ok || !strings.HasPrefix(string(access.Value), ArgumentPrefix) && !strings.HasPrefix(string(access.Value), ClaimPrefix) {
		return
	}
	c.warn("."+string(n.Name), fmt.Sprintf("%s.%s takes a decimal, but integers are of type Long", plain(string(access.Value)), n.Name),
		fmt.Sprintf("write %s %s 5 where it is an integer", plain(string(access.Value)), operator))
}

// article is a name with a or an.
func article(name string) string {
	if strings.ContainsRune("AEIOU", []rune(name + " ")[0]) && !strings.HasPrefix(name, "Us") {
		return "an " + plain(name)
	}
	return "a " + plain(name)
}

func orList(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}

func quotedList(list []string) []string {
	var all []string
	for _, s := range list {
		all = append(all, quoted(s))
	}
	return all
}
