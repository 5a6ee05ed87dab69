package suite

import (
	"cmp"
	"encoding/json"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/block"
	"github.com/mcpagg/mcpagg/policy/persona"
)

// Options say what tests run against.
type Options struct {
	// Policy are the policies. Tests are about what they say, so that Observe and Candidate
	// do not count.
	Policy  policy.Options
	Catalog policy.Catalog
	// Groups are the ids of the configuration's groups by alias, "" for unknown ones.
	Groups map[string]string
	// CheckArguments compiles an input schema into a check of arguments as the gateway
	// does it; nil for no check.
	CheckArguments func(inputSchema json.RawMessage) func(arguments json.RawMessage) error
	// ExtraArguments are the upstreams that take arguments that they do not declare.
	ExtraArguments []string
	// Run is what names of tests have to match, nil for all.
	Run *regexp.Regexp
	// Coverage has the report say what no test looked at.
	Coverage bool
}

// A Report is what came of tests.
type Report struct {
	Results  []Result // in the order of the files
	Coverage *Coverage
	Took     time.Duration
}

// A Result is what came of one test.
type Result struct {
	Test     *Test
	Failures []Failure
	Cases    int // that were decided, for each persona
	Took     time.Duration
}

// A Failure is a case that did not come out as expected, or could not be decided.
type Failure struct {
	Case    *Case
	Persona string
	// Error says why nothing was decided: the case does not fit the tools; "" if it was.
	Error string
	// Expected and Got are for people, such as "allow by engineers-open-issues".
	Expected, Got string
	// By are the policies that decided, Why is what the engine says of a denial.
	By      []policy.Reason
	Why     string
	Message string // that the caller would be told

	got outcome
}

// Failed are the tests that failed.
func (r *Report) Failed() []Result {
	var all []Result
	for _, one := range r.Results {
		if len(one.Failures) > 0 {
			all = append(all, one)
		}
	}
	return all
}

// Cases is how many cases were decided.
func (r *Report) Cases() int {
	n := 0
	for _, one := range r.Results {
		n += one.Cases
	}
	return n
}

// Run runs the tests. It fails only where no engine can be made of the policies.
func (s *Suite) Run(o Options) (*Report, error) {
	begun := time.Now()
	own := o.Policy
	own.Observe, own.Candidate = false, nil
	e, err := policy.New(own)
	if err != nil {
		return nil, err
	}
	var tests []*Test
	for _, t := range s.Tests {
		if o.Run == nil || o.Run.MatchString(t.Name) {
			tests = append(tests, t)
		}
	}
	r := &runner{o: &o, engine: e, names: namesOf(&o), callers: map[callerKey]*policy.Principal{}}
	if o.Coverage {
		r.covered = newCovered(e)
	}
	report := &Report{Results: make([]Result, len(tests))}
	r.each(len(tests), func(i int) { report.Results[i] = r.test(tests[i]) })
	if o.Coverage {
		report.Coverage = r.covered.report(r.names)
	}
	report.Took = time.Since(begun)
	return report, nil
}

// A runner decides cases. It is safe for concurrent use.
type runner struct {
	o       *Options
	engine  *policy.Engine
	names   *names
	covered *covered // nil if nobody asks

	mu      sync.Mutex
	callers map[callerKey]*policy.Principal // guarded by mu
}

// A callerKey is a persona at a time.
type callerKey struct {
	persona *persona.Persona
	now     time.Time
}

// each calls f for all tests, as many at once as there are processors.
func (r *runner) each(n int, f func(int)) {
	var all sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

func (r *runner) test(t *Test) Result {
	begun := time.Now()
	result := Result{Test: t}
	for _, c := range t.Cases {
		for _, p := range t.As {
			result.Cases++
			if f := r.decide(t, c, p); f != nil {
				f.Case, f.Persona = c, p.Name
				result.Failures = append(result.Failures, *f)
				if f.Error != "" { // the same for all
					break
				}
			}
		}
	}
	result.Took = time.Since(begun)
	return result
}

func (r *runner) decide(t *Test, c *Case, p *persona.Persona) *Failure {
	if c.Verb == List {
		return r.list(t, c, p)
	}
	return r.request(t, c, p)
}

// caller is a persona at a time, the same for all of its requests.
func (r *runner) caller(p *persona.Persona, now time.Time) *policy.Principal {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := callerKey{p, now}
	known := r.callers[key]
	if known == nil {
		known = p.Resolve(r.o.Groups).Principal()
		known.Auth = p.Auth(now)
		r.callers[key] = known
	}
	return known
}

// listOf is where the things are that a verb is for.
func listOf(v Verb) string {
	return map[Verb]string{Call: "tools", Get: "prompts", Read: "resources"}[v]
}

// request decides a case as the gateway would.
func (r *runner) request(t *Test, c *Case, p *persona.Persona) *Failure {
	about, err := r.names.find(listOf(c.Verb), c.Name)
	if err != nil {
		return &Failure{Error: err.Error()}
	}
	q := &policy.Request{
		Principal: r.caller(p, t.Now), Object: about.object, IP: cmp.Or(t.IP, p.IP), Now: t.Now, Session: t.Session,
	}
	if c.Verb != Read {
		if q.Arguments, q.Raw, err = r.arguments(about, c); err != nil {
			return &Failure{Error: err.Error()}
		}
	}
	got := outcomeOf(r.engine.Decide(q), len(q.Raw))
	if !got.allow && !r.engine.View(q.Principal, []*policy.Object{about.object})[0] {
		got.hide(listOf(c.Verb))
	}
	if r.covered != nil {
		r.covered.note(about, q, got)
	}
	return got.compare(c)
}

// arguments are those of a case, which the gateway would take.
func (r *runner) arguments(about *thing, c *Case) (map[string]any, json.RawMessage, error) {
	values := c.Input
	if values == nil {
		values = map[string]any{}
	}
	raw, err := json.Marshal(values)
	if err != nil { // an infinite number, at most
		return nil, nil, err
	}
	if about.check != nil {
		if err := about.check(raw); err != nil {
			return nil, nil, &unfit{about, err.Error()}
		}
	}
	if path := about.object.Undeclared(values); path != "" && !slices.Contains(r.o.ExtraArguments, about.upstream) {
		return nil, nil, &unfit{about, block.Quote(path) + " is not declared" + r.meantArgument(about, path)}
	}
	return values, raw, nil
}

// meantArgument says which argument may have been meant.
func (r *runner) meantArgument(about *thing, path string) string {
	var declared []string
	for _, f := range about.object.Shape().Input.Fields {
		declared = append(declared, f.Name)
	}
	if meant := block.Near(path, declared); meant != "" {
		return "; did you mean " + block.Quote(meant) + "?"
	}
	return ""
}

// unfit says that arguments do not fit what they are for.
type unfit struct {
	about *thing
	why   string
}

func (e *unfit) Error() string {
	return "the input does not fit the input schema of " + block.Quote(e.about.origin) + ": " + block.Plain(e.why)
}
