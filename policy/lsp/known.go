package lsp

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A name is one that can be written at a place.
type name struct {
	label  string
	detail string // its type, in a few words
	about  string // in a sentence, "" for nothing
}

// annotations are those that mean something.
var annotations = []name{
	{"id", `@id("engineers-open-issues")`, "The name of the policy in logs and tests."},
	{"deny_message", `@deny_message("Ask for access at …")`, "What callers are told where this denies."},
	{"observe", "@observe", "The policy is not in effect; what it would do is logged."},
	{"rate", `@rate("10/m")`, "So many calls per s, m, h or d."},
	{"max_bytes_in", `@max_bytes_in("64KiB")`, "The most bytes that arguments may have."},
	{"max_bytes_out", `@max_bytes_out("1MiB")`, "The most bytes that a result may have."},
	{"redact_result", `@redact_result("$.items[*].email, $..phone")`, "What is taken out of results."},
	{"audit", `@audit("full")`, "Arguments are in the audit record as a whole."},
}

// words are what policies are made of.
var words = []name{
	{"permit", "effect", ""},
	{"forbid", "effect", ""},
	{"when", "condition", ""},
	{"unless", "condition", ""},
	{"principal", "who asks", ""},
	{"action", "what is asked for", ""},
	{"resource", "the tool, prompt or resource", ""},
	{"context", "arguments and circumstances", ""},
}

// about are the objects that the policy at a place is about, as far as its resource says.
func (p *Project) about(c *cursor) []*policy.Object {
	op, typ, id := c.resource()
	uid := types.NewEntityUID(types.EntityType(typ), types.String(id))
	var all []*policy.Object
	for _, o := range p.Input.Objects {
		e := o.Entity()
		switch {
		case op == "", op == "is" && typ == string(e.UID.Type), uid == e.UID, op == "in" && e.Parents.Contains(uid):
			all = append(all, o)
		}
	}
	return all
}

// members are what can stand after a dot behind the names.
func (p *Project) members(c *cursor, chain []string) []name {
	v := source.Words()
	switch {
	case len(chain) == 1 && chain[0] == "principal":
		return attributesOf(v.Entity("User"))
	case len(chain) == 1 && chain[0] == "resource":
		return p.resourceMembers(c)
	case len(chain) == 1 && chain[0] == "context":
		all := attributeNames(v.Context)
		for _, b := range p.Input.Policy.Binds {
			all = append(all, name{b.Name, b.Type, "Bound by the configuration."})
		}
		return all
	case len(chain) > 1 && chain[0] == "context" && chain[1] == "input":
		return p.arguments(c, chain[2:])
	case len(chain) == 2 && chain[0] == "context" && chain[1] == "app":
		return attributesOf(v.Entity("App"))
	case len(chain) == 2 && chain[0] == "context":
		if r := v.Record(strings.ToUpper(chain[1][:1]) + chain[1][1:]); r != nil {
			return attributeNames(r.Attributes)
		}
	}
	return nil
}

// resourceMembers are the attributes of the types of what the policy is about.
func (p *Project) resourceMembers(c *cursor) []name {
	_, typ, _ := c.resource()
	if e := source.Words().Entity(typ); e != nil && slices.Contains([]string{"Tool", "Prompt", "Resource"}, typ) {
		return attributesOf(e)
	}
	var all []name
	for _, typ := range []string{"Tool", "Prompt", "Resource"} {
		all = append(all, attributesOf(source.Words().Entity(typ))...)
	}
	return once(all)
}

func attributesOf(e *source.EntityType) []name { return attributeNames(e.Attributes) }

func attributeNames(list []source.Attribute) []name {
	var all []name
	for _, a := range list {
		n := name{label: a.Name, detail: a.Type}
		if a.Optional {
			n.about = "It may be missing: ask with has first."
		}
		all = append(all, n)
	}
	return all
}

// arguments are the members of context.input, or of what is below it, of all that the
// policy is about.
func (p *Project) arguments(c *cursor, path []string) []name {
	var all []name
	for _, o := range p.about(c) {
		t := o.Shape().Input
		for _, step := range path {
			f, ok := t.Field(step)
			if t = f.Type; !ok || t == nil {
				t = &typed.Type{}
			}
		}
		for _, f := range t.Fields {
			all = append(all, argument(o, f))
		}
	}
	return once(all)
}

func argument(o *policy.Object, f typed.Field) name {
	n := name{label: f.Name, detail: cmp.Or(f.Type.Cedar(), "unknown"), about: "Argument of " + o.Origin() + "."}
	if len(f.Type.Enum) > 0 {
		n.about += " One of: " + strings.Join(f.Type.Enum[:min(len(f.Type.Enum), maxAlso)], ", ") + "."
	}
	if !f.Required {
		n.about += " It may be missing: ask with has first."
	}
	return n
}

// ids are what can be the id of an entity of a type.
func (p *Project) ids(typ string) []name {
	in := &p.Input
	labels := func(all []string, detail string) (made []name) {
		for _, l := range all {
			made = append(made, name{l, detail, ""})
		}
		return made
	}
	switch typ {
	case "Group":
		return labels(in.Options.Groups, "group of the configuration")
	case "App":
		return labels(in.Options.Apps, "app of the configuration")
	case "Upstream", "MCP":
		return labels(in.Options.Upstreams, "upstream")
	case "Tag":
		return labels(in.Tags, "tag of upstreams")
	case "Action":
		var all []name
		for _, a := range source.Words().Actions {
			all = append(all, name{a.Name, "of " + a.Resource, ""})
		}
		return all
	}
	return p.objects(typ)
}

// objects are the origins of tools, prompts or resources.
func (p *Project) objects(typ string) []name {
	var all []name
	for _, o := range p.Input.Objects {
		if string(o.Entity().UID.Type) == typ && !o.IsTemplate() {
			n := name{label: o.Origin(), detail: strings.ToLower(typ)}
			if published := p.Input.Published[o.Origin()]; published != "" {
				n.about = "Published as " + published + "."
			}
			all = append(all, n)
		}
	}
	return all
}

// once are names sorted, each once.
func once(all []name) []name {
	slices.SortStableFunc(all, func(a, b name) int { return strings.Compare(a.label, b.label) })
	return slices.CompactFunc(all, func(a, b name) bool { return a.label == b.label })
}
