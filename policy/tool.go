// Package policy answers "may this caller use this tool, with these arguments?",
// by policies in Cedar. An [Engine] decides, and what it decides about is an
// [Object]: a tool, a prompt or a resource. A [Catalog] keeps them in a file, for
// work without a gateway.
package policy

import "encoding/json"

// A Tool is a tool as policies see it. Upstream and Original are its origin,
// which no prefix or rename changes.
type Tool struct {
	Upstream  string   `json:"upstream"`
	Original  string   `json:"original"`
	Published string   `json:"published"`
	Title     string   `json:"title,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	// Annotations, with the configured overrides, and the upstream's own
	// InputSchema, as raw JSON.
	Annotations json.RawMessage `json:"annotations,omitempty"`
	InputSchema json.RawMessage `json:"input_schema,omitempty"`

	// Trusted says that annotations are believed though nobody reviewed them.
	Trusted bool `json:"trusted,omitempty"`
	// Overridden are the annotations that the configuration sets, by name, where
	// they count.
	Overridden map[string]bool `json:"overridden,omitempty"`
	// Pinned says that the definition was reviewed and is the same since. Drifted
	// says that definitions of its upstream were, but not this one.
	Pinned  bool `json:"pinned,omitempty"`
	Drifted bool `json:"drifted,omitempty"`
}
