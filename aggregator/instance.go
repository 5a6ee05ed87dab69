package aggregator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// An owner is whose an instance is: a session's of a legacy client, a caller's,
// or, where both are missing, everybody's.
type owner struct {
	session *session
	caller  string // Caller.ID
}

// log returns l with the owner in every record.
func (who owner) log(l *slog.Logger) *slog.Logger {
	if s := who.session; s != nil {
		return l.With("isolation", PerSession, "caller", s.owner)
	}
	return l.With("isolation", PerUser, "caller", who.caller)
}

// An instance is one connection to an upstream, and the process behind it if
// it is one.
type instance struct {
	link    *link
	owner   owner
	conn    *upstream.Upstream
	end     context.CancelFunc // set when it is started
	stopped chan struct{}      // closed when it has ended, and its process
	level   toldLevel
	differs atomic.Bool // it has listed something for its owner alone

	subscribing sync.Mutex // held while the upstream is told who watches what, or that moves

	users int       // requests that use it; guarded by the link's mu
	used  time.Time // when the last one ended; guarded by the link's mu
}

// instanceFor is the instance of m that serves the request. It is in use until
// leave. One that is the owner's own is dialled when it is first asked for, and
// ends with its session, when it has been idle, or when it gives way to another
// one; then the next request dials it anew.
func (g *Gateway) instanceFor(ctx context.Context, r Request, m *member) (*instance, error) {
	in, err := g.useInstance(ctx, m, m.ownerOf(r))
	for errors.Is(err, errRetired) { // a reload has replaced it since the request was routed
		now := g.Catalog().byLabel[m.Name]
		if now == nil {
			return nil, callFailed(&upstream.Error{Upstream: m.Name, Err: errRetired})
		}
		in, err = g.useInstance(ctx, now, now.ownerOf(r))
	}
	if err != nil {
		return nil, err
	}
	if s := in.owner.session; s != nil {
		in.level.tell(ctx, in, s.wantedLevel)
	}
	return in, nil
}

func (g *Gateway) useInstance(ctx context.Context, m *member, who owner) (*instance, error) {
	if who == (owner{}) {
		return m.useShared()
	}
	in, err := g.openInstance(m.link, who)
	for end := time.Now().Add(roomTimeout); isCrowded(err) && time.Now().Before(end) && g.makeRoom(ctx, m.link, err); {
		in, err = g.openInstance(m.link, who)
	}
	switch {
	case errors.Is(err, errFull):
		return nil, busy("upstream %q is busy: every instance it may have (max_instances = %d) is in use; try again later", m.Name, m.limit())
	case errors.Is(err, errNoMemory):
		return nil, busy("upstream %q is busy: the containers that run leave no memory for another one (containers.memory), and all of them are in use; try again later", m.Name)
	}
	return in, err
}

// isCrowded reports whether there is no room for another instance, as long as
// none gives way.
func isCrowded(err error) bool { return errors.Is(err, errFull) || errors.Is(err, errNoMemory) }

func busy(format string, args ...any) error {
	return &denied{reason: "busy", answer: &jsonrpc.Error{Code: codeBusy, Message: fmt.Sprintf(format, args...)}}
}

// leave ends one use of the instance.
func (in *instance) leave() {
	l := in.link
	l.mu.Lock()
	defer l.mu.Unlock()
	in.users--
	in.used = time.Now()
	switch {
	case !l.retired || in.users > 0:
	case in == l.shared:
		close(l.idle)
	default:
		in.endLocked()
	}
}

// openInstance returns the owner's instance, in use. It fails with errFull,
// errNoMemory and errRetired.
func (g *Gateway) openInstance(l *link, who owner) (*instance, error) {
	limit := l.limit()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		return nil, errRetired
	}
	if in := l.own[who]; in != nil {
		in.users++
		return in, nil
	}
	if l.live >= limit {
		return nil, errFull
	}
	if c := l.opts.Container; c != nil && !g.containers.HasRoom(c) {
		return nil, errNoMemory
	}
	in := &instance{link: l, owner: who, stopped: make(chan struct{}), users: 1}
	in.conn = upstream.New(g.ownOptions(in))
	life := g.life
	if who.session != nil {
		life = who.session.ctx
	}
	life, in.end = context.WithCancel(life)
	if !g.running.start(func() { g.run(life, in) }) {
		in.end()
		return nil, callFailed(errSessionEnded)
	}
	if who.session == nil {
		g.views.enter(who.caller)
	}
	l.own[who] = in
	l.live++
	if who.session != nil {
		who.session.adopt(in)
	}
	return in, nil
}

