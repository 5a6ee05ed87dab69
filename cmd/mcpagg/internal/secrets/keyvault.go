package secrets

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// KeyVaultOptions describe an Azure Key Vault and who the gateway is there: an
// application with ClientSecret, CertificateFile or FederatedTokenFile, or
// without any of them the managed identity of the machine.
type KeyVaultOptions struct {
	// URL is that of the vault, such as https://contoso.vault.azure.net.
	URL *url.URL
	// Cloud is "global", "usgov" or "china".
	Cloud string
	// RootCAs are whom to believe that this is the vault; nil means the system's.
	RootCAs *x509.CertPool

	// TenantID and ClientID are those of the application. For a managed
	// identity, ClientID chooses one that a user has assigned; "" is the
	// machine's own.
	TenantID, ClientID string

	ClientSecret credential
	// CertificateFile holds a certificate and its private key, as PEM or PKCS #12
	// without a password. It is read again when a token is needed.
	CertificateFile string
	// FederatedTokenFile holds the token of a Kubernetes service account
	// (workload identity).
	FederatedTokenFile string
}

// A KeyVault is a [Source]. The name of a secret is its name in the vault, or
// that and a version, as in "github/4387e9f3d6e14c459867679a90fd0f79".
type KeyVault struct {
	opts   KeyVaultOptions
	client *http.Client

	mu    sync.Mutex
	vault *azsecrets.Client // made with the material; guarded by mu
	proof string            // the client secret or certificate; guarded by mu
}

var clouds = map[string]cloud.Configuration{
	"":       cloud.AzurePublic,
	"global": cloud.AzurePublic,
	"usgov":  cloud.AzureGovernment,
	"china":  cloud.AzureChina,
}

