package check

import (
	"fmt"
	"slices"

	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// together finds what can only be known once all policies could be read: those that are
// never satisfied, or never count beside others.
func (c *checker) together() {
	w := c.world
	denied := w.denied(c.subjects)
	for _, p := range c.subjects {
		if p.observed() || w.in.ended() {
			continue
		}
		satisfiable := w.satisfiable(p)
		p.satisfiable = setOf(satisfiable)
		switch {
		case len(satisfiable) == 0:
			c.impossible(p, len(p.groups) > 0)
		case p.syntax.Permit:
			c.shadowed(p, satisfiable, denied)
		}
	}
	c.overlaps()
	for _, p := range c.subjects {
		for _, note := range p.read.Rewritten {
			c.add(p, finding{severity: Info, code: "toolhive-form", at: p.syntax.Effect, text: note, suggestion: "mcpagg policy fmt --upgrade writes it so"})
		}
	}
}

func (c *checker) add(p *subject, f finding) {
	if len(c.findings) < maxFindings {
		c.findings = append(c.findings, p.finished(f))
	}
}

// because reports whether it was said already why a policy is never satisfied. A name
// that is not there is an error then.
func (c *checker) because(p *subject) bool {
	said := false
	for i := p.from; i < p.to; i++ {
		f := &c.findings[i]
		if f.Severity == Info {
			continue
		}
		if f.Code == "unknown-argument" && p.syntax.Resource.Op != "" {
			f.Severity = Error
		}
		said = said || f.Severity == Error || f.Code == "untrusted-hint" || f.Code == "unknown-argument"
	}
	return said
}

// satisfiable are the objects for which a policy may be satisfied.
func (w *world) satisfiable(p *subject) []*object {
	var all []*object
	if p.contradiction() != nil {
		return nil
	}
	for i, g := range p.groups {
		if !p.false[i] && g[0].study.Anybody(p.index)&may.True != 0 {
			all = append(all, g...)
		}
	}
	return all
}

// impossible reports a policy that is never satisfied, unless it was said why, or it may be
// satisfied for what is not known. About says that there are objects that it is about.
func (c *checker) impossible(p *subject, about bool) {
	about = about || p.switchedOff() != nil || p.contradiction() != nil
	if !about || c.because(p) || c.world.maybeElsewhere(p) {
		return
	}
	f := finding{severity: Error, code: "impossible", at: p.syntax.Effect, text: "this policy is never satisfied, whatever is asked for"}
	if n := p.switchedOff(); n != nil {
		f.severity, f.at = Warning, n.Span
		f.suggestion = "remove the policy, or write @observe above it to have it logged"
	} else if n := p.contradiction(); n != nil {
		f.at, f.text = n.Span, fmt.Sprintf("this policy is never satisfied: %s cannot hold beside what stands before", p.words(n))
	}
	c.add(p, f)
}

// maybeElsewhere reports whether a policy may be satisfied for objects that are not known:
// those of upstreams that are down, and those of a kind of which there is none now.
func (w *world) maybeElsewhere(p *subject) bool {
	open := w.isOpen(p)
	return slices.ContainsFunc(w.anyObjects(), func(o *object) bool {
		known := slices.ContainsFunc(w.objects, func(k *object) bool { return k.action == o.action })
		return (open || !known) && w.holds(p, o) && !w.contradicts(p, o)
	})
}

// switchedOff is the literal that alone makes a policy impossible, nil if there is none.
func (p *subject) switchedOff() *syntax.Node {
	for _, c := range p.syntax.Conditions {
		if n := bare(c.Body); n.Kind == syntax.Literal && restricts(c) {
			return n
		}
	}
	return nil
}

// shadowed reports a permit that forbids leave nothing of.
func (c *checker) shadowed(p *subject, objects []*object, denied map[*object]*subject) {
	var by *subject
	for _, o := range objects {
		if by = denied[o]; by == nil {
			if by = c.world.covered(p, o, c.subjects); by == nil {
				return
			}
		}
	}
	c.add(p, finding{
		severity: Warning, code: "shadowed", at: p.syntax.Effect, text: fmt.Sprintf("this permit never counts: %s forbids all that it permits", plain(by.id)),
		suggestion: "remove it, or let the forbid spare what is meant: unless { … }",
	})
}

// denied are the objects that a forbid denies always, whoever asks.
func (w *world) denied(all []*subject) map[*object]*subject {
	denied := map[*object]*subject{}
	for _, p := range all {
		if p.syntax.Permit || p.observed() || w.in.ended() {
			continue
		}
		for _, g := range p.groups {
			if !w.engine.Denies(g[0].study.Anybody(p.index)) {
				continue
			}
			for _, o := range g {
				if denied[o] == nil {
					denied[o] = p
				}
			}
		}
	}
	return denied
}

// overlaps reports permits of which others demand something else of the same calls.
func (c *checker) overlaps() {
	var demanding []*subject
	for _, p := range c.subjects {
		if o := p.read.Obligations; p.syntax.Permit && !p.observed() && (len(o.Rates) > 0 || o.MaxBytesIn > 0 || o.MaxBytesOut > 0) {
			demanding = append(demanding, p)
		}
	}
	const most = 500
	for i, p := range demanding[:min(len(demanding), most)] {
		for _, other := range demanding[:i] {
			if what := differs(p.read.Obligations, other.read.Obligations); what != "" && p.satisfiable.meets(other.satisfiable) {
				c.add(p, finding{
					severity: Info, code: "overlapping-obligations", at: p.obligation(what), suggestion: "the strictest of each holds where both are satisfied",
					text: fmt.Sprintf("%s says @%s otherwise, of calls that this permits too", plain(other.id), what),
				})
				break
			}
		}
	}
}

// differs is the annotation in which two permits demand different things, "" for none.
func differs(a, b source.Obligations) string {
	switch {
	case len(a.Rates) > 0 && len(b.Rates) > 0 && !slices.Equal(a.Rates, b.Rates):
		return "rate"
	case a.MaxBytesIn > 0 && b.MaxBytesIn > 0 && a.MaxBytesIn != b.MaxBytesIn:
		return "max_bytes_in"
	case a.MaxBytesOut > 0 && b.MaxBytesOut > 0 && a.MaxBytesOut != b.MaxBytesOut:
		return "max_bytes_out"
	}
	return ""
}

// A bitset is a set of objects by their places.
type bitset []uint64

func setOf(objects []*object) bitset {
	var b bitset
	for _, o := range objects {
		for len(b) <= o.at/64 {
			b = append(b, 0)
		}
		b[o.at/64] |= 1 << (o.at % 64)
	}
	return b
}

// meets reports whether two sets have a member in common.
func (b bitset) meets(other bitset) bool {
	for i := range min(len(b), len(other)) {
		if b[i]&other[i] != 0 {
			return true
		}
	}
	return false
}

// obligation is where a policy has an annotation.
func (p *subject) obligation(name string) syntax.Span {
	for _, a := range p.syntax.Annotations {
		if a.Name == name {
			return a.Span
		}
	}
	return p.syntax.Effect
}
