package doctor

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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
// What has an unusual type counts as absent: providers give the same name to
// different things.
type claims struct {
	Version    text                               `json:"ver"`
	Issuer     text                               `json:"iss"`
	Audience   texts                              `json:"aud"`
	Tenant     text                               `json:"tid"`
	Object     text                               `json:"oid"`
	Subject    text                               `json:"sub"`
	AZP        text                               `json:"azp"`
	AppID      text                               `json:"appid"`
	ClientID   text                               `json:"client_id"`
	OktaID     text                               `json:"cid"`
	SCP        texts                              `json:"scp"`
	Scope      texts                              `json:"scope"`
	Roles      texts                              `json:"roles"`
	Groups     *texts                             `json:"groups"`
	ClaimNames lenient[map[string]jsontext.Value] `json:"_claim_names"`
	HasGroups  jsontext.Value                     `json:"hasgroups"`
	IDType     text                               `json:"idtyp"`
	IssuedAt   lenient[float64]                   `json:"iat"`
	Expires    lenient[float64]                   `json:"exp"`
}

// A lenient value is zero where there is something else.
type lenient[T any] struct{ value T }

// UnmarshalJSON implements [json.Unmarshaler].
func (l *lenient[T]) UnmarshalJSON(raw []byte) error {
	var v T
	if json.Unmarshal(raw, &v) == nil {
		l.value = v
	}
	return nil
}

// A text is empty where there is something else.
type text string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *text) UnmarshalJSON(raw []byte) error {
	var v lenient[string]
	_ = v.UnmarshalJSON(raw) // which does not fail
	*t = text(v.value)
	return nil
}

// texts is a list that may be written as one text, and is empty if it is neither.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(raw []byte) error {
	if one := text(""); one.UnmarshalJSON(raw) == nil && one != "" {
		*t = texts{string(one)}
		return nil
	}
	var all lenient[[]string]
	_ = all.UnmarshalJSON(raw) // which does not fail
	*t = all.value
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
	if readable && x.opts.Broker != nil && string(c.Issuer) == x.publicURL("") {
		if end := c.Expires.value; end > 0 && end <= float64(time.Now().Unix()) {
			return []Finding{{
				Verdict: Problem, Seen: "it is one of the gateway's own, and has expired",
				Remedy: "Clients renew theirs by themselves. Look at the one that the client sends now.",
			}}
		}
		return []Finding{{
			Verdict: Warning, Seen: "it is one of the gateway's own, and only the gateway that runs can tell whether it counts",
			Remedy: "See whether its session is there: mcpagg sessions.",
		}}
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
	if c.Version != "1.0" || entra.Clouds["global"].IsGraph(c.Audience...) || len(c.Audience) == 0 {
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
	add("issuer", string(c.Issuer))
	add("audience", strings.Join(c.Audience, " "))
	add("tenant", string(c.Tenant))
	add("subject", c.subject())
	add("client", c.client())
	add("scopes", strings.Join(append(c.SCP, c.Scope...), " "))
	add("roles", strings.Join(c.Roles, " "))
	add("groups", c.groups(r.Caller))
	add("issued", ago(c.IssuedAt.value, now))
	add("expires", ago(c.Expires.value, now))
	return all
}

// ofEntra reports whether a token looks like one of Entra's.
func (c *claims) ofEntra() bool { return c.Version != "" && c.Tenant != "" }

func (c *claims) subject() string {
	if c.ofEntra() && c.Object != "" {
		return string(c.Object)
	}
	return string(c.Subject)
}

func (c *claims) client() string {
	for _, id := range []text{c.AZP, c.AppID, c.ClientID, c.OktaID} {
		if id != "" {
			return string(id)
		}
	}
	return ""
}

// kind tells Entra's tokens apart by what only one kind has.
func (c *claims) kind() string {
	switch {
	case !c.ofEntra():
		return "JWT"
	case entra.Clouds["global"].IsGraph(c.Audience...):
		return "access token for Microsoft Graph"
	case len(c.SCP) > 0:
		return "access token of version " + string(c.Version) + ", for a person"
	case c.IDType == "app" || c.client() != "" && c.Subject == c.Object:
		return "access token of version " + string(c.Version) + ", of a program without a person"
	case c.client() == "":
		return "ID token"
	}
	return "access token of version " + string(c.Version) + ", without scopes"
}

// groups says how many there are, those of the caller if Graph was asked.
func (c *claims) groups(caller *oauth.Caller) string {
	overage := c.ClaimNames.value["groups"] != nil || bytes.Contains(c.HasGroups, []byte("true"))
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
	if d <= 0 {
		return fmt.Sprintf("%s, %s ago", at.Format(time.RFC3339), -d)
	}
	return fmt.Sprintf("%s, in %s", at.Format(time.RFC3339), d)
}
