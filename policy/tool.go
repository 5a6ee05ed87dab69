// Package policy will answer "may this caller use this tool, with these
// arguments?". So far it holds what such a question is about: the [Tool], and
// the catalog.json file in which tools are kept for work without a gateway.
package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

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
	InputSchema json.RawMessage `json:"input_schema"`

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

// A Catalog is the content of catalog.json.
type Catalog struct {
	Tools []Tool `json:"tools"`
}

// WriteCatalog writes c as an indented JSON file.
func WriteCatalog(w io.Writer, c Catalog) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(c); err != nil {
		return fmt.Errorf("writing the catalog: %w", err)
	}
	return nil
}

// ReadCatalog reads what WriteCatalog wrote. A tool without an origin, and a
// member that does not belong to the format, are errors.
func ReadCatalog(r io.Reader) (Catalog, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return Catalog{}, fmt.Errorf("reading the catalog: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var c Catalog
	if err := d.Decode(&c); err != nil {
		return Catalog{}, fmt.Errorf("reading the catalog: %w", err)
	}
	for i, t := range c.Tools {
		if err := t.check(); err != nil {
			return Catalog{}, fmt.Errorf("reading the catalog: tool %d %w", i, err)
		}
	}
	return c, nil
}

func (t Tool) check() error {
	switch {
	case t.Upstream == "" || t.Original == "" || t.Published == "":
		return errors.New("lacks upstream, original or published")
	case t.Pinned && t.Drifted:
		return errors.New("is both pinned and drifted")
	}
	for name := range t.Overridden {
		if !slices.Contains([]string{readOnlyHint, destructiveHint, idempotentHint, openWorldHint}, name) {
			return fmt.Errorf("overrides %q, which is no annotation that counts", name)
		}
	}
	return nil
}
