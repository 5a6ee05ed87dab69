package main

import (
	"sync/atomic"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/pages"
)

// An ownPage tells people about themselves, of the gateway that is made after who
// says who is calling. Before that, there is nothing to tell.
type ownPage struct {
	gateway atomic.Pointer[aggregator.Gateway]
}

// tools are those that somebody may use, or why there are none.
func (o *ownPage) tools(c *oauth.Caller) (tools []pages.Tool, why string) {
	g := o.gateway.Load()
	if g == nil {
		return nil, "the gateway is starting"
	}
	own, why := g.ToolsOf(c)
	for _, t := range own {
		tools = append(tools, pages.Tool{Name: t.Name, Title: t.Title, Upstream: t.Upstream, Description: t.Description})
	}
	return tools, why
}

// denials are the calls of somebody that were refused lately.
func (o *ownPage) denials(c *oauth.Caller) []pages.Denial {
	g := o.gateway.Load()
	if g == nil {
		return nil
	}
	var denials []pages.Denial
	for _, d := range g.Denials(c) {
		denials = append(denials, pages.Denial{Time: d.Time, Tool: d.Tool, Why: d.Why, Reference: d.Reference})
	}
	return denials
}
