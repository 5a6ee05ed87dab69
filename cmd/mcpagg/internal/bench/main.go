// Command bench measures what the gateway costs. One run puts three ways to one
// upstream side by side: straight to it, through a bare reverse proxy, and
// through the gateway, in both eras of MCP, and prints one table:
//
//	go run ./cmd/mcpagg/internal/bench
//
// The reverse proxy is the yardstick: it is the least a program between client
// and upstream can cost, so the ratio between the gateway and it holds on any
// machine, where microseconds do not. The three are measured in turn, round
// after round, so that whatever else the machine does disturbs all alike.
//
// The command is its own upstream and reverse proxy: it runs itself again with
// the arguments "upstream" and "proxy".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// longestRun bounds the whole run.
const longestRun = 20 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	played, err := playRole(ctx, os.Args[1:])
	if !played {
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// playRole serves as the upstream or the reverse proxy of another bench, if
// the arguments say so.
func playRole(ctx context.Context, args []string) (played bool, err error) {
	if len(args) == 0 {
		return false, nil
	}
	switch args[0] {
	case "upstream":
		return true, runUpstream(ctx, args[1:])
	case "proxy":
		return true, runProxy(ctx, args[1:])
	}
	return false, nil
}

// options say what to measure and for how long.
type options struct {
	duration time.Duration // of one measurement
	rounds   int
	gateway  string // path of the binary, "" to build it, noGateway to leave it out
	answers  string // how the upstream answers: sse or json
	upstream string // era the upstream speaks: same, legacy, modern or both
	only     []string
	json     bool
	profile  string // directory for CPU profiles of the gateway, "" for none

	callers     int // of the measurement with many
	toolsOfEach int // of ten upstreams
	sessions    int // idle ones to open
	starts      int // cold starts
	settle      time.Duration
	flat        flatSizes
}

// flatSizes are how many of each the gateways have that are compared, the
// smallest number first.
type flatSizes struct{ upstreams, tools, sessions []int }

// noGateway as options.gateway compares the reverse proxy alone.
const noGateway = "none"

// parts are what -only chooses from, in the order of the table.
var parts = []string{"calls", "auth", "lists", "first", "sessions", "start", "flat"}

func parseOptions(args []string) (options, error) {
	o := options{callers: 16, toolsOfEach: 100, sessions: 1000, starts: 5, settle: time.Second}
	o.flat = flatSizes{upstreams: []int{1, 10, 100}, tools: []int{10, 1000, 10_000}, sessions: []int{1, 100, 10_000}}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := fs.Bool("quick", false, "a smoke run of some seconds; its figures mean little")
	only := fs.String("only", strings.Join(parts, ","), "parts to measure")
	fs.DurationVar(&o.duration, "d", time.Second, "duration of each measurement")
	fs.IntVar(&o.rounds, "rounds", 5, "how often everything is measured in turn; medians are printed")
	fs.StringVar(&o.gateway, "gateway", "", "mcpagg binary to measure (default: build this tree; none: only the reverse proxy)")
	fs.StringVar(&o.answers, "answers", "sse", "how the upstream answers: sse or json")
	fs.StringVar(&o.upstream, "upstream", "same", "era that the upstream speaks: same as the client, legacy, modern or both")
	fs.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	fs.StringVar(&o.profile, "profile", "", "write CPU profiles of the gateway under load to this directory")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.only = strings.Split(*only, ",")
	if *quick {
		given := map[string]bool{}
		fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
		o.shorten(given)
	}
	return o, o.check(fs.Args())
}

// shorten makes a smoke run of it, but for what was given expressly.
func (o *options) shorten(given map[string]bool) {
	if !given["d"] {
		o.duration = 150 * time.Millisecond
	}
	if !given["rounds"] {
		o.rounds = 2
	}
	o.toolsOfEach, o.sessions, o.starts, o.settle = 20, 100, 2, 50*time.Millisecond
	o.flat = flatSizes{upstreams: []int{1, 3}, tools: []int{3, 100}, sessions: []int{1, 100}}
}

func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.duration <= 0 || o.rounds <= 0:
		return errors.New("-d and -rounds must be positive")
	case o.answers != "sse" && o.answers != "json":
		return fmt.Errorf("-answers %q is neither sse nor json", o.answers)
	case !slices.Contains([]string{"same", "legacy", "modern", "both"}, o.upstream):
		return fmt.Errorf("-upstream %q is none of same, legacy, modern, both", o.upstream)
	}
	for _, part := range o.only {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("-only %q is none of %s", part, strings.Join(parts, ", "))
		}
	}
	return nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	opts, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, longestRun)
	defer cancel()
	debug.SetGCPercent(400) // the load generator's own garbage is not the subject

	b, err := newBench(ctx, opts)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.measure(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %w", context.Cause(ctx))
		}
		return err
	}
	if opts.json {
		err = b.report.writeJSON(out)
	} else {
		err = b.report.writeText(out)
	}
	return errors.Join(err, b.failures.err())
}
