package policy

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// Options make an [Engine].
type Options struct {
	Policies []*source.Policy
	// Candidate are decided in the shadow of Policies; nil for none.
	Candidate []*source.Policy
	// Digest and CandidateDigest name them, as [source.Digest] does.
	Digest, CandidateDigest string
	Facts                   *facts.Facts // nil for none
	Binds                   []facts.Bind
	// Observe lets everything through that is denied, and says so.
	Observe bool
	// SkipErrors has a forbid that cannot be evaluated forbid nothing, as Cedar's
	// own tools do; otherwise it denies.
	SkipErrors bool
	// DenyMessage is told to who is denied where no policy has a message; "" for none.
	DenyMessage string
}

// An Engine decides by one set of policies. It never changes, but for what it
// remembers, and is safe for concurrent use.
type Engine struct {
	o         Options
	rules     []*rule // in the order of the files
	byKey     map[cedar.PolicyID]*rule
	reads     reads   // of all rules and facts
	scopes    scopes  // all rules
	callers   callers // all rules
	entities  types.EntityMap
	scattered map[string][]types.EntityUID // what resources are in by what files say, by their upstream
	candidate *Engine                      // nil for none

	rulings atomic.Int64 // how many all classes remember

	mu      sync.Mutex
	classes classes            // guarded by mu
	abouts  map[*Object]*about // guarded by mu
}

// A rule is a policy in an engine.
type rule struct {
	*source.Policy
	at      int            // its place in the engine
	key     cedar.PolicyID // the same as text
	program *may.Program
	reads   reads
}

// New makes an engine. It fails for binds that cannot be told apart.
func New(o Options) (*Engine, error) {
	for _, b := range o.Binds {
		if err := b.Check(); err != nil {
			return nil, err
		}
	}
	e := newEngine(o)
	if o.Candidate != nil {
		shadow := o
		shadow.Policies, shadow.Digest, shadow.Candidate = o.Candidate, o.CandidateDigest, nil
		e.candidate = newEngine(shadow)
	}
	return e, nil
}

func newEngine(o Options) *Engine {
	e := &Engine{o: o, entities: types.EntityMap{}, abouts: map[*Object]*about{}, byKey: map[cedar.PolicyID]*rule{}}
	e.reads.add(&reads{}) // of no rule
	for i, p := range o.Policies {
		r := &rule{Policy: p, at: i, key: cedar.PolicyID(strconv.Itoa(i)), program: may.Compile(p.AST), reads: readsOf(p)}
		e.rules = append(e.rules, r)
		e.byKey[r.key] = r
		e.reads.add(&r.reads)
		e.scopes.add(i, r.AST)
		e.callers.add(i, r.AST)
	}
	if o.Facts != nil {
		e.entities = o.Facts.Entities
		e.reads.identity = e.reads.identity || o.Facts.People // to whom an attribute may lead
		e.reads.groups = e.reads.groups || len(o.Facts.Groups) > 0 && e.reads.identity
		for uid, entity := range e.entities {
			// Whatever a group is in, its members are in.
			if (uid.Type == typeGroup || uid.Type == typeTHVGroup) && entity.Parents.Len() > 0 {
				e.reads.groups, e.reads.uids[uid] = true, true
			}
		}
		e.scattered = e.aboveResources()
	}
	return e
}

// Digest names the policies.
func (e *Engine) Digest() string { return e.o.Digest }

// CandidateDigest names those that are decided in the shadow, "" for none.
func (e *Engine) CandidateDigest() string { return e.o.CandidateDigest }

// Policies are the policies in the order of their files.
func (e *Engine) Policies() []*source.Policy { return e.o.Policies }

// Observes reports whether nothing is enforced.
func (e *Engine) Observes() bool { return e.o.Observe }

