package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// A Credential says which client the gateway is, and proves it with at most one of
// Secret, CertificateFile and FederatedTokenFile. Each is read anew for every
// request, so that it may rotate. Without any of them, the client is a public one
// (RFC 6749, section 2.1).
type Credential struct {
	ClientID string
	// Secret is one of the client's secrets.
	Secret func(context.Context) (string, error)
	// Basic sends the secret in the header Authorization (client_secret_basic), and
	// not in the form (client_secret_post).
	Basic bool
	// CertificateFile holds a certificate of the client and its private key, in PEM:
	// RSA with 2048 bits or more.
	CertificateFile string
	// FederatedTokenFile holds a token of an issuer that the provider trusts for this
	// client, such as that of a Kubernetes service account.
	FederatedTokenFile string
}

// Public reports whether nothing proves who the client is.
func (c *Credential) Public() bool {
	return c.Secret == nil && c.CertificateFile == "" && c.FederatedTokenFile == ""
}

// assertionType is that of an assertion that is a JWT (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// apply returns what a request to endpoint says: form, and of the client only what
// is true and proves it, once (RFC 6749, section 2.3; RFC 7523, section 2.2).
func (c *Credential) apply(ctx context.Context, form url.Values, endpoint string) (url.Values, http.Header, error) {
	form, header := maps.Clone(form), http.Header{}
	if form == nil {
		form = url.Values{}
	}
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		form.Del(name)
	}
	form.Set("client_id", c.ClientID)
	switch {
	case c.Secret != nil:
		secret, err := c.Secret(ctx)
		if err == nil && secret == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("the client secret: %w", err)
		}
		if !c.Basic {
			form.Set("client_secret", secret)
			break
		}
		form.Del("client_id")
		header.Set("Authorization", basic(c.ClientID, secret))
	case !c.Public():
		assertion, err := c.assertion(endpoint)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", cmp.Or(c.CertificateFile, c.FederatedTokenFile), err)
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	}
	return form, header, nil
}

// basic is the header Authorization of a client. Both parts are encoded as in a
// form, so that they may have colons (RFC 6749, section 2.3.1).
func basic(id, secret string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return r.Header.Get("Authorization")
}

// assertion is a JWT that stands for the client.
func (c *Credential) assertion(endpoint string) (string, error) {
	text, err := readSmall(cmp.Or(c.CertificateFile, c.FederatedTokenFile))
	switch {
	case err != nil:
		return "", err
	case c.CertificateFile != "":
		return signAssertion(text, c.ClientID, endpoint)
	}
	token := strings.TrimSpace(string(text))
	if !IsToken(token) || strings.Count(token, ".") != 2 {
		return "", errors.New("it does not hold a token, which has three parts with dots between them")
	}
	return token, nil
}

// maxFile bounds a file with a certificate or token, in bytes.
const maxFile = 64 << 10

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, errors.Unwrap(err) // without the name
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFile:
		return nil, fmt.Errorf("it is larger than %d KiB", maxFile>>10)
	}
	return text, nil
}

// IsToken reports whether text can be a token, and so be sent in a header: 16 KiB
// of ASCII at most, without spaces.
func IsToken(text string) bool {
	return text != "" && len(text) <= 16<<10 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
