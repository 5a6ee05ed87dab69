package main

import (
	"context"
	"fmt"
)

// authLimit is how many times the cost of a call without auth one may have whose
// caller is signed in.
const authLimit = 1.1

// An authStage has one gateway that asks nobody to sign in, and another one that
// does, with callers of each.
type authStage struct {
	era      era
	gateways [2]*subject
	callers  [2][]*caller
}

// authNames are what the rows call the two.
var authNames = [2]string{"anyone", "signed in"}

// measureAuth compares calls of anyone with calls of somebody who is signed in.
// Every request of both brings the same access token, so that what shows is what
// the gateway makes of it, and not how long it is.
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
		endCallers(s.callers[0])
		endCallers(s.callers[1])
	}
	return nil
}

func (b *bench) authStage(ctx context.Context, e era, p *provider) (*authStage, error) {
	upstream, err := b.startUpstream(ctx, e.String(), callTools)
	if err != nil {
		return nil, err
	}
	s := &authStage{era: e}
	for i, blocks := range []string{"", p.block()} {
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
	var one, many [2]figures
	for i := range s.gateways {
		if round%2 == 1 {
			i = 1 - i
		}
		g, callers := s.gateways[i], s.callers[i]
		echo := callEcho(g.prefix + echoTool)
		one[i] = b.try(ctx, g, callers[:1], callWarms, echo)
		many[i] = b.try(ctx, g, callers, callWarms, echo)
	}
	all := fmt.Sprintf("%d callers", b.opts.callers)
	b.authRows(s.era, "p50, 1 caller", "µs", false, one[0].p50, one[1].p50)
	b.authRows(s.era, "calls/s, "+all, "1/s", false, many[0].rate, many[1].rate)
	b.authRows(s.era, "CPU per call, "+all, "µs", true, many[0].cpu, many[1].cpu)
	b.authRows(s.era, "allocated per call", "KiB", false, many[0].alloc, many[1].alloc)
}

// authRows notes a figure of both gateways. The second one may be judged by the
// first one's.
func (b *bench) authRows(e era, name, unit string, judged bool, figures ...float64) {
	var first *row
	for i, figure := range figures {
		g := goal{}
		if judged && i > 0 {
			g = goal{fmt.Sprintf("≤ %.2fx of %s", authLimit, authNames[0]), func(w *row) float64 {
				return w.value(gatewayed)/first.value(gatewayed) - authLimit
			}}
		}
		w := b.report.row(e.String()+" calls with auth", name+", "+authNames[i], unit, g)
		if w.incomparable = true; i == 0 {
			first = w
		}
		w.add(gatewayed, figure)
	}
}
