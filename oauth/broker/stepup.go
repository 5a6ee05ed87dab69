package broker

import (
	"context"

	"github.com/mcpagg/mcpagg/oauth"
)

// StepUp makes the next sign-in of a person satisfy an authentication context (acrs,
// such as "c1") and ends the session of one of their requests, so that the client
// lets them sign in: it would only refresh its tokens otherwise. No client knows
// what a claims challenge is.
func (s *State) StepUp(ctx context.Context, c *oauth.Caller, authContext string) error {
	if err := s.putChallenge(ctx, c.ID, contextClaims(authContext)); err != nil {
		return err
	}
	return s.endSession(ctx, c.Session, "the person has to sign in more strongly")
}
