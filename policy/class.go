package policy

import (
	"container/list"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/may"
)

// A class is all principals that no policy tells apart: they are equal in all that
// policies look at. What is found out about one holds for all.
type class struct {
	key    string
	engine *Engine
	entity types.Entity // with what policies look at
	app    types.EntityUID
	known  types.Record // of the context: the app

	forgotten atomic.Bool // a principal must not use it any more

	indexes [kinds]atomic.Pointer[index]

	mu      sync.RWMutex
	rulings map[*Object]*ruling // guarded by mu
}

// An index is the rules that may be about a class, for one kind of objects.
type index struct {
	rules    []*rule // in order
	programs []*may.Program
	// By the scopes of both.
	permits, forbids, observed scopes
	// Those that views ask: they may be satisfied. A forbid that can only fail may
	// deny everything, too; but few do, and a view may show too much.
	granting, denying scopes
}

// of are the rules by whose scope a rule is found.
func (x *index) of(r *rule) *scopes {
	switch {
	case r.Observe:
		return &x.observed
	case r.Permit:
		return &x.permits
	}
	return &x.forbids
}

// asked are the rules by whose scope a view asks a rule, nil if none does.
func (x *index) asked(r *rule) *scopes {
	switch {
	case r.Observe:
		return nil
	case r.Permit:
		return &x.granting
	}
	return &x.denying
}

// A ruling is what an engine can say to a class about an object before it knows
// the request.
type ruling struct {
	about *about
	// Those that may be satisfied, or fail, in order; the last are only observed.
	permits, forbids, shadows rules
	reads                     reads // of both
}

const (
	// maxClasses bounds for how many classes an engine remembers which rules
	// may be about them.
	maxClasses = 1_000
	// maxRulings bounds about how many objects it does so, for all classes.
	maxRulings = 50_000
)

// classes are those of an engine, the latest first.
type classes struct {
	byKey  map[string]*list.Element
	recent list.List // of *class
}

// classOf is the class of p.
func (e *Engine) classOf(p *Principal) *class {
	if c := p.class.Load(); c != nil && c.engine == e && !c.class.forgotten.Load() {
		return c.class
	}
	c := e.remember(e.makeClass(p))
	p.class.Store(&classOf{e, c})
	return c
}

// remember is the class of the same key if there is one, else made.
func (e *Engine) remember(made *class) *class {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at, ok := e.classes.byKey[made.key]; ok {
		e.classes.recent.MoveToFront(at)
		return at.Value.(*class)
	}
	if e.classes.byKey == nil {
		e.classes.byKey = map[string]*list.Element{}
	}
	if e.classes.recent.Len() >= maxClasses {
		oldest := e.classes.recent.Remove(e.classes.recent.Back()).(*class)
		delete(e.classes.byKey, oldest.key)
		oldest.forget()
	}
	e.classes.byKey[made.key] = e.classes.recent.PushFront(made)
	return made
}

// forget drops what the class remembers, which principals may go on to point at.
func (c *class) forget() {
	c.forgotten.Store(true)
	for k := range c.indexes {
		c.indexes[k].Store(nil)
	}
	c.dropRulings()
}

func (c *class) dropRulings() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.rulings.Add(-int64(len(c.rulings)))
	clear(c.rulings)
}

// makeClass makes the entity of p with what policies look at, and of that the key.
func (e *Engine) makeClass(p *Principal) *class {
	uid := p.uid()
	var key strings.Builder
	key.WriteString(string(uid.Type))
	if e.reads.identity {
		key.WriteString(uid.String())
	}
	attributes := types.RecordMap{}
	for _, name := range e.reads.principalNames() {
		if v, ok := p.attribute(name); ok {
			attributes[types.String(name)] = v
			key.WriteString("\x00" + name + "=")
			key.Write(v.MarshalCedar())
		}
	}
	var tags types.Record
	if e.reads.tags {
		tags = p.tags()
		key.WriteString("\x00tags=")
		key.Write(tags.MarshalCedar())
	}
	parents := e.parentsOf(p)
	for _, above := range parents {
		key.WriteString("\x00in " + above.String())
	}
	c := &class{engine: e, app: p.app(), rulings: map[*Object]*ruling{}}
	if e.reads.at("app") {
		key.WriteString("\x00app=" + c.app.String())
	}
	c.known = types.NewRecord(types.RecordMap{"app": c.app})
	digest := sha256.Sum256([]byte(key.String())) // somebody in many groups has a long one
	c.key = string(digest[:])
	c.entity = e.merge(types.Entity{UID: uid, Parents: types.NewEntityUIDSet(parents...), Attributes: types.NewRecord(attributes), Tags: tags})
	return c
}

