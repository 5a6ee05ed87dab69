package aggregator

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// logLevels are those of RFC 5424, as MCP names them, the least severe first.
var logLevels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// severity is the place of a level, a JSON string, among logLevels; -1 if it is
// not one of them.
func severity(level json.RawMessage) int {
	var name string
	if json.Unmarshal(level, &name) != nil {
		return -1
	}
	return slices.Index(logLevels, name)
}

// loudEnough reports whether a log message is of at least the level. One of an
// unknown level is.
func loudEnough(params, level json.RawMessage) bool {
	o, _ := rawjson.ParseObject(params)
	of := severity(o.Get("level"))
	return of < 0 || of >= severity(level)
}

// setLevel serves logging/setLevel, which only legacy clients have. The
// session's own connections hear of it at once, later ones when they are
// dialled; nobody waits for them.
func (g *Gateway) setLevel(r Request) (json.RawMessage, error) {
	level := r.Params.Get("level")
	if severity(level) < 0 || r.session == nil {
		return nil, invalidParams("level %s is not a log level", level)
	}
	name, _ := r.Params.GetString("level")
	r.session.setLevel(rawjson.String(name)) // not the request's own memory
	for _, own := range r.session.ownConns() {
		g.running.start(func() { own.level.tell(r.session.ctx, own.conn, r.session.level()) })
	}
	return json.RawMessage("{}"), nil
}

// A toldLevel is the log level that a connection to a legacy upstream was told.
type toldLevel struct {
	telling  sync.Mutex      // held while the upstream is told, so that it hears the newest last
	level    json.RawMessage // guarded by telling; nil for none
	connects int             // of the upstream then, for a later connection knows nothing; guarded by telling
}

// tell tells the upstream the level, unless it knows. Upstreams without
// logging refuse, which does not matter.
func (t *toldLevel) tell(ctx context.Context, conn *upstream.Upstream, level json.RawMessage) {
	t.telling.Lock()
	defer t.telling.Unlock()
	if string(t.level) == string(level) && t.connects == conn.Status().Connects || level == nil {
		return
	}
	params := rawjson.Object{}
	params.Set("level", level)
	_, _ = conn.Call(ctx, upstream.Call{Method: "logging/setLevel", Params: params.Bytes()})
	t.level, t.connects = level, conn.Status().Connects
}

// raise is tell for a connection that several clients share: it only ever makes
// the upstream say more, and each client gets what it wants of that.
func (t *toldLevel) raise(ctx context.Context, conn *upstream.Upstream, level json.RawMessage) {
	t.telling.Lock()
	known := t.level
	t.telling.Unlock()
	if known != nil && severity(known) < severity(level) {
		level = known
	}
	t.tell(ctx, conn, level)
}

// wantLogs makes a legacy upstream that clients share send log messages, if the
// client wants some and they come on the stream of its call.
func (m *member) wantLogs(ctx context.Context, level json.RawMessage) {
	if level != nil && eraOfConn(m.conn) == upstream.LegacyEra && !m.conn.SharesStream() {
		m.level.raise(ctx, m.conn, level)
	}
}
