package main

import (
	"context"
	"fmt"
)

// An authStage has a gateway that asks nobody to sign in, another one that does, and
// one that decides about each call by many policies as well and writes that down;
// with callers of each.
type authStage struct {
	era      era
	gateways [authWays]*subject
	callers  [authWays][]*caller
}

const authWays = 3

// authNames are what the rows call them, and authLimits how many times the cost of a
// call of the first one a call of each may have.
var (
	authNames  = [authWays]string{"anyone", "signed in", "policies, audit"}
	authLimits = [authWays]float64{0, 1.1, 1.3}
)

// measureAuth compares calls of anyone with calls of somebody who is signed in, and with
// those that are decided about by many policies. Every request brings the same access
// token, so that what shows is what the gateway makes of it, and not how long it is.
func (b *bench) measureAuth(ctx context.Context) error {
	if b.gateway == "" {
		return nil // the reverse proxy asks nobody
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, err := b.startProvider(ctx)
	if err != nil {
		return err
	}
	var stages []*authStage
	for _, e := range eras {
		s, err := b.authStage(ctx, e, p)
		if err != nil {
			return err
		}
		stages = append(stages, s)
	}
	for round := range b.opts.rounds {
		for _, s := range stages {
			if err := ctx.Err(); err != nil {
				return err
			}
			b.authRound(ctx, s, round)
		}
	}
	for _, s := range stages {
		for _, callers := range s.callers {
			endCallers(callers)
		}
	}
	return nil
}

func (b *bench) authStage(ctx context.Context, e era, p *provider) (*authStage, error) {
	upstream, err := b.startUpstream(ctx, e.String(), callTools)
	if err != nil {
		return nil, err
	}
	s := &authStage{era: e}
	governing, err := b.governing(e.String())
	if err != nil {
		return nil, err
	}
	for i, blocks := range [authWays]string{"", p.block() + permitAll, p.block() + governing} {
		g, err := b.startGatewayWith(ctx, blocks, mcpURLs([]*subject{upstream}))
		if err != nil {
			return nil, err
		}
		if g.token, err = p.token(); err == nil {
			err = g.awaitTools(ctx, e, callTools)
		}
		if err == nil {
			s.callers[i], err = openCallers(g, e, b.opts.callers)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", authNames[i], err)
		}
		s.gateways[i] = g
	}
	return s, nil
}

func (b *bench) authRound(ctx context.Context, s *authStage, round int) {
	var one, many [authWays]figures
	for i := range s.gateways {
		if round%2 == 1 {
			i = authWays - 1 - i
		}
		g, callers := s.gateways[i], s.callers[i]
		echo := callEcho(g.prefix + echoTool)
		one[i] = b.try(ctx, g, callers[:1], callWarms, echo)
		many[i] = b.try(ctx, g, callers, callWarms, echo)
	}
	all := fmt.Sprintf("%d callers", b.opts.callers)
	b.authRows(s.era, "p50, 1 caller", "µs", false, eachOf(one, func(f figures) float64 { return f.p50 })...)
	b.authRows(s.era, "calls/s, "+all, "1/s", false, eachOf(many, func(f figures) float64 { return f.rate })...)
	b.authRows(s.era, "CPU per call, "+all, "µs", true, eachOf(many, func(f figures) float64 { return f.cpu })...)
	b.authRows(s.era, "allocated per call", "KiB", false, eachOf(many, func(f figures) float64 { return f.alloc })...)
}

func eachOf(all [authWays]figures, figure func(figures) float64) (each []float64) {
	for _, f := range all {
		each = append(each, figure(f))
	}
	return each
}

// authRows notes a figure of each gateway. The others may be judged by the first one's.
func (b *bench) authRows(e era, name, unit string, judged bool, figures ...float64) {
	var first *row
	for i, figure := range figures {
		g := goal{}
		if judged && i > 0 {
			g = goal{fmt.Sprintf("≤ %.2fx of %s", authLimits[i], authNames[0]), func(w *row) float64 {
				return w.value(gatewayed)/first.value(gatewayed) - authLimits[i]
			}}
		}
		w := b.report.row(e.String()+" calls with auth", name+", "+authNames[i], unit, g)
		if w.incomparable = true; i == 0 {
			first = w
		}
		w.add(gatewayed, figure)
	}
}
