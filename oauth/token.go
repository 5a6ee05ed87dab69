package oauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxToken is the longest token that is looked at, in bytes. Entra's are below
// 4 KiB, unless they list many groups.
const maxToken = 16 << 10

// A jwt is a token taken apart, of which nothing is verified yet.
type jwt struct {
	raw     string
	header  header
	payload jsontext.Value // an object without duplicate members
	claims  claims
}

// header is the JOSE header of a token (RFC 7515, section 4).
type header struct {
	Algorithm jose.SignatureAlgorithm `json:"alg"`
	KeyID     string                  `json:"kid"`
	Type      string                  `json:"typ"`
	Critical  jsontext.Value          `json:"crit"`
	JWK       jsontext.Value          `json:"jwk"`
	JKU       jsontext.Value          `json:"jku"`
	X5U       jsontext.Value          `json:"x5u"`
	// Nonce is in Microsoft's tokens for itself, whose signature is over
	// something else.
	Nonce jsontext.Value `json:"nonce"`
}

// claims are those that are looked at, of all providers. The members of JSON
// are matched with their case, as everywhere here.
type claims struct {
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"`
	Audience  textOrTexts    `json:"aud"`
	Expires   *seconds       `json:"exp"`
	IssuedAt  *seconds       `json:"iat"`
	NotBefore *seconds       `json:"nbf"`
	AuthTime  *seconds       `json:"auth_time"`
	Scope     textOrTexts    `json:"scope"`
	SCP       textOrTexts    `json:"scp"`
	AZP       string         `json:"azp"`
	ClientID  string         `json:"client_id"`
	OktaID    text           `json:"cid"` // Okta's client_id
	Name      text           `json:"name"`
	Username  text           `json:"preferred_username"`
	Unique    text           `json:"unique_name"`
	Email     text           `json:"email"`
	ACRs      textOrTexts    `json:"acrs"`
	ACR       text           `json:"acr"`
	AMR       textOrTexts    `json:"amr"`
	Events    jsontext.Value `json:"events"`
	Type      text           `json:"typ"`       // Keycloak's
	Use       text           `json:"token_use"` // Amazon Cognito's
	AtHash    jsontext.Value `json:"at_hash"`
	CHash     jsontext.Value `json:"c_hash"`
	Nonce     jsontext.Value `json:"nonce"`

	// Microsoft Entra's own.
	Version    text                      `json:"ver"`
	Tenant     string                    `json:"tid"`
	ObjectID   string                    `json:"oid"`
	AppID      string                    `json:"appid"`
	IDType     string                    `json:"idtyp"`
	Roles      textOrTexts               `json:"roles"`
	IDP        string                    `json:"idp"`
	Account    jsontext.Value            `json:"acct"`
	HasGroups  jsontext.Value            `json:"hasgroups"`
	ClaimNames map[string]jsontext.Value `json:"_claim_names"`
}

// A text is a claim that says nothing if it is something else: providers give
// the same name to different things, and ver is a number in Okta's tokens.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if jsontext.Value(data).Kind() != '"' {
		return nil
	}
	err := json.Unmarshal(data, &s)
	*t = text(s)
	return err
}

// A textOrTexts is a list that may be written as one text. What is neither says
// nothing, nor does an empty text.
type textOrTexts []string

func (t *textOrTexts) UnmarshalJSON(data []byte) error {
	var list []string
	if jsontext.Value(data).Kind() == '"' {
		data = slices.Concat([]byte{'['}, data, []byte{']'})
	}
	if json.Unmarshal(data, &list) == nil {
		*t = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	}
	return nil
}

// words are the elements of a list of which each may be several, as in the
// scope of RFC 6749, section 3.3.
func (t textOrTexts) words() []string {
	var words []string
	for _, text := range t {
		words = append(words, strings.Fields(text)...)
	}
	return words
}

// seconds is a time as tokens have it (RFC 7519, section 2, NumericDate).
type seconds struct{ time.Time }

// latest bounds such times; later ones could overflow.
const latest = 1 << 40

func (s *seconds) UnmarshalJSON(data []byte) error {
	var n float64
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	if n < 0 || n > latest {
		return errors.New("not a time")
	}
	s.Time = time.Unix(int64(n), 0)
	return nil
}

// parseToken takes a token apart. Its error says what is wrong for an operator.
func parseToken(raw string) (*jwt, error) {
	if len(raw) > maxToken {
		return nil, fmt.Errorf("it has %d bytes, and no more than %d are accepted; make the provider list fewer groups in it", len(raw), maxToken)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, errors.New("it is not a JWT; the provider gave the client an opaque token, often because the client asked for no scope or resource of this gateway")
	}
	t := &jwt{raw: raw}
	if err := decodePart(parts[0], &t.header); err != nil {
		return nil, fmt.Errorf("its header is %w", err)
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("its payload is not base64url")
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil || strings.ContainsAny(raw, "\r\n") {
		return nil, errors.New("its signature is not base64url")
	}
	t.payload = payload
	if err := json.Unmarshal(payload, &t.claims); err != nil {
		return nil, fmt.Errorf("its payload is %w", badJSON(err))
	}
	return t, t.header.check()
}

func decodePart(part string, v any) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return errors.New("not base64url")
	}
	if err := json.Unmarshal(text, v); err != nil {
		return badJSON(err)
	}
	return nil
}

// badJSON says where JSON is wrong without quoting it: it may be of anybody.
func badJSON(err error) error {
	if wrong := (*json.SemanticError)(nil); errors.As(err, &wrong) && wrong.JSONPointer != "" {
		return fmt.Errorf("not as expected: the member %.100q has the wrong type", string(wrong.JSONPointer))
	}
	return errors.New("not one JSON object without duplicate members in UTF-8")
}

// check refuses what no key of a provider could make right.
func (h *header) check() error {
	switch {
	case h.JWK != nil || h.JKU != nil || h.X5U != nil:
		return errors.New("its header names a key of its own (jwk, jku or x5u), which is not believed")
	case h.Critical != nil:
		return errors.New("its header needs an extension that is not supported (crit)")
	case h.Nonce != nil:
		return errors.New("it is for Microsoft Graph (its header has a nonce), and nobody else can verify it; the client must ask for a scope of this gateway")
	case !slices.Contains([]string{"", "jwt", "at+jwt", "application/at+jwt"}, strings.ToLower(h.Type)):
		return fmt.Errorf("it is of the type %.40q, not JWT or at+jwt", h.Type)
	case h.KeyID == "":
		return errors.New("its header does not say which key it is signed with (kid)")
	}
	return nil
}
