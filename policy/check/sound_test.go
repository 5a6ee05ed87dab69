package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/policy/policytest"
	"github.com/mcpagg/mcpagg/policy/source"
)

// TestTellsTheTruth decides random requests by random policies: one that is said to be
// impossible is never satisfied, and one that is said to be shadowed never decides
// anything; and whatever cannot be evaluated was found before.
func TestTellsTheTruth(t *testing.T) {
	const cases = 4000
	impossible, shadowed, failing := 0, 0, 0
	for seed := range uint64(cases / 100) {
		g := policytest.NewGenerator(seed)
		for range 100 {
			c := g.Case()
			c.Facts = false
			engine, err := c.Engine(false)
			if err != nil {
				continue // it needs the facts
			}
			o := c.Object.Policy()
			all := check.Check(check.Input{
				Files: []source.File{{Name: "case.cedar", Text: []byte(c.Policies)}}, Options: source.Options{Upstreams: policytest.Upstreams},
				Objects: []*policy.Object{o},
			})
			said := func(id string, codes ...string) bool {
				return slices.ContainsFunc(all, func(f check.Finding) bool { return f.Policy == id && (codes == nil || slices.Contains(codes, f.Code)) })
			}
			for range 5 {
				c.Caller, c.Arguments = g.Caller(), g.Arguments(c.Object)
				r, err := c.Request()
				if err != nil {
					t.Fatal(err)
				}
				r.Object = o
				d := engine.Decide(r)
				for _, reason := range d.Reasons {
					failed := slices.ContainsFunc(d.Errors, func(e policy.Reason) bool { return e.ID == reason.ID })
					if !failed && said(reason.ID, "impossible") || d.Allow && said(reason.ID, "shadowed") {
						t.Errorf("%s decides, and was said not to: %v\n%s\n%s", reason.ID, all, c.Policies, c.Arguments)
					}
				}
				for _, e := range d.Errors {
					failing++
					if strings.Contains(e.Error, "overflow") || said(e.ID) {
						continue
					}
					t.Errorf("%s fails (%s), and nothing was found\n%s\n%s\n%s", e.ID, e.Error, o, c.Policies, c.Arguments)
				}
			}
			for _, f := range all {
				switch f.Code {
				case "impossible":
					impossible++
				case "shadowed":
					shadowed++
				}
			}
		}
	}
	t.Logf("%d are impossible, %d are shadowed, %d failed", impossible, shadowed, failing)
	if impossible < 50 || shadowed < 10 || failing < 100 {
		t.Errorf("only %d are impossible, %d are shadowed, %d failed", impossible, shadowed, failing)
	}
}
