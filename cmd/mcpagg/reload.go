package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

// A reloader replaces the configuration of a running gateway. Requests that
// come while it is at it become one more reload.
type reloader struct {
	// Set by newReloader, never changed.
	flags  serveFlags
	first  config.Server // what only a restart changes is as here
	swap   func(context.Context, *config.Config) (aggregator.Changes, error)
	opened func(*config.Config) []string // attributes of what is open until a restart that differ; nil for none
	// policies says in the log what others mean, and returns that; nil for nothing.
	policies func() []string
	audit    *auditLog // without a log if nobody gives another one
	log      *slog.Logger
	wake     chan struct{} // holds a token while next is not nil

	mu      sync.Mutex
	next    *reload        // that has not begun; nil if nobody asked; guarded by mu
	current *config.Config // that is served; guarded by mu
	loaded  time.Time      // when it was; guarded by mu
	failure *failure       // of the last reload; nil if it went well; guarded by mu
	inputs  *config.Inputs // of the last attempt; guarded by mu
}

// A reload is one attempt. The result is there once done is closed.
type reload struct {
	done   chan struct{}
	result reloadResult
	who    []string // asked for it; complete once it has begun
}

// A reloadResult is what came of a reload, as the control socket tells it.
type reloadResult struct {
	Reloaded    bool     `json:"reloaded"`
	Added       []string `json:"added"` // labels of upstreams, as in aggregator.Changes
	Removed     []string `json:"removed"`
	Reconnected []string `json:"reconnected"`
	Republished []string `json:"republished"`
	// SignIn says that people sign in another way, or not at all any more.
	SignIn bool `json:"sign_in"`
	// Policies are what other policies mean, in words.
	Policies []string `json:"policies"`
	// Warnings are those of the configuration that is served now.
	Warnings []string `json:"warnings"`
	// RestartNeeded are attributes whose change shows only after a restart.
	RestartNeeded []string `json:"restart_needed"`

	Failure *failure `json:"failure,omitempty"`
	// Text is the mistakes of the configuration with the lines in question.
	Text string `json:"text,omitempty"`
}

// A failure is why a reload changed nothing.
type failure struct {
	At       time.Time        `json:"at"`
	Error    string           `json:"error"`
	Mistakes []config.Mistake `json:"mistakes"` // empty if the configuration has none
}

func newReloader(f serveFlags, cfg *config.Config, swap func(context.Context, *config.Config) (aggregator.Changes, error), log *slog.Logger) *reloader {
	return &reloader{
		flags: f, first: cfg.Server, swap: swap, audit: newAuditLog(log), log: log, wake: make(chan struct{}, 1),
		current: cfg, loaded: time.Now(), inputs: cfg.Inputs,
	}
}

// run reloads when it is asked to, until ctx ends.
func (r *reloader) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			a := r.begin()
			before, log := r.served(), r.audit.served()
			a.result = r.attempt(ctx)
			r.tell(a, before, log)
			close(a.done)
		}
	}
}

// request asks for a reload that begins after now, and says who does.
func (r *reloader) request(who string) *reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = &reload{done: make(chan struct{})}
		r.wake <- struct{}{}
	}
	if !slices.Contains(r.next.who, who) {
		r.next.who = append(r.next.who, who)
	}
	return r.next
}

func (r *reloader) begin() *reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.next
	r.next = nil
	return a
}

// tell writes down what came of a reload, into the log that was served before if
// there is none any more.
func (r *reloader) tell(a *reload, before *config.Config, log *audit.Log) {
	act := audit.Record{Act: "reload", Who: strings.Join(a.who, ", "), What: "configuration", Old: before.Inputs.State()}
	if now := r.audit.served(); now != nil {
		log = now
	} else {
		act.What = "configuration, which has no audit block any more"
	}
	if f := a.result.Failure; f != nil {
		act.Error = f.Error
		r.audit.actIn(log, act)
		return
	}
	now := r.served()
	act.New = now.Inputs.State()
	r.audit.actIn(log, act)
	if old, digest := policiesOf(before), policiesOf(now); old != digest {
		r.audit.actIn(log, audit.Record{Act: "policies", Who: act.Who, What: "policies", Old: old, New: digest})
	}
}

// policiesOf is the digest of the policies in effect, or none.
func policiesOf(cfg *config.Config) string {
	if cfg.Policy == nil {
		return "none"
	}
	return cfg.Policy.Digest
}

// attempt does all that can fail, and then replaces the configuration.
func (r *reloader) attempt(ctx context.Context) reloadResult {
	cfg, err := r.load()
	if err != nil {
		return r.refuse(err)
	}
	cfg.UseSecrets(r.log, r.served())
	changes, err := r.swap(ctx, cfg)
	if err != nil {
		return r.refuse(fmt.Errorf("reloading: %w", err))
	}
	result := r.accept(cfg, changes)
	if r.policies != nil {
		result.Policies = list(r.policies())
	}
	return result
}

