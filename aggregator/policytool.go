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

func promptObject(m *member, name string, def rawjson.Object) *policy.Object {
	return policy.PromptObject(policy.Prompt{Upstream: m.Name, Original: name, Tags: m.Tags, Arguments: def.Get("arguments")})
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
