package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/policy/lock"
)

func newLockCommand() *cobra.Command {
	var l locker
	cmd := &cobra.Command{
		Use:   "lock [UPSTREAM…]",
		Short: "Review definitions of tools, and pin them",
		Long: `Connect to the upstreams of a configuration, show which of their tools are not as
somebody has reviewed them, and pin them as they are now: in ` + lock.Name + `, beside the
first configuration file. On a terminal it asks for each upstream; elsewhere nothing
is pinned without --yes, and the exit code is 1 if there is something to review.

What an upstream says of its tools is believed once it was reviewed, and for as long
as it stays the same. An upstream that cannot be reached keeps its pins, and the
exit code is 1. Of upstreams that are named, only those are looked at.

With --check, nothing is asked or written: the exit code is 1 if a tool is not as it
was reviewed. Put ` + lock.Name + ` under version control, and that into a pipeline.`,
		Example: `  mcpagg lock -c gateway.hcl
  mcpagg lock -c gateway.hcl github
  mcpagg lock -c gateway.hcl --check
  mcpagg lock -c gateway.hcl --yes --prune`,
		RunE: func(cmd *cobra.Command, args []string) error {
			l.upstreams, l.out, l.err = args, cmd.OutOrStdout(), cmd.ErrOrStderr()
			l.in, l.asks = cmd.InOrStdin(), !l.json && onTerminal(cmd.InOrStdin()) && onTerminal(cmd.OutOrStdout())
			return l.run(cmd.Context())
		},
	}
	addConfigFlag(cmd, &l.config)
	flags := cmd.Flags()
	flags.BoolVar(&l.check, "check", false, "only say what is not as it was reviewed")
	flags.BoolVarP(&l.yes, "yes", "y", false, "pin everything as it is, without asking")
	flags.BoolVar(&l.prune, "prune", false, "also remove pins of upstreams that are not configured any more")
	flags.BoolVar(&l.json, "json", false, "print as JSON; never asks")
	flags.DurationVar(&l.timeout, "timeout", time.Minute, "longest time to connect")
	cmd.MarkFlagsMutuallyExclusive("check", "yes")
	cmd.MarkFlagsMutuallyExclusive("check", "prune")
	return cmd
}

// A locker pins definitions of tools.
type locker struct {
	config, upstreams       []string
	check, yes, prune, json bool
	timeout                 time.Duration

	asks     bool // somebody can be asked
	in       io.Reader
	out, err io.Writer
}

// A lockResult is what mcpagg lock --json prints.
type lockResult struct {
	Lock      string           `json:"lock"` // path of the file
	Upstreams []upstreamReview `json:"upstreams"`
}

func (l *locker) run(ctx context.Context) error {
	cfg, err := loadConfig(l.config, l.err)
	if err != nil {
		return err
	}
	path := cfg.LockFile
	file, err := lock.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return usageError("%w", err)
	}
	gone, err := l.choose(cfg, file)
	if err != nil {
		return err
	}
	reviews, err := l.review(ctx, cfg, file)
	if err != nil {
		return err
	}
	for _, label := range gone {
		reviews = append(reviews, unconfigured(label, file.Upstreams[label]))
	}
	return l.settle(ctx, path, reviews)
}

// choose leaves those upstreams of the configuration that are named, or all, and
// returns those that are only in the lock.
func (l *locker) choose(cfg *config.Config, file lock.File) (gone []string, err error) {
	configured := func(label string) bool {
		return slices.ContainsFunc(cfg.Gateway.Upstreams, func(u aggregator.Upstream) bool { return u.Name == label })
	}
	for _, label := range l.upstreams {
		if _, ok := file.Upstreams[label]; !ok && !configured(label) {
			return nil, usageError("there is no upstream %q, neither in the configuration nor in %s.%s", label, lock.Name, config.DidYouMean(label, l.labels(cfg, file)))
		}
	}
	named := func(label string) bool { return len(l.upstreams) == 0 || slices.Contains(l.upstreams, label) }
	for _, label := range slices.Sorted(maps.Keys(file.Upstreams)) {
		if named(label) && !configured(label) {
			gone = append(gone, label)
		}
	}
	cfg.Gateway.Upstreams = slices.DeleteFunc(slices.Clone(cfg.Gateway.Upstreams), func(u aggregator.Upstream) bool { return !named(u.Name) })
	return gone, nil
}

