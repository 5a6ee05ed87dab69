package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cedar-policy/cedar-go/types"
)

// A Principal is a caller as policies see one. It never changes, but for what an
// [Engine] remembers of it: use one for all requests of a token.
type Principal struct {
	ID       string // such as <tenant>/<object id>
	Workload bool   // a program that no person is behind
	Subject  string // the object id, or the token's sub
	Name     string
	Email    string // "" if the token has none
	Tenant   string
	Guest    bool

	// Groups are known by the names that policies give them: aliases, or ids where
	// there is none. GroupIDs are the same by the directory's own ids.
	Groups, GroupIDs []string
	// GroupsKnown says that these are all of them; if not, GroupsWhy says why.
	GroupsKnown bool
	GroupsWhy   string
	// Unresolved are aliases of groups of which nobody knows who is in them.
	Unresolved []string

	Roles, Scopes []string
	Client        string          // the alias of the app, or its client id; "" if it is not known
	Claims        json.RawMessage // the payload of the token; nil if there is none
	Auth          Auth

	class  atomic.Pointer[classOf]
	claims sync.Once
	byName map[string]types.Value // claims that Cedar can hold; set by claims
}

// classOf is the class of a principal in one engine.
type classOf struct {
	engine *Engine
	class  *class
}

// Auth is how a person proved who they are.
type Auth struct {
	Contexts []string  // acrs of the token
	Methods  []string  // amr of the token
	Time     time.Time // zero if the token does not say
}

const (
	typeUser     types.EntityType = "User"
	typeWorkload types.EntityType = "Workload"
	typeGroup    types.EntityType = "Group"
	typeTHVGroup types.EntityType = "THVGroup"
	typeRole     types.EntityType = "Role"
	typeClient   types.EntityType = "Client"
	typeApp      types.EntityType = "App"
	typeTag      types.EntityType = "Tag"
	typeUpstream types.EntityType = "Upstream"
	typeMCP      types.EntityType = "MCP"
)

func (p *Principal) uid() types.EntityUID {
	if p.Workload {
		return types.NewEntityUID(typeWorkload, types.String(p.ID))
	}
	return types.NewEntityUID(typeUser, types.String(p.ID))
}

// app is the program that the caller uses, unknown for none.
func (p *Principal) app() types.EntityUID {
	if p.Client == "" {
		return types.NewEntityUID(typeApp, "unknown")
	}
	return types.NewEntityUID(typeApp, types.String(p.Client))
}

// groups are the names and the ids of all groups: a policy may use either, and
// goes on to when an alias is added.
func (p *Principal) groups() []string {
	all := slices.Concat(p.Groups, p.GroupIDs)
	slices.Sort(all)
	return slices.Compact(all)
}

// parents calls f with all entities that the principal is in directly.
func (p *Principal) parents(f func(types.EntityUID)) {
	for _, g := range p.groups() {
		f(types.NewEntityUID(typeGroup, types.String(g)))
		f(types.NewEntityUID(typeTHVGroup, types.String(g)))
	}
	for _, r := range p.Roles {
		f(types.NewEntityUID(typeRole, types.String(r)))
	}
	if p.Subject != "" {
		f(types.NewEntityUID(typeClient, types.String(p.Subject)))
	}
	if sub, ok := p.claim("sub").(types.String); ok && string(sub) != p.Subject {
		f(types.NewEntityUID(typeClient, sub))
	}
}

// attribute is the value of an attribute; ok is false where it is absent.
func (p *Principal) attribute(name string) (types.Value, bool) {
	switch name {
	case "id":
		return types.String(p.Subject), true
	case "name":
		return types.String(p.Name), true
	case "email":
		return types.String(p.Email), p.Email != ""
	case "tenant":
		return types.String(p.Tenant), true
	case "guest":
		return types.Boolean(p.Guest), true
	case "groups":
		return texts(p.groups()), true
	case "roles", "claim_roles":
		return texts(p.Roles), true
	case "scopes":
		return texts(p.Scopes), true
	case "claim_groups": // as the token has them, and those that the directory added
		return texts(p.groups()), true
	}
	claim, ok := strings.CutPrefix(name, "claim_")
	if !ok {
		return nil, false
	}
	v := p.claim(claim)
	return v, v != nil
}

// attributes are the names of all attributes that a principal may have.
func (p *Principal) attributes() []string {
	names := []string{"id", "name", "email", "tenant", "guest", "groups", "roles", "scopes", "claim_groups", "claim_roles"}
	p.claim("")
	for claim := range p.byName {
		if claim != "groups" && claim != "roles" {
			names = append(names, "claim_"+claim)
		}
	}
	return names
}

func texts(all []string) types.Set {
	values := make([]types.Value, len(all))
	for i, s := range all {
		values[i] = types.String(s)
	}
	return types.NewSet(values...)
}

// tags are the claims that are texts.
func (p *Principal) tags() types.Record {
	m := types.RecordMap{}
	p.claim("")
	for name, v := range p.byName {
		if s, ok := v.(types.String); ok {
			m[types.String(name)] = s
		}
	}
	return types.NewRecord(m)
}

// claim is a claim of the token, nil for none and for what Cedar cannot hold.
func (p *Principal) claim(name string) types.Value {
	p.claims.Do(func() { p.byName = readClaims(p.Claims) })
	return p.byName[name]
}

func readClaims(raw json.RawMessage) map[string]types.Value {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var claims map[string]any
	if d.Decode(&claims) != nil { // verified JSON, or none
		return nil
	}
	all := make(map[string]types.Value, len(claims))
	for name, v := range claims {
		if value := claimValue(v, 0); value != nil {
			all[name] = value
		}
	}
	return all
}

// maxClaimDepth bounds how deep claims are looked into.
const maxClaimDepth = 10

// claimValue is a claim as Cedar has it, nil for what it cannot hold.
func claimValue(v any, depth int) types.Value {
	if depth > maxClaimDepth {
		return nil
	}
	switch v := v.(type) {
	case string:
		return types.String(v)
	case bool:
		return types.Boolean(v)
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return types.Long(i)
		}
		if d, err := types.ParseDecimal(v.String()); err == nil {
			return d
		}
	case []any:
		return claimSet(v)
	case map[string]any:
		m := types.RecordMap{}
		for name, below := range v {
			if value := claimValue(below, depth+1); value != nil {
				m[types.String(name)] = value
			}
		}
		return types.NewRecord(m)
	}
	return nil
}

// claimSet is a list of texts, or of integers.
func claimSet(list []any) types.Value {
	values := make([]types.Value, len(list))
	for i, v := range list {
		value := claimValue(v, maxClaimDepth)
		if value == nil || fmt.Sprintf("%T", value) != fmt.Sprintf("%T", cmpFirst(values, value)) {
			return nil
		}
		values[i] = value
	}
	return types.NewSet(values...)
}

func cmpFirst(values []types.Value, v types.Value) types.Value {
	if values[0] != nil {
		return values[0]
	}
	return v
}
