package aggregator

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	// maxSubscriptions bounds the resources that one client may watch at an
	// upstream, and together at those that it shares with others.
	maxSubscriptions = 1000
	// maxWatchedURI bounds the URI of each.
	maxWatchedURI = 8 << 10
)

// A subscriber is told of updates: a session, or a modern client's listener.
type subscriber interface {
	updated(uri string) // the published one; must not block
}

// subscriptions count who watches which resource over shared connections: an
// upstream is asked once however many watch.
type subscriptions struct {
	mu     sync.Mutex
	byURI  map[watched]map[subscriber]bool // guarded by mu
	counts map[subscriber]int              // guarded by mu
}

// watched is a resource by its original URI, and the instance that several
// clients share.
type watched struct {
	in  *instance
	uri string
}

// add notes who watches; first says that nobody did so far.
func (s *subscriptions) add(w watched, who subscriber) (first, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byURI == nil {
		s.byURI, s.counts = map[watched]map[subscriber]bool{}, map[subscriber]int{}
	}
	if s.byURI[w][who] {
		return false, true
	}
	if s.counts[who] >= maxSubscriptions {
		return false, false
	}
	if s.byURI[w] == nil {
		s.byURI[w] = map[subscriber]bool{}
	}
	s.byURI[w][who] = true
	s.counts[who]++
	return len(s.byURI[w]) == 1, true
}

// remove is the opposite of add; last says that nobody watches any more.
func (s *subscriptions) remove(w watched, who subscriber) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.byURI[w][who] {
		return false
	}
	delete(s.byURI[w], who)
	if s.counts[who]--; s.counts[who] == 0 {
		delete(s.counts, who)
	}
	if len(s.byURI[w]) > 0 {
		return false
	}
	delete(s.byURI, w)
	return true
}

// of is everything that who watches.
func (s *subscriptions) of(who subscriber) []watched {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []watched
	for w, watchers := range s.byURI {
		if watchers[who] {
			all = append(all, w)
		}
	}
	return all
}

// over are the resources that somebody watches over an instance of the link.
func (s *subscriptions) over(l *link) []watched {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []watched
	for w := range s.byURI {
		if w.in.link == l {
			all = append(all, w)
		}
	}
	return all
}

// move makes who watches a resource over one instance watch it over another.
func (s *subscriptions) move(w watched, to *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved := watched{to, w.uri}
	for who := range s.byURI[w] {
		switch {
		case to == nil, s.byURI[moved][who]:
			if s.counts[who]--; s.counts[who] == 0 {
				delete(s.counts, who)
			}
		case s.byURI[moved] == nil:
			s.byURI[moved] = map[subscriber]bool{who: true}
		default:
			s.byURI[moved][who] = true
		}
	}
	delete(s.byURI, w)
}

// updated tells everybody who watches the resource, or one that it is part of.
func (s *subscriptions) updated(in *instance, uri string) {
	published := in.link.rules.Load().publishURI(uri)
	s.mu.Lock()
	defer s.mu.Unlock()
	for w, watchers := range s.byURI {
		if w.in != in || !isPart(uri, w.uri) {
			continue
		}
		for who := range watchers {
			who.updated(published)
		}
	}
}

// isPart reports whether a resource is another one or part of it, which an
// update may be about (MCP 2025-11-25, "Subscriptions").
func isPart(uri, of string) bool {
	rest, ok := strings.CutPrefix(uri, of)
	return ok && (rest == "" || strings.HasSuffix(of, "/") || strings.ContainsRune("/?#", rune(rest[0])))
}

// watch makes who be told of updates of the resource.
func (g *Gateway) watch(ctx context.Context, w watched, who subscriber) error {
	w.in.subscribing.Lock() // the upstream hears of changes in the order in which they are counted
	defer w.in.subscribing.Unlock()
	first, ok := g.subscriptions.add(w, who)
	if !ok {
		return invalidParams("more than %d subscriptions", maxSubscriptions)
	}
	err := ctx.Err() // nobody forgets a client that has gone already
	if err == nil && first {
		err = w.in.conn.Subscribe(ctx, w.uri)
	}
	if err != nil {
		g.subscriptions.remove(w, who)
		return callFailed(err)
	}
	return nil
}

func (g *Gateway) unwatch(ctx context.Context, w watched, who subscriber) error {
	w.in.subscribing.Lock()
	defer w.in.subscribing.Unlock()
	if !g.subscriptions.remove(w, who) {
		return nil
	}
	if err := w.in.conn.Unsubscribe(ctx, w.uri); err != nil {
		return callFailed(err)
	}
	return nil
}

// unwatchAll forgets a subscriber that is gone.
func (g *Gateway) unwatchAll(who subscriber) {
	for _, w := range g.subscriptions.of(who) {
		if err := g.unwatch(context.Background(), w, who); err != nil {
			g.log.Debug("unsubscribing", "upstream", w.in.link.opts.Name, "err", err)
		}
	}
}

// told takes what an upstream tells over an instance that several clients share.
func (g *Gateway) told(in *instance, method string, params json.RawMessage) {
	if method != "notifications/resources/updated" {
		return // it may be meant for anybody
	}
	if o, err := rawjson.ParseObject(params); err == nil {
		if uri, ok := o.GetString("uri"); ok {
			g.subscriptions.updated(in, uri)
		}
	}
}

// subscribe serves resources/subscribe, which only legacy clients have.
func (g *Gateway) subscribe(ctx context.Context, r Request) (json.RawMessage, error) {
	return g.changeSubscription(ctx, r, (*upstream.Upstream).Subscribe, g.watch)
}

// unsubscribe serves resources/unsubscribe.
func (g *Gateway) unsubscribe(ctx context.Context, r Request) (json.RawMessage, error) {
	return g.changeSubscription(ctx, r, (*upstream.Upstream).Unsubscribe, g.unwatch)
}

func (g *Gateway) changeSubscription(
	ctx context.Context, r Request,
	own func(*upstream.Upstream, context.Context, string) error,
	shared func(context.Context, watched, subscriber) error,
) (json.RawMessage, error) {
	uri, _ := r.Params.GetString("uri")
	if len(uri) > maxWatchedURI {
		return nil, invalidParams("the URI of a subscription is longer than %d bytes", maxWatchedURI)
	}
	m, original, ok := r.catalog.route(uri)
	if !ok || r.session == nil {
		return nil, notFoundIn(r.Era, upstream.LegacyEra, noResource(uri))
	}
	in, err := g.instanceFor(ctx, r, m)
	if err != nil {
		return nil, err
	}
	defer in.leave()
	if in.owner.session == nil {
		return json.RawMessage("{}"), shared(ctx, watched{in, original}, r.session)
	}
	if len(in.conn.Subscriptions()) >= maxSubscriptions && r.Method == "resources/subscribe" {
		return nil, invalidParams("more than %d subscriptions", maxSubscriptions)
	}
	if err := own(in.conn, ctx, original); err != nil {
		return nil, callFailed(err)
	}
	return json.RawMessage("{}"), nil
}

func (s *session) updated(uri string) {
	params := rawjson.Object{}
	params.Set("uri", rawjson.String(uri))
	s.pushOnce(notification("notifications/resources/updated", params.Bytes()))
}