// GroupsNeeded says why nothing can be decided about p: policies name groups, and
// whether p is in them is not known. It is "" if that is known, or does not matter.
func (e *Engine) GroupsNeeded(p *Principal) string {
	if !e.reads.groups {
		return ""
	}
	if !p.GroupsKnown {
		return cmp.Or(p.GroupsWhy, "nobody said them")
	}
	for _, alias := range p.Unresolved {
		if e.reads.mayName(alias) {
			return fmt.Sprintf("the directory does not know the group %q", alias)
		}
	}
	return ""
}

// LooksAtArguments reports whether some policy looks at arguments of the object,
// whoever asks.
func (e *Engine) LooksAtArguments(o *Object) bool {
	return e.about(o).arguments
}

// about is what an engine knows of an object, whoever asks.
type about struct {
	entity    types.Entity // with what files add
	upstream  types.Entity // its own, with its tags
	ancestors []types.EntityUID
	arguments bool // one of the rules about it looks at arguments
	scattered bool // a template, and files put resources of its upstream in something
	binds     []*facts.Bind
	unknown   *typed.Type // of its context
}

const (
	// maxAbouts bounds of how many objects an engine knows that.
	maxAbouts = 20_000
	// maxName bounds the bytes of the names of objects that are remembered: clients
	// make up those of resources.
	maxName = 1 << 10
)

// memorable reports whether an engine remembers what it found out of the object.
func (o *Object) memorable() bool { return len(o.entity.UID.ID) <= maxName }

func (e *Engine) about(o *Object) *about {
	if !o.memorable() {
		return e.makeAbout(o)
	}
	e.mu.Lock()
	a := e.abouts[o]
	e.mu.Unlock()
	if a != nil {
		return a
	}
	a = e.makeAbout(o) // others need not wait for it
	e.mu.Lock()
	defer e.mu.Unlock()
	if meanwhile := e.abouts[o]; meanwhile != nil {
		return meanwhile
	}
	if len(e.abouts) >= maxAbouts {
		clear(e.abouts)
	}
	e.abouts[o] = a
	return a
}

func (e *Engine) makeAbout(o *Object) *about {
	a := &about{binds: o.bindsOf(e.o.Binds)}
	a.entity, a.upstream = e.merge(o.entity), e.merge(o.upstreamEntity())
	a.ancestors = e.ancestors(a.entity)
	if o.template {
		above := e.scattered[o.upstream]
		a.scattered = len(above) > 0
		a.ancestors = slices.Concat(a.ancestors, above)
		slices.SortFunc(a.ancestors, compareUIDs)
		a.ancestors = slices.Compact(a.ancestors)
	}
	for _, i := range e.scopes.of(o, a.ancestors) {
		if e.rules[i].reads.arguments(a.binds) {
			a.arguments = true
			break
		}
	}
	a.unknown = withBinds(o.context(), a.binds)
	return a
}

// merge is an entity of the gateway's own with what files add to it.
func (e *Engine) merge(own types.Entity) types.Entity {
	more, ok := e.entities[own.UID]
	if !ok {
		return own
	}
	parents := own.Parents.Slice()
	for p := range more.Parents.All() {
		parents = append(parents, p)
	}
	attributes := more.Attributes.Map()
	if attributes == nil {
		attributes = types.RecordMap{}
	}
	for name, v := range own.Attributes.All() {
		attributes[name] = v
	}
	own.Parents, own.Attributes = types.NewEntityUIDSet(parents...), types.NewRecord(attributes)
	return own
}

// ancestors are all entities that one is in, through those of files.
func (e *Engine) ancestors(of types.Entity) []types.EntityUID {
	var all []types.EntityUID
	seen := map[types.EntityUID]bool{of.UID: true}
	next := []types.Entity{of}
	for len(next) > 0 {
		entity := next[len(next)-1]
		next = next[:len(next)-1]
		for p := range entity.Parents.All() {
			if seen[p] {
				continue
			}
			seen[p] = true
			all = append(all, p)
			if above, ok := e.entities[p]; ok {
				next = append(next, above)
			}
		}
	}
	return all
}

