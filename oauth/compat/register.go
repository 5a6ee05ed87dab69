package compat

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

const (
	// maxRegistration bounds the body of a registration, in bytes.
	maxRegistration = 64 << 10
	// maxRedirects bounds how many redirect URIs a client may have.
	maxRedirects = 10
	// maxName bounds the name of a client, in bytes.
	maxName = 200
)

// A registration is what is read of the metadata of a client (RFC 7591 section
// 2). The rest has no meaning here.
type registration struct {
	RedirectURIs  []string `json:"redirect_uris"`
	ClientName    string   `json:"client_name"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
}

// A registered client, as the answer has it (RFC 7591 section 3.2.1).
type registered struct {
	ClientID                string   `json:"client_id"`
	ClientIDIssuedAt        int64    `json:"client_id_issued_at"`
	ClientName              string   `json:"client_name,omitempty"`
	RedirectURIs            []string `json:"redirect_uris"`
	GrantTypes              []string `json:"grant_types"`
	ResponseTypes           []string `json:"response_types"`
	Scope                   string   `json:"scope,omitempty"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method"`
}

// register tells a client that it is the public client that Entra knows, whatever
// way of proving itself it would like. Nothing is stored: what it registers is
// checked again when it is used.
func (f *Facade) register(w http.ResponseWriter, r *http.Request) *problem {
	body, refusal := readBody(w, r, "application/json", "invalid_client_metadata", maxRegistration)
	if refusal != nil {
		return refusal
	}
	var client registration
	if err := json.Unmarshal(body, &client); err != nil {
		return invalidMetadata("The body is not a JSON object of client metadata, without repeated members.")
	}
	if refusal := f.checkRegistration(client); refusal != nil {
		return refusal
	}
	writeJSON(w, http.StatusCreated, registered{
		ClientID:                f.opts.ClientID,
		ClientIDIssuedAt:        f.opts.Now().Unix(),
		ClientName:              client.ClientName,
		RedirectURIs:            client.RedirectURIs,
		GrantTypes:              grantTypes,
		ResponseTypes:           []string{"code"},
		Scope:                   strings.Join(f.scopeNames(), " "),
		TokenEndpointAuthMethod: "none",
	})
	return nil
}

func (f *Facade) checkRegistration(client registration) *problem {
	switch {
	case len(client.RedirectURIs) == 0:
		return &problem{status: http.StatusBadRequest, oauth: "invalid_redirect_uri", text: "The client has no redirect URI.", remedy: updateClient}
	case len(client.RedirectURIs) > maxRedirects:
		return invalidMetadata("The client has more than 10 redirect URIs.")
	case len(client.ClientName) > maxName || !utf8.ValidString(client.ClientName):
		return invalidMetadata("The member client_name is longer than 200 bytes.")
	case client.GrantTypes != nil && !slices.Contains(client.GrantTypes, "authorization_code"):
		return invalidMetadata("The client does not use the grant type authorization_code, by which people sign in here.")
	case client.ResponseTypes != nil && !slices.Contains(client.ResponseTypes, "code"):
		return invalidMetadata("The client does not use the response type code, by which people sign in here.")
	}
	for _, uri := range client.RedirectURIs {
		if refusal := f.checkRedirect(uri, "invalid_redirect_uri"); refusal != nil {
			return refusal
		}
	}
	return nil
}

func invalidMetadata(text string) *problem {
	return &problem{status: http.StatusBadRequest, oauth: "invalid_client_metadata", text: text}
}
