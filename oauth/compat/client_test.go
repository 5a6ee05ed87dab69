package compat_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/mcpagg/mcpagg/oauth/compat"
)

// TestGoSDKSignsIn has a client that is not ours find the facade, register, sign
// in and refresh.
func TestGoSDKSignsIn(t *testing.T) {
	tokenOf := func(grant string) string {
		return mint(map[string]any{}, map[string]any{"aud": apiID, "exp": 1 << 33, "grant": grant})
	}
	entra := &struct{ forms []url.Values }{}
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		entra.forms = append(entra.forms, r.PostForm)
		gives(map[string]any{"token_type": "Bearer", "access_token": tokenOf(r.PostForm.Get("grant_type")), "refresh_token": "the-refresh-token", "expires_in": 1})(w, r)
	}))
	defer idp.Close()
	gateway := httptest.NewUnstartedServer(nil)
	opts := options(idp.URL, t.Output())
	opts.PublicURL = &url.URL{Scheme: "http", Host: gateway.Listener.Addr().String()}
	gateway.Config.Handler = compat.New(opts)
	gateway.Start()
	defer gateway.Close()

	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "a client", RedirectURIs: []string{redirectURI}, GrantTypes: []string{"authorization_code", "refresh_token"},
		}},
		RequestRefreshToken: true,
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			return browse(ctx, idp.URL, args.URL)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, gateway.URL+"/mcp", nil)
	challenge := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {`Bearer scope="mcp.access"`}}, Body: http.NoBody}
	if err := handler.Authorize(t.Context(), req, challenge); err != nil {
		t.Fatal(err)
	}
	tokens, err := handler.TokenSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := tokens.Token() // the first one has expired, as the SDK counts
	if err != nil || token.AccessToken != tokenOf("refresh_token") {
		t.Fatalf("token %v, %v", token, err)
	}
	if len(entra.forms) < 2 || entra.forms[0].Get("code") != "the-code" || entra.forms[1].Get("refresh_token") != "the-refresh-token" {
		t.Errorf("Entra got %v", entra.forms)
	}
}

// browse is the person in front of the browser, who signs in at Entra.
func browse(ctx context.Context, entraURL, authorizeURL string) (*auth.AuthorizationResult, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizeURL, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil || !strings.HasPrefix(to.String(), entraURL) || to.Query().Get("scope") != upstreamScope {
		return nil, err
	}
	return &auth.AuthorizationResult{Code: "the-code", State: to.Query().Get("state")}, nil
}
