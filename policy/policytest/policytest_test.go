package policytest_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/policytest"
)

// TestCorpus compares decisions with those of Cedar's own implementation, which an
// end-to-end test has kept.
func TestCorpus(t *testing.T) {
	corpus, err := policytest.ReadCorpus("testdata/corpus.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	if len(corpus) < 1000 {
		t.Errorf("only %d cases", len(corpus))
	}
	for _, k := range corpus {
		got, err := k.Case.Decide()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(k.Answer, got); d != "" {
			t.Fatalf("the engine decides otherwise (-cedar +engine):\n%s\n%s", d, show(k.Case))
		}
	}
}

func show(c *policytest.Case) []byte {
	raw, _ := json.MarshalIndent(c, "", "  ") // which is JSON
	return raw
}

// TestNothingIsLeftOut compares the engine, which asks few policies about few
// attributes and takes callers for one another, with all policies asked about
// everything.
func TestNothingIsLeftOut(t *testing.T) {
	g := policytest.NewGenerator(1)
	asked := 0
	for range 2_000 {
		c := g.Case()
		e, err := c.Engine(true)
		if err != nil {
			t.Fatalf("%v\n%s", err, c.Policies)
		}
		for range 3 {
			r, err := c.Request()
			if err != nil {
				t.Fatal(err)
			}
			want, ok := askAll(e, r)
			if ok {
				asked++
				if d := cmp.Diff(want, answer(e.Decide(r))); d != "" {
					t.Fatalf("the engine decides otherwise (-all +engine):\n%s\n%s", d, show(c))
				}
			}
			c.Caller, c.Arguments = g.Caller(), g.Arguments(c.Object)
		}
	}
	if asked < 4_500 {
		t.Errorf("only %d requests could be asked", asked)
	}
}

func answer(d *policy.Decision) policytest.Answer {
	return sorted(policytest.Answer{Allow: d.Allow, Reasons: ids(d.Reasons), Errors: ids(d.Errors)})
}

func ids(reasons []policy.Reason) []string {
	all := []string{}
	for _, r := range reasons {
		all = append(all, r.ID)
	}
	return all
}

func sorted(a policytest.Answer) policytest.Answer {
	slices.Sort(a.Reasons)
	slices.Sort(a.Errors)
	return a
}

// askAll asks all policies about everything. ok is false for arguments that Cedar
// cannot hold.
func askAll(e *policy.Engine, r *policy.Request) (a policytest.Answer, ok bool) {
	request, entities, err := e.Question(r)
	if err != nil {
		return a, false
	}
	set := cedar.NewPolicySet()
	for _, p := range e.Policies() {
		set.Add(cedar.PolicyID(p.ID), p.Compiled)
	}
	decision, diagnostic := cedar.Authorize(set, entities, request)
	a = policytest.Answer{Allow: bool(decision), Reasons: []string{}, Errors: []string{}}
	for _, reason := range diagnostic.Reasons {
		a.Reasons = append(a.Reasons, string(reason.PolicyID))
	}
	for _, failed := range diagnostic.Errors {
		a.Errors = append(a.Errors, string(failed.PolicyID))
	}
	return sorted(a), true
}

// TestViewsHideNothingCallable tries many requests about what lists show and what
// they hide.
func TestViewsHideNothingCallable(t *testing.T) {
	v, err := policytest.NewGenerator(3).Views(5_000, 60)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", v)
	if v.Callable < v.Pairs/5 || v.Callable > v.Pairs*3/4 {
		t.Error("they say little")
	}
}
