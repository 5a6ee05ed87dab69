package survey

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A Sort of callers says where they come from.
type Sort string

// The sorts of callers, in the order in which they are shown.
const (
	OfTests  Sort = "persona" // of the tests
	Made     Sort = "made"    // of what somebody asked for
	Anybody  Sort = "anybody"
	OfGroup  Sort = "group"
	OfRole   Sort = "role"
	OfApp    Sort = "app"
	OfPerson Sort = "person" // or of a program that policies name
	OfSort   Sort = "kind"   // guests and programs
)

// A Caller is somebody who is asked about.
type Caller struct {
	*persona.Persona
	Sort Sort
}

// IsSpokenOf reports whether the caller is one that policies speak of, whose name says all
// about it.
func (c Caller) IsSpokenOf() bool { return c.Sort != OfTests && c.Sort != Made }

// Callers are the personas of tests, and those that policies speak of: anybody, one in
// each group that is named, with each role, with each app, each person and program, and
// a guest and a program where policies tell such apart. A persona has precedence over
// others of its name.
func Callers(policies []*source.Policy, personas []*persona.Persona) []Caller {
	var all []Caller
	taken := map[string]bool{}
	add := func(s Sort, p *persona.Persona) {
		if !taken[p.Name] {
			taken[p.Name] = true
			all = append(all, Caller{p, s})
		}
	}
	for _, p := range personas {
		add(OfTests, p)
	}
	for _, p := range persona.Atoms(policies) {
		add(sortOf(p), p)
	}
	m := mentionsOf(policies)
	for _, app := range m.ids("App") {
		if app != "unknown" { // which all others have
			add(OfApp, &persona.Persona{Name: "App " + app, ID: "somebody", App: app})
		}
	}
	for _, id := range m.ids("User") {
		add(OfPerson, &persona.Persona{Name: "User " + id, ID: id})
	}
	for _, id := range m.ids("Workload") {
		add(OfPerson, &persona.Persona{Name: "Workload " + id, ID: id, Workload: true})
	}
	if m.guests {
		add(OfSort, &persona.Persona{Name: "a guest", ID: "somebody", Guest: true})
	}
	if m.programs {
		add(OfSort, &persona.Persona{Name: "a program", ID: "something", Workload: true})
	}
	return all
}

// sortOf is that of a persona that policies speak of.
func sortOf(p *persona.Persona) Sort {
	switch {
	case len(p.Groups) > 0:
		return OfGroup
	case len(p.Roles) > 0:
		return OfRole
	}
	return Anybody
}

// mentioned is what policies say of callers.
type mentioned struct {
	entities         map[types.EntityType][]string
	guests, programs bool
}

func mentionsOf(policies []*source.Policy) mentioned {
	m := mentioned{entities: map[types.EntityType][]string{}}
	for _, p := range policies {
		mentions := source.MentionsOf(p)
		for _, uid := range mentions.Entities {
			m.entities[uid.Type] = append(m.entities[uid.Type], string(uid.ID))
		}
		m.guests = m.guests || slices.Contains(mentions.Principal, "guest")
		m.programs = m.programs || asksForPrograms(p)
	}
	return m
}

func (m mentioned) ids(t types.EntityType) []string {
	slices.Sort(m.entities[t])
	return slices.Compact(m.entities[t])
}

// known are the circumstances of which a persona says something.
func (c Caller) known() []string {
	var names []string
	if c.MFA || len(c.ACRs) > 0 || c.AuthAge != nil {
		names = append(names, "auth")
	}
	if c.IP.IsValid() {
		names = append(names, "ip")
	}
	return names
}

// About says in a few words who a caller is, beyond the name; "" if that says it.
func (c Caller) About() string {
	var all []string
	add := func(prefix string, values []string) {
		if len(values) > 0 {
			all = append(all, prefix+strings.Join(values, ", "))
		}
	}
	add("groups ", c.Groups)
	add("roles ", c.Roles)
	add("scopes ", c.Scopes)
	if c.App != "" {
		all = append(all, "app "+c.App)
	}
	for _, is := range []struct {
		so   bool
		text string
	}{
		{c.GroupsUnknown, "groups not known"},
		{c.Guest, "guest"},
		{c.Workload, "program"},
		{c.MFA, "second factor"},
	} {
		if is.so {
			all = append(all, is.text)
		}
	}
	add("acrs ", c.ACRs)
	if c.AuthAge != nil {
		all = append(all, "signed in "+c.AuthAge.String()+" ago")
	}
	if c.IP.IsValid() {
		all = append(all, "from "+c.IP.String())
	}
	if n := len(c.Claims); n > 0 {
		all = append(all, fmt.Sprintf("claims: %d", n))
	}
	return strings.Join(all, "; ")
}

// asksForPrograms reports whether a policy tells persons and programs apart.
func asksForPrograms(p *source.Policy) bool {
	found := false
	note := func(t types.EntityType) { found = found || t == "Workload" || t == "User" }
	switch s := p.AST.Principal.(type) {
	case ast.ScopeIs:
		note(s.Type)
	case ast.ScopeIsIn:
		note(s.Type)
	}
	for _, c := range p.AST.Conditions {
		ast.Inspect(c.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case ast.Is:
				note(n.EntityType)
			case ast.IsIn:
				note(n.EntityType)
			}
			return true
		})
	}
	return found
}
