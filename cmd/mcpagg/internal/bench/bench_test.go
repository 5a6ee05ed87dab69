package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestMain lets the test's own binary be upstream and reverse proxy.
func TestMain(m *testing.M) {
	played, err := playRole(context.Background(), os.Args[1:])
	if !played {
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestQuickRun measures the reverse proxy alone, with everything else in place.
func TestQuickRun(t *testing.T) {
	var out bytes.Buffer
	args := []string{"-quick", "-d", "50ms", "-rounds", "1", "-gateway", noGateway, "-json"}
	if err := run(t.Context(), args, &out); err != nil {
		t.Fatal(err)
	}
	var report struct {
		Rows []struct {
			Group, Name string
			Proxy       *float64 `json:"reverse_proxy"`
		}
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	groups := map[string]int{}
	for _, row := range report.Rows {
		groups[row.Group]++
		if row.Proxy == nil && !strings.Contains(row.Name, "slow upstreams") {
			t.Errorf("%s, %s: the reverse proxy has no figure", row.Group, row.Name)
		}
	}
	for _, group := range []string{"legacy calls", "modern calls", "tools/list, 200 tools", firstGroup, sessionGroup, memoryGroup} {
		if groups[group] == 0 {
			t.Errorf("no figures in %q", group)
		}
	}
}

func TestStoppedProcessesAreGone(t *testing.T) {
	b := testBench(t)
	s, err := b.startUpstream(t.Context(), "both", 3)
	if err != nil {
		t.Fatal(err)
	}
	b.stopFrom(0)
	if err := dialable(t.Context(), s.address); err == nil {
		t.Errorf("the upstream still listens on %s", s.address)
	}
}

func TestProcessThatEndsIsNotAwaited(t *testing.T) {
	b := testBench(t)
	p, err := b.start(t.Context(), "the upstream", b.self, "upstream", "-era", "both", "-nonsense")
	if err != nil {
		t.Fatal(err)
	}
	err = p.await(t.Context(), func(context.Context) error { return fmt.Errorf("not yet") })
	if err == nil || !strings.Contains(err.Error(), "ended") || !strings.Contains(err.Error(), "-nonsense") {
		t.Errorf("got %v, want that it ended and what it printed", err)
	}
}

func testBench(t *testing.T) *bench {
	t.Helper()
	b, err := newBench(t.Context(), options{gateway: noGateway, answers: "sse"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

func TestOptionMistakes(t *testing.T) {
	for _, args := range [][]string{
		{"-answers", "xml"},
		{"-upstream", "2025"},
		{"-only", "calls,tea"},
		{"-rounds", "0"},
		{"-d", "0s"},
		{"left over"},
	} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("%q passed", args)
		}
	}
}

func TestQuickKeepsWhatIsGiven(t *testing.T) {
	o, err := parseOptions([]string{"-quick", "-rounds", "7"})
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 7 || o.sessions >= 1000 {
		t.Errorf("got %d rounds and %d sessions", o.rounds, o.sessions)
	}
}
