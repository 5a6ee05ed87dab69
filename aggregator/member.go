package aggregator

import (
	"encoding/json"

	"github.com/mcpagg/mcpagg/upstream"
)

// A member is one upstream of a configuration: the rules that publish it, and
// the link to it, which the next configuration may go on using.
type member struct {
	Upstream
	*link
	names  Names
	signIn bool // callers sign in, so that there are several
	drifts drifts
}

// isolation says who shares an instance.
func (m *member) isolation() Isolation {
	l := m.shared.conn.Listing()
	switch {
	case m.Isolation != "":
		return m.Isolation
	case m.URL == nil && m.signIn:
		return PerUser
	case m.URL != nil && l != nil && l.Era == upstream.LegacyEra:
		return PerSession
	}
	return Shared
}

// ownerOf says whose instance serves the request. There is nothing to isolate
// at an HTTP server that is spoken to without sessions.
func (m *member) ownerOf(r Request) owner {
	isolation, l := m.isolation(), m.shared.conn.Listing()
	switch {
	case isolation == Shared:
		return owner{}
	case isolation == PerSession && r.session != nil:
		if m.URL != nil && m.sessionsProtocol(l) == upstream.Modern {
			return owner{}
		}
		return owner{session: r.session}
	case m.URL != nil && m.callersProtocol(l) == upstream.Modern:
		return owner{}
	}
	return owner{caller: r.Caller.ID}
}

// sessionsProtocol is what to speak for one legacy client: the legacy era if
// the upstream knows it, as far as its listing tells.
func (m *member) sessionsProtocol(l *upstream.Listing) upstream.Protocol {
	switch {
	case m.Protocol != "" && m.Protocol != upstream.Auto:
		return m.Protocol
	case l == nil || l.Version == "2024-11-05": // which may be HTTP+SSE
		return upstream.Auto
	case l.SpeaksLegacy():
		return upstream.Legacy
	}
	return upstream.Modern
}

// callersProtocol is what to speak for all clients of a caller: what the shared
// instance does.
func (m *member) callersProtocol(l *upstream.Listing) upstream.Protocol {
	switch {
	case m.Protocol != "" && m.Protocol != upstream.Auto:
		return m.Protocol
	case l == nil || l.Version == "2024-11-05":
		return upstream.Auto
	case l.Era == upstream.ModernEra:
		return upstream.Modern
	}
	return upstream.Legacy
}

// publishURI makes the published form of a resource's URI or URI template.
func (m *member) publishURI(uri string) string {
	if m.Prefix == "" {
		return uri
	}
	return publishURI(m.Name, uri)
}

// publishLink makes the published form of a URI inside a result.
func (m *member) publishLink(uri string) string {
	if m.Prefix == "" {
		return uri
	}
	return publishLink(m.Name, uri)
}

// compile returns what of a tool's input schema can be checked, nil for
// nothing; the rest only the upstream checks.
func (m *member) compile(tool string, raw json.RawMessage) *schema {
	s, err := compileSchema(raw)
	if err != nil {
		m.log.Warn("arguments are not checked against the whole input schema", "upstream", m.Name, "tool", tool, "err", err)
	}
	return s
}
