package aggregator

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

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

var tooManySubscriptions error = invalidParams("more than %d subscriptions", maxSubscriptions)

// A subscriber is told of updates: a session, or a modern client's listener.
type subscriber interface {
	updated(uri string) // the published one; must not block
	request() Request   // as the client would subscribe
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

// add notes who watches, of at most so many resources; first says that nobody
// did so far.
func (s *subscriptions) add(w watched, who subscriber, limit int) (first, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byURI == nil {
		s.byURI, s.counts = map[watched]map[subscriber]bool{}, map[subscriber]int{}
	}
	if s.byURI[w][who] {
		return false, true
	}
	if s.counts[who] >= limit {
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

// over is who watches what over instances of the link.
func (s *subscriptions) over(l *link) map[watched][]subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[watched][]subscriber{}
	for w, watchers := range s.byURI {
		if w.in.link == l {
			all[w] = slices.Collect(maps.Keys(watchers))
		}
	}
	return all
}

func (s *subscriptions) has(w watched, who subscriber) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byURI[w][who]
}

// watching are those who watch the resource, or one that it is part of.
func (s *subscriptions) watching(in *instance, uri string) []subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[subscriber]bool{}
	for w, watchers := range s.byURI {
		if w.in == in && isPart(uri, w.uri) {
			maps.Copy(all, watchers)
		}
	}
	return slices.Collect(maps.Keys(all))
}

// isPart reports whether a resource is another one or part of it, which an
// update may be about (MCP 2025-11-25, "Subscriptions").
func isPart(uri, of string) bool {
	rest, ok := strings.CutPrefix(uri, of)
	return ok && (rest == "" || strings.HasSuffix(of, "/") || strings.ContainsRune("/?#", rune(rest[0])))
}

