package secrets

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A secret that a source itself needs, such as a token, is asked each time it is
// needed, so that it may rotate as well.
type credential = func(context.Context) (string, error)

// VaultOptions describe the key-value engine, version 2, of a HashiCorp Vault.
// Exactly one of Token, AppRole and Kubernetes is set.
type VaultOptions struct {
	// URL is that of the server, without /v1.
	URL *url.URL
	// Namespace is that of Vault Enterprise; "" means none.
	Namespace string
	// Mount is the path of the key-value engine, such as "secret".
	Mount string
	// RootCAs are whom to believe that this is the server; nil means the
	// system's.
	RootCAs *x509.CertPool

	Token      credential
	AppRole    *AppRole
	Kubernetes *Kubernetes
}

// AppRole is a login with a role id and a secret id.
type AppRole struct {
	Mount            string // of the auth method, such as "approle"
	RoleID, SecretID credential
}

// Kubernetes is a login with the token of a service account.
type Kubernetes struct {
	Mount string // of the auth method, such as "kubernetes"
	Role  string
	JWT   credential
}

// A Vault is a [Source]. The name of a secret is its path in the engine and a
// field, as in "apps/github#token"; without a field it is "value". The gateway's
// own token is renewed when two thirds of its time are over, and another one is
// asked for when it has expired or was revoked.
type Vault struct {
	opts   VaultOptions
	client *http.Client

	turn  chan struct{} // holds a token while somebody uses or replaces token
	token vaultToken    // zero while there is none
}

// A vaultToken is what Vault knows the gateway by.
type vaultToken struct {
	text      string
	obtained  time.Time
	lease     time.Duration // 0 for without end
	renewable bool
}

func (t vaultToken) age() time.Duration { return time.Since(t.obtained) }
func (t vaultToken) isAging() bool      { return t.lease > 0 && t.age() >= t.lease*2/3 }
func (t vaultToken) isOver() bool       { return t.text == "" || t.lease > 0 && t.age() >= t.lease }

// NewVault returns a source, which connects to nothing before the first Get.
func NewVault(opts VaultOptions) *Vault {
	t := http.DefaultTransport.(*http.Transport).Clone() // with the proxies of the environment
	t.TLSClientConfig = &tls.Config{RootCAs: opts.RootCAs, MinVersion: tls.VersionTLS12}
	return &Vault{
		opts:   opts,
		client: &http.Client{Transport: t, CheckRedirect: followStandby},
		turn:   make(chan struct{}, 1),
	}
}

// followStandby follows a standby server to the active one, with the token, but
// not out of TLS, nor without it to another address than the configured one.
func followStandby(req *http.Request, via []*http.Request) error {
	switch first := via[0].URL; {
	case len(via) > 2:
		return errors.New("it redirects again and again")
	case req.URL.Scheme == "https":
	case first.Scheme == "https":
		return errors.New("it redirects from https to http, which is not followed")
	case req.URL.Hostname() != first.Hostname():
		return errors.New("it redirects to another host without https, which is not followed")
	}
	return nil
}

// defaultField is what a secret is in where its name says no field.
const defaultField = "value"

// CheckVaultName reports what is wrong with the name of a secret in Vault.
func CheckVaultName(name string) error {
	path, field, given := strings.Cut(name, "#")
	switch {
	case given && field == "":
		return errors.New("there is no field after #")
	case path == "":
		return errors.New("there is no path before #")
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return errors.New("its path has an empty part, or one of dots")
		}
	}
	return nil
}

// Get implements [Source].
func (v *Vault) Get(ctx context.Context, name string) (string, error) {
	if err := CheckVaultName(name); err != nil {
		return "", refused("%v", err)
	}
	path, field, given := strings.Cut(name, "#")
	if !given {
		field = defaultField
	}
	token, err := v.current(ctx, "")
	if err != nil {
		return "", err
	}
	answer, err := v.read(ctx, token, path)
	if answer.status == http.StatusForbidden && !v.isValid(ctx, token) {
		if token, err = v.current(ctx, token); err != nil {
			return "", fmt.Errorf("Vault does not let the gateway read %s/data/%s, and its token is not valid: %w", v.opts.Mount, path, err)
		}
		answer, err = v.read(ctx, token, path)
	}
	if err != nil {
		return "", err
	}
	return v.field(answer, path, field)
}

func (v *Vault) read(ctx context.Context, token, path string) (vaultAnswer, error) {
	return v.do(ctx, http.MethodGet, v.opts.Mount+"/data/"+path, token, nil)
}

