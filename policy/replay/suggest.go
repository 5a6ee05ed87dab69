package replay

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A Suggestion is the least that would have let people do what they did.
type Suggestion struct {
	Read *Read `json:"read"`
	// Allowed counts the requests that it is made of.
	Allowed int      `json:"allowed"`
	Grants  []*Grant `json:"grants"`
	// Skipped counts requests of which the caller or object is not told, and Full those
	// that were left out since there are too many different ones.
	Skipped int `json:"skipped,omitempty"`
	Full    int `json:"full,omitempty"`
}

// A Grant is what one group or person used.
type Grant struct {
	Who types.EntityUID `json:"who"`
	// Members counts who was seen of a group.
	Members int     `json:"members"`
	Uses    []*Used `json:"uses"`
}

// Used is one thing that was used.
type Used struct {
	Object types.EntityUID `json:"object"`
	Count  int             `json:"count"`
	People int             `json:"people"`
	Last   time.Time       `json:"last"`
	// Conditions are the paths that the permits looked at: to permit it without
	// conditions would be more than was allowed. Nil: one had none.
	Conditions []string `json:"conditions,omitempty"`
}

// maxPairs bounds of how many pairs of a caller and an object uses are counted.
const maxPairs = 100_000

// A pair is who used what.
type pair struct{ caller, object types.EntityUID }

type usage struct {
	count      int
	last       time.Time
	groups     []string // to all of whom it was allowed
	conditions map[string]bool
	free       bool // a permit had none
}

// Suggest finds out what people used that was allowed. ByPerson has it of each person,
// otherwise it is of groups: each use counts for that group of the caller most of whose
// members did the same, of those to all of whom it was allowed, and for the person where
// there is none.
func Suggest(logs []Log, o Options, byPerson bool) (*Suggestion, error) {
	s := &suggester{members: map[types.EntityUID][]string{}, out: &Suggestion{Grants: []*Grant{}}, uses: map[pair]*usage{}, permits: map[string]*source.Policy{}}
	if o.Engine != nil {
		s.digest = o.Engine.Digest()
		for _, p := range o.Engine.Policies() {
			s.permits[p.ID] = p
		}
	}
	read, err := Each(logs, o.Since, func(r *Record) error { s.add(r); return nil })
	s.out.Read = read
	s.grant(byPerson)
	return s.out, err
}

type suggester struct {
	members map[types.EntityUID][]string // groups of callers
	out     *Suggestion
	uses    map[pair]*usage
	digest  string
	permits map[string]*source.Policy
}

// add counts a request that was allowed.
func (s *suggester) add(r *Record) {
	if r.Verdict() != Allowed {
		return
	}
	caller, ok := parseUID(r.Caller)
	t, known := typeOf[r.Action]
	if !ok || !known || isCut(r.Object) || r.Upstream == "" || isCut(r.Upstream) {
		s.out.Skipped++
		return
	}
	key := pair{caller, types.NewEntityUID(t, types.String(r.Upstream+"/"+r.Object))}
	u := s.uses[key]
	if u == nil {
		if len(s.uses) >= maxPairs {
			s.out.Full++
			return
		}
		u = &usage{conditions: map[string]bool{}}
		s.uses[key] = u
	}
	s.out.Allowed++
	u.count++
	if !r.Time.Before(u.last) {
		u.last = r.Time
		s.members[caller] = groupsOf(r)
	}
	paths, free, groups := s.conditions(r)
	u.add(paths, free)
	u.narrow(groups)
}

// narrow leaves those groups to all of whom every use was allowed.
func (u *usage) narrow(groups []string) {
	if u.count == 1 {
		u.groups = groups
		return
	}
	u.groups = slices.DeleteFunc(slices.Clone(u.groups), func(g string) bool { return !slices.Contains(groups, g) })
}

func (u *usage) add(conditions []string, free bool) {
	u.free = u.free || free
	for _, path := range conditions {
		u.conditions[path] = true
	}
}

// conditions are what the permits of a request looked at; free says that one of them
// looked at nothing. Groups are those of the caller to all of whom that one permits it;
// none where that is not certain, so that the permit is for the person alone.
func (s *suggester) conditions(r *Record) (paths []string, free bool, groups []string) {
	if s.digest == "" || r.Policies != s.digest { // what the permits were then is not known
		return s.unknownConditions(r)
	}
	for _, reason := range r.Reasons {
		p := s.permits[reason.ID]
		if p == nil || !p.Permit {
			continue
		}
		looks := policy.Lookups(p)
		if demands(p.Obligations) {
			looks = append(looks, "its annotations")
		}
		if len(looks) == 0 {
			free = true
			groups = append(groups, permitted(p, groupsOf(r))...)
		}
		paths = append(paths, looks...)
	}
	return paths, free, groups
}

