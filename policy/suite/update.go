package suite

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/policy/block"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A Change is one of those that make a test say what policies do.
type Change struct {
	File     string
	Line     int
	Name     string // such as expect; "" where it stays as it is
	Old, New string
	// Kept says why the case is not changed, "" if it is.
	Kept string
}

// Update makes the tests that failed say what policies do: it rewrites expect, by,
// message and count in the files, and leaves all else as it is. It returns the files
// that change, and what does. A case that could not be decided, or that different
// personas decide in different ways, stays; so do includes and excludes.
func (r *Report) Update(files []source.File) (changed []source.File, changes []Change) {
	edits := map[string][]edit{}
	for _, result := range r.Failed() {
		for _, c := range result.Test.Cases {
			e, change := result.update(c)
			changes = append(changes, change...)
			edits[result.Test.File()] = append(edits[result.Test.File()], e...)
		}
	}
	for _, f := range files {
		if all := edits[f.Name]; len(all) > 0 {
			changed = append(changed, source.File{Name: f.Name, Text: apply(f.Text, all)})
		}
	}
	return changed, changes
}

// An edit puts a text in the place of some bytes.
type edit struct {
	start, end int
	text       string
}

// apply makes the edits. A file that was laid out as HCL has it still is afterwards.
func apply(text []byte, edits []edit) []byte {
	tidy := bytes.Equal(block.Format(text), text)
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(text[at:e.start])
		out.WriteString(e.text)
		at = e.end
	}
	out.Write(text[at:])
	if tidy {
		return block.Format(out.Bytes())
	}
	return out.Bytes()
}

// update is how a case has to change.
func (r Result) update(c *Case) ([]edit, []Change) {
	var failures []Failure
	for _, f := range r.Failures {
		if f.Case == c {
			failures = append(failures, f)
		}
	}
	if len(failures) == 0 {
		return nil, nil
	}
	first := failures[0]
	kept := Change{File: r.Test.File(), Line: c.Line()}
	switch {
	case first.Error != "":
		kept.Kept = first.Error
	case len(failures) < len(r.Test.As) || !alike(failures):
		kept.Kept = "what comes of it is not the same for all of its personas; write a test for each"
	case c.Expect == "" && c.Verb != List && c.close.Line == c.at.Line:
		kept.Kept = "it is written in one line; write it over several, so that expect has a place"
	case c.Verb == List && first.got.message == "":
		kept.Kept = "includes and excludes are not rewritten"
	default:
		return r.rewrite(c, first.got)
	}
	return nil, []Change{kept}
}

func alike(failures []Failure) bool {
	for _, f := range failures[1:] {
		if f.Got != failures[0].Got || f.Message != failures[0].Message {
			return false
		}
	}
	return true
}

// rewrite has a case say what came of it.
func (r Result) rewrite(c *Case, got outcome) (edits []edit, changes []Change) {
	set := func(name, old, value string) {
		if old == value {
			return
		}
		at, ok := c.places[name]
		if ok {
			edits = append(edits, edit{at.Start, at.End, value})
		} else {
			edits = append(edits, c.insert(name, value))
		}
		changes = append(changes, Change{File: r.Test.File(), Line: cmp.Or(at.Line, c.Line()), Name: name, Old: old, New: value})
	}
	if c.Verb == List {
		set("count", strconv.Itoa(c.Count), got.message)
		return edits, changes
	}
	set("expect", literal(c.Expect), literal(got.word()))
	by := slices.Clone(c.By)
	slices.Sort(by)
	if (c.By != nil || c.Expect == "") && !slices.Equal(by, got.ids()) {
		set("by", literals(c.By), literals(got.ids()))
	}
	if c.Message != nil && !got.allow {
		set("message", block.Literal(*c.Message), block.Literal(got.message))
	}
	return edits, changes
}

// insert is an attribute in a line of its own before the end of the block.
func (c *Case) insert(name, value string) edit {
	indent := strings.Repeat(" ", max(c.close.Column-1, 0))
	return edit{c.close.Start, c.close.Start, "  " + name + " = " + value + "\n" + indent}
}

func literals(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = block.Literal(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// literal is a text as HCL writes it, "" for none.
func literal(s string) string {
	if s == "" {
		return ""
	}
	return block.Literal(s)
}
