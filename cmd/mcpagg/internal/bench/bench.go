package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// gatewayPackage is built and measured unless -gateway names a binary.
const gatewayPackage = "github.com/mcpagg/mcpagg/cmd/mcpagg"

// A bench is one run.
type bench struct {
	opts     options
	self     string // this program, which is upstream and reverse proxy too
	gateway  string // the gateway's binary, "" to leave it out
	dir      string // for the binary and configurations
	ports    *ports
	report   *report
	failures failures
	running  []*process
}

func newBench(ctx context.Context, opts options) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mcpagg-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{opts: opts, self: self, dir: dir, ports: newPorts(), report: newReport(opts)}
	if b.gateway, err = b.findGateway(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// findGateway returns the binary to measure, which it builds if none is named.
func (b *bench) findGateway(ctx context.Context) (string, error) {
	switch b.opts.gateway {
	case noGateway:
		return "", nil
	case "":
	default:
		return filepath.Abs(b.opts.gateway)
	}
	binary := filepath.Join(b.dir, "mcpagg")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, gatewayPackage)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return binary, nil
}

// close ends every process that is left.
func (b *bench) close() {
	b.stopFrom(0)
	_ = os.RemoveAll(b.dir)
}

// start runs a program that ends with the part that started it.
func (b *bench) start(ctx context.Context, name string, argv ...string) (*process, error) {
	p, err := start(ctx, name, argv...)
	if err == nil {
		b.running = append(b.running, p)
	}
	return p, err
}

// stopFrom ends all running processes but the first n, at once, and waits.
func (b *bench) stopFrom(n int) {
	var wg sync.WaitGroup
	for _, p := range b.running[n:] {
		wg.Go(p.stop)
	}
	wg.Wait()
	b.running = b.running[:n]
}

// during runs f and then ends the processes it has started.
func (b *bench) during(f func() error) error {
	defer b.stopFrom(len(b.running))
	return f()
}

