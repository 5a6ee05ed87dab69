package doctor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

// configuration says how people are to sign in.
func (x *examination) configuration(context.Context) []Finding {
	var findings []Finding
	for i, p := range x.opts.SignIn.Providers {
		mode := "resource-server"
		switch {
		case i == 0 && x.opts.Broker != nil:
			findings = append(findings, x.brokered(p)...)
			continue
		case i == 0 && x.opts.SignIn.Facade != nil:
			mode = "entra-compat"
		}
		findings = append(findings, Finding{Verdict: OK, Seen: fmt.Sprintf("%s: %s, for tokens of %s for %s", p.Name, mode, issuerOf(p), strings.Join(p.Audiences, " or "))})
	}
	for _, w := range x.opts.Warnings {
		findings = append(findings, Finding{Verdict: Warning, Seen: w})
	}
	return findings
}

// brokered says how people sign in at the gateway, and what the provider has to know
// of it.
func (x *examination) brokered(p oauth.Provider) []Finding {
	platform := ""
	if p.Entra != nil {
		platform = ", on the platform Web"
	}
	return []Finding{
		{Verdict: OK, Seen: fmt.Sprintf("%s: broker, with people of %s", p.Name, issuerOf(p))},
		{Verdict: OK, Seen: fmt.Sprintf("%s: the client %s there has to have the redirect URI %s%s", p.Name, x.opts.Broker.Credential.ClientID, x.callback(), platform)},
	}
}

// issuerOf is what a provider's metadata has as its issuer.
func issuerOf(p oauth.Provider) string {
	if p.Entra == nil {
		return p.Issuer
	}
	return p.Entra.Cloud.IssuerV2(p.Entra.Tenant)
}

// metadataURL is where a provider's metadata is. That of Entra for several tenants
// has a placeholder in its issuer, and is found by the word for them.
func metadataURL(p oauth.Provider) string {
	return strings.TrimSuffix(issuerOf(p), "/") + "/.well-known/openid-configuration"
}

// reach is what helps against most failures on the way to somebody.
const reach = "See whether this machine gets there: its name service, HTTPS_PROXY, a firewall, the certificates that it trusts."

// metadata says whether each provider's metadata and keys could be fetched, and
// are those of the issuer.
func (x *examination) metadata(context.Context) []Finding {
	var findings []Finding
	for i, s := range x.signIn.Status() {
		p := x.opts.SignIn.Providers[i]
		switch {
		case !s.Tried:
			findings = append(findings, Finding{Verdict: Problem, Seen: fmt.Sprintf("%s did not answer within %s", metadataURL(p), keysTimeout), Remedy: reach})
		case s.Error != nil:
			findings = append(findings, x.failed(p, s.Error))
		default:
			findings = append(findings, Finding{Verdict: OK, Seen: fmt.Sprintf("%s: the issuer is %s, as configured", p.Name, s.Issuer)})
		}
	}
	return findings
}

// failed says why metadata or keys could not be fetched.
func (x *examination) failed(p oauth.Provider, err error) Finding {
	f := Finding{Verdict: Problem}
	f.Seen, f.Remedy = split(err)
	if a, ok := x.observed.at(metadataURL(p)); ok && a.status != 200 {
		if code, ok := explain(entra.CodesIn(string(a.body))); ok {
			f.Seen += " (" + code.Name() + ")"
			f.Remedy = code.Meaning + " " + code.Remedy
		}
	}
	if f.Remedy == "" {
		f.Remedy = reach
	}
	return f
}

// why is an error without the URL that it is about.
func why(err error) error {
	if about := (*url.Error)(nil); errors.As(err, &about) {
		return about.Err
	}
	return err
}

