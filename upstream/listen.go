package upstream

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// listenGrace is how long connecting waits for the server to acknowledge that
// it will tell about changed lists. A server that takes longer may make the
// gateway miss a change that happens while it connects.
const listenGrace = 300 * time.Millisecond

// acknowledged is the first notification on a subscriptions/listen stream.
const acknowledged = "notifications/subscriptions/acknowledged"

// listen keeps a subscriptions/listen stream open (MCP 2026-07-28) for changes
// of the lists that the server says it tells about.
func (c *conn) listen(l *Listing) {
	wanted := rawjson.Object{}
	for _, capability := range []string{"tools", "prompts", "resources"} {
		if l.declares(capability, "listChanged") {
			wanted.Set(capability+"ListChanged", []byte("true"))
		}
	}
	if len(wanted) == 0 {
		return
	}
	params := rawjson.Object{}
	params.Set("notifications", wanted.Bytes())
	first, acked := context.WithCancel(c.life)
	c.running.start(func() {
		keepOpen(c.life, func(ctx context.Context, again bool) bool {
			return c.openListen(ctx, params, again, acked)
		})
	})
	select {
	case <-first.Done():
	case <-time.After(listenGrace):
	}
}

// openListen opens the stream once and returns when it has ended.
func (c *conn) openListen(ctx context.Context, params rawjson.Object, again bool, acked func()) (hopeless bool) {
	r, err := c.prepare(Call{Method: "subscriptions/listen", Params: params.Bytes()})
	if err != nil {
		return true
	}
	r.notify = func(m message) {
		if m.method != acknowledged {
			return
		}
		acked()
		if again {
			c.lists.add(kinds...) // whatever changed while nobody listened
		}
	}
	answer, err := c.transport.roundTrip(ctx, r)
	acked()
	if err == nil && answer.err != nil {
		c.log.Debug("listening for changes", "err", answer.err)
		return isMethodNotFound(answer.err)
	}
	return false
}

// listen keeps the GET stream of a legacy session open, if the server has one.
// Its end is not the end of the session.
func (t *streamable) listen(missed func()) {
	t.running.start(func() {
		keepOpen(t.conn.life, func(ctx context.Context, again bool) bool {
			return t.openStream(ctx, again, missed)
		})
	})
}

// openStream opens the stream once and returns when it has ended. missed is
// called if something may have happened unheard.
func (t *streamable) openStream(ctx context.Context, again bool, missed func()) (hopeless bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // whatever is left of the response
	fields := append(t.fields(), headerField{"Accept", eventsType})
	resp, err := t.do(ctx, http.MethodGet, t.url, nil, fields...)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK && mediaType(resp) == eventsType:
		if again {
			missed()
		}
		t.readMessages(resp.Body)
		return false
	case resp.StatusCode == http.StatusNotFound && again:
		missed() // listing anew tells whether the session is gone or just the stream
		return true
	}
	return !isTransient(resp.StatusCode)
}

// isTransient reports whether a refused stream may be there later.
func isTransient(status int) bool {
	switch status {
	case http.StatusConflict, http.StatusTooManyRequests: // the server has not noticed that the last one ended
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status/100 == 5
}

// readMessages passes on what comes on the GET stream until it ends.
func (t *streamable) readMessages(body io.Reader) {
	events := newEventReader(body, t.max)
	for {
		ev, err := events.next()
		if err != nil {
			return
		}
		if err := eachMessage(ev.data, func(m message) { t.conn.received(m, nil) }); err != nil {
			t.conn.log.Warn("skipped an event that is no message", "err", err)
		}
	}
}
