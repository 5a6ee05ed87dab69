package config

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/secrets"
	"github.com/mcpagg/mcpagg/upstream"
)

// A path is a file or folder that need not be there yet. The value is the whole
// path.
type path struct {
	setting
	value string
}

func (v *path) kind() kind { return textKind("path") }

func (v *path) take(in input) {
	s, ok := in.text()
	if ok && s == "" {
		in.mistake("This must not be empty.")
	}
	if ok && s != "" {
		v.value = within(filepath.Dir(in.at.Filename), s)
		v.keep(cty.StringVal(v.value).WithSameMarks(in.value))
	}
}

// A secureURL is that of a server which is sent credentials.
type secureURL struct{ endpoint }

func (v *secureURL) take(in input) {
	v.value = in.webURL("https://vault.contoso.com")
	if v.value == nil {
		return
	}
	if v.value.Scheme != "https" && !isLoopback(v.value.Hostname()) {
		in.mistake("Credentials go there, so this must be an https URL.")
	}
	if v.value.RawQuery != "" {
		in.mistake("%v must not have a part after ?.", in)
	}
}

// authorities are certificates of those to believe.
type authorities struct {
	path
	pool *x509.CertPool
	pem  string
}

func (v *authorities) take(in input) {
	v.path.take(in)
	if v.path.value == "" {
		return
	}
	text, err := in.d.inputs.readFile(v.path.value, fileLimit)
	v.pool, v.pem = x509.NewCertPool(), text
	switch {
	case err != nil:
		in.mistake("%v: %v.", in, err)
	case !v.pool.AppendCertsFromPEM([]byte(text)):
		in.mistake("%v holds no certificates in PEM.", in)
	}
}

// A vaultPath is a path in Vault, without / at its ends.
type vaultPath struct{ text }

func (v *vaultPath) take(in input) {
	s, ok := in.text()
	v.value = strings.Trim(s, "/")
	if ok && (secrets.CheckVaultName(v.value) != nil || strings.ContainsAny(v.value, "#?% ")) {
		in.mistake("%v is not a path in Vault such as \"secret\" or \"teams/data\".", in)
	}
}

// An azureCloud is one of Microsoft's.
type azureCloud struct{ text }

var azureClouds = []string{"global", "usgov", "china"}

func (v *azureCloud) kind() kind {
	return kind{codeWords(azureClouds), map[string]any{"enum": azureClouds}}
}

func (v *azureCloud) take(in input) { v.value = in.oneOf(azureClouds) }

// secretKinds are what a source can be.
var secretKinds = kinds{
	names: []string{"env", "file", "exec", "vault", "azure_key_vault"},
	of: map[string]kindSettings{
		"env":             {nil, []string{"prefix"}},
		"file":            {[]string{"dir"}, nil},
		"exec":            {[]string{"command"}, []string{"env"}},
		"vault":           {[]string{"url"}, []string{"ca_file", "mount", "namespace", "token"}},
		"azure_key_vault": {[]string{"url"}, []string{"ca_file", "cloud", "tenant_id", "client_id", "client_secret", "certificate_file", "federated_token_file"}},
	},
	unknown:   "Unknown kind of secrets",
	noSuch:    "There are no secrets of the kind %q; there are %s.%s",
	misplaced: "This does not go with secrets of the kind %s.",
	missing:   "Secrets of the kind %s need a %s.",
}

// settings are the attributes of the block that only some kinds have.
func (b *secretsBlock) settings() []setting {
	return []setting{
		b.Prefix.setting, b.Dir.setting, b.Command.setting, b.Env.setting, b.URL.setting, b.CAFile.setting,
		b.Mount.setting, b.Namespace.setting, b.Token.setting,
		b.Cloud.setting, b.TenantID.setting, b.ClientID.setting, b.ClientSecret.setting,
		b.CertificateFile.setting, b.FederatedTokenFile.setting,
	}
}

