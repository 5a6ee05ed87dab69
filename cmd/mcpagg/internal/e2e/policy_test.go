//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/policytest"
)

// policySeed makes other cases; 0 means other ones each day.
var policySeed = flag.Uint64("policy-seed", 0, "seed of the cases of TestPolicyOracle and TestPolicyViews")

// TestPolicyOracle has the engine and Cedar's own implementation decide the same
// random requests: decisions, deciding policies and failing ones are the same.
func TestPolicyOracle(t *testing.T) {
	const want, workers = 20_000, 2
	seed := seedOfDay(t)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { compareWithCedar(t, policytest.NewGenerator(seed*workers+uint64(i)), want/workers) })
	}
	wg.Wait()
}

func seedOfDay(t *testing.T) uint64 {
	seed := *policySeed
	if seed == 0 {
		seed = uint64(time.Now().UTC().Unix() / 86400)
	}
	t.Logf("seed %d", seed)
	return seed
}

// TestPolicyViews looks for tools that somebody can call and lists hide.
func TestPolicyViews(t *testing.T) {
	v, err := policytest.NewGenerator(seedOfDay(t)).Views(50_000, 200)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("of %d pairs %d are callable, and %d shown", v.Pairs, v.Callable, v.Shown)
	if v.Callable < v.Pairs/5 || v.Shown-v.Callable > v.Pairs/10 {
		t.Error("they say little, or lists show what is not callable")
	}
}

func compareWithCedar(t *testing.T, g *policytest.Generator, n int) {
	var questions bytes.Buffer
	var cases []*policytest.Case
	for len(cases) < n {
		c := g.Case()
		q, err := c.Question()
		if err != nil { // an argument that Cedar cannot hold
			continue
		}
		questions.Write(append(q, '\n'))
		cases = append(cases, c)
	}
	answers := askCedar(t, &questions)
	allowed, failing := 0, 0
	for i, c := range cases {
		want := answers[i]
		got, err := c.Decide()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			raw, _ := json.Marshal(policytest.Known{Case: c, Answer: want}) // which are JSON
			t.Fatalf("the engine decides otherwise (-cedar +engine):\n%s\n%s", d, raw)
		}
		if got.Allow {
			allowed++
		}
		if len(got.Errors) > 0 {
			failing++
		}
	}
	if allowed < n/10 || allowed > n*9/10 || failing < n/20 {
		t.Errorf("of %d cases %d are allowed and %d fail: they say little", n, allowed, failing)
	}
	if *update {
		keepCases(t, cases[:1500], answers)
	}
}

func askCedar(t *testing.T, questions *bytes.Buffer) []policytest.Answer {
	cmd := exec.CommandContext(t.Context(), filepath.Join(nodeBin, "node"), "testdata/cedar.mjs", cedarWasm.dir())
	cmd.Stdin, cmd.Stderr = questions, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []policytest.Answer
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var a struct {
			policytest.Answer
			Failed string
		}
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil || a.Failed != "" {
			t.Fatalf("%v %s", err, a.Failed)
		}
		answers = append(answers, a.Answer)
	}
	return answers
}

// keepCases writes the corpus that tests without Node.js compare with.
func keepCases(t *testing.T, cases []*policytest.Case, answers []policytest.Answer) {
	known := make([]policytest.Known, len(cases))
	for i, c := range cases {
		known[i] = policytest.Known{Case: c, Answer: answers[i]}
	}
	if err := policytest.WriteCorpus("../../../../policy/policytest/testdata/corpus.jsonl.gz", known); err != nil {
		t.Error(err)
	}
}
