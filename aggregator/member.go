package aggregator

import (
	"encoding/json"
	"log/slog"

	"github.com/mcpagg/mcpagg/upstream"
)

// A member is one upstream with the rules that publish it.
type member struct {
	Upstream
	names Names
	conn  *upstream.Upstream
	log   *slog.Logger
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

// compile returns nil where a tool's input schema cannot check anything; then
// only the upstream checks its arguments.
func (m *member) compile(tool string, raw json.RawMessage) *schema {
	s, err := compileSchema(raw)
	if err != nil {
		m.log.Warn("arguments are not checked against the input schema", "upstream", m.Name, "tool", tool, "err", err)
		return nil
	}
	return s
}