// labels are those that there are.
func (l *locker) labels(cfg *config.Config, file lock.File) []string {
	all := slices.Collect(maps.Keys(file.Upstreams))
	for _, u := range cfg.Gateway.Upstreams {
		all = append(all, u.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// review connects to the upstreams and compares what they have with the lock.
func (l *locker) review(ctx context.Context, cfg *config.Config, file lock.File) ([]upstreamReview, error) {
	for i := range cfg.Gateway.Upstreams {
		cfg.Gateway.Upstreams[i].Pins = nil // what has drifted is to be seen here
	}
	gateway := newGateway(cfg, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	var running sync.WaitGroup
	defer cfg.CloseSecrets()
	defer running.Wait()
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	running.Go(func() { gateway.Run(runCtx) })
	if err := gateway.Settled(ctx); err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	catalog := gateway.Catalog()
	var reviews []upstreamReview
	for i, u := range gateway.Upstreams() {
		was, known := file.Upstreams[u.Name]
		r := upstreamReview{Upstream: u.Name, was: was, known: known}
		image, err := imageOf(ctx, &cfg.Gateway.Upstreams[i])
		r.compare(u, catalog.Definitions(u.Name), image, err)
		reviews = append(reviews, r)
	}
	return reviews, nil
}

// settle shows what was found, asks for what is to be pinned, and pins it.
func (l *locker) settle(ctx context.Context, path string, reviews []upstreamReview) error {
	for i := range reviews {
		r := &reviews[i]
		if !l.json {
			r.print(l.out)
		}
		if !r.differs() && !(r.State == stateUnconfigured && l.prune) || l.check {
			continue
		}
		agreed, err := l.agree(ctx, r)
		if err != nil {
			return err
		}
		r.Pinned = agreed
	}
	if err := write(path, reviews); err != nil {
		return err
	}
	if l.json {
		if err := printJSON(l.out, lockResult{path, reviews}); err != nil {
			return err
		}
	} else {
		printPinned(l.out, reviews)
	}
	return l.verdict(reviews)
}

// agree reports whether an upstream is to be pinned as it is.
func (l *locker) agree(ctx context.Context, r *upstreamReview) (bool, error) {
	if l.yes || !l.asks {
		return l.yes, nil
	}
	question := "Pin the definitions of " + r.Upstream + " as they are now?"
	if r.State == stateUnconfigured {
		question = "Remove the pins of " + r.Upstream + "?"
	}
	fmt.Fprintf(l.out, "%s [y/N] ", question)
	answer, err := readLine(ctx, l.in)
	if err != nil {
		return false, err
	}
	fmt.Fprintln(l.out)
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))), nil
}

// readLine reads a line, at its end too, unless ctx ends before. What reads goes on
// then, since nothing can stop it; the program is about to end.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	read := make(chan string, 1)
	go func() {
		var line []byte
		for b := make([]byte, 1); len(line) < 100; { // no more than the line: the next question has its own
			n, err := in.Read(b)
			line = append(line, b[:n]...)
			if err != nil || n > 0 && b[0] == '\n' {
				break
			}
		}
		read <- string(line)
	}()
	select {
	case line := <-read:
		return line, nil
	case <-ctx.Done():
		return "", errors.New("interrupted; nothing was pinned")
	}
}

// write pins what was agreed to. What somebody else has written meanwhile stays.
func write(path string, reviews []upstreamReview) error {
	agreed := slices.DeleteFunc(slices.Clone(reviews), func(r upstreamReview) bool { return !r.Pinned })
	if len(agreed) == 0 {
		return nil
	}
	return lock.Update(path, func(f *lock.File) error {
		for _, r := range agreed {
			was, known := f.Upstreams[r.Upstream]
			if known != r.known || was.Image != r.was.Image || !maps.EqualFunc(was.Tools, r.was.Tools, lock.Pin.Equal) {
				return fmt.Errorf("the pins of %s have changed meanwhile, in %s: nothing was written; review them again", r.Upstream, path)
			}
			if r.State == stateUnconfigured {
				delete(f.Upstreams, r.Upstream)
				continue
			}
			f.Upstreams[r.Upstream] = r.now
		}
		return nil
	})
}

// verdict is the error of a command that leaves something to do.
func (l *locker) verdict(reviews []upstreamReview) error {
	unreachable, open := 0, 0
	for _, r := range reviews {
		switch {
		case r.State == stateUnreachable:
			unreachable++
		case r.differs() && !r.Pinned:
			open++
		}
	}
	var what []string
	if open > 0 {
		is, them := "is", "it"
		if open > 1 {
			is, them = "are", "them"
		}
		remedy := "review and pin " + them + " with: mcpagg lock" + configFlags(l.config)
		if !l.check && !l.asks {
			remedy = "pin what is shown here with --yes"
		}
		what = append(what, fmt.Sprintf("%s %s not as reviewed; %s", count(open, "upstream"), is, remedy))
	}
	if unreachable > 0 {
		what = append(what, fmt.Sprintf("%s could not be reached", count(unreachable, "upstream")))
	}
	if what == nil {
		return nil
	}
	return &exitError{Code: exitRunTime, Err: errors.New(strings.Join(what, "\n"))}
}
