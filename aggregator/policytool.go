package aggregator

import (
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// Policy is the tool as policies see it: what its upstream said of it, with
// the configured overrides of annotations, unless it has drifted from what they
// were written for.
func (t *Tool) Policy() policy.Tool {
	def, _ := rawjson.ParseObject(t.definition) // made by Bytes
	origin, _ := rawjson.ParseObject(t.origin)  // parsed when the tool was made
	title, _ := def.GetString("title")
	p := policy.Tool{
		Upstream: t.Upstream, Original: t.Original, Published: t.Name, Title: title, Tags: t.Tags,
		Annotations: def.Get("annotations"), InputSchema: origin.Get("inputSchema"),
		Trusted: t.member.TrustHints, Overridden: t.member.Tools.Overrides[t.Original].Annotations,
		Pinned: t.review.pinned, Drifted: t.review.drifted,
	}
	if t.distrusted() {
		p.Annotations, p.Trusted, p.Overridden = origin.Get("annotations"), false, nil
	}
	return p
}

// ForPolicies is all of the catalog as policies see it.
func (c *Catalog) ForPolicies() policy.Catalog {
	p := policy.Catalog{Tools: []policy.Tool{}}
	for _, t := range c.tools.inOrder {
		p.Tools = append(p.Tools, t.Policy())
	}
	for _, it := range c.prompts.inOrder {
		prompt := promptOf(it.member, it.original, it.said())
		prompt.Published = it.key
		p.Prompts = append(p.Prompts, prompt)
	}
	for _, it := range c.resources.inOrder {
		p.Resources = append(p.Resources, it.resource())
	}
	for _, it := range c.templates.inOrder {
		p.Templates = append(p.Templates, it.resource())
	}
	return p
}

// said is what the upstream said of the item.
func (it *item) said() rawjson.Object {
	def, _ := rawjson.ParseObject(it.origin) // parsed when the item was made
	return def
}

// resource is the item, a resource or a template, as policies see it.
func (it *item) resource() policy.Resource {
	r := resourceOf(it.member, it.original, it.said())
	r.Published = it.key
	return r
}

func promptObject(m *member, name string, def rawjson.Object) *policy.Object {
	return policy.PromptObject(promptOf(m, name, def))
}

// promptOf is a prompt as policies see it.
func promptOf(m *member, name string, def rawjson.Object) policy.Prompt {
	return policy.Prompt{Upstream: m.Name, Original: name, Tags: m.Tags, Arguments: def.Get("arguments")}
}

func resourceObject(m *member, uri string, def rawjson.Object) *policy.Object {
	return policy.ResourceObject(resourceOf(m, uri, def))
}

func unlistedObject(m *member, uri string) *policy.Object {
	return policy.UnlistedObject(policy.Resource{Upstream: m.Name, URI: uri, Tags: m.Tags})
}

func templateObject(m *member, template string, def rawjson.Object) *policy.Object {
	return policy.TemplateObject(resourceOf(m, template, def))
}

// resourceOf is a resource, or a template, as policies see it.
func resourceOf(m *member, uri string, def rawjson.Object) policy.Resource {
	name, _ := def.GetString("name")
	media, _ := def.GetString("mimeType")
	return policy.Resource{Upstream: m.Name, URI: uri, Name: name, MIMEType: media, Tags: m.Tags}
}