func (b *secretsBlock) check(d *decoder) {
	checkLabel(d, &b.header)
	if !secretKinds.check(d, &b.header, b.settings()) {
		return
	}
	b.checkLogin(d)
	if b.kind == "azure_key_vault" {
		b.checkIdentity(d)
	}
}

// checkLogin checks how the gateway gets into Vault.
func (b *secretsBlock) checkLogin(d *decoder) {
	ways := 0
	for _, given := range []bool{b.Token.given, b.AppRole != nil, b.Kubernetes != nil} {
		if given {
			ways++
		}
	}
	switch {
	case b.kind == "vault" && ways != 1:
		d.mistake(&b.at, "Invalid login", "The gateway logs in to Vault with exactly one of token, approle and kubernetes.")
	case b.kind != "vault" && b.AppRole != nil:
		d.mistake(&b.AppRole.at, "Invalid approle", "This does not go with secrets of the kind %s.", b.kind)
	case b.kind != "vault" && b.Kubernetes != nil:
		d.mistake(&b.Kubernetes.at, "Invalid kubernetes", "This does not go with secrets of the kind %s.", b.kind)
	}
}

// checkIdentity checks who the gateway is in Azure.
func (b *secretsBlock) checkIdentity(d *decoder) {
	var ways []setting
	for _, s := range []setting{b.ClientSecret.setting, b.CertificateFile.setting, b.FederatedTokenFile.setting} {
		if s.given {
			ways = append(ways, s)
		}
	}
	u := b.URL.value
	switch {
	case len(ways) > 1:
		d.mistake(&ways[1].at, "Invalid "+ways[1].name, "There is a %s already; the gateway needs one of them.", ways[0].name)
	case len(ways) == 1 && ways[0].name != "federated_token_file" && (!b.TenantID.given || !b.ClientID.given):
		d.mistake(&ways[0].at, "Invalid "+ways[0].name, "This needs a tenant_id and a client_id as well.")
	case u != nil && u.Scheme != "https":
		d.mistake(&b.URL.at, "Invalid url", "A Key Vault has an https URL such as \"https://contoso.vault.azure.net\".")
	}
}

func (b *appRoleBlock) check(d *decoder) {
	if !b.RoleID.given || !b.SecretID.given {
		d.mistake(&b.at, "Incomplete approle", "The login needs a role_id and a secret_id.")
	}
}

func (b *kubernetesBlock) check(d *decoder) {
	if b.Role.value == "" {
		d.mistake(&b.at, "Missing role", "The login needs the name of a role in Vault.")
	}
}

// checkSecrets checks what only shows when all sources and references are known.
func (b *fileBlock) checkSecrets(d *decoder) {
	kinds, names := map[string]string{}, []string{}
	for i := range b.Secrets {
		s := &b.Secrets[i]
		if kinds[s.label] != "" && kinds[s.label] != s.kind {
			d.mistake(&s.at, "Duplicate secrets", "There are secrets of the kind %s named %q already.", kinds[s.label], s.label)
		}
		kinds[s.label] = s.kind
		names = append(names, s.label)
	}
	for _, u := range d.fetched.uses {
		kind, declared := kinds[u.source]
		if !declared {
			u.in.mistake("There is no secrets block named %q.%s", u.source, cmp.Or(didYouMean(u.source, names),
				fmt.Sprintf(" Declare it: secrets \"file\" %q {", u.source)))
			continue
		}
		if err := checkSecretName(kind, u.name); err != nil {
			u.in.mistake("%q is not the name of a secret in %s: %v.", u.name, u.source, err)
		}
	}
	b.checkCircles(d)
}

