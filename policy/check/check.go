// Package check looks for what is wrong with policies before anybody is denied by them,
// or let in: each is typed against each tool, prompt and resource that it may be about,
// as Cedar's own validator would with a schema of that tool alone, and what policies
// name is compared with what there is.
//
//	findings := check.Check(check.Input{Files: files, Options: options, Objects: objects})
//
// An [Error] cannot work as it is written, a [Warning] is probably a mistake, and [Info]
// is what one should know.
package check

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// An Input is what is checked, and against what.
type Input struct {
	Files   []source.File
	Options source.Options
	// Policy has what else the engine is made of: facts, binds, and what an error
	// comes to. Its Policies are not looked at.
	Policy  policy.Options
	Objects []*policy.Object
	// Down are labels of upstreams whose tools are not known, or not all of them. An
	// upstream of which there is no object is one of them.
	Down []string
	// Partial says that Objects are tools alone, though there may be prompts and resources.
	Partial bool
	// Published are the published names of tools and prompts, by origins such as
	// github/create_issue; nil if they are not known.
	Published map[string]string
	// Tags are those of upstreams, also of those without objects.
	Tags []string
	// Done, once it is closed, has the check end with what it has found; nil never does.
	Done <-chan struct{}
	// LeftOut reports whether the configuration does not publish a tool, by upstream and
	// name; nil if that is not known.
	LeftOut func(upstream, tool string) bool
	// Hidden are origins that upstreams have, and the gateway cannot publish.
	Hidden []string
	// Labels are those that callers can get by calls; nil if they are not known.
	Labels []string
	// Groups are the aliases of groups by the ids that they have.
	Groups map[string]string
}

// ended reports whether the check should end.
func (in *Input) ended() bool {
	select {
	case <-in.Done:
		return true
	default:
		return false
	}
}

// maxFindings bounds how many are told of one policy, and of all.
const (
	maxPerPolicy = 50
	maxFindings  = 10_000
)

// Check checks policies. What it finds is sorted by place, equal findings for several
// objects as one: 50 for a policy and 10,000 in all at most. A thousand policies and a
// thousand tools take about a quarter of a second.
func Check(in Input) []Finding {
	policies, warnings, err := source.Parse(in.Files, in.Options)
	in.Policy.Policies, in.Policy.Candidate = policies, nil
	engine, engineErr := policy.New(in.Policy)
	if engineErr != nil { // of binds, which configurations are checked for
		in.Policy.Binds = nil
		engine, _ = policy.New(in.Policy)
	}
	c := &checker{world: newWorld(&in, engine)}
	c.read(in.Files, policies)
	for _, p := range c.subjects {
		if len(c.findings) < maxFindings && !in.ended() {
			c.check(p)
		}
	}
	if err == nil && !in.ended() {
		c.together()
	}
	var mistakes source.Mistakes
	errors.As(err, &mistakes)
	c.addMistakes(mistakes, Error)
	c.addMistakes(warnings, Warning)
	all := sorted(c.findings)
	return all[:min(len(all), maxFindings)]
}

// A checker checks all policies.
type checker struct {
	world    *world
	files    map[string]*syntax.File
	lines    map[string]lines
	subjects []*subject
	findings []Finding
}

// read makes subjects of the policies in files that can be parsed.
func (c *checker) read(files []source.File, policies []*source.Policy) {
	c.files, c.lines = map[string]*syntax.File{}, map[string]lines{}
	places := map[string][]int{} // of policies, by their files
	for i, p := range policies {
		places[p.File] = append(places[p.File], i)
	}
	for _, f := range files {
		text := bytes.TrimPrefix(f.Text, []byte("\uFEFF"))
		c.lines[f.Name] = linesOf(text)
		parsed, err := syntax.Parse(f.Name, text)
		if err != nil {
			continue // which package source tells
		}
		c.files[f.Name] = parsed
		for _, p := range parsed.Policies {
			s := &subject{syntax: p, file: parsed, lines: c.lines[f.Name], id: idOf(f.Name, p), skipErrors: c.world.in.Policy.SkipErrors}
			s.principal, s.looks = principalType(p.Principal), c.world.looksOf(p)
			if of := places[f.Name]; len(of) > 0 {
				s.index, s.read, places[f.Name] = of[0], policies[of[0]], of[1:]
			}
			s.firstLine, s.firstColumn = parsed.Place(p.Start)
			s.lastLine, _ = parsed.Place(p.End)
			c.world.tellsApart = c.world.tellsApart || s.looksAtCaller()
			c.subjects = append(c.subjects, s)
		}
	}
}

// check checks one policy.
func (c *checker) check(p *subject) {
	p.about = c.world.about(p, c.world.objects)
	all := c.world.names(p)
	all = append(all, c.typed(p)...)
	all = append(all, c.world.lints(p)...)
	p.from = len(c.findings)
	for _, f := range all[:min(len(all), maxPerPolicy)] {
		c.findings = append(c.findings, p.finished(f))
	}
	p.to = len(c.findings)
}

