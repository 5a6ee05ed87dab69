package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// An oldSSE is the transport "HTTP with SSE" of revision 2024-11-05: the server
// sends everything on one event stream, whose first event says where to POST.
type oldSSE struct {
	*duplex
	*endpoint
	max     int
	post    *url.URL // set before the first message is sent
	running group
}

// startOldSSE opens the stream and waits for its first event.
func startOldSSE(ctx context.Context, e *endpoint, opts Options, c *conn) (*oldSSE, error) {
	s := &oldSSE{endpoint: e, max: opts.MaxMessageBytes}
	s.duplex = newDuplex(c, s.postMessage)
	unlink := context.AfterFunc(ctx, func() { c.end(context.Cause(ctx)) }) // the stream outlives ctx once it is open
	err := s.open()
	unlink()
	if c.life.Err() != nil {
		err = context.Cause(c.life)
	}
	return s, err
}

func (s *oldSSE) open() error {
	resp, err := s.do(s.conn.life, http.MethodGet, s.url, nil, headerField{"Accept", eventsType})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || mediaType(resp) != eventsType {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxExcerpt))
		return s.refusal(resp, text)
	}
	events := newEventReader(s.conn.listening(resp.Body), s.max)
	events.lasts = true
	if err := s.readEndpoint(events); err != nil {
		events.release()
		_ = resp.Body.Close()
		return err
	}
	s.running.start(func() {
		defer resp.Body.Close()
		defer events.release()
		s.readMessages(events)
	})
	return nil
}

// readEndpoint reads the first event. Messages carry the credentials, so they
// go to the origin of the stream only.
func (s *oldSSE) readEndpoint(events *eventReader) error {
	ev, err := events.next()
	if err != nil {
		return asBroken(err)
	}
	if ev.name != "endpoint" {
		return errors.New("the event stream does not begin with an endpoint")
	}
	to, err := s.url.Parse(string(ev.data))
	if err != nil {
		return errors.New("the event stream names an endpoint that is no URL")
	}
	if to.Scheme != s.url.Scheme || to.Host != s.url.Host {
		return fmt.Errorf("the event stream names an endpoint on another host, %s", to.Host)
	}
	to.User = s.url.User
	s.post = to
	return nil
}

func (s *oldSSE) readMessages(events *eventReader) {
	for {
		ev, err := events.next()
		if err != nil {
			s.conn.end(asBroken(err))
			return
		}
		if ev.name != "message" {
			continue
		}
		if err := eachMessage(ev.data, s.pass); err != nil {
			s.conn.complain("skipped an event that is no message", "err", err)
		}
	}
}

func (s *oldSSE) postMessage(ctx context.Context, body []byte) error {
	return s.deliver(ctx, s.post, body)
}

func (s *oldSSE) close() { s.running.wait() }
