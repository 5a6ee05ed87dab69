package may_test

import (
	"iter"
	"maps"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/typed"
)

func sorted(r types.Record) iter.Seq2[types.String, types.Value] {
	return func(yield func(types.String, types.Value) bool) {
		for _, k := range slices.Sorted(r.Keys()) {
			v, _ := r.Get(k)
			if !yield(k, v) {
				return
			}
		}
	}
}

func kindOf(v types.Value) typed.Kind {
	switch v.(type) {
	case types.String:
		return typed.String
	case types.Long:
		return typed.Long
	case types.Boolean:
		return typed.Bool
	case types.Decimal:
		return typed.Decimal
	case types.Datetime:
		return typed.Datetime
	case types.Duration:
		return typed.Duration
	case types.IPAddr:
		return typed.Address
	case types.Set:
		return typed.Set
	case types.Record:
		return typed.Record
	}
	return typed.Entity
}

// really is what cedar-go makes of a request.
func really(p *cedar.PolicySet, r cedar.Request, entities types.EntityMap) may.Outcome {
	decision, diagnostic := cedar.Authorize(p, entities, r)
	switch {
	case len(diagnostic.Errors) > 0:
		return may.Error
	case decision == cedar.Allow:
		return may.True
	}
	return may.False
}

func policySet(p *ast.Policy) *cedar.PolicySet {
	s := cedar.NewPolicySet()
	s.Add("p", ast.Compile(p))
	return s
}

// A check makes one random case of bytes and compares what the policy may come to
// with what it comes to in some completions. It returns both.
func check(t *testing.T, data []byte, complete bool, completions int) (may.Outcome, may.Outcome) {
	t.Helper()
	c := &choices{data: data}
	env := c.env(complete)
	policy := c.policy(env)
	set := policySet(policy)
	program := may.Compile(policy)
	got := program.Outcomes(env)
	special := program.Specialise(earlier(env))
	if o := special.Outcomes(env); o&^got != 0 {
		t.Errorf("specialised: %v, unlike %v", o, got)
	} else {
		got = o
	}
	if got&may.True != 0 && !special.Satisfiable() {
		t.Errorf("not satisfiable, and %v", got)
	}
	if o, ok := special.Constant(); ok && o != got {
		t.Errorf("constant %v, but %v", o, got)
	}
	var seen may.Outcome
	if complete {
		completions = 1
	}
	random := rand.New(rand.NewPCG(1, uint64(len(data))))
	for range completions {
		if len(c.data) < 256 {
			c.data = randomBytes(random, 512)
		}
		request, entities := c.complete(env)
		one := really(set, request, entities)
		seen |= one
		if one&^got != 0 {
			t.Errorf("may be %v, but is %v with\n%v", got, one, request)
			break
		}
	}
	if complete && seen != got {
		t.Errorf("may be %v, but all is known and it is %v", got, seen)
	}
	if t.Failed() {
		t.Logf("\n%s\nknown %v\nunknown %s\nany principal %v, resource %v", ast.Compile(policy).MarshalCedar(), env.Known, describe(env.Unknown), env.AnyPrincipal, env.AnyResource)
		t.Logf("partly %v, alice %v, doubt %+v", env.Partly, env.Entities.(types.EntityMap)[alice], env.Doubt)
	}
	return got, seen
}

// earlier is env before the resource and some of the context are known.
func earlier(env *may.Env) *may.Env {
	entities := maps.Clone(env.Entities.(types.EntityMap))
	delete(entities, issue)
	delete(entities, other)
	known := env.Known.Map()
	delete(known, "a")
	e := &may.Env{Principal: env.Principal, Action: env.Action, AnyPrincipal: env.AnyPrincipal, Doubt: env.Doubt, Entities: entities, Known: types.NewRecord(known)}
	return e
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func describe(t *typed.Type) string {
	if t == nil {
		return "?"
	}
	s := [...]string{"?", "String", "Long", "Bool", "Decimal", "Datetime", "Duration", "Address", "Set of ", "", string(t.Entity)}[t.Kind]
	for _, e := range t.Enum {
		s += " " + e
	}
	switch t.Kind {
	case typed.Set:
		s += describe(t.Elem)
	case typed.Record:
		s += "{"
		for _, f := range t.Fields {
			s += " " + f.Name
			if !f.Required {
				s += "?"
			}
			s += ": " + describe(f.Type)
		}
		s += " }"
	}
	return s
}

// TestSound compares random policies with cedar-go in random completions of
// what is not known. Most of what they may come to must be seen, too.
func TestSound(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	members, unseen, open := 0, 0, 0
	for range 4_000 {
		got, seen := check(t, randomBytes(random, 2048), false, 50)
		if t.Failed() {
			return
		}
		members += bits.OnesCount8(uint8(got))
		unseen += bits.OnesCount8(uint8(got &^ seen))
		if bits.OnesCount8(uint8(got)) > 1 {
			open++
		}
	}
	t.Logf("%d policies are open; of %d outcomes, %d were not seen in 50 completions", open, members, unseen)
	if open < 1000 || unseen > members/8 {
		t.Errorf("%d open policies, %d of %d outcomes not seen", open, unseen, members)
	}
}

// TestExact is the same where all is known, and the outcome is exactly one.
func TestExact(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	for range 10_000 {
		check(t, randomBytes(random, 1024), true, 1)
		if t.Failed() {
			return
		}
	}
}

func FuzzSound(f *testing.F) {
	random := rand.New(rand.NewPCG(9, 9))
	for range 20 {
		f.Add(randomBytes(random, 600))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		check(t, data, len(data)%4 == 3, 10)
	})
}
