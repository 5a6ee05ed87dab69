package config

import (
	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/policy/lock"
	"github.com/mcpagg/mcpagg/upstream"
)

func (f *fileBlock) server(env func(string) (string, bool)) Server {
	s := Server{
		Listen: f.Server.Listen.value,
		Admin:  f.Server.Admin.value,
		Drain:  f.Server.Drain.value,
		Watch:  *f.Server.Watch.value,
	}
	s.Socket, s.SocketFrom = f.socket(env)
	return s
}

func (f *fileBlock) gateway() aggregator.Options {
	limits := &f.Server.Limits
	options := aggregator.Options{
		Names: aggregator.Names{Max: f.Names.Max.value, Separator: f.Names.Separator.value},
		Limits: aggregator.Limits{
			RequestBytes:    limits.RequestBytes.value,
			SessionsPerUser: limits.SessionsPerUser.value,
			CallsPerMinute:  limits.CallsPerMinute.value,
		},
		PublicURL:      f.Server.PublicURL.value,
		AllowedOrigins: f.Server.AllowedOrigins.value,
		TrustedProxies: f.Server.TrustedProxies.value,

		ContainerMemory: f.Containers.Memory.value,
	}
	for i := range f.Upstreams {
		u := f.Upstreams[i].options()
		if u.Container = f.Upstreams[i].Container.options(&f.Containers); u.Container != nil {
			u.Env = f.Upstreams[i].Container.Env.value
		}
		u.MaxMessageBytes = int(limits.ResponseBytes.value)
		u.Fingerprint = fingerprint(u.Options)
		options.Upstreams = append(options.Upstreams, u)
	}
	return options
}

func (b *upstreamBlock) options() aggregator.Upstream {
	return aggregator.Upstream{
		Options: upstream.Options{
			Name:           b.label,
			Command:        b.Command.value,
			Env:            b.Env.value,
			Dir:            b.Dir.value,
			URL:            b.URL.value,
			Headers:        b.Headers.value,
			Token:          b.Token.value,
			Protocol:       b.Protocol.value,
			ConnectTimeout: b.ConnectTimeout.value,
			CallTimeout:    b.CallTimeout.value,
			ToolsGrace:     b.ToolsGrace.value,
		},
		Prefix:    b.Prefix.value,
		Tags:      b.Tags.value,
		Tools:     b.Tools.rules(),
		Isolation: b.Isolation.value,
		Requests:  b.Requests.value,

		MaxInstances: b.MaxInstances.value,
		IdleTimeout:  b.IdleTimeout.value,

		Observe:        b.PolicyMode.value == observe,
		TrustHints:     b.Trust.value == trustHints,
		Drift:          lock.Drift(b.Drift.value),
		ExtraArguments: b.ExtraArguments.value == allowExtra,
	}
}

func (b *toolsBlock) rules() aggregator.ToolRules {
	rules := aggregator.ToolRules{Allow: b.Allow.value, Deny: b.Deny.value}
	for i := range b.Overrides {
		if rules.Overrides == nil {
			rules.Overrides = map[string]aggregator.Override{}
		}
		rules.Overrides[b.Overrides[i].label] = b.Overrides[i].options()
	}
	return rules
}

func (b *overrideBlock) options() aggregator.Override {
	return aggregator.Override{
		Name:        b.Name.value,
		Description: b.Description.value,
		Annotations: b.Annotations.hints(),
		Require:     b.Arguments.Require.value,
		Set:         b.Arguments.Set.value,
		Labels:      b.Labels.value,
	}
}

// hints are the annotations that are given, by their names in MCP.
func (b *annotationsBlock) hints() map[string]bool {
	var hints map[string]bool
	for name, f := range map[string]boolean{
		"readOnlyHint":    b.ReadOnly,
		"destructiveHint": b.Destructive,
		"idempotentHint":  b.Idempotent,
		"openWorldHint":   b.OpenWorld,
	} {
		if f.value == nil {
			continue
		}
		if hints == nil {
			hints = map[string]bool{}
		}
		hints[name] = *f.value
	}
	return hints
}
