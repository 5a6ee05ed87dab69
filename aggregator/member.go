package aggregator

import (
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/upstream"
)

// A member is one upstream with the rules that publish it.
type member struct {
	Upstream
	names Names
	conn  *upstream.Upstream // shared, and the one whose listing is published
	log   *slog.Logger
	// complaints bounds how often what the upstream does wrong is logged.
	complaints *rate.Limiter

	level       toldLevel    // of conn
	owned       atomic.Int32 // connections that sessions have of their own
	subscribing sync.Mutex   // held while the upstream is told who watches what
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
