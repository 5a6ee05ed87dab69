// Package fakeentra is a stand-in for Microsoft Entra ID and the part of
// Microsoft Graph that says who is in which group. It needs no network, so that
// sign-in can be tested and shown anywhere. It is not a place for real people's
// accounts: whoever reaches it is whoever they say.
//
// It answers as Entra does where that matters to a gateway, also where that is
// awkward: which redirect URIs match, what a scope without its API means, what
// becomes of the parameter resource, which claims a token of version 1 has. What
// reports about Entra disagree on is one of the [Switches].
//
//	fake, err := fakeentra.Open(fakeentra.Options{})
//	api := fake.AddApp(fakeentra.App{Name: "mcp", TokenVersion: 2, Scopes: []string{"mcp.access"}})
//	alice := fake.AddUser(fakeentra.User{Name: "alice@contoso.example"})
//	token, err := fake.Token(fakeentra.TokenRequest{User: alice.ID, Resource: api.ClientID, Scopes: []string{"mcp.access"}})
//
// A cloud of it has the authority [Server.URL], the STS at /sts below it and
// Microsoft Graph at /graph.
package fakeentra

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// DefaultTenant and DefaultDomain are the tenant that is always there.
	DefaultTenant = "10000000-7e57-4000-8000-000000000001"
	DefaultDomain = "contoso.example"
	// ConsumerTenant is that of personal accounts of Microsoft.
	ConsumerTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

// Options describe a [Server]. The zero value is a good default.
type Options struct {
	// Addr and AdminAddr are loopback addresses to listen on; "" is 127.0.0.1:0.
	Addr, AdminAddr string
	// URL is the base of all URLs where there is no listener of its own, which is
	// for [New]; [Open] sets it.
	URL string
	// TenantID and Domain are the first tenant's; "" is the default ones.
	TenantID, Domain string
	// Switches are those at the start.
	Switches Switches
	// Demo has the data of [Server.AddDemo] there before anything is served.
	Demo bool
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
	// Log is told about requests at the debug level, without what they hold; nil
	// means nobody.
	Log *slog.Logger
}

// A Server is a stand-in for Entra. It is safe for concurrent use.
type Server struct {
	// Set by New, never changed.
	url     string
	tenant  string // the first one
	now     func() time.Time
	log     *slog.Logger
	keys    *Keys
	journal journal
	pages   *pages

	mu        sync.Mutex
	switches  Switches  // guarded by mu
	faults    []*Fault  // guarded by mu
	directory directory // guarded by mu
	grants    grants    // guarded by mu

	// Set by Open, never changed.
	listeners []net.Listener
	servers   []*http.Server
	running   sync.WaitGroup
	stop      chan struct{} // closed by Close
	stopOnce  sync.Once
}

// Open listens on loopback and serves until Close. It starts one goroutine for
// each of the two listeners.
func Open(opts Options) (*Server, error) {
	listener, err := listen(opts.Addr)
	if err != nil {
		return nil, err
	}
	admin, err := listen(opts.AdminAddr)
	if err != nil {
		listener.Close()
		return nil, err
	}
	opts.URL = "http://" + listener.Addr().String()
	s, err := New(opts)
	if err != nil {
		listener.Close()
		admin.Close()
		return nil, err
	}
	if opts.Demo {
		s.AddDemo()
	}
	s.serve(listener, s.Handler())
	s.serve(admin, s.AdminHandler())
	return s, nil
}

func listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listening on %s: it is not an address of this machine alone, and a stand-in that lets everybody in must not be reached by others", addr)
	}
	return net.Listen("tcp", addr)
}

