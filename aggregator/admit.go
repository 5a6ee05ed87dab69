package aggregator

import (
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
)

// admit refuses whom the operator has stopped, and who may be in groups that are not
// known now: nothing can be said about what such a caller may do.
func (g *Gateway) admit(r Request) error {
	err := g.blocked(r)
	why := ""
	if err == nil {
		why = g.unknownGroups(r.Caller, r.catalog.Policy)
	}
	if err == nil && why == "" {
		return nil
	}
	g.identify(r)
	if err != nil {
		return err
	}
	if p := r.catalog.Policy; p != nil && p.Observes() {
		if g.notes.would.Allow() {
			g.log.Info("would deny", append(r.attributes(), "why", "groups unavailable")...)
		}
		return nil
	}
	return &denied{reason: "groups unavailable", answer: &jsonrpc.Error{Code: codeDenied, Message: "denied: " + why}}
}

// identify finds out what a request is about that nobody serves, for the log and the
// audit file: also what the caller cannot see.
func (g *Gateway) identify(r Request) {
	switch r.Method {
	case "tools/call":
		name, _ := r.Params.GetString("name")
		if tool, ok := r.catalog.whole().tools.get(name); ok {
			r.about.isTool(tool)
		}
	case "prompts/get":
		name, _ := r.Params.GetString("name")
		if prompt, ok := r.catalog.whole().prompts.get(name); ok {
			r.about.isPrompt(prompt)
		}
	case "resources/read":
		uri, _ := r.Params.GetString("uri")
		if t, ok := r.catalog.whole().route(uri); ok {
			r.about.isResource(t, uri)
		}
	}
}

// unknownGroups says why nothing can be decided about the caller while nobody knows
// their groups, "" if they are known, or do not matter. p may be nil.
func (g *Gateway) unknownGroups(c *oauth.Caller, p *policy.Engine) string {
	why := ""
	switch {
	case p != nil:
		why = p.GroupsNeeded(g.principals.of(c).Principal)
	case c.Groups.Unavailable:
		why = c.Groups.Why
	}
	if why == "" {
		return ""
	}
	return "your groups are unavailable, since " + why + "; try again later, or ask the gateway's operator"
}
