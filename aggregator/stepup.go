package aggregator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
)

const (
	// challengedFor is for how long a person is not sent to sign in for the same
	// authentication context again, unless it helped: a provider that does not grant
	// it would have them sign in forever. The client does not matter, since some
	// register anew for each sign-in.
	challengedFor = time.Hour
	// maxChallenged bounds how many such challenges are remembered. Nobody else is
	// challenged meanwhile.
	maxChallenged = 10_000
)

// A challenged request was denied for want of stronger authentication alone, and the
// caller's session has ended for it, so that the client has them sign in.
type challenged struct{ *denied }

// Unwrap is the answer where no challenge can be sent.
func (*challenged) Unwrap() error { return errSignedOut }

// worthSigningIn are the methods that people wait for. Subscriptions are the client's
// own affair, for which nobody is signed out.
var worthSigningIn = map[string]bool{"tools/call": true, "prompts/get": true, "resources/read": true}

func isChallenged(err error) bool { return errors.As(err, new(*challenged)) }

// deny is what becomes of a request that policies deny: a *denied, or a *challenged if
// signing in anew is what it takes.
func (g *Gateway) deny(ctx context.Context, r Request, q *policy.Request) error {
	d := r.about.decision
	want := r.catalog.Policy.StepUp(q, d)
	if want == "" || r.about.arguments.unfit != nil {
		return deniedByPolicy(byPolicy, cmp.Or(d.Message, "denied by policy"))
	}
	d.Why = fmt.Sprintf("stronger authentication is missing (%s)", want)
	message := fmt.Sprintf("Stronger authentication is needed for this: sign in with the authentication context %s.", want)
	if d.Message != "" { // which may say that something else is missing
		message += "\n" + d.Message
	}
	refused := deniedByPolicy(byPolicy, message)
	if g.stepUp(ctx, r, want) {
		return &challenged{refused}
	}
	return refused
}

// stepUp makes the caller's next sign-in a stronger one, and reports false where that
// cannot be, or did not help lately.
func (g *Gateway) stepUp(ctx context.Context, r Request, want string) bool {
	if r.catalog.StepUp == nil || !r.alone || !worthSigningIn[r.Method] || r.Caller.Session == "" || hasEnded(r.Caller) {
		return false
	}
	key := challenge{r.Caller.ID, want}
	if !g.challenges.begin(key, time.Now()) {
		return false
	}
	err := r.catalog.StepUp(ctx, r.Caller, want)
	if err == nil {
		return true
	}
	g.log.Error("cannot have a person sign in more strongly", "caller", r.Caller.ID, "error", err)
	if !hasEnded(r.Caller) {
		g.challenges.forget(key)
	}
	return false
}

// challenge answers a request that was challenged as it would be if it came now, which
// is as any other whose session has ended. It reports false if something was
// said already, or the caller is still let in.
func (g *Gateway) challenge(r *http.Request, x *exchange, p *responder) bool {
	_, refused := g.authenticate(r, x.admitted)
	return refused != nil && p.refuse(refused)
}

// A challenge is of whom what authentication context was asked.
type challenge struct{ caller, context string }

// challenges remember those of the last hour. It is safe for concurrent use.
type challenges struct {
	mu   sync.Mutex
	made map[challenge]time.Time // guarded by mu
}

// begin reports false if the challenge was made lately, or too many were.
func (c *challenges) begin(key challenge, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if made, ok := c.made[key]; ok && now.Sub(made) < challengedFor {
		return false
	}
	if len(c.made) >= maxChallenged {
		c.expireLocked(now)
	}
	if len(c.made) >= maxChallenged {
		return false
	}
	if c.made == nil {
		c.made = map[challenge]time.Time{}
	}
	c.made[key] = now
	return true
}

func (c *challenges) expireLocked(now time.Time) {
	for key, made := range c.made {
		if now.Sub(made) >= challengedFor {
			delete(c.made, key)
		}
	}
}

// helped says that the caller is signed in strongly by now, so that they may be
// challenged with another client.
func (c *challenges) helped(caller *oauth.Caller) {
	for _, name := range caller.AuthContexts {
		c.forget(challenge{caller.ID, name})
	}
}

// forget is for a challenge that is over.
func (c *challenges) forget(key challenge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.made, key)
}
