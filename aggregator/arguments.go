package aggregator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A schema checks the arguments of one tool against its input schema.
type schema struct {
	shape    *location            // which properties are declared where
	resolved *jsonschema.Resolved // nil where the validator cannot use the schema
}

// knownDialects are the values of "$schema" that the validator accepts; a
// schema in another dialect is read as 2020-12, MCP's default.
var knownDialects = []string{"http://json-schema.org/draft-07/schema", "https://json-schema.org/draft-07/schema", "https://json-schema.org/draft/2020-12/schema"}

// compileSchema fails for a schema that cannot be used to check all that it
// says: a reference to another document, a pattern in a dialect of its own, or
// one whose evaluation may take for ever. What is left of it is returned, too.
func compileSchema(raw json.RawMessage) (*schema, error) {
	root, err := decode(raw)
	if err != nil {
		return nil, err
	}
	shape, err := readShape(root)
	if err != nil {
		return nil, err
	}
	loosen(root)
	spelling := &schema{shape: shape}
	var s jsonschema.Schema
	if err := json.Unmarshal(rawjson.Value(root), &s); err != nil {
		return spelling, err
	}
	if !slices.Contains(knownDialects, strings.TrimSuffix(s.Schema, "#")) {
		s.Schema = ""
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return spelling, err
	}
	return &schema{shape: shape, resolved: resolved}, nil
}

// loosen takes out of a schema what the validator, which holds such numbers as
// float64, would judge wrongly: an upstream's own check is better than a legal
// argument refused. It leaves the shape as it is.
func loosen(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		for _, key := range []string{"maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "const", "enum"} {
			if inexact(s[key]) {
				delete(s, key)
			}
		}
		if step, ok := s["multipleOf"].(float64); ok && step != math.Trunc(step) {
			delete(s, "multipleOf")
		}
		for _, below := range s {
			loosen(below)
		}
	case []any:
		for _, below := range s {
			loosen(below)
		}
	}
}

// inexact reports whether v is, or contains, an integer beyond 2^53.
func inexact(v any) bool {
	switch v := v.(type) {
	case int64:
		return v > 1<<53 || v < -1<<53
	case float64:
		return v == math.Trunc(v) && math.Abs(v) > 1<<53
	case []any:
		return slices.ContainsFunc(v, inexact)
	case map[string]any:
		for _, below := range v {
			if inexact(below) {
				return true
			}
		}
	}
	return false
}

// arguments are those of one request.
type arguments struct {
	raw    json.RawMessage // nil for none
	values map[string]any  // the same, as rawjson.Decode has it
	unfit  error           // why they would be refused, if policies were enforced
}

// readArguments makes sure that arguments mean one thing, to policies and to
// the upstream alike, and that s, if not nil, accepts them. It returns what they
// say. nil stands for absent arguments.
func readArguments(raw json.RawMessage, s *schema) (map[string]any, error) {
	if raw == nil || string(raw) == "null" {
		raw = json.RawMessage("{}")
	}
	instance, err := rawjson.Decode(raw)
	if err != nil {
		return nil, err
	}
	values, ok := instance.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("not a JSON object")
	}
	if s == nil {
		return values, nil
	}
	err = s.shape.checkSpelling(instance, "")
	if err == nil && s.resolved != nil {
		err = s.resolved.Validate(instance)
	}
	if err != nil {
		return nil, &unfitArgument{top(err), err}
	}
	return values, nil
}

// An unfitArgument is why one argument is refused.
type unfitArgument struct {
	name string // as the client may have made it up; "" if it is not known
	err  error
}

func (u *unfitArgument) Error() string { return u.err.Error() }
func (u *unfitArgument) Unwrap() error { return u.err }

// ofArgument are the beginnings of what is wrong with an argument, or with something in
// it, as checkSpelling and the validator say it.
var ofArgument = regexp.MustCompile(`^(?:validating [^:]*: validating /properties/|key "(?:[^"\\]|\\.)*" at /)([^/: ]+)|^validating [^:]*: required: missing properties: \["((?:[^"\\]|\\.)*)"`)

// top is the name of the argument that err is about, "" if it does not say.
func top(err error) string {
	match := ofArgument.FindStringSubmatch(err.Error())
	if match == nil {
		return ""
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(match[1]) + match[2]
}

// culprit is the argument for which err refuses those of the tool: one that it declares,
// since clients make up all others. It is "" if that is not known.
func (t *Tool) culprit(err error) string {
	unfit, s := (*unfitArgument)(nil), t.schema()
	if !errors.As(err, &unfit) || s == nil {
		return ""
	}
	name, _ := s.shape.foldedName(unfit.name)
	return name
}

// arguments are those of a prompt, checked by what policies need as well.
func (it *item) arguments(raw json.RawMessage, p *policy.Engine) (arguments, error) {
	values, err := readArguments(raw, nil)
	if err != nil {
		return arguments{}, err
	}
	return checkForPolicies(p, it.object, it.member, arguments{raw: raw, values: values})
}

// checkForPolicies makes sure, where policies look at the arguments, that there is
// nothing in them which policies do not see, or which some reader would take for
// another number. p may be nil.
func checkForPolicies(p *policy.Engine, o *policy.Object, m *member, args arguments) (arguments, error) {
	if p == nil || !p.LooksAtArguments(o) {
		return args, nil
	}
	for _, name := range sortedKeys(args.values) {
		if inexact(args.values[name]) {
			args.unfit = &unfitArgument{name, errors.New("an integer is beyond 2^53, which not every program can hold")}
			break
		}
	}
	if path := o.Undeclared(args.values); args.unfit == nil && path != "" && !m.ExtraArguments {
		args.unfit = fmt.Errorf("%q is not declared in the input schema", path)
	}
	if args.unfit != nil && !p.Observes() && !m.Observe {
		return arguments{}, args.unfit
	}
	return args, nil
}

// with is the arguments with others in their place or beside them, which
// are the gateway's own.
func (a arguments) with(fixed map[string]json.RawMessage) (arguments, error) {
	object := rawjson.Object{}
	if a.raw != nil && string(a.raw) != "null" {
		var err error
		if object, err = rawjson.ParseObject(a.raw); err != nil {
			return arguments{}, err
		}
	}
	for _, m := range object {
		for name := range fixed {
			if strings.EqualFold(m.Name, name) {
				return arguments{}, fmt.Errorf("%q is fixed by the gateway", m.Name)
			}
		}
	}
	for _, name := range sortedKeys(fixed) {
		value, err := rawjson.Decode(fixed[name])
		if err != nil {
			return arguments{}, fmt.Errorf("%q, which is fixed by the gateway: %w", name, err)
		}
		object.Set(name, fixed[name])
		a.values[name] = value
	}
	a.raw = object.Bytes()
	return a, nil
}

// decode keeps integers exact as far as 64 bits go, so that one beyond 2^53 is
// compared as what it is.
func decode(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return exact(v)
}

// exact replaces every json.Number, which the validator takes for text.
func exact(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if v[key], err = exact(value); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, value := range v {
			if v[i], err = exact(value); err != nil {
				return nil, err
			}
		}
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("the number %.40s is out of range", v)
		}
		return f, nil
	}
	return v, nil
}

// ArgumentChecker compiles the input schema of a tool into the check that arguments
// have to pass before policies are asked.
func ArgumentChecker(inputSchema json.RawMessage) func(arguments json.RawMessage) error {
	s, _ := compileSchema(inputSchema) // what cannot be used of it is not checked in calls either
	return func(arguments json.RawMessage) error {
		_, err := readArguments(arguments, s)
		return err
	}
}
