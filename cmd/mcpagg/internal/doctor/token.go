package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

// A Fact is one thing that a token says. Nothing of it is verified if the finding
// is a Problem.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// claims are those that are shown. None of them is a person's name or address.
type claims struct {
	Version    string                     `json:"ver"`
	Issuer     string                     `json:"iss"`
	Audience   texts                      `json:"aud"`
	Tenant     string                     `json:"tid"`
	Object     string                     `json:"oid"`
	Subject    string                     `json:"sub"`
	AZP        string                     `json:"azp"`
	AppID      string                     `json:"appid"`
	ClientID   string                     `json:"client_id"`
	SCP        texts                      `json:"scp"`
	Scope      texts                      `json:"scope"`
	Roles      texts                      `json:"roles"`
	Groups     *texts                     `json:"groups"`
	ClaimNames map[string]json.RawMessage `json:"_claim_names"`
	HasGroups  json.RawMessage            `json:"hasgroups"`
	IDType     string                     `json:"idtyp"`
	IssuedAt   float64                    `json:"iat"`
	Expires    float64                    `json:"exp"`
}

// texts is a list that may be written as one text, and is empty if it is neither.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*t = texts{one}
		return nil
	}
	var all []string
	_ = json.Unmarshal(raw, &all) // something else counts as nothing
	*t = all
	return nil
}

// token looks at a token as the gateway would.
func (x *examination) token(ctx context.Context) []Finding {
	if x.opts.Token == "" {
		return nil
	}
	r := x.signIn.Inspect(ctx, x.opts.Token)
	var c claims
	readable := len(r.Claims) > 0 && json.Unmarshal(r.Claims, &c) == nil
	if readable {
		x.facts = c.facts(r, time.Now())
	}
	if r.Problem == nil {
		return []Finding{x.accepted(r.Caller)}
	}
	f := Finding{Verdict: Problem}
	f.Seen, f.Remedy = split(r.Problem)
	f.Seen = "the gateway refuses it: " + f.Seen
	if readable && c.oldVersion(x.opts.SignIn) {
		f.Remedy = fmt.Sprintf("It is of version 1, whose aud is an App ID URI. Set requestedAccessTokenVersion to 2 in the manifest of the API app, or add %q to audiences.", strings.Join(c.Audience, " "))
	}
	if f.Remedy == "" {
		f.Remedy = "Have the client sign in again, and look at a fresh token."
	}
	return []Finding{f}
}

// accepted says whom the gateway takes a token for.
func (x *examination) accepted(c *oauth.Caller) Finding {
	f := Finding{Verdict: OK, Seen: "the gateway takes it, as " + c.ID}
	switch {
	case c.Groups.Unavailable:
		f.Verdict, f.Remedy = Warning, "Requests of this caller are refused until their groups are known: "+c.Groups.Why+". A graph block lets the gateway ask Microsoft Graph; roles need none."
	case !c.Groups.Complete:
		f.Verdict, f.Remedy = Warning, "Groups of this caller are not known: "+c.Groups.Why+". Have the provider put them into the token, or use roles."
	}
	return f
}

// oldVersion reports whether a token is one of version 1 for an App ID URI that the
// gateway does not know.
func (c *claims) oldVersion(opts oauth.Options) bool {
	if c.Version != "1.0" || entra.IsGraph(c.Audience) || len(c.Audience) == 0 {
		return false
	}
	for _, p := range opts.Providers {
		for _, known := range p.Audiences {
			if p.Entra != nil && strings.EqualFold(known, c.Audience[0]) {
				return false
			}
		}
	}
	return strings.Contains(c.Audience[0], "://")
}

// facts are what a token says, for reading.
func (c *claims) facts(r oauth.Report, now time.Time) []Fact {
	var all []Fact
	add := func(name, value string) {
		if value != "" {
			all = append(all, Fact{name, value})
		}
	}
	add("kind", c.kind())
	add("signed with", fmt.Sprintf("%s, key %.60s", r.Algorithm, r.KeyID))
	add("issuer", c.Issuer)
	add("audience", strings.Join(c.Audience, " "))
	add("tenant", c.Tenant)
	add("subject", c.subject())
	add("client", c.client())
	add("scopes", strings.Join(append(c.SCP, c.Scope...), " "))
	add("roles", strings.Join(c.Roles, " "))
	add("groups", c.groups(r.Caller))
	add("issued", ago(c.IssuedAt, now))
	add("expires", ago(c.Expires, now))
	return all
}

// ofEntra reports whether a token looks like one of Entra's.
func (c *claims) ofEntra() bool { return c.Version != "" && c.Tenant != "" }

func (c *claims) subject() string {
	if c.ofEntra() && c.Object != "" {
		return c.Object
	}
	return c.Subject
}

func (c *claims) client() string {
	for _, id := range []string{c.AZP, c.AppID, c.ClientID} {
		if id != "" {
			return id
		}
	}
	return ""
}

// kind tells Entra's tokens apart by what only one kind has.
func (c *claims) kind() string {
	switch {
	case !c.ofEntra():
		return "JWT"
	case entra.IsGraph(c.Audience):
		return "access token for Microsoft Graph"
	case len(c.SCP) > 0:
		return "access token of version " + c.Version + ", for a person"
	case c.IDType == "app" || c.client() != "" && c.Subject == c.Object:
		return "access token of version " + c.Version + ", of a program without a person"
	case c.client() == "":
		return "ID token"
	}
	return "access token of version " + c.Version + ", without scopes"
}

// groups says how many there are, those of the caller if Graph was asked.
func (c *claims) groups(caller *oauth.Caller) string {
	overage := c.ClaimNames["groups"] != nil || bytes.Contains(c.HasGroups, []byte("true"))
	switch {
	case caller != nil && caller.Groups.Complete:
		return summary(caller.Groups.Names)
	case overage:
		return "too many for the token (overage)"
	case c.Groups == nil:
		return "none listed: the claim is not there"
	}
	return summary(*c.Groups)
}

const mostGroups = 10 // that are listed

func summary(names []string) string {
	switch n := len(names); {
	case n == 0:
		return "0"
	case n > mostGroups:
		return fmt.Sprintf("%d: %s …", n, strings.Join(names[:mostGroups], " "))
	default:
		return fmt.Sprintf("%d: %s", n, strings.Join(names, " "))
	}
}

// latest is the last time that is shown, in seconds: the end of the year 9999.
const latest = 253402300799

// ago is a time, and how far it is from now.
func ago(seconds float64, now time.Time) string {
	if seconds <= 0 || seconds > latest {
		return ""
	}
	at := time.Unix(int64(seconds), 0).UTC()
	d := at.Sub(now).Round(time.Second)
	if d < 0 {
		return fmt.Sprintf("%s, %s ago", at.Format(time.RFC3339), -d)
	}
	return fmt.Sprintf("%s, in %s", at.Format(time.RFC3339), d)
}
