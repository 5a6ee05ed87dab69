package authserver

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// A Journal tells the operator what was refused and what to do about it, in no
// more lines than somebody can read: strangers cause them. Warnings and errors have
// bounds of their own, as anybody can have everything else be refused.
type Journal struct {
	log         *slog.Logger
	quiet, loud *journalBound
}

// A journalBound bounds lines.
type journalBound struct {
	rate    *rate.Limiter
	skipped atomic.Int64 // lines since the last one that was written
}

// NewJournal writes to log two lines a second at most, after the first fifty, and as
// many warnings and errors.
func NewJournal(log *slog.Logger) Journal {
	return Journal{log: log, quiet: &journalBound{rate: rate.NewLimiter(2, 50)}, loud: &journalBound{rate: rate.NewLimiter(2, 50)}}
}

// Refused writes a line about a problem.
func (j Journal) Refused(r *http.Request, endpoint string, p *Problem) {
	reason := p.Cause
	if reason == "" {
		reason = Plain(p.Text)
	}
	attrs := []slog.Attr{slog.String("endpoint", endpoint), slog.String("error", p.OAuth), slog.String("reason", reason)}
	if p.Remedy != "" {
		attrs = append(attrs, slog.String("remedy", p.Remedy))
	}
	j.Write(r, p.Level, "sign-in refused", attrs...)
}

// Narrowed writes a line about scopes that nobody knows.
func (j Journal) Narrowed(r *http.Request, unknown []string) {
	if len(unknown) == 0 {
		return
	}
	j.Write(r, slog.LevelInfo, "a client asked for scopes that are not configured, and gets the others",
		slog.String("unknown", Brief(strings.Join(unknown, " "))),
		slog.String("remedy", "If the client needs them, add them to scopes in the auth block; with tokens of Entra, the API app has to have them as well."))
}

// Write writes a line about a request of a stranger, unless there are too many.
func (j Journal) Write(r *http.Request, level slog.Level, msg string, attrs ...slog.Attr) {
	bound := j.quiet
	if level >= slog.LevelWarn {
		bound = j.loud
	}
	if !bound.rate.Allow() {
		bound.skipped.Add(1)
		return
	}
	if n := bound.skipped.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("skipped", n))
	}
	attrs = append(attrs, slog.String("client", r.RemoteAddr))
	j.log.LogAttrs(context.WithoutCancel(r.Context()), level, msg, attrs...)
}
