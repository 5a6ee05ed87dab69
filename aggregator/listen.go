package aggregator

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	// keepAlive is how often a stream with nothing to say says so, for proxies
	// that end idle connections.
	keepAlive = 25 * time.Second

	// maxListeners bounds the streams of modern clients.
	maxListeners = 20_000
)

// kinds of lists, as modern clients subscribe to them.
type listKinds struct {
	Tools     bool `json:"toolsListChanged,omitempty"`
	Prompts   bool `json:"promptsListChanged,omitempty"`
	Resources bool `json:"resourcesListChanged,omitempty"`
}

// everyKind is all of them.
var everyKind = listKinds{Tools: true, Prompts: true, Resources: true}

func (k listKinds) and(other listKinds) listKinds {
	return listKinds{k.Tools && other.Tools, k.Prompts && other.Prompts, k.Resources && other.Resources}
}

func (k listKinds) or(other listKinds) listKinds {
	return listKinds{k.Tools || other.Tools, k.Prompts || other.Prompts, k.Resources || other.Resources}
}

// listeners are the open subscriptions/listen streams of modern clients.
type listeners struct {
	mu   sync.Mutex
	open map[*listener]bool // guarded by mu
}

// A listener is one of them.
type listener struct {
	caller atomic.Pointer[oauth.Caller] // as the newest token tells it
	ip     netip.Addr
	wants  listKinds

	mu      sync.Mutex
	changed listKinds     // what was not written yet; guarded by mu
	updates []string      // URIs of resources; guarded by mu
	wake    chan struct{} // holds a token while either may not be empty
}

func (ls *listeners) add(l *listener) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ls.open) >= maxListeners {
		return false
	}
	if ls.open == nil {
		ls.open = map[*listener]bool{}
	}
	ls.open[l] = true
	return true
}

func (ls *listeners) remove(l *listener) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	delete(ls.open, l)
}

func (ls *listeners) all() []*listener {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Collect(maps.Keys(ls.open))
}

// updated tells of a resource; one that the client has not read of yet counts
// once.
func (l *listener) updated(uri string) {
	l.mu.Lock()
	if !slices.Contains(l.updates, uri) && len(l.updates) < maxSubscriptions {
		l.updates = append(l.updates, uri)
	}
	l.mu.Unlock()
	l.poke()
}

func (l *listener) request() Request {
	return Request{Era: upstream.ModernEra, Caller: l.caller.Load(), IP: l.ip}
}

func (l *listener) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *listener) take() (changed listKinds, updates []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, updates = l.changed, l.updates
	l.changed, l.updates = listKinds{}, nil
	return changed, updates
}

// serveListen serves subscriptions/listen: an acknowledgement first, then the
// notifications asked for, until the client goes or the gateway drains (MCP
// 2026-07-28, "Subscriptions").
func (g *Gateway) serveListen(w http.ResponseWriter, r *http.Request, x *exchange) {
	x.catalog, x.about = g.catalogOf(x.Request), &matter{}
	if err := g.admit(x.Request); err != nil {
		newResponder(w, r, x).answer(g.answerOf(x.Request, err))
		return
	}
	l := &listener{ip: x.IP, wake: make(chan struct{}, 1)}
	l.caller.Store(x.Caller)
	wanted := x.Params.Get("notifications")
	if anObject(wanted) != nil || json.Unmarshal(wanted, &l.wants) != nil {
		newResponder(w, r, x).answer(nil, invalidParams("notifications is not an object that says what to listen for"))
		return
	}
	if !g.listeners.add(l) {
		w.Header().Set("Retry-After", "60")
		refuse(w, http.StatusServiceUnavailable, codeBusy, "too many clients are listening; try again later")
		return
	}
	defer g.listeners.remove(l)
	ctx, cancel := whileSignedIn(r.Context(), x.Caller)
	defer cancel()
	ctx, leave, err := g.enter(ctx, x.Request)
	if err != nil {
		newResponder(w, r, x).answer(g.answerOf(x.Request, err))
		return
	}
	defer leave()
	defer g.unwatchAll(l)
	stream := newEventStream(w)
	meta := rawjson.Object{}
	meta.Set(metaSubscription, x.id)
	stream.notify("notifications/subscriptions/acknowledged", meta, "notifications", g.agree(ctx, x.Request, l, wanted))
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for stream.err == nil && !hasEnded(x.Caller) {
		select {
		case <-ctx.Done():
			return
		case <-x.Caller.Ended:
		case <-g.draining:
			stream.result(x.id, meta)
			return
		case <-x.admitted.over:
			if !g.stillAdmitted(r, x) {
				return
			}
			l.caller.Store(x.Caller)
		case <-tick.C:
			stream.comment()
		case <-l.wake:
			changed, updates := l.take()
			stream.listChanged(changed, meta)
			for _, uri := range updates {
				stream.notify("notifications/resources/updated", meta, "uri", rawjson.String(uri))
			}
		}
	}
}

