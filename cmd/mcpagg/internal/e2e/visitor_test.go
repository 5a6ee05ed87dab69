//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A visitor is a client of a gateway that people sign in at, with the browser of
// its user. It does one step at a time, so that things can happen between them.
type visitor struct {
	base     string // of the gateway
	forward  string // the address that a proxy says requests come from; "" for no proxy
	id       string
	redirect string
	verifier string
	state    string
	browser  *browser
	http     *http.Client

	access, refresh string
}

// newVisitor registers a client.
func newVisitor(ctx context.Context, base, user, forward string) (*visitor, error) {
	b, err := newBrowser(user)
	if err != nil {
		return nil, err
	}
	b.stops = func(from, to *url.URL) bool { return from.Host != to.Host }
	v := &visitor{base: base, forward: forward, browser: b, http: &http.Client{Transport: forwarding{forward}}}
	b.http.Transport = v.http.Transport
	return v, v.register(ctx, "http://127.0.0.1:9/callback")
}

// register registers the client, for one redirect URI.
func (v *visitor) register(ctx context.Context, redirect string) error {
	registration := object{
		"client_name": "visitor", "redirect_uris": []string{redirect},
		"token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"},
	}
	var got struct {
		ID string `json:"client_id"`
	}
	status, body, err := v.post(ctx, "/register", "application/json", encode(registration))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, &got); err != nil || status != http.StatusCreated || got.ID == "" {
		return &refusal{status, string(body)}
	}
	v.id, v.redirect = got.ID, redirect
	return nil
}

// forwarding says in each request whom it comes from.
type forwarding struct{ address string }

func (f forwarding) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.address != "" {
		r = r.Clone(r.Context())
		r.Header.Set("X-Forwarded-For", f.address)
	}
	return visitorTransport.RoundTrip(r)
}

// visitorTransport is shared, so that many visitors need few connections.
var visitorTransport = &http.Transport{MaxIdleConnsPerHost: 64}

// post asks the gateway for something.
func (v *visitor) post(ctx context.Context, path, kind string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := v.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// A refusal is an answer of the gateway's that is no success.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("it is answered %d: %s", r.status, short(r.text))
}

// load loads a page of the browser's.
func (v *visitor) load(req *http.Request, err error) (page, error) {
	if err != nil {
		return page{}, err
	}
	p, status, err := v.browser.load(req)
	if err == nil && status != http.StatusOK {
		err = &refusal{status, p.text}
	}
	return p, err
}

// address is where the browser is sent to.
func (v *visitor) address() string {
	v.verifier, v.state = rand.Text()+rand.Text(), rand.Text()
	sum := sha256.Sum256([]byte(v.verifier))
	return v.base + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {v.id}, "redirect_uri": {v.redirect}, "state": {v.state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"resource": {v.base + "/mcp"}, "scope": {"mcp.access"},
	}.Encode()
}

// ask opens the page that asks whether to let the client in.
func (v *visitor) ask(ctx context.Context) (page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.address(), nil)
	if err == nil {
		req.Header.Set(fetchSite, "none")
	}
	return v.load(req, err)
}

// approve lets it in, and returns where the provider has people sign in.
func (v *visitor) approve(ctx context.Context, p page) (*http.Request, error) {
	left, err := v.load(p.submit(ctx, v.browser.user))
	if err != nil {
		return nil, err
	}
	if left.text != "" {
		return v.browser.onward(ctx, left)
	}
	return http.NewRequestWithContext(ctx, http.MethodGet, left.at.String(), nil)
}

// signIn signs in at the provider, and returns where that sends the browser back to.
func (v *visitor) signIn(ctx context.Context, provider *http.Request) (callback *url.URL, err error) {
	p, err := v.load(provider, nil)
	for err == nil && !p.at.Query().Has("code") {
		p, err = v.browser.goOn(ctx, p)
	}
	return p.at, err
}

