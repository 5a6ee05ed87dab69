package aggregator

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A talk is what goes on between an upstream and a client while one call is in
// flight: progress, log messages, and live requests of the upstream.
type talk struct {
	r             Request
	m             *member
	conn          *upstream.Upstream
	progressToken json.RawMessage // the client's own; nil if it wants no progress
	logLevel      json.RawMessage // from which the client wants log messages; nil if it did not say
	notify        func(method string, params json.RawMessage)
	request       func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error)
}

// talk begins a talk over a connection to m. What the client does not want, or
// cannot be asked, stays nil in it.
func (r Request) talk(m *member, conn *upstream.Upstream) *talk {
	t := &talk{r: r, m: m, conn: conn, logLevel: r.LogLevel}
	if r.session != nil {
		t.logLevel = r.session.level()
	}
	if raw := r.Params.Get("_meta"); r.Notify != nil && bytes.Contains(raw, []byte("progressToken")) {
		meta, _ := rawjson.ParseObject(raw) // malformed, it asks for nothing
		t.progressToken = meta.Get("progressToken")
	}
	if r.Notify != nil && (t.progressToken != nil || r.LogLevel != nil || r.session != nil) {
		t.notify = t.pass
	}
	if r.session != nil {
		t.request = t.ask
	}
	return t
}

// pass tells the client what the upstream tells of this call.
func (t *talk) pass(method string, params json.RawMessage) {
	switch method {
	case "notifications/progress":
		if t.progressToken == nil {
			return
		}
		o, err := rawjson.ParseObject(params)
		if err != nil {
			return // not progress
		}
		o.Set("progressToken", t.progressToken)
		params = o.Bytes()
	case "notifications/message":
		if !t.wantsLog(params) {
			return
		}
	}
	t.r.Notify(method, params)
}

// wantsLog reports whether the client wants the log message. A modern client
// has to say so; to a legacy one that did not, servers send what they like.
func (t *talk) wantsLog(params json.RawMessage) bool {
	if t.logLevel == nil {
		return t.r.session != nil
	}
	return loudEnough(params, t.logLevel)
}

// ask passes a live request of the upstream to the client whose call this is,
// on the call's own stream.
func (t *talk) ask(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
	return question{from: t.m, conn: t.conn, to: t.r.session, stream: t.r.stream, method: method, params: params}.ask(ctx)
}