// parentsOf are those parents of p that policies or files know, in order: the
// others are the same to all of them.
func (e *Engine) parentsOf(p *Principal) []types.EntityUID {
	var known []types.EntityUID
	p.parents(func(uid types.EntityUID) {
		_, filed := e.entities[uid]
		if filed || e.reads.uids[uid] || e.reads.identity {
			known = append(known, uid)
		}
	})
	slices.SortFunc(known, func(a, b types.EntityUID) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(known)
}

// index is that of the rules that may be about objects of a kind.
func (c *class) index(k kind) *index {
	if x := c.indexes[k].Load(); x != nil {
		return x
	}
	x := &index{}
	env := c.env(k)
	env.Later = laterTypes
	for _, i := range c.engine.callers.of(c.entity.UID, c.engine.ancestors(c.entity)) {
		r := c.engine.rules[i]
		p := r.program.Specialise(env)
		if outcome, constant := p.Constant(); constant && outcome == may.False {
			continue
		}
		x.of(r).add(len(x.rules), r.AST)
		if asked := x.asked(r); asked != nil && p.Satisfiable() {
			asked.add(len(x.rules), r.AST)
		}
		x.rules, x.programs = append(x.rules, r), append(x.programs, p)
	}
	c.indexes[k].Store(x)
	return x
}

// env is what is known of requests of the class about objects of a kind.
func (c *class) env(k kind) *may.Env {
	return &may.Env{Principal: c.entity.UID, Action: actions[k], Entities: &world{class: c}, Known: c.known}
}

// about makes env that of requests about the object.
func (c *class) about(env *may.Env, o *Object, a *about) {
	env.Resource, env.AnyResource, env.Unknown = o.entity.UID, o.template, a.unknown
	env.Entities.(*world).about = a
}

// sees reports whether some request about o could be allowed.
func (c *class) sees(x *index, env *may.Env, o *Object) bool {
	if o.disguised {
		return false
	}
	a := c.engine.about(o)
	c.about(env, o, a)
	permits := func(outcome may.Outcome) bool { return outcome&may.True != 0 }
	return x.some(&x.granting, permits, env, o, a) && !x.some(&x.denying, c.engine.denies, env, o, a)
}

// some reports whether the outcome of one of the rules in s is such.
func (x *index) some(s *scopes, such func(may.Outcome) bool, env *may.Env, o *Object, a *about) bool {
	for list := range s.lists(o, a.ancestors) {
		for _, i := range list {
			if such(x.programs[i].Outcomes(env)) {
				return true
			}
		}
	}
	return false
}

// ruling is what can be said about o.
func (c *class) ruling(o *Object) *ruling {
	if !o.memorable() {
		return c.rule(o)
	}
	c.mu.RLock()
	r := c.rulings[o]
	c.mu.RUnlock()
	if r != nil {
		return r
	}
	r = c.rule(o)
	if c.keep(o, r) > maxRulings {
		c.engine.dropRulings()
	}
	return r
}

// keep remembers what was said about o, unless the class is forgotten: nobody would
// drop it. It returns how many rulings the engine remembers.
func (c *class) keep(o *Object, r *ruling) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.rulings[o]; known || c.forgotten.Load() {
		return c.engine.rulings.Load()
	}
	c.rulings[o] = r
	return c.engine.rulings.Add(1)
}

// dropRulings forgets all: most may be about objects that are gone.
func (e *Engine) dropRulings() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for at := e.classes.recent.Front(); at != nil; at = at.Next() {
		at.Value.(*class).dropRulings()
	}
}

func (c *class) rule(o *Object) *ruling {
	r := &ruling{about: c.engine.about(o)}
	env, x := c.env(o.kind), c.index(o.kind)
	c.about(env, o, r.about)
	all := slices.Concat(x.permits.of(o, r.about.ancestors), x.forbids.of(o, r.about.ancestors), x.observed.of(o, r.about.ancestors))
	slices.Sort(all)
	for _, i := range all {
		rule := x.rules[i]
		// Whatever it looks at is checked, also if it cannot be satisfied: that holds
		// for arguments which are as the schema says, and a schema need not be enforceable.
		r.reads.add(&rule.reads)
		if x.programs[i].Outcomes(env) == may.False {
			continue
		}
		switch {
		case rule.Observe:
			r.shadows = append(r.shadows, rule)
		case rule.Permit:
			r.permits = append(r.permits, rule)
		default:
			r.forbids = append(r.forbids, rule)
		}
	}
	return r
}

// denies reports whether a forbid of which that is known denies every request.
func (e *Engine) denies(outcome may.Outcome) bool {
	if e.o.SkipErrors {
		return outcome == may.True
	}
	return outcome&may.False == 0
}

// laterTypes are the types of entities of which a world says more once it has an
// object.
var laterTypes = []types.EntityType{"Tool", "Prompt", "Resource", typeUpstream}

// world holds the entities of one class and one object.
type world struct {
	class *class
	about *about // nil for no object
}

// Get implements [types.EntityGetter].
func (w *world) Get(uid types.EntityUID) (types.Entity, bool) {
	switch a := w.about; {
	case uid == w.class.entity.UID:
		return w.class.entity, true
	case a != nil && uid == a.entity.UID:
		return a.entity, !a.scattered
	case a != nil && uid == a.upstream.UID:
		return a.upstream, true
	case uid.Type == typeApp || uid.Type == typeUpstream:
		return w.class.engine.merge(named(uid)), true
	}
	filed, ok := w.class.engine.entities[uid]
	return filed, ok
}

// named is an entity of which the gateway knows its name.
func named(uid types.EntityUID) types.Entity {
	return types.Entity{UID: uid, Attributes: types.NewRecord(types.RecordMap{"name": uid.ID})}
}
