package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// openPolicy opens everything to everybody who signs in.
const openPolicy = "policy {\n  inline = \"permit(principal, action, resource);\"\n}\n"

// brokering is an auth block with which the gateway signs people in, with the store
// in a folder.
const brokering = "store {\n  dir = %q\n%s}\nauth \"oidc\" \"idp\" {\n  issuer    = \"http://127.0.0.1:1\"\n  client_id = \"mcpagg\"\n}\n" + openPolicy

// TestKept follows what is kept over reloads: the store is opened once, for the first
// configuration that needs it, and stays as it is, and so is who is signed in.
func TestKept(t *testing.T) {
	const direct = "auth \"oidc\" \"idp\" {\n  mode   = \"resource-server\"\n  issuer = \"http://127.0.0.1:1\"\n}\n" + openPolicy
	dir := filepath.Join(t.TempDir(), "state")
	stored := fmt.Sprintf("store {\n  dir = %q\n}\n", dir)
	broker := fmt.Sprintf(brokering, dir, "")
	s := newTestSignIns(t, slog.New(slog.DiscardHandler))
	for _, step := range []struct {
		what, text string
		served     bool
		brokers    bool     // the gateway signs people in itself
		open       string   // what is kept: the store, and who is signed in
		restart    []string // attributes whose change needs one
	}{
		{"nobody signs in", "", true, false, "", nil},
		{"people sign in at the provider, refused", stored + direct, false, false, "", nil},
		{"people sign in at the provider", stored + direct, true, false, "store", nil},
		{"a broker, refused", broker, false, false, "store", nil},
		{"a broker", broker, true, true, "store, state", nil},
		{"the same", broker, true, true, "store, state", nil},
		{"another token lifetime", strings.Replace(broker, "client_id", "access_ttl = \"1h\"\n  client_id", 1), true, true, "store, state", nil},
		{"another folder", fmt.Sprintf(brokering, dir+"2", ""), true, true, "store, state", []string{"store.dir"}},
		{"another schedule, refused", fmt.Sprintf(brokering, dir, "  rotate_keys = \"24h\"\n"), false, true, "store, state", []string{"store.rotate_keys"}},
		{"nothing to keep", ephemeral, true, true, "store, state", []string{"auth.ephemeral"}},
		{"no broker", stored + direct, true, false, "store, state", nil},
		{"a broker again", broker, true, true, "store, state", nil},
	} {
		cfg := loaded(t, step.text+fmt.Sprintf(configured, "first"))
		prepared(t, s, cfg)(step.served)
		if open := what(s.kept.opened()); (s.broker() != nil) != step.brokers || (s.brokerStatus() != nil) != step.brokers || open != step.open {
			t.Errorf("%s: broker %v, status %v, open is %q, want %q", step.what, s.broker(), s.brokerStatus(), open, step.open)
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

// what says what is open.
func what(k keeping) string {
	switch {
	case k.state != nil:
		return "store, state"
	case k.store != nil:
		return "store"
	}
	return ""
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

// TestNeeded finds out which configurations have something to keep from the start.
func TestNeeded(t *testing.T) {
	for text, want := range map[string]bool{
		"":             false,
		"store {\n}\n": true,
		"auth \"oidc\" \"idp\" {\n  mode   = \"resource-server\"\n  issuer = \"http://127.0.0.1:1\"\n}\n" + openPolicy:                               true,
		"upstream \"wiki\" {\n  url = \"http://localhost:1/mcp\"\n  tools {\n    override \"read\" {\n      labels = [\"private\"]\n    }\n  }\n}\n": true,
	} {
		s := newTestSignIns(t, slog.New(slog.DiscardHandler))
		cfg := loaded(t, text+fmt.Sprintf(configured, "first"))
		cfg.State.Store.Dir = filepath.Join(t.TempDir(), "state")
		prepared(t, s, cfg)(true)
		if open := s.kept.opened().store != nil; open != want || s.kept.brake.Kept() != want {
			t.Errorf("%q: the store is open: %v, want %v", text, open, want)
		}
	}
}

// TestBlocksWithoutStore blocks where nothing else has to be kept: the store is made
// then, and opened by the next gateway when it starts.
func TestBlocksWithoutStore(t *testing.T) {
	text := fmt.Sprintf(configured, "first")
	start := func(want string) *signIns {
		t.Helper()
		s := newTestSignIns(t, slog.New(slog.DiscardHandler))
		prepared(t, s, loaded(t, text))(true)
		if got := what(s.kept.opened()); got != want {
			t.Errorf("open is %q, want %q", got, want)
		}
		return s
	}
	block := func(s *signIns, person string) {
		t.Helper()
		if err := s.kept.brake.Block(t.Context(), brake.Block{Kind: brake.Person, What: person}); err != nil {
			t.Fatal(err)
		}
	}
	first, second := start(""), start("")
	for range 2 {
		if err := first.kept.keepBlocks(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	block(first, "ann")
	prepared(t, first, loaded(t, text))(true) // a reload changes nothing
	if got := what(first.kept.opened()); got != "store" {
		t.Errorf("open is %q", got)
	}

	block(second, "ben")
	if err := second.kept.keepBlocks(t.Context()); !errors.Is(err, store.ErrInUse) {
		t.Errorf("keeping blocks while another gateway does: %v", err)
	}
	third := start("") // which warns
	first.kept.close()
	if err := second.kept.keepBlocks(t.Context()); err != nil {
		t.Error(err)
	}
	second.kept.close()
	third.kept.close()
	var all []string
	for _, b := range start("store").kept.brake.Blocks() {
		all = append(all, b.What)
	}
	if want := []string{"ann", "ben"}; !slices.Equal(all, want) {
		t.Errorf("blocked is %q, want %q", all, want)
	}
}

// TestBlocksInMemory has nothing kept, as the configuration wants it.
func TestBlocksInMemory(t *testing.T) {
	s := newTestSignIns(t, slog.New(slog.DiscardHandler))
	prepared(t, s, loaded(t, ephemeral+fmt.Sprintf(configured, "first")))(true)
	if err := s.kept.keepBlocks(t.Context()); err == nil || !strings.Contains(err.Error(), "ephemeral") || s.kept.brake.Kept() {
		t.Errorf("keeping blocks: %v", err)
	}
	prepared(t, s, loaded(t, fmt.Sprintf(configured, "first")))(true)
	if err := s.kept.keepBlocks(t.Context()); err == nil || s.kept.brake.Kept() {
		t.Errorf("keeping blocks once nobody signs in: %v", err)
	}
}

// TestDamagedStore does not start without what may be blocked.
func TestDamagedStore(t *testing.T) {
	s := newTestSignIns(t, slog.New(slog.DiscardHandler))
	cfg := loaded(t, fmt.Sprintf(configured, "first"))
	if err := os.MkdirAll(cfg.State.Store.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.State.Store.Dir, "store"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.prepare(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "opening what the gateway keeps") {
		t.Errorf("got %v", err)
	}
}
