package replay

import (
	"slices"
	"time"

	"github.com/mcpagg/mcpagg/policy"
)

// A Coverage says which policies are used.
type Coverage struct {
	Read *Read `json:"read"`
	// Digest is that of the policies, and Others counts the decisions by others: what
	// these were called may have meant something else.
	Digest string `json:"policies"`
	Others int    `json:"decisions_by_other_policies"`
	// Policies are all of them, in the order of their files.
	Policies []*Use `json:"coverage"`
	// Gone counts decisions by policies that are not there any more.
	Gone int `json:"decided_by_policies_that_are_gone"`
	// Cut counts decisions of which not all policies are told, since they are many.
	Cut int `json:"cut,omitempty"`
}

// A Use is how often a policy was used.
type Use struct {
	Policy   Reason    `json:"policy"`
	Permit   bool      `json:"permit"`
	Decided  int       `json:"decided"`  // times that it was a reason
	Observed int       `json:"observed"` // times that it was satisfied, and not in effect
	Failed   int       `json:"failed"`   // times that it could not be evaluated
	Last     time.Time `json:"last,omitzero"`
	// Unused are the things that a permit may be about, and was never a reason to allow;
	// of forbids there are none.
	Unused []string `json:"never_allowed,omitempty"`

	used map[string]bool // objects
}

// maxReasons is how many policies a record tells.
const maxReasons = 16

// Cover counts how policies are used.
func Cover(logs []Log, o Options) (*Coverage, error) {
	c := &Coverage{Digest: o.Engine.Digest(), Policies: []*Use{}}
	byID := map[string]*Use{}
	for _, p := range o.Engine.Policies() {
		u := &Use{Policy: reasonOf(p), Permit: p.Permit, used: map[string]bool{}}
		c.Policies = append(c.Policies, u)
		if byID[p.ID] == nil {
			byID[p.ID] = u
		}
	}
	objects := NewObjects(o.Objects)
	read, err := Each(logs, o.Since, func(r *Record) error { c.add(r, byID, objects); return nil })
	c.Read = read
	for _, object := range o.Objects {
		c.addUnused(object, o.Engine)
	}
	for _, u := range c.Policies {
		slices.Sort(u.Unused)
	}
	return c, err
}

func (c *Coverage) add(r *Record, byID map[string]*Use, objects *Objects) {
	if r.Policies != c.Digest {
		c.Others++
	}
	if len(r.Reasons) >= maxReasons {
		c.Cut++
	}
	gone := false
	each := func(all []Reason, count func(*Use)) {
		for _, reason := range all {
			u := byID[reason.ID]
			if u == nil {
				gone = true
				continue
			}
			count(u)
			if r.Time.After(u.Last) {
				u.Last = r.Time
			}
		}
	}
	object := objects.Of(r)
	each(r.Reasons, func(u *Use) {
		u.Decided++
		if object != nil && r.Verdict() == Allowed && objects.known[object.String()] != nil {
			u.used[object.String()] = true
		}
	})
	each(r.Observed, func(u *Use) { u.Observed++ })
	each(r.Errors, func(u *Use) { u.Failed++ })
	if gone {
		c.Gone++
	}
}

// addUnused notes an object that permits may be about, and did not allow.
func (c *Coverage) addUnused(object *policy.Object, e *policy.Engine) {
	if object.IsTemplate() {
		return
	}
	about := map[Reason]bool{}
	for _, p := range e.About(object) {
		about[reasonOf(p)] = p.Permit && !p.Observe
	}
	for _, u := range c.Policies {
		if about[u.Policy] && !u.used[object.String()] {
			u.Unused = append(u.Unused, object.String())
		}
	}
}
