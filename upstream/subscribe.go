package upstream

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// Subscribe asks the server to tell about updates of the resource uri, which
// then come to Options.Notify as notifications/resources/updated, until
// Unsubscribe: on later connections too. It returns once the server has
// agreed; if it fails, nothing is asked for any more. Who subscribes twice is
// not counted. An update may come twice, and may be missed while there is no
// connection.
func (u *Upstream) Subscribe(ctx context.Context, uri string) error {
	bound, _, cancel := u.bound(ctx)
	defer cancel()
	c, err := u.connected(bound)
	if err != nil {
		return u.explain(ctx, err)
	}
	edition, added := u.subscriptions.add(uri)
	if c.listener != nil {
		err = u.explain(ctx, c.listener.wait(bound, edition))
	} else {
		_, err = u.Call(ctx, subscribeCall("resources/subscribe", uri))
	}
	if err != nil && added {
		u.subscriptions.remove(uri)
	}
	return err
}

// Unsubscribe ends what Subscribe began. A legacy server is told at once; if
// that fails, or there is no connection, the subscription is forgotten all the
// same.
func (u *Upstream) Unsubscribe(ctx context.Context, uri string) error {
	u.subscriptions.remove(uri)
	u.mu.Lock()
	c := u.conn
	u.mu.Unlock()
	if c == nil || c.listener != nil {
		return nil
	}
	_, err := u.Call(ctx, subscribeCall("resources/unsubscribe", uri))
	return err
}

// Subscriptions are the resources that were subscribed to and not unsubscribed
// from, in that order.
func (u *Upstream) Subscriptions() []string {
	uris, _ := u.subscriptions.current()
	return slices.Clone(uris)
}

func subscribeCall(method, uri string) Call {
	params := rawjson.Object{}
	params.Set("uri", rawjson.String(uri))
	return Call{Method: method, Params: params.Bytes()}
}

// resubscribe repeats on a new connection to a legacy server what was asked
// for on the last one.
func (u *Upstream) resubscribe(c *conn, uris []string) {
	for _, uri := range uris {
		if c.life.Err() != nil {
			return
		}
		if err := u.settleSubscription(c, uri); err != nil && c.life.Err() == nil {
			u.opts.Log.Warn("subscribing again to a resource", "err", plain(err))
		}
	}
}

// settleSubscription subscribes to uri, unless and until nobody wants it.
func (u *Upstream) settleSubscription(c *conn, uri string) error {
	ctx, cancel := context.WithTimeoutCause(c.life, u.opts.CallTimeout, noAnswer(u.opts.CallTimeout))
	defer cancel()
	for subscribed := false; u.subscriptions.has(uri) != subscribed; subscribed = !subscribed {
		method := "resources/subscribe"
		if subscribed {
			method = "resources/unsubscribe"
		}
		if _, err := c.call(ctx, subscribeCall(method, uri)); err != nil {
			return err
		}
	}
	return nil
}

// subscriptions are the resources whose updates are asked for. They are safe
// for concurrent use.
type subscriptions struct {
	changed chan struct{} // holds a token while they may have changed

	mu      sync.Mutex
	uris    []string // replaced whole; guarded by mu
	edition int      // counts the changes; guarded by mu
}

// add returns the first edition with uri, and whether it is new.
func (s *subscriptions) add(uri string) (edition int, added bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.uris, uri) {
		return s.edition, false
	}
	s.replaceLocked(append(slices.Clone(s.uris), uri))
	return s.edition, true
}

func (s *subscriptions) remove(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.uris, uri); i >= 0 {
		s.replaceLocked(slices.Delete(slices.Clone(s.uris), i, i+1))
	}
}

func (s *subscriptions) replaceLocked(uris []string) {
	s.uris = uris
	s.edition++
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *subscriptions) current() (uris []string, edition int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uris, s.edition
}

func (s *subscriptions) has(uri string) bool {
	uris, _ := s.current()
	return slices.Contains(uris, uri)
}

// filter is what a subscriptions/listen request asks for: changes of lists, and
// updates of resources.
func filter(lists rawjson.Object, uris []string) rawjson.Object {
	wanted := slices.Clone(lists)
	if len(uris) > 0 {
		var quoted []json.RawMessage
		for _, uri := range uris {
			quoted = append(quoted, rawjson.String(uri))
		}
		wanted.Set("resourceSubscriptions", rawjson.Array(quoted))
	}
	return wanted
}
