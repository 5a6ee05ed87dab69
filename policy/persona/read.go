package persona

import (
	"fmt"
	"slices"

	"github.com/mcpagg/mcpagg/policy/block"
)

// FileName is the file of a folder whose personas all tests in it share.
const FileName = "personas.hcl"

// maxPersonas bounds how many are in a file.
const maxPersonas = 10_000

// Read reads the persona blocks of a file in which there is nothing else. The error is
// [source.Mistakes].
func Read(file string, text []byte) ([]*Persona, error) {
	f := block.Parse(file, text)
	all := FromFile(f)
	f.Done()
	return all, f.Err()
}

// FromFile takes the persona blocks out of a file, in which there may be others.
func FromFile(f *block.File) []*Persona {
	var all []*Persona
	lines := map[string]int{}
	for _, b := range f.Blocks("persona", block.Labelled) {
		p := fromBlock(f, b)
		if line, twice := lines[p.Name]; twice {
			f.Mistake(b.At, fmt.Sprintf("there is another persona %s at line %d", block.Quote(p.Name), line), "give one of them another name")
			continue
		}
		if len(all) == maxPersonas {
			f.Mistake(b.At, fmt.Sprintf("there are more than %d personas", maxPersonas), "take some out")
			break
		}
		lines[p.Name] = b.At.Line
		all = append(all, p)
	}
	return all
}

func fromBlock(f *block.File, b *block.Block) *Persona {
	p := &Persona{
		Name: b.Label, File: b.At.File, Line: b.At.Line,
		ID: b.Text("id"), DisplayName: b.Text("name"), Email: b.Text("email"), Tenant: b.Text("tenant"),
		Guest: b.Bool("guest", false), Workload: b.Bool("workload", false),
		Groups: b.Texts("groups"), GroupsUnknown: !b.Bool("groups_known", true),
		Roles: b.Texts("roles"), Scopes: b.Texts("scopes"), App: b.Text("app"), Claims: b.Object("claims"),
		MFA: b.Bool("mfa", false), ACRs: b.Texts("acrs"), AuthAge: b.Duration("auth_age"),
		IP: b.IP("ip"),
	}
	for _, name := range []string{"groups", "roles", "scopes", "acrs"} {
		if slices.Contains(b.Texts(name), "") {
			b.Mistake(name, "there is an empty text in "+name, "take it out")
		}
	}
	if p.GroupsUnknown && len(p.Groups) > 0 {
		b.Mistake("groups_known", "this persona has groups, and groups_known = false says that nobody knows them", "take one of the two out")
	}
	b.Done()
	return p
}

// Named is the persona of that name, nil for none.
func Named(all []*Persona, name string) *Persona {
	for _, p := range all {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Names are their names.
func Names(all []*Persona) []string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	return names
}
