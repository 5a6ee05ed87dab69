package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/upstream"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// sampleStatus is the one in docs/operating.md.
func sampleStatus() status {
	return status{
		Version: "v0.1.0", PID: 4711, Started: noon.Add(-75 * time.Hour),
		Config: configStatus{
			Files: []string{"/etc/mcpagg/gateway.hcl"}, Digest: "4306ac49f6f3aa273b3e3008066491ae", Loaded: noon.Add(-200 * time.Minute),
			RestartNeeded: []string{"server.listen"},
			Failure: &failure{At: noon.Add(-12 * time.Second), Error: "1 mistake in the configuration", Mistakes: []config.Mistake{{
				Summary: "Unknown attribute", Detail: "An attribute named \"tokn\" is not expected here. Did you mean \"token\"?",
				File: "/etc/mcpagg/gateway.hcl", Position: &config.Position{Line: 7, Column: 3},
			}}},
		},
		Clients: clientsStatus{Sessions: 3, Streams: 2},
		Catalog: catalogStatus{Tools: 58, Prompts: 1, Resources: 12, Hidden: 1, Drifted: 2},
		SignIn: []providerStatus{
			{Name: "contoso", Issuer: "https://login.microsoftonline.com/6c1f6c8e-0000-0000-0000-000000000000/v2.0", Keys: 6, Fetched: noon.Add(-20 * time.Minute)},
		},
		Broker: &brokerStatus{Sessions: 41, Key: "2026-11", KeyCreated: noon.Add(-200 * time.Hour), Store: "/var/lib/mcpagg"},
		Audit:  &auditStatus{Path: "/var/log/mcpagg/audit.jsonl"},
		Policy: &policyStatus{
			Digest: "4f2ab19c3e3008066491ae", Policies: 120, Places: []string{"policies/"}, Mode: "enforce", Candidate: "9c0d1e2f3a4b5c6d",
			Warnings: []string{"policies/github.cedar:14:1: no tool has the argument reppo"},
		},
		Upstreams: []upstreamStatus{
			{
				Name: "github", State: upstream.Connected, Since: noon.Add(-75 * time.Hour), Era: upstream.ModernEra,
				InFlight: 2, Calls: 12345, Failed: 3, Latency: &latency{87.5, 1234}, Drifted: []string{"create_issue", "search_code"},
			},
			{
				Name: "files", State: upstream.Connected, Since: noon.Add(-10 * time.Minute), Era: upstream.LegacyEra,
				Instances: 3, Most: 50, Restarts: 2, Calls: 310, Failed: 1, Latency: &latency{1.25, 9.75}, LastError: "the process was killed by a signal",
			},
			{
				Name: "team-database-production", State: upstream.Lost, Since: noon.Add(-90 * time.Second), Era: upstream.LegacyEra,
				Restarts: 12, Calls: 4_000_000, Failed: 21, Latency: &latency{0.5, 2.5}, Next: noon.Add(8 * time.Second),
				LastError: "initialize: Post \"https://db.contoso.com/mcp\": dial tcp 10.1.2.3:443: connect: connection refused",
			},
		},
	}
}

// TestScreen shows the sample as docs/operating.md does.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	if err := screenOf(&out).show(sampleStatus(), noon); err != nil {
		t.Fatal(err)
	}
	inDocs(t, out.String())
}

// inDocs fails unless docs/operating.md shows the text.
func inDocs(t *testing.T, text string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), text) {
		t.Errorf("docs/operating.md does not show this:\n%s", text)
	}
}

// TestScreenFits checks that no line is longer than the screen is wide, whatever
// upstreams are called and say.
func TestScreenFits(t *testing.T) {
	s := sampleStatus()
	long := strings.Repeat("x", 300)
	s.Config.Files = []string{"/" + long, "/b"}
	s.Config.Failure.Mistakes[0].Detail = long + " and " + long
	s.Upstreams = append(s.Upstreams, upstreamStatus{
		Name: long, State: upstream.Connecting, Since: noon.Add(-999 * time.Hour), Restarts: 99999, InFlight: 9999,
		Calls: 1 << 60, Failed: 1 << 60, Latency: &latency{999.9, 60000}, LastError: long + "\x1b[31m\n" + strings.Repeat("y z ", 300), Drifted: []string{long + "\x1b[31m\n", "a", "b", "c", "d", "e"},
	})
	for _, width := range []int{80, 100, 200} {
		for _, line := range (&screen{width: width}).lines(s, noon) {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("%d characters of %d: %s", n, width, line)
			}
			if strings.ContainsAny(line, "\x1b\n") {
				t.Errorf("a command for the terminal: %q", line)
			}
		}
	}
}

// On a terminal what is drawn replaces what was there, and ends above its edge.
func TestRedraw(t *testing.T) {
	var out bytes.Buffer
	sc := &screen{out: &out, width: 80, height: 10, terminal: true, colour: true}
	if err := sc.redraw(sampleStatus(), noon); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if n := strings.Count(got, "\n"); n != 9 {
		t.Errorf("%d lines on a screen of 10, want 9", n)
	}
	for _, want := range []string{"\x1b[Hmcpagg v0.1.0", "… and 22 more lines\x1b[K\n\x1b[J"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}

func TestShort(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 9999: "9999", 12345: "12k", 4_000_000: "4000k", 12_000_000: "12M", 1<<64 - 1: "18446P"} {
		if got := short(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", time.Hour: "1h0m", 25 * time.Hour: "1d1h", 90 * time.Minute: "1h30m",
	} {
		if got := ago(noon.Add(-d), noon); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

// TestScreenOfTheProvider says that the provider does not let the gateway in.
func TestScreenOfTheProvider(t *testing.T) {
	s := sampleStatus()
	s.Broker.ProviderError = "the identity provider answered invalid_client, AADSTS7000215"
	var out bytes.Buffer
	if err := screenOf(&out).show(s, noon); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, "the provider let nobody sign in or go on lately: the identity provider answered invalid_client, AADSTS7000215") {
		t.Errorf("prints %s", out.String())
	}
}

// TestScreenOfTheAuditLog says that records are missing, or will be.
func TestScreenOfTheAuditLog(t *testing.T) {
	for want, a := range map[string]auditStatus{
		"audit log /var/log/audit.jsonl; 3 records are not in it Up":                                                {Path: "/var/log/audit.jsonl", Lost: 3},
		"audit log /var/log/audit.jsonl; it cannot be written, and calls are refused soon: no space left on device": {Path: "/var/log/audit.jsonl", LastError: "no space left on device"},
	} {
		s := sampleStatus()
		s.Audit, s.Config.Failure = &a, nil
		var out bytes.Buffer
		if err := screenOf(&out).show(s, noon); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(strings.ToLower(got), strings.ToLower(want)) {
			t.Errorf("prints %s, want %s", got, want)
		}
	}
}
