package config

import (
	"bytes"
	"fmt"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A catalogFile is a file with tools, which need not be there.
type catalogFile struct {
	path
	in   input
	text []byte
	err  error // why it cannot be read
}

func (v *catalogFile) take(in input) {
	v.in = in
	if v.path.take(in); v.path.value == "" {
		return
	}
	var text string
	text, v.err = in.d.inputs.readFile(v.path.value, policyFileLimit)
	v.text = []byte(text)
}

// PolicyTests are tests that have to pass before policies count.
type PolicyTests struct {
	Files   []source.File // with tests and personas; none if there are none
	Catalog policy.Catalog
	// Groups are the ids of group blocks by their labels, ExtraArguments the labels of
	// upstreams that take undeclared arguments.
	Groups         map[string]string
	ExtraArguments []string
	// Err says why they could not be read. Only who needs the tests minds: the commands
	// that write the catalog and the lock read the configuration, too.
	Err error
}

// tests reads the tests that are required, nil for none.
func (r *policyReader) tests() *PolicyTests {
	b := r.block
	if b.RequireTests.value == nil || !*b.RequireTests.value || b.Dir.value == "" || b.Catalog.value == "" {
		return nil
	}
	t := &PolicyTests{Groups: r.file.groupIDs(), ExtraArguments: r.file.takingExtra()}
	if t.Catalog, t.Err = b.Catalog.read(); t.Err != nil {
		return t
	}
	t.Files, t.Err = r.d.inputs.readTests(b.Dir.value)
	for i := range t.Files {
		t.Files[i].Name = b.Dir.named(t.Files[i].Name)
	}
	return t
}

func (v *catalogFile) read() (policy.Catalog, error) {
	if v.err != nil {
		return policy.Catalog{}, fmt.Errorf("policy.catalog: %s: %w; write it with: mcpagg catalog pull", v.in.shownPath(), v.err)
	}
	c, err := policy.ReadCatalog(bytes.NewReader(v.text))
	if err != nil {
		return c, fmt.Errorf("policy.catalog: %s: %w", v.in.shownPath(), err)
	}
	return c, nil
}

// checkTests reports what is missing for tests to be required.
func (b *policyBlock) checkTests(d *decoder) {
	if b.RequireTests.value == nil || !*b.RequireTests.value {
		return
	}
	if !b.Catalog.given {
		d.mistake(&b.RequireTests.at, "Missing catalog", "Tests are about tools, and those of upstreams that are down are not known. Write them to a file with \"mcpagg catalog pull\", and name it here: catalog = \"catalog.json\".")
	}
	if !b.Dir.given {
		d.mistake(&b.RequireTests.at, "Missing dir", "Tests stand beside policies in a folder. Move the policies into one, and name it here: dir = \"policies\".")
	}
}
