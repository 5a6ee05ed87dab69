package main

import (
	"context"
	"fmt"
	"math"
)

const (
	// manyUpstreams share the tools in the parts lists and start.
	manyUpstreams = 10
	listWarms     = 3
)

func (o options) allTools() int { return manyUpstreams * o.toolsOfEach }

func (b *bench) listGroup() string { return fmt.Sprintf("tools/list, %d tools", b.opts.allTools()) }

// measureLists compares the gateway's joined list with one upstream that has
// as many tools.
func (b *bench) measureLists(ctx context.Context) error {
	upstream, behind, err := b.startMany(ctx)
	if err != nil {
		return err
	}
	l, err := b.lineUp(ctx, modern, upstream, behind, b.opts.allTools())
	if err != nil {
		return err
	}
	var stages []*stage
	for _, e := range eras {
		s := &stage{era: e, lineup: l}
		if err := s.openCallers(1); err != nil {
			return err
		}
		stages = append(stages, s)
	}
	for round := range b.opts.rounds {
		for _, s := range stages {
			if err := ctx.Err(); err != nil {
				return err
			}
			b.listRound(ctx, s, round)
		}
	}
	for _, s := range stages {
		if err := b.profile(ctx, s, "lists", listTools(b.opts.allTools())); err != nil {
			return err
		}
	}
	b.reportResident(l, b.listGroup(), "resident afterwards", goal{})
	return nil
}

func (b *bench) listRound(ctx context.Context, s *stage, round int) {
	var f [columns]figures
	for _, column := range s.inTurn(round) {
		f[column] = b.try(ctx, s.lineup[column], s.callers[column], listWarms, listTools(b.opts.allTools()))
	}
	for _, column := range s.inTurn(0) {
		add := func(name, unit string, g goal, figure float64) {
			b.report.row(b.listGroup(), s.era.String()+", "+name, unit, g).add(column, figure)
		}
		add("p50", "ms", goal{}, f[column].p50/1000)
		add("CPU", "ms", atMost(5, "ms"), f[column].cpu/1000)
		add("allocated", "KiB", goal{}, f[column].alloc)
	}
}

// reportResident notes the memory of what is between, as it stands.
func (b *bench) reportResident(l lineup, group, name string, g goal) {
	for _, column := range l.inTurn(0) {
		if column == direct {
			continue
		}
		bytes, err := resident(l[column].pid)
		if err != nil {
			bytes = math.NaN()
		}
		b.report.row(group, name, "MiB", g).add(column, bytes/(1<<20))
	}
}