// run keeps the instance connected until ctx ends, or it has been idle.
func (g *Gateway) run(ctx context.Context, in *instance) {
	var idling sync.WaitGroup
	idling.Go(func() { in.endWhenIdle(ctx) })
	in.conn.Run(ctx)
	in.end()
	idling.Wait()
	in.forget()
	g.unlisted(in)
	if in.owner.session == nil {
		g.views.leave(in.owner.caller)
	}
	close(in.stopped)
}

// forget takes the instance, which has ended, from its link.
func (in *instance) forget() {
	l := in.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own[in.owner] == in {
		delete(l.own, in.owner)
	}
	if s := in.owner.session; s != nil {
		s.disown(in)
	}
	l.live--
}

// endWhenIdle ends the instance once nobody has used it for idle_timeout.
func (in *instance) endWhenIdle(ctx context.Context) {
	for {
		wait := in.idleIn()
		if wait <= 0 && in.giveUp() {
			in.owner.log(in.link.log).Info("an idle instance has ended", "upstream", in.link.opts.Name)
			return
		}
		select {
		case <-time.After(max(wait, time.Second)):
		case <-ctx.Done():
			return
		}
	}
}

// idleIn is after what time the instance has been idle for too long, as things are.
func (in *instance) idleIn() time.Duration {
	timeout := in.link.idleTimeout()
	in.link.mu.Lock()
	defer in.link.mu.Unlock()
	if in.busyLocked() {
		return timeout
	}
	return timeout - time.Since(in.used)
}

// busyLocked reports whether somebody uses the instance, or waits for updates
// over it.
func (in *instance) busyLocked() bool {
	s := in.owner.session
	return in.users > 0 || (s == nil || s.listens()) && len(in.conn.Subscriptions()) > 0
}

// giveUp ends the instance, unless it is in use by now. The owner's next one
// has its subscriptions.
func (in *instance) giveUp() bool {
	in.link.mu.Lock()
	defer in.link.mu.Unlock()
	if in.busyLocked() {
		return false
	}
	in.endLocked()
	return true
}

// endLocked ends the instance, which the owner's next request does not find any
// more.
func (in *instance) endLocked() {
	if in.link.own[in.owner] == in {
		delete(in.link.own, in.owner)
	}
	if s := in.owner.session; s != nil {
		s.keepSubscriptions(in.link.opts.Name, in.conn.Subscriptions())
	}
	in.end()
}

// makeRoom ends the instance that was idle for longest, of a session that nobody
// listens in if there is one, and waits until it has ended: one of the link's,
// or, where the memory is full, a container of any. It reports false if all are
// in use.
func (g *Gateway) makeRoom(ctx context.Context, l *link, full error) bool {
	in := l.longestIdle()
	if errors.Is(full, errNoMemory) {
		in = g.idleContainer()
	}
	if in.instance == nil {
		return false
	}
	if !g.giveWay(in) {
		return true // somebody uses it by now; there may be another one
	}
	ctx, cancel := context.WithTimeout(ctx, roomTimeout)
	defer cancel()
	select {
	case <-in.stopped:
	case <-ctx.Done():
	}
	return true
}

// giveWay ends an instance for another one, unless it is in use by now.
func (g *Gateway) giveWay(in candidate) bool {
	if !in.giveUp() {
		return false
	}
	in.owner.log(g.log).Info("an idle instance gave way to another one", "upstream", in.link.opts.Name)
	return true
}

// A candidate is an idle instance that may give way to another one.
type candidate struct {
	*instance // nil for none
	listens   bool
	used      time.Time
}

// before says which of two goes first: those of sessions without a stream of
// their own, and of callers, and among them what was idle for longest.
func (c candidate) before(other candidate) bool {
	switch {
	case c.instance == nil:
		return false
	case other.instance == nil:
		return true
	case c.listens != other.listens:
		return other.listens
	}
	return c.used.Before(other.used)
}

// longestIdle is which of the link's instances gives way first, if not all are
// in use.
func (l *link) longestIdle() (first candidate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range l.own {
		if in.busyLocked() {
			continue
		}
		s := in.owner.session
		if c := (candidate{in, s != nil && s.listens(), in.used}); c.before(first) {
			first = c
		}
	}
	return first
}

