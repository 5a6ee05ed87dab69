package compat

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpagg/mcpagg/oauth/authserver"
)

// granted is what a client gets (RFC 6749 section 5.1): the members that are
// listed here and no other one.
type granted struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
}

// An entraGrant is what Entra gives.
type entraGrant struct {
	AccessToken  string         `json:"access_token"`
	IDToken      string         `json:"id_token"`
	TokenType    string         `json:"token_type"`
	ExpiresIn    jsontext.Value `json:"expires_in"` // a number; at some endpoints in quotes
	RefreshToken string         `json:"refresh_token"`
	Scope        string         `json:"scope"`
}

// grant turns what Entra gives into what the client gets.
func (f *Facade) grant(body []byte) (*granted, *authserver.Problem) {
	var g entraGrant
	if err := json.Unmarshal(body, &g); err != nil || !strings.EqualFold(g.TokenType, "Bearer") {
		return nil, authserver.Unavailable("Microsoft Entra ID did not answer as it should; try again.", "HTTP 200, and no tokens", "Look at what is between this machine and "+f.opts.Cloud.Authority+", if it returns.")
	}
	answer := &granted{TokenType: "Bearer", RefreshToken: g.RefreshToken, Scope: f.bareScope(g.Scope)}
	if f.opts.IDToken {
		return f.grantIDToken(answer, g)
	}
	return f.grantAccessToken(answer, g)
}

// grantIDToken gives the client the ID token, which lasts for another time than
// the access token that Entra speaks of.
func (f *Facade) grantIDToken(answer *granted, g entraGrant) (*granted, *authserver.Problem) {
	if g.IDToken == "" {
		return nil, &authserver.Problem{
			Status: http.StatusBadRequest, OAuth: "invalid_grant", Level: slog.LevelWarn,
			Text:   "Entra gave no ID token; sign in again.",
			Remedy: "People whose session was begun without the scope openid have to sign in anew. Better, expose a scope on the API app and set token = \"access_token\" in the auth block.",
		}
	}
	jwt, err := parseJWT(g.IDToken)
	if err != nil {
		return nil, authserver.Unavailable("Microsoft Entra ID did not answer as it should; try again.", "the ID token is no JWT with exp", "")
	}
	answer.AccessToken = g.IDToken
	return f.limited(answer, jwt, math.MaxInt64)
}

// grantAccessToken gives the client the access token, unless it is one for
// Microsoft Graph, of which those for personal accounts are opaque: the gateway
// could not verify it, and whoever gets it could read the person's mail.
func (f *Facade) grantAccessToken(answer *granted, g entraGrant) (*granted, *authserver.Problem) {
	answer.AccessToken, answer.ExpiresIn = g.AccessToken, seconds(g.ExpiresIn)
	jwt, err := parseJWT(g.AccessToken)
	switch {
	case g.AccessToken == "":
		return nil, authserver.Unavailable("Microsoft Entra ID did not answer as it should; try again.", "HTTP 200, and no access token", "")
	case strings.Count(g.AccessToken, ".") != 2:
		return nil, authserver.Unavailable("Entra gave a token that this gateway cannot read; its operator has to mend that.",
			"the access token is opaque or encrypted: it is for Microsoft Graph and a personal account, or the API app encrypts its tokens",
			"Expose a scope on the API app in Entra, name it in scopes of the auth block, and do not let the app encrypt its tokens.")
	case err != nil:
		return nil, authserver.Unavailable("Microsoft Entra ID did not answer as it should; try again.", "the access token is no JWT with exp", "")
	case jwt.hasNonce || f.opts.Cloud.IsGraph(jwt.audiences...):
		return nil, authserver.Unavailable("Entra gave a token for Microsoft Graph instead of this gateway, whose operator has to correct the scopes.",
			"the access token is for Microsoft Graph, so no scope of the API app was asked for or granted",
			"Expose a scope on the API app in Entra, name it in scopes of the auth block, and make the client id of the API app the first of audiences.")
	}
	if answer.ExpiresIn == 0 {
		answer.ExpiresIn = math.MaxInt64
	}
	return f.limited(answer, jwt, answer.ExpiresIn)
}

// limited says how long the token lasts: until its exp, as the gateway's own
// clock counts, and no longer than most seconds.
func (f *Facade) limited(answer *granted, t jwt, most int64) (*granted, *authserver.Problem) {
	left := int64(t.expires.Sub(f.opts.Now()) / time.Second)
	if left <= 0 {
		return nil, authserver.Unavailable("Microsoft Entra ID gave a token that has expired; the clock of this gateway may be wrong.", "a new token has expired already", "Check the clock of this machine.")
	}
	answer.ExpiresIn = min(left, most)
	return answer, nil
}

var errNoJWT = errors.New("no JWT with exp")

// A jwt is what is read of a token before it is handed on. Nobody has verified
// it; it came from Entra by TLS.
type jwt struct {
	hasNonce  bool // in the header, as in tokens of Microsoft Graph alone
	audiences []string
	expires   time.Time
}

func parseJWT(token string) (jwt, error) {
	parts := strings.Split(token, ".")
	var header struct {
		Nonce jsontext.Value `json:"nonce"`
	}
	var payload struct {
		Audience jsontext.Value `json:"aud"`
		Expires  float64        `json:"exp"`
	}
	if len(parts) != 3 {
		return jwt{}, errNoJWT
	}
	if decodePart(parts[0], &header) != nil || decodePart(parts[1], &payload) != nil {
		return jwt{}, errNoJWT
	}
	if payload.Expires < 1 || payload.Expires > 1<<40 {
		return jwt{}, errNoJWT
	}
	t := jwt{hasNonce: header.Nonce != nil, expires: time.Unix(int64(payload.Expires), 0)}
	var one string
	if json.Unmarshal(payload.Audience, &one) == nil {
		t.audiences = []string{one}
		return t, nil
	}
	return t, json.Unmarshal(payload.Audience, &t.audiences)
}

func decodePart(part string, to any) error {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, to)
}

// seconds is a number, in quotes or not; 0 if it is none.
func seconds(raw jsontext.Value) int64 {
	n, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
