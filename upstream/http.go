package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// drainTimeout and maxDrain bound what is read of an event stream after
	// the answer, so that its connection can be used again.
	drainTimeout = time.Second
	maxDrain     = 256 << 10
	// deleteTimeout bounds telling the server that a session is over.
	deleteTimeout = 2 * time.Second
)

// A streamable is the transport "Streamable HTTP": every message is a POST,
// and the answer to a request comes as its response.
type streamable struct {
	*endpoint
	conn   *conn
	max    int
	modern bool // revision 2026-07-28: without sessions, with more headers

	// Set during the handshake, before the transport is used concurrently.
	version string // sent with every request; "" before it is negotiated
	session string // "" if the server has none

	running group
}

func newStreamable(e *endpoint, opts Options, c *conn) *streamable {
	return &streamable{endpoint: e, conn: c, max: opts.MaxMessageBytes}
}

// close ends the session. Calls that are on their way may still finish: each
// has a stream of its own.
func (t *streamable) close() {
	t.running.wait()
	if t.session == "" || errors.Is(context.Cause(t.conn.life), errSessionGone) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), deleteTimeout)
	defer cancel()
	if resp, err := t.do(ctx, http.MethodDelete, t.url, nil, t.fields()...); err == nil {
		_ = resp.Body.Close()
	}
	t.session = ""
}

// fields are the headers of every request.
func (t *streamable) fields() []headerField {
	fields := []headerField{{"Accept", jsonType + ", " + eventsType}}
	if t.version != "" {
		fields = append(fields, headerField{"Mcp-Protocol-Version", t.version})
	}
	if t.session != "" {
		fields = append(fields, headerField{"Mcp-Session-Id", t.session})
	}
	return fields
}

// requestFields are the headers of a request's POST.
func (t *streamable) requestFields(r *request) []headerField {
	fields := t.fields()
	if !t.modern {
		return fields
	}
	fields = append(fields, headerField{"Mcp-Method", r.method})
	if hasTarget(r.method) {
		fields = append(fields, headerField{"Mcp-Name", headerValue(r.target)})
	}
	return append(fields, r.header...)
}

func (t *streamable) send(ctx context.Context, body []byte) error {
	resp, err := t.do(ctx, http.MethodPost, t.url, body, t.fields()...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxExcerpt))
	if resp.StatusCode/100 != 2 {
		return t.refusal(resp, text)
	}
	return nil
}

func (t *streamable) roundTrip(ctx context.Context, r *request) (message, error) {
	// The response outlives the call: what follows the answer is read as well.
	own, abort := context.WithCancel(context.WithoutCancel(ctx))
	unlink := context.AfterFunc(ctx, abort)
	answer, rest, err := t.exchange(own, r)
	unlink()
	if rest == nil || err != nil || !t.running.start(func() { t.drain(rest, abort) }) {
		if rest != nil {
			_ = rest.Close()
		}
		abort()
	}
	if err != nil && ctx.Err() != nil {
		return message{}, context.Cause(ctx)
	}
	return answer, err
}

// drain reads a response to its end, within bounds, so that its connection can
// be used again.
func (t *streamable) drain(rest io.ReadCloser, abort context.CancelFunc) {
	late := time.AfterFunc(drainTimeout, abort)
	defer late.Stop()
	unlink := context.AfterFunc(t.conn.life, abort)
	defer unlink()
	_, _ = io.Copy(io.Discard, io.LimitReader(rest, maxDrain))
	_ = rest.Close()
	abort()
}

// exchange posts r and reads the response up to the answer. rest is what is
// left of the response, nil for nothing.
func (t *streamable) exchange(ctx context.Context, r *request) (answer message, rest io.ReadCloser, err error) {
	resp, err := t.do(ctx, http.MethodPost, t.url, r.body(), t.requestFields(r)...)
	if err != nil {
		return message{}, nil, err
	}
	if r.method == "initialize" {
		t.session = resp.Header.Get("Mcp-Session-Id")
	}
	if mediaType(resp) == eventsType && resp.StatusCode == http.StatusOK {
		answer, err = t.readEvents(ctx, resp.Body, r)
		return answer, resp.Body, err
	}
	defer resp.Body.Close()
	answer, err = t.readBody(resp, r)
	return answer, nil, err
}

// readBody reads a response that is no event stream.
func (t *streamable) readBody(resp *http.Response, r *request) (message, error) {
	body, err := readBounded(resp, t.max)
	if err != nil {
		return message{}, err
	}
	if t.isGone(resp, body) {
		return message{}, errSessionGone
	}
	var found *message
	if err := eachMessage(body, func(m message) {
		if m.answers(r.id) || m.answersNobody() {
			found = &m
		} else {
			t.conn.received(m, r)
		}
	}); err != nil {
		return message{}, t.refusal(resp, body)
	}
	if found == nil {
		return message{}, errors.New("answered without an answer to this request")
	}
	return *found, nil
}

// isGone reports whether the server no longer knows the session. The
// specification has it answer 404, but 400 with a text is common as well.
func (t *streamable) isGone(resp *http.Response, body []byte) bool {
	if t.session == "" {
		return false
	}
	text := bytes.ToLower(body[:min(len(body), maxExcerpt)])
	return resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusBadRequest &&
		(bytes.Contains(text, []byte("session")) || bytes.Contains(text, []byte("not initialized")))
}

// readEvents reads the event stream of r up to the answer.
func (t *streamable) readEvents(ctx context.Context, body io.Reader, r *request) (message, error) {
	events := newEventReader(body, t.max)
	var answer *message
	for answer == nil {
		ev, err := events.next()
		if err == io.EOF {
			return message{}, errors.New("the server ended its stream without an answer")
		}
		if err != nil {
			return message{}, asBroken(err)
		}
		if err := eachMessage(ev.data, func(m message) {
			if m.answers(r.id) || m.answersNobody() {
				answer = &m
			} else {
				t.conn.received(m, r)
			}
		}); err != nil {
			return message{}, fmt.Errorf("answered with an event that is no JSON-RPC: %w", err)
		}
	}
	return *answer, nil
}

// asBroken tells a message that is too large from a connection that broke.
func asBroken(err error) error {
	var oversize *oversizeError
	if errors.As(err, &oversize) {
		return err
	}
	return broken(err)
}
