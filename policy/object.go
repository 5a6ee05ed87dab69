package policy

import (
	"encoding/json"
	"sync"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// An Object is what a request is about: a tool, a prompt, a resource, or all the
// resources of a template. It never changes. What one is compared by is its
// address: keep one while what it is made of stays the same.
type Object struct {
	kind      kind
	template  bool // it stands for resources of which only the upstream is known
	disguised bool // its URI is another spelling of one that policies may be about
	upstream  string
	entity    types.Entity
	tool      *Tool // nil for others
	// Made when first needed: the shape of its arguments, and the type of the
	// context of requests about it.
	shape   func() *typed.Shape
	context func() *typed.Type
	// remedies would have more of what a tool says of itself believed, the least first.
	remedies []remedy
}

// A remedy is what somebody could do, and the object as it would be then.
type remedy struct {
	text string
	then func() *Object
}

// A kind of objects has an action of its own.
type kind uint8

const (
	aTool kind = iota
	aPrompt
	aResource
	kinds
)

var (
	actions = [kinds]types.EntityUID{
		types.NewEntityUID("Action", "call_tool"),
		types.NewEntityUID("Action", "get_prompt"),
		types.NewEntityUID("Action", "read_resource"),
	}
	objectTypes = [kinds]types.EntityType{"Tool", "Prompt", "Resource"}
)

// ToolObject is the object of a tool.
func ToolObject(t Tool) *Object {
	o := newObject(aTool, t.Upstream, t.Original, t.Tags, func() *typed.Shape { return typed.New(t.InputSchema) })
	effects := t.Effects()
	attributes := types.RecordMap{
		"name": types.String(t.Original), "upstream": types.String(t.Upstream),
		"operation": types.String("call"), "feature": types.String("tool"),
		"read_only": types.Boolean(effects.ReadOnly), "destructive": types.Boolean(effects.Destructive),
		"idempotent": types.Boolean(effects.Idempotent), "open_world": types.Boolean(effects.OpenWorld),
		"pinned": types.Boolean(t.Pinned && !t.Drifted),
	}
	if t.Title != "" {
		attributes["title"] = types.String(t.Title)
	}
	t.Hints().each(func(name string, is bool) { attributes[types.String(name)] = types.Boolean(is) })
	o.entity.Attributes = types.NewRecord(attributes)
	o.remedies = t.remedies()
	o.tool = &t
	return o
}

// A Prompt is a prompt as policies see it.
type Prompt struct {
	Upstream  string          `json:"upstream"`
	Original  string          `json:"original"`
	Published string          `json:"published,omitempty"`
	Tags      []string        `json:"tags,omitempty"`
	Arguments json.RawMessage `json:"arguments,omitempty"` // of its definition
}

// PromptObject is the object of a prompt.
func PromptObject(p Prompt) *Object {
	o := newObject(aPrompt, p.Upstream, p.Original, p.Tags, func() *typed.Shape { return typed.ForPrompt(p.Arguments) })
	o.entity.Attributes = types.NewRecord(types.RecordMap{
		"name": types.String(p.Original), "upstream": types.String(p.Upstream),
		"operation": types.String("get"), "feature": types.String("prompt"),
	})
	return o
}

// A Resource is a resource as policies see it, or a template of resources.
type Resource struct {
	Upstream  string   `json:"upstream"`
	URI       string   `json:"uri"` // the upstream's own, or its URI template
	Published string   `json:"published,omitempty"`
	Name      string   `json:"name,omitempty"`      // "" if it is not known
	MIMEType  string   `json:"mime_type,omitempty"` // "" if it is not known
	Tags      []string `json:"tags,omitempty"`
}

// ResourceObject is the object of a resource. Its name is the URI where it has none.
func ResourceObject(r Resource) *Object {
	o := newObject(aResource, r.Upstream, r.URI, r.Tags, noArguments)
	attributes := types.RecordMap{
		"uri": types.String(r.URI), "name": types.String(r.Name), "upstream": types.String(r.Upstream),
		"operation": types.String("read"), "feature": types.String("resource"),
	}
	if r.Name == "" {
		attributes["name"] = types.String(r.URI)
	}
	if r.MIMEType != "" {
		attributes["mime_type"] = types.String(r.MIMEType)
	}
	o.entity.Attributes = types.NewRecord(attributes)
	return o
}

// UnlistedObject is the object of a resource that only its client names. One whose URI
// has a simpler spelling cannot be seen, and every decision about it is a denial.
func UnlistedObject(r Resource) *Object {
	o := ResourceObject(r)
	o.disguised = !isPlain(r.URI)
	return o
}

// TemplateObject stands for every resource of a template. It can be seen, and every
// decision about it is a denial.
func TemplateObject(r Resource) *Object {
	o := ResourceObject(r)
	o.template = true
	return o
}

// IsTemplate reports whether it stands for every resource of a template.
func (o *Object) IsTemplate() bool { return o.template }

var noArguments = sync.OnceValue(func() *typed.Shape { return &typed.Shape{Input: &typed.Type{Kind: typed.Record}} })

func newObject(k kind, upstream, original string, tags []string, shape func() *typed.Shape) *Object {
	parents := make([]types.EntityUID, 0, len(tags)+2)
	parents = append(parents, types.NewEntityUID(typeUpstream, types.String(upstream)), types.NewEntityUID(typeMCP, types.String(upstream)))
	for _, tag := range tags {
		parents = append(parents, types.NewEntityUID(typeTag, types.String(tag)))
	}
	o := &Object{
		kind: k, upstream: upstream, shape: sync.OnceValue(shape),
		entity: types.Entity{
			UID:     types.NewEntityUID(objectTypes[k], types.String(upstream+"/"+original)),
			Parents: types.NewEntityUIDSet(parents...),
		},
	}
	o.context = sync.OnceValue(o.contextType)
	return o
}

// Origin is label/original, by which policies know it.
func (o *Object) Origin() string { return string(o.entity.UID.ID) }

// Upstream is the label of the upstream that it comes from.
func (o *Object) Upstream() string { return o.upstream }

// Entity is the object as it stands in decisions, with its attributes and what it is
// in, but for what files add. It must not be changed.
func (o *Object) Entity() types.Entity { return o.entity }

// Action is what is done with it, such as Action::"call_tool".
func (o *Object) Action() types.EntityUID { return actions[o.kind] }

// Shape is what of its arguments policies see. Resources have none.
func (o *Object) Shape() *typed.Shape { return o.shape() }

// Context is the type of the context of requests about it, with what those of the
// binds make that are for it. The app, whose type does not depend on anything, is
// left out.
func (o *Object) Context(binds []facts.Bind) *typed.Type {
	return withBinds(o.context(), o.bindsOf(binds))
}

// bindsOf are those of the binds that are for the object.
func (o *Object) bindsOf(binds []facts.Bind) []*facts.Bind {
	var own []*facts.Bind
	for i := range binds {
		if b := &binds[i]; b.Matches(o.Origin(), o.declares) {
			own = append(own, b)
		}
	}
	return own
}

// String is how policies write it, such as Tool::"github/create_issue".
func (o *Object) String() string { return o.entity.UID.String() }

// Undeclared is the path of the first argument that the object's schema does not
// declare, "" if it declares all.
func (o *Object) Undeclared(arguments map[string]any) string { return o.shape().Undeclared(arguments) }

// declares reports whether policies see the argument at the path.
func (o *Object) declares(path []string) bool {
	t := o.shape().Input
	for _, name := range path {
		f, ok := t.Field(name)
		if !ok {
			return false
		}
		t = f.Type
	}
	return true
}

// upstreamEntity is that of its upstream, which has the same tags.
func (o *Object) upstreamEntity() types.Entity {
	var tags []types.EntityUID
	for above := range o.entity.Parents.All() {
		if above.Type == typeTag {
			tags = append(tags, above)
		}
	}
	e := named(types.NewEntityUID(typeUpstream, types.String(o.upstream)))
	e.Parents = types.NewEntityUIDSet(tags...)
	return e
}
