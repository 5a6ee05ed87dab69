// Package policy will answer "may this caller use this tool, with these
// arguments?". So far it holds what such a question is about: the [Tool], and
// the catalog.json file in which tools are kept for work without a gateway.
package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// A Tool is a tool as policies see it. Upstream and Original are its origin,
// which no prefix or rename changes.
type Tool struct {
	Upstream  string   `json:"upstream"`
	Original  string   `json:"original"`
	Published string   `json:"published"`
	Tags      []string `json:"tags,omitempty"`
	// Annotations, with the configured overrides, and the upstream's own
	// InputSchema, as raw JSON.
	Annotations json.RawMessage `json:"annotations,omitempty"`
	InputSchema json.RawMessage `json:"input_schema"`
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
		if t.Upstream == "" || t.Original == "" || t.Published == "" {
			return Catalog{}, fmt.Errorf("reading the catalog: tool %d lacks upstream, original or published", i)
		}
	}
	return c, nil
}
