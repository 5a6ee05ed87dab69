package policytest_test

import (
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/policytest"
	"github.com/mcpagg/mcpagg/policy/source"
)

// FuzzEngine has an engine of any policies decide about random requests: it must
// not panic, deny for want of what it says it does not need, or hide what it allows.
func FuzzEngine(f *testing.F) {
	g := policytest.NewGenerator(5)
	for seed := range uint64(40) {
		f.Add(g.Policies(false), seed)
	}
	f.Add(`@observe @rate("1/m") permit(principal, action, resource) when { context.target.x in [principal, resource.y] };`, uint64(1))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		policies, _, err := source.Parse([]source.File{{Name: "fuzz.cedar", Text: []byte(text)}}, source.Options{})
		if err != nil {
			return
		}
		e, err := policy.New(policy.Options{Policies: policies, Candidate: policies, SkipErrors: seed%2 == 0})
		if err != nil {
			t.Fatal(err)
		}
		g := policytest.NewGenerator(seed)
		for range 5 {
			checkEngine(t, e, g.Case())
		}
	})
}

func checkEngine(t *testing.T, e *policy.Engine, c *policytest.Case) {
	r, err := c.Request()
	if err != nil {
		t.Fatal(err)
	}
	objects := []*policy.Object{r.Object, policy.TemplateObject(policy.Resource{Upstream: "github", URI: "x"})}
	d := e.Decide(r)
	_, _ = d.Looked(), e.StepUp(r, d)
	e.LooksAtArguments(r.Object)
	policy.Changes(nil, e, objects)
	for _, u := range e.Uncallable(objects) {
		if d.Allow && u.Object == r.Object {
			t.Errorf("allowed, and %s", u.Why)
		}
	}
	if d.Candidate != nil {
		t.Error("the same policies decide otherwise in the shadow")
	}
	if d.Allow && (!e.View(r.Principal, objects)[0] || !e.MayDecide(r)) {
		t.Errorf("allowed, and hidden from lists:\n%s", show(c))
	}
	if e.GroupsNeeded(r.Principal) != "" {
		t.Error("the groups of a caller are needed who has them all")
	}
	r.Now = r.Now.Add(time.Hour)
	e.Decide(r)
}