// field is a field of the newest version of a secret.
func (v *Vault) field(a vaultAnswer, path, field string) (string, error) {
	var found struct {
		Data struct {
			Data     map[string]json.RawMessage
			Metadata struct {
				DeletionTime string `json:"deletion_time"`
				Destroyed    bool
			}
		}
	}
	known := json.Unmarshal(a.body, &found) == nil
	meta := found.Data.Metadata
	switch {
	case a.status == http.StatusForbidden:
		return "", refused("Vault does not let the gateway read %s/data/%s%s; a policy of its role has to", v.opts.Mount, path, a.complaint())
	case known && (meta.Destroyed || meta.DeletionTime != "" && found.Data.Data == nil):
		return "", refused("the newest version of %q was deleted in Vault; undelete it, or write another one", path)
	case a.status == http.StatusNotFound:
		return "", refused("Vault has no secret %q in the engine %q%s", path, v.opts.Mount, v.pathHint(path))
	case a.status != http.StatusOK:
		return "", a.failure("reading the secret")
	case !known || found.Data.Data == nil:
		return "", refused("the engine %q of Vault did not answer as a key-value engine of version 2 does", v.opts.Mount)
	}
	raw, ok := found.Data.Data[field]
	if !ok {
		return "", refused("the secret %q has no field %q; name one as in %q", path, field, path+"#field")
	}
	return plainText(raw)
}

// pathHint helps somebody who has written the path of the HTTP API.
func (v *Vault) pathHint(path string) string {
	for _, prefix := range []string{"data/", v.opts.Mount + "/data/", v.opts.Mount + "/"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok && rest != "" {
			return fmt.Sprintf("; write the path without %q", prefix)
		}
	}
	return ""
}

// plainText is a text as it is, and a number or boolean as it is written.
func plainText(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
		return text, nil
	}
	if strings.IndexByte("{[n", raw[0]) >= 0 {
		return "", refused("the field is neither text nor a number")
	}
	return string(raw), nil
}

// current is a token that is valid as far as is known, and not the one in
// refused. Who comes while another one logs in waits for that.
func (v *Vault) current(ctx context.Context, refused string) (string, error) {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if v.token.text == refused {
		v.token = vaultToken{}
	}
	switch t := v.token; {
	case t.isOver():
		fresh, err := v.login(ctx, refused)
		if err != nil {
			return "", err
		}
		v.token = fresh
	case t.isAging():
		if fresh, err := v.prolong(ctx, t); err == nil {
			v.token = fresh
		}
	}
	return v.token.text, nil
}

// prolong renews a token, or gets another one, while it still lasts.
func (v *Vault) prolong(ctx context.Context, t vaultToken) (vaultToken, error) {
	if t.renewable {
		if renewed, err := v.renew(ctx, t.text); err == nil {
			return renewed, nil
		}
	}
	return v.login(ctx, "")
}

// isValid reports whether Vault knows a token, or cannot be asked.
func (v *Vault) isValid(ctx context.Context, token string) bool {
	a, err := v.do(ctx, http.MethodGet, "auth/token/lookup-self", token, nil)
	return err != nil || a.status != http.StatusForbidden
}

// login gets a token. One that Vault has refused is none.
func (v *Vault) login(ctx context.Context, refused string) (vaultToken, error) {
	switch o := v.opts; {
	case o.AppRole != nil:
		return v.logIn(ctx, "AppRole", o.AppRole.Mount, map[string]credential{"role_id": o.AppRole.RoleID, "secret_id": o.AppRole.SecretID})
	case o.Kubernetes != nil:
		role := func(context.Context) (string, error) { return o.Kubernetes.Role, nil }
		return v.logIn(ctx, "Kubernetes", o.Kubernetes.Mount, map[string]credential{"role": role, "jwt": o.Kubernetes.JWT})
	}
	token, err := v.opts.Token(ctx)
	switch {
	case err != nil:
		return vaultToken{}, lacking("the token for Vault", err)
	case token == refused:
		return vaultToken{}, errors.New("the configured token has expired, was revoked, or has no policy; configure another one")
	}
	return v.lookUp(ctx, token), nil
}

// lookUp finds out how long a configured token lasts. One that may not even ask
// is taken as it is: Vault says soon enough if it is invalid.
func (v *Vault) lookUp(ctx context.Context, token string) vaultToken {
	t := vaultToken{text: token, obtained: time.Now()}
	var found struct {
		Data struct {
			TTL       int64
			Renewable bool
		}
	}
	if a, err := v.do(ctx, http.MethodGet, "auth/token/lookup-self", token, nil); err == nil && json.Unmarshal(a.body, &found) == nil {
		t.lease, t.renewable = seconds(found.Data.TTL), found.Data.Renewable
	}
	return t
}