// aboveResources are what resources are in by what files say, by their upstream.
func (e *Engine) aboveResources() map[string][]types.EntityUID {
	sets := map[string]map[types.EntityUID]bool{}
	for uid, entity := range e.entities {
		upstream, _, of := strings.Cut(string(uid.ID), "/")
		if uid.Type != objectTypes[aResource] || !of {
			continue
		}
		for _, above := range e.ancestors(entity) {
			if sets[upstream] == nil {
				sets[upstream] = map[types.EntityUID]bool{}
			}
			sets[upstream][above] = true
		}
	}
	all := map[string][]types.EntityUID{}
	for upstream, set := range sets {
		all[upstream] = slices.Collect(maps.Keys(set))
	}
	return all
}

func compareUIDs(a, b types.EntityUID) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
}

// scopes are rules by the resources that their scopes name, each in ascending order.
type scopes struct {
	any    []int
	byUID  map[types.EntityUID][]int
	byType map[types.EntityType][]int
}

func (s *scopes) add(i int, p *ast.Policy) {
	if s.byUID == nil {
		s.byUID, s.byType = map[types.EntityUID][]int{}, map[types.EntityType][]int{}
	}
	switch scope := p.Resource.(type) {
	case ast.ScopeEq:
		s.byUID[scope.Entity] = append(s.byUID[scope.Entity], i)
	case ast.ScopeIn:
		s.byUID[scope.Entity] = append(s.byUID[scope.Entity], i)
	case ast.ScopeIsIn:
		s.byUID[scope.Entity] = append(s.byUID[scope.Entity], i)
	case ast.ScopeIs:
		s.byType[scope.Type] = append(s.byType[scope.Type], i)
	default:
		s.any = append(s.any, i)
	}
}

// lists are those of the rules whose scope may hold the object.
func (s *scopes) lists(o *Object, ancestors []types.EntityUID) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		if !yield(s.any) || !yield(s.byType[o.entity.UID.Type]) || !yield(s.byUID[o.entity.UID]) {
			return
		}
		for _, above := range ancestors {
			if list := s.byUID[above]; list != nil && !yield(list) {
				return
			}
		}
		if !o.template {
			return
		}
		for uid, list := range s.byUID { // it may stand for any resource that is named
			if uid.Type == o.entity.UID.Type && uid != o.entity.UID && strings.HasPrefix(string(uid.ID), o.upstream+"/") && !yield(list) {
				return
			}
		}
	}
}

// of are the rules whose scope may hold the object.
func (s *scopes) of(o *Object, ancestors []types.EntityUID) []int {
	var all []int
	for list := range s.lists(o, ancestors) {
		all = append(all, list...)
	}
	return all
}

// callers are rules by the principals that their scopes name, each in ascending
// order.
type callers struct {
	any   []int
	byUID map[types.EntityUID][]int
}

func (c *callers) add(i int, p *ast.Policy) {
	uid, named := namedCaller(p)
	if !named {
		c.any = append(c.any, i)
		return
	}
	if c.byUID == nil {
		c.byUID = map[types.EntityUID][]int{}
	}
	c.byUID[uid] = append(c.byUID[uid], i)
}

// namedCaller is what callers are, or are in, by the scope of a policy; named is false if
// they may be others.
func namedCaller(p *ast.Policy) (uid types.EntityUID, named bool) {
	switch scope := p.Principal.(type) {
	case ast.ScopeEq:
		uid = scope.Entity
	case ast.ScopeIn:
		uid = scope.Entity
	case ast.ScopeIsIn:
		uid = scope.Entity
	default:
		return uid, false
	}
	return uid, uid.Type != typeTag // files may lead there through an upstream, whose tags its objects know
}

// of are the rules whose scope may hold a principal with these ancestors, in order.
func (c *callers) of(principal types.EntityUID, ancestors []types.EntityUID) []int {
	all := slices.Concat(c.any, c.byUID[principal])
	for _, above := range ancestors {
		all = append(all, c.byUID[above]...)
	}
	slices.Sort(all)
	return all
}
