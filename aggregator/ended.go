package aggregator

import (
	"context"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
)

var (
	// errSignedOut is for a caller whose session has ended since the request came
	// in; the next one is not let in any more.
	errSignedOut = &jsonrpc.Error{Code: codeDenied, Message: "denied: this sign-in has been ended; sign in again"}
	// errSessionOver is what an upstream hears of that, and why a call ends.
	errSessionOver = &upstream.Cancelled{Reason: "the caller's sign-in has been ended"}
)

// hasEnded reports whether the caller's session has ended before the token: who
// was signed out must hear nothing more.
func hasEnded(c *oauth.Caller) bool {
	select {
	case <-c.Ended:
		return true
	default:
		return false
	}
}

// whileSignedIn ends with the token of the request that it is for: a stream must
// not outlive it. It is for who looks at Caller.Ended as well.
func whileSignedIn(ctx context.Context, c *oauth.Caller) (context.Context, context.CancelFunc) {
	if c.Expires.IsZero() { // nobody signs in
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, c.Expires)
}

// untilEnded is for a call that waits for its upstream, and ends with the caller's
// session, too. A token may well expire meanwhile: it was good when the call
// began. stop must be called.
func untilEnded(ctx context.Context, c *oauth.Caller) (_ context.Context, stop func()) {
	if c.Ended == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-c.Ended:
			cancel(errSessionOver)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}
