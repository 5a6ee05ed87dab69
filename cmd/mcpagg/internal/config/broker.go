package config

import (
	"cmp"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/client"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// Broker is how the gateway signs people in itself, and false if it does not. What
// keeps who is signed in is left out, and so is what pages tell people of their
// tools. The publicURL is as with [Config.SignIn].
func (c *Config) Broker(publicURL *url.URL, log *slog.Logger) (broker.Options, bool) {
	b := c.file.broker()
	if b == nil {
		return broker.Options{}, false
	}
	if publicURL == nil {
		publicURL = c.file.publicURL()
	}
	options := broker.Options{
		PublicURL:  publicURL,
		Provider:   b.label,
		Credential: b.credential(),
		Request:    b.RequestScopes.value,
		Parameters: b.AuthorizeParameters.value,
		Prompt:     b.Prompt.value,
		AccessTTL:  b.AccessTTL.value,
		SessionTTL: b.SessionTTL.value,
		Redirects:  b.Redirects.value,
		Documents:  *b.MetadataDocuments.value,
		Clients:    c.file.fixedClients(),
		Log:        log,
	}
	for _, name := range b.Scopes.value {
		options.Scopes = append(options.Scopes, broker.Scope{Name: name, Text: b.ScopeTexts.value[name]})
	}
	return options, true
}

// credential is the gateway's own at the provider.
func (b *authBlock) credential() client.Credential {
	return client.Credential{
		ClientID:           b.ClientID.value,
		Secret:             b.ClientSecret.value,
		CertificateFile:    b.CertificateFile.value,
		FederatedTokenFile: b.FederatedTokenFile.value,
	}
}

// fixedClients are the programs that need not register.
func (f *fileBlock) fixedClients() []broker.Client {
	var clients []broker.Client
	for i := range f.Apps {
		a := &f.Apps[i]
		if !a.Redirects.given {
			continue // its name is known by its id alone
		}
		clients = append(clients, broker.Client{ID: a.ClientID.value, Name: cmp.Or(a.Name.value, a.label), Redirects: a.Redirects.value})
	}
	return clients
}

// A State says what keeps who is signed in.
type State struct {
	// Store is where; the Log is left out.
	Store store.Options
	// RotateEvery is how often the keys are made anew.
	RotateEvery time.Duration

	looks map[string]string // what each attribute says, by its name
}

// state is what keeps who is signed in, or nil if the gateway does not sign people
// in itself.
func (d *decoder) state(f *fileBlock) *State {
	a := f.broker()
	if a == nil {
		return nil
	}
	s := &State{RotateEvery: f.Store.RotateKeys.value, looks: map[string]string{}}
	s.Store = store.Options{Dir: f.storeDir(d.env), Memory: a.isEphemeral(), Key: f.Store.Key.value, PreviousKey: f.Store.PreviousKey.value}
	s.looks["store.dir"] = s.Store.Dir
	for name, v := range map[string]value{
		"store.key": &f.Store.Key, "store.previous_key": &f.Store.PreviousKey, "store.rotate_keys": &f.Store.RotateKeys,
		"auth.ephemeral": &a.Ephemeral,
	} {
		s.looks[name] = d.attributeFingerprint(v)
	}
	return s
}

// storeDir is the folder of what is kept, or "" if there is no place for one.
func (f *fileBlock) storeDir(env func(string) (string, bool)) string {
	if f.Store.Dir.value != "" {
		return f.Store.Dir.value
	}
	socket := DefaultSocket(env)
	if socket == "" {
		return ""
	}
	return filepath.Dir(filepath.Dir(socket))
}

// Changed lists the attributes in which another configuration differs, which shows
// only after a restart. It is empty if either is nil: there is nothing open yet,
// or no more need of it.
func (s *State) Changed(other *State) []string {
	if s == nil || other == nil {
		return nil
	}
	var changed []string
	for _, name := range []string{"store.dir", "store.key", "store.previous_key", "store.rotate_keys", "auth.ephemeral"} {
		if s.looks[name] != other.looks[name] {
			changed = append(changed, name)
		}
	}
	return changed
}
