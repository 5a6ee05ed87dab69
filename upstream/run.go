package upstream

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	// debounce is how long a list that has changed may go on changing before
	// it is fetched.
	debounce = 75 * time.Millisecond
	// relistEvery is at least between two times that lists are fetched, however
	// often the server says that they have changed.
	relistEvery = 500 * time.Millisecond
	// relistPause is between attempts to fetch it.
	relistPause = 5 * time.Second
	// minRefresh is how long a list counts as fresh at least, so that no server
	// makes the gateway poll it.
	minRefresh = 30 * time.Second
)

// Run connects to the server and stays connected until ctx ends. It returns
// when everything it started has stopped, and must be called once.
func (u *Upstream) Run(ctx context.Context) {
	var left sync.WaitGroup // what a connection leaves behind
	defer u.stopped()
	defer left.Wait()
	defer u.end()
	retry := backoff{jitter: u.jitter}
	for {
		began := time.Now()
		c, l, err := u.connect(ctx)
		var pause time.Duration
		if err != nil {
			pause = retry.next()
			u.notConnected(ctx, err, time.Since(began), pause)
		} else {
			again, _ := u.subscriptions.current() // later ones are asked for by Subscribe
			u.nowConnected(c, l, time.Since(began))
			retry.settle(u.serve(ctx, c, again, &left))
			connects := u.connects()
			left.Go(func() { u.forgetListing(ctx, connects) })
			if !u.awaiting() {
				pause = retry.next()
			}
		}
		if !u.pause(ctx, pause) {
			return
		}
	}
}

// pause waits for d before the next attempt, or until a call wants one, and
// reports whether ctx is still alive.
func (u *Upstream) pause(ctx context.Context, d time.Duration) bool {
	u.mu.Lock()
	u.status.NextAttempt = time.Now().Add(d)
	u.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-u.wanted:
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status.NextAttempt = time.Time{}
	u.dialing = true
	select {
	case <-u.wanted: // by a call that came just now
	default:
	}
	return ctx.Err() == nil
}

// connect connects and fetches the lists.
func (u *Upstream) connect(ctx context.Context) (*conn, *Listing, error) {
	if err := u.fetchImage(ctx); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, u.opts.ConnectTimeout, noAnswer(u.opts.ConnectTimeout))
	defer cancel()
	c, l, err := u.dial(ctx)
	if err == nil && l.Era == ModernEra {
		c.listen(u, l)
	}
	if err == nil && !u.opts.CallsOnly {
		c, l, err = c.orClose(l, c.list(ctx, l))
	}
	u.remember(c, err)
	if err != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx)
	}
	return c, l, plain(err)
}

// remember notes what to speak next time: what works, or the legacy era with a
// process that may have been struck dumb by the question for the modern one.
func (u *Upstream) remember(c *conn, err error) {
	switch {
	case err == nil:
		u.worked = c.speaks
	case u.unanswered:
		u.worked = Legacy
	default:
		u.worked = ""
	}
	u.unanswered = false
}

// serve keeps the listing up to date until the connection ends, closes it, and
// returns how long it lived. Resources that were subscribed to on the last
// connection are asked for again. A process is gone when it returns; an HTTP
// server may take its time to hear that a session is over, and left is who
// waits for that.
func (u *Upstream) serve(ctx context.Context, c *conn, subscribed []string, left *sync.WaitGroup) time.Duration {
	began := time.Now()
	c.running.start(func() { u.watch(c) })
	if len(u.opts.Env) > 0 {
		c.running.start(func() { u.heedRotation(c) })
	}
	if c.listener == nil {
		c.running.start(func() { u.resubscribe(c, subscribed) })
	}
	u.keepListing(ctx, c)
	lived := time.Since(began)
	if ctx.Err() == nil {
		u.nowLost(context.Cause(c.life), lived)
	} else {
		u.end()
		c.sayGoodbye()
	}
	if u.endpoint == nil {
		c.close()
	} else {
		left.Go(c.close)
	}
	return lived
}

// keepListing lists anew what the server says has changed, until the
// connection or ctx ends.
func (u *Upstream) keepListing(ctx context.Context, c *conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	last, pause := time.Time{}, debounce
	stale, refresh := u.refresh()
	for {
		select {
		case <-ctx.Done():
			return
		case <-refresh:
			c.lists.add(stale...)
			refresh = nil // until they are there
			continue
		case <-c.lists.added:
		}
		if !sleep(ctx, max(pause, relistEvery-time.Since(last))) {
			return
		}
		last, pause = time.Now(), debounce
		if err := u.relist(ctx, c, c.lists.take()); err != nil && ctx.Err() == nil {
			u.opts.Log.Warn("listing what has changed", "err", plain(err))
			pause = relistPause
			if u.opts.CallsOnly {
				c.lists.take() // the definitions that everybody gets are good enough
			}
		} else {
			stale, refresh = u.refresh()
		}
	}
}

// refresh says which kinds to list anew, and when, since the server says for
// how long they are fresh and does not tell when they change.
func (u *Upstream) refresh() (stale []kind, when <-chan time.Time) {
	l := u.Listing()
	if u.opts.CallsOnly || l == nil {
		return nil, nil
	}
	fresh := maxTTL
	for _, k := range kinds {
		if ttl := *l.ttl(k); ttl > 0 && !l.declares(k.capability, "listChanged") {
			stale, fresh = append(stale, k), min(fresh, ttl)
		}
	}
	if stale == nil {
		return nil, nil
	}
	fresh = max(fresh, minRefresh)
	return stale, time.After(fresh + u.jitter(fresh/4))
}

