package policy

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A pastCase is one request that a Judge is asked about.
type pastCase struct {
	judge *Judge
	past  *Past
	about *about
	env   *may.Env

	input   map[string]types.Value // what is known of the arguments
	unheld  set                    // those that Cedar cannot hold
	targets map[string]target      // what binds make, by their names

	rules    []*rule // that may be about it
	outcomes []may.Outcome
	refused  refusal // for what policies look at
	missing  set     // paths of what is not known and matters whatever policies say
}

// A refusal says whether a request is denied for what policies look at, and cannot
// see.
type refusal struct{ may, sure bool }

// A target is what a bind makes of arguments.
type target struct {
	uid   types.EntityUID
	known bool
	fails bool // it leads to nothing
}

func (j *Judge) newCase(p *Past) *pastCase {
	c := &pastCase{judge: j, past: p, about: j.engine.about(p.Object), unheld: set{}, missing: set{}}
	c.readArguments()
	c.env = &may.Env{Principal: p.Principal, Action: actions[p.Object.kind], Resource: p.Object.entity.UID}
	c.addPrincipal()
	c.addContext()
	return c
}

// readArguments finds out what is known of the arguments.
func (c *pastCase) readArguments() {
	c.input = c.past.Members["input"]
	if c.past.ArgumentsKnown {
		c.input = map[string]types.Value{}
		shape := c.past.Object.shape()
		for _, f := range shape.Input.Fields {
			one, err := shape.Value(c.past.Arguments, c.past.Raw, func(name string) bool { return name == f.Name })
			if err != nil {
				c.unheld.add(f.Name)
				continue
			}
			c.input[f.Name], _ = one.Get(types.String(f.Name))
		}
	}
	c.targets = map[string]target{}
	for _, b := range c.about.binds {
		c.targets[b.Name] = c.target(b)
	}
}

// target is what a bind makes.
func (c *pastCase) target(b *facts.Bind) target {
	if uid, ok := c.past.Context[b.Name].(types.EntityUID); ok {
		return c.leadsTo(uid)
	}
	known := types.RecordMap{}
	for _, part := range b.ID {
		if part.Argument == nil {
			continue
		}
		name := part.Argument[0]
		v, ok := c.input[name]
		switch {
		case c.unheld[name]:
			return target{known: true, fails: true}
		case !ok:
			return target{}
		case v != nil:
			known[types.String(name)] = v
		}
	}
	uid, err := b.UID(types.NewRecord(known))
	if err != nil {
		return target{known: true, fails: true}
	}
	return c.leadsTo(uid)
}

func (c *pastCase) leadsTo(uid types.EntityUID) target {
	_, ok := c.judge.engine.entities[uid]
	return target{uid: uid, known: true, fails: !ok}
}

// addPrincipal puts what is known of the principal, and what is not, into env.
func (c *pastCase) addPrincipal() {
	e, p := c.judge.engine, c.past
	own := types.RecordMap{}
	for name, v := range p.Attributes {
		if v != nil {
			own[types.String(name)] = v
		}
	}
	entity := e.merge(types.Entity{UID: p.Principal, Parents: types.NewEntityUIDSet(p.In...), Attributes: types.NewRecord(own)})
	doubt := &may.Doubt{Tags: e.reads.tags, Attributes: &typed.Type{Kind: typed.Record}, In: c.mayBeIn}
	attributes := entity.Attributes.Map()
	for _, name := range e.reads.principalNames() {
		f, own := principalField(name)
		if _, known := p.Attributes[name]; known || !own {
			continue
		}
		if _, filed := attributes[types.String(name)]; filed { // which counts where the caller has none
			delete(attributes, types.String(name))
			f.Type, f.Required = &typed.Type{Kind: typed.Unknown}, true
		}
		doubt.Attributes.Fields = append(doubt.Attributes.Fields, f)
	}
	entity.Attributes = types.NewRecord(attributes)
	c.env.Doubt = doubt
	c.env.Entities = &world{class: &class{engine: e, entity: entity}, about: c.about}
}