// New returns a server without listeners, for tests that bring their own or call
// its handlers. Options.URL must be set.
func New(opts Options) (*Server, error) {
	if opts.URL == "" {
		return nil, errors.New("a stand-in for Entra needs a URL")
	}
	s := &Server{
		url: strings.TrimSuffix(opts.URL, "/"), tenant: opts.TenantID, now: opts.Now, log: opts.Log,
		switches: opts.Switches, pages: newPages(), stop: make(chan struct{}),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.tenant == "" {
		s.tenant = DefaultTenant
	}
	domain := opts.Domain
	if domain == "" {
		domain = DefaultDomain
	}
	s.directory = newDirectory(s.tenant)
	s.grants = newGrants()
	s.AddTenant(Tenant{ID: s.tenant, Domain: domain, Name: "Contoso"})
	s.addGraph()
	var err error
	s.keys, err = newKeys(s.now())
	return s, err
}

func (s *Server) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 1 << 20,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.listeners = append(s.listeners, listener)
	s.servers = append(s.servers, server)
	s.running.Go(func() { _ = server.Serve(listener) }) // it ends with Close alone
}

// Close ends all connections and waits until nothing is served any more. It may
// be called twice.
func (s *Server) Close() {
	s.stopOnce.Do(func() { close(s.stop) })
	for _, server := range s.servers {
		server.Close()
	}
	s.running.Wait()
}

// URL is the authority: the base of all endpoints, without a slash at its end.
func (s *Server) URL() string { return s.url }

// AdminURL is the base of the admin API, which has a listener of its own; "" if
// there is none.
func (s *Server) AdminURL() string {
	if len(s.listeners) < 2 {
		return ""
	}
	return "http://" + s.listeners[1].Addr().String()
}

// STS is the base of issuers of version 1.
func (s *Server) STS() string { return s.url + "/sts" }

// GraphURL is the base of Microsoft Graph.
func (s *Server) GraphURL() string { return s.url + "/graph" }

// TenantID is the id of the first tenant.
func (s *Server) TenantID() string { return s.tenant }

// Issuer is the iss of a tenant's tokens of version 2; "" means the first tenant.
func (s *Server) Issuer(tenant string) string {
	return s.url + "/" + s.tenantOr(tenant) + "/v2.0"
}

// IssuerV1 is the iss of a tenant's tokens of version 1.
func (s *Server) IssuerV1(tenant string) string {
	return s.STS() + "/" + s.tenantOr(tenant) + "/"
}

func (s *Server) tenantOr(tenant string) string {
	if tenant == "" {
		return s.tenant
	}
	return tenant
}

// Keys are the keys that tokens are signed with.
func (s *Server) Keys() *Keys { return s.keys }

// time is now by the stand-in's clock.
func (s *Server) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timeLocked()
}

func (s *Server) timeLocked() time.Time { return s.now().Add(s.switches.ClockSkew) }

// Handler serves Entra and, below /graph, Microsoft Graph.
func (s *Server) Handler() http.Handler {
	tenants := http.NewServeMux()
	tenants.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.discoveryV2)
	tenants.HandleFunc("GET /{tenant}/.well-known/openid-configuration", s.discoveryV1)
	tenants.HandleFunc("GET /{tenant}/discovery/v2.0/keys", s.serveKeys)
	tenants.HandleFunc("GET /{tenant}/discovery/keys", s.serveKeys)
	tenants.HandleFunc("/{tenant}/oauth2/v2.0/authorize", s.authorize)
	tenants.HandleFunc("POST /{tenant}/login", s.login)
	tenants.HandleFunc("POST /{tenant}/consent", s.consent)
	tenants.HandleFunc("/{tenant}/oauth2/v2.0/token", s.token)
	tenants.HandleFunc("GET /{tenant}/oauth2/v2.0/logout", s.logout)
	tenants.HandleFunc("GET /assets/{name}", s.pages.asset)
	tenants.HandleFunc("GET /{$}", s.home)

	root := http.NewServeMux()
	root.Handle("/graph/", http.StripPrefix("/graph", s.graph()))
	root.HandleFunc("GET /sts/{tenant}/.well-known/openid-configuration", s.discoveryV1)
	root.Handle("/", tenants)
	return s.journaled(s.faulty(root))
}
