package aggregator

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A Tool is one published tool. It never changes.
type Tool struct {
	Name     string // published
	Original string
	Upstream string // label
	Tags     []string

	definition       json.RawMessage // as published
	legacyDefinition json.RawMessage // the same for clients of the legacy era
	origin           json.RawMessage // as the upstream sent it

	member     *member
	object     *policy.Object // as policies see it
	labels     []string       // of a caller who has called it
	idempotent bool           // calling it again changes nothing more
	schema     func() *schema // nil where the input schema cannot be compiled
	set        map[string]json.RawMessage
	review     review // of the origin
}

// newTool publishes one definition of member m.
func newTool(m *member, raw json.RawMessage) (*Tool, error) {
	def, err := parseDefinition(raw, toolShape)
	if err != nil {
		return nil, err
	}
	original, ok := def.GetString("name")
	if !ok {
		return nil, fmt.Errorf("name is not a string")
	}
	override := m.Tools.Overrides[original]
	t := &Tool{
		Original: original, Upstream: m.Name, Tags: m.Tags,
		origin: raw, member: m, set: override.Set, labels: override.Labels,
		review: m.review(original, raw),
	}
	name := original
	if override.Name != "" {
		name = override.Name
	}
	t.Name = m.names.publish(m.Name, m.Prefix, name)
	def.Set("name", rawjson.String(t.Name))
	if err := override.apply(&def); err != nil {
		return nil, err
	}
	t.idempotent = isIdempotent(def.Get("annotations"))
	t.definition = def.Bytes()
	t.legacyDefinition = t.definition
	if out := def.Get("outputSchema"); out != nil && isObjectSchema(out) != nil {
		t.legacyDefinition = withoutOutputSchema(def)
	}
	t.schema = sync.OnceValue(func() *schema { return m.compile(original, def.Get("inputSchema")) })
	t.object = policy.ToolObject(t.Policy())
	return t, nil
}

// isIdempotent reports whether the tool says of itself that it does no harm to
// call it once more. It decides only whether a call is repeated whose connection
// broke, so its upstream is believed.
func isIdempotent(annotations json.RawMessage) bool {
	o, _ := rawjson.ParseObject(annotations) // malformed, it says nothing
	is := func(hint string) bool { return string(o.Get(hint)) == "true" }
	return is("readOnlyHint") || is("idempotentHint")
}

// withoutOutputSchema leaves out an output schema that is not an object's: the
// legacy era knows no other, and its clients refuse the whole list for one.
func withoutOutputSchema(def rawjson.Object) json.RawMessage {
	def = slices.Clone(def)
	def.Delete("outputSchema")
	return def.Bytes()
}

// apply changes the definition as configured.
func (o Override) apply(def *rawjson.Object) error {
	if o.Description != "" {
		def.Set("description", rawjson.String(o.Description))
	}
	if len(o.Annotations) > 0 {
		annotations := rawjson.Object{}
		if raw := def.Get("annotations"); raw != nil {
			var err error
			if annotations, err = rawjson.ParseObject(raw); err != nil {
				return fmt.Errorf("annotations: %w", err)
			}
		}
		for _, name := range sortedKeys(o.Annotations) {
			annotations.Set(name, rawjson.Value(o.Annotations[name]))
		}
		def.Set("annotations", annotations.Bytes())
	}
	if len(o.Require) == 0 && len(o.Set) == 0 {
		return nil
	}
	input, err := o.applySchema(def.Get("inputSchema"))
	if err != nil {
		return fmt.Errorf("inputSchema: %w", err)
	}
	def.Set("inputSchema", input)
	return nil
}

// applySchema makes arguments required and takes fixed ones out of sight.
func (o Override) applySchema(raw json.RawMessage) (json.RawMessage, error) {
	input, err := rawjson.ParseObject(raw)
	if err != nil {
		return nil, err
	}
	var required []string
	if r := input.Get("required"); r != nil {
		if err := json.Unmarshal(r, &required); err != nil {
			return nil, fmt.Errorf("required: %w", err)
		}
	}
	for _, name := range o.Require {
		if !slices.Contains(required, name) {
			required = append(required, name)
		}
	}
	required = slices.DeleteFunc(required, func(name string) bool { _, fixed := o.Set[name]; return fixed })
	if len(required) > 0 || input.Get("required") != nil {
		input.Set("required", rawjson.Value(append([]string{}, required...)))
	}
	if p := input.Get("properties"); p != nil {
		properties, err := rawjson.ParseObject(p)
		if err != nil {
			return nil, fmt.Errorf("properties: %w", err)
		}
		for name := range o.Set {
			properties.Delete(name)
		}
		input.Set("properties", properties.Bytes())
	}
	return input.Bytes(), nil
}

// arguments checks what a client sent, by what policies need as well (nil for
// none), and returns what the upstream gets.
func (t *Tool) arguments(raw json.RawMessage, p *policy.Engine) (arguments, error) {
	values, err := readArguments(raw, t.schema())
	if err != nil {
		return arguments{}, err
	}
	args, err := checkForPolicies(p, t.object, t.member, arguments{raw: raw, values: values})
	if err != nil || len(t.set) == 0 {
		return args, err
	}
	return args.with(t.set)
}
