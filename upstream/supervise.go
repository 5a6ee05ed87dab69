package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A pace is how long the supervision of an upstream waits, for what.
type pace struct {
	probe   time.Duration // bounds one probe
	between time.Duration // at least between two probes of a connection
	// look is between two looks at how long a connection has been silent. One
	// that has been for that long, with calls under way, is asked whether it
	// answers meanwhile.
	look time.Duration
	// silence is after what time without a word of the server, with calls
	// under way, it is to prove that it lives; idle is that without calls.
	silence, idle time.Duration
	// demand is at least from the end of one attempt to connect to the next one,
	// if a call asks for it; wait is how long that call waits for the attempt.
	demand, wait time.Duration
	rotate       time.Duration // between two looks at the secrets in the environment
}

func newPace(opts Options) pace {
	p := pace{
		probe:   5 * time.Second,
		between: time.Second,
		look:    5 * time.Second,
		silence: 30 * time.Second,
		idle:    time.Minute,
		demand:  time.Second,
		wait:    time.Second,
		rotate:  time.Minute,
	}
	if opts.URL == nil {
		p.demand = 2 * time.Second // starting a process costs more
	}
	return p
}

// A doubt is a reason to ask a server whether it is there.
type doubt int

const (
	none   doubt = iota
	failed       // a call failed without an answer
	silent       // nothing came for long, though calls are under way
	idle         // nothing came for long, and no calls are under way
)

// watch probes the server whenever there is a doubt, one probe at a time, until
// the connection ends. A server that does not answer the probe is given up.
func (u *Upstream) watch(c *conn) {
	look := time.NewTicker(u.pace.look)
	defer look.Stop()
	var quiet time.Duration // for how long it was, when it did not answer
	idleFor := u.pace.idle + u.jitter(u.pace.idle/4)
	for {
		d := failed
		select {
		case <-c.life.Done():
			return
		case <-c.suspected:
		case <-look.C:
			if d = u.doubtful(c, quiet, idleFor); d == none {
				continue
			}
		}
		quiet = u.judge(c, d)
		if !sleep(c.life, u.pace.between) {
			return
		}
	}
}

// doubtful says whether the server has been silent for too long. One of which
// is not known whether it answers while a call is under way is asked earlier,
// to find out; if it did not answer after having been quiet for some time, not
// again at once.
func (u *Upstream) doubtful(c *conn, quiet, idleFor time.Duration) doubt {
	limit := u.pace.silence
	if !u.answersWhileBusy.Load() {
		limit = u.pace.look
	}
	if quiet > 0 {
		limit = quiet + u.pace.silence
	}
	lasts, busy := c.quiet()
	switch {
	case busy && lasts >= limit:
		return silent
	case !busy && lasts >= idleFor && !u.opts.CallsOnly && !c.stateless:
		return idle
	}
	return none
}

// judge probes the server and gives it up if it does not answer, unless it may
// be busy with a call and one that serves one after another: it returns for how
// long such a server has been quiet, else 0.
func (u *Upstream) judge(c *conn, d doubt) (quiet time.Duration) {
	defer c.judgementPassed()
	method, err := u.probe(c)
	switch {
	case err == nil || c.life.Err() != nil:
	case errors.Is(err, errSessionGone):
		c.end(err)
	case d == silent && isLate(err) && !u.answersWhileBusy.Load():
		quiet, _ = c.quiet()
	default:
		c.giveUp(c.verdict(&givenUpError{method, plain(err)}))
	}
	return quiet
}

// probe asks the server something small. Any answer will do. Not every legacy
// server knows ping: until one has answered it, listing its tools, which it
// has done before, serves as well.
func (u *Upstream) probe(c *conn) (method string, err error) {
	busy, ended := c.inFlight() > 0, c.ended.Load()
	defer func() {
		if err == nil && busy && c.ended.Load() == ended {
			u.answersWhileBusy.Store(true)
		}
	}()
	if u.endpoint != nil {
		u.endpoint.closeIdle() // one of them may be dead, and the server not
	}
	switch {
	case c.modern:
		return "server/discover", c.probe("server/discover", u.pace.probe)
	case u.answersPing.Load() || !u.hasTools():
		return "ping", c.probe("ping", u.pace.probe)
	}
	if err = c.probe("ping", u.pace.probe/2); err == nil {
		u.answersPing.Store(true)
		return "ping", nil
	}
	if isLate(err) {
		return "tools/list", c.probe("tools/list", u.pace.probe/2)
	}
	return "ping", err
}

