package aggregator

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
)

const (
	// maxPrincipals bounds the callers of a generation.
	maxPrincipals = 10_000
	// principalAge is how old a generation becomes.
	principalAge = time.Minute
)

// principals remember callers as policies see them. Those of one token share a
// Caller, which never changes, so that they are told apart by its address. There
// are two generations, as in rates. It is safe for concurrent use.
type principals struct {
	mu         sync.Mutex
	young, old map[*oauth.Caller]*principal // guarded by mu
	born       time.Time                    // when young was empty; guarded by mu
}

// A principal is a caller as policies see it.
type principal struct {
	*policy.Principal
	audited *audit.Principal        // as the audit file has it
	seen    atomic.Pointer[viewKey] // of the engine that was asked last
}

// A viewKey is the same for all to whom an engine shows the same.
type viewKey struct {
	engine *policy.Engine
	key    string
}

func (p *principals) of(c *oauth.Caller) *principal {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.young == nil || len(p.young) >= maxPrincipals || now.Sub(p.born) >= principalAge {
		p.young, p.old, p.born = map[*oauth.Caller]*principal{}, p.young, now
	}
	if known := p.young[c]; known != nil {
		return known
	}
	known := p.old[c]
	if known == nil {
		known = newPrincipal(c)
	}
	p.young[c] = known
	return known
}

// view is the key of what the engine shows to the principal.
func (p *principal) view(e *policy.Engine) string {
	if known := p.seen.Load(); known != nil && known.engine == e {
		return known.key
	}
	known := &viewKey{e, e.ViewKey(p.Principal)}
	p.seen.Store(known)
	return known.key
}

func newPrincipal(c *oauth.Caller) *principal {
	p := principalOf(c)
	return &principal{Principal: p, audited: auditedPrincipal(p)}
}

// auditedPrincipal is what the audit file tells of a caller beside who it is: what
// other policies may look at, but for claims and what people are called.
func auditedPrincipal(p *policy.Principal) *audit.Principal {
	a := audit.Principal{
		Groups: p.Groups, Unresolved: p.Unresolved, Roles: p.Roles, Scopes: p.Scopes, Guest: p.Guest,
		MFA: slices.Contains(p.Auth.Methods, "mfa"), Contexts: p.Auth.Contexts,
	}
	for _, id := range p.GroupIDs {
		if !slices.Contains(p.Groups, id) {
			a.GroupIDs = append(a.GroupIDs, id)
		}
	}
	if !p.GroupsKnown {
		a.GroupsUnknown = cmp.Or(p.GroupsWhy, "nobody said them")
	}
	if !p.Auth.Time.IsZero() {
		a.SignedIn = p.Auth.Time.UTC().Format(time.RFC3339Nano)
	}
	return a.Bound()
}

// principalOf is the caller in the words of policies.
func principalOf(c *oauth.Caller) *policy.Principal {
	return &policy.Principal{
		ID: idOf(c), Workload: c.Workload, Subject: c.Subject, Name: c.Name, Email: emailOf(c.Claims), Tenant: c.Tenant, Guest: c.Guest,
		Groups: c.Groups.Names, GroupIDs: c.Groups.IDs, Unresolved: c.Groups.Unresolved,
		GroupsKnown: c.Groups.Complete || c == oauth.Anonymous, GroupsWhy: c.Groups.Why,
		Roles: c.Roles, Scopes: c.Scopes, Client: clientOf(c), Claims: c.Claims,
		Auth: policy.Auth{Contexts: c.AuthContexts, Methods: c.AuthMethods, Time: c.AuthTime},
	}
}

// idOf takes the id out of User::"<id>".
func idOf(c *oauth.Caller) string {
	_, quoted, ok := strings.Cut(c.ID, `::"`)
	id, whole := strings.CutSuffix(quoted, `"`)
	if !ok || !whole {
		return c.ID
	}
	return unescaped.Replace(id)
}

var unescaped = strings.NewReplacer(`\\`, `\`, `\"`, `"`)

// clientOf is the client as policies name it, "" if it is not known.
func clientOf(c *oauth.Caller) string {
	if c.Client.Alias != "" {
		return c.Client.Alias
	}
	return c.Client.ID
}

func emailOf(claims json.RawMessage) string {
	var of struct {
		Email json.RawMessage `json:"email"`
	}
	var email string
	if json.Unmarshal(claims, &of) != nil || json.Unmarshal(of.Email, &email) != nil {
		return "" // absent, or no text
	}
	return email
}
