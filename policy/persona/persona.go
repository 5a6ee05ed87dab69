// Package persona holds callers that are made up: who tests of policies call as, and
// who reports about policies are for.
//
//	persona "dev" {
//	  groups = ["platform"]
//	  mfa    = true
//	}
//
// [Read] reads them, [Atoms] makes those that policies speak of. A Persona becomes a
// caller, as the gateway would make one of a token, by [Persona.Principal].
package persona

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/policy"
)

// A Persona is a made-up caller. It must not be changed once it is in use.
type Persona struct {
	Name string
	// ID is as policies name it, User::"<id>" or Workload::"<id>"; "" for the name. What
	// is behind the last / or # in it is the subject.
	ID string
	// DisplayName is principal.name, "" for the persona's name.
	DisplayName string
	Email       string // "" for none
	// Tenant is the directory, "" for what is before the / of the ID, if there is one.
	Tenant string
	Guest  bool
	// Workload is a program that nobody is behind.
	Workload bool

	// Groups are aliases or ids. Ids are the directory's own for aliases among them; see
	// [Persona.Resolve].
	Groups, GroupIDs []string
	// GroupsUnknown says that nobody knows in which groups it is.
	GroupsUnknown bool
	Roles, Scopes []string
	// App is the alias or the client id of the client, "" for one that is not known.
	App string
	// Claims are of the token, beyond those that follow from the other fields.
	Claims map[string]any

	MFA  bool
	ACRs []string // authentication contexts, such as c1
	// AuthAge is how long ago the person signed in; nil if the token does not say.
	AuthAge *time.Duration
	// IP is where requests come from; the zero value if it is not said.
	IP netip.Addr

	// File and Line say where it is written, "" and 0 for nowhere.
	File string
	Line int
}

// Principal is the persona as policies see it, but for its [policy.Auth], which depends
// on the time. Make one and keep it: an engine remembers what it finds out of it.
func (p *Persona) Principal() *policy.Principal {
	why := ""
	if p.GroupsUnknown {
		why = "the persona " + p.Name + " has groups_known = false"
	}
	return &policy.Principal{
		ID: p.id(), Workload: p.Workload, Subject: p.subject(), Name: p.displayName(),
		Email: p.Email, Tenant: p.tenant(), Guest: p.Guest,
		Groups: p.Groups, GroupIDs: p.GroupIDs, GroupsKnown: !p.GroupsUnknown, GroupsWhy: why,
		Roles: p.Roles, Scopes: p.Scopes, Client: p.App, Claims: p.claims(),
	}
}

// Auth is how the persona has signed in, at that time.
func (p *Persona) Auth(now time.Time) policy.Auth {
	a := policy.Auth{Contexts: p.ACRs}
	if p.MFA {
		a.Methods = []string{"pwd", "mfa"}
	}
	if p.AuthAge != nil {
		a.Time = now.Add(-*p.AuthAge)
	}
	return a
}

// Resolve is the persona with the ids of the groups that it has by their alias, and the
// other way round, so that policies may use either. ids are those of the
// configuration, by alias.
func (p *Persona) Resolve(ids map[string]string) *Persona {
	q := *p
	aliases := make(map[string]string, len(ids))
	for _, alias := range slices.Sorted(maps.Keys(ids)) {
		if id := ids[alias]; id != "" {
			aliases[id] = alias
		}
	}
	q.Groups, q.GroupIDs = nil, slices.Clone(p.GroupIDs)
	for _, g := range p.Groups {
		if alias, ok := aliases[g]; ok {
			q.GroupIDs = append(q.GroupIDs, g)
			g = alias
		} else if id := ids[g]; id != "" {
			q.GroupIDs = append(q.GroupIDs, id)
		}
		q.Groups = append(q.Groups, g)
	}
	return &q
}

func (p *Persona) id() string {
	if p.ID != "" {
		return p.ID
	}
	return p.Name
}

func (p *Persona) displayName() string {
	if p.DisplayName != "" {
		return p.DisplayName
	}
	return p.Name
}

func (p *Persona) subject() string {
	id := p.id()
	return id[strings.LastIndexAny(id, "/#")+1:]
}

func (p *Persona) tenant() string {
	tenant, _, ok := strings.Cut(p.ID, "/")
	if p.Tenant != "" || !ok || strings.Contains(p.ID, "#") {
		return p.Tenant
	}
	return tenant
}

// claims are what its token would say.
func (p *Persona) claims() json.RawMessage {
	all := map[string]any{"sub": p.subject(), "name": p.displayName()}
	if p.Email != "" {
		all["email"] = p.Email
	}
	if p.tenant() != "" {
		all["tid"], all["oid"] = p.tenant(), p.subject()
	}
	if len(p.Scopes) > 0 && !p.Workload {
		all["scp"] = strings.Join(p.Scopes, " ")
	}
	maps.Copy(all, p.Claims)
	raw, _ := json.Marshal(all) // texts, numbers, lists and maps of them
	return raw
}