// missed makes up for what may have happened while no stream was open, and
// finds out whether the session is still there.
func (u *Upstream) missed(c *conn) {
	l := u.Listing()
	for _, k := range kinds {
		if !u.opts.CallsOnly || l != nil && *l.items(k) != nil {
			c.lists.add(k)
		}
	}
	if !u.opts.CallsOnly {
		return
	}
	c.running.start(func() {
		ctx, cancel := context.WithTimeoutCause(c.life, u.opts.CallTimeout, noAnswer(u.opts.CallTimeout))
		defer cancel()
		if _, err := c.call(ctx, Call{Method: "ping"}); err != nil && c.life.Err() == nil {
			u.opts.Log.Debug("asking whether the session is still there", "err", plain(err))
		}
	})
}

// relist fetches the lists of some kinds. Those it cannot fetch stay changed.
func (u *Upstream) relist(ctx context.Context, c *conn, changed []kind) error {
	ctx, cancel := context.WithTimeoutCause(ctx, u.opts.CallTimeout, noAnswer(u.opts.CallTimeout))
	defer cancel()
	l := *u.Listing()
	for i, k := range changed {
		if !l.declares(k.capability, "") {
			continue
		}
		items, ttl, err := c.listKind(ctx, k)
		if err != nil {
			c.lists.add(changed[i:]...)
			return err
		}
		*l.items(k), *l.ttl(k) = items, ttl
	}
	u.publish(&l, func() {})
	return nil
}

// publish replaces the listing if it differs. then is done before Changed is
// called.
func (u *Upstream) publish(l *Listing, then func()) {
	u.publishing.Lock()
	defer u.publishing.Unlock()
	same := l.equal(u.Listing())
	if !same {
		u.listing.Store(l)
	}
	then()
	if !same {
		u.changed()
	}
}

// forgetListing gives up the listing of the connection number connects after
// ToolsGrace, unless there is a newer one or ctx ends before.
func (u *Upstream) forgetListing(ctx context.Context, connects int) {
	timer := time.NewTimer(u.opts.ToolsGrace)
	defer timer.Stop()
	for {
		moved := u.nextMove() // taken before the look, so that no change is missed
		if u.connects() != connects {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		case <-timer.C:
			u.expire(connects)
			return
		}
	}
}

// expire gives up the listing, if there is no newer connection.
func (u *Upstream) expire(connects int) {
	u.publishing.Lock()
	defer u.publishing.Unlock()
	if u.connects() != connects {
		return
	}
	u.opts.Log.Warn("gave up the listing", "lost_for", u.opts.ToolsGrace)
	u.listing.Store(nil)
	u.changed()
}

func (u *Upstream) changed() {
	if u.opts.Changed != nil {
		u.opts.Changed()
	}
}

// nowConnected makes c the connection that calls use.
func (u *Upstream) nowConnected(c *conn, l *Listing, took time.Duration) {
	log := u.opts.Log
	if !u.opts.CallsOnly {
		log = log.With("tools", len(l.Tools))
	}
	log.Info("connected", "took", took, "era", l.Era, "version", l.Version)
	u.publish(l, func() {
		u.move(Connected, func() {
			u.conn, u.awaited, u.dialing, u.ended = c, false, false, time.Now()
			u.status.Era = l.Era
			u.status.Connects++
		})
	})
	u.attempt.Do(func() { close(u.attempted) })
}

// notConnected notes why an attempt failed, and after what pause comes the next
// one. The same reason is not logged again and again.
func (u *Upstream) notConnected(ctx context.Context, err error, took, pause time.Duration) {
	defer u.attempt.Do(func() { close(u.attempted) })
	if ctx.Err() != nil {
		return
	}
	before := u.Status()
	level := slog.LevelWarn
	if before.State != Connected && before.LastError == u.secrets.redact(err.Error()) {
		level = slog.LevelDebug
	}
	err = u.secrets.redacted(err)
	u.opts.Log.Log(ctx, level, "not connected", "err", err, "took", took)
	u.move(before.State, func() {
		u.awaited, u.dialing, u.ended = false, false, time.Now()
		u.status.LastError, u.status.NextAttempt = err.Error(), u.ended.Add(pause)
	})
}

// nowLost gives up the connection. Calls wait for the next attempt if the
// server is there, and only dropped the session, speaks another era or is
// started anew.
func (u *Upstream) nowLost(err error, lived time.Duration) {
	renewed := errors.Is(err, errRenewed)
	gone := isUnsent(err) || renewed
	if errors.Is(err, errOtherEra) {
		u.worked = ""
	}
	err = u.secrets.redacted(err)
	if !renewed {
		u.opts.Log.Warn("connection lost", "err", err, "lived", lived)
	}
	u.move(Lost, func() {
		u.conn = nil
		u.awaited = gone && lived >= minBackoff
		u.status.LastError = err.Error()
	})
}

func (u *Upstream) stopped() {
	u.end()
	u.move(Stopped, func() {
		u.conn, u.awaited = nil, false
	})
	u.attempt.Do(func() { close(u.attempted) })
	if u.endpoint != nil {
		u.endpoint.closeIdle()
	}
}

// move changes the state and wakes who waits for a change.
func (u *Upstream) move(to State, change func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.status.State != to {
		u.status.State, u.status.Since = to, time.Now()
	}
	change()
	close(u.moved)
	u.moved = make(chan struct{})
}

// nextMove is closed at the next change of state, counted from this call.
func (u *Upstream) nextMove() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.moved
}

// connects counts the connections so far.
func (u *Upstream) connects() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.status.Connects
}

func (u *Upstream) awaiting() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.awaited
}
