package policy

import "github.com/go-json-experiment/json"

// Effects are what a tool does to the world, as far as its annotations can be
// believed. What nobody believed says is taken from MCP's cautious defaults: a
// tool changes things, may destroy some, does so again when it is called again,
// and reaches anything.
type Effects struct {
	ReadOnly, Destructive, Idempotent, OpenWorld bool
}

// Hints are the annotations of a tool that are believed, nil for those that are
// not there or not believed.
type Hints struct {
	ReadOnly, Destructive, Idempotent, OpenWorld *bool
}

// The annotations that are hints.
const (
	readOnlyHint    = "readOnlyHint"
	destructiveHint = "destructiveHint"
	idempotentHint  = "idempotentHint"
	openWorldHint   = "openWorldHint"
)

// Effects are those that policies see. A tool that only reads destroys nothing.
func (t Tool) Effects() Effects {
	h := t.Hints()
	readOnly := is(h.ReadOnly, false)
	return Effects{
		ReadOnly:    readOnly,
		Destructive: !readOnly && is(h.Destructive, true),
		Idempotent:  is(h.Idempotent, false),
		OpenWorld:   is(h.OpenWorld, true),
	}
}

// Hints are the annotations that count: those that the configuration overrides,
// and all others where the definition was reviewed and is the same since, or the
// upstream is trusted. Of one that is not as reviewed nobody can say that it only
// reads, whatever else is believed.
func (t Tool) Hints() Hints {
	var said map[string]any
	if t.Pinned && !t.Drifted || t.Trusted {
		// Names are exact here, and one that is there twice says nothing.
		if json.Unmarshal(t.Annotations, &said) != nil {
			said = nil
		}
	}
	hint := func(name string) *bool {
		if value, ok := t.Overridden[name]; ok {
			return &value
		}
		if value, ok := said[name].(bool); ok {
			return &value
		}
		return nil
	}
	h := Hints{hint(readOnlyHint), hint(destructiveHint), hint(idempotentHint), hint(openWorldHint)}
	if t.Drifted {
		h.ReadOnly = nil
	}
	return h
}

func is(hint *bool, otherwise bool) bool {
	if hint == nil {
		return otherwise
	}
	return *hint
}

// each calls f for the hints that there are.
func (h Hints) each(f func(name string, is bool)) {
	for name, hint := range map[string]*bool{
		readOnlyHint: h.ReadOnly, destructiveHint: h.Destructive, idempotentHint: h.Idempotent, openWorldHint: h.OpenWorld,
	} {
		if hint != nil {
			f(name, *hint)
		}
	}
}
