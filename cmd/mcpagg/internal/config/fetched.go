package config

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/secrets"
	"github.com/mcpagg/mcpagg/upstream"
)

// The function secret() fetches nothing. What it yields is a placeholder that
// nobody can guess, marked with a reference. Attributes that are secret take
// texts with placeholders apart, and have the values filled in each time they
// are used. Everywhere else the mark makes it a mistake.

// A secretRef is one secret that expressions refer to.
type secretRef struct {
	source, name string
	text         string // the placeholder
}

func (r *secretRef) String() string { return r.source + "/" + r.name }

// references are those of one configuration.
type references struct {
	key     string // of the placeholders
	pattern *regexp.Regexp
	list    []*secretRef
	uses    []use
	sources map[string]*secretSource // by name; complete once the configuration is decoded
}

// A use is a reference in an attribute.
type use struct {
	*secretRef
	in input
}

// A secretSource is a secrets block in use.
type secretSource struct {
	definition string // equal for blocks that say the same, and reveals nothing
	cache      *secrets.Cache
}

func newReferences() *references {
	key := "secret" + rand.Text()
	return &references{key: key, pattern: regexp.MustCompile(key + "n([0-9]+)e"), sources: map[string]*secretSource{}}
}

// to is the reference to a secret, always the same one.
func (rs *references) to(source, name string) *secretRef {
	for _, r := range rs.list {
		if r.source == source && r.name == name {
			return r
		}
	}
	r := &secretRef{source, name, fmt.Sprintf("%sn%de", rs.key, len(rs.list))}
	rs.list = append(rs.list, r)
	return r
}

// A part of a text is a reference, or literal text if that is nil.
type part struct {
	literal   string
	reference *secretRef
}

// split takes a text apart. It fails if a placeholder in it is not whole.
func (rs *references) split(text string) (parts []part, ok bool) {
	at := 0
	for _, m := range rs.pattern.FindAllStringSubmatchIndex(text, -1) {
		n, err := strconv.Atoi(text[m[2]:m[3]])
		if err != nil || n >= len(rs.list) || rs.list[n].text != text[m[0]:m[1]] {
			return nil, false // such as one that was cut off, and something else put behind it
		}
		if m[0] > at {
			parts = append(parts, part{literal: text[at:m[0]]})
		}
		parts = append(parts, part{reference: rs.list[n]})
		at = m[1]
	}
	if at < len(text) {
		parts = append(parts, part{literal: text[at:]})
	}
	for _, p := range parts {
		if strings.Contains(p.literal, rs.key[:12]) {
			return nil, false
		}
	}
	return parts, true
}

// fetchable is a value that can be fetched when it is used.
type fetchable interface{ fetchable() }

func (*secret) fetchable()      {}
func (*headers) fetchable()     {}
func (*environment) fetchable() {}

// isFetched reports whether a value is, or depends on, a secret that is fetched
// when it is used.
func isFetched(v cty.Value) bool {
	_, marks := v.UnmarkDeep()
	return len(referencesIn(marks)) > 0
}

func referencesIn(marks cty.ValueMarks) map[*secretRef]bool {
	in := map[*secretRef]bool{}
	for mark := range marks {
		if r, ok := mark.(*secretRef); ok {
			in[r] = true
		}
	}
	return in
}

// secretText is the input, which is the text, as a secret. problem says what is
// wrong with a part of it, or "". It is nil after noting a mistake.
func (in input) secretText(text string, problem func(string) string) upstream.Secret {
	_, marks := in.value.UnmarkDeep()
	missing := referencesIn(marks)
	if len(missing) == 0 {
		return constant(text)
	}
	parts, whole := in.d.fetched.split(text)
	for _, p := range parts {
		if p.reference != nil {
			in.d.fetched.uses = append(in.d.fetched.uses, use{p.reference, in})
			delete(missing, p.reference)
		}
	}
	if !whole || len(missing) > 0 {
		in.mistake("A secret is fetched when it is used: it can be put into text, but neither be changed nor decide on anything.")
		return nil
	}
	return in.d.fetched.fill(parts, problem)
}

// isName refuses a key that is a secret.
func (in input) isName(name string) bool {
	if strings.Contains(name, in.d.fetched.key) {
		in.mistake("A secret is fetched when it is used, so it cannot be a name.")
		return false
	}
	return true
}

