package aggregator

import (
	"cmp"
	"fmt"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A ToolSummary is a tool as people read of it.
type ToolSummary struct {
	Name               string // published
	Title, Description string // "" if the tool has none
	Upstream           string // label
}

// ToolsOf are the tools that a caller sees, in the order of tools/list. If there
// are none, why says why, for the caller to read.
func (g *Gateway) ToolsOf(c *oauth.Caller) (tools []ToolSummary, why string) {
	all := g.listedFor(Request{Era: upstream.ModernEra, Caller: c})
	if why := g.unknownGroups(c, all.Policy); why != "" && (all.Policy == nil || !all.Policy.Observes()) {
		return nil, why
	}
	catalog := g.shownTo(c, all)
	for _, t := range catalog.tools.inOrder {
		tools = append(tools, t.summary())
	}
	if tools == nil {
		return nil, catalog.whyNoTools()
	}
	return tools, ""
}

func (t *Tool) summary() ToolSummary {
	def, _ := rawjson.ParseObject(t.definition) // which was checked when it was published
	annotations, _ := rawjson.ParseObject(def.Get("annotations"))
	title, _ := def.GetString("title")
	hint, _ := annotations.GetString("title")
	description, _ := def.GetString("description")
	return ToolSummary{Name: t.Name, Title: cmp.Or(title, hint), Description: description, Upstream: t.Upstream}
}

// whyNoTools says why none is published.
func (c *Catalog) whyNoTools() string {
	listed, have := 0, 0
	for _, p := range c.parts {
		if p.listing != nil {
			listed++
			have += len(p.listing.Tools)
		}
	}
	switch {
	case len(c.whole().tools.inOrder) > 0:
		return "no policy lets you use any tool; ask the gateway's operator"
	case len(c.members) == 0:
		return "there is no MCP server behind the gateway yet"
	case listed == 0:
		return "no MCP server behind the gateway is connected yet; try again later, or ask the gateway's operator"
	case have > 0:
		return "the gateway's configuration publishes none of the tools that its MCP servers have"
	case listed < len(c.members):
		return fmt.Sprintf("only %d of the %d MCP servers behind the gateway can be reached, without any tools; try again later, or ask the gateway's operator", listed, len(c.members))
	}
	return "the MCP servers behind the gateway have no tools"
}
