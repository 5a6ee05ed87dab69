package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

const (
	defaultSkew = 60 * time.Second
	// maxLifetime bounds what a token may be issued for: with continuous access
	// evaluation, Entra's live up to 28 h.
	maxLifetime = 30 * time.Hour
	// maxUnseen is how long a token may have been verified before it is verified
	// again.
	maxUnseen = time.Minute
)

// entraAlgorithms is what Entra signs with, algorithms what others may: all that
// need a private key.
var (
	entraAlgorithms = []jose.SignatureAlgorithm{jose.RS256}
	algorithms      = []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
)

// A provider verifies the tokens of one auth block.
type provider struct {
	Provider
	issuers []*issuer
}

// An issuer is one value of iss that the tokens of a provider may have.
type issuer struct {
	provider   *provider
	url        string
	tenant     string // the id in it, with Entra
	version    string // ver of its tokens, with Entra
	keys       *keySource
	algorithms []jose.SignatureAlgorithm
}

// newProvider builds a provider whose keys come from what source makes of a URL
// of metadata and the issuer in it.
func newProvider(o Provider, source func(discovery, issuer string) *keySource) *provider {
	p := &provider{Provider: o}
	p.IDTokens = o.IDTokens || o.Behind
	if p.Skew == 0 {
		p.Skew = defaultSkew
	}
	if o.Entra == nil {
		keys := source(strings.TrimSuffix(o.Issuer, "/")+"/.well-known/openid-configuration", o.Issuer)
		p.issuers = []*issuer{{provider: p, url: o.Issuer, keys: keys, algorithms: algorithms}}
		return p
	}
	cloud, tenant := o.Entra.Cloud, o.Entra.Tenant
	named := tenant
	if !entra.IsTenantID(tenant) {
		named = tenantTemplate
	}
	v2 := source(cloud.Authority+"/"+tenant+"/v2.0/.well-known/openid-configuration", cloud.IssuerV2(named))
	v1 := source(cloud.Authority+"/"+tenant+"/.well-known/openid-configuration", cloud.IssuerV1(named))
	for _, id := range o.Entra.tenants() {
		p.issuers = append(p.issuers, &issuer{p, cloud.IssuerV2(id), id, "2.0", v2, entraAlgorithms})
		if !o.Behind { // whose ID tokens come from the endpoint of version 2
			p.issuers = append(p.issuers, &issuer{p, cloud.IssuerV1(id), id, "1.0", v1, entraAlgorithms})
		}
	}
	return p
}

// tenantTemplate stands for the tenant where metadata is that of many.
const tenantTemplate = "{tenantid}"

// tenants are the ids of those whose tokens count.
func (e *EntraTenant) tenants() []string {
	if len(e.Allowed) > 0 {
		return e.Allowed
	}
	return []string{e.Tenant}
}

// verified is a token whose every part was found right.
type verified struct {
	*jwt
	issuer *issuer
	keys   *keySet // that its key was in
}

// verify checks everything about a token but who it is of and what they may.
func (is *issuer) verify(ctx context.Context, t *jwt) (*verified, error) {
	if !slices.Contains(is.algorithms, t.header.Algorithm) {
		return nil, fmt.Errorf("it is signed with %.20q, which is not accepted", t.header.Algorithm)
	}
	if err := is.checkEntra(t); err != nil {
		return nil, err
	}
	if err := is.checkTimes(t); err != nil {
		return nil, err
	}
	keys, set, err := is.keys.find(ctx, t.header.KeyID)
	if errors.Is(err, errUnknownKey) {
		return nil, fmt.Errorf("its key %.60q is not one of those at %s", t.header.KeyID, is.keys.discovery)
	}
	if err != nil {
		return nil, err
	}
	config := &oidc.Config{SkipClientIDCheck: true, SkipExpiryCheck: true, SupportedSigningAlgs: is.names()}
	if _, err := oidc.NewVerifier(is.url, &usableKeys{keys, is}, config).Verify(ctx, t.raw); err != nil {
		return nil, fmt.Errorf("it does not verify: %.200s", err) // it may quote the token
	}
	return &verified{t, is, set}, nil
}

