package fakeentra

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// assertionType is that of JWTs (RFC 7523 section 2.2).
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// exchangeAudience is that of assertions of other issuers.
	exchangeAudience = "api://AzureADTokenExchange"
	// maxAssertion is how long an assertion of the app itself may be valid.
	maxAssertion = 24 * time.Hour
)

// A proof is how a client authenticated.
type proof struct {
	given     bool
	assertion bool
}

// kind is azpacr.
func (p proof) kind() string {
	switch {
	case p.assertion:
		return "2"
	case p.given:
		return "1"
	}
	return "0"
}

// proveLocked checks the credential of a client, if it sent one.
func (s *Server) proveLocked(req *tokenRequest, secret string, hasSecret bool) (proof, *failure) {
	switch {
	case req.params.has("client_assertion"):
		return proof{given: true, assertion: true}, s.checkAssertionLocked(req)
	case !hasSecret:
		return proof{}, nil
	case !req.client.isConfidential():
		return proof{}, publicClient()
	case !slices.ContainsFunc(req.client.Secrets, func(own string) bool { return same(own, secret) }):
		return proof{}, fail(7000215, "invalid_client", "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", req.client.ClientID)
	}
	return proof{given: true}, nil
}

// same compares two secrets in constant time.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// An assertion is the claims of a client's own JWT.
type assertion struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Audience  json.RawMessage `json:"aud"`
	Expires   float64         `json:"exp"`
	NotBefore float64         `json:"nbf"`
	ID        string          `json:"jti"`
}

func (a assertion) isFor(audience string) bool {
	var one string
	var several []string
	if json.Unmarshal(a.Audience, &one) == nil {
		return one == audience
	}
	return json.Unmarshal(a.Audience, &several) == nil && slices.Contains(several, audience)
}

func badAssertion(code int, why string) *failure {
	return fail(code, "invalid_client", "Client assertion is not valid: %s", why)
}

// checkAssertionLocked checks a JWT that stands for a client: one that it signed
// with the key of a certificate, or one of an issuer that it trusts.
func (s *Server) checkAssertionLocked(req *tokenRequest) *failure {
	if req.params["client_assertion_type"] != assertionType {
		return missingParameter("client_assertion_type")
	}
	token, err := jose.ParseSignedCompact(req.params["client_assertion"], []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256})
	if err != nil {
		return badAssertion(50027, "it is not a signed JWT of an allowed algorithm.")
	}
	var a assertion
	if json.Unmarshal(token.UnsafePayloadWithoutVerification(), &a) != nil {
		return badAssertion(50027, "its claims cannot be read.")
	}
	if a.Issuer == req.client.ClientID {
		return s.checkOwnAssertionLocked(req, token, a)
	}
	return s.checkFederatedLocked(req, token, a)
}

// checkOwnAssertionLocked checks an assertion that is signed with a certificate's key.
func (s *Server) checkOwnAssertionLocked(req *tokenRequest, token *jose.JSONWebSignature, a assertion) *failure {
	cert := req.client.certificate(token.Signatures[0].Protected)
	if cert == nil {
		return badAssertion(700027, "the certificate with identifier used to sign the client assertion is not registered on the application.")
	}
	if _, err := token.Verify(cert.PublicKey); err != nil {
		return badAssertion(700027, "the signature does not verify with the registered certificate.")
	}
	now := s.timeLocked()
	expires := time.Unix(int64(a.Expires), 0)
	_, replayed := s.grants.used.byName[a.ID]
	switch {
	case a.Subject != req.client.ClientID:
		return badAssertion(700021, "its subject is not the application.")
	case !a.isFor(req.url) && !a.isFor(s.Issuer(req.tenant.ID)):
		return badAssertion(700023, "its audience is not the token endpoint.")
	case a.Expires == 0 || now.After(expires):
		return badAssertion(700024, "it is not within its valid time range.")
	case now.Add(5 * time.Minute).Before(time.Unix(int64(a.NotBefore), 0)), expires.Sub(now) > maxAssertion:
		return badAssertion(700024, "it is not within its valid time range.")
	case a.ID == "":
		return badAssertion(50027, "it has no jti.")
	case replayed:
		return badAssertion(700028, "its jti was used before.")
	}
	s.grants.used.add(a.ID, expires)
	return nil
}

// certificate finds the certificate that the header of an assertion names.
func (a *App) certificate(h jose.Header) *x509.Certificate {
	for _, cert := range a.Certificates {
		sum := sha256.Sum256(cert.Raw)
		sha256Print := base64.RawURLEncoding.EncodeToString(sum[:])
		if h.ExtraHeaders["x5t"] == thumbprint(cert) || h.ExtraHeaders["x5t#S256"] == sha256Print || h.KeyID != "" && h.KeyID == thumbprint(cert) {
			return cert
		}
	}
	return nil
}

// checkFederatedLocked checks a token of another issuer (workload identity
// federation).
func (s *Server) checkFederatedLocked(req *tokenRequest, token *jose.JSONWebSignature, a assertion) *failure {
	i := slices.IndexFunc(req.client.Federated, func(f FederatedCredential) bool { return f.Issuer == a.Issuer })
	if i < 0 {
		return badAssertion(700211, "no matching federated identity record found for presented assertion issuer.")
	}
	f := req.client.Federated[i]
	audience := f.Audience
	if audience == "" {
		audience = exchangeAudience
	}
	keys := f.Keys.Key(token.Signatures[0].Protected.KeyID)
	switch {
	case a.Subject != f.Subject:
		return badAssertion(700213, "no matching federated identity record found for presented assertion subject.")
	case !a.isFor(audience):
		return badAssertion(700212, "no matching federated identity record found for presented assertion audience.")
	case len(keys) == 0:
		return badAssertion(50013, "its key was not found.")
	case s.timeLocked().After(time.Unix(int64(a.Expires), 0)):
		return badAssertion(700024, "it is not within its valid time range.")
	}
	if _, err := token.Verify(keys[0]); err != nil {
		return badAssertion(50013, "its signature is invalid.")
	}
	return nil
}
