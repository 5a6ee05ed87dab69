package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// brokering is an auth block with which the gateway signs people in, with the store
// in a folder.
const brokering = "store {\n  dir = %q\n%s}\nauth \"oidc\" \"idp\" {\n  issuer    = \"http://127.0.0.1:1\"\n  client_id = \"mcpagg\"\n}\n"

// TestKept follows what is kept of who is signed in over reloads: it is opened once,
// for the first configuration that needs it, and stays as it is.
func TestKept(t *testing.T) {
	const direct = "auth \"oidc\" \"idp\" {\n  mode   = \"resource-server\"\n  issuer = \"http://127.0.0.1:1\"\n}\n"
	dir := filepath.Join(t.TempDir(), "state")
	broker := fmt.Sprintf(brokering, dir, "")
	s := newTestSignIns(t, slog.New(slog.DiscardHandler))
	for _, step := range []struct {
		what, text string
		served     bool
		brokers    bool     // the gateway signs people in itself
		open       bool     // something is kept
		restart    []string // attributes whose change needs one
	}{
		{"nobody signs in", "", true, false, false, nil},
		{"people sign in at the provider", direct, true, false, false, nil},
		{"a broker, refused", broker, false, false, false, nil},
		{"a broker", broker, true, true, true, nil},
		{"the same", broker, true, true, true, nil},
		{"another token lifetime", strings.Replace(broker, "client_id", "access_ttl = \"1h\"\n  client_id", 1), true, true, true, nil},
		{"another folder", fmt.Sprintf(brokering, dir+"2", ""), true, true, true, []string{"store.dir"}},
		{"another schedule, refused", fmt.Sprintf(brokering, dir, "  rotate_keys = \"24h\"\n"), false, true, true, []string{"store.rotate_keys"}},
		{"nothing to keep", ephemeral, true, true, true, []string{"auth.ephemeral"}},
		{"no broker", direct, true, false, true, nil},
		{"a broker again", broker, true, true, true, nil},
	} {
		cfg := loaded(t, step.text+fmt.Sprintf(configured, "first"))
		prepared(t, s, cfg)(step.served)
		state, _ := s.kept.opened()
		if (s.broker() != nil) != step.brokers || (s.brokerStatus() != nil) != step.brokers || (state != nil) != step.open {
			t.Errorf("%s: broker %v, status %v, state %v", step.what, s.broker(), s.brokerStatus(), state)
		}
		got := s.restartNeeded(cfg)
		if step.what == "nothing to keep" {
			got = slices.DeleteFunc(got, func(name string) bool { return name == "store.dir" }) // it is the default
		}
		if !slices.Equal(got, step.restart) {
			t.Errorf("%s: a restart is needed for %q, want %q", step.what, got, step.restart)
		}
	}
	if status := s.brokerStatus(); status.Store != dir {
		t.Errorf("it is kept in %q, want %q", status.Store, dir)
	}
}

// A gateway that has nowhere to keep who is signed in does not start to sign people
// in.
func TestNowhereToKeep(t *testing.T) {
	s := newTestSignIns(t, slog.New(slog.DiscardHandler))
	cfg := loaded(t, ephemeral+fmt.Sprintf(configured, "first"))
	cfg.State.Store.Memory, cfg.State.Store.Dir = false, ""
	if _, err := s.prepare(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "name one with store.dir") {
		t.Errorf("got %v", err)
	}
	if cfg.Gateway.Authenticate != nil || s.broker() != nil {
		t.Error("people can sign in")
	}
}

// TestStoreInUse has two gateways with the same folder, of which the first keeps it,
// and folders that cannot be used.
func TestStoreInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	text := fmt.Sprintf(brokering, dir, "") + fmt.Sprintf(configured, "first")
	first, second := newTestSignIns(t, slog.New(slog.DiscardHandler)), newTestSignIns(t, slog.New(slog.DiscardHandler))
	prepared(t, first, loaded(t, text))(true)
	_, err := second.prepare(t.Context(), loaded(t, text))
	if err == nil || !strings.Contains(err.Error(), "another gateway") || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second gateway: %v", err)
	}
	first.end()
	first.running.Wait()
	first.kept.close()
	prepared(t, second, loaded(t, text))(true) // once the first has let go

	other := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	third := newTestSignIns(t, slog.New(slog.DiscardHandler))
	_, err = third.prepare(t.Context(), loaded(t, fmt.Sprintf(brokering, other, "")+fmt.Sprintf(configured, "first")))
	if err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a folder that others may look into: %v", err)
	}
}
