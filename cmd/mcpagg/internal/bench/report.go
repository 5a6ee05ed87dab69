package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The columns of the table: three ways to one upstream.
const (
	direct = iota
	proxied
	gatewayed
	columns
)

var columnNames = [columns]string{"direct", "reverse proxy", "gateway"}

// A report is the table in the making.
type report struct {
	Machine machine `json:"machine"`
	Run     settled `json:"run"`
	rows    []*row
}

// machine says where the figures come from.
type machine struct {
	Cores       int    `json:"cores"`
	Go          string `json:"go"`
	Platform    string `json:"platform"`
	LoadAverage string `json:"load_average,omitempty"` // at the start
}

// settled says how they were taken.
type settled struct {
	Duration string `json:"duration"`
	Rounds   int    `json:"rounds"`
	Answers  string `json:"upstream_answers"`
	Upstream string `json:"upstream_era"`
}

func newReport(o options) *report {
	return &report{
		Machine: machine{runtime.NumCPU(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, loadAverage()},
		Run:     settled{o.duration.String(), o.rounds, o.answers, o.upstream},
	}
}

// A row is one measure: its figures per column and round.
type row struct {
	group, name, unit string
	goal              goal
	incomparable      bool // the gateway with the reverse proxy
	rounds            [columns][]float64
}

// row returns the row of this group and name, a new one the first time.
func (r *report) row(group, name, unit string, g goal) *row {
	i := slices.IndexFunc(r.rows, func(have *row) bool { return have.group == group && have.name == name })
	if i >= 0 {
		return r.rows[i]
	}
	added := &row{group: group, name: name, unit: unit, goal: g}
	r.rows = append(r.rows, added)
	return added
}

// add notes the figure of one more round. NaN is a figure nobody has.
func (w *row) add(column int, figure float64) {
	w.rounds[column] = append(w.rounds[column], figure)
}

// value is the median over the rounds, NaN without any.
func (w *row) value(column int) float64 {
	known := slices.DeleteFunc(slices.Clone(w.rounds[column]), math.IsNaN)
	if len(known) == 0 {
		return math.NaN()
	}
	return median(known)
}

// ratios compares the gateway with the reverse proxy round by round, so that
// what disturbs a round counts on both sides. It returns them sorted.
func (w *row) ratios() []float64 {
	if w.incomparable {
		return nil
	}
	var all []float64
	for i := range min(len(w.rounds[proxied]), len(w.rounds[gatewayed])) {
		ratio := w.rounds[gatewayed][i] / w.rounds[proxied][i]
		if w.rounds[proxied][i] > 0 && !math.IsNaN(ratio) {
			all = append(all, ratio)
		}
	}
	slices.Sort(all)
	return all
}

// ratio is the median of ratios, NaN without any.
func (w *row) ratio() float64 {
	if all := w.ratios(); len(all) > 0 {
		return median(all)
	}
	return math.NaN()
}

// verdict says whether the row meets its goal, "" where that is unknown.
func (w *row) verdict() string {
	if w.goal.met == nil {
		return ""
	}
	distance := w.goal.met(w)
	switch {
	case math.IsNaN(distance):
		return ""
	case distance <= 0:
		return "met"
	}
	return "missed"
}

// A goal is what a row should reach. The zero goal asks nothing.
type goal struct {
	text string
	met  func(*row) float64 // how far above the goal; NaN if unknown
}

func ratioAtMost(limit float64) goal {
	return goal{fmt.Sprintf("≤ %.2fx", limit), func(w *row) float64 { return w.ratio() - limit }}
}

func ratioAtLeast(limit float64) goal {
	return goal{fmt.Sprintf("≥ %.2fx", limit), func(w *row) float64 { return limit - w.ratio() }}
}

func atMost(limit float64, unit string) goal {
	return goal{strings.TrimSpace(fmt.Sprintf("≤ %g %s", limit, unit)), func(w *row) float64 { return w.value(gatewayed) - limit }}
}

func overDirectAtMost(limit float64, unit string) goal {
	return goal{fmt.Sprintf("≤ direct + %g %s", limit, unit), func(w *row) float64 {
		return w.value(gatewayed) - w.value(direct) - limit
	}}
}

// writeText prints the header and the aligned table.
func (r *report) writeText(out io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%d cores, %s, %s", m.Cores, m.Go, m.Platform)
	if m.LoadAverage != "" {
		fmt.Fprintf(&b, ", load average %s at the start", m.LoadAverage)
	}
	fmt.Fprintf(&b, "\n%d rounds, %s for each measurement; medians; the upstream answers with %s\n",
		r.Run.Rounds, r.Run.Duration, r.Run.Answers)
	group := ""
	widths := r.widths()
	for _, w := range r.rows {
		if w.group != group {
			group = w.group
			b.WriteString("\n" + line(header(group), widths))
		}
		b.WriteString(line(w.cells(), widths))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func header(group string) []string {
	return []string{
		group, "", columnNames[direct], columnNames[proxied], columnNames[gatewayed],
		"gateway/proxy", "over rounds", "target", "",
	}
}

func (w *row) cells() []string {
	cells := []string{"  " + w.name, w.unit}
	for column := range columns {
		cells = append(cells, format(w.value(column)))
	}
	ratio, spread := "", ""
	if all := w.ratios(); len(all) > 0 {
		ratio = fmt.Sprintf("%.2fx", median(all))
		if len(all) > 1 {
			spread = fmt.Sprintf("%.2f–%.2f", all[0], all[len(all)-1])
		}
	}
	return append(cells, ratio, spread, w.goal.text, w.verdict())
}

// format keeps three digits, more before the point.
func format(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case size >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

func (r *report) widths() []int {
	widths := make([]int, len(header("")))
	note := func(cells []string) {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, w := range r.rows {
		note(header(w.group))
		note(w.cells())
	}
	return widths
}

// line aligns cells: words to the left, figures to the right.
func line(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if left := i < 2 || i >= len(cells)-2; left {
			b.WriteString(cell + pad + "  ")
		} else {
			b.WriteString(pad + cell + "  ")
		}
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// writeJSON prints the same for programs.
func (r *report) writeJSON(out io.Writer) error {
	type figures struct {
		Group   string   `json:"group"`
		Name    string   `json:"name"`
		Unit    string   `json:"unit"`
		Direct  *float64 `json:"direct,omitempty"`
		Proxy   *float64 `json:"reverse_proxy,omitempty"`
		Gateway *float64 `json:"gateway,omitempty"`
		Ratio   *float64 `json:"ratio,omitempty"`
		Lowest  *float64 `json:"ratio_lowest,omitempty"`
		Highest *float64 `json:"ratio_highest,omitempty"`
		Target  string   `json:"target,omitempty"`
		Verdict string   `json:"verdict,omitempty"`
	}
	all := make([]figures, len(r.rows))
	for i, w := range r.rows {
		all[i] = figures{
			Group: w.group, Name: w.name, Unit: w.unit, Target: w.goal.text, Verdict: w.verdict(),
			Direct: known(w.value(direct)), Proxy: known(w.value(proxied)), Gateway: known(w.value(gatewayed)),
			Ratio: known(w.ratio()),
		}
		if ratios := w.ratios(); len(ratios) > 0 {
			all[i].Lowest, all[i].Highest = &ratios[0], &ratios[len(ratios)-1]
		}
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		*report
		Rows []figures `json:"rows"`
	}{r, all})
}

// known is nil for a figure nobody has, which JSON cannot hold.
func known(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}