// measure takes all the figures that -only leaves.
func (b *bench) measure(ctx context.Context) error {
	steps := map[string]func(context.Context) error{
		"calls":    b.measureCalls,
		"auth":     b.measureAuth,
		"lists":    b.measureLists,
		"first":    b.measureFirst,
		"sessions": b.measureSessions,
		"flat":     b.measureFlat,
		"start":    b.measureStart,
	}
	for _, part := range parts {
		if !slices.Contains(b.opts.only, part) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench: measuring", part)
		if err := b.during(func() error { return steps[part](ctx) }); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	return nil
}

// A subject is one process that callers can talk to.
type subject struct {
	*process
	address string // of its MCP endpoint
	admin   string // of /debug, "" if it has none
	prefix  string // of its tools' names
	token   string // that callers show it, "" if it asks nobody to sign in
}

// A lineup holds the subject of each column; the gateway's may be nil.
type lineup [columns]*subject

// inTurn returns the columns of a lineup, every other round in reverse: what
// comes first finds another machine than what comes last.
func (l lineup) inTurn(round int) []int {
	var order []int
	for column, s := range l {
		if s != nil {
			order = append(order, column)
		}
	}
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// newCaller is one of the subject's MCP endpoint.
func (s *subject) newCaller(e era) *caller {
	c := newCaller(s.address, mcpPath, e)
	c.token = s.token
	return c
}

func (b *bench) startUpstream(ctx context.Context, speaks string, tools int) (*subject, error) {
	all, err := b.startUpstreams(ctx, speaks, 1, tools)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// startUpstreams starts n upstreams in one process.
func (b *bench) startUpstreams(ctx context.Context, speaks string, n, tools int) ([]*subject, error) {
	addresses := make([]string, n)
	for i := range addresses {
		var err error
		if addresses[i], err = b.ports.address(); err != nil {
			return nil, err
		}
	}
	p, err := b.start(ctx, "the upstream", b.self, "upstream", "-listen", strings.Join(addresses, ","),
		"-era", speaks, "-tools", strconv.Itoa(tools), "-answers", b.opts.answers)
	if err != nil {
		return nil, err
	}
	all := make([]*subject, n)
	for i, address := range addresses {
		all[i] = &subject{process: p, address: address}
		if err := p.await(ctx, func(ctx context.Context) error { return dialable(ctx, address) }); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// startMany starts an upstream with all tools, and several that share them.
func (b *bench) startMany(ctx context.Context) (one *subject, several []*subject, err error) {
	if one, err = b.startUpstream(ctx, "both", b.opts.allTools()); err != nil {
		return nil, nil, err
	}
	several, err = b.startUpstreams(ctx, "both", manyUpstreams, b.opts.toolsOfEach)
	return one, several, err
}

func (b *bench) startProxy(ctx context.Context, to string) (*subject, error) {
	address, errAddress := b.ports.address()
	admin, errAdmin := b.ports.address()
	if err := errors.Join(errAddress, errAdmin); err != nil {
		return nil, err
	}
	p, err := b.start(ctx, "the reverse proxy", b.self, "proxy", "-listen", address, "-admin", admin, "-to", "http://"+to)
	if err != nil {
		return nil, err
	}
	return &subject{process: p, address: address, admin: admin}, nil
}

// startGateway starts the gateway with the upstreams b0, b1 and so on, each
// with these settings.
func (b *bench) startGateway(ctx context.Context, urls []string, settings ...string) (*subject, error) {
	return b.startGatewayWith(ctx, "", urls, settings...)
}

// startGatewayWith starts one that has other blocks in its configuration, too.
func (b *bench) startGatewayWith(ctx context.Context, blocks string, urls []string, settings ...string) (*subject, error) {
	address, errAddress := b.ports.address()
	admin, errAdmin := b.ports.address()
	if err := errors.Join(errAddress, errAdmin); err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, "gateway-"+strings.ReplaceAll(address, ":", "-")+".hcl")
	if err := os.WriteFile(file, []byte(blocks+configuration(admin, urls, settings)), 0o600); err != nil {
		return nil, err
	}
	p, err := b.start(ctx, "the gateway", b.gateway, "serve", "-c", file, "--listen", address, "--debug")
	if err != nil {
		return nil, err
	}
	return &subject{process: p, address: address, admin: admin, prefix: "b0_"}, nil
}

func configuration(admin string, urls, settings []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "server {\n  admin = %q\n}\n", admin)
	for i, url := range urls {
		fmt.Fprintf(&b, "\nupstream \"b%d\" {\n  url = %q\n", i, url)
		for _, setting := range settings {
			b.WriteString("  " + setting + "\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func mcpURLs(upstreams []*subject) []string {
	urls := make([]string, len(upstreams))
	for i, u := range upstreams {
		urls[i] = "http://" + u.address + mcpPath
	}
	return urls
}

// awaitTools waits until the subject lists so many tools.
func (s *subject) awaitTools(ctx context.Context, e era, want int) error {
	c := s.newCaller(e)
	defer c.end()
	list, opened := listTools(want), false
	return s.await(ctx, func(context.Context) error {
		if !opened {
			if err := c.open(); err != nil {
				return err
			}
			opened = true
		}
		_, err := list(c, 1) // decoding it takes longer than many a start
		return err
	})
}

// awaitHealth waits until the gateway says that it is alive.
func (s *subject) awaitHealth(ctx context.Context) error {
	return s.await(ctx, func(ctx context.Context) error {
		return fetch(ctx, "http://"+s.address+"/health", nil)
	})
}

// awaitReady waits until the gateway says that it has so many tools. Asking for
// its list until that is complete would cost it more than the start itself.
func (s *subject) awaitReady(ctx context.Context, tools int) error {
	return s.await(ctx, func(ctx context.Context) error {
		var ready struct{ Tools int }
		err := fetch(ctx, "http://"+s.admin+"/health/ready", func(body io.Reader) error {
			return json.NewDecoder(body).Decode(&ready)
		})
		if err == nil && ready.Tools != tools {
			err = fmt.Errorf("%w: %d instead of %d", errIncomplete, ready.Tools, tools)
		}
		return err
	})
}

// lineUp starts what comes between: a reverse proxy in front of the upstream,
// and the gateway in front of the upstreams behind it. It waits until all list
// so many tools.
func (b *bench) lineUp(ctx context.Context, e era, upstream *subject, behind []*subject, tools int) (lineup, error) {
	l := lineup{direct: upstream}
	var err error
	if l[proxied], err = b.startProxy(ctx, upstream.address); err != nil {
		return l, err
	}
	if b.gateway != "" {
		if l[gatewayed], err = b.startGateway(ctx, mcpURLs(behind)); err != nil {
			return l, err
		}
		if err := l[gatewayed].awaitHealth(ctx); err != nil {
			return l, err
		}
	}
	for _, column := range l.inTurn(0) {
		if err := l[column].awaitTools(ctx, e, tools); err != nil {
			return l, err
		}
	}
	return l, nil
}

// usage is what a process has used so far.
type usage struct {
	cpu   time.Duration
	alloc float64 // bytes, NaN if it does not tell
}

func (s *subject) usage(ctx context.Context) usage {
	u := usage{alloc: math.NaN()}
	if s.admin != "" {
		if m, err := readMemory(ctx, s.admin); err == nil {
			u.alloc = float64(m.TotalAlloc)
		}
	}
	u.cpu, _ = cpuTime(s.pid) // 0 where there is no /proc
	return u
}

// figures are what one measurement of one subject yields. NaN is unknown.
type figures struct {
	p50, p99 float64 // µs
	rate     float64 // per second
	cpu      float64 // µs for each
	alloc    float64 // KiB for each
}

var noFigures = figures{math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()}

// failed notes failures of calls to the subject.
func (b *bench) failed(s *subject) func(error) {
	return func(err error) { b.failures.add(fmt.Errorf("%s: %w", s.name, err)) }
}

// try warms the callers up and measures the operation.
func (b *bench) try(ctx context.Context, s *subject, callers []*caller, warmups int, op operation) figures {
	if err := warm(callers, warmups, op); err != nil {
		b.failed(s)(err)
		return noFigures
	}
	before := s.usage(ctx)
	got := apply(ctx, callers, b.opts.duration, op, b.failed(s))
	after := s.usage(ctx)
	n := float64(len(got.took))
	if n == 0 {
		return noFigures
	}
	f := figures{
		p50:   micros(percentile(got.took, 0.50)),
		p99:   micros(percentile(got.took, 0.99)),
		rate:  got.rate(),
		cpu:   micros(after.cpu-before.cpu) / n,
		alloc: (after.alloc - before.alloc) / n / 1024,
	}
	if after.cpu == 0 {
		f.cpu = math.NaN()
	}
	return f
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
