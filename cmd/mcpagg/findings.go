package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/control"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/doctor"
	"github.com/mcpagg/mcpagg/policy/check"
)

// checkPolicies finds what is wrong with the policies of cfg for what the gateway
// publishes, or may be, the worst first; what is only good to know is left out, and so is
// what the configuration's own warnings say. It takes a second where there are a thousand
// policies and tools, and ends early when ctx does. The gateway may be nil: then nothing
// is said of tools.
func checkPolicies(ctx context.Context, cfg *config.Config, g *aggregator.Gateway) []check.Finding {
	set := cfg.PolicySet
	if set == nil {
		return nil
	}
	in := check.Input{
		Files: set.Files, Options: set.Source, Policy: set.Options, Done: ctx.Done(),
		Tags: set.Tags, Labels: set.Labels, LeftOut: set.LeavesOut, Groups: set.GroupsByID(),
	}
	if g != nil {
		in.Objects = g.Objects()
		addPublished(&in, g.Catalog())
	}
	var told []check.Finding
	for _, f := range check.Check(in) {
		f.File = cmp.Or(set.Paths[f.File], f.File)
		if f.Severity != check.Info && !warned(cfg.Warnings, f) {
			told = append(told, f)
		}
	}
	slices.SortStableFunc(told, func(a, b check.Finding) int { return cmp.Compare(a.Severity, b.Severity) })
	return told
}

// addPublished notes the names of what is published, and what is there and is not.
func addPublished(in *check.Input, c *aggregator.Catalog) {
	in.Published = map[string]string{}
	all := c.ForPolicies()
	for _, t := range all.Tools {
		in.Published[t.Upstream+"/"+t.Original] = t.Published
	}
	for _, p := range all.Prompts {
		in.Published[p.Upstream+"/"+p.Original] = p.Published
	}
	for _, h := range c.Hidden {
		in.Hidden = append(in.Hidden, h.Upstream+"/"+h.Original)
	}
}

// warned reports whether one of the configuration's warnings says the same.
func warned(warnings []string, f check.Finding) bool {
	at, text := fmt.Sprintf("%s:%d:", f.File, f.Line), strings.ToLower(f.Text)
	return slices.ContainsFunc(warnings, func(w string) bool {
		return strings.HasPrefix(w, at) && strings.Contains(strings.ToLower(w), text)
	})
}

// checkTimeout bounds how long the doctor waits for a running gateway.
const checkTimeout = 2 * time.Second

// doctorFindings are what is wrong with the policies: what the gateway that runs with
// them has found, which knows the tools, or else what can be found without.
func doctorFindings(ctx context.Context, cfg *config.Config) []doctor.Finding {
	warnings, ok := runningWarnings(ctx, cfg)
	if !ok {
		for _, f := range checkPolicies(ctx, cfg, nil) {
			warnings = append(warnings, f.String())
		}
	}
	var all []doctor.Finding
	for i, w := range warnings {
		if i == mostFindings {
			w = fmt.Sprintf("and %d more", len(warnings)-i)
		}
		all = append(all, doctor.Finding{Check: "policies", Verdict: doctor.Warning, Seen: visible(w), Remedy: "See all, with the lines in question: mcpagg policy check"})
		if i == mostFindings {
			break
		}
	}
	return all
}

// runningWarnings are those of the gateway that runs with these policies, if one does.
func runningWarnings(ctx context.Context, cfg *config.Config) ([]string, bool) {
	if cfg.Server.Socket == "" {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	running := &runningGateway{client: control.Client(cfg.Server.Socket), socket: cfg.Server.Socket}
	s, err := running.status(ctx)
	if err != nil || s.Policy == nil || s.Policy.Digest != cfg.Policy.Digest {
		return nil, false
	}
	return s.Policy.Warnings, true
}
