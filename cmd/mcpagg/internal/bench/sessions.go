package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	sessionGroup = "legacy sessions"
	// openers open sessions at the same time.
	openers = 8
)

// measureSessions compares what an idle session costs. Each subject is fresh:
// a heap that has grown under load would hide what sessions add.
func (b *bench) measureSessions(ctx context.Context) error {
	upstream, err := b.startUpstream(ctx, legacy.String(), callTools)
	if err != nil {
		return err
	}
	l, err := b.lineUp(ctx, legacy, upstream, []*subject{upstream}, callTools)
	if err != nil {
		return err
	}
	for _, column := range l.inTurn(0) {
		if column == direct {
			continue
		}
		m := &sessionMeasure{b: b, subject: l[column], upstream: upstream, column: column}
		if err := m.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", l[column].name, err)
		}
	}
	return nil
}

// A sessionMeasure opens many sessions with one subject and weighs it.
type sessionMeasure struct {
	b        *bench
	subject  *subject
	upstream *subject
	column   int
	empty    weight // before the sessions
}

func (m *sessionMeasure) run(ctx context.Context) error {
	if err := m.warmUp(); err != nil {
		return err
	}
	m.empty = m.weigh(ctx)
	sessions, err := m.open(ctx)
	if err != nil {
		return fmt.Errorf("opening sessions: %w", err)
	}
	m.note(ctx, "idle session", atMost(10, "KiB"))
	for _, s := range sessions {
		defer s.disconnect()
		if err := s.stream(); err != nil {
			return fmt.Errorf("opening a stream: %w", err)
		}
	}
	m.note(ctx, "idle session, stream open", atMost(35, "KiB"))
	return nil
}

// warmUp has the subject make its buffers, with sessions that end again.
func (m *sessionMeasure) warmUp() error {
	callers, err := openCallers(m.subject, legacy, openers)
	if err != nil {
		return err
	}
	defer endCallers(callers)
	return warm(callers, callWarms, callEcho(m.subject.prefix+echoTool))
}

// open opens the sessions and notes how long that took and what reached the
// upstream meanwhile.
func (m *sessionMeasure) open(ctx context.Context) ([]*caller, error) {
	before, err := countRequests(ctx, m.upstream.address)
	if err != nil {
		return nil, err
	}
	sessions, took, err := openSessions(m.subject.address, m.b.opts.sessions)
	if err != nil {
		return nil, err
	}
	after, err := countRequests(ctx, m.upstream.address)
	if err != nil {
		return nil, err
	}
	m.row("new session, p50", "µs", goal{}).add(m.column, micros(percentile(took, 0.50)))
	m.row("upstream requests for a new session", "", atMost(0, "")).
		add(m.column, float64(after-before)/float64(len(sessions)))
	return sessions, nil
}

// openSessions opens n sessions over a few connections, so that connections do
// not count as sessions. It returns a caller for each, and the sorted times.
func openSessions(address string, n int) ([]*caller, []time.Duration, error) {
	var (
		wg       sync.WaitGroup
		next     atomic.Int64
		sessions = make([]*caller, n)
		took     = make([]time.Duration, n)
		failed   failures
	)
	for range openers {
		wg.Go(func() {
			opener := newCaller(address, mcpPath, legacy)
			defer opener.disconnect()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				start := time.Now()
				if err := opener.open(); err != nil {
					failed.add(err)
					return
				}
				took[i] = time.Since(start)
				sessions[i] = newCaller(address, mcpPath, legacy)
				sessions[i].session = opener.session
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	return sessions, took, failed.err()
}

// weight is the memory of a process in KiB, resident and live on its heap, and
// its goroutines, whose stacks are not on the heap. NaN is unknown.
type weight struct{ resident, live, goroutines float64 }

// weigh has the process collect its garbage, so that only what it holds on to
// makes a difference.
func (m *sessionMeasure) weigh(ctx context.Context) weight {
	w := weight{math.NaN(), math.NaN(), math.NaN()}
	sleep(ctx, m.b.opts.settle)
	if err := collectGarbage(ctx, m.subject.admin); err == nil {
		if told, err := readMemory(ctx, m.subject.admin); err == nil {
			w.live, w.goroutines = float64(told.HeapAlloc)/1024, float64(told.Goroutines)
		}
	}
	if bytes, err := resident(m.subject.pid); err == nil {
		w.resident = bytes / 1024
	}
	return w
}

// note weighs again and notes each session's share.
func (m *sessionMeasure) note(ctx context.Context, name string, g goal) {
	now, n := m.weigh(ctx), float64(m.b.opts.sessions)
	m.row(name+", resident", "KiB", g).add(m.column, (now.resident-m.empty.resident)/n)
	m.row(name+", live heap", "KiB", goal{}).add(m.column, (now.live-m.empty.live)/n)
	m.row(name+", goroutines", "", goal{}).add(m.column, (now.goroutines-m.empty.goroutines)/n)
}

func (m *sessionMeasure) row(name, unit string, g goal) *row {
	w := m.b.report.row(sessionGroup, name, unit, g)
	w.incomparable = true // the reverse proxy knows no sessions
	return w
}