// fill is the secret that the parts make, each time it is used.
func (rs *references) fill(parts []part, problem func(string) string) upstream.Secret {
	return func(ctx context.Context) (string, error) {
		var text strings.Builder
		for _, p := range parts {
			if p.reference == nil {
				text.WriteString(p.literal)
				continue
			}
			value, err := rs.fetch(ctx, p.reference)
			if err != nil {
				return "", err
			}
			if wrong := problem(value); wrong != "" {
				return "", fmt.Errorf("secret %v: its value %s; store another one", p.reference, wrong)
			}
			if len(parts) > 1 { // else it is the whole text
				upstream.Conceal(ctx, value)
			}
			text.WriteString(value)
		}
		return text.String(), nil
	}
}

func (rs *references) fetch(ctx context.Context, r *secretRef) (string, error) {
	s := rs.sources[r.source]
	if ctx.Value(notFetching{}) != nil {
		return fmt.Sprintf("[%s of %s]", strconv.Quote(r.name), s.definition), nil
	}
	return s.cache.Get(ctx, r.name)
}

type notFetching struct{}

// withoutFetching makes secrets say where they come from instead of fetching them, so
// that two can be compared.
func withoutFetching(ctx context.Context) context.Context {
	return context.WithValue(ctx, notFetching{}, true)
}

func (d *decoder) secretFunction() function.Function {
	param := func(name string) function.Parameter {
		return function.Parameter{Name: name, Type: cty.String, AllowMarked: true}
	}
	return function.New(&function.Spec{
		Params: []function.Parameter{param("source"), param("name")},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for _, arg := range args {
				if arg.IsMarked() {
					return cty.NilVal, &functionError{"Invalid secret", "The name of a secret is printed in errors, so it cannot come from the environment, a file or a secret."}
				}
			}
			r := d.fetched.to(args[0].AsString(), args[1].AsString())
			d.secrets[r.text] = origin(r.String())
			return cty.StringVal(r.text).WithMarks(cty.NewValueMarks(r, origin(r.String()))), nil
		},
	})
}

// knownOnly is a function of texts that refuses secrets which are fetched later.
func knownOnly(f function.Function, name, instead string) function.Function {
	check := func(args []cty.Value) error {
		for _, arg := range args {
			if isFetched(arg) {
				return &functionError{"Invalid use of a secret", fmt.Sprintf("A secret is fetched when it is used, and %s needs its value before; %s.", name, instead)}
			}
		}
		return nil
	}
	params := f.Params()
	for i := range params {
		params[i].AllowMarked = true
	}
	rest := f.VarParam()
	if rest != nil {
		rest.AllowMarked = true
	}
	return function.New(&function.Spec{
		Params:   params,
		VarParam: rest,
		Type: func(args []cty.Value) (cty.Type, error) {
			if err := check(args); err != nil {
				return cty.NilType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}

// coalesceFunction is the library's, but the result is marked as the value that
// it is, not as all those that it could have been.
var coalesceFunction = function.New(&function.Spec{
	VarParam: &function.Parameter{Name: "values", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true},
	Type: func(args []cty.Value) (cty.Type, error) {
		bare := make([]cty.Value, len(args))
		for i, arg := range args {
			bare[i], _ = arg.UnmarkDeep()
		}
		return stdlib.CoalesceFunc.ReturnTypeForValues(bare)
	},
	Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
		for _, arg := range args {
			bare, _ := arg.Unmark()
			switch {
			case !bare.IsKnown():
				return cty.UnknownVal(t), nil
			case !bare.IsNull():
				return convert.Convert(arg, t)
			}
		}
		return cty.NilVal, fmt.Errorf("no value that is not null")
	},
})

// UseSecrets says where to log that secrets cannot be fetched, and what was
// loaded before: sources with the same definition keep the values that they
// have. It must be called before the first secret is used. before may be nil.
func (c *Config) UseSecrets(log *slog.Logger, before *Config) {
	for name, s := range c.secrets {
		if before != nil {
			if old := before.secrets[name]; old != nil && old.definition == s.definition {
				s.cache = old.cache
			}
		}
		s.cache.LogTo(log)
	}
}

// CloseSecrets ends what is being fetched, and waits for that.
func (c *Config) CloseSecrets() {
	for _, s := range c.secrets {
		s.cache.Close()
	}
}