// idleContainer is which container of all upstreams gives way first, if not all
// are in use.
func (g *Gateway) idleContainer() (first candidate) {
	for _, m := range g.Catalog().members {
		if m.Container == nil {
			continue
		}
		if c := m.longestIdle(); c.before(first) {
			first = c
		}
	}
	return first
}

// giveMemory ends an idle container for one that is about to be started. It
// reports false if all are in use.
func (g *Gateway) giveMemory() bool {
	for {
		in := g.idleContainer()
		if in.instance == nil || g.giveWay(in) {
			return in.instance != nil
		}
	}
}

// ownOptions introduce the owner's client to the upstream: a session's, or, for
// all of a caller's clients, what the upstream may ask some of them.
func (g *Gateway) ownOptions(in *instance) upstream.Options {
	m, s := in.link.rules.Load(), in.owner.session
	opts := in.link.opts
	opts.CallsOnly = true
	opts.Changed = func() { g.listed(in) }
	opts.Private = true
	opts.Log = in.owner.log(opts.Log)
	if s == nil {
		opts.ClientCapabilities = m.capabilities()
		opts.Protocol = m.callersProtocol(in.link.shared.conn.Listing())
		opts.Notify = func(method string, params json.RawMessage) { g.told(in, method, params) }
		return opts
	}
	opts.ClientInfo = s.client.info
	opts.ClientCapabilities = m.mayAsk(s.client.capabilities)
	opts.Protocol = m.sessionsProtocol(in.link.shared.conn.Listing())
	opts.Subscriptions = s.takeSubscriptions(m.Name)
	opts.Request = func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
		return question{from: in.link.rules.Load(), conn: in.conn, to: s, method: method, params: params}.ask(ctx)
	}
	opts.Notify = func(method string, params json.RawMessage) { g.toldOwn(s, in.link.rules.Load(), method, params) }
	return opts
}

// toldOwn passes on what an upstream tells over the session's own instance, but
// belongs to no call: on the session's stream.
func (g *Gateway) toldOwn(s *session, m *member, method string, params json.RawMessage) {
	switch method {
	case "notifications/resources/updated":
		if uri, ok := uriOf(params); !ok || g.mayHear(s.request(), m, uri) {
			s.pushOnce(notification(method, m.publishUpdate(params)))
		}
		return
	case "notifications/message":
		if level := s.level(); level != nil && !loudEnough(params, level) {
			return
		}
	}
	s.push(notification(method, params))
}

// uriOf is what an update is about.
func uriOf(params json.RawMessage) (uri string, ok bool) {
	o, err := rawjson.ParseObject(params)
	if err != nil {
		return "", false
	}
	return o.GetString("uri")
}

// publishUpdate puts the published URI into the params of an update.
func (m *member) publishUpdate(params json.RawMessage) json.RawMessage {
	o, err := rawjson.ParseObject(params)
	if err != nil {
		return params
	}
	setURI(&o, m.publishURI)
	return o.Bytes()
}

// keepSubscriptions keeps those of an instance that has ended for the next one.
func (s *session) keepSubscriptions(label string, uris []string) {
	if len(uris) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unwatched == nil {
		s.unwatched = map[string][]string{}
	}
	for _, uri := range uris {
		if !slices.Contains(s.unwatched[label], uri) {
			s.unwatched[label] = append(s.unwatched[label], uri)
		}
	}
}

// keeps reports whether it does so for one of them.
func (s *session) keeps(label, uri string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.unwatched[label], uri)
}

// dropSubscription is for one that the client does not want any more.
func (s *session) dropSubscription(label, uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept := s.unwatched[label]; kept != nil {
		s.unwatched[label] = slices.DeleteFunc(kept, func(k string) bool { return k == uri })
	}
}

func (s *session) adopt(in *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own == nil {
		s.own = map[*instance]bool{}
	}
	s.own[in] = true
}

func (s *session) disown(in *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.own, in)
}

// instances are the session's own, those that a reload has replaced included
// until they have ended.
func (s *session) instances() []*instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.own))
}

func (s *session) takeSubscriptions(label string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	uris := s.unwatched[label]
	delete(s.unwatched, label)
	return uris
}