// mayBeIn reports whether the principal may be in an entity beside those that it is
// known to be in.
func (c *pastCase) mayBeIn(uid types.EntityUID) bool {
	doubtful := c.past.Doubtful
	return doubtful != nil && (doubtful(uid) || slices.ContainsFunc(c.judge.below[uid], doubtful))
}

// principalField is the type of an attribute that principals have of their own; own is
// false if they do not.
func principalField(name string) (f typed.Field, own bool) {
	text := &typed.Type{Kind: typed.String}
	switch name {
	case "id", "name", "tenant":
		return typed.Field{Name: name, Type: text, Required: true}, true
	case "email":
		return typed.Field{Name: name, Type: text}, true
	case "guest":
		return typed.Field{Name: name, Type: &typed.Type{Kind: typed.Bool}, Required: true}, true
	case "groups", "roles", "scopes", "claim_groups", "claim_roles":
		return typed.Field{Name: name, Type: &typed.Type{Kind: typed.Set, Elem: text}, Required: true}, true
	}
	return typed.Field{Name: name, Type: &typed.Type{Kind: typed.Unknown}}, strings.HasPrefix(name, "claim_")
}

// addContext puts what is known of the context, and what is not, into env.
func (c *pastCase) addContext() {
	known, unknown := types.RecordMap{}, &typed.Type{Kind: typed.Record}
	c.env.Partly = map[types.String]types.Record{}
	app := typed.Field{Name: "app", Type: &typed.Type{Kind: typed.Entity, Entity: typeApp}, Required: true}
	for _, f := range slices.Concat([]typed.Field{app}, c.about.unknown.Fields) {
		if !c.judge.engine.reads.at(f.Name) {
			continue
		}
		if f.Type.Kind == typed.Record && slices.Contains(recordsInContext, f.Name) {
			whole, partly, rest := split(f, c.members(f.Name), c.past.Least)
			if rest == nil {
				known[types.String(f.Name)] = whole
				continue
			}
			c.env.Partly[types.String(f.Name)] = partly
			unknown.Fields = append(unknown.Fields, typed.Field{Name: f.Name, Type: rest, Required: true})
			continue
		}
		v, ok := c.attribute(f.Name)
		switch {
		case !ok:
			unknown.Fields = append(unknown.Fields, f)
		case v != nil:
			known[types.String(f.Name)] = v
		}
	}
	slices.SortFunc(unknown.Fields, func(a, b typed.Field) int { return strings.Compare(a.Name, b.Name) })
	c.env.Known, c.env.Unknown = types.NewRecord(known), unknown
}

// recordsInContext are the attributes of the context of which Past has members.
var recordsInContext = []string{"auth", "input", "session", "size"}

// split is a record of which some members are known: as a whole, or else what is known
// of it, and the type of the rest.
func split(f typed.Field, members map[string]types.Value, least map[string]int) (whole, partly types.Record, rest *typed.Type) {
	known := types.RecordMap{}
	for _, m := range f.Type.Fields {
		v, ok := members[m.Name]
		switch {
		case !ok && rest == nil:
			rest = &typed.Type{Kind: typed.Record}
			fallthrough
		case !ok:
			if n := least[m.Name]; n > 0 && f.Name == "input" && m.Type.Kind == typed.String {
				m.Type = &typed.Type{Kind: typed.String, Enum: m.Type.Enum, Least: n}
			}
			rest.Fields = append(rest.Fields, m)
		case v != nil:
			known[types.String(m.Name)] = v
		}
	}
	r := types.NewRecord(known)
	return r, r, rest
}

// members are those of an attribute of the context that are known.
func (c *pastCase) members(name string) map[string]types.Value {
	switch {
	case name == "input":
		return c.input
	case name == "size" && c.past.ArgumentsKnown:
		return c.sizes()
	case name == "size":
		return c.someSizes()
	}
	return c.past.Members[name]
}

