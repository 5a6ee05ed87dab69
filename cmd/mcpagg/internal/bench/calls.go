package main

import (
	"context"
	"fmt"
	"math"
)

// costGoal is how much more than the reverse proxy the gateway may cost, in
// each era, and rateGoal what share of its calls a second it is to serve.
var (
	costGoal = map[era]float64{modern: 1.3, legacy: 2.5}
	rateGoal = map[era]float64{modern: 0.85, legacy: 0.6}
)

const (
	callTools = 100 // of the upstream
	blobKiB   = 256
	callWarms = 10
	blobWarms = 3
)

// A stage is a lineup with callers for each subject, in one era.
type stage struct {
	era era
	lineup
	callers [columns][]*caller
}

// measureCalls compares single calls: small ones by one caller and by many,
// and one with a large answer.
func (b *bench) measureCalls(ctx context.Context) error {
	var stages []*stage
	for _, e := range eras {
		s, err := b.callStage(ctx, e)
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
			b.callRound(ctx, s, round)
		}
	}
	for _, s := range stages {
		if err := b.profileCalls(ctx, s); err != nil {
			return err
		}
		for _, callers := range s.callers {
			endCallers(callers)
		}
	}
	return nil
}

func (b *bench) callStage(ctx context.Context, e era) (*stage, error) {
	upstream, err := b.startUpstream(ctx, e.String(), callTools)
	if err != nil {
		return nil, err
	}
	behind := upstream
	if b.opts.upstream != "same" && b.opts.upstream != e.String() {
		if behind, err = b.startUpstream(ctx, b.opts.upstream, callTools); err != nil {
			return nil, err
		}
	}
	s := &stage{era: e}
	if s.lineup, err = b.lineUp(ctx, e, upstream, []*subject{behind}, callTools); err != nil {
		return nil, err
	}
	return s, s.openCallers(b.opts.callers)
}

func (s *stage) openCallers(n int) error {
	for _, column := range s.inTurn(0) {
		var err error
		if s.callers[column], err = openCallers(s.lineup[column], s.era, n); err != nil {
			return fmt.Errorf("%s: %w", s.lineup[column].name, err)
		}
	}
	return nil
}

// callFigures are one round's, for each column.
type callFigures struct{ one, many, large [columns]figures }

func (b *bench) callRound(ctx context.Context, s *stage, round int) {
	var f callFigures
	for _, column := range s.inTurn(round) {
		subject, callers := s.lineup[column], s.callers[column]
		echo := callEcho(subject.prefix + echoTool)
		f.one[column] = b.try(ctx, subject, callers[:1], callWarms, echo)
		f.many[column] = b.try(ctx, subject, callers, callWarms, echo)
		f.large[column] = b.try(ctx, subject, callers[:1], blobWarms, callBlob(subject.prefix+blobTool, blobKiB))
	}
	for _, column := range s.inTurn(0) {
		b.reportCalls(s.era, column, f)
	}
}

func (b *bench) reportCalls(e era, column int, f callFigures) {
	group, limit, many := e.String()+" calls", costGoal[e], fmt.Sprintf("%d callers", b.opts.callers)
	add := func(name, unit string, g goal, figure float64) {
		b.report.row(group, name, unit, g).add(column, figure)
	}
	added := math.NaN()
	if column != direct {
		added = f.one[column].p50 - f.one[direct].p50
	}
	add("p50, 1 caller", "µs", goal{}, f.one[column].p50)
	add("p50 added to direct", "µs", ratioAtMost(limit), added)
	add("p99, 1 caller", "µs", goal{}, f.one[column].p99)
	add("calls/s, "+many, "1/s", ratioAtLeast(rateGoal[e]), f.many[column].rate)
	add("CPU per call, 1 caller", "µs", goal{}, f.one[column].cpu)
	add("CPU per call, "+many, "µs", ratioAtMost(limit), f.many[column].cpu)
	add("allocated per call", "KiB", goal{}, f.many[column].alloc)
	large := fmt.Sprintf("answer of %d KiB, ", blobKiB)
	add(large+"p50", "µs", goal{}, f.large[column].p50)
	add(large+"CPU", "µs", goal{}, f.large[column].cpu)
}

func (b *bench) profileCalls(ctx context.Context, s *stage) error {
	if s.lineup[gatewayed] == nil {
		return nil
	}
	prefix := s.lineup[gatewayed].prefix
	if err := b.profile(ctx, s, "calls", callEcho(prefix+echoTool)); err != nil {
		return err
	}
	return b.profile(ctx, s, "large", callBlob(prefix+blobTool, blobKiB))
}
