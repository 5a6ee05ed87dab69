package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/upstream"
)

// ephemeral is an auth block with which the gateway signs people in, and keeps
// nothing.
const ephemeral = "auth \"oidc\" \"idp\" {\n  issuer    = \"http://127.0.0.1:1\"\n  client_id = \"mcpagg\"\n  ephemeral = true\n}\n" + openPolicy

// idle is a gateway that does not run, signs people in, and has an audit log.
func idle(t *testing.T, labels ...string) *operated {
	t.Helper()
	var text strings.Builder
	for _, label := range labels {
		fmt.Fprintf(&text, configured, label)
	}
	text.WriteString(ephemeral)
	file := t.TempDir() + "/gateway.hcl"
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	f := serveFlags{config: []string{file}}
	cfg, err := config.Load(f.config, testEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	cfg.Audit = []audit.Options{{Path: filepath.Join(t.TempDir(), "audit.jsonl")}}
	a := newAuditLog(log)
	if err := a.start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	g := newGateway(cfg, log)
	s := newTestSignIns(t, log)
	prepared(t, s, cfg)(true)
	reloads := newReloader(f, cfg, a.reload(s.reload(g)), log)
	reloads.audit = a
	return &operated{g, reloads, s, newPolicyTeller(g, reloads.served, log), time.Now(), a}
}

func gather(t *testing.T, o *operated) []*dto.MetricFamily {
	t.Helper()
	families, err := newMetrics(o).Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// TestMetrics checks the names and helps by Prometheus's own rules, and that
// docs/operating.md lists them all and no others.
func TestMetrics(t *testing.T) {
	families := gather(t, idle(t, "one", "two"))
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	known := map[string]bool{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "mcpagg_") {
			continue // of Go and the process
		}
		known[f.GetName()] = true
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		inDocs(t, fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp()))
	}
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`mcpagg_[a-z_]+`).FindAllString(string(page), -1) {
		if !known[m] {
			t.Errorf("docs/operating.md has %s, which there is not", m)
		}
	}
}

// Nothing but the configuration makes new series.
func TestMetricsAreBounded(t *testing.T) {
	series := func(labels ...string) (n int) {
		for _, f := range gather(t, idle(t, labels...)) {
			if strings.HasPrefix(f.GetName(), "mcpagg_") {
				n += len(f.GetMetric())
			}
		}
		return n
	}
	one, two, three := series("a"), series("a", "b"), series("a", "b", "c")
	if two-one != three-two || two == one {
		t.Errorf("%d, %d and %d series for one, two and three upstreams", one, two, three)
	}
}

// A histogram's buckets hold those before them, and all calls are in the last.
func TestDurations(t *testing.T) {
	l := upstream.Latency{Sum: 3 * time.Second}
	l.Counts[0], l.Counts[2], l.Counts[len(l.Counts)-1] = 1, 2, 4
	var m dto.Metric
	if err := durations(l, "x").Write(&m); err != nil {
		t.Fatal(err)
	}
	h := m.GetHistogram()
	var got []uint64
	for _, b := range h.GetBucket()[:4] {
		got = append(got, b.GetCumulativeCount())
	}
	if fmt.Sprint(got) != "[1 1 3 3]" || h.GetSampleCount() != 7 || h.GetSampleSum() != 3 || h.GetBucket()[0].GetUpperBound() != 0.001 {
		t.Errorf("buckets %v, %v calls in %v s", got, h.GetSampleCount(), h.GetSampleSum())
	}
}
