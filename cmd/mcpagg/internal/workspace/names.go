package workspace

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/policy"
)

// A listing is what the catalog says of an object.
type listing struct {
	kind      string // tool, prompt, resource or template
	original  string
	published string       // "" if it is not known
	tool      *policy.Tool // nil for what is none
}

// index makes the objects of the catalog.
func (w *Workspace) index() {
	w.Objects = w.Catalog.Objects()
	w.byName, w.listed = map[string][]int{}, map[*policy.Object]listing{}
	next := 0
	add := func(l listing) {
		o := w.Objects[next]
		w.listed[o] = l
		for _, name := range []string{l.published, o.Origin(), o.String()} {
			if name != "" && !slices.Contains(w.byName[name], next) {
				w.byName[name] = append(w.byName[name], next)
			}
		}
		next++
	}
	for i := range w.Catalog.Tools {
		t := &w.Catalog.Tools[i]
		add(listing{"tool", t.Original, t.Published, t})
	}
	for _, p := range w.Catalog.Prompts {
		add(listing{"prompt", p.Original, p.Published, nil})
	}
	for _, r := range w.Catalog.Resources {
		add(listing{"resource", r.URI, r.Published, nil})
	}
	for _, r := range w.Catalog.Templates {
		add(listing{"template", r.URI, r.Published, nil})
	}
}

// Published is the name that clients know an object by: the name of a tool or prompt, or
// a URI. It is the origin where that is not known.
func (w *Workspace) Published(o *policy.Object) string {
	if name := w.listed[o].published; name != "" {
		return name
	}
	return o.Origin()
}

// Kind is what an object is: tool, prompt, resource or template.
func (w *Workspace) Kind(o *policy.Object) string { return w.listed[o].kind }

// Tool is what the catalog says of an object, nil if it is no tool.
func (w *Workspace) Tool(o *policy.Object) *policy.Tool { return w.listed[o].tool }

// Find is the object that people mean by a name: its published name, its origin such as
// github/create_issue, how policies write it, such as Tool::"github/create_issue", or
// its upstream's own name where only one has it. Tools come before anything else of the
// same name. The error says what may have been meant.
func (w *Workspace) Find(name string) (*policy.Object, error) {
	if places := w.byName[name]; len(places) > 0 {
		return w.Objects[places[0]], nil
	}
	var own []*policy.Object
	for _, o := range w.Objects {
		if w.listed[o].original == name {
			own = append(own, o)
		}
	}
	switch len(own) {
	case 0:
		return nil, cli.UsageError("there is nothing called %q%s", cli.Visible(name), w.meant(name))
	case 1:
		return own[0], nil
	}
	return nil, cli.UsageError("%q can be %s; write which one", cli.Visible(name), w.names(own))
}

// Match is all objects whose published name or origin one of the patterns matches, in
// their order. A pattern without * is a name as [Workspace.Find] takes it, and every
// pattern has to match something.
func (w *Workspace) Match(patterns []string) ([]*policy.Object, error) {
	chosen := map[*policy.Object]bool{}
	for _, p := range patterns {
		if !strings.Contains(p, "*") {
			o, err := w.Find(p)
			if err != nil {
				return nil, err
			}
			chosen[o] = true
			continue
		}
		before := len(chosen)
		for _, o := range w.Objects {
			if glob(p, o.Origin()) || glob(p, w.listed[o].published) {
				chosen[o] = true
			}
		}
		if len(chosen) == before {
			return nil, cli.UsageError("nothing is called %q; see what there is with: mcpagg catalog", cli.Visible(p))
		}
	}
	return slices.DeleteFunc(slices.Clone(w.Objects), func(o *policy.Object) bool { return !chosen[o] }), nil
}

// glob reports whether the pattern matches a text; "*" is any text.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}

const (
	// mostMeant bounds how many names are suggested, and maxCompared how long names are
	// that others are compared with.
	mostMeant   = 3
	maxCompared = 100
)

// meant is what to say of names that are near, or how to see all.
func (w *Workspace) meant(name string) string {
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	folded := fold(name)
	for _, o := range w.Objects {
		l := w.listed[o]
		distance := max(len(folded)/3, 1) + 1
		for _, other := range []string{l.published, o.Origin(), l.original} {
			distance = min(distance, apart(folded, fold(other)))
		}
		if distance <= max(len(folded)/3, 1) {
			near = append(near, candidate{o.Origin(), distance})
		}
	}
	if len(near) == 0 {
		return "; see what there is with: mcpagg catalog"
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return a.distance - b.distance })
	var names []string
	for _, c := range near[:min(len(near), mostMeant)] {
		names = append(names, cli.Visible(c.name))
	}
	return "; did you mean " + strings.Join(names, " or ") + "?"
}

// apart is how many letters differ.
func apart(a, b string) int {
	if a == b {
		return 0
	}
	if d := len(a) - len(b); d > 5 || d < -5 {
		return maxCompared // which saves time
	}
	return levenshtein.Distance(a, b, nil)
}

// fold leaves of a name what matters to a reader.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_ ./", r) {
			return -1
		}
		return r
	}, strings.ToLower(s[:min(len(s), maxCompared)]))
}

// names are some objects for a message.
func (w *Workspace) names(objects []*policy.Object) string {
	var names []string
	for i, o := range objects {
		if i == mostMeant {
			names = append(names, fmt.Sprintf("%d more", len(objects)-i))
			break
		}
		names = append(names, cli.Visible(o.Origin()))
	}
	return strings.Join(names, " or ")
}
