package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// An Error is a call that got no answer from the server. Its text names the
// upstream and what was wrong, and holds no secrets.
type Error struct {
	Upstream string
	// Err is what was wrong. It wraps context.Canceled or
	// context.DeadlineExceeded only if the caller's own context ended.
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("upstream %q: %v", e.Upstream, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Cancelled is the cause of a context that ended since somebody cancelled a
// request by notifications/cancelled: of the context of a Call if that was the
// client, of a request handler's if it was the server. The reason goes along.
type Cancelled struct{ Reason string } // "" if none was given

func (c *Cancelled) Error() string { return "cancelled: " + cmp.Or(c.Reason, "no reason given") }

var (
	// errSessionGone says that the server no longer knows the session, so the
	// request reached no tool.
	errSessionGone = errors.New("the server has ended the session")
	// errOtherEra says that a modern server is another one by now. The request
	// reached no tool.
	errOtherEra = fmt.Errorf("no longer speaks revision %s", Modern)
	errStopped  = errors.New("stopped")
	errNotRead  = errors.New("does not read its input")
)

// An unsentError is the failure of a call that no tool of the server has seen.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error { return e.error }

// A brokenError is that of a connection that broke under a call.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// isUnsent reports whether a call failed before any tool has seen it.
func isUnsent(err error) bool {
	var unsent *unsentError
	return errors.As(err, &unsent) || errors.Is(err, errSessionGone) || errors.Is(err, errOtherEra) || isUnreachable(err)
}

// isBroken reports whether a call failed with its connection, or at a proxy in
// front of the server. It may have been served.
func isBroken(err error) bool {
	var broken *brokenError
	var refused *httpError
	switch {
	case errors.As(err, &broken):
		return true
	case errors.As(err, &refused):
		return refused.status == http.StatusBadGateway || refused.status == http.StatusServiceUnavailable ||
			refused.status == http.StatusGatewayTimeout
	}
	return false
}

// A secretError is that of a secret which cannot be had, so that nothing was sent.
type secretError struct {
	what string // is it
	err  error
}

func (e *secretError) Error() string { return e.what + ": " + e.err.Error() }
func (e *secretError) Unwrap() error { return e.err }

// isLate reports whether an error says that time, as configured, is over.
func isLate(err error) bool {
	var late *timeoutError
	return errors.As(err, &late) || errors.Is(err, errNotRead)
}

// A timeoutError is the cause of a context whose time, as configured, is over.
type timeoutError struct{ after time.Duration }

func noAnswer(after time.Duration) error { return &timeoutError{after} }

func (e *timeoutError) Error() string {
	if e.after%time.Second == 0 {
		return fmt.Sprintf("no answer within %ds", e.after/time.Second) // not 1m0s, nobody writes that
	}
	return fmt.Sprintf("no answer within %v", e.after)
}

// An oversizeError is a message over the limit.
type oversizeError struct{ max int }

func (e *oversizeError) Error() string { return fmt.Sprintf("message larger than %d bytes", e.max) }

// A group is goroutines that are waited for together. Unlike with
// sync.WaitGroup, one may try to join while the others are waited for. The zero
// value is ready for use.
type group struct {
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// start runs f in a goroutine, unless the group is waited for already.
func (g *group) start(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Go(f)
	return true
}

// enter joins with the caller's own goroutine, which has to leave.
func (g *group) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Add(1)
	return true
}

func (g *group) leave() { g.wg.Done() }

// wait lets nobody join any more and waits for those who have.
func (g *group) wait() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.wg.Wait()
}

// secrets are values that no error or log line may show.
type secrets []string

// redact hides the secrets in text. Values too short to be a secret, such as
// "1" and "true", stay: hiding them would garble the text.
func (s secrets) redact(text string) string {
	for _, value := range s {
		if len(value) >= 8 {
			text = strings.ReplaceAll(text, value, "[redacted]")
		}
	}
	return text
}

// printable makes one line of at most max bytes of what a server printed.
func printable(text string, max int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > max {
		text = strings.ToValidUTF8(text[:max], "") + "…"
	}
	return text
}
