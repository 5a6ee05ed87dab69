package policytest

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A search makes requests of one caller about one object that policies may well
// allow: of the values that all cases have, and of what the policies compare with.
type search struct {
	g        *Generator
	literals *literals
	// One caller, who has proved in several ways who that is.
	principals []*policy.Principal
	object     Object
	made       *policy.Object
	input      *typed.Type // of the arguments
}

func (g *Generator) search(l *literals, c Caller, o Object, made *policy.Object) *search {
	s := &search{g: g, literals: l, object: o, made: made, input: &typed.Type{Kind: typed.Record}}
	for range 6 {
		c.Auth = policy.Auth{Contexts: g.some("c1", "c2"), Methods: g.some("mfa", "pwd")}
		if g.chance(80) {
			c.Auth.Time = moments[0].Add(-time.Duration(g.IntN(120)) * time.Minute)
		}
		s.principals = append(s.principals, c.Principal())
	}
	switch {
	case o.Tool != nil:
		s.input = typed.New(o.Tool.InputSchema).Input
	case o.Prompt != nil:
		s.input = typed.ForPrompt(o.Prompt.Arguments).Input
	}
	return s
}

// request is the ith. The first have as few arguments as there can be, and as many.
func (s *search) request(i int) *policy.Request {
	r := &policy.Request{
		Principal: pick(s.g, s.principals...), Object: s.made, Now: s.moment(),
		Session: policy.Session{Calls: pick(s.g, 0, 1, 3, max(s.number(), 0)), Labels: s.g.some("private", "secret", s.text())},
	}
	if s.g.chance(85) {
		r.IP = netip.MustParseAddr(s.address())
	}
	if s.object.Resource == nil {
		r.Raw = s.arguments(i)
		r.Arguments, _ = decode(r.Raw) // which are JSON
	}
	return r
}

func (s *search) arguments(i int) json.RawMessage {
	percent := pick(s.g, 20, 50, 80)
	switch {
	case i == 0:
		percent = 0
	case i == 1:
		percent = 100
	case i%3 == 0:
		return s.pad(s.g.Arguments(s.object))
	}
	raw, _ := json.Marshal(s.record(s.input, percent)) // which is JSON
	return s.pad(raw)
}

// pad makes raw as long as some number, if it is shorter.
func (s *search) pad(raw json.RawMessage) json.RawMessage {
	if n := s.number() - int64(len(raw)); n > 0 && n < 1000 && s.g.chance(50) {
		return append(bytes.Repeat([]byte(" "), int(n)), raw...)
	}
	return raw
}

// record has what must be there, and of the rest as many percent.
func (s *search) record(t *typed.Type, percent int) map[string]any {
	m := map[string]any{}
	for _, f := range t.Fields {
		if f.Required && f.Default == nil || s.g.chance(percent) {
			m[f.Name] = s.value(f.Type, percent)
		}
	}
	return m
}

func (s *search) value(t *typed.Type, percent int) any {
	switch t.Kind {
	case typed.Long:
		return s.number()
	case typed.Bool:
		return s.g.chance(50)
	case typed.Decimal:
		if d, err := types.ParseDecimal(s.text()); err == nil {
			return json.Number(d.String())
		}
		return pick[any](s.g, s.number()%1000, 0.25, 1.5)
	case typed.Datetime:
		return s.moment().Format(time.RFC3339Nano)
	case typed.Address:
		return s.address()
	case typed.Set:
		list := []any{}
		for range s.g.IntN(4) {
			list = append(list, s.value(t.Elem, percent))
		}
		return list
	case typed.Record:
		return s.record(t, percent)
	}
	if len(t.Enum) > 0 {
		return pick(s.g, t.Enum...)
	}
	return s.text()
}

func (s *search) text() string { return pick(s.g, s.literals.texts...) }

func (s *search) number() int64 { return pick(s.g, s.literals.numbers...) }

// moment is one of those of all cases, or one near what a policy names.
func (s *search) moment() time.Time {
	if d, err := types.ParseDatetime(s.text()); err == nil {
		return time.UnixMilli(d.Milliseconds() + int64(s.g.IntN(3)) - 1).UTC()
	}
	return pick(s.g, moments...)
}

func (s *search) address() string {
	if a, err := netip.ParseAddr(s.text()); err == nil {
		return a.String()
	}
	return pick(s.g, "10.1.2.3", "10.0.0.1", "203.0.113.7")
}
