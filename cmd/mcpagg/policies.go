package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/policy"
)

// usePolicies has the gateway of cfg decide by the policies in it. It fails for those
// that cannot be decided by, as for any mistake in a configuration.
func usePolicies(cfg *config.Config) error {
	if cfg.Policy == nil {
		return nil
	}
	engine, err := policy.New(*cfg.Policy)
	if err != nil {
		return usageError("the policies in %s: %w", strings.Join(cfg.PolicyPlaces, ", "), err)
	}
	cfg.Gateway.Policy = engine
	return nil
}

// A policyTeller says in the log what the policies in effect come to: at the start,
// after a reload that changed them, and where other tools are published.
type policyTeller struct {
	// Set by newPolicyTeller, never changed.
	gateway *aggregator.Gateway
	served  func() *config.Config
	log     *slog.Logger

	mu         sync.Mutex
	settled    bool            // every upstream was tried; guarded by mu
	engine     *policy.Engine  // that was told of; nil for none; guarded by mu
	digest     string          // of engine, "" for none; guarded by mu
	generation uint64          // of the catalog then; guarded by mu
	told       map[string]bool // what was said of tools that nobody can call; guarded by mu
	unchecked  bool            // engine and the catalog then are to be checked; guarded by mu
	checked    *policy.Engine  // for which there are warnings; guarded by mu
	warnings   []string        // of it and the catalog then; guarded by mu

	next time.Time // when a catalog may be checked again; only run uses it
}

func newPolicyTeller(g *aggregator.Gateway, served func() *config.Config, log *slog.Logger) *policyTeller {
	return &policyTeller{gateway: g, served: served, log: log}
}

// policyInterval is how often other tools are looked for.
const policyInterval = 2 * time.Second