// someSizes are the sizes that are known, and those of texts that are. A list may have
// named a member twice, and an object may have had more members than policies see.
func (c *pastCase) someSizes() map[string]types.Value {
	all := maps.Clone(c.past.Members["size"])
	for name, v := range c.input {
		if _, known := all[name]; known {
			continue
		}
		if all == nil {
			all = map[string]types.Value{}
		}
		switch v := v.(type) {
		case nil:
			all[name] = nil
		case types.String:
			all[name] = types.Long(utf8.RuneCountInString(string(v)))
		}
	}
	return all
}

// sizes are those of all arguments.
func (c *pastCase) sizes() map[string]types.Value {
	input := types.RecordMap{}
	for name, v := range c.input {
		if v != nil {
			input[types.String(name)] = v
		}
	}
	all := map[string]types.Value{}
	values := types.NewRecord(input)
	for _, f := range c.past.Object.shape().Input.Fields {
		all[f.Name] = nil
		if n, ok := size(f, values, c.past.Arguments); ok && sized(f.Type) {
			all[f.Name] = types.Long(n)
		}
	}
	return all
}

// attribute is one of the context that is no record; ok is false where it is not known.
func (c *pastCase) attribute(name string) (v types.Value, ok bool) {
	if t, isTarget := c.targets[name]; isTarget {
		return t.uid, t.known && !t.fails
	}
	if v, ok := c.past.Context[name]; ok {
		return v, true
	}
	return c.toolHive(name)
}

// toolHive is an argument in ToolHive's spelling.
func (c *pastCase) toolHive(name string) (v types.Value, ok bool) {
	for _, f := range c.past.Object.shape().Input.Fields {
		spelled, _ := argument(f)
		if spelled != name {
			continue
		}
		value, known := c.input[f.Name]
		if !known {
			return nil, false
		}
		m, from := types.RecordMap{}, types.Record{}
		if value != nil {
			from = types.NewRecord(types.RecordMap{types.String(f.Name): value})
		}
		if !c.past.ArgumentsKnown && value != nil && (f.Type.Kind == typed.Datetime || f.Type.Kind == typed.Address || f.Type.Kind == typed.Duration) {
			return nil, false // as it came
		}
		addToolHive(m, &typed.Type{Kind: typed.Record, Fields: []typed.Field{f}}, from, c.past.Arguments)
		v, _ := m[types.String(name)]
		return v, true
	}
	return nil, false
}

// ask finds out what each policy may come to.
func (c *pastCase) ask() {
	e := c.judge.engine
	places := e.scopes.of(c.past.Object, c.about.ancestors)
	slices.Sort(places)
	for _, i := range slices.Compact(places) {
		c.rules = append(c.rules, e.rules[i])
		c.outcomes = append(c.outcomes, e.rules[i].program.Outcomes(c.env))
	}
	for _, r := range c.rules {
		c.check(r)
	}
}

// check notes whether a policy looks at something that it cannot see: then the request
// is denied, also where the policy cannot be satisfied.
func (c *pastCase) check(r *rule) {
	names, all := r.reads.wants(c.about.binds)
	var doubtful []string
	surely := false
	for _, f := range c.past.Object.shape().Input.Fields {
		if !all && !names[f.Name] {
			continue
		}
		if c.unheld[f.Name] {
			surely = true
		} else if _, known := c.input[f.Name]; !known && !holdable(f.Type, c.past.Object.kind) {
			doubtful = append(doubtful, "context.input."+f.Name)
		}
	}
	for _, b := range c.about.binds {
		if t := c.targets[b.Name]; r.reads.at(b.Name) {
			surely = surely || t.fails
			if !t.known {
				doubtful = append(doubtful, "context."+b.Name)
			}
		}
	}
	if len(doubtful) == 0 && !surely {
		return
	}
	possibly, open := c.concerns(r)
	if !possibly {
		return
	}
	c.refused.may, c.refused.sure = true, c.refused.sure || surely && len(open) == 0
	c.missing.add(doubtful...)
	for _, l := range open {
		c.missing.add(l.String())
	}
}

