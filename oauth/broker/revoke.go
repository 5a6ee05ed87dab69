package broker

import (
	"errors"
	"net/http"

	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// revoke ends the session of a token, whichever of the two kinds it is (RFC 7009).
// The answer is the same for a token that means nothing.
func (b *broker) revoke(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	p, refusal := b.readTokenForm(w, r)
	if refusal != nil {
		return refusal
	}
	clientID, refusal := b.knownClient(p)
	if refusal != nil {
		return refusal
	}
	token := p.Get("token")
	if token == "" {
		return authserver.InvalidRequest("The parameter token is missing.")
	}
	id, refusal := b.sessionOf(r, token, clientID)
	if refusal != nil {
		return refusal
	}
	if id != "" {
		if err := b.state.endSession(r.Context(), id, "its client revoked it"); err != nil {
			return b.storeProblem(err)
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// sessionOf is the session that a client's token is of, or "".
func (b *broker) sessionOf(r *http.Request, token, clientID string) (string, *authserver.Problem) {
	if c, err := b.verifyOwn(token); err == nil && c.ClientID == clientID {
		return c.Session, nil
	}
	id, generation, ok := parseRefresh(token)
	if !ok {
		return "", nil
	}
	rec, _, err := b.state.record(r.Context(), id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", nil
	case err != nil:
		return "", b.storeProblem(err)
	case !rec.isOwn(token, id, generation) || !equal(rec.ClientID, clientID):
		return "", nil
	}
	return id, nil
}
