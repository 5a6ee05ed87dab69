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
	"github.com/mcpagg/mcpagg/oauth/broker"
)

// signIns say who is calling, each for as long as its configuration is served.
type signIns struct {
	// Set by newSignIns, never changed.
	life     context.Context // until all of them end
	listener string          // the address that clients connect to
	kept     *kept
	page     ownPage
	log      *slog.Logger

	running sync.WaitGroup
	mu      sync.Mutex
	current *oauth.SignIn      // nil if nobody signs in; guarded by mu
	made    string             // the fingerprint of what current was made of; guarded by mu
	brokers bool               // current signs people in itself; guarded by mu
	end     context.CancelFunc // of current; guarded by mu
}

func newSignIns(life context.Context, listener string, kept *kept, log *slog.Logger) *signIns {
	return &signIns{life: life, listener: listener, kept: kept, log: log, end: func() {}}
}

// reload is that of the gateway together with who says who is calling.
func (s *signIns) reload(g *aggregator.Gateway) func(context.Context, *config.Config) (aggregator.Changes, error) {
	return func(ctx context.Context, cfg *config.Config) (aggregator.Changes, error) {
		settle, err := s.prepare(ctx, cfg)
		if err != nil {
			return aggregator.Changes{}, err
		}
		changes, err := g.Reload(ctx, cfg.Gateway)
		settle(err == nil)
		return changes, err
	}
}

// prepare makes the gateway of cfg ask who is calling, and starts what that needs.
// What is served so far goes on until settle says that cfg is served instead, and
// beyond if that says the same of sign-in: it remembers groups, and who asks often.
// It fails if what has to be kept cannot be. settle must be called.
func (s *signIns) prepare(ctx context.Context, cfg *config.Config) (settle func(served bool), err error) {
	state, opened, err := s.kept.open(ctx, cfg.State)
	if err != nil {
		return nil, err
	}
	cfg.Gateway.Brake, cfg.Gateway.Labels = s.kept.brake, s.kept.labels
	if cfg.State.Brokers {
		cfg.Gateway.StepUp = state.StepUp
	}
	keep := func(served bool) {
		opened(served)
		if served {
			s.kept.labels.SetTTL(cfg.LabelsTTL)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && cfg.SignInFingerprint == s.made {
		cfg.Gateway.Authenticate, cfg.Gateway.SignIn = s.current.Authenticate, s.current
		return keep, nil
	}
	next := s.make(cfg, state)
	ctx, end := context.WithCancel(s.life)
	if next != nil {
		cfg.Gateway.Authenticate, cfg.Gateway.SignIn = next.Authenticate, next
		s.running.Go(func() { next.Run(ctx) })
	}
	return func(served bool) {
		if !served {
			end()
			keep(false)
			return
		}
		keep(true)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end()
		s.current, s.made, s.brokers, s.end = next, cfg.SignInFingerprint, cfg.State.Brokers, end
	}, nil
}

// make returns who says who is calling, or nil if nobody signs in.
func (s *signIns) make(cfg *config.Config, state *broker.State) *oauth.SignIn {
	public := publicURL(cfg, s.listener)
	signIn, ok := cfg.SignIn(public, s.log)
	if !ok {
		return nil
	}
	opts, ok := cfg.Broker(public, s.log)
	if !ok {
		return oauth.New(signIn, s.current)
	}
	opts.State, opts.Tools, opts.Denials = state, s.page.tools, s.page.denials
	return broker.New(opts, signIn, s.current)
}

// broker is the state of the authorization server, or nil if the gateway that is
// served is none.
func (s *signIns) broker() *broker.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.brokers {
		return nil
	}
	return s.kept.opened().state
}

// brokerStatus is how the authorization server does, or nil if there is none.
func (s *signIns) brokerStatus() *brokerStatus {
	if s.broker() == nil {
		return nil
	}
	return s.kept.brokerStatus()
}

// restartNeeded lists the attributes of what is kept that a reload does not change.
func (s *signIns) restartNeeded(cfg *config.Config) []string {
	return s.kept.opened().as.Changed(cfg.State)
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