func checkSecretName(kind, name string) error {
	switch {
	case name == "" || len(name) > 500 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("it is empty, too long, or has a line break in it")
	case kind == "vault":
		return secrets.CheckVaultName(name)
	case kind == "azure_key_vault":
		return secrets.CheckKeyVaultName(name)
	case kind == "exec" && strings.HasPrefix(name, "-"):
		return fmt.Errorf("the program would take it for an option")
	case kind == "env" && !variableName.MatchString("x"+name):
		return fmt.Errorf("it is not that of an environment variable")
	case kind == "file" && !filepath.IsLocal(name):
		return fmt.Errorf("it leads out of the folder")
	}
	return nil
}

// checkCircles refuses sources that need each other to be asked.
func (b *fileBlock) checkCircles(d *decoder) {
	needs := map[string][]string{}
	for i := range b.Secrets {
		needs[b.Secrets[i].label] = sourcesNeeded(reflect.ValueOf(&b.Secrets[i]).Elem())
	}
	for i := range b.Secrets {
		s := &b.Secrets[i]
		if circle := circleFrom(needs, []string{s.label}); circle != nil {
			d.mistake(&s.at, "Secrets in a circle", "Each needs the next: %s.", strings.Join(circle, " → "))
			return
		}
	}
}

// circleFrom follows a path of sources until it comes back to its beginning; nil
// if it does not.
func circleFrom(needs map[string][]string, path []string) []string {
	for _, next := range needs[path[len(path)-1]] {
		longer := append(slices.Clone(path), next)
		if next == path[0] {
			return longer
		}
		if slices.Contains(path, next) {
			continue
		}
		if circle := circleFrom(needs, longer); circle != nil {
			return circle
		}
	}
	return nil
}

// sourcesNeeded are those that a block refers to.
func sourcesNeeded(v reflect.Value) []string {
	var names []string
	eachRaw(v, func(_ string, raw cty.Value) {
		_, marks := raw.UnmarkDeep()
		for r := range referencesIn(marks) {
			if !slices.Contains(names, r.source) {
				names = append(names, r.source)
			}
		}
	})
	slices.Sort(names)
	return names
}

// eachRaw calls f with every attribute that a block and those in it have.
func eachRaw(v reflect.Value, f func(name string, raw cty.Value)) {
	s := schemaOf(v.Type())
	for _, field := range s.attributes {
		if raw := field.attribute(v).rawValue(); raw != cty.NilVal {
			f(field.name, raw)
		}
	}
	for _, field := range s.blocks {
		for _, child := range field.blocksIn(v) {
			f(field.name, cty.EmptyObjectVal)
			eachRaw(child, f)
		}
	}
}

func (s *setting) rawValue() cty.Value { return s.raw }

// connectSecrets makes the sources. The configuration has no mistakes.
func (d *decoder) connectSecrets(file *fileBlock) {
	for i := range file.Secrets {
		b := &file.Secrets[i]
		d.fetched.sources[b.label] = &secretSource{cache: secrets.NewCache(b.source(d.env), secrets.Options{
			Name: b.label, TTL: b.TTL.value, MaxStale: b.MaxStale.value, Timeout: b.Timeout.value,
		})}
	}
	for i := range file.Secrets {
		d.define(file, &file.Secrets[i])
	}
}

// define says what a source is, after those that it needs.
func (d *decoder) define(file *fileBlock, b *secretsBlock) {
	s := d.fetched.sources[b.label]
	if s.definition != "" {
		return
	}
	v := reflect.ValueOf(b).Elem()
	for _, needed := range sourcesNeeded(v) {
		i := slices.IndexFunc(file.Secrets, func(other secretsBlock) bool { return other.label == needed })
		d.define(file, &file.Secrets[i])
	}
	mac := hmac.New(sha256.New, fingerprintKey)
	fmt.Fprintf(mac, "%q %q", b.kind, b.CAFile.pem)
	d.describe(mac, v)
	s.definition = hex.EncodeToString(mac.Sum(nil))
}

// describe writes all that a block says, with secrets in it.
func (d *decoder) describe(w io.Writer, v reflect.Value) {
	eachRaw(v, func(name string, raw cty.Value) { d.describeOne(w, name, raw) })
}

