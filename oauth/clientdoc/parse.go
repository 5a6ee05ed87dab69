package clientdoc

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpagg/mcpagg/oauth/guard"
)

const (
	// maxName bounds a client's name, in bytes; the rest of it is dropped.
	maxName = 200
	// maxRedirects are in a document.
	maxRedirects = 10
)

// members are what is read of a document. Members of other names are for other
// authorization servers.
type members struct {
	ClientID      string         `json:"client_id"`
	Name          string         `json:"client_name"`
	URI           string         `json:"client_uri"`
	Redirects     []string       `json:"redirect_uris"`
	GrantTypes    []string       `json:"grant_types"`
	ResponseTypes []string       `json:"response_types"`
	AuthMethod    string         `json:"token_endpoint_auth_method"`
	AuthMethods   []string       `json:"token_endpoint_auth_methods_supported"`
	Secret        jsontext.Value `json:"client_secret"`
	SecretExpires jsontext.Value `json:"client_secret_expires_at"`
	Keys          jsontext.Value `json:"jwks"`
}

// parse reads a document. The error is a *Refused.
func (f *Fetcher) parse(id, host string, body []byte) (*Document, error) {
	var m members
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, badDocument(id, "is %s", notJSON(err))
	}
	for _, wrong := range []string{m.checkIdentity(id), m.checkAuthentication(), m.checkGrants()} {
		if wrong != "" {
			return nil, badDocument(id, "%s", wrong)
		}
	}
	doc := &Document{
		ID: id, Host: host, Name: cut(m.Name, maxName), URI: ownPage(m.URI, host),
		GrantTypes: m.GrantTypes, TokenEndpointAuthMethod: "none",
	}
	if doc.GrantTypes == nil {
		doc.GrantTypes = []string{"authorization_code"} // RFC 7591 section 2
	}
	if wrong := doc.setRedirects(m.Redirects, f.rules); wrong != "" {
		return nil, badDocument(id, "%s", wrong)
	}
	return doc, nil
}

// notJSON says what is wrong without repeating the document.
func notJSON(err error) string {
	if wrong := (*json.SemanticError)(nil); errors.As(err, &wrong) && wrong.JSONPointer != "" {
		return fmt.Sprintf("not as it should be: its member %.100q has the wrong type", string(wrong.JSONPointer))
	}
	return "not one JSON object in UTF-8, in which no member stands twice"
}

// checkIdentity compares the id byte for byte (section 4 of the draft), and looks
// for what MCP requires.
func (m *members) checkIdentity(id string) string {
	switch {
	case m.ClientID == "":
		return "has no client_id, which must be its own URL"
	case m.ClientID != id:
		return fmt.Sprintf("has the client_id %.200q, which is another one than its own URL", m.ClientID)
	case m.Name == "":
		return "has no client_name"
	}
	return ""
}

// checkAuthentication takes public clients, since the gateway authenticates
// clients by nothing but their redirect URI. A client that leaves the choice
// (OpenID Connect Relying Party Metadata Choices 1.0) is public here.
func (m *members) checkAuthentication() string {
	switch {
	case m.Secret != nil || m.SecretExpires != nil:
		return "has a client_secret, which is no secret there, and must not be in it"
	case hasPrivateKey(m.Keys):
		return "has a private or symmetric key in its jwks, which must not be in it"
	case slices.Contains([]string{"client_secret_basic", "client_secret_post", "client_secret_jwt"}, m.AuthMethod):
		return fmt.Sprintf("has the token_endpoint_auth_method %q, which needs a secret; it must be \"none\"", m.AuthMethod)
	case m.AuthMethod == "" || m.AuthMethod == "none" || slices.Contains(m.AuthMethods, "none"):
		return ""
	}
	return fmt.Sprintf("has the token_endpoint_auth_method %.100q, which is not supported here; public clients are, with \"none\"", m.AuthMethod)
}

// hasPrivateKey reports whether a key set has a member of a private or symmetric
// key (RFC 7518 section 6).
func hasPrivateKey(keys jsontext.Value) bool {
	var set struct {
		Keys []struct {
			D jsontext.Value `json:"d"`
			K jsontext.Value `json:"k"`
		} `json:"keys"`
	}
	if keys == nil || json.Unmarshal(keys, &set) != nil {
		return false // not used for anything
	}
	for _, key := range set.Keys {
		if key.D != nil || key.K != nil {
			return true
		}
	}
	return false
}

// checkGrants looks for the one way in which a person signs in.
func (m *members) checkGrants() string {
	switch {
	case m.GrantTypes != nil && !slices.Contains(m.GrantTypes, "authorization_code"):
		return "does not have authorization_code among its grant_types"
	case m.ResponseTypes != nil && !slices.Contains(m.ResponseTypes, "code"):
		return "does not have code among its response_types"
	}
	return ""
}

// cut shortens a text to at most n bytes, and to whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// ownPage is a URL if it is one of the host, and "" otherwise: the page of
// another would lend its good name.
func ownPage(raw, host string) string {
	u, err := guard.CheckURL(raw)
	if err != nil || u.Hostname() != host {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
}
