package entra

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/mcpagg/mcpagg/oauth/client"
)

// GraphOptions describe a [Graph] and as which application it asks.
type GraphOptions struct {
	Cloud Cloud
	// Tenant is the id of the tenant that is asked where none is named.
	Tenant string
	// ClientID is the application's. It needs the application permission
	// GroupMember.Read.All of Microsoft Graph, with admin consent, in every tenant
	// that is asked. Exactly one of the next three proves that the gateway is this
	// application. It is read anew for every token, so that it may rotate.
	ClientID string
	// Secret is one of the application's client secrets.
	Secret func(context.Context) (string, error)
	// CertificateFile holds one of its certificates and the private key, in PEM:
	// RSA with 2048 bits or more.
	CertificateFile string
	// FederatedTokenFile holds a token of an issuer that the application trusts,
	// such as that of a Kubernetes service account.
	FederatedTokenFile string

	// MaxAge is how long groups count from when they were asked for; 0 means 5 min.
	MaxAge time.Duration
	// HTTP asks; nil means a client of its own. Redirects are never followed.
	HTTP *http.Client
}

const (
	defaultMaxAge = 5 * time.Minute
	// lookUpTimeout bounds all that has to be asked for one person.
	lookUpTimeout = 30 * time.Second
	// maxAtOnce bounds the requests to Graph that are under way.
	maxAtOnce = 8
	// retryPause is after how long something that failed is tried again: people who
	// are refused meanwhile should not wait long once it is mended. A Graph that is
	// busy gets busyPause, if it does not say what it wants.
	retryPause = 5 * time.Second
	busyPause  = 30 * time.Second
	// maxTenants bounds the tenants that are asked.
	maxTenants = 1000
	// maxNamed bounds the groups whose names are asked for at once, and namedAtOnce
	// how many of them one request of Graph may have.
	maxNamed    = 10_000
	namedAtOnce = 15
)

// A Graph asks Microsoft Graph who is in which group, and remembers for a while
// what it was told. It starts no goroutine that outlives a look-up, which ends
// after 30 s at the latest. It is safe for concurrent use.
type Graph struct {
	// Set by NewGraph, never changed.
	opts       GraphOptions
	credential client.Credential
	http       *http.Client
	slots      chan struct{} // holds a token for each request under way

	flights singleflight.Group
	known   memberships

	mu      sync.Mutex
	tenants map[string]*directory // by id; guarded by mu
}

// NewGraph returns a Graph, which asks for nothing before it is asked.
func NewGraph(opts GraphOptions) *Graph {
	opts.MaxAge = cmp.Or(opts.MaxAge, defaultMaxAge)
	return &Graph{
		opts: opts,
		credential: client.Credential{
			ClientID: opts.ClientID, Secret: opts.Secret, CertificateFile: opts.CertificateFile, FederatedTokenFile: opts.FederatedTokenFile,
		},
		http:    cmp.Or(opts.HTTP, ownClient()),
		slots:   make(chan struct{}, maxAtOnce),
		known:   memberships{of: map[person]*membership{}},
		tenants: map[string]*directory{},
	}
}

// ownClient has enough connections for all that Graph is asked at once.
func ownClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone() // with the proxies of the environment
	t.MaxIdleConnsPerHost = maxAtOnce
	return &http.Client{Transport: t}
}

// Groups returns the ids of all groups that a person is in, directly or through
// others, sorted and in lower case, and until when that counts. They are all or
// none: if some could not be had, it is an error, and until says when Graph is
// asked again. The error is about the gateway's permissions or Graph, and for its
// log. Many may ask at once: for one person, Graph is asked once. When ctx ends,
// the others go on. The ids must not be changed, since others have them, too.
func (g *Graph) Groups(ctx context.Context, tenant, objectID string) (ids []string, until time.Time, err error) {
	who := person{strings.ToLower(cmp.Or(tenant, g.opts.Tenant)), strings.ToLower(objectID)}
	if m := g.known.get(who); m != nil {
		return m.ids, m.until, m.err
	}
	if !IsTenantID(who.id) {
		return nil, time.Time{}, fmt.Errorf("the object id %.60q is not one of Entra", objectID)
	}
	flight := g.flights.DoChan(who.tenant+"/"+who.id, func() (any, error) { return g.lookUp(ctx, who), nil })
	select {
	case landed := <-flight:
		m := landed.Val.(*membership)
		return m.ids, m.until, m.err
	case <-ctx.Done():
		return nil, time.Time{}, context.Cause(ctx)
	}
}

// lookUp asks for the groups of a person, whoever still waits for them, and
// remembers what came of it.
func (g *Graph) lookUp(ctx context.Context, who person) *membership {
	if m := g.known.get(who); m != nil {
		return m // another look-up has just ended
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookUpTimeout)
	defer cancel()
	asked := time.Now()
	ids, err := g.membersOf(ctx, who)
	m := &membership{ids: ids, err: err, until: asked.Add(g.opts.MaxAge)}
	if err != nil {
		m.until = time.Now().Add(retryPause)
		if busy := new(busyError); errors.As(err, &busy) {
			m.until = busy.until
		}
	}
	g.known.put(who, m)
	return m
}

func (g *Graph) membersOf(ctx context.Context, who person) ([]string, error) {
	d, err := g.directory(who.tenant)
	if err != nil {
		return nil, err
	}
	// $top is the largest page there is.
	found, err := d.list(ctx, "/users/"+who.id+"/transitiveMemberOf/microsoft.graph.group?$select=id&$top=999")
	if isUnknown(err) {
		return nil, fmt.Errorf("the tenant %s has no person %s, or no longer: %w", who.tenant, who.id, err)
	}
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(found))
	for i, o := range found {
		ids[i] = o.ID
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// Names returns what groups are called, by id as it was given. Those that the
// directory does not know are absent, as is everything that is no id of Entra.
// Nothing is remembered.
func (g *Graph) Names(ctx context.Context, tenant string, ids []string) (map[string]string, error) {
	given := map[string][]string{} // by id in lower case
	for _, id := range ids {
		if lower := strings.ToLower(id); IsTenantID(id) {
			given[lower] = append(given[lower], id)
		}
	}
	if len(given) > maxNamed {
		return nil, fmt.Errorf("there are more than %d groups to look up", maxNamed)
	}
	d, err := g.directory(strings.ToLower(cmp.Or(tenant, g.opts.Tenant)))
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for some := range slices.Chunk(sortedKeys(given), namedAtOnce) {
		// A list of groups needs less permission than directoryObjects/getByIds.
		filter := "id in ('" + strings.Join(some, "','") + "')"
		found, err := d.list(ctx, "/groups?$select=id,displayName&$filter="+url.PathEscape(filter))
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			for _, id := range given[o.ID] {
				names[id] = o.Name
			}
		}
	}
	return names, nil
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// directory is the one of a tenant, whose id is in lower case.
func (g *Graph) directory(tenant string) (*directory, error) {
	if !IsTenantID(tenant) {
		return nil, fmt.Errorf("asking Microsoft Graph: it knows tenants by their ids, and %.60q is none", tenant)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.tenants[tenant]
	if d == nil {
		if len(g.tenants) >= maxTenants {
			return nil, fmt.Errorf("there are more than %d tenants to ask about", maxTenants)
		}
		d = &directory{
			tenant: tenant, clientID: g.opts.ClientID, base: g.opts.Cloud.Graph + "/v1.0",
			tokens: newTokenSource(g.credential, g.http, g.opts.Cloud, tenant), http: g.http, slots: g.slots,
		}
		g.tenants[tenant] = d
	}
	return d, nil
}
