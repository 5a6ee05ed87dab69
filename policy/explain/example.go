package explain

import (
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// maxTries bounds how many requests are tried for an example.
const maxTries = 64

// Example is a request like r, which says who asks for what and in which circumstances,
// but with arguments with which it is allowed: of what policies compare with, of what
// the schema lists, and of numbers beside those. It is nil where none was found, which
// does not mean that there is none. Where how the caller signed in has to be otherwise,
// or anything else beyond the arguments, there is none.
func (x *Explainer) Example(r *policy.Request) *policy.Request {
	a := x.Of(r.Principal, r.Object)
	if a.Outcome == Never || a.Template {
		return nil
	}
	f := a.form
	for i, literals := range alternatives(f) {
		if i >= maxTries {
			break
		}
		made := *r
		made.Arguments = fill(r.Object.Shape().Input, literals, f)
		made.Raw, _ = json.Marshal(made.Arguments) // texts, numbers, lists and maps of them
		if d := x.engine.Decide(&made); d.Allow && !d.WouldDeny {
			return &made
		}
	}
	return nil
}

// alternatives are lists of literals one of which has to hold as a whole, a bounded
// number of them.
func alternatives(f *form) [][]*form {
	switch f.sort {
	case constant:
		if f.yes {
			return [][]*form{nil}
		}
		return nil
	case literal:
		return [][]*form{{f}}
	case some:
		var all [][]*form
		for _, a := range f.args {
			if all = append(all, alternatives(a)...); len(all) >= maxTries {
				return all[:maxTries]
			}
		}
		return all
	}
	all := [][]*form{nil}
	for _, a := range f.args {
		var longer [][]*form
		for _, before := range all {
			for _, more := range alternatives(a) {
				if len(longer) < maxTries {
					longer = append(longer, slices.Concat(before, more))
				}
			}
		}
		all = longer
	}
	return all
}

// fill makes arguments for which the literals hold, as far as that can be seen, and
// without what need not be there.
func fill(input *typed.Type, literals []*form, whole *form) map[string]any {
	made := map[string]any{}
	required(made, input)
	for _, l := range literals {
		switch {
		case l.atom.path != nil:
			if keys := keysOf(l.atom.path.node); keys != nil && (l.yes || len(l.atom.path.needs) == 0 || slices.ContainsFunc(literals, func(o *form) bool { return o.yes && l.atom.depends(o.atom) })) {
				put(made, keys, valueFor(l.atom.path, literals, whole))
			}
		case l.atom.has && l.yes:
			has := l.atom.node.(ast.Has)
			n := ast.Access(has)
			if keys := keysOf(n); keys != nil && !contains(made, keys) {
				if t := typeAt(input, keys); t != nil {
					put(made, keys, sample(t))
				}
			}
		}
	}
	return made
}

// keysOf leads to an argument, nil for anything else. That its size is looked at is
// the same as that it is.
func keysOf(n ast.Node) []string {
	var keys []string
	for {
		access, ok := n.(ast.Access)
		if !ok {
			return nil
		}
		if isContext(access.Arg) {
			if access.Value != "input" || keys == nil {
				return nil
			}
			return keys
		}
		keys = append([]string{string(access.Value)}, keys...)
		n = access.Arg
	}
}

func put(in map[string]any, keys []string, v any) {
	for _, key := range keys[:len(keys)-1] {
		below, ok := in[key].(map[string]any)
		if !ok {
			below = map[string]any{}
			in[key] = below
		}
		in = below
	}
	in[keys[len(keys)-1]] = v
}

func contains(in map[string]any, keys []string) bool {
	for i, key := range keys {
		v, ok := in[key]
		if !ok || i == len(keys)-1 {
			return ok
		}
		in, _ = v.(map[string]any)
	}
	return false
}

func typeAt(t *typed.Type, keys []string) *typed.Type {
	for _, key := range keys {
		f, ok := t.Field(key)
		if !ok {
			return nil
		}
		t = f.Type
	}
	return t
}

// required puts in what has to be there.
func required(in map[string]any, t *typed.Type) {
	for _, f := range t.Fields {
		if f.Required && f.Default == nil {
			in[f.Name] = sample(f.Type)
		}
	}
}

// sample is some value of a type.
func sample(t *typed.Type) any {
	switch t.Kind {
	case typed.Long, typed.Decimal:
		return int64(1)
	case typed.Bool:
		return true
	case typed.Datetime:
		return "2026-01-01T00:00:00Z"
	case typed.Address:
		return "192.0.2.1"
	case typed.Set:
		return []any{}
	case typed.Record:
		m := map[string]any{}
		required(m, t)
		return m
	}
	if len(t.Enum) > 0 {
		return t.Enum[0]
	}
	return "x"
}

// valueFor is a value at the path for which literals about it hold, if one is found.
func valueFor(p *path, literals []*form, whole *form) any {
	about := slices.DeleteFunc(slices.Clone(literals), func(l *form) bool { return l.atom.path == nil || l.atom.path.key != p.key || l.atom.fallible })
	for _, v := range valuesTried(p, about, whole) {
		if !slices.ContainsFunc(about, func(l *form) bool { return l.atom.of(v) != l.yes }) {
			return plain(v)
		}
	}
	return sample(p.typ)
}

// valuesTried are values that may matter at the path.
func valuesTried(p *path, about []*form, whole *form) []types.Value {
	var all []types.Value
	var texts []types.Value // in sets, together
	for _, l := range about {
		ast.Inspect(l.atom.node, func(n ast.Node) bool {
			switch n := n.(type) {
			case ast.Value:
				all = append(all, beside(n.Value)...)
				texts = append(texts, n.Value)
			case ast.Like:
				pattern := strings.Trim(string(n.Value.MarshalCedar()), `"`)
				for _, star := range []string{"", "x"} {
					all = append(all, types.String(strings.ReplaceAll(pattern, "*", star)))
				}
			}
			return true
		})
	}
	if p.typ == nil {
		return all
	}
	switch p.typ.Kind {
	case typed.Set:
		return []types.Value{types.NewSet(texts...), types.NewSet(), types.NewSet(types.String("x"))}
	case typed.Bool:
		return []types.Value{types.True, types.False}
	case typed.String:
		for _, text := range p.typ.Enum {
			all = append(all, types.String(text))
		}
		if p.typ.Enum == nil {
			all = append(all, types.String("x"), types.String(""))
		}
	case typed.Long:
		all = append(all, types.Long(1), types.Long(0), types.Long(math.MaxInt32))
	}
	return all
}

// beside is a value, and numbers and moments next to it.
func beside(v types.Value) []types.Value {
	switch v := v.(type) {
	case types.Long:
		return []types.Value{v, v - 1, v + 1}
	case types.Datetime:
		at := time.UnixMilli(v.Milliseconds())
		return []types.Value{v, types.NewDatetime(at.Add(-time.Second)), types.NewDatetime(at.Add(time.Second))}
	case types.IPAddr:
		return []types.Value{types.IPAddr(netip.PrefixFrom(v.Addr(), v.Addr().BitLen()))}
	}
	return []types.Value{v}
}

// plain is a value as JSON has it.
func plain(v types.Value) any {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Long:
		return int64(v)
	case types.Boolean:
		return bool(v)
	case types.Decimal:
		return v.Float()
	case types.IPAddr:
		return v.Addr().String()
	case types.Datetime:
		return time.UnixMilli(v.Milliseconds()).UTC().Format(time.RFC3339)
	case types.Set:
		list := []any{}
		for _, member := range sorted(v) {
			list = append(list, plain(member))
		}
		return list
	}
	return v.String()
}
