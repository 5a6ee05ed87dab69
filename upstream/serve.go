package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	// maxServed bounds the requests of the server that are served at once.
	maxServed = 64
	// maxServedBytes bounds them together, but for one that is larger.
	maxServedBytes = 32 << 20
	// answerTimeout bounds sending an answer to one of them.
	answerTimeout = 30 * time.Second
)

// A requestHandler serves a request of the server.
type requestHandler = func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error)

var (
	// errWithdrawn ends the serving of a request that the server cancelled.
	errWithdrawn = errors.New("the server has cancelled its request")

	notSupported = &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "the client does not support this method"}
	tooMany      = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "too many requests at once"}
	callEnded    = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the call that the request belongs to has ended"}
	noAnswerMade = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the client did not answer"}
)

// answer answers a request of the server, at once or when its handler has. r
// is the request that it came with, nil if that cannot be told.
func (c *conn) answer(m message, r *request) {
	switch {
	case c.stateless: // there is no way to answer
		c.complain("dropped a request of the server", "method", printable(m.method, 80))
		return
	case m.method == "ping":
		c.post(answerTo(m.id, "result", "{}"))
		return
	}
	c.asked.Add(1)
	serve, of, hold := c.handler(r)
	if serve == nil || c.modern { // the modern revision knows no such requests
		c.complain("refused a request of the server", "method", printable(m.method, 80))
		c.post(answerTo(m.id, "error", string(errorObject(notSupported))))
		return
	}
	ctx, done, err := c.served.begin(of, m.id, m.size)
	if errors.Is(err, errServed) {
		return
	}
	if err != nil {
		c.post(answerTo(m.id, "error", string(errorObject(tooMany))))
		return
	}
	unlink := context.AfterFunc(c.life, done)
	release := hold()
	after := func() {
		release()
		unlink()
		done()
	}
	if !c.running.start(func() {
		defer after()
		c.serve(ctx, m, serve)
	}) {
		after()
	}
}

// handler is who serves a request of the server that came with r, the context
// it belongs to, and what stops the time of the calls that wait for it.
func (c *conn) handler(r *request) (serve requestHandler, of context.Context, hold func() func()) {
	if r != nil && r.deadline != nil {
		return r.serve, r.ctx, r.deadline.hold
	}
	return c.request, c.life, c.deadlines.hold
}

// serve has a request of the server served and sends the answer, unless the
// server does not want it any more.
func (c *conn) serve(ctx context.Context, m message, serve requestHandler) {
	result, err := serve(ctx, m.method, m.params)
	if c.life.Err() != nil || errors.Is(context.Cause(ctx), errWithdrawn) {
		return
	}
	body := answerTo(m.id, "result", "{}")
	var refusal *jsonrpc.Error
	switch {
	case errors.As(err, &refusal):
		body = answerTo(m.id, "error", string(errorObject(refusal)))
	case err != nil && ctx.Err() != nil:
		body = answerTo(m.id, "error", string(errorObject(callEnded)))
	case err != nil:
		c.complain("serving a request of the server", "method", printable(m.method, 80), "err", err)
		body = answerTo(m.id, "error", string(errorObject(noAnswerMade)))
	case result != nil:
		body = answerTo(m.id, "result", string(result))
	}
	sending, cancel := context.WithTimeout(c.life, answerTimeout)
	defer cancel()
	if err := c.transport.send(sending, body); err != nil && c.life.Err() == nil {
		c.complain("answering a request of the server", "method", printable(m.method, 80), "err", err)
	}
}

// errorObject is an error as in an answer, its data as they are.
func errorObject(e *jsonrpc.Error) json.RawMessage {
	o := rawjson.Object{}
	o.Set("code", strconv.AppendInt(nil, e.Code, 10))
	o.Set("message", rawjson.String(e.Message))
	if e.Data != nil {
		o.Set("data", e.Data)
	}
	return o.Bytes()
}

// withdraw ends the serving of the request that the server cancels.
func (c *conn) withdraw(m message) {
	params, _ := rawjson.ParseObject(m.params)
	reason, _ := params.GetString("reason")
	c.served.withdraw(params.Get("requestId"), &Cancelled{Reason: reason})
}

// errServed says that a request with the id is being served already. A stream
// that is resumed may bring it again.
var errServed = errors.New("served already")

// served are the requests of the server that are being served. It is safe for
// concurrent use.
type served struct {
	mu   sync.Mutex
	byID map[string]context.CancelCauseFunc // guarded by mu
	size int                                // bytes of them; guarded by mu
}

// begin adds a request of so many bytes until done is called, which ends its context.
func (s *served) begin(of context.Context, id json.RawMessage, size int) (ctx context.Context, done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := string(id)
	switch {
	case s.byID[key] != nil:
		return nil, nil, errServed
	case len(s.byID) >= maxServed || s.size > 0 && s.size+size > maxServedBytes:
		return nil, nil, errors.New("too many")
	case s.byID == nil:
		s.byID = map[string]context.CancelCauseFunc{}
	}
	ctx, end := context.WithCancelCause(of)
	s.byID[key] = end
	s.size += size
	return ctx, sync.OnceFunc(func() {
		end(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.byID, key)
		s.size -= size
	}), nil
}

func (s *served) withdraw(id json.RawMessage, by *Cancelled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end := s.byID[string(id)]; end != nil {
		end(fmt.Errorf("%w: %w", errWithdrawn, by))
	}
}
