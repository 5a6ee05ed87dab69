package aggregator

import (
	"log/slog"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/oauth"
)

func TestFigures(t *testing.T) {
	g := New(Options{Log: slog.New(slog.DiscardHandler)})
	if got := g.Figures(); got != (Figures{}) {
		t.Errorf("a new gateway has %+v", got)
	}
	silent, listening := newSession(oauth.Anonymous, "2025-11-25", nil), newSession(oauth.Anonymous, "2025-11-25", nil)
	g.sessions.open(silent)
	g.sessions.open(listening)
	_, _, detach := listening.attach(t.Context())
	modern := &listener{}
	g.listeners.add(modern)
	if want := (Figures{Sessions: 2, Streams: 2}); g.Figures() != want {
		t.Errorf("%+v, want %+v", g.Figures(), want)
	}
	detach()
	g.sessions.close(silent.id)
	if want := (Figures{Sessions: 1, Streams: 1}); g.Figures() != want {
		t.Errorf("%+v, want %+v", g.Figures(), want)
	}
}

// Every decision is counted once, and one of no known kind as a denial.
func TestDecisionsAreCounted(t *testing.T) {
	g := New(Options{Log: slog.New(slog.DiscardHandler)})
	for _, d := range []audit.Decision{audit.Allow, audit.Deny, audit.Deny, audit.WouldDeny, ""} {
		g.figures.decided(d)
	}
	if want := (Figures{Allowed: 1, Denied: 3, WouldDeny: 1}); g.Figures() != want {
		t.Errorf("%+v, want %+v", g.Figures(), want)
	}
}
