package policy_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/policy"
)

const byClaim = `permit(principal, action, resource) when { principal.claim_dept == "even" };
forbid(principal, action, resource == Tool::"github/t7");
permit(principal, action, resource == Tool::"github/t3") when { principal.claim_id like "*5" };`

// numbered is a caller of a class of their own.
func numbered(i int) (p *policy.Principal, even bool) {
	p = person()
	dept := "odd"
	if i%2 == 0 {
		dept = "even"
	}
	p.Claims = fmt.Appendf(nil, `{"dept": %q, "id": "%d"}`, dept, i)
	return p, i%2 == 0
}

func numberedTools(n int) []*policy.Object {
	all := make([]*policy.Object, n)
	for i := range all {
		all[i] = policy.ToolObject(tool(fmt.Sprintf("github/t%d", i)))
	}
	return all
}

// TestForgetting asks for more callers and more tools than an engine remembers, all
// at once: what is forgotten is found out again.
func TestForgetting(t *testing.T) {
	e, objects := engine(t, byClaim), numberedTools(10)
	var callers []*policy.Principal
	for i := range 1_500 {
		p, _ := numbered(i)
		callers = append(callers, p)
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range len(callers) {
				n := (i*7 + worker*191) % len(callers)
				askNumbered(t, e, callers[n], n, objects)
			}
		})
	}
	wg.Wait()
	rulingsCounted(t, e)
}

// rulingsCounted fails if an engine does not know how many rulings it remembers: it
// would drop them too early, or never.
func rulingsCounted(t *testing.T, e *policy.Engine) {
	t.Helper()
	if counted, found := e.Rulings(); counted != found || found > 50_000 {
		t.Errorf("%d rulings are remembered, and %d are counted", found, counted)
	}
}

func askNumbered(t *testing.T, e *policy.Engine, p *policy.Principal, n int, objects []*policy.Object) {
	for i, o := range []*policy.Object{objects[3], objects[7], objects[n%len(objects)]} {
		at := []int{3, 7, n % len(objects)}[i]
		want := at != 7 && (n%2 == 0 || at == 3 && n%10 == 5)
		if got := e.Decide(requestOf(p, o, repo)).Allow; got != want {
			t.Errorf("caller %d, tool %d: allowed %v", n, at, got)
		}
		if got := e.View(p, objects)[at]; got != want {
			t.Errorf("caller %d, tool %d: shown %v", n, at, got)
		}
	}
}

// TestManyRulings asks about more pairs of callers and tools than an engine
// remembers.
func TestManyRulings(t *testing.T) {
	e, objects := engine(t, byClaim), numberedTools(500)
	for round := range 2 {
		for i := range 205 {
			p, even := numbered(i)
			for at, o := range objects {
				want := at != 7 && (even || at == 3 && i%10 == 5)
				if got := e.Decide(requestOf(p, o, repo)).Allow; got != want {
					t.Fatalf("round %d, caller %d, tool %d: allowed %v", round, i, at, got)
				}
				if round == 0 && at > 100 {
					break
				}
			}
		}
	}
	rulingsCounted(t, e)
}

// TestRulingsAreCountedOnce has many ask at once about the same few tools.
func TestRulingsAreCountedOnce(t *testing.T) {
	e, objects := engine(t, byClaim), numberedTools(50)
	p, _ := numbered(1)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			<-start
			for _, o := range objects {
				e.Decide(requestOf(p, o, repo))
			}
		})
	}
	close(start)
	wg.Wait()
	rulingsCounted(t, e)
}

// TestGroupsChange has a token of the same person name other groups.
func TestGroupsChange(t *testing.T) {
	e := engine(t, `permit(principal in Group::"platform", action, resource);`)
	for range 3 {
		if !e.Decide(request(person("platform"), repo)).Allow || e.Decide(request(person("staff"), repo)).Allow {
			t.Fatal("groups of another token decide")
		}
	}
}

// TestManyGroups has somebody be in 2,000 groups: a caller whom nobody has seen is
// to cost little more than their names.
func TestManyGroups(t *testing.T) {
	e := engine(t, `permit(principal in Group::"g1999", action, resource); forbid(principal, action, resource) when { principal.groups.contains("none") };`)
	var groups []string
	for i := range 2_000 {
		groups = append(groups, fmt.Sprintf("g%d", i))
	}
	started := time.Now()
	for range 10 {
		if d := e.Decide(request(person(groups...), repo)); !d.Allow {
			t.Fatal(d.Why)
		}
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("10 callers took %v", took)
	}
}

// TestViewKeysAreShort remembers whole lists by keys of views, which must not grow
// with the groups of a caller.
func TestViewKeysAreShort(t *testing.T) {
	e := engine(t, `permit(principal, action, resource) when { principal.groups.contains(resource.name) };`)
	var groups []string
	for i := range 2_000 {
		groups = append(groups, fmt.Sprintf("g%d", i))
	}
	key := e.ViewKey(person(groups...))
	if len(key) > 100 {
		t.Errorf("a key has %d bytes", len(key))
	}
	if key == e.ViewKey(person(groups[1:]...)) || key != e.ViewKey(person(groups...)) {
		t.Error("a key is not that of the groups")
	}
}

// TestDeniesEverybody has policies by which nobody can do anything.
func TestDeniesEverybody(t *testing.T) {
	for _, text := range []string{
		``, `forbid(principal, action, resource);`, `permit(principal, action, resource); forbid(principal, action, resource);`,
		`permit(principal, action, resource); forbid(principal, action, resource) when { context.input.nothing };`,
		`permit(principal, action, resource) when { context.input.nothing };`,
	} {
		e := engine(t, text)
		p := person("staff")
		if e.Decide(request(p, repo)).Allow || e.View(p, []*policy.Object{createIssue})[0] || e.MayDecide(request(p, repo)) {
			t.Errorf("%q lets somebody", text)
		}
	}
	skips := func(o *policy.Options) { o.SkipErrors = true }
	e := engine(t, `permit(principal, action, resource); forbid(principal, action, resource) when { context.input.nothing };`, skips)
	if !e.Decide(request(person(), repo)).Allow || !e.View(person(), []*policy.Object{createIssue})[0] {
		t.Error("a forbid that always fails is not skipped")
	}
}
