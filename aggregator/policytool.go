package aggregator

import (
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// Policy is the tool as policies see it: what its upstream said of it, with
// the configured overrides of annotations.
func (t *Tool) Policy() policy.Tool {
	def, _ := rawjson.ParseObject(t.definition) // made by Bytes
	origin, _ := rawjson.ParseObject(t.origin)  // parsed when the tool was made
	return policy.Tool{
		Upstream: t.Upstream, Original: t.Original, Published: t.Name, Tags: t.Tags,
		Annotations: def.Get("annotations"), InputSchema: origin.Get("inputSchema"),
	}
}
