package oauth

import (
	"context"
	"time"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

// maxAliasPause bounds the time between two attempts to look groups up.
const maxAliasPause = 5 * time.Minute

func (p *provider) asksGraph() bool { return p.Entra != nil && p.Entra.Graph != nil }

// aliased are the ids of the groups that have an alias and may be Entra's: its ids
// are of one form.
func (s *SignIn) aliased() []string {
	var ids []string
	for id := range s.opts.GroupAliases {
		if entra.IsTenantID(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// resolveAliases asks Graph for the groups that have an alias, until it answers.
func (s *SignIn) resolveAliases(ctx context.Context, p *provider) {
	ids := s.aliased()
	for wait := time.Second; ; wait = min(2*wait, maxAliasPause) {
		known, err := p.Entra.known(ctx, ids)
		if err == nil {
			s.resolved(p, ids, known)
			return
		}
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("the groups of the configuration could not be looked up", "provider", p.Name, "err", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// known are those of the groups with these ids that are in a tenant that people
// may be of.
func (e *EntraTenant) known(ctx context.Context, ids []string) (map[string]bool, error) {
	known := map[string]bool{}
	for _, tenant := range e.tenants() {
		names, err := e.Graph.Names(ctx, tenant, ids)
		if err != nil {
			return nil, err
		}
		for id := range names {
			known[id] = true
		}
	}
	return known, nil
}

// resolved notes which aliases are of no group, and reports them.
func (s *SignIn) resolved(p *provider, ids []string, known map[string]bool) {
	var unknown []string
	for _, id := range ids {
		if !known[id] {
			unknown = append(unknown, s.opts.GroupAliases[id])
			s.log.Warn("a group of the configuration is not known to Entra; correct its id", "group", s.opts.GroupAliases[id], "id", id)
		}
	}
	unknown = sorted(unknown)
	s.unresolved[p].Store(&unknown)
}

// unresolvedAliases are those of which Graph has not said that there is such a
// group. Before it has answered, these are all.
func (s *SignIn) unresolvedAliases(p *provider) []string {
	if answered := s.unresolved[p].Load(); answered != nil {
		return *answered
	}
	if !p.asksGraph() {
		return nil
	}
	var all []string
	for _, id := range s.aliased() {
		all = append(all, s.opts.GroupAliases[id])
	}
	return sorted(all)
}
