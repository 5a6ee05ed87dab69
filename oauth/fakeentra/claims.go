package fakeentra

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A subject is whom a token is about, and for whom it is.
type subject struct {
	user   *User // nil for a program that nobody is behind
	client *App
	api    *App     // the resource of an access token
	aud    string   // as v1 tokens have it: the identifier that was asked for
	scopes []string // short
	tenant string
	// proof is how the client authenticated: "0" not at all, "1" with a secret, "2"
	// with a certificate or an assertion.
	proof    string
	session  session
	nonce    string
	contexts contexts
	groups   []string // of the person, all
}

// issuedBefore is how far in the past Entra dates its tokens.
const issuedBefore = 5 * time.Minute

type claims = map[string]any

// accessClaims are those of an access token for an API, in the version that the
// API's manifest asks for.
func (s *Server) accessClaims(sub subject, version int, now time.Time, lifetime time.Duration, sw Switches) claims {
	c := s.commonClaims(sub, now, lifetime)
	c["sub"] = sub.pairwise(sub.api.ClientID)
	if version == 2 {
		c["iss"], c["aud"], c["ver"] = s.Issuer(sub.tenant), sub.api.ClientID, "2.0"
		c["azp"], c["azpacr"] = sub.client.ClientID, sub.proof
	} else {
		c["iss"], c["aud"], c["ver"] = s.IssuerV1(sub.tenant), sub.aud, "1.0"
		c["appid"], c["appidacr"] = sub.client.ClientID, sub.proof
	}
	if sub.user == nil {
		s.programClaims(c, sub, version)
		return c
	}
	c["scp"] = strings.Join(sub.scopes, " ")
	s.personClaims(c, sub, version)
	c["xms_ftd"], c["xms_idrel"] = noise(16), "1 2"
	addStrings(c, "acrs", sub.contexts.access)
	addStrings(c, "roles", sub.user.Roles[sub.api.ClientID])
	if sub.api.AccessTokenGroups {
		addGroups(c, sub, sw)
	}
	if sub.api.graph {
		c["app_displayname"], c["idtyp"], c["xms_tcdt"] = sub.client.Name, "user", now.Unix()
		c["wids"] = []string{"b79fbf4d-3ef9-4689-8143-76b194e85509"}
	}
	addOptional(c, sub, sub.api.OptionalClaims)
	return c
}

// idClaims are those of an ID token, which has version 2 and neither scp nor azp.
func (s *Server) idClaims(sub subject, now time.Time, lifetime time.Duration, sw Switches) claims {
	c := s.commonClaims(sub, now, lifetime)
	c["iss"], c["aud"], c["ver"] = s.Issuer(sub.tenant), sub.client.ClientID, "2.0"
	c["sub"] = sub.pairwise(sub.client.ClientID)
	s.personClaims(c, sub, 2)
	delete(c, "ipaddr")
	if sub.nonce != "" {
		c["nonce"] = sub.nonce
	}
	addStrings(c, "acrs", sub.contexts.id)
	addStrings(c, "roles", sub.user.Roles[sub.client.ClientID])
	if sub.client.IDTokenGroups {
		addGroups(c, sub, sw)
	}
	addOptional(c, sub, sub.client.OptionalClaims)
	return c
}

// commonClaims are in every token.
func (s *Server) commonClaims(sub subject, now time.Time, lifetime time.Duration) claims {
	return claims{
		"iat": now.Add(-issuedBefore).Unix(), "nbf": now.Add(-issuedBefore).Unix(), "exp": now.Add(lifetime).Unix(),
		"tid": sub.tenant, "uti": noise(16), "rh": "1." + noise(24), "aio": noise(48),
	}
}

// personClaims say who somebody is and how they signed in.
func (s *Server) personClaims(c claims, sub subject, version int) {
	u := sub.user
	c["oid"], c["name"] = u.ID, u.DisplayName
	if sub.session.id != "" {
		c["sid"] = sub.session.id
	}
	if u.IsGuest() {
		c["idp"] = s.IssuerV1(u.HomeTenant)
	}
	if version == 2 {
		c["preferred_username"] = u.Name
		return
	}
	given, family, _ := strings.Cut(u.DisplayName, " ")
	c["upn"], c["unique_name"], c["given_name"], c["ipaddr"], c["acr"] = u.Name, u.Name, given, "127.0.0.1", "1"
	if family != "" {
		c["family_name"] = family
	}
	c["amr"] = []string{"pwd"}
	if sub.session.mfa {
		c["amr"] = []string{"pwd", "mfa"}
	}
}

// programClaims say which program it is, by its service principal.
func (s *Server) programClaims(c claims, sub subject, version int) {
	principal := servicePrincipal(sub.tenant, sub.client.ClientID)
	c["oid"], c["sub"] = principal, principal
	addStrings(c, "roles", sub.client.Roles[sub.api.ClientID])
	if version == 1 {
		c["idp"] = s.IssuerV1(sub.tenant)
	}
	if sub.api.graph {
		c["app_displayname"], c["idtyp"] = sub.client.Name, "app"
	}
	addOptional(c, sub, sub.api.OptionalClaims)
}

// servicePrincipal is the object id of an app in a tenant.
func servicePrincipal(tenant, clientID string) string {
	return id("service principal", tenant+"/"+clientID)
}

// pairwise is sub, which is another one for each app.
func (sub subject) pairwise(app string) string {
	who := sub.client.ClientID
	if sub.user != nil {
		who = sub.user.ID
	}
	sum := sha256.Sum256([]byte(sub.tenant + "|" + who + "|" + app))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// addGroups adds the person's groups, or says that there are too many to list.
func addGroups(c claims, sub subject, sw Switches) {
	switch {
	case len(sub.groups) <= sw.overageAt():
		addStrings(c, "groups", sub.groups)
	case sw.HasGroups:
		c["hasgroups"] = true
	default:
		c["_claim_names"] = map[string]string{"groups": "src1"}
		c["_claim_sources"] = map[string]any{"src1": map[string]string{
			"endpoint": fmt.Sprintf("https://graph.windows.net/%s/users/%s/getMemberObjects", sub.tenant, sub.user.ID),
		}}
	}
}

// addOptional adds the optional claims of a manifest.
func addOptional(c claims, sub subject, names []string) {
	for _, name := range names {
		switch {
		case name == "idtyp" && sub.user == nil:
			c["idtyp"] = "app"
		case name == "idtyp":
			c["idtyp"] = "user"
		case name == "acct" && sub.user != nil:
			c["acct"] = 0
			if sub.user.IsGuest() {
				c["acct"] = 1
			}
		case name == "email" && sub.user != nil:
			c["email"] = sub.user.Name
		}
	}
}

// addStrings adds a list that is not empty, sorted.
func addStrings(c claims, name string, values []string) {
	if len(values) > 0 {
		c[name] = slices.Sorted(slices.Values(values))
	}
}

// noise is a value that only Entra can read.
func noise(bytes int) string { return newSecret("")[:min(43, bytes*4/3)] }
