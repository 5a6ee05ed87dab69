package entra

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

// A credential proves to Entra which application the gateway is, with one of the
// last three, which GraphOptions explains. Each is read anew for every request to
// Entra.
type credential struct {
	clientID           string
	secret             func(context.Context) (string, error)
	certificateFile    string
	federatedTokenFile string
}

// assertionType is that of an assertion that is a JWT (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// form is what a request to a tenant's token endpoint says of the application
// (RFC 6749, section 2.3.1; RFC 7523, section 2.2).
func (c *credential) form(ctx context.Context, endpoint string) (url.Values, error) {
	form := url.Values{"client_id": {c.clientID}}
	if c.secret != nil {
		secret, err := c.secret(ctx)
		if err == nil && secret == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return nil, fmt.Errorf("the client secret: %w", err)
		}
		form.Set("client_secret", secret)
		return form, nil
	}
	assertion, err := c.assertion(endpoint)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmp.Or(c.certificateFile, c.federatedTokenFile, "the credential"), err)
	}
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion)
	return form, nil
}

// assertion is a JWT that stands for the application.
func (c *credential) assertion(endpoint string) (string, error) {
	switch {
	case c.certificateFile != "":
		text, err := readSmall(c.certificateFile)
		if err != nil {
			return "", err
		}
		return signAssertion(text, c.clientID, endpoint)
	case c.federatedTokenFile != "":
		text, err := readSmall(c.federatedTokenFile)
		if err != nil {
			return "", err
		}
		token := strings.TrimSpace(string(text))
		if !isToken(token) || strings.Count(token, ".") != 2 {
			return "", errors.New("it does not hold a token, which has three parts with dots between them")
		}
		return token, nil
	}
	return "", errors.New("there is no secret, certificate or federated token")
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

// isToken reports whether text can be a token, and so be sent in a header.
func isToken(text string) bool {
	return text != "" && len(text) <= 16<<10 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
