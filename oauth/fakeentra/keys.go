package fakeentra

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is a SHA-1 by definition (RFC 7517 section 4.8)
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Keys are what tokens are signed with. At first there are two, both published,
// of which the first is used. They are safe for concurrent use.
type Keys struct {
	mu   sync.Mutex
	all  []*signingKey // guarded by mu
	used string        // the id of the one that signs; guarded by mu
}

// A signingKey is one key with its certificate.
type signingKey struct {
	id        string
	private   *rsa.PrivateKey
	cert      *x509.Certificate
	published bool
	issuer    string // instead of the tenant's own; "" for that
}

// A KeyInfo says what there is to know of a key.
type KeyInfo struct {
	ID        string `json:"kid"`
	Published bool   `json:"published"` // it is in the key documents
	Used      bool   `json:"used"`      // it signs
	Issuer    string `json:"issuer,omitzero"`
}

func newKeys(now time.Time) (*Keys, error) {
	k := &Keys{}
	for range 2 {
		key, err := newSigningKey(now)
		if err != nil {
			return nil, err
		}
		key.published = true
		k.all = append(k.all, key)
	}
	k.used = k.all[0].id
	return k, nil
}

// newSigningKey makes a key with a certificate for five years. As with Entra, its
// id is the certificate's thumbprint.
func newSigningKey(now time.Time) (*signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("generating a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "stand-in for accounts.accesscontrol.windows.net"},
		NotBefore:    now.Add(-24 * time.Hour), NotAfter: now.AddDate(5, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &signingKey{id: thumbprint(cert), private: private, cert: cert}, nil
}

// thumbprint is a certificate's x5t.
func thumbprint(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw) //nolint:gosec // as above
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// List tells of all keys, in the order they came in.
func (k *Keys) List() []KeyInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []KeyInfo
	for _, key := range k.all {
		all = append(all, KeyInfo{ID: key.id, Published: key.published, Used: key.id == k.used, Issuer: key.issuer})
	}
	return all
}

// Publish makes a key that is in the documents and does not sign yet, and
// returns its id. That is how Entra prepares a rollover.
func (k *Keys) Publish() (string, error) { return k.add(true) }

// Hidden makes a key that is not in the documents, and returns its id.
func (k *Keys) Hidden() (string, error) { return k.add(false) }

func (k *Keys) add(published bool) (string, error) {
	key, err := newSigningKey(time.Now())
	if err != nil {
		return "", err
	}
	key.published = published
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, key)
	return key.id, nil
}

// Use lets a key sign from now on. It reports whether there is such a key.
func (k *Keys) Use(kid string) bool {
	return k.change(kid, func(*signingKey) { k.used = kid })
}

// Rotate publishes a key, uses it at once and keeps the others, and returns its id.
func (k *Keys) Rotate() (string, error) {
	kid, err := k.Publish()
	if err == nil {
		k.Use(kid)
	}
	return kid, err
}

// Remove takes a key out of the documents at once, as after a theft. A key that
// signs goes on to sign until Use names another one.
func (k *Keys) Remove(kid string) bool {
	return k.change(kid, func(key *signingKey) { key.published = false })
}

// SetIssuer lets a key be published as that of another issuer, such as another
// tenant's; "" undoes it.
func (k *Keys) SetIssuer(kid, issuer string) bool {
	return k.change(kid, func(key *signingKey) { key.issuer = issuer })
}

func (k *Keys) change(kid string, change func(*signingKey)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.all, func(key *signingKey) bool { return key.id == kid })
	if i < 0 {
		return false
	}
	changed := *k.all[i]
	change(&changed)
	k.all[i] = &changed
	return true
}

// signing is the key with an id, or the one in use if kid is "".
func (k *Keys) signing(kid string) (*signingKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if kid == "" {
		kid = k.used
	}
	i := slices.IndexFunc(k.all, func(key *signingKey) bool { return key.id == kid })
	if i < 0 {
		return nil, false
	}
	return k.all[i], true
}

// A publicKey is a key as Entra's documents have it, which is without alg.
type publicKey struct {
	KeyType string   `json:"kty"`
	Use     string   `json:"use"`
	ID      string   `json:"kid"`
	X5T     string   `json:"x5t"`
	N       string   `json:"n"`
	E       string   `json:"e"`
	X5C     []string `json:"x5c"`
	Issuer  string   `json:"issuer"`
}

// document is all published keys.
func (k *Keys) document(issuer string) map[string]any {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys := []publicKey{}
	for _, key := range k.all {
		if key.published {
			keys = append(keys, key.public(issuer))
		}
	}
	return map[string]any{"keys": keys}
}

func (key *signingKey) public(issuer string) publicKey {
	if key.issuer != "" {
		issuer = key.issuer
	}
	e := big.NewInt(int64(key.private.E)).Bytes()
	return publicKey{
		KeyType: "RSA", Use: "sig", ID: key.id, X5T: key.id,
		N: base64.RawURLEncoding.EncodeToString(key.private.N.Bytes()), E: base64.RawURLEncoding.EncodeToString(e),
		X5C:    []string{base64.StdEncoding.EncodeToString(key.cert.Raw)},
		Issuer: issuer,
	}
}

// serveKeys answers with the keys. Those of several tenants name their issuer
// with {tenantid} in it.
func (s *Server) serveKeys(w http.ResponseWriter, r *http.Request) {
	tenant, ok := s.lookTenant(r.PathValue("tenant"))
	if !ok {
		s.answerError(w, unknownTenant(r.PathValue("tenant")))
		return
	}
	issuer := s.Issuer(templated(tenant.ID))
	if !strings.Contains(r.URL.Path, "/v2.0/") {
		issuer = s.IssuerV1(templated(tenant.ID))
	}
	answerJSON(w, http.StatusOK, s.keys.document(issuer))
}