func (d *decoder) describeOne(w io.Writer, name string, raw cty.Value) {
	bare, _ := raw.UnmarkDeep()
	text, err := ctyjson.Marshal(bare, bare.Type())
	if err != nil {
		text = []byte(bare.GoString()) // it is made of texts, but a reload is no time to panic
	}
	fmt.Fprintf(w, " %s=%q", name, d.fetched.described(string(text)))
}

// described is text with what each secret is in place of its placeholder.
func (rs *references) described(text string) string {
	parts, ok := rs.split(text)
	if !ok {
		return text
	}
	described, _ := rs.fill(parts, func(string) string { return "" })(withoutFetching(context.Background())) // fetches nothing
	return described
}

// source is what the block describes.
func (b *secretsBlock) source(env func(string) (string, bool)) secrets.Source {
	switch b.kind {
	case "env":
		return secrets.Env{Prefix: b.Prefix.value, LookUp: env}
	case "file":
		return secrets.File{Dir: b.Dir.value}
	case "exec":
		return secrets.Exec{Command: b.Command.value, Env: plainFuncs(b.Env.value)}
	case "vault":
		return secrets.NewVault(b.vault())
	}
	return secrets.NewKeyVault(b.keyVault(env))
}

func plainFuncs(secrets map[string]upstream.Secret) map[string]func(context.Context) (string, error) {
	fs := map[string]func(context.Context) (string, error){}
	for name, s := range secrets {
		fs[name] = s
	}
	return fs
}

func (b *secretsBlock) vault() secrets.VaultOptions {
	o := secrets.VaultOptions{
		URL: b.URL.value, Namespace: b.Namespace.value, Mount: cmp.Or(b.Mount.value, "secret"), RootCAs: b.CAFile.pool, Token: b.Token.value,
	}
	if b.AppRole != nil {
		o.AppRole = &secrets.AppRole{Mount: cmp.Or(b.AppRole.Mount.value, "approle"), RoleID: b.AppRole.RoleID.value, SecretID: b.AppRole.SecretID.value}
	}
	if k := b.Kubernetes; k != nil {
		file := cmp.Or(k.TokenFile.value, "/var/run/secrets/kubernetes.io/serviceaccount/token")
		jwt := func(ctx context.Context) (string, error) {
			return secrets.File{Dir: filepath.Dir(file)}.Get(ctx, filepath.Base(file))
		}
		o.Kubernetes = &secrets.Kubernetes{Mount: cmp.Or(k.Mount.value, "kubernetes"), Role: k.Role.value, JWT: jwt}
	}
	return o
}

// keyVault takes from the environment what the webhook for workload identities
// puts there, where the file says nothing else.
func (b *secretsBlock) keyVault(env func(string) (string, bool)) secrets.KeyVaultOptions {
	o := secrets.KeyVaultOptions{
		URL: &url.URL{Scheme: b.URL.value.Scheme, Host: b.URL.value.Host}, Cloud: b.Cloud.value, RootCAs: b.CAFile.pool,
		TenantID: b.TenantID.value, ClientID: b.ClientID.value,
		ClientSecret: b.ClientSecret.value, CertificateFile: b.CertificateFile.value, FederatedTokenFile: b.FederatedTokenFile.value,
	}
	if o.ClientSecret != nil || o.CertificateFile != "" {
		return o
	}
	file, _ := env("AZURE_FEDERATED_TOKEN_FILE")
	if o.FederatedTokenFile = cmp.Or(o.FederatedTokenFile, file); o.FederatedTokenFile != "" {
		tenant, _ := env("AZURE_TENANT_ID")
		client, _ := env("AZURE_CLIENT_ID")
		o.TenantID, o.ClientID = cmp.Or(o.TenantID, tenant), cmp.Or(o.ClientID, client)
	}
	return o
}