// agree subscribes to the resources that the client wants to watch, and says
// what it will be told of.
func (g *Gateway) agree(ctx context.Context, r Request, l *listener, wanted json.RawMessage) json.RawMessage {
	var want struct {
		ResourceSubscriptions []string `json:"resourceSubscriptions"`
	}
	_ = json.Unmarshal(wanted, &want) // what is no list of URIs is not agreed to
	agreed, _ := rawjson.ParseObject(rawjson.Value(l.wants))
	var uris []string
	for _, uri := range want.ResourceSubscriptions {
		if g.agreeTo(ctx, r, l, uri) {
			uris = append(uris, uri)
		}
	}
	if uris != nil {
		agreed.Set("resourceSubscriptions", rawjson.Value(uris))
	}
	return agreed.Bytes()
}

// agreeTo subscribes to one resource, if the caller may read it.
func (g *Gateway) agreeTo(ctx context.Context, r Request, l *listener, uri string) bool {
	r.about = &matter{}
	t, ok := g.resource(r, uri)
	if !ok || len(uri) > maxWatchedURI {
		return false
	}
	r.about.isResource(t, uri)
	err := g.blocked(r)
	if err == nil {
		_, err = g.decide(ctx, r, arguments{})
	}
	if err == nil {
		err = g.watchOver(ctx, r, t.member, t.original, l, maxSubscriptions)
	}
	if err != nil {
		_, _ = g.answerOf(r, err) // which notes a refusal; the client sees what is not agreed to
	}
	return err == nil
}

// notify sends a notification whose params have the _meta and, if name is not
// "", one more member.
func (s *eventStream) notify(method string, meta rawjson.Object, name string, value json.RawMessage) {
	params := rawjson.Object{}
	params.Set("_meta", meta.Bytes())
	if name != "" {
		params.Set(name, value)
	}
	s.message(notification(method, params.Bytes()))
}

func (s *eventStream) listChanged(changed listKinds, meta rawjson.Object) {
	for _, method := range changed.methods() {
		s.notify(method, meta, "", nil)
	}
}

// methods are the notifications that say what has changed.
func (k listKinds) methods() []string {
	var methods []string
	for _, kind := range []struct {
		changed bool
		method  string
	}{
		{k.Tools, "notifications/tools/list_changed"},
		{k.Prompts, "notifications/prompts/list_changed"},
		{k.Resources, "notifications/resources/list_changed"},
	} {
		if kind.changed {
			methods = append(methods, kind.method)
		}
	}
	return methods
}

// result ends a subscription in good order.
func (s *eventStream) result(id json.RawMessage, meta rawjson.Object) {
	result := rawjson.Object{}
	result.Set("_meta", meta.Bytes())
	result.Set("resultType", rawjson.String("complete"))
	s.message(answerBody(id, "result", result.Bytes()))
}
