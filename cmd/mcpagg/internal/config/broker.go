package config

import (
	"cmp"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/mcpagg/mcpagg/aggregator"
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

// A State says what keeps what has to outlive the gateway.
type State struct {
	// Store is where; the Log is left out.
	Store store.Options
	// Needed says that there is something to keep as soon as the gateway starts: it
	// has an auth block, tools with labels, or a store block.
	Needed bool
	// Brokers says that who is signed in is kept, too: the gateway signs people in
	// itself.
	Brokers bool
	// RotateEvery is how often the keys are made anew of a gateway that does.
	RotateEvery time.Duration

	looks map[string]string // what each attribute says, by its name
}

// state is what keeps what has to outlive the gateway.
func (d *decoder) state(f *fileBlock, upstreams []aggregator.Upstream) *State {
	var a authBlock
	broker := f.broker()
	if broker != nil {
		a = *broker
	}
	s := &State{
		Store:   store.Options{Dir: f.storeDir(d.env), Memory: a.isEphemeral(), Key: f.Store.Key.value, PreviousKey: f.Store.PreviousKey.value},
		Needed:  len(f.Auth) > 0 || f.Store.at != (hcl.Range{}) || slices.ContainsFunc(upstreams, hasLabels),
		Brokers: broker != nil, RotateEvery: f.Store.RotateKeys.value,
		looks: map[string]string{},
	}
	s.looks["store.dir"] = s.Store.Dir
	for name, v := range map[string]value{
		"store.key": &f.Store.Key, "store.previous_key": &f.Store.PreviousKey,
	} {
		s.looks[name] = d.attributeFingerprint(v)
	}
	return s
}

// hasLabels reports whether a tool of an upstream marks its callers.
func hasLabels(u aggregator.Upstream) bool {
	for _, o := range u.Tools.Overrides {
		if len(o.Labels) > 0 {
			return true
		}
	}
	return false
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
// only after a restart. It is empty if s is nil, which means that nothing is open, and
// if the other one needs nothing kept.
func (s *State) Changed(other *State) []string {
	if s == nil || !other.Needed {
		return nil
	}
	var changed []string
	for _, name := range []string{"store.dir", "store.key", "store.previous_key"} {
		if s.looks[name] != other.looks[name] {
			changed = append(changed, name)
		}
	}
	if s.Brokers && other.Brokers && s.RotateEvery != other.RotateEvery {
		changed = append(changed, "store.rotate_keys")
	}
	if s.Store.Memory != other.Store.Memory {
		changed = append(changed, "auth.ephemeral")
	}
	return changed
}

// BrokeringAs is s, with who is signed in kept as by another configuration.
func (s *State) BrokeringAs(other *State) *State {
	as := *s
	as.Brokers, as.RotateEvery = true, other.RotateEvery
	return &as
}
