package main

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/oauth"
)

// signIns say who is calling, each for as long as its configuration is served.
type signIns struct {
	// Set by newSignIns, never changed.
	life     context.Context // until all of them end
	listener string          // the address that clients connect to
	log      *slog.Logger

	running sync.WaitGroup
	mu      sync.Mutex
	current *oauth.SignIn      // nil if nobody signs in; guarded by mu
	made    string             // the fingerprint of what current was made of; guarded by mu
	end     context.CancelFunc // of current; guarded by mu
}

func newSignIns(life context.Context, listener string, log *slog.Logger) *signIns {
	return &signIns{life: life, listener: listener, log: log, end: func() {}}
}

// reload is that of the gateway together with who says who is calling.
func (s *signIns) reload(g *aggregator.Gateway) func(context.Context, *config.Config) (aggregator.Changes, error) {
	return func(ctx context.Context, cfg *config.Config) (aggregator.Changes, error) {
		settle := s.prepare(cfg)
		changes, err := g.Reload(ctx, cfg.Gateway)
		settle(err == nil)
		return changes, err
	}
}

// prepare makes the gateway of cfg ask who is calling, and starts what that needs.
// What is served so far goes on until settle says that cfg is served instead, and
// beyond if that says the same of sign-in: it remembers groups, and who asks often.
func (s *signIns) prepare(cfg *config.Config) (settle func(served bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && cfg.SignInFingerprint == s.made {
		cfg.Gateway.Authenticate, cfg.Gateway.SignIn = s.current.Authenticate, s.current
		return func(bool) {}
	}
	var next *oauth.SignIn
	ctx, end := context.WithCancel(s.life)
	if opts, ok := cfg.SignIn(publicURL(cfg, s.listener), s.log); ok {
		next = oauth.New(opts, s.current)
		cfg.Gateway.Authenticate, cfg.Gateway.SignIn = next.Authenticate, next
		s.running.Go(func() { next.Run(ctx) })
	}
	return func(served bool) {
		if !served {
			end()
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end()
		s.current, s.made, s.end = next, cfg.SignInFingerprint, end
	}
}

// status tells the state of every provider.
func (s *signIns) status() []oauth.ProviderStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil
	}
	return s.current.Status()
}

// publicURL is where clients reach a gateway that listens on an address. They
// compare it with what they were told, so localhost is called that.
func publicURL(cfg *config.Config, listener string) *url.URL {
	if u := cfg.Gateway.PublicURL; u != nil {
		return u
	}
	host, _, _ := net.SplitHostPort(cfg.Server.Listen)
	if _, port, err := net.SplitHostPort(listener); err == nil && strings.EqualFold(host, "localhost") {
		listener = net.JoinHostPort("localhost", port)
	}
	return &url.URL{Scheme: "http", Host: listener}
}