// watch makes who be told of updates of the resource, who may watch so many.
func (g *Gateway) watch(ctx context.Context, w watched, who subscriber, limit int) error {
	w.in.subscribing.Lock() // the upstream hears of changes in the order in which they are counted
	defer w.in.subscribing.Unlock()
	first, ok := g.subscriptions.add(w, who, limit)
	if !ok {
		return tooManySubscriptions
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
	if err := g.unwatchEach(context.Background(), who, func(watched) bool { return true }); err != nil {
		g.log.Debug("unsubscribing", "err", err)
	}
}

// unwatchEach makes who watch none of some resources any more. It looks again
// for what a reload has moved meanwhile.
func (g *Gateway) unwatchEach(ctx context.Context, who subscriber, which func(watched) bool) (err error) {
	for {
		all := slices.DeleteFunc(g.subscriptions.of(who), func(w watched) bool { return !which(w) })
		if len(all) == 0 {
			return err
		}
		for _, w := range all {
			err = cmp.Or(err, g.unwatch(ctx, w, who))
		}
	}
}

// rewatch makes who watches resources over m, whose label has another link by
// now or is gone, watch them over that.
func (g *Gateway) rewatch(ctx context.Context, m *member) {
	for w, watchers := range g.subscriptions.over(m.link) {
		w.in.subscribing.Lock() // nobody unsubscribes meanwhile
		for _, who := range watchers {
			if g.subscriptions.has(w, who) {
				g.watchAgain(ctx, m, w.uri, who)
				g.subscriptions.remove(w, who)
			}
		}
		w.in.subscribing.Unlock()
	}
	for _, in := range m.instances() {
		if s := in.owner.session; s != nil {
			in.subscribing.Lock()
			for _, uri := range in.conn.Subscriptions() {
				g.watchAgain(ctx, m, uri, s)
				_ = in.conn.Unsubscribe(ctx, uri) // it ends soon, heard or not
			}
			in.subscribing.Unlock()
		}
	}
}

// watchAgain makes who watch a resource of m over what has its label now.
func (g *Gateway) watchAgain(ctx context.Context, m *member, uri string, who subscriber) {
	now := g.Catalog().byLabel[m.Name]
	if now == nil {
		return
	}
	if err := g.watchOver(ctx, who.request(), now, uri, who, 2*maxSubscriptions); err != nil { // counted twice while it moves
		g.log.Warn("a subscription is lost", "upstream", m.Name, "err", err)
	}
}

// watchOver makes who watch a resource over the instance that serves its
// requests.
func (g *Gateway) watchOver(ctx context.Context, r Request, m *member, uri string, who subscriber, limit int) error {
	in, err := g.instanceFor(ctx, r, m)
	if err != nil {
		return err
	}
	defer in.leave()
	if in.owner.session == nil {
		return g.watch(ctx, watched{in, uri}, who, limit)
	}
	in.subscribing.Lock()
	defer in.subscribing.Unlock()
	if len(in.conn.Subscriptions()) >= limit {
		return tooManySubscriptions
	}
	if err := in.conn.Subscribe(ctx, uri); err != nil {
		return callFailed(err)
	}
	return nil
}

// told takes what an upstream tells over an instance that several clients share.
func (g *Gateway) told(in *instance, method string, params json.RawMessage) {
	if method != "notifications/resources/updated" {
		return // it may be meant for anybody
	}
	if uri, ok := uriOf(params); ok {
		g.updated(in, uri)
	}
}

// updated tells everybody who watches the resource over a shared instance, and may
// still read it.
func (g *Gateway) updated(in *instance, uri string) {
	m := in.link.rules.Load()
	for _, who := range g.subscriptions.watching(in, uri) {
		if g.mayHear(who.request(), m, uri) {
			who.updated(m.publishURI(uri))
		}
	}
}

// mayHear reports whether a client may read a resource of m now. Nothing is recorded:
// it has not asked.
func (g *Gateway) mayHear(r Request, m *member, uri string) bool {
	if g.Catalog().Policy == nil && g.brake == nil {
		return true
	}
	r.catalog, r.about = g.catalogOf(r), &matter{}
	published := m.publishURI(uri)
	t := target{member: m, original: uri}
	if it, ok := r.catalog.whole().resources.get(published); ok && it.member == m {
		t = it.target()
	}
	r.about.isResource(g.known(t), published)
	return g.blocked(r) == nil && r.catalog.decide(g.question(r, time.Now())).Allow
}

// subscribe serves resources/subscribe, which only legacy clients have.
func (g *Gateway) subscribe(ctx context.Context, r Request) (json.RawMessage, error) {
	t, err := g.watchable(r)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := g.enter(ctx, r)
	if err != nil {
		return nil, err
	}
	defer leave()
	if _, err := g.decide(ctx, r, arguments{}); err != nil {
		return nil, err
	}
	return json.RawMessage("{}"), g.watchOver(ctx, r, t.member, t.original, r.session, maxSubscriptions)
}

// unsubscribe serves resources/unsubscribe.
func (g *Gateway) unsubscribe(ctx context.Context, r Request) (json.RawMessage, error) {
	uri, _ := r.Params.GetString("uri")
	t, visible := g.resource(r, uri)
	if r.session == nil || !visible && !g.watches(r.session, t) {
		return nil, notFoundIn(r.Era, upstream.LegacyEra, noResource(uri))
	}
	m, original := t.member, t.original
	shared := func(w watched) bool { return w.uri == original && w.in.link.opts.Name == m.Name }
	err := g.unwatchEach(ctx, r.session, shared)
	r.session.dropSubscription(m.Name, original)
	if in := m.of(owner{session: r.session}); in != nil { // the upstream may have something to say of one that it does not know
		err = cmp.Or(err, in.unsubscribe(ctx, original))
	}
	for in := r.session.watching(m.Name, original); in != nil; in = r.session.watching(m.Name, original) {
		err = cmp.Or(err, in.unsubscribe(ctx, original))
	}
	err = cmp.Or(err, g.unwatchEach(ctx, r.session, shared)) // a reload may have moved it here meanwhile
	if err != nil {
		return nil, callFailed(err)
	}
	return json.RawMessage("{}"), nil
}

// watches reports whether the session's client has subscribed to a resource, which it
// may not see any more.
func (g *Gateway) watches(s *session, t target) bool {
	if s == nil || t.member == nil {
		return false
	}
	label := t.member.Name
	return s.watching(label, t.original) != nil || s.keeps(label, t.original) ||
		slices.ContainsFunc(g.subscriptions.of(s), func(w watched) bool { return w.uri == t.original && w.in.link.opts.Name == label })
}

func (in *instance) unsubscribe(ctx context.Context, uri string) error {
	in.subscribing.Lock()
	defer in.subscribing.Unlock()
	return in.conn.Unsubscribe(ctx, uri)
}

// watching is an instance of the session's own that has subscribed to the
// resource; nil if none has.
func (s *session) watching(label, uri string) *instance {
	for _, in := range s.instances() {
		if in.link.opts.Name == label && slices.Contains(in.conn.Subscriptions(), uri) {
			return in
		}
	}
	return nil
}

// watchable is the resource that the request is about.
func (g *Gateway) watchable(r Request) (target, error) {
	uri, _ := r.Params.GetString("uri")
	if len(uri) > maxWatchedURI {
		return target{}, invalidParams("the URI of a subscription is longer than %d bytes", maxWatchedURI)
	}
	t, ok := g.resource(r, uri)
	if !ok || r.session == nil {
		return target{}, notFoundIn(r.Era, upstream.LegacyEra, noResource(uri))
	}
	r.about.isResource(t, uri)
	return t, nil
}

func (s *session) request() Request {
	r := Request{Era: upstream.LegacyEra, Caller: s.caller.Load(), session: s}
	if ip := s.ip.Load(); ip != nil {
		r.IP = *ip
	}
	return r
}

func (s *session) updated(uri string) {
	params := rawjson.Object{}
	params.Set("uri", rawjson.String(uri))
	s.pushOnce(notification("notifications/resources/updated", params.Bytes()))
}