func (is *issuer) names() []string {
	names := make([]string, len(is.algorithms))
	for i, a := range is.algorithms {
		names[i] = string(a)
	}
	return names
}

// usableKeys are the keys of one id that an issuer may sign with. It is the key
// set of one verification.
type usableKeys struct {
	keys   []key
	issuer *issuer
}

// VerifySignature returns the payload of a token.
func (u *usableKeys) VerifySignature(_ context.Context, raw string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(raw, u.issuer.algorithms)
	if err != nil {
		return nil, errors.New("the signature cannot be read")
	}
	for _, k := range u.keys {
		if !k.isOf(u.issuer) || k.Algorithm != "" && k.Algorithm != signed.Signatures[0].Header.Algorithm {
			continue
		}
		if payload, err := signed.Verify(k.JSONWebKey.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("the signature is wrong, or by a key that is for another tenant or algorithm")
}

// isOf reports whether an issuer may sign with a key: with Entra, each key can say
// which tenant's it is, by the tenant's issuer of either version.
func (k *key) isOf(is *issuer) bool {
	if k.issuer == "" || is.tenant == "" {
		return true
	}
	cloud, owner := is.provider.Entra.Cloud, strings.ReplaceAll(k.issuer, tenantTemplate, is.tenant)
	return owner == cloud.IssuerV2(is.tenant) || owner == cloud.IssuerV1(is.tenant)
}

// checkEntra makes sure that the parts of an Entra token that say the same
// thing agree.
func (is *issuer) checkEntra(t *jwt) error {
	if is.tenant == "" {
		return nil
	}
	if t.claims.Tenant != is.tenant {
		return fmt.Errorf("its tenant %.60q (tid) is not the one in its issuer", t.claims.Tenant)
	}
	if string(t.claims.Version) != is.version {
		return fmt.Errorf("its version %.20q (ver) is not that of its issuer", t.claims.Version)
	}
	if !entra.IsTenantID(t.claims.ObjectID) {
		return errors.New("it has no object id (oid); with ID tokens, the client must ask for the scope profile")
	}
	return nil
}

// checkTimes checks when a token counts (RFC 7519, sections 4.1.4 to 4.1.6).
func (is *issuer) checkTimes(t *jwt) error {
	now, skew := time.Now(), is.provider.Skew
	exp, begin := t.claims.Expires, t.claims.IssuedAt
	if begin == nil {
		begin = t.claims.NotBefore
	}
	switch {
	case exp == nil || begin == nil:
		return errors.New("it does not say when it was issued and when it ends (iat, exp)")
	case !now.Before(exp.Add(skew)):
		return fmt.Errorf("%w, %s ago by this machine's clock; if new ones do, too, compare the clock with the provider's", ErrExpired, now.Sub(exp.Time).Round(time.Second))
	case now.Add(skew).Before(begin.Time):
		return fmt.Errorf("it was issued %s in the future; this machine's clock is behind the provider's", begin.Sub(now).Round(time.Second))
	case t.claims.NotBefore != nil && now.Add(skew).Before(t.claims.NotBefore.Time):
		return fmt.Errorf("it does not count before %s from now; this machine's clock is behind the provider's", t.claims.NotBefore.Sub(now).Round(time.Second))
	case exp.Sub(begin.Time) > maxLifetime:
		return fmt.Errorf("it is for %s, and no token may be for more than %s; shorten its lifetime at the provider", exp.Sub(begin.Time).Round(time.Hour), maxLifetime)
	}
	return nil
}

// admits reports whether one of a token's audiences means this gateway.
func (p *provider) admits(audiences []string) bool {
	return slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(p.Audiences, a) })
}

// sameKeys reports whether two sources have the same keys.
func (s *keySource) sameKeys(discovery, issuer string, client *http.Client) bool {
	return s.discovery == discovery && s.issuer == issuer && s.http == client
}
