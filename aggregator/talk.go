package aggregator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A talk is what goes on between an upstream and a client while one call is in
// flight: progress, log messages, and live requests of the upstream.
type talk struct {
	r             Request
	m             *member
	progressToken json.RawMessage // the client's own; nil if it wants no progress
	notify        func(method string, params json.RawMessage)
	request       func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error)
	end           func()
}

// talk begins a talk. What the client does not want, or cannot be asked, stays
// nil in it.
func (r Request) talk(m *member) *talk {
	t := &talk{r: r, m: m, end: func() {}}
	if raw := r.Params.Get("_meta"); r.Notify != nil && bytes.Contains(raw, []byte("progressToken")) {
		meta, _ := rawjson.ParseObject(raw) // malformed, it asks for nothing
		t.progressToken = meta.Get("progressToken")
	}
	if r.Notify != nil && (t.progressToken != nil || r.LogLevel != nil || r.session != nil) {
		t.notify = t.pass
	}
	if r.session != nil {
		t.request = t.ask
		t.end = r.session.join(m, t)
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
		if t.r.LogLevel == nil && t.r.session == nil {
			return
		}
	}
	t.r.Notify(method, params)
}

// ask passes a live request of the upstream to the client whose call this is,
// on the call's own stream.
func (t *talk) ask(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
	return t.m.ask(ctx, t.r.session, t.r.stream, method, params)
}

// kindOf is the capability that a client needs for a request of an upstream.
var kindOf = map[string]string{
	"sampling/createMessage": "sampling", "elicitation/create": "elicitation", "roots/list": "roots",
}

var requestKinds = []string{"sampling", "elicitation", "roots"}

// defaultRequests are the kinds an upstream may ask for unless configured:
// sampling spends the client's money.
var defaultRequests = []string{"elicitation", "roots"}

func (m *member) may(kind string) bool {
	allowed := m.Requests
	if allowed == nil {
		allowed = defaultRequests
	}
	return kind != "" && slices.Contains(allowed, kind)
}

// ask passes a request of the upstream to a session's client, if both may.
func (m *member) ask(ctx context.Context, s *session, stream *responder, method string, params json.RawMessage) (json.RawMessage, error) {
	kind := kindOf[method]
	if !m.may(kind) || s.capabilities().Get(kind) == nil {
		m.log.Warn("refused a request of the upstream", "upstream", m.Name, "method", method)
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "the client does not support this method"}
	}
	if kind == "elicitation" {
		params = m.signed(params)
	}
	send := s.tell
	if stream != nil {
		send = stream.send
	}
	result, err := s.ask(ctx, send, method, params)
	if errors.Is(err, errGone) { // the call's stream broke; the session's own may be there
		return s.ask(ctx, s.tell, method, params)
	}
	return result, err
}

// signed shows who asks: people must not take an upstream's question for the
// gateway's or another upstream's. With an empty prefix the upstream is to look
// as if there were no gateway.
func (m *member) signed(params json.RawMessage) json.RawMessage {
	o, err := rawjson.ParseObject(params)
	message, ok := o.GetString("message")
	if err != nil || !ok || m.Prefix == "" {
		return params
	}
	o.Set("message", rawjson.String("["+m.Name+"] "+message))
	return o.Bytes()
}

// mayAsk leaves of a client's capabilities what the upstream may use; nil
// stays nil.
func (m *member) mayAsk(capabilities json.RawMessage) json.RawMessage {
	forbidden := func(kind string) bool { return !m.may(kind) && bytes.Contains(capabilities, []byte(kind)) }
	if !bytes.ContainsRune(capabilities, '\\') && !slices.ContainsFunc(requestKinds, forbidden) {
		return capabilities // as most are; an escape may hide a name
	}
	o, err := rawjson.ParseObject(capabilities)
	if err != nil {
		return nil
	}
	kept := len(o)
	for _, kind := range requestKinds {
		if !m.may(kind) {
			o.Delete(kind)
		}
	}
	if len(o) == kept {
		return capabilities
	}
	return o.Bytes()
}

// checkInputRequests refuses what the upstream must not ask for.
func (m *member) checkInputRequests(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	requests, err := rawjson.ParseObject(raw)
	if err != nil {
		return fmt.Errorf("has malformed inputRequests: %w", err)
	}
	for _, request := range requests {
		o, err := rawjson.ParseObject(request.Value)
		if err != nil {
			return fmt.Errorf("has a malformed input request: %w", err)
		}
		if method, _ := o.GetString("method"); !m.may(kindOf[method]) {
			return fmt.Errorf("asks for %q, which is not among the upstream's requests", method)
		}
	}
	return nil
}

// capabilities are what the client said it can do when it opened the session.
func (s *session) capabilities() rawjson.Object {
	o, _ := rawjson.ParseObject(s.client.capabilities) // none, if they are malformed
	return o
}

// connFor is the connection that serves the request: the shared one, or one of
// the session's own.
func (g *Gateway) connFor(ctx context.Context, r Request, m *member) (*upstream.Upstream, error) {
	if r.session == nil || m.isolation() != PerSession {
		return m.conn, nil
	}
	return g.ownConn(ctx, r.session, m)
}

func (m *member) isolation() Isolation {
	if m.Isolation != "" {
		return m.Isolation
	}
	if l := m.conn.Listing(); m.URL != nil && l != nil && l.Era == upstream.LegacyEra {
		return PerSession
	}
	return Shared
}
