package client

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// assertionLife is how long an assertion counts. It is used at once; the rest
	// is for clocks that are apart.
	assertionLife = 5 * time.Minute
	minRSABits    = 2048
)

// signAssertion makes a JWT by which the owner of a certificate proves to be a
// client at one endpoint (RFC 7523, section 3). The provider finds the certificate
// by its SHA-256 thumbprint, as Entra does.
func signAssertion(pem []byte, clientID, endpoint string) (string, error) {
	pair, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		return "", fmt.Errorf("it does not hold a certificate and its private key in PEM: %w", err)
	}
	key, ok := pair.PrivateKey.(*rsa.PrivateKey)
	if !ok || key.N.BitLen() < minRSABits {
		return "", fmt.Errorf("its key is not RSA with %d bits or more", minRSABits)
	}
	now := time.Now()
	switch cert := pair.Leaf; {
	case now.After(cert.NotAfter):
		return "", fmt.Errorf("the certificate has expired on %s; upload a new one to the app and put it here", cert.NotAfter.Format(time.DateOnly))
	case now.Before(cert.NotBefore):
		return "", fmt.Errorf("the certificate counts from %s only; is the clock of this machine right?", cert.NotBefore.Format(time.DateTime))
	}
	thumbprint := sha256.Sum256(pair.Leaf.Raw)
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(thumbprint[:]))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.PS256, Key: key}, options)
	if err != nil {
		return "", errors.New("its key cannot sign")
	}
	claims, err := json.Marshal(map[string]any{
		"iss": clientID, "sub": clientID, "aud": endpoint, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", errors.New("its key cannot sign")
	}
	return signed.CompactSerialize()
}