// split takes an error apart: what is the case, and what to do about it.
func split(err error) (seen, remedy string) {
	seen, remedy, found := cutLast(err.Error(), "; ")
	if !found || remedy == "" {
		return seen, ""
	}
	if word, _, _ := strings.Cut(remedy, " "); !strings.Contains(word, "_") { // which is the name of an attribute
		remedy = strings.ToUpper(remedy[:1]) + remedy[1:]
	}
	return seen, remedy + "."
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// explain is the first code of Entra that can be explained.
func explain(numbers []int) (entra.Code, bool) {
	for _, n := range numbers {
		if c, ok := entra.Explain(n); ok {
			return c, true
		}
	}
	return entra.Code{}, false
}

// keys says which keys each provider signs with.
func (x *examination) keys(context.Context) []Finding {
	var findings []Finding
	for i, s := range x.signIn.Status() {
		if s.Keys == 0 {
			continue // which metadata tells
		}
		p := x.opts.SignIn.Providers[i]
		published := x.published(p)
		f := Finding{Verdict: OK, Seen: fmt.Sprintf("%s: %s", p.Name, strings.Join(published, ", "))}
		if unusable := len(published) - s.Keys; unusable > 0 {
			f.Verdict = Warning
			f.Seen += fmt.Sprintf("; %d of them cannot be used", unusable)
			f.Remedy = "Tokens that are signed with a key that is weak (RSA below 2048 bits), of an unknown kind or without an id are refused. Replace it at the provider."
		}
		findings = append(findings, f)
	}
	return findings
}

const mostKeys = 12 // that are listed

// published are the keys of a provider in words.
func (x *examination) published(p oauth.Provider) []string {
	var metadata struct {
		KeysURL string `json:"jwks_uri"`
	}
	var set struct {
		Keys []publicKey `json:"keys"`
	}
	if a, ok := x.observed.at(metadataURL(p)); !ok || json.Unmarshal(a.body, &metadata) != nil {
		return nil
	}
	if a, ok := x.observed.at(metadata.KeysURL); !ok || json.Unmarshal(a.body, &set) != nil {
		return nil
	}
	var all []string
	for _, k := range set.Keys {
		all = append(all, k.String())
	}
	if len(all) > mostKeys {
		all = append(all[:mostKeys], fmt.Sprintf("and %d more", len(set.Keys)-mostKeys))
	}
	return all
}

// A publicKey is a key as providers publish it (RFC 7517).
type publicKey struct {
	Type    string `json:"kty"`
	ID      string `json:"kid"`
	Curve   string `json:"crv"`
	Modulus string `json:"n"`
}

func (k publicKey) String() string {
	kind := strings.TrimSpace(k.Type + " " + k.Curve)
	if n, err := base64.RawURLEncoding.DecodeString(k.Modulus); err == nil && len(n) > 0 {
		kind = fmt.Sprintf("RSA %d", 8*len(n))
	}
	return fmt.Sprintf("%.60s (%s)", k.ID, kind)
}

// registration says how clients become known: to the gateway, or to a provider that
// they go to themselves.
func (x *examination) registration(context.Context) []Finding {
	switch {
	case x.opts.Broker != nil && x.opts.Broker.Documents:
		return []Finding{{Verdict: OK, Seen: "clients register by themselves, or by the URL of a document, which the gateway fetches from the internet"}}
	case x.opts.Broker != nil:
		return []Finding{{Verdict: OK, Seen: "clients register by themselves"}}
	case x.opts.SignIn.Facade != nil:
		return nil
	}
	p := x.opts.SignIn.Providers[0]
	var m struct {
		Registration string   `json:"registration_endpoint"`
		Challenges   []string `json:"code_challenge_methods_supported"`
	}
	a, ok := x.observed.at(metadataURL(p))
	if !ok || json.Unmarshal(a.body, &m) != nil || x.signIn.Status()[0].Error != nil {
		return nil
	}
	findings := []Finding{{Verdict: OK, Seen: p.Name + " registers clients by itself"}}
	if m.Registration == "" {
		findings[0].Seen = p.Name + " registers no clients: each needs the client id of an app that somebody has registered, see docs/clients.md"
	}
	if !slices.Contains(m.Challenges, "S256") {
		findings = append(findings, Finding{
			Verdict: Warning, Seen: p.Name + "'s metadata does not mention PKCE with S256 (code_challenge_methods_supported)",
			Remedy: "Clients that follow the specification to the letter do not sign in there. With Entra, mode = \"entra-compat\" is for them.",
		})
	}
	return findings
}

// closeEnough is how far clocks are apart for reasons that nobody minds: the
// header has whole seconds.
const closeEnough = 5 * time.Second

// clock compares this machine's clock with those of the providers.
func (x *examination) clock(context.Context) []Finding {
	var findings []Finding
	for _, p := range x.opts.SignIn.Providers {
		a, ok := x.observed.at(metadataURL(p))
		if !ok || a.date.IsZero() {
			continue
		}
		ahead := a.at.Sub(a.date)
		f := Finding{Verdict: OK, Seen: fmt.Sprintf("within %s of %s's", closeEnough, p.Name)}
		skew := p.Skew
		if skew == 0 {
			skew = time.Minute
		}
		if ahead.Abs() > closeEnough {
			f = Finding{Verdict: Warning, Seen: difference(ahead, p.Name), Remedy: "Have this machine's clock set by NTP."}
		}
		if ahead.Abs() > skew {
			f.Verdict = Problem
			f.Remedy += fmt.Sprintf(" Beyond %s (clock_skew), new tokens are refused, or expired ones taken.", skew)
		}
		findings = append(findings, f)
	}
	return findings
}

func difference(ahead time.Duration, name string) string {
	ahead = ahead.Round(closeEnough)
	if ahead < 0 {
		return fmt.Sprintf("this machine's clock is about %s behind %s's", -ahead, name)
	}
	return fmt.Sprintf("this machine's clock is about %s ahead of %s's", ahead, name)
}
