package aggregator

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

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
	for _, in := range r.session.instances() {
		if in.level.soon.CompareAndSwap(false, true) && !g.running.start(func() {
			in.level.soon.Store(false) // what is set from now on needs another one
			in.level.tell(r.session.ctx, in, r.session.wantedLevel)
		}) {
			in.level.soon.Store(false)
		}
	}
	return json.RawMessage("{}"), nil
}

// wantedLevel is the level that an upstream should be told, whatever it was.
func (s *session) wantedLevel(json.RawMessage) json.RawMessage { return s.level() }

// A toldLevel is the log level that a connection to a legacy upstream was told.
// It is safe for concurrent use.
type toldLevel struct {
	soon atomic.Bool // somebody is about to tell

	mu       sync.Mutex
	telling  chan struct{}   // closed when who tells at the moment is done, nil if nobody does; guarded by mu
	level    json.RawMessage // nil for none; guarded by mu
	connects int             // of the upstream then, for a later connection knows nothing; guarded by mu
}

// tell tells the upstream the level that is wanted in place of what it was
// told, unless it knows or has no log. One is told after the other, so that the
// newest comes last.
func (t *toldLevel) tell(ctx context.Context, in *instance, wanted func(told json.RawMessage) json.RawMessage) {
	if l := in.link.shared.conn.Listing(); l != nil && !l.Declares("logging") {
		return
	}
	conn := in.conn
	for {
		level, turn := t.begin(conn, wanted)
		switch {
		case level != nil:
			t.end(conn, level, setLevel(ctx, conn, level))
			return
		case turn == nil:
			return
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return
		}
	}
}

// begin returns the level to tell; without one, turn is what to wait for, nil
// for nothing.
func (t *toldLevel) begin(conn *upstream.Upstream, wanted func(json.RawMessage) json.RawMessage) (level json.RawMessage, turn <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	connects := conn.Status().Connects
	told := t.level
	if t.connects != connects && t.connects > 0 {
		told = nil // another connection was
	}
	switch level = wanted(told); {
	case level == nil || string(level) == string(told):
		return nil, nil
	case t.telling != nil:
		return nil, t.telling
	}
	t.telling, t.connects = make(chan struct{}), connects
	return level, nil
}

// end notes what the upstream was told. One that refuses knows as well.
func (t *toldLevel) end(conn *upstream.Upstream, level json.RawMessage, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if refused := (*jsonrpc.Error)(nil); err == nil || errors.As(err, &refused) {
		t.level = level
	}
	if t.connects == 0 { // it was the first connection, and waited for
		t.connects = conn.Status().Connects
	}
	close(t.telling)
	t.telling = nil
}

// tellTimeout bounds how long calls wait until an upstream knows the level.
const tellTimeout = 5 * time.Second

// setLevel tells a connected upstream once: one that does not answer in time
// would hold up every call.
func setLevel(ctx context.Context, conn *upstream.Upstream, level json.RawMessage) error {
	bound, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	params := rawjson.Object{}
	params.Set("level", level)
	_, err := conn.Call(bound, upstream.Call{Method: "logging/setLevel", Params: params.Bytes(), Own: true})
	if ctx.Err() == nil && bound.Err() != nil && conn.Status().State == upstream.Connected {
		return nil
	}
	return err
}

// wantLogs makes a legacy upstream, whose instance several clients share, send
// log messages, if the client wants some and they come on the stream of its
// call. It only ever makes the upstream say more, and each client gets what it
// wants of that.
func (in *instance) wantLogs(ctx context.Context, level json.RawMessage) {
	like := in.link.shared.conn // which the instance, perhaps not dialled yet, is connected like
	if level == nil || eraOfConn(like) != upstream.LegacyEra || like.SharesStream() {
		return
	}
	in.level.tell(ctx, in, func(told json.RawMessage) json.RawMessage {
		if told != nil && severity(told) <= severity(level) {
			return told
		}
		return level
	})
}