// accept notes that cfg is served, and says so.
func (r *reloader) accept(cfg *config.Config, changes aggregator.Changes) reloadResult {
	restart := r.restartNeeded(cfg)
	r.mu.Lock()
	defer r.mu.Unlock()
	signIn := r.current.SignInFingerprint != cfg.SignInFingerprint
	r.current, r.loaded, r.failure = cfg, time.Now(), nil
	r.log.Info("reloaded", "digest", shortDigest(cfg.Inputs.Digest()), "added", changes.Added, "removed", changes.Removed,
		"reconnected", changes.Reconnected, "republished", changes.Republished, "sign_in", signIn)
	for _, attribute := range restart {
		r.log.Warn("a change of this attribute shows only after a restart", "attribute", attribute)
	}
	return reloadResult{
		Reloaded: true, Added: list(changes.Added), Removed: list(changes.Removed),
		Reconnected: list(changes.Reconnected), Republished: list(changes.Republished), RestartNeeded: restart,
		SignIn: signIn, Warnings: list(cfg.Warnings), Policies: list(nil),
	}
}

// load reads the configuration, and notes what it has read.
func (r *reloader) load() (*config.Config, error) {
	cfg, err := config.Load(r.flags.config, os.LookupEnv)
	r.mu.Lock()
	defer r.mu.Unlock()
	var mistakes *config.Mistakes
	switch {
	case errors.As(err, &mistakes):
		r.inputs = mistakes.Inputs
		return nil, err
	case err != nil:
		return nil, err
	}
	r.inputs = cfg.Inputs
	if err := r.flags.override(cfg); err != nil {
		return nil, err
	}
	if err := r.checkListening(cfg); err != nil {
		return nil, err
	}
	if err := usePolicies(cfg); err != nil {
		return nil, err
	}
	return cfg, testPolicies(cfg)
}

// checkListening makes sure that what is listened on until a restart may be with
// cfg, too: else taking sign-in away would open the gateway to other machines.
func (r *reloader) checkListening(cfg *config.Config) error {
	err := cfg.CheckListen(r.first.Listen)
	if err == nil && r.first.Admin != "" {
		err = cfg.CheckAdmin(r.first.Admin)
	}
	if err != nil {
		return fmt.Errorf("the gateway listens there until it is restarted: %w", err)
	}
	return nil
}

// refuse keeps what is served, and says why.
func (r *reloader) refuse(err error) reloadResult {
	f := &failure{At: time.Now(), Error: err.Error(), Mistakes: []config.Mistake{}}
	result := reloadResult{
		Added: list(nil), Removed: list(nil), Reconnected: list(nil), Republished: list(nil), RestartNeeded: list(nil), Warnings: list(nil), Policies: list(nil), Failure: f,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var mistakes *config.Mistakes
	if errors.As(err, &mistakes) {
		f.Error = count(mistakes.Len(), "mistake") + " in the configuration"
		f.Mistakes, result.Text = mistakes.List(), mistakes.Error()
	}
	r.failure = f
	r.log.Error("not reloaded; the old configuration keeps serving", "err", f.Error)
	for _, m := range f.Mistakes {
		r.log.Error("mistake in the configuration", "mistake", plainQuotes(m.String()))
	}
	return result
}

// heed reloads at every signal, until ctx ends.
func (r *reloader) heed(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-hangup:
			r.request("SIGHUP")
		case <-ctx.Done():
			return
		}
	}
}

// watch asks for a reload when the configuration's files have changed, and are
// the same at the next look, so that none is read while it is being written.
func (r *reloader) watch(ctx context.Context) {
	look := time.NewTicker(watchInterval)
	defer look.Stop()
	var before *config.Inputs // at the last look, if they had changed
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		loaded, on := r.watched()
		now := loaded.Now()
		switch {
		case !on || now.Equal(loaded):
			before = nil
		case before == nil || !now.Equal(before):
			before = now
		default:
			before = nil
			r.log.Info("the configuration has changed")
			a := r.request("file change")
			select {
			case <-a.done:
			case <-ctx.Done():
			}
		}
	}
}

const watchInterval = time.Second

// watched is what the last attempt has read, and whether to look for changes.
func (r *reloader) watched() (*config.Inputs, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inputs, r.current.Server.Watch
}

func (r *reloader) served() *config.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// closeSecrets ends what is being fetched for the configuration that is served.
func (r *reloader) closeSecrets() { r.served().CloseSecrets() }

// drain is how long calls may take to finish when the gateway stops.
func (r *reloader) drain() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current.Server.Drain
}

// restartNeeded lists the attributes whose change in cfg shows only after a restart.
func (r *reloader) restartNeeded(cfg *config.Config) []string {
	attributes := restartNeeded(r.first, cfg.Server)
	if r.opened == nil {
		return attributes
	}
	for _, attribute := range r.opened(cfg) {
		if !slices.Contains(attributes, attribute) { // the socket is in store.dir, too
			attributes = append(attributes, attribute)
		}
	}
	return attributes
}

// restartNeeded lists the attributes that differ and that a reload cannot change.
func restartNeeded(first, now config.Server) []string {
	attributes := []string{}
	if first.Listen != now.Listen {
		attributes = append(attributes, "server.listen")
	}
	if first.Admin != now.Admin {
		attributes = append(attributes, "server.admin")
	}
	if first.Socket != now.Socket {
		attributes = append(attributes, cmp.Or(now.SocketFrom, first.SocketFrom))
	}
	return attributes
}

// list is an array in JSON also if it is empty.
func list(labels []string) []string { return append([]string{}, labels...) }

func shortDigest(digest string) string { return digest[:12] }

func (r *reloader) status() configStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.current.Inputs
	return configStatus{
		Paths: absolute(r.flags.config), Files: in.Files, Digest: in.Digest(), Loaded: r.loaded,
		RestartNeeded: r.restartNeeded(r.current), Failure: r.failure,
	}
}
