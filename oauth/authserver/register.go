package authserver

import (
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// RegisterPath is where clients register.
const RegisterPath = "/register"

const (
	// maxRegistration bounds the body of a registration, in bytes.
	maxRegistration = 64 << 10
	// maxRedirects bounds how many redirect URIs a client may have.
	maxRedirects = 10
	// maxName bounds the name of a client, in bytes.
	maxName = 200
)

// A Registration is what is read of the metadata of a client (RFC 7591 section
// 2). The rest has no meaning here.
type Registration struct {
	RedirectURIs  []string `json:"redirect_uris"`
	ClientName    string   `json:"client_name"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
}

// A Registered client, as the answer has it (RFC 7591 section 3.2.1).
type Registered struct {
	ClientID                string   `json:"client_id"`
	ClientIDIssuedAt        int64    `json:"client_id_issued_at"`
	ClientName              string   `json:"client_name,omitempty"`
	RedirectURIs            []string `json:"redirect_uris"`
	GrantTypes              []string `json:"grant_types"`
	ResponseTypes           []string `json:"response_types"`
	Scope                   string   `json:"scope,omitempty"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method"`
}

// ReadRegistration reads what a client says of itself, all of whose redirect URIs
// the rules must allow.
func ReadRegistration(w http.ResponseWriter, r *http.Request, rules redirect.Rules) (*Registration, *Problem) {
	body, refusal := ReadBody(w, r, "application/json", "invalid_client_metadata", maxRegistration)
	if refusal != nil {
		return nil, refusal
	}
	var client Registration
	if err := json.Unmarshal(body, &client); err != nil {
		return nil, InvalidMetadata("The body is not a JSON object of client metadata, without repeated members.")
	}
	if refusal := client.check(); refusal != nil {
		return nil, refusal
	}
	for _, uri := range client.RedirectURIs {
		if refusal := CheckRedirect(rules, uri, "invalid_redirect_uri"); refusal != nil {
			return nil, refusal
		}
	}
	return &client, nil
}

func (client *Registration) check() *Problem {
	switch {
	case len(client.RedirectURIs) == 0:
		return &Problem{Status: http.StatusBadRequest, OAuth: "invalid_redirect_uri", Text: "The client has no redirect URI.", Remedy: UpdateClient}
	case len(client.RedirectURIs) > maxRedirects:
		return InvalidMetadata("The client has more than 10 redirect URIs.")
	case len(client.ClientName) > maxName || !utf8.ValidString(client.ClientName):
		return InvalidMetadata("The member client_name is longer than 200 bytes.")
	case client.GrantTypes != nil && !slices.Contains(client.GrantTypes, "authorization_code"):
		return InvalidMetadata("The client does not use the grant type authorization_code, by which people sign in here.")
	case client.ResponseTypes != nil && !slices.Contains(client.ResponseTypes, "code"):
		return InvalidMetadata("The client does not use the response type code, by which people sign in here.")
	}
	return nil
}

// Registered is the answer to a client that was registered.
func (client *Registration) Registered(id string, now time.Time, scope string) Registered {
	return Registered{
		ClientID: id, ClientIDIssuedAt: now.Unix(), ClientName: client.ClientName, RedirectURIs: client.RedirectURIs,
		GrantTypes: GrantTypes, ResponseTypes: []string{"code"}, Scope: scope, TokenEndpointAuthMethod: "none",
	}
}

// InvalidMetadata is a problem with what a client says of itself.
func InvalidMetadata(text string) *Problem {
	return &Problem{Status: http.StatusBadRequest, OAuth: "invalid_client_metadata", Text: text}
}