// run tells until ctx ends.
func (p *policyTeller) run(ctx context.Context) {
	if p.gateway.Settled(ctx) != nil {
		return
	}
	p.mu.Lock()
	p.settled = true
	p.mu.Unlock()
	p.tell()
	p.check(ctx)
	again := time.NewTicker(policyInterval)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			p.tell()
			p.check(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// tell says what is new since the last time, and returns what other policies change.
func (p *policyTeller) tell() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	cfg, generation := p.served(), p.gateway.Figures().Generation
	engine := cfg.Gateway.Policy
	if !p.settled || engine == p.engine && generation == p.generation {
		return nil
	}
	objects := p.gateway.Objects()
	var lines []string
	if engine != p.engine {
		lines = p.tellActiveLocked(cfg, objects)
	}
	p.engine, p.generation, p.unchecked = engine, generation, engine != nil
	if engine == nil {
		p.warnings, p.checked = nil, nil
	} else {
		p.tellUncallableLocked(engine.Uncallable(objects))
	}
	return lines
}

// checkPause is how many times as long as a check took the next one waits where only
// the catalog has changed: an upstream that comes and goes must not keep the gateway busy.
const checkPause = 20

// check looks for what is wrong with the policies in effect, if they or the tools have
// changed, and says what is new of it. It holds no lock while it does.
func (p *policyTeller) check(ctx context.Context) {
	p.mu.Lock()
	engine, wanted := p.engine, p.unchecked && (p.engine != p.checked || !time.Now().Before(p.next))
	p.unchecked = p.unchecked && !wanted
	cfg := p.served()
	p.mu.Unlock()
	if !wanted || cfg.Gateway.Policy != engine { // the latter are told of first
		return
	}
	start := time.Now()
	findings := checkPolicies(ctx, cfg, p.gateway)
	p.next = time.Now().Add(checkPause * time.Since(start))
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engine != engine {
		return
	}
	p.checked, p.warnings = engine, nil
	for _, f := range findings {
		p.warnings = append(p.warnings, f.String())
	}
	p.tellNewLocked("a policy does not fit the tools", "policy", p.warnings)
}

// tellActiveLocked says which policies are in effect, and what of it is new for whom.
func (p *policyTeller) tellActiveLocked(cfg *config.Config, objects []*policy.Object) []string {
	p.told = map[string]bool{}
	if cfg.Policy == nil {
		p.digest = ""
		p.log.Warn("no policies are active any more: everything is allowed")
		return []string{"no policies: everything is allowed"}
	}
	var lines []string
	active := "policies " + shortPolicies(cfg.Policy.Digest) + " active: "
	if p.engine != nil {
		_, signIn := cfg.SignIn(nil, slog.New(slog.DiscardHandler))
		for _, c := range policy.Changes(p.engine, cfg.Gateway.Policy, objects) {
			if !signIn && c.Group != "" { // in which nobody is
				continue
			}
			line := active + changeText(c, signIn)
			p.log.Info(line, "added", firstNames(c.Added), "removed", firstNames(c.Removed))
			lines = append(lines, line)
		}
	}
	if changed := p.digest != cfg.Policy.Digest; changed && len(lines) == 0 {
		line := active + count(len(cfg.Policy.Policies), "policy")
		p.log.Info(line)
		lines = append(lines, line)
	}
	p.digest = cfg.Policy.Digest
	return lines
}

// changeText is a change for a person.
func changeText(c policy.Change, signIn bool) string {
	who := fmt.Sprintf("Group %q", c.Group)
	switch {
	case !signIn:
		who = "everybody"
	case c.Group == "":
		who = "whoever is in no group"
	}
	var what []string
	if c.ToolsAdded+c.ToolsRemoved > 0 {
		what = append(what, fmt.Sprintf("+%d −%d tools", c.ToolsAdded, c.ToolsRemoved))
	}
	if added, removed := len(c.Added)-c.ToolsAdded, len(c.Removed)-c.ToolsRemoved; added+removed > 0 {
		what = append(what, fmt.Sprintf("+%d −%d prompts and resources", added, removed))
	}
	return strings.Join(what, ", ") + " for " + who
}

// tellUncallableLocked says in a line for each reason what nobody can use.
func (p *policyTeller) tellUncallableLocked(all []policy.Uncallable) {
	var reasons []string
	fresh := map[string][]string{}
	for _, u := range all {
		finding := u.Object.String() + ": " + u.Why
		if p.told[finding] {
			continue
		}
		p.told[finding] = true
		if fresh[u.Why] == nil {
			reasons = append(reasons, u.Why)
		}
		fresh[u.Why] = append(fresh[u.Why], plainName(u.Object))
	}
	for i, why := range reasons {
		if i == mostFindings {
			p.log.Warn("nobody can use this", "why", fmt.Sprintf("%d more reasons", len(reasons)-i))
			return
		}
		p.log.Warn("nobody can use this", "why", why, "count", len(fresh[why]), "of", firstNames(fresh[why]))
	}
}

// plainName is the name of an object in a log: of a tool its origin alone.
func plainName(o *policy.Object) string {
	if kind, _, _ := strings.Cut(o.String(), "::"); kind != "Tool" {
		return strings.ToLower(kind) + " " + o.Origin()
	}
	return o.Origin()
}

// plainQuotes is a text for a log, in which others would be escaped.
func plainQuotes(text string) string { return strings.ReplaceAll(text, `"`, "'") }

// mostFindings bounds how many of them are said at once.
const mostFindings = 20

func (p *policyTeller) tellNewLocked(message, attribute string, findings []string) {
	fresh := slices.DeleteFunc(slices.Clone(findings), func(f string) bool { return p.told[f] })
	for i, f := range fresh {
		p.told[f] = true
		if i < mostFindings {
			p.log.Warn(message, attribute, plainQuotes(f))
		}
	}
	if more := len(fresh) - mostFindings; more > 0 {
		p.log.Warn(message, attribute, fmt.Sprintf("and %d more", more))
	}
}

// A policyStatus says which policies decide.
type policyStatus struct {
	Digest   string   `json:"digest"`
	Policies int      `json:"policies"`
	Places   []string `json:"places"`
	// Mode is enforce, or observe where everything is let through.
	Mode      string `json:"mode"`
	Candidate string `json:"candidate,omitempty"` // digest of the candidate policies
	// Warnings are what of the policies does not fit the tools that are published.
	Warnings []string `json:"warnings"`
}

// status is nil if there are no policies.
func (p *policyTeller) status() *policyStatus {
	cfg := p.served()
	if cfg.Policy == nil {
		return nil
	}
	s := &policyStatus{
		Digest: cfg.Policy.Digest, Policies: len(cfg.Policy.Policies), Places: list(cfg.PolicyPlaces), Mode: "enforce",
		Candidate: cfg.Policy.CandidateDigest,
	}
	if cfg.Policy.Observe {
		s.Mode = "observe"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Warnings = list(p.warnings[:min(len(p.warnings), mostFindings)])
	return s
}

// policiesText is what policies there are, for a person.
func policiesText(n int, places []string) string {
	return count(n, "policy") + " from " + strings.Join(places, ", ")
}

// firstNames is the beginning of a list that may be long.
func firstNames(names []string) []string {
	if more := len(names) - mostFindings; more > 0 {
		return append(slices.Clone(names[:mostFindings]), fmt.Sprintf("and %d more", more))
	}
	return names
}

// shortPolicies is the beginning of a digest, which is enough to tell some from others.
func shortPolicies(digest string) string { return digest[:min(len(digest), 8)] + "…" }
