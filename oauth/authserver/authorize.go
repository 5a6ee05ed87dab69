package authserver

import (
	"net/http"
	"strings"
)

const (
	// MaxQuery bounds the query of an authorization request, in bytes.
	MaxQuery = 16 << 10
	// MaxState bounds the parameter state, in bytes.
	MaxState = 2 << 10
)

// CheckCodeFlow refuses everything but a code in the query of the redirect.
func CheckCodeFlow(p Params) *Problem {
	refuse := func(oauth, text string) *Problem {
		return &Problem{Status: http.StatusBadRequest, OAuth: oauth, Text: text, Remedy: UpdateClient}
	}
	switch responseType, mode := p.Get("response_type"), p.Get("response_mode"); {
	case p.Get("request") != "":
		return refuse("request_not_supported", "The parameter request is not supported.")
	case p.Get("request_uri") != "":
		return refuse("request_uri_not_supported", "The parameter request_uri is not supported.")
	case responseType == "":
		return refuse("invalid_request", "The parameter response_type is missing.")
	case responseType != "code":
		return refuse("unsupported_response_type", "The response type "+Brief(responseType)+" is not supported, only code is.")
	case mode != "" && mode != "query":
		return refuse("invalid_request", "The response mode "+Brief(mode)+" is not supported, only query is.")
	}
	return nil
}

// CheckChallenge insists on PKCE with SHA-256 (RFC 7636), which Entra does not:
// whoever else gets to see the code cannot redeem it.
func CheckChallenge(p Params) *Problem {
	challenge, method := p.Get("code_challenge"), p.Get("code_challenge_method")
	switch {
	case challenge == "":
		return &Problem{Status: http.StatusBadRequest, OAuth: "invalid_request", Text: "The parameter code_challenge is missing; PKCE is required.", Remedy: UpdateClient}
	case method != "S256":
		return &Problem{Status: http.StatusBadRequest, OAuth: "invalid_request", Text: "The parameter code_challenge_method is not S256.", Remedy: UpdateClient}
	case len(challenge) != 43 || !isBase64URL(challenge):
		return &Problem{Status: http.StatusBadRequest, OAuth: "invalid_request", Text: "The parameter code_challenge is not the 43 characters that S256 gives.", Remedy: UpdateClient}
	}
	return nil
}

func isBase64URL(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
