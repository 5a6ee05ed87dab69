package main

import (
	"context"
	"time"
)

const (
	firstGroup = "new legacy session and its first call"
	firstWarms = 20
)

// measureFirst compares what a client waits for that has just been started: a
// session and the first call in it, where the gateway shares its connection to
// the upstream, and where it dials one for the session.
func (b *bench) measureFirst(ctx context.Context) error {
	upstream, err := b.startUpstream(ctx, legacy.String(), callTools)
	if err != nil {
		return err
	}
	behind := []*subject{upstream}
	dialled, err := b.lineUp(ctx, legacy, upstream, behind, callTools)
	if err != nil {
		return err
	}
	shared := dialled
	if b.gateway != "" {
		if shared[gatewayed], err = b.startGateway(ctx, mcpURLs(behind), `isolation = "shared"`); err != nil {
			return err
		}
		if err := shared[gatewayed].awaitReady(ctx, callTools); err != nil {
			return err
		}
	}
	for round := range b.opts.rounds {
		b.firstRound(ctx, shared, round, "shared connection", 1)
		b.firstRound(ctx, dialled, round, "connection of its own", 2)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// firstRound measures all columns once. limit is in ms over direct.
func (b *bench) firstRound(ctx context.Context, l lineup, round int, name string, limit float64) {
	var f [columns]figures
	for _, column := range l.inTurn(round) {
		s := l[column]
		c := newCaller(s.address, mcpPath, legacy)
		f[column] = b.try(ctx, s, []*caller{c}, firstWarms, firstCall(s.prefix+echoTool))
		c.disconnect()
	}
	for _, column := range l.inTurn(0) {
		b.report.row(firstGroup, name+", p50", "ms", overDirectAtMost(limit, "ms")).add(column, f[column].p50/1000)
		b.report.row(firstGroup, name+", CPU", "ms", goal{}).add(column, f[column].cpu/1000)
	}
}

// firstCall opens a session and calls an echo tool in it. That it ends the
// session is not in the time.
func firstCall(tool string) operation {
	return func(c *caller, n int) (time.Duration, error) {
		start := time.Now()
		if err := c.open(); err != nil {
			return 0, err
		}
		if _, err := callEcho(tool)(c, n); err != nil {
			return 0, err
		}
		took := time.Since(start)
		_, err := c.exchange("DELETE", nil, nil)
		c.session = ""
		return took, err
	}
}
