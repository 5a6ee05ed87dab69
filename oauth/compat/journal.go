package compat

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// A journal tells the operator what was refused and what to do about it, in no
// more lines than somebody can read: strangers cause them.
type journal struct {
	log     *slog.Logger
	bound   *rate.Limiter
	skipped *atomic.Int64 // lines since the last one that was written
}

func newJournal(log *slog.Logger) journal {
	return journal{log: log, bound: rate.NewLimiter(2, 50), skipped: &atomic.Int64{}}
}

// refused writes a line about a problem.
func (j journal) refused(r *http.Request, endpoint string, p *problem) {
	reason := p.cause
	if reason == "" {
		reason = plain(p.text)
	}
	attrs := []slog.Attr{slog.String("endpoint", endpoint), slog.String("error", p.oauth), slog.String("reason", reason)}
	if p.remedy != "" {
		attrs = append(attrs, slog.String("remedy", p.remedy))
	}
	j.write(r, p.level, "sign-in refused", attrs...)
}

// narrowed writes a line about scopes that nobody knows.
func (j journal) narrowed(r *http.Request, unknown []string) {
	if len(unknown) == 0 {
		return
	}
	j.write(r, slog.LevelInfo, "a client asked for scopes that are not configured, and gets the others",
		slog.String("unknown", brief(strings.Join(unknown, " "))),
		slog.String("remedy", "If the client needs them, expose them on the API app and add them to scopes in the auth block."))
}

func (j journal) write(r *http.Request, level slog.Level, msg string, attrs ...slog.Attr) {
	if !j.bound.Allow() {
		j.skipped.Add(1)
		return
	}
	if n := j.skipped.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("skipped", n))
	}
	attrs = append(attrs, slog.String("client", r.RemoteAddr))
	j.log.LogAttrs(context.WithoutCancel(r.Context()), level, msg, attrs...)
}
