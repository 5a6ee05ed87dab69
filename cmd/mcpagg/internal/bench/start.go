package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const memoryGroup = "start and memory"

// slowest is how long the list of the slowest upstream takes where they are
// slow; the others take evenly spaced times below it. One after the other they
// would take five times as long.
const slowest = 200 * time.Millisecond

// A startCase is one way in which the upstreams behave at a start.
type startCase struct {
	name string
	slow bool
}

// measureStart compares the time from the start of the process to a complete
// list, next to the slowest upstream alone, and then the idle process.
func (b *bench) measureStart(ctx context.Context) error {
	upstream, behind, err := b.startMany(ctx)
	if err != nil {
		return err
	}
	for _, c := range []startCase{{"10 upstreams", false}, {"10 slow upstreams", true}} {
		if err := b.measureStarts(ctx, c, upstream, behind); err != nil {
			return err
		}
	}
	return b.measureIdle(ctx, upstream, behind)
}

func (b *bench) measureStarts(ctx context.Context, c startCase, upstream *subject, behind []*subject) error {
	paths := startPaths(c.slow)
	first := 0
	if c.slow {
		first = manyUpstreams - 1 // it is known which is the slowest
	}
	var took, spent [columns][]float64
	for range b.opts.starts {
		alone, err := b.slowestAlone(behind[first:], paths[first:])
		if err != nil {
			return err
		}
		took[direct] = append(took[direct], millis(alone))
		for _, column := range b.between(c.slow) {
			wall, cpu, err := b.startOnce(ctx, column, upstream, behind, paths)
			if err != nil {
				return err
			}
			took[column] = append(took[column], millis(wall))
			spent[column] = append(spent[column], millis(cpu))
		}
	}
	b.reportStarts(c, took, spent)
	return nil
}

// between returns the columns that are started: the reverse proxy has but one
// upstream, which none waits for.
func (b *bench) between(slow bool) []int {
	var all []int
	if !slow {
		all = append(all, proxied)
	}
	if b.gateway != "" {
		all = append(all, gatewayed)
	}
	return all
}

// startPaths returns the path of each upstream's MCP endpoint.
func startPaths(slow bool) []string {
	paths := make([]string, manyUpstreams)
	for i := range paths {
		paths[i] = mcpPath
		if slow {
			paths[i] = fmt.Sprintf("/slow/%s%s", slowest*time.Duration(i+1)/manyUpstreams, mcpPath)
		}
	}
	return paths
}

// slowestAlone returns the longest time that a client of any one upstream
// waits for its list.
func (b *bench) slowestAlone(behind []*subject, paths []string) (time.Duration, error) {
	var longest time.Duration
	for i, u := range behind {
		c := newCaller(u.address, paths[i], modern)
		start := time.Now()
		err := c.open()
		if err == nil {
			_, err = listTools(b.opts.toolsOfEach)(c, 1)
		}
		longest = max(longest, time.Since(start))
		c.end()
		if err != nil {
			return 0, err
		}
	}
	return longest, nil
}

// startOnce returns the time from the start to the complete list, and the CPU
// time of the process until then.
func (b *bench) startOnce(ctx context.Context, column int, upstream *subject, behind []*subject, paths []string) (wall, cpu time.Duration, err error) {
	err = b.during(func() error {
		start := time.Now()
		s, err := b.startBetween(ctx, column, upstream, behind, paths)
		wall = time.Since(start)
		if err == nil {
			cpu, _ = cpuTime(s.pid) // 0 where there is no /proc
		}
		return err
	})
	return wall, cpu, err
}

// startBetween starts the process of one column and waits for its list.
func (b *bench) startBetween(ctx context.Context, column int, upstream *subject, behind []*subject, paths []string) (*subject, error) {
	var (
		s   *subject
		err error
	)
	if column == proxied {
		s, err = b.startProxy(ctx, upstream.address)
	} else {
		urls := make([]string, len(behind))
		for i, u := range behind {
			urls[i] = "http://" + u.address + paths[i]
		}
		s, err = b.startGateway(ctx, urls)
	}
	if err == nil && column == gatewayed {
		err = s.awaitReady(ctx, b.opts.allTools())
	}
	if err != nil {
		return nil, err
	}
	return s, s.awaitTools(ctx, modern, b.opts.allTools())
}

func (b *bench) reportStarts(c startCase, took, spent [columns][]float64) {
	for column, times := range took {
		if len(times) == 0 {
			continue
		}
		add := func(name string, g goal, figure float64) {
			b.report.row(memoryGroup, "cold start, "+c.name+", "+name, "ms", g).add(column, figure)
		}
		add("best", goal{}, slices.Min(times))
		add("median", overDirectAtMost(50, "ms"), median(times))
		add("worst", goal{}, slices.Max(times))
		if cpu := spent[column]; len(cpu) > 0 && cpu[0] > 0 {
			add("CPU", goal{}, median(cpu))
		}
	}
}

// measureIdle weighs processes that have listed everything once.
func (b *bench) measureIdle(ctx context.Context, upstream *subject, behind []*subject) error {
	var l lineup
	for _, column := range b.between(false) {
		var err error
		if l[column], err = b.startBetween(ctx, column, upstream, behind, startPaths(false)); err != nil {
			return err
		}
	}
	sleep(ctx, b.opts.settle)
	b.reportResident(l, memoryGroup, fmt.Sprintf("resident, idle with %d tools", b.opts.allTools()), atMost(40, "MiB"))
	return nil
}