// NewKeyVault returns a source, which connects to nothing before the first Get.
func NewKeyVault(opts KeyVaultOptions) *KeyVault {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = proxyUnlessLocal
	t.TLSClientConfig = &tls.Config{RootCAs: opts.RootCAs, MinVersion: tls.VersionTLS12}
	return &KeyVault{opts: opts, client: &http.Client{
		Transport:     boundedAnswers{t},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// proxyUnlessLocal is the proxy of the environment, but none for the metadata
// address of the machine, where nobody else may ask.
func proxyUnlessLocal(req *http.Request) (*url.URL, error) {
	if ip, err := netip.ParseAddr(req.URL.Hostname()); err == nil && (ip.IsLinkLocalUnicast() || ip.IsLoopback()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(req)
}

// boundedAnswers cuts off answers that are longer than any of these servers',
// which the libraries read to their end.
type boundedAnswers struct{ http.RoundTripper }

func (b boundedAnswers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

var keyVaultName = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}(/[0-9A-Za-z]{1,64})?$`)

// CheckKeyVaultName reports what is wrong with the name of a secret in a Key
// Vault.
func CheckKeyVaultName(name string) error {
	if !keyVaultName.MatchString(name) {
		return errors.New("a name there is made of letters, digits and -, with a version after / if need be")
	}
	return nil
}

// Get implements [Source].
func (k *KeyVault) Get(ctx context.Context, name string) (value string, err error) {
	// The library that reads the vault's challenge panics over some that are not
	// well formed.
	defer func() {
		if recover() != nil {
			value, err = "", errors.New("the vault's answer makes no sense")
		}
	}()
	if err := CheckKeyVaultName(name); err != nil {
		return "", refused("%v", err)
	}
	proof, err := k.material(ctx)
	if err != nil {
		return "", err
	}
	vault, err := k.connect(proof)
	if err != nil {
		return "", fmt.Errorf("who the gateway is for the Key Vault: %s", said(err.Error(), proof))
	}
	name, version, _ := strings.Cut(name, "/")
	found, err := vault.GetSecret(ctx, name, version, nil)
	switch {
	case err != nil:
		return "", k.explain(err, proof)
	case found.Value == nil:
		return "", refused("the Key Vault answered without a value")
	}
	return *found.Value, nil
}

// material is what proves who the gateway is and may rotate; "" if the library
// reads it itself.
func (k *KeyVault) material(ctx context.Context) (string, error) {
	switch o := k.opts; {
	case o.ClientSecret != nil:
		secret, err := o.ClientSecret(ctx)
		if err != nil {
			return "", lacking("client_secret for the Key Vault", err)
		}
		return secret, nil
	case o.CertificateFile != "":
		text, err := os.ReadFile(o.CertificateFile)
		if err != nil {
			return "", fmt.Errorf("certificate_file for the Key Vault: %w", cause(err))
		}
		return string(text), nil
	}
	return "", nil
}

// connect is the client for the vault, a new one where the material has changed.
func (k *KeyVault) connect(proof string) (*azsecrets.Client, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.vault != nil && k.proof == proof {
		return k.vault, nil
	}
	identity, err := k.identity(proof)
	if err != nil {
		return nil, err
	}
	vault, err := azsecrets.NewClient(k.opts.URL.String(), identity, &azsecrets.ClientOptions{ClientOptions: k.common()})
	if err != nil {
		return nil, err
	}
	k.vault, k.proof = vault, proof
	return vault, nil
}

// common are the options of all that the libraries send. A cache stands in front
// of them, which asks again.
func (k *KeyVault) common() policy.ClientOptions {
	return policy.ClientOptions{
		Cloud:     clouds[k.opts.Cloud],
		Transport: k.client,
		Retry:     policy.RetryOptions{MaxRetries: 1, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: time.Second},
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}
}

// identity is who the gateway is. The clouds' hosts are known, so that nobody
// needs to be asked whether they may be believed.
func (k *KeyVault) identity(proof string) (azcore.TokenCredential, error) {
	switch o := k.opts; {
	case o.ClientSecret != nil:
		return azidentity.NewClientSecretCredential(o.TenantID, o.ClientID, proof,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: k.common(), DisableInstanceDiscovery: true})
	case o.CertificateFile != "":
		certificates, key, err := azidentity.ParseCertificates([]byte(proof), nil)
		if err != nil {
			return nil, errors.New("certificate_file holds no certificate with its private key as PEM, or as PKCS #12 without a password")
		}
		return azidentity.NewClientCertificateCredential(o.TenantID, o.ClientID, certificates, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: k.common(), DisableInstanceDiscovery: true})
	case o.FederatedTokenFile != "":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: k.common(), DisableInstanceDiscovery: true,
			TenantID: o.TenantID, ClientID: o.ClientID, TokenFilePath: o.FederatedTokenFile,
		})
	}
	options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: k.common()}
	if k.opts.ClientID != "" {
		options.ID = azidentity.ClientID(k.opts.ClientID)
	}
	return azidentity.NewManagedIdentityCredential(options)
}

// explain puts an error of the libraries into one line. Theirs have many, with
// whole answers in them.
func (k *KeyVault) explain(err error, proof string) error {
	var answer *azcore.ResponseError
	var login *azidentity.AuthenticationFailedError
	switch {
	case errors.As(err, &login):
		return loginFailure(login, proof)
	case errors.As(err, &answer):
		return vaultFailure(answer, proof)
	}
	return fmt.Errorf("the Key Vault cannot be read: %w", unreachable(err))
}

// loginFailure is what Microsoft Entra, or the machine, says.
func loginFailure(err *azidentity.AuthenticationFailedError, proof string) error {
	if err.RawResponse == nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("the gateway's own sign-in failed%s", quoting(text, proof))
	}
	var found struct {
		Description string `json:"error_description"`
	}
	if text, err := runtime.Payload(err.RawResponse); err == nil {
		_ = json.Unmarshal(text, &found) // something else says nothing
	}
	return fmt.Errorf("the gateway's own sign-in failed with HTTP %d%s", err.RawResponse.StatusCode, quoting(found.Description, proof))
}

func vaultFailure(err *azcore.ResponseError, proof string) error {
	var found struct {
		Error struct{ Message string }
	}
	if text, err := runtime.Payload(err.RawResponse); err == nil {
		_ = json.Unmarshal(text, &found)
	}
	about := quoting(found.Error.Message, proof)
	switch err.StatusCode {
	case http.StatusNotFound:
		return refused("the Key Vault has no such secret, or no such version of it")
	case http.StatusForbidden:
		return refused("the Key Vault does not give the secret to the gateway%s", about)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		after, _ := strconv.Atoi(err.RawResponse.Header.Get("Retry-After"))
		return &busyError{fmt.Sprintf("the Key Vault answered HTTP %d (busy)%s", err.StatusCode, about), seconds(int64(after))}
	}
	return fmt.Errorf("the Key Vault answered HTTP %d%s", err.StatusCode, about)
}
