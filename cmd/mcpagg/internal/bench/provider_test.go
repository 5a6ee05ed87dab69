package main

import (
	"bytes"
	"net/http/httptest"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

// TestProvider verifies its tokens as any client of OpenID Connect would.
func TestProvider(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	p, err := newProvider("http://" + server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = p
	server.Start()
	defer server.Close()
	token, err := p.token()
	if err != nil {
		t.Fatal(err)
	}
	if len(token) < 1800 || len(token) > 2600 {
		t.Errorf("a token has %d bytes, want about 2 KiB", len(token))
	}
	discovered, err := oidc.NewProvider(t.Context(), p.issuer)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := discovered.Verifier(&oidc.Config{ClientID: audience}).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if verified.Subject == "" || verified.Issuer != p.issuer {
		t.Errorf("the token is of %q, from %q", verified.Subject, verified.Issuer)
	}
}

func TestCallerShowsItsToken(t *testing.T) {
	b := testBench(t)
	s, err := b.startUpstream(t.Context(), "both", 3)
	if err != nil {
		t.Fatal(err)
	}
	s.token = "abc"
	c := s.newCaller(modern)
	defer c.end()
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	if bytes.Count(c.out, []byte("\r\nAuthorization: Bearer abc\r\n")) != 1 {
		t.Errorf("the request does not have the header once:\n%s", c.out)
	}
}
