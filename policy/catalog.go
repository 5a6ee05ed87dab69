package policy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Catalog is the content of catalog.json: what a gateway publishes, with all that
// policies see of it. With one, policies can be worked on without upstreams.
type Catalog struct {
	Tools     []Tool     `json:"tools"`
	Prompts   []Prompt   `json:"prompts,omitempty"`
	Resources []Resource `json:"resources,omitempty"`
	Templates []Resource `json:"templates,omitempty"` // of resources
}

const (
	// catalogVersion is that of the format. A format with more members has the same;
	// one in which a member means something else has another.
	catalogVersion = 1
	// maxCatalog bounds the bytes of a catalog.json, and maxListed what is in it.
	maxCatalog = 64 << 20
	maxListed  = 100_000
)

// WriteCatalog writes c as an indented JSON file, sorted by upstream and name, so
// that a file under version control changes where what is published does.
func WriteCatalog(w io.Writer, c Catalog) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(catalogFile{catalogVersion, c.sorted()}); err != nil {
		return fmt.Errorf("writing the catalog: %w", err)
	}
	return nil
}

// A catalogFile is a catalog as it stands in a file.
type catalogFile struct {
	Version int `json:"version"`
	Catalog
}

// sorted is the catalog by upstream and name.
func (c Catalog) sorted() Catalog {
	s := Catalog{slices.Clone(c.Tools), slices.Clone(c.Prompts), slices.Clone(c.Resources), slices.Clone(c.Templates)}
	if s.Tools == nil {
		s.Tools = []Tool{} // a catalog has them, if none
	}
	byOrigin := func(a, b Resource) int {
		return cmp.Or(strings.Compare(a.Upstream, b.Upstream), strings.Compare(a.URI, b.URI))
	}
	slices.SortStableFunc(s.Tools, func(a, b Tool) int {
		return cmp.Or(strings.Compare(a.Upstream, b.Upstream), strings.Compare(a.Original, b.Original))
	})
	slices.SortStableFunc(s.Prompts, func(a, b Prompt) int {
		return cmp.Or(strings.Compare(a.Upstream, b.Upstream), strings.Compare(a.Original, b.Original))
	})
	slices.SortStableFunc(s.Resources, byOrigin)
	slices.SortStableFunc(s.Templates, byOrigin)
	return s
}

// ReadCatalog reads what WriteCatalog wrote, of this version of mcpagg, an earlier
// one, or a later one that only added to the format.
func ReadCatalog(r io.Reader) (Catalog, error) {
	c, err := readCatalog(r)
	if err != nil {
		return Catalog{}, fmt.Errorf("reading the catalog: %w; write it anew with: mcpagg catalog pull", err)
	}
	return c, nil
}

func readCatalog(r io.Reader) (Catalog, error) {
	raw, err := readBounded(r)
	if err != nil {
		return Catalog{}, err
	}
	var file catalogFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return Catalog{}, err
	}
	switch {
	case file.Version > catalogVersion:
		return Catalog{}, fmt.Errorf("it is of version %d, and this mcpagg knows %d at most", file.Version, catalogVersion)
	case file.Tools == nil:
		return Catalog{}, errors.New(`there are no "tools" in it`)
	}
	return file.Catalog, file.check()
}

// ReadTools reads the result of a server's tools/list as the catalog of an upstream
// with that label: {"tools": […]}. Annotations are not believed, and the tools are
// published under their own names behind the label.
func ReadTools(r io.Reader, upstream string) (Catalog, error) {
	raw, err := readBounded(r)
	var result struct {
		Tools []struct {
			Name, Title string
			Annotations json.RawMessage
			InputSchema json.RawMessage
		}
	}
	if err == nil {
		err = json.Unmarshal(raw, &result)
	}
	if err == nil && result.Tools == nil {
		err = errors.New(`there are no "tools" in it`)
	}
	c := Catalog{Tools: []Tool{}}
	for _, t := range result.Tools {
		c.Tools = append(c.Tools, Tool{
			Upstream: upstream, Original: t.Name, Published: upstream + "_" + t.Name, Title: t.Title,
			Annotations: t.Annotations, InputSchema: t.InputSchema,
		})
	}
	if err = cmp.Or(err, c.check()); err != nil {
		return Catalog{}, fmt.Errorf("reading the tools of %s: %w; it should be the result of tools/list", upstream, err)
	}
	return c, nil
}

// MergeCatalogs makes one of several, which have to be of different things.
func MergeCatalogs(all ...Catalog) (Catalog, error) {
	m := Catalog{Tools: []Tool{}}
	for _, c := range all {
		m.Tools = append(m.Tools, c.Tools...)
		m.Prompts = append(m.Prompts, c.Prompts...)
		m.Resources = append(m.Resources, c.Resources...)
		m.Templates = append(m.Templates, c.Templates...)
	}
	return m.sorted(), m.check()
}

func readBounded(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxCatalog+1))
	if err == nil && len(raw) > maxCatalog {
		err = fmt.Errorf("it is larger than %d MiB", maxCatalog>>20)
	}
	return raw, err
}

// check finds what no gateway publishes.
func (c Catalog) check() error {
	if n := len(c.Tools) + len(c.Prompts) + len(c.Resources) + len(c.Templates); n > maxListed {
		return fmt.Errorf("there are more than %d entries in it", maxListed)
	}
	seen := map[string]bool{}
	for i, t := range c.Tools {
		if err := cmp.Or(t.check(), once(seen, "tool", t.Upstream, t.Original)); err != nil {
			return fmt.Errorf("tool %d %w", i, err)
		}
	}
	for i, p := range c.Prompts {
		if err := once(seen, "prompt", p.Upstream, p.Original); err != nil {
			return fmt.Errorf("prompt %d %w", i, err)
		}
	}
	for i, r := range c.Resources {
		if err := once(seen, "resource", r.Upstream, r.URI); err != nil {
			return fmt.Errorf("resource %d %w", i, err)
		}
	}
	for i, r := range c.Templates {
		if err := once(seen, "template", r.Upstream, r.URI); err != nil {
			return fmt.Errorf("template %d %w", i, err)
		}
	}
	return nil
}

// once fails for an origin that is incomplete, or was seen before.
func once(seen map[string]bool, kind, upstream, original string) error {
	key := kind + " " + upstream + "/" + original // an upstream has no "/"
	switch {
	case upstream == "" || original == "":
		return errors.New("lacks its upstream, or its own name there")
	case strings.Contains(upstream, "/"):
		return fmt.Errorf("has the upstream %q, which no label is", upstream)
	case seen[key]:
		return fmt.Errorf("%q is there twice", upstream+"/"+original)
	}
	seen[key] = true
	return nil
}

func (t Tool) check() error {
	switch {
	case t.Published == "":
		return errors.New("lacks published, the name that clients know it by")
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

// Objects are what policies decide about: tools, prompts, resources and templates, in
// this order.
func (c Catalog) Objects() []*Object {
	var all []*Object
	for _, t := range c.Tools {
		all = append(all, ToolObject(t))
	}
	for _, p := range c.Prompts {
		all = append(all, PromptObject(p))
	}
	for _, r := range c.Resources {
		all = append(all, ResourceObject(r))
	}
	for _, r := range c.Templates {
		all = append(all, TemplateObject(r))
	}
	return all
}
