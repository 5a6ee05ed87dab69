package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// flatLimit is how many times the cost of a small gateway a large one may have.
const flatLimit = 1.25

// A flatCase is a number that the cost of a call must not depend on.
type flatCase struct {
	of    string // what there are many of
	sizes []int
	era   era
	start func(b *bench, ctx context.Context, size int) (flatGateway, error)
}

// A flatGateway is a gateway with so many of something.
type flatGateway struct {
	*subject
	callers []*caller
	op      operation
	warms   int
}

func (o options) flatCases() []flatCase {
	return []flatCase{
		{"upstreams", o.flat.upstreams, modern, (*bench).startManyUpstreams},
		{"tools", o.flat.tools, modern, (*bench).startManyTools},
		{"open sessions", o.flat.sessions, legacy, (*bench).startManySessions},
	}
}

// measureFlat compares gateways that differ in one number alone.
func (b *bench) measureFlat(ctx context.Context) error {
	if b.gateway == "" {
		return nil // the reverse proxy knows nothing of all this
	}
	for _, c := range b.opts.flatCases() {
		if err := b.during(func() error { return b.measureFlatCase(ctx, c) }); err != nil {
			return fmt.Errorf("%s: %w", c.of, err)
		}
	}
	return nil
}

func (b *bench) measureFlatCase(ctx context.Context, c flatCase) error {
	gateways := make([]flatGateway, len(c.sizes))
	for i, size := range c.sizes {
		var err error
		if gateways[i], err = c.start(b, ctx, size); err != nil {
			return err
		}
	}
	for round := range b.opts.rounds {
		for i := range gateways {
			if round%2 == 1 {
				i = len(gateways) - 1 - i
			}
			g := gateways[i]
			f := b.try(ctx, g.subject, g.callers, g.warms, g.op)
			b.flatRow(c, i, "CPU per call", "µs").add(gatewayed, f.cpu)
			b.flatRow(c, i, "allocated per call", "KiB").add(gatewayed, f.alloc)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for i, g := range gateways {
		bytes, err := resident(g.pid)
		if err != nil {
			bytes = math.NaN()
		}
		w := b.report.row(flatGroup(c), fmt.Sprintf("resident, %d", c.sizes[i]), "MiB", goal{})
		w.incomparable = true
		w.add(gatewayed, bytes/(1<<20))
		endCallers(g.callers)
	}
	return nil
}

func flatGroup(c flatCase) string { return c.era.String() + " calls by number of " + c.of }

// flatRow is that of the i-th size, which is judged by the first one's.
func (b *bench) flatRow(c flatCase, i int, name, unit string) *row {
	rowOf := func(i int, g goal) *row {
		w := b.report.row(flatGroup(c), fmt.Sprintf("%s, %d", name, c.sizes[i]), unit, g)
		w.incomparable = true
		return w
	}
	first := rowOf(0, goal{})
	if i == 0 {
		return first
	}
	return rowOf(i, goal{fmt.Sprintf("≤ %.2fx of %d", flatLimit, c.sizes[0]), func(w *row) float64 {
		return w.value(gatewayed)/first.value(gatewayed) - flatLimit
	}})
}

// startManyUpstreams has the callers call all upstreams in turn.
func (b *bench) startManyUpstreams(ctx context.Context, size int) (flatGateway, error) {
	upstreams, err := b.startUpstreams(ctx, modern.String(), size, 3)
	if err != nil {
		return flatGateway{}, err
	}
	return b.startFlat(ctx, modern, upstreams, size*3, func(n int) string { return fmt.Sprintf("b%d_%s", n%size, echoTool) })
}

// startManyTools has one upstream with all the tools.
func (b *bench) startManyTools(ctx context.Context, size int) (flatGateway, error) {
	upstreams, err := b.startUpstreams(ctx, modern.String(), 1, size)
	if err != nil {
		return flatGateway{}, err
	}
	return b.startFlat(ctx, modern, upstreams, size, func(int) string { return "b0_" + echoTool })
}

// startManySessions opens sessions that stay idle, besides those of the callers.
func (b *bench) startManySessions(ctx context.Context, size int) (flatGateway, error) {
	upstreams, err := b.startUpstreams(ctx, legacy.String(), 1, 3)
	if err != nil {
		return flatGateway{}, err
	}
	g, err := b.startFlat(ctx, legacy, upstreams, 3, func(int) string { return "b0_" + echoTool })
	if err == nil {
		_, _, err = openSessions(g.address, size)
	}
	return g, err
}

// startFlat starts a gateway; tool names what the n-th call calls.
func (b *bench) startFlat(ctx context.Context, e era, upstreams []*subject, tools int, tool func(n int) string) (flatGateway, error) {
	s, err := b.startGateway(ctx, mcpURLs(upstreams))
	if err == nil {
		err = s.awaitReady(ctx, tools)
	}
	if err != nil {
		return flatGateway{}, err
	}
	callers, err := openCallers(s, e, b.opts.callers)
	return flatGateway{s, callers, func(c *caller, n int) (time.Duration, error) {
		return callEcho(tool(n))(c, n)
	}, max(callWarms, len(upstreams))}, err
}
