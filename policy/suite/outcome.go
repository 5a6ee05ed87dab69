package suite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/block"
	"github.com/mcpagg/mcpagg/policy/persona"
)

// An outcome is what a request comes to.
type outcome struct {
	allow   bool
	by      []policy.Reason
	why     string
	message string

	observed, failed []policy.Reason
}

// outcomeOf is what the gateway makes of a decision about so many bytes of arguments.
func outcomeOf(d *policy.Decision, size int) outcome {
	o := outcome{allow: d.Allow && !d.WouldDeny, by: d.Reasons, why: d.Why, message: d.Message, observed: d.Observed, failed: d.Errors}
	if most := d.Obligations.MaxBytesIn; o.allow && most > 0 && int64(size) > most {
		o.allow, o.why = false, fmt.Sprintf("the arguments have %d bytes, and @max_bytes_in allows %d", size, most)
	}
	return o
}

// hide has the caller not know of what they asked for: the gateway tells them nothing
// but that it does not exist.
func (o *outcome) hide(list string) {
	o.message = ""
	o.why += "; it is not in their list of " + list + ", and so they are told that it does not exist"
}

func (o outcome) word() string {
	if o.allow {
		return "allow"
	}
	return "deny"
}

// ids are the policies that decided, sorted.
func (o outcome) ids() []string {
	ids := []string{}
	for _, r := range o.by {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return ids
}

// compare is how the outcome is not as the case has it, nil if it is.
func (o outcome) compare(c *Case) *Failure {
	by := slices.Clone(c.By)
	slices.Sort(by)
	same := o.word() == c.Expect && (c.By == nil || slices.Equal(by, o.ids())) &&
		(c.Message == nil || *c.Message == o.message)
	if same {
		return nil
	}
	return &Failure{
		Expected: o.expected(c), Got: withIDs(o.word(), o.ids(), true), By: o.by, Why: o.why, Message: o.message, got: o,
	}
}

func (o outcome) expected(c *Case) string {
	switch {
	case c.Expect == "":
		return `nothing: write expect = "allow" or "deny", or have --update write it`
	case c.Message != nil && *c.Message != o.message:
		return withIDs(c.Expect, c.By, c.By != nil) + ", with the message " + block.Quote(*c.Message)
	}
	return withIDs(c.Expect, c.By, c.By != nil)
}

// withIDs is a word, and by what that is decided, if that is said.
func withIDs(word string, ids []string, said bool) string {
	switch {
	case !said:
		return word
	case len(ids) == 0:
		return word + " by no policy"
	}
	shown := make([]string, len(ids))
	for i, id := range ids {
		shown[i] = block.Plain(id)
	}
	return word + " by " + strings.Join(shown, ", ")
}

// list compares what a caller sees with what a case has.
func (r *runner) list(t *Test, c *Case, p *persona.Persona) *Failure {
	things := r.names.of(c.Name)
	objects := make([]*policy.Object, len(things))
	for i, one := range things {
		objects[i] = one.object
	}
	seen := map[*thing]bool{}
	for i, visible := range r.engine.View(r.caller(p, t.Now), objects) {
		if visible {
			seen[things[i]] = true
		}
	}
	for _, wanted := range []bool{true, false} {
		if f := r.listed(c, seen, wanted); f != nil {
			return f
		}
	}
	if c.Count >= 0 && c.Count != len(seen) {
		return &Failure{
			Expected: fmt.Sprintf("%d %s", c.Count, c.Name),
			Got:      fmt.Sprintf("%d: %s", len(seen), some(things, seen)),
			got:      outcome{message: fmt.Sprint(len(seen))},
		}
	}
	return nil
}

// listed compares the patterns for what has to be seen, or must not be.
func (r *runner) listed(c *Case, seen map[*thing]bool, wanted bool) *Failure {
	patterns, expected, got := c.Includes, "listed", "not listed: "
	if !wanted {
		patterns, expected, got = c.Excludes, "not listed", "listed: "
	}
	for _, pattern := range patterns {
		things, err := r.names.match(c.Name, pattern)
		if err != nil {
			return &Failure{Error: err.Error()}
		}
		wrong := map[*thing]bool{}
		for _, one := range things {
			if seen[one] != wanted {
				wrong[one] = true
			}
		}
		if len(wrong) > 0 {
			return &Failure{Expected: block.Quote(pattern) + " " + expected, Got: got + some(things, wrong)}
		}
	}
	return nil
}

// shownThings bounds how many names are listed.
const shownThings = 10

// some are the first origins of things.
func some(things []*thing, among map[*thing]bool) string {
	var shown []string
	for _, t := range things {
		if !among[t] {
			continue
		}
		if len(shown) == shownThings {
			return strings.Join(shown, ", ") + fmt.Sprintf(" and %d more", len(among)-shownThings)
		}
		shown = append(shown, block.Plain(t.origin))
	}
	if shown == nil {
		return "none"
	}
	return strings.Join(shown, ", ")
}