func (u *Upstream) hasTools() bool {
	l := u.Listing()
	return l != nil && l.Declares("tools")
}

// probe returns nil if the server has answered, or could not be asked.
func (c *conn) probe(method string, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(c.life, limit, noAnswer(limit))
	defer cancel()
	_, err := c.ask(ctx, Call{Method: method, Params: json.RawMessage(`{}`)})
	var refused *httpError
	var secret *secretError
	switch {
	case isAnswered(err), errors.As(err, &secret):
		return nil
	case errors.As(err, &refused) && refused.status == http.StatusTooManyRequests:
		return nil // asking more, or anew, makes it worse
	}
	return err
}

// suspect has the server probed, since a call has failed.
func (c *conn) suspect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.judged != nil {
		return
	}
	c.judged = make(chan struct{})
	select {
	case c.suspected <- struct{}{}:
	default:
	}
}

// settled waits, after a failure, until the probe that it causes is over, if it
// does, and reports whether ctx is still alive.
func (c *conn) settled(ctx context.Context) bool {
	c.mu.Lock()
	judged := c.judged
	c.mu.Unlock()
	if judged != nil {
		select {
		case <-judged:
		case <-c.life.Done():
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

func (c *conn) judgementPassed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.judged != nil {
		close(c.judged)
		c.judged = nil
	}
}

// isDoubtful reports whether the failure of a call with ctx makes it doubtful
// that the server is there.
func isDoubtful(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return isLate(context.Cause(ctx)) // else the caller has left
	}
	var secret *secretError
	return !errors.As(err, &secret) && !isOversize(err) && !errors.Is(err, errSessionGone) && !errors.Is(err, errOtherEra)
}

// giveUp ends the connection and all calls that are under way on it.
func (c *conn) giveUp(err error) {
	c.end(err)
	c.endCalls(err)
}

// A givenUpError is why a connection ended that may look alive, but whose
// server does not answer.
type givenUpError struct {
	method string // that it was asked
	err    error
}

func (e *givenUpError) Error() string { return fmt.Sprintf("given up: %s: %v", e.method, e.err) }

func (c *conn) isGivenUp() bool {
	var by *givenUpError
	return errors.As(context.Cause(c.life), &by)
}

// begin notes that a call begins, and over that it has ended.
func (c *conn) begin() {
	if c.begun.Add(1)-c.ended.Load() == 1 {
		c.busySince.Store(c.age())
	}
}

func (c *conn) over() {
	c.ended.Add(1)
	if c.closed.Load() {
		c.leave()
	}
}

// leave lets go of the upstream after the last call on a closed connection.
func (c *conn) leave() {
	if c.inFlight() == 0 {
		c.forget()
	}
}

func (c *conn) inFlight() int64 { return c.begun.Load() - c.ended.Load() }

// age is for how long there has been the connection, in nanoseconds. It is
// never negative.
func (c *conn) age() int64 { return int64(time.Since(c.born)) }

// hear notes that something came from the server.
func (c *conn) hear() { c.heard.Store(c.age()) }

// quiet is for how long nothing came from the server, and whether calls are
// under way, in which case only the time since the first of them counts.
func (c *conn) quiet() (lasts time.Duration, busy bool) {
	since := c.heard.Load()
	if busy = c.inFlight() > 0; busy {
		since = max(since, c.busySince.Load())
	}
	return time.Duration(c.age() - since), busy
}

// listening is a reader of what the server sends.
func (c *conn) listening(r io.Reader) io.Reader { return &heardReader{r, c} }

type heardReader struct {
	r io.Reader
	c *conn
}

func (h *heardReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if n > 0 {
		h.c.hear()
	}
	return n, err
}
