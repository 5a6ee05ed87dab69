package may_test

import (
	"maps"
	"math"
	"net/netip"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// choices makes random decisions of bytes; where these end, the first of each.
type choices struct{ data []byte }

func (c *choices) n(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := int(c.data[0])
	c.data = c.data[1:]
	return b % n
}

func (c *choices) oneIn(n int) bool { return c.n(n) == n-1 }

func pick[T any](c *choices, of []T) T { return of[c.n(len(of))] }

// The world that random policies are about.
var (
	alice  = cedar.NewEntityUID("User", "alice")
	bob    = cedar.NewEntityUID("User", "bob")
	admins = cedar.NewEntityUID("Group", "admins")
	staff  = cedar.NewEntityUID("Group", "staff")
	all    = cedar.NewEntityUID("Group", "all")
	call   = cedar.NewEntityUID("Action", "call_tool")
	issue  = cedar.NewEntityUID("Tool", "github/issue")
	other  = cedar.NewEntityUID("Tool", "github/other")
	github = cedar.NewEntityUID("Upstream", "github")
	tagged = cedar.NewEntityUID("Tag", "production")
	repo   = cedar.NewEntityUID("Repo", "web")
	nobody = cedar.NewEntityUID("User", "nobody") // who does not exist

	uids  = []types.EntityUID{alice, bob, admins, staff, all, call, issue, other, github, tagged, repo, nobody}
	names = []types.String{"a", "b", "c", "d"}
	texts = []string{"x", "y", "xy", "", "10.0.0.0/8", "1.5", "2024-01-01", "1h", "a"}
	longs = []types.Long{0, 1, 2, -1, math.MaxInt64, math.MinInt64}
)

func record(kv ...any) types.Record {
	m := types.RecordMap{}
	for i := 0; i < len(kv); i += 2 {
		m[types.String(kv[i].(string))] = kv[i+1].(types.Value)
	}
	return types.NewRecord(m)
}

func entity(uid types.EntityUID, attributes types.Record, parents ...types.EntityUID) types.Entity {
	return types.Entity{UID: uid, Attributes: attributes, Parents: types.NewEntityUIDSet(parents...)}
}

func world() types.EntityMap {
	w := types.EntityMap{}
	for _, e := range []types.Entity{
		entity(alice, record("a", types.String("x"), "b", types.Long(1), "c", types.NewSet(types.String("x"), types.String("y")), "boss", bob, "r", record("a", types.True)), staff),
		entity(bob, record("a", types.String("y"), "d", types.True), all),
		entity(staff, record("a", types.Long(2)), all),
		entity(issue, record("a", types.String("xy"), "b", types.Long(2), "d", types.False, "c", types.NewSet(alice)), github, tagged),
		entity(other, record("a", types.String("x")), github),
		entity(github, record("a", types.String("x")), tagged),
		entity(repo, record("owner", staff), alice),
		entity(call, record()),
	} {
		w[e.UID] = e
	}
	e := w[alice]
	e.Tags = record("x", types.String("y"), "y", types.Long(1))
	w[alice] = e
	return w
}

// typ is a random type.
func (c *choices) typ(depth int) *typed.Type {
	t := &typed.Type{Kind: typed.Kind(c.n(11))}
	if depth <= 0 && (t.Kind == typed.Set || t.Kind == typed.Record) {
		t.Kind = typed.String
	}
	switch t.Kind {
	case typed.String:
		if c.oneIn(2) {
			for range 1 + c.n(3) {
				t.Enum = append(t.Enum, pick(c, texts))
			}
		}
	case typed.Set:
		t.Elem = c.typ(depth - 1)
	case typed.Entity:
		t.Entity = pick(c, uids).Type
	case typed.Record:
		return c.recordType(depth - 1)
	}
	return t
}

func (c *choices) recordType(depth int) *typed.Type {
	t := &typed.Type{Kind: typed.Record}
	for _, name := range names {
		if !c.oneIn(4) {
			t.Fields = append(t.Fields, typed.Field{Name: string(name), Type: c.typ(depth), Required: c.oneIn(2)})
		}
	}
	return t
}

// value is a random value of a type.
func (c *choices) value(t *typed.Type, depth int) types.Value {
	switch t.Kind {
	case typed.String:
		if t.Enum != nil {
			return types.String(pick(c, t.Enum))
		}
		return types.String(pick(c, texts))
	case typed.Long:
		return pick(c, longs)
	case typed.Bool:
		return types.Boolean(c.oneIn(2))
	case typed.Decimal:
		d, _ := types.NewDecimal(int64(c.n(3)), -1)
		return d
	case typed.Datetime:
		return types.NewDatetimeFromMillis(int64(pick(c, longs)))
	case typed.Duration:
		return types.NewDurationFromMillis(int64(pick(c, longs)))
	case typed.Address:
		return types.IPAddr(netip.MustParsePrefix(pick(c, []string{"10.1.0.0/16", "10.0.0.1/32", "::1/128"})))
	case typed.Set:
		var vs []types.Value
		for range c.n(4) {
			vs = append(vs, c.value(t.Elem, depth-1))
		}
		return types.NewSet(vs...)
	case typed.Record:
		return c.record(t, depth)
	case typed.Entity:
		return c.uid(t.Entity)
	}
	if depth <= 0 || len(c.data) == 0 {
		return types.String(pick(c, texts))
	}
	return c.value(c.typ(min(depth, 2)), depth-1)
}

func (c *choices) record(t *typed.Type, depth int) types.Record {
	m := types.RecordMap{}
	for _, f := range t.Fields {
		if f.Required || c.oneIn(2) {
			m[types.String(f.Name)] = c.value(f.Type, depth-1)
		}
	}
	return types.NewRecord(m)
}

func (c *choices) uid(t types.EntityType) types.EntityUID {
	of := []types.EntityUID{types.NewEntityUID(t, "new")}
	for _, u := range uids {
		if u.Type == t {
			of = append(of, u)
		}
	}
	return pick(c, of)
}

// env is what is known in a random case: all of it if complete.
func (c *choices) env(complete bool) *may.Env {
	e := &may.Env{Principal: alice, Action: call, Resource: issue, Entities: world()}
	known := types.RecordMap{}
	unknown := &typed.Type{Kind: typed.Record}
	for _, name := range names {
		f := typed.Field{Name: string(name), Type: c.typ(2), Required: !c.oneIn(3)}
		switch n := c.n(8); {
		case n == 7:
		case n < 2 || complete:
			known[name] = c.value(f.Type, 3)
		case n == 2 && f.Type.Kind == typed.Record:
			f.Required = true
			c.knowSome(e, name, f.Type)
			unknown.Fields = append(unknown.Fields, f)
		default:
			unknown.Fields = append(unknown.Fields, f)
		}
	}
	e.Known, e.Unknown = types.NewRecord(known), unknown
	if !complete {
		e.AnyPrincipal, e.AnyResource = c.oneIn(6), c.oneIn(6)
		if e.AnyPrincipal && c.oneIn(3) {
			e.Principal = nobody // of whom not even the groups are known
		}
		if !e.AnyPrincipal && c.oneIn(3) {
			e.Doubt = c.doubt(e.Entities.(types.EntityMap))
		}
	}
	return e
}

// knowSome has some members of an attribute of the context be known, which are taken
// out of its type.
func (c *choices) knowSome(e *may.Env, name types.String, t *typed.Type) {
	known := types.RecordMap{}
	var rest []typed.Field
	for _, f := range t.Fields {
		if c.oneIn(2) {
			known[types.String(f.Name)] = c.value(f.Type, 2)
		} else if !c.oneIn(5) {
			rest = append(rest, f)
		}
	}
	t.Fields = rest
	if e.Partly == nil {
		e.Partly = map[types.String]types.Record{}
	}
	e.Partly[name] = types.NewRecord(known)
}

// doubt leaves some attributes of alice out of the world, and has her perhaps be in
// other entities.
func (c *choices) doubt(w types.EntityMap) *may.Doubt {
	d := &may.Doubt{Attributes: c.recordType(2), Tags: c.oneIn(2)}
	e := w[alice]
	attributes := e.Attributes.Map()
	for _, name := range names {
		if c.oneIn(2) {
			delete(attributes, name)
		}
	}
	e.Attributes = types.NewRecord(attributes)
	if d.Tags {
		e.Tags = types.Record{}
	}
	if c.oneIn(2) {
		e.Parents = types.NewEntityUIDSet()
	}
	w[alice] = e
	if c.oneIn(4) {
		return d
	}
	doubtful := map[types.EntityUID]bool{}
	for next := []types.EntityUID{pick(c, uids), pick(c, uids)}; len(next) > 0; next = next[1:] {
		if doubtful[next[0]] {
			continue
		}
		doubtful[next[0]] = true
		for above := range w[next[0]].Parents.All() {
			next = append(next, above)
		}
	}
	d.In = func(uid types.EntityUID) bool { return doubtful[uid] }
	return d
}

// resolve puts into the world what alice may be.
func (c *choices) resolve(w types.EntityMap, d *may.Doubt) {
	e := w[alice]
	attributes := c.record(d.Attributes, 3).Map()
	if attributes == nil {
		attributes = types.RecordMap{}
	}
	for name, v := range e.Attributes.All() {
		attributes[name] = v
	}
	e.Attributes = types.NewRecord(attributes)
	if d.Tags {
		e.Tags = c.record(c.recordType(0), 1)
	}
	parents := e.Parents.Slice()
	for _, uid := range uids {
		if d.In != nil && d.In(uid) && c.oneIn(2) {
			parents = append(parents, uid)
		}
	}
	e.Parents = types.NewEntityUIDSet(parents...)
	w[alice] = e
}

// complete is a request that env is true of.
func (c *choices) complete(e *may.Env) (cedar.Request, types.EntityMap) {
	entities := e.Entities.(types.EntityMap)
	context := e.Known.Map()
	if context == nil {
		context = types.RecordMap{}
	}
	maps.Copy(context, c.record(e.Unknown, 4).Map())
	for name, known := range e.Partly {
		whole := context[name].(types.Record).Map()
		if whole == nil {
			whole = types.RecordMap{}
		}
		maps.Copy(whole, known.Map())
		context[name] = types.NewRecord(whole)
	}
	r := cedar.Request{Principal: e.Principal, Action: e.Action, Resource: e.Resource, Context: types.NewRecord(context)}
	if e.AnyPrincipal || e.AnyResource || e.Doubt != nil {
		entities = maps.Clone(entities)
	}
	if e.Doubt != nil {
		c.resolve(entities, e.Doubt)
	}
	if e.AnyPrincipal {
		r.Principal = c.replace(entities, e.Principal)
	}
	if e.AnyResource {
		r.Resource = c.replace(entities, e.Resource)
	}
	return r, entities
}

// replace puts another entity with the same parents in the place of one.
func (c *choices) replace(entities types.EntityMap, uid types.EntityUID) types.EntityUID {
	parents := entities[uid].Parents
	if uid == nobody {
		parents = types.NewEntityUIDSet(pick(c, uids), pick(c, uids))
	}
	if c.oneIn(2) {
		delete(entities, uid)
	}
	uid = c.uid(uid.Type)
	entities[uid] = types.Entity{
		UID: uid, Parents: parents,
		Attributes: c.record(c.recordType(2), 3), Tags: c.record(c.recordType(0), 1),
	}
	return uid
}
