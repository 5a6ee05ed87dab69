package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// errScope means that a token is right but lacks a scope.
var errScope = errors.New("it lacks the scope")

// withheldRetry is for how long groups that could not be had are not asked for
// again.
const withheldRetry = 5 * time.Second

// caller makes a caller of a verified token, and says until when that counts.
func (s *SignIn) caller(ctx context.Context, v *verified) (*Caller, time.Time, error) {
	p, c := v.issuer.provider, v.identity()
	if err := p.checkKind(v, c); err != nil {
		return nil, time.Time{}, err
	}
	if err := p.checkClient(v, c); err != nil {
		return nil, time.Time{}, err
	}
	if err := p.checkScopes(c); err != nil {
		return nil, time.Time{}, err
	}
	kind := "User"
	if c.Workload {
		kind = "Workload"
	}
	if c.ID = principal(kind, c); c.ID == "" {
		return nil, time.Time{}, errors.New("its subject (sub) is empty, too long or not printable")
	}
	c.Client.Alias = s.opts.ClientAliases[c.Client.ID]
	until := earlier(c.Expires, time.Now().Add(maxUnseen))
	var counts time.Time
	c.Groups, counts = s.groups(ctx, v, c)
	return c, earlier(until, counts), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// identity is what a token says of its caller without any doubt.
func (v *verified) identity() *Caller {
	t := &v.claims
	c := &Caller{
		Provider: v.issuer.provider.Name, Issuer: t.Issuer, Subject: t.Subject, Tenant: v.issuer.tenant,
		Name:         string(first(t.Name, t.Username, t.Unique, t.Email)),
		Scopes:       sorted(slices.Concat(t.Scope.words(), t.SCP.words())),
		Client:       Client{ID: first(t.AZP, t.ClientID, string(t.OktaID))},
		AuthContexts: sorted(t.ACRs), AuthMethods: sorted(t.AMR),
		Expires: t.Expires.Add(v.issuer.provider.Skew),
		Claims:  slices.Clone([]byte(v.payload)),
	}
	if t.AuthTime != nil {
		c.AuthTime = t.AuthTime.Time
	}
	if v.issuer.tenant == "" {
		c.Roles = sorted(list(v.payload, v.issuer.provider.RolesClaim, "roles"))
		if t.ACR != "" {
			c.AuthContexts = sorted(append(c.AuthContexts, string(t.ACR)))
		}
		return c
	}
	c.Subject, c.Roles, c.Guest = t.ObjectID, sorted(t.Roles), t.guest()
	c.Scopes = sorted(t.SCP.words())
	if c.Client.ID = t.AZP; v.issuer.version == "1.0" {
		c.Client.ID = t.AppID
	}
	return c
}

func first[T ~string](texts ...T) T {
	i := slices.IndexFunc(texts, func(s T) bool { return s != "" })
	if i < 0 {
		return ""
	}
	return texts[i]
}

// sorted is a copy without what is there twice.
func sorted(texts []string) []string { return slices.Compact(slices.Sorted(slices.Values(texts))) }

// subject is what tells a caller from all others, or "" if the token's own subject
// cannot do that.
func (c *Caller) subject() string {
	if c.Subject == "" || len(c.Subject) > 255 || strings.ContainsFunc(c.Subject, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	if c.Tenant == "" {
		return c.Issuer + "#" + c.Subject
	}
	return c.Tenant + "/" + c.Subject
}

// principal is the identifier of a caller as policies write it, or "" if there can
// be none.
func principal(kind string, c *Caller) string {
	id := c.subject()
	if id == "" {
		return ""
	}
	return kind + `::"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(id) + `"`
}

// guest reports whether a person of Entra is at home elsewhere: acct says so, or
// the identity provider is not the tenant itself.
func (t *claims) guest() bool {
	return string(t.Account) == "1" || string(t.Account) == `"1"` || t.IDP != "" && !strings.Contains(t.IDP, t.Tenant)
}

// checkKind makes sure that a token is of the kind that is expected, and says
// whether it is a program's.
func (p *provider) checkKind(v *verified, c *Caller) error {
	if v.issuer.tenant != "" {
		return p.checkEntraKind(&v.claims, c)
	}
	t := &v.claims
	use := strings.ToLower(string(first(t.Use, t.Type)))
	access := strings.HasSuffix(strings.ToLower(v.header.Type), "at+jwt")
	idToken := !access && (use == "id" || t.AtHash != nil || t.CHash != nil || t.Nonce != nil && len(c.Scopes) == 0)
	switch {
	case t.Events != nil || slices.Contains([]string{"refresh", "offline", "logout"}, use):
		return errors.New("it is not an access token")
	case idToken && !p.IDTokens:
		return errors.New("it is an ID token, and the gateway takes access tokens; the client must send the access token")
	}
	c.Workload = t.program(c.Client.ID)
	if c.Workload && !p.AllowAppTokens {
		return errors.New("it is a program's own token, which nobody signed in for; allow_app_tokens = true would admit it")
	}
	return nil
}

// program reports whether a token is the client's own: it is its subject, or, at
// Keycloak, the user that the client has. People may choose such a name as well,
// but only the client's own tokens have its id twice.
func (t *claims) program(client string) bool {
	own := t.ClientID == client && strings.EqualFold(string(t.Username), "service-account-"+client)
	return client != "" && (own || t.Subject == client || t.Subject == client+"@clients")
}

// checkEntraKind tells the tokens of Entra apart: only an access token for a
// person has scopes, only an access token says which client it was issued to,
// and the subject of a program's token is the program itself.
func (p *provider) checkEntraKind(t *claims, c *Caller) error {
	program := t.IDType == "app" || t.IDType == "" && len(c.Scopes) == 0 && c.Client.ID != "" && t.Subject == t.ObjectID
	idToken := len(c.Scopes) == 0 && c.Client.ID == "" && t.IDType == ""
	switch {
	case program && !p.AllowAppTokens:
		return errors.New("it is a program's own token, which nobody signed in for; allow_app_tokens = true would admit it")
	case program && len(c.Roles) == 0:
		return errors.New("it is a program's own token without any app role; assign an app role of the API to the program")
	case program:
		c.Workload = true
	case t.IDType != "" && t.IDType != "user":
		return fmt.Errorf("it is a token for a %.20q (idtyp), not for a person or program", t.IDType)
	case idToken && !p.IDTokens:
		return errors.New("it is an ID token (it has no scp), and the gateway takes access tokens; the client must ask for a scope of the API and send the access token")
	case !idToken && p.IDTokens:
		return errors.New(`it is an access token, and the gateway is told to take ID tokens (token = "id_token")`)
	case !idToken && len(c.Scopes) == 0:
		return errors.New("it has no scope (scp); the client must ask for a scope of the API")
	case idToken:
		c.Client.ID = first(t.Audience...)
	}
	return nil
}

// checkClient makes sure that the client is one of those that may use the gateway,
// by whichever claim the token has it.
func (p *provider) checkClient(v *verified, c *Caller) error {
	if len(p.Clients) == 0 {
		return nil
	}
	ids := []string{c.Client.ID}
	if p.Entra == nil && v.claims.ClientID != "" {
		ids = append(ids, v.claims.ClientID)
	}
	for _, id := range ids {
		if !slices.Contains(p.Clients, id) {
			return fmt.Errorf("the client %.100q that it was issued to is not one of allowed_clients", id)
		}
	}
	return nil
}

// checkScopes makes sure that a token has every scope. With Entra, a program has
// roles instead, and an ID token says nothing of either.
func (p *provider) checkScopes(c *Caller) error {
	if p.IDTokens || p.Entra != nil && c.Workload {
		return nil
	}
	for _, scope := range p.Scopes {
		if !slices.Contains(c.Scopes, scope.Name) {
			return fmt.Errorf("%w %q; the client must ask for it, and the provider must grant it", errScope, scope.Name)
		}
	}
	return nil
}

// groups are those of a caller, and until when they count.
func (s *SignIn) groups(ctx context.Context, v *verified, c *Caller) (Groups, time.Time) {
	p := v.issuer.provider
	told, counts := v.toldGroups(c.Expires)
	if c.Workload || !p.asksGraph() || told.Complete && time.Now().Before(counts) {
		return s.named(told, p), counts
	}
	ids, until, err := p.Entra.Graph.Groups(ctx, c.Tenant, c.Subject)
	if err != nil {
		s.log.Warn("the groups of a caller could not be asked for", "caller", c.ID, "err", err)
		return Groups{Why: "Microsoft Graph could not be asked for them", Unavailable: true}, time.Now().Add(withheldRetry)
	}
	return s.named(Groups{IDs: ids, Complete: true}, p), until
}

// toldGroups are the groups in a token, and until when they count.
func (v *verified) toldGroups(end time.Time) (Groups, time.Time) {
	p := v.issuer.provider
	if p.Entra != nil && v.claims.overage() {
		return Groups{Why: "they are too many for the token", Unavailable: true}, end
	}
	if p.asksGraph() && v.claims.IssuedAt != nil {
		maxAge := p.Entra.GroupsMaxAge
		if maxAge == 0 {
			maxAge = 5 * time.Minute
		}
		end = earlier(end, v.claims.IssuedAt.Add(maxAge))
	}
	claim := first(p.GroupsClaim, "groups")
	ids, ok := listAt(v.payload, claim)
	if !ok {
		return Groups{Why: fmt.Sprintf("the token has no claim %q that is a list", claim)}, end
	}
	return Groups{IDs: sorted(ids), Complete: true}, end
}

// overage reports whether Entra left the groups out because they are too many.
func (t *claims) overage() bool {
	return t.ClaimNames["groups"] != nil || string(t.HasGroups) == "true" || string(t.HasGroups) == `"true"`
}

// named adds the names to groups, and the aliases that are not known.
func (s *SignIn) named(g Groups, p *provider) Groups {
	for _, id := range g.IDs {
		g.Names = append(g.Names, first(s.opts.GroupAliases[id], id))
	}
	g.Unresolved = s.unresolvedAliases(p)
	return g
}

// list is the claim with a name, or by its usual name, as a list of texts.
func list(payload jsontext.Value, name, usual string) []string {
	texts, _ := listAt(payload, first(name, usual))
	return texts
}

// listAt reads a claim that is a list of texts. Where no claim has the whole
// name, its dots lead into objects, as in realm_access.roles.
func listAt(payload jsontext.Value, name string) ([]string, bool) {
	var members map[string]jsontext.Value
	if json.Unmarshal(payload, &members) != nil {
		return nil, false
	}
	if value, ok := members[name]; ok {
		var texts []string
		err := json.Unmarshal(value, &texts)
		return texts, err == nil && value.Kind() == '['
	}
	outer, inner, ok := strings.Cut(name, ".")
	if !ok || members[outer] == nil {
		return nil, false
	}
	return listAt(members[outer], inner)
}
