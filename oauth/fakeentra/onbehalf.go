package fakeentra

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A presented token is one of the stand-in's own, as somebody sends it back.
type presented struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Object   string   `json:"oid"`
	Tenant   string   `json:"tid"`
	Scopes   string   `json:"scp"`
	Session  string   `json:"sid"`
	Roles    []string `json:"roles"`
	Expires  int64    `json:"exp"`
}

// onBehalfLocked exchanges an access token for the caller's API for one for
// another API (on-behalf-of flow).
func (s *Server) onBehalfLocked(req *tokenRequest) (*tokenAnswer, *failure) {
	switch {
	case req.params["requested_token_use"] != "on_behalf_of":
		return nil, missingParameter("requested_token_use")
	case req.params["assertion"] == "":
		return nil, missingParameter("assertion")
	case !req.proof.given:
		return nil, fail(7000218, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	case !req.params.has("scope"):
		return nil, missingParameter("scope")
	}
	token, err := s.keys.verify(req.params["assertion"])
	switch {
	case err != nil:
		return nil, fail(50013, "invalid_grant", "Assertion failed signature validation.")
	case token.Audience != req.client.ClientID && !slices.Contains(req.client.IdentifierURIs, token.Audience):
		return nil, fail(500131, "invalid_grant", "Assertion audience does not match the Client app presenting the assertion. The audience in the assertion was '%s' and the expected audience is '%s'.", clip(token.Audience), req.client.ClientID)
	case s.timeLocked().After(time.Unix(token.Expires, 0)):
		return nil, fail(500133, "invalid_grant", "Assertion is not within its valid time range.")
	case token.Scopes == "" && len(token.Roles) > 0 && s.directory.users[token.Object] == nil:
		return nil, fail(7000114, "invalid_grant", "Application '%s' is not allowed to make application on-behalf-of calls.", req.client.ClientID)
	case token.Scopes == "":
		return nil, fail(240002, "invalid_grant", "Input id_token cannot be used as 'urn:ietf:params:oauth:grant-type:jwt-bearer' grant.")
	}
	u := s.directory.users[token.Object]
	switch {
	case u == nil || u.Disabled:
		return nil, fail(50057, "invalid_grant", "The user account is disabled.")
	case s.switches.RequireMFA:
		return nil, mfaRequired(mfaChallenge)
	}
	g := &grant{tenant: token.Tenant, user: u.ID, client: req.client.ClientID, platform: Web, scope: req.params["scope"], session: session{id: token.Session, user: u.ID, revoked: s.directory.revoked[u.ID]}}
	return s.issueLocked(req, g, false)
}

// verify reads a token that one of the keys has signed. It undoes what is done to
// the nonce of tokens for Graph, which nobody but Graph may do.
func (k *Keys) verify(raw string) (presented, error) {
	var p presented
	token, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return p, err
	}
	h := token.Signatures[0].Protected
	if h.Nonce != "" {
		if raw, err = withNonce(raw, hashedNonce(h.Nonce)); err != nil {
			return p, err
		}
		if token, err = jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256}); err != nil {
			return p, err
		}
	}
	key, ok := k.signing(h.KeyID)
	if !ok || h.KeyID == "" {
		return p, errUnknownKey
	}
	payload, err := token.Verify(key.private.Public())
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(payload, &p)
}
