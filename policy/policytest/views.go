package policytest

import (
	"encoding/json"
	"fmt"

	"github.com/mcpagg/mcpagg/policy"
)

// Views count pairs of policies with a caller, and of objects.
type Views struct {
	Pairs    int
	Shown    int // to the caller in a list
	Callable int // by at least one of the requests that were tried
}

// Views compares what lists show with what is allowed, for so many pairs and with
// so many requests for each that is never allowed. It fails for the first request
// that is allowed though a list hides what it is about, or MayDecide denies all like
// it, or nobody is said to be able to use it.
func (g *Generator) Views(pairs, requests int) (Views, error) {
	var v Views
	for v.Pairs < pairs {
		if err := g.views(&v, requests); err != nil {
			return v, err
		}
	}
	return v, nil
}

// views looks at one set of policies.
func (g *Generator) views(v *Views, requests int) error {
	c := g.Case()
	e, err := c.Engine(g.chance(50))
	if err != nil {
		return fmt.Errorf("%w\n%s", err, c.Policies)
	}
	objects, made := g.objects()
	uncallable := map[*policy.Object]string{}
	for _, u := range e.Uncallable(made) {
		uncallable[u.Object] = u.Why
	}
	literals := literalsOf(e.Policies())
	for range 3 {
		caller := g.Caller()
		shown := e.View(caller.Principal(), made)
		for i := range objects {
			s := g.search(literals, caller, objects[i], made[i])
			r := s.allowed(e, requests)
			v.count(shown[i], r != nil)
			if r == nil {
				continue
			}
			wrong := ""
			switch why, nobody := uncallable[made[i]]; {
			case !shown[i]:
				wrong = "hidden"
			case !e.MayDecide(r):
				wrong = "MayDecide denies it"
			case nobody:
				wrong = "uncallable: " + why
			case objects[i].Resource != nil && !e.View(r.Principal, []*policy.Object{policy.TemplateObject(template(objects[i]))})[0]:
				wrong = "its template is hidden"
			}
			if wrong != "" {
				who, _ := json.Marshal(caller) // which is JSON
				return fmt.Errorf("%s is callable, and %s\n%s\ncaller %s\n%s at %v from %v %+v %+v", made[i], wrong, c.Policies, who, r.Raw, r.Now, r.IP, r.Session, r.Principal.Auth)
			}
		}
	}
	return nil
}

// objects are some of all kinds.
func (g *Generator) objects() ([]Object, []*policy.Object) {
	var all []Object
	var made []*policy.Object
	for range 5 {
		o := g.Object()
		all, made = append(all, o), append(made, o.Policy())
	}
	return all, made
}

// template is one that the resource is of.
func template(o Object) policy.Resource {
	return policy.Resource{Upstream: o.Resource.Upstream, URI: "file:///{path}", Tags: o.Resource.Tags}
}

func (v *Views) count(shown, callable bool) {
	v.Pairs++
	if shown {
		v.Shown++
	}
	if callable {
		v.Callable++
	}
}

// allowed is a request that the engine allows, nil if it found none.
func (s *search) allowed(e *policy.Engine, requests int) *policy.Request {
	for i := range requests {
		if r := s.request(i); e.Decide(r).Allow {
			return r
		}
	}
	return nil
}