// unknownConditions are those of permits of which only is told what they looked at. Where
// that are groups, or who the caller is, it may have been one of them that mattered.
func (s *suggester) unknownConditions(r *Record) (paths []string, free bool, groups []string) {
	for path := range r.Looked {
		if path != "principal in" && !strings.HasPrefix(path, "resource.") {
			paths = append(paths, path)
		}
	}
	if _, named := r.Looked["principal in"]; !named {
		groups = groupsOf(r)
	}
	return paths, len(paths) == 0 && !r.Reduced && (r.Mode == "hashed" || r.Mode == "full"), groups
}

// permitted are those of a caller's groups all of whose members a permit without
// conditions is for.
func permitted(p *source.Policy, groups []string) []string {
	if _, all := p.AST.Principal.(ast.ScopeAll); all && len(p.AST.Conditions) == 0 {
		return groups
	}
	in, ok := p.AST.Principal.(ast.ScopeIn)
	if !ok || in.Entity.Type != "Group" || len(p.AST.Conditions) > 0 || !slices.Contains(groups, string(in.Entity.ID)) {
		return nil
	}
	return []string{string(in.Entity.ID)}
}

// demands reports whether there is anything that a permit without annotations would
// leave out.
func demands(o source.Obligations) bool {
	return len(o.Rates) > 0 || o.MaxBytesIn > 0 || o.MaxBytesOut > 0 || len(o.Redact) > 0 || o.Audit
}

// groupsOf are the groups that a record names.
func groupsOf(r *Record) []string {
	if r.Principal == nil {
		return nil
	}
	return r.Principal.Groups
}

// grant makes grants of what was used.
func (s *suggester) grant(byPerson bool) {
	members, users := s.membership()
	grants := map[types.EntityUID]*Grant{}
	seen := map[pair]map[types.EntityUID]bool{} // who used what, by what is granted
	used := map[pair]*Used{}
	for _, key := range slices.SortedFunc(maps.Keys(s.uses), comparePairs) {
		u := s.uses[key]
		who := key.caller
		if !byPerson && len(u.groups) > 0 {
			who = types.NewEntityUID("Group", types.String(bestGroup(u.groups, key.object, members, users)))
		}
		g := grants[who]
		if g == nil {
			g = &Grant{Who: who, Members: max(len(members[string(who.ID)]), 1)}
			grants[who] = g
		}
		at := pair{who, key.object}
		one := used[at]
		if one == nil {
			one = &Used{Object: key.object}
			used[at], seen[at] = one, map[types.EntityUID]bool{}
			g.Uses = append(g.Uses, one)
		}
		one.Count += u.count
		seen[at][key.caller] = true
		one.People = len(seen[at])
		if u.last.After(one.Last) {
			one.Last = u.last
		}
		if !u.free {
			one.Conditions = union(one.Conditions, u.conditions)
		}
	}
	for _, who := range slices.SortedFunc(maps.Keys(grants), compareUIDs) {
		s.out.Grants = append(s.out.Grants, grants[who])
	}
}

// union is sorted, and not nil.
func union(paths []string, more map[string]bool) []string {
	all := slices.AppendSeq(slices.Clone(paths), maps.Keys(more))
	if len(all) == 0 {
		return []string{"what is not told"}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// membership is who was seen of each group, and who of them used what.
func (s *suggester) membership() (members map[string]map[types.EntityUID]bool, users map[string]map[types.EntityUID]int) {
	members, users = map[string]map[types.EntityUID]bool{}, map[string]map[types.EntityUID]int{}
	for key := range s.uses {
		for _, g := range s.members[key.caller] {
			if members[g] == nil {
				members[g], users[g] = map[types.EntityUID]bool{}, map[types.EntityUID]int{}
			}
			members[g][key.caller] = true
			users[g][key.object]++
		}
	}
	return members, users
}

// bestGroup is the group most of whose members used the object. Of several it is the
// one that lets in the fewest others, then the largest, and then the first by name.
func bestGroup(groups []string, object types.EntityUID, members map[string]map[types.EntityUID]bool, users map[string]map[types.EntityUID]int) string {
	return slices.MinFunc(groups, func(a, b string) int {
		inA, inB, usedA, usedB := len(members[a]), len(members[b]), users[a][object], users[b][object]
		return cmp.Or(cmp.Compare(usedB*inA, usedA*inB), cmp.Compare(inA-usedA, inB-usedB), cmp.Compare(inB, inA), cmp.Compare(a, b))
	})
}

func comparePairs(a, b pair) int {
	return cmp.Or(compareUIDs(a.caller, b.caller), compareUIDs(a.object, b.object))
}

func compareUIDs(a, b types.EntityUID) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
}
