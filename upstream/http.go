package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
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

	deleted sync.Once // the session
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
	t.deleted.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deleteTimeout)
		defer cancel()
		if resp, err := t.do(ctx, http.MethodDelete, t.url, nil, t.fields()...); err == nil {
			_ = resp.Body.Close()
		}
	})
}

// fields are the headers of every request.
func (t *streamable) fields() []headerField {
	fields := append(make([]headerField, 0, 8), headerField{"Accept", jsonType + ", " + eventsType})
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
	return t.deliver(ctx, t.url, body, t.fields()...)
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
	t.conn.hear()
	if r.method == "initialize" {
		t.session = resp.Header.Get("Mcp-Session-Id")
	}
	if mediaType(resp) == eventsType && resp.StatusCode == http.StatusOK {
		return t.readStream(ctx, resp, r)
	}
	defer resp.Body.Close()
	answer, err = t.readBody(resp, r)
	return answer, nil, err
}

// isOtherEra reports whether a server, which was another one when it was
// connected to, refuses the revision as such.
func isOtherEra(resp *http.Response, body []byte) bool {
	return resp.StatusCode == http.StatusBadRequest &&
		(bytes.Contains(body, []byte("nsupported protocol version")) || bytes.Contains(body, []byte("-32022")))
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
	if t.modern && r.method != "server/discover" && isOtherEra(resp, body) {
		err := fmt.Errorf("%w: %w", errOtherEra, t.refusal(resp, body))
		t.conn.end(err) // to find out anew what it speaks
		return message{}, err
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

// readStream reads the event stream of r up to the answer. A legacy server may
// end the stream before, and go on in another one that the client asks for
// (MCP 2025-11-25 "Transports", "Resumability and Redelivery"). rest is the
// stream that the answer came on.
func (t *streamable) readStream(ctx context.Context, resp *http.Response, r *request) (answer message, rest io.ReadCloser, err error) {
	for {
		answer, last, err := t.readEvents(resp.Body, r)
		if err == nil {
			return answer, resp.Body, nil
		}
		_ = resp.Body.Close()
		if t.modern || last.id == "" || isOversize(err) {
			return message{}, nil, err
		}
		if resp = t.resume(ctx, last); resp == nil {
			return message{}, nil, err
		}
	}
}

// readEvents reads one stream of r up to the answer. last is where to resume
// a stream that ended before.
func (t *streamable) readEvents(body io.Reader, r *request) (answer message, last event, err error) {
	events := newEventReader(t.conn.listening(body), t.max)
	defer events.release()
	var found *message
	for found == nil {
		ev, err := events.next()
		if err != nil {
			return message{}, event{id: events.lastID, retry: events.retry}, asBroken(err)
		}
		if err := eachMessage(ev.data, func(m message) {
			if m.answers(r.id) || m.answersNobody() {
				found = &m
			} else {
				t.conn.received(m, r)
			}
		}); err != nil {
			return message{}, event{}, fmt.Errorf("answered with an event that is no JSON-RPC: %w", err)
		}
	}
	return *found, event{}, nil
}

// resume asks for what comes after the last event; nil if there is no more.
func (t *streamable) resume(ctx context.Context, last event) *http.Response {
	if !sleep(ctx, max(last.retry, minBackoff)) {
		return nil
	}
	fields := append(t.fields(), headerField{"Accept", eventsType}, headerField{"Last-Event-Id", last.id})
	resp, err := t.do(ctx, http.MethodGet, t.url, nil, fields...)
	if err != nil {
		return nil
	}
	if resp.StatusCode != http.StatusOK || mediaType(resp) != eventsType {
		_ = resp.Body.Close()
		return nil
	}
	return resp
}

func isOversize(err error) bool {
	var oversize *oversizeError
	return errors.As(err, &oversize)
}

// asBroken tells what the end of an event stream means for who waits for more.
func asBroken(err error) error {
	switch {
	case err == io.EOF:
		return &brokenError{errors.New("the server ended its stream without an answer")}
	case isOversize(err):
		return err
	}
	return broken(err)
}