// comeBack follows the way back, and returns the code that the client gets. The way
// may lead to the provider once more, where people have to show more than before.
func (v *visitor) comeBack(ctx context.Context, callback *url.URL) (code string, err error) {
	p, err := v.follow(ctx, callback)
	if err == nil && strings.HasSuffix(p.at.Path, "/authorize") {
		provider, err := http.NewRequestWithContext(ctx, http.MethodGet, p.at.String(), nil)
		if err != nil {
			return "", err
		}
		if callback, err = v.signIn(ctx, provider); err != nil {
			return "", err
		}
		if p, err = v.follow(ctx, callback); err != nil {
			return "", err
		}
	}
	if err != nil {
		return "", err
	}
	switch q := p.at.Query(); {
	case q.Get("state") != v.state || q.Get("iss") == "":
		return "", fmt.Errorf("the client is called back at %s", p.at.Path)
	case q.Get("error") != "":
		return "", &refusal{http.StatusFound, q.Get("error")}
	default:
		return q.Get("code"), nil
	}
}

// follow follows the provider's redirect.
func (v *visitor) follow(ctx context.Context, callback *url.URL) (page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, callback.String(), nil)
	if err == nil {
		req.Header.Set(fetchSite, "cross-site")
	}
	return v.load(req, err)
}

// redeem trades a code for tokens.
func (v *visitor) redeem(ctx context.Context, code string) error {
	return v.token(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {v.verifier}, "redirect_uri": {v.redirect}, "client_id": {v.id}, "resource": {v.base + "/mcp"},
	})
}

// renew trades the refresh token for another one.
func (v *visitor) renew(ctx context.Context) error {
	return v.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {v.refresh}, "client_id": {v.id}})
}

func (v *visitor) token(ctx context.Context, form url.Values) error {
	status, body, err := v.post(ctx, "/oauth2/token", "application/x-www-form-urlencoded", []byte(form.Encode()))
	if err != nil {
		return err
	}
	var got tokenAnswer
	if err := json.Unmarshal(body, &got); err != nil || status != http.StatusOK || got.Access == "" || got.Refresh == "" {
		return &refusal{status, got.Error}
	}
	v.access, v.refresh = got.Access, got.Refresh
	return nil
}

// enter does all steps.
func (v *visitor) enter(ctx context.Context) error {
	code, err := v.code(ctx)
	if err != nil {
		return err
	}
	return v.redeem(ctx, code)
}

// code does all steps but the last.
func (v *visitor) code(ctx context.Context) (string, error) {
	p, err := v.ask(ctx)
	if err != nil {
		return "", fmt.Errorf("asking: %w", err)
	}
	provider, err := v.approve(ctx, p)
	if err != nil {
		return "", fmt.Errorf("approving: %w", err)
	}
	callback, err := v.signIn(ctx, provider)
	if err != nil {
		return "", fmt.Errorf("signing in: %w", err)
	}
	code, err := v.comeBack(ctx, callback)
	if err != nil {
		return "", fmt.Errorf("coming back: %w", err)
	}
	return code, nil
}

// list lists the tools. It returns the status and the body.
func (v *visitor) list(ctx context.Context) (status int, body string, err error) {
	header, params := modernRequest("tools/list", object{})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.base+"/mcp", bytes.NewReader(encode(request(1, "tools/list", params))))
	if err != nil {
		return 0, "", err
	}
	header.Set("Authorization", "Bearer "+v.access)
	header.Set("Content-Type", "application/json")
	header.Set("Accept", "application/json, text/event-stream")
	req.Header = header
	resp, err := v.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}

// works reports why the client cannot list the tools, if so.
func (v *visitor) works(ctx context.Context) error {
	status, body, err := v.list(ctx)
	if err == nil && (status != http.StatusOK || !strings.Contains(body, upstreamTools[0])) {
		err = &refusal{status, body}
	}
	return err
}
