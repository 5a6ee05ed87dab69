package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

// auditLog writes down what is decided and what is done to the gateway. It is opened for
// the first configuration that wants it, and outlives all of them. It is safe for
// concurrent use.
type auditLog struct {
	log *slog.Logger // never changed

	mu   sync.Mutex
	open *audit.Log     // nil if there never was one; guarded by mu
	as   *audit.Options // of the configuration that is served; nil for no log; guarded by mu
}

func newAuditLog(log *slog.Logger) *auditLog { return &auditLog{log: log} }

// start opens the log of the first configuration, if it has one, and writes down that
// the gateway starts.
func (a *auditLog) start(cfg *config.Config) error {
	settle, err := a.prepare(cfg)
	if err != nil {
		return err
	}
	settle(true)
	a.act(audit.Record{Act: "start", Who: fmt.Sprintf("uid %d", os.Getuid()), What: "mcpagg " + programVersion(), New: cfg.Inputs.State()})
	return nil
}

// prepare makes the gateway of cfg write down what it decides, and opens what that
// needs. What is served so far is written as before, until settle says that cfg is
// served instead. It is not called twice at a time.
func (a *auditLog) prepare(cfg *config.Config) (settle func(served bool), err error) {
	open, as := a.opened()
	want := a.wanted(cfg)
	then := func(bool) {}
	switch {
	case want == nil:
	case open == nil:
		open, err = audit.Open(*want)
		then = func(served bool) {
			if !served {
				a.end(open)
			}
		}
	case as != nil && *as == *want:
		then = func(bool) { open.Reopen() }
	default:
		then, err = open.Change(*want)
	}
	if err != nil {
		return nil, err
	}
	if want != nil {
		cfg.Gateway.Audit = open
	}
	return func(served bool) {
		then(served)
		if served {
			a.serve(open, want)
		}
	}, nil
}

// wanted are the options of cfg, or nil.
func (a *auditLog) wanted(cfg *config.Config) *audit.Options {
	if len(cfg.Audit) == 0 {
		return nil
	}
	want := cfg.Audit[0]
	want.Log = a.log
	return &want
}

// reload is a reload together with the audit log.
func (a *auditLog) reload(swap func(context.Context, *config.Config) (aggregator.Changes, error)) func(context.Context, *config.Config) (aggregator.Changes, error) {
	return func(ctx context.Context, cfg *config.Config) (aggregator.Changes, error) {
		settle, err := a.prepare(cfg)
		if err != nil {
			return aggregator.Changes{}, err
		}
		changes, err := swap(ctx, cfg)
		settle(err == nil)
		return changes, err
	}
}

// opened is what is open, and as what it is served; nil for nothing.
func (a *auditLog) opened() (*audit.Log, *audit.Options) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open, a.as
}

// served is the log of the configuration that is served, or nil.
func (a *auditLog) served() *audit.Log {
	if open, as := a.opened(); as != nil {
		return open
	}
	return nil
}

// serve remembers what is served from now on.
func (a *auditLog) serve(open *audit.Log, as *audit.Options) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open, a.as = open, as
}

// act writes down what somebody has done, or has tried to.
func (a *auditLog) act(r audit.Record) { a.actIn(a.served(), r) }

// actIn writes it into a log, which may be nil.
func (a *auditLog) actIn(log *audit.Log, r audit.Record) {
	r.Kind = audit.KindAct
	if log != nil && !log.Add(r) {
		a.log.Error("what was done is not in the audit log", "act", r.Act, "who", r.Who, "what", r.What, "old", r.Old, "new", r.New)
	}
}

// close writes what waits. It is called once nobody calls or acts any more.
func (a *auditLog) close() {
	if open, _ := a.opened(); open != nil {
		a.serve(nil, nil)
		a.end(open)
	}
}

func (a *auditLog) end(l *audit.Log) {
	if err := l.Close(); err != nil {
		a.log.Error("the audit log was not closed well", "err", err)
	}
}

// An auditStatus says how the audit log does.
type auditStatus struct {
	Path string `json:"path"`
	// LastError is why records cannot be written now.
	LastError string `json:"last_error,omitempty"`
	// Lost counts the records that there are none of, since the gateway started.
	Lost int64 `json:"lost"`
}

// status is nil where nothing is written down.
func (a *auditLog) status() *auditStatus {
	open, as := a.opened()
	if as == nil {
		return nil
	}
	s := &auditStatus{Path: as.Path, Lost: open.Lost()}
	if err := open.Err(); err != nil {
		s.LastError = err.Error()
	}
	return s
}

// textOf is why something was not done, "" if it was.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