// concerns reports whether what a policy looks at is checked: it is not if nothing that
// is known ahead of the request satisfies it. The lookups are those by which that would
// be certain.
func (c *pastCase) concerns(r *rule) (possibly bool, open []lookup) {
	if uid, named := namedCaller(r.AST); named && uid != c.past.Principal && !slices.Contains(c.principalIn(), uid) && !c.mayBeIn(uid) {
		return false, nil
	}
	specialised := r.program.Specialise(c.early())
	if outcome, constant := specialised.Constant(); constant && outcome == may.False {
		return false, nil
	}
	for _, l := range c.judge.lookups[r.at] {
		if l.isAhead() && !c.knows(l) {
			open = append(open, l)
		}
	}
	return true, open
}

// principalIn is all that the principal is known to be in.
func (c *pastCase) principalIn() []types.EntityUID {
	return c.judge.engine.ancestors(c.env.Entities.(*world).class.entity)
}

// early is what is known before there is an object.
func (c *pastCase) early() *may.Env {
	env := *c.env
	known := types.RecordMap{}
	if app, ok := c.env.Known.Get("app"); ok {
		known["app"] = app
	}
	env.Known, env.Later = types.NewRecord(known), laterTypes
	env.Entities = &world{class: c.env.Entities.(*world).class}
	return &env
}

// holdable reports whether Cedar can hold whatever a schema allows of a type.
func holdable(t *typed.Type, k kind) bool {
	if k != aTool {
		return false // prompts have no schema that is enforced
	}
	switch t.Kind {
	case typed.String, typed.Bool, typed.Long:
		return true
	case typed.Set:
		return holdable(t.Elem, k)
	case typed.Record:
		return !slices.ContainsFunc(t.Fields, func(f typed.Field) bool { return !holdable(f.Type, k) })
	}
	return false
}

// verdict is what all policies together may come to.
func (c *pastCase) verdict() *Judgement {
	v := &Judgement{}
	var permitted, permits, forbidden, forbids bool
	for i, r := range c.rules {
		o := c.outcomes[i]
		switch {
		case r.Observe || o == may.False:
		case r.Permit:
			permitted, permits = permitted || o == may.True, permits || o&may.True != 0
			v.Permits = append(v.Permits, Prospect{r.Policy, o})
		default:
			mayForbid := o&may.True != 0 || o&may.Error != 0 && !c.judge.engine.o.SkipErrors
			forbidden, forbids = forbidden || c.judge.engine.denies(o), forbids || mayForbid
			v.Forbids = append(v.Forbids, Prospect{r.Policy, o})
		}
	}
	v.MayAllow = permits && !forbidden && !c.refused.sure
	v.MayDeny = !permitted || forbids || c.refused.may
	if !v.MayAllow {
		v.MayDeny = true
		if c.refused.sure {
			v.Why = "policies look at an argument that Cedar cannot hold, or that leads to nothing"
		}
	}
	return v
}

// lacks are the paths that would tell what comes out.
func (c *pastCase) lacks() []string {
	all := maps.Clone(c.missing)
	permitted := c.permitted()
	for i, r := range c.rules {
		o := c.outcomes[i]
		open := o&(o-1) != 0
		if !open || r.Observe || r.Permit && permitted {
			continue
		}
		for _, l := range c.judge.lookups[r.at] {
			if !c.knows(l) {
				all.add(l.String())
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// permitted reports whether some permit is certainly satisfied.
func (c *pastCase) permitted() bool {
	for i, r := range c.rules {
		if r.Permit && !r.Observe && c.outcomes[i] == may.True {
			return true
		}
	}
	return false
}
