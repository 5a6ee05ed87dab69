package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		sorted []time.Duration
		q      float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.5, 7},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2}, 0.5, 1},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
	} {
		if got := percentile(test.sorted, test.q); got != test.want {
			t.Errorf("percentile %g of %d values: got %d, want %d", test.q, len(test.sorted), got, test.want)
		}
	}
}

func TestMedian(t *testing.T) {
	values := []float64{9, 1, 4}
	if got := median(values); got != 4 {
		t.Errorf("got %g, want 4", got)
	}
	if values[0] != 9 {
		t.Error("the values were sorted in place")
	}
	if got := median([]float64{3, 1, 2, 10}); got != 2.5 {
		t.Errorf("got %g, want 2.5", got)
	}
}

func TestParseStat(t *testing.T) {
	const stat = "4711 (a ) b (c) S 1 4711 4711 0 -1 4194560 1 0 0 0 250 31 0 0 20 0 9 0 100 1 1 1"
	got, err := parseStat(stat)
	if err != nil || got != 2810*time.Millisecond {
		t.Errorf("got %v and %v, want 2.81s", got, err)
	}
	if _, err := parseStat("4711 (a) S 1"); err == nil {
		t.Error("a short line passed")
	}
}

func TestParseSchedstat(t *testing.T) {
	if got, err := parseSchedstat("122778 3242143 2\n"); err != nil || got != 122778 {
		t.Errorf("got %v and %v", got, err)
	}
	if _, err := parseSchedstat("\n"); err == nil {
		t.Error("an empty line passed")
	}
}

func TestParseResident(t *testing.T) {
	got, err := parseResident("Name:\tbench\nVmHWM:\t   20000 kB\nVmRSS:\t    1024 kB\n")
	if err != nil || got != 1<<20 {
		t.Errorf("got %g and %v, want 1 MiB", got, err)
	}
	if _, err := parseResident("Name:\tbench\n"); err == nil {
		t.Error("a status without VmRSS passed")
	}
}

func TestOwnCPUTimeGrows(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 30*time.Millisecond; {
	}
	after, err := cpuTime(os.Getpid())
	if err != nil || after <= before {
		t.Errorf("got %v after %v, and %v", after, before, err)
	}
}

func TestPortsStayBelowEphemeralOnes(t *testing.T) {
	for _, test := range []struct {
		ephemeral string
		want      int
	}{
		{"32768\t60999\n", 30000},
		{"16000 65535", 16000},
		{"1024 65535", 30000}, // leaves nothing below
		{"", 30000},
	} {
		if got := portCeiling(test.ephemeral, 10000, 30000); got != test.want {
			t.Errorf("%q: got %d, want %d", test.ephemeral, got, test.want)
		}
	}
	p := newPorts()
	a, errA := p.address()
	b, errB := p.address()
	if errA != nil || errB != nil || a == b {
		t.Errorf("got %s and %s, errors %v and %v", a, b, errA, errB)
	}
}

// testReport has one row with a goal that is met, one that is missed, and one
// without figures of the gateway.
func testReport() *report {
	r := newReport(options{duration: time.Second, rounds: 3, answers: "sse"})
	for _, round := range [][columns]float64{{100, 200, 300}, {100, 100, 90}, {100, 220, 242}} {
		near := r.row("calls", "near", "µs", ratioAtMost(1.3))
		far := r.row("calls", "far", "µs", ratioAtLeast(2))
		for column, figure := range round {
			near.add(column, figure)
			far.add(column, figure)
		}
	}
	r.row("more", "open", "KiB", atMost(10, "KiB")).add(proxied, 5)
	r.row("more", "open", "KiB", atMost(10, "KiB")).add(gatewayed, math.NaN())
	return r
}

func TestRatioIsTakenRoundByRound(t *testing.T) {
	w := testReport().rows[0]
	if got := w.ratios(); len(got) != 3 || got[0] != 0.9 || got[2] != 1.5 {
		t.Errorf("got ratios %v, want 0.9, 1.1 and 1.5", got)
	}
	if got := w.ratio(); math.Abs(got-1.1) > 1e-9 {
		t.Errorf("got ratio %g, want 1.1", got)
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	if err := testReport().writeText(&out); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(out.String(), "\n\n")
	want := `
calls        direct  reverse proxy  gateway  gateway/proxy  over rounds  target
  near  µs      100            200      242          1.10x    0.90–1.50  ≤ 1.30x   met
  far   µs      100            200      242          1.10x    0.90–1.50  ≥ 2.00x   missed

more         direct  reverse proxy  gateway  gateway/proxy  over rounds  target
  open  KiB       –           5.00        –                              ≤ 10 KiB
`
	if got := "\n" + table; got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func TestJSONLeavesOutWhatIsUnknown(t *testing.T) {
	var out bytes.Buffer
	if err := testReport().writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Machine struct{ Cores int }
		Rows    []map[string]any
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Machine.Cores == 0 || len(got.Rows) != 3 {
		t.Fatalf("got %s", out.String())
	}
	if row := got.Rows[0]; row["gateway"] != 242.0 || row["verdict"] != "met" {
		t.Errorf("got %v", row)
	}
	if _, known := got.Rows[2]["gateway"]; known {
		t.Errorf("got %v, want no figure of the gateway", got.Rows[2])
	}
}