// logIn exchanges credentials for a token.
func (v *Vault) logIn(ctx context.Context, method, mount string, with map[string]credential) (vaultToken, error) {
	body, hide := map[string]string{}, []string{}
	for field, get := range with {
		value, err := get(ctx)
		if err != nil {
			return vaultToken{}, lacking(fmt.Sprintf("%s for the %s login to Vault", field, method), err)
		}
		body[field], hide = value, append(hide, value)
	}
	a, err := v.do(ctx, http.MethodPost, "auth/"+mount+"/login", "", body)
	if err != nil {
		return vaultToken{}, err
	}
	a.hide = append(a.hide, hide...)
	return a.token("the " + method + " login at auth/" + mount)
}

func (v *Vault) renew(ctx context.Context, token string) (vaultToken, error) {
	a, err := v.do(ctx, http.MethodPost, "auth/token/renew-self", token, map[string]string{})
	if err != nil {
		return vaultToken{}, err
	}
	t, err := a.token("renewing the token")
	if err == nil && t.isAging() {
		err = errors.New("it lasts no longer than before") // its greatest age is near
	}
	return t, err
}

// A vaultAnswer is an answer of the server.
type vaultAnswer struct {
	status int
	header http.Header
	body   []byte
	hide   []string // what must not be quoted of it
}

// token is the one that a login or renewal brought.
func (a vaultAnswer) token(what string) (vaultToken, error) {
	if a.status != http.StatusOK {
		return vaultToken{}, a.failure(what)
	}
	var found struct {
		Auth struct {
			ClientToken   string `json:"client_token"`
			LeaseDuration int64  `json:"lease_duration"`
			Renewable     bool
		}
	}
	if err := json.Unmarshal(a.body, &found); err != nil || !isToken(found.Auth.ClientToken) {
		return vaultToken{}, fmt.Errorf("%s brought no token", what)
	}
	auth := found.Auth
	return vaultToken{auth.ClientToken, time.Now(), seconds(auth.LeaseDuration), auth.Renewable}, nil
}

func seconds(n int64) time.Duration {
	const most = 100 * 365 * 24 * 60 * 60
	return time.Duration(min(max(n, 0), most)) * time.Second
}

// failure is what is wrong with an answer that is none to the question.
func (a vaultAnswer) failure(what string) error {
	text := fmt.Sprintf("%s: Vault answered HTTP %d%s%s", what, a.status, a.meaning(), a.complaint())
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		after, _ := strconv.Atoi(a.header.Get("Retry-After"))
		return &busyError{text, seconds(int64(after))}
	}
	return errors.New(text)
}

func (a vaultAnswer) meaning() string {
	switch a.status {
	case http.StatusServiceUnavailable:
		return " (sealed, or under maintenance)"
	case http.StatusTooManyRequests:
		return " (too many requests)"
	}
	return ""
}

// complaint quotes the errors in an answer.
func (a vaultAnswer) complaint() string {
	var found struct{ Errors []string }
	_ = json.Unmarshal(a.body, &found) // an answer of something else quotes nothing
	return quoting(strings.Join(found.Errors, "; "), a.hide...)
}

// maxAnswer bounds an answer of Vault, in bytes: a secret may have more fields
// than the one that is wanted.
const maxAnswer = 1 << 20

// do sends one request. The error says that there was no answer.
func (v *Vault) do(ctx context.Context, method, path, token string, body map[string]string) (vaultAnswer, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return vaultAnswer{}, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, v.opts.URL.JoinPath("v1", escaped(path)).String(), content)
	if err != nil {
		return vaultAnswer{}, err
	}
	req.Header.Set("X-Vault-Request", "true")
	if token != "" && !isToken(token) {
		return vaultAnswer{}, errors.New("the token for Vault has characters that no token has")
	}
	for name, value := range map[string]string{"X-Vault-Token": token, "X-Vault-Namespace": v.opts.Namespace} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return vaultAnswer{}, fmt.Errorf("Vault cannot be reached: %w", unreachable(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return vaultAnswer{}, errors.New("the connection to Vault broke before the answer was complete")
	case len(text) > maxAnswer:
		return vaultAnswer{}, errors.New("the answer of Vault is larger than 1 MiB")
	}
	return vaultAnswer{resp.StatusCode, resp.Header, text, []string{token}}, nil
}

// escaped is a path with what is special in a URL escaped.
func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// isToken reports whether text can be a token, and so be sent in a header.
func isToken(text string) bool {
	return text != "" && len(text) <= 16<<10 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// unreachable is a transport's error as text, which makes it nobody else's.
func unreachable(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err // without the URL
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Errorf("the name %s cannot be resolved", dns.Name)
	}
	return errors.New(said(err.Error()))
}