// A tally counts for which objects there is a finding.
type tally struct {
	finding
	of []*object
}

// typed are the findings of the types of one policy.
func (c *checker) typed(p *subject) []finding {
	w := c.world
	p.groups = w.columns.groups(p, p.about)
	p.false = make([]bool, len(p.groups))
	groups, known := p.groups, len(p.groups) > 0
	if !known {
		for _, o := range w.about(p, w.anyObjects()) {
			groups = append(groups, []*object{o})
		}
	}
	var tallies []*tally
	for i, g := range groups {
		v := infer(w, p, g[0], nil, func(f finding) { tallies = addTo(tallies, f, g) })
		if known {
			p.false[i] = v.is(false)
		}
	}
	if len(tallies) == 0 {
		return nil
	}
	reached := w.reached(p, groups, tallies)
	var all []finding
	for _, t := range tallies {
		f, told := p.judged(t, reached[t.expr], known, w.isOpen(p))
		if told {
			all = append(all, f)
		}
	}
	return all
}

func addTo(tallies []*tally, f finding, g []*object) []*tally {
	for _, t := range tallies {
		if t.at == f.at && t.code == f.code && t.text == f.text {
			if t.suggestion == "" {
				t.suggestion = f.suggestion
			}
			if !slices.Contains(t.of, g[0]) {
				t.of = append(t.of, g...)
			}
			return tallies
		}
	}
	return append(tallies, &tally{f, slices.Clone(g)})
}

// infer finds what is wrong with the conditions of a policy for one object.
func infer(w *world, p *subject, about *object, visited func(*syntax.Node), found func(finding)) value {
	i := &inference{world: w, policy: p, about: about, found: found, visited: visited}
	return i.conditions()
}

// reached counts for how many objects the expressions are evaluated in which something
// was found.
func (w *world) reached(p *subject, groups [][]*object, tallies []*tally) map[*syntax.Node]int {
	counts, last := map[*syntax.Node]int{}, map[*syntax.Node]*object{}
	for _, t := range tallies {
		counts[t.expr] = 0
	}
	for _, g := range groups {
		infer(w, p, g[0], func(n *syntax.Node) {
			if _, ok := counts[n]; ok && last[n] != g[0] {
				counts[n] += len(g)
				last[n] = g[0]
			}
		}, func(finding) {})
	}
	return counts
}

// judged is a finding in view of the objects for which there is none: what fails for
// some of them only is how a permit chooses, and a forbid denies them.
func (p *subject) judged(t *tally, reached int, known, open bool) (finding, bool) {
	f := t.finding
	depends := p.looks.depends(f.expr)
	some := f.expr != nil && reached > len(t.of)
	if known && depends && f.code != "unknown-attribute" {
		f.objects = t.of
	}
	switch {
	case f.whole && some, !known && depends && (f.whole || some):
		return f, false
	case f.severity != Error:
	case some && f.code != "wrong-type":
		f.severity, f.suggestion = p.consequence()
	case some, depends && open && f.code != "wrong-type":
		f.severity = Warning
	}
	return f, true
}

// consequence is what comes of a condition that cannot be evaluated for some of the
// objects that a policy is about.
func (p *subject) consequence() (Severity, string) {
	switch {
	case p.syntax.Permit:
		return Info, "such a call is not permitted by this"
	case p.skipErrors:
		return Warning, "such a call is not forbidden by this"
	}
	return Warning, "such a call is always denied by this"
}

// depends reports whether an expression looks at the object or its arguments.
func (l *looks) depends(n *syntax.Node) bool {
	if n == nil {
		return false
	}
	depends := false
	syntax.Walk(n, func(n *syntax.Node) bool {
		switch n.Kind {
		case syntax.Variable:
			depends = depends || n.Name == "resource" || n.Name == "context"
		case syntax.Attribute, syntax.Index:
			if base := n.Args[0]; base.Kind == syntax.Variable && base.Name == "context" {
				depends = depends || strings.HasPrefix(n.Name, "arg_") || contains([]string{"input", "size", "bytes"}, n.Name) || contains(l.targets, n.Name)
				return false
			}
		}
		return true
	})
	return depends
}

// isOpen reports whether a policy may be about objects that are not known.
func (w *world) isOpen(p *subject) bool {
	r := p.syntax.Resource
	for _, label := range w.in.Options.Upstreams {
		if w.listed[label] {
			continue
		}
		if len(r.Entities) == 0 {
			return true
		}
		uid := w.ref(r.Entities[0])
		switch {
		case uid.Type == "Upstream" || uid.Type == "MCP":
			if string(uid.ID) == label {
				return true
			}
		case !isObject(uid.Type) || strings.HasPrefix(string(uid.ID), label+"/"):
			return true
		}
	}
	return false
}
