package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/upstream"
)

// A screen shows a status to a person.
type screen struct {
	out           io.Writer
	width, height int // in characters; the height is 0 where nothing is in the way
	terminal      bool
	colour        bool
}

// screenOf fits what is shown to a terminal, and elsewhere to 80 columns.
func screenOf(out io.Writer) *screen {
	s := &screen{out: out, width: 80}
	if file, ok := out.(*os.File); ok {
		if width, height, ok := terminalSize(file); ok {
			s.width, s.height, s.terminal = max(width, 40), height, true
			s.colour = os.Getenv("NO_COLOR") == ""
		}
	}
	return s
}

// show prints a status.
func (sc *screen) show(s status, now time.Time) error {
	_, err := io.WriteString(sc.out, strings.Join(sc.lines(s, now), "\n")+"\n")
	return err
}

// redraw prints a status in place of the one before, on a terminal.
func (sc *screen) redraw(s status, now time.Time) error {
	if !sc.terminal {
		return sc.show(s, now)
	}
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K", "\x1b[J"
	lines := sc.lines(s, now)
	if most := sc.height - 1; most > 0 && len(lines) > most {
		lines = append(lines[:most-1], fmt.Sprintf("… and %d more lines", len(lines)-most+1))
	}
	_, err := io.WriteString(sc.out, home+strings.Join(lines, clearLine+"\n")+clearLine+"\n"+clearBelow)
	return err
}

func (sc *screen) lines(s status, now time.Time) []string {
	lines := []string{fmt.Sprintf("mcpagg %s, process %d, running for %s", visible(s.Version), s.PID, ago(s.Started, now)), ""}
	lines = append(lines, sc.field("configuration", strings.Join(s.Config.Files, " "))...)
	lines = append(lines, sc.field("", fmt.Sprintf("loaded %s ago, sha256 %.12s", ago(s.Config.Loaded, now), s.Config.Digest))...)
	for _, attribute := range s.Config.RestartNeeded {
		lines = append(lines, sc.paint(yellow, sc.field("", "restart to change "+attribute))...)
	}
	lines = append(lines, sc.field("clients", count(s.Clients.Sessions, "session")+", "+count(s.Clients.Streams, "open stream"))...)
	lines = append(lines, sc.field("published", s.Catalog.String())...)
	if s.Memory.Used > 0 {
		lines = append(lines, sc.field("containers", s.Memory.String())...)
	}
	name := "sign-in"
	for _, p := range s.SignIn {
		lines, name = append(lines, sc.provider(name, p, now)...), ""
	}
	lines = append(lines, sc.broker(s.Broker, now)...)
	lines = append(lines, sc.policy(s.Policy)...)
	lines = append(lines, sc.blocks(s, now)...)
	lines = append(lines, sc.audit(s.Audit)...)
	lines = append(lines, sc.failure(s.Config.Failure, now)...)
	return append(append(lines, ""), sc.table(s.Upstreams, now)...)
}

func (c catalogStatus) String() string {
	text := fmt.Sprintf("%s, %s, %s, %s", count(c.Tools, "tool"), count(c.Prompts, "prompt"),
		count(c.Resources, "resource"), count(c.Templates, "template"))
	if c.Hidden > 0 {
		text += fmt.Sprintf("; %d not published", c.Hidden)
	}
	if c.Drifted > 0 {
		text += fmt.Sprintf("; %d not as reviewed", c.Drifted)
	}
	return text
}

func (m memoryStatus) String() string {
	text := fmt.Sprintf("may use %d MiB of memory", m.Used>>20)
	if m.Limit > 0 {
		text += fmt.Sprintf(", %d MiB at most", m.Limit>>20)
	}
	return text
}

// provider is an identity provider, and what is wrong with it.
func (sc *screen) provider(name string, p providerStatus, now time.Time) []string {
	state, colour := fmt.Sprintf("%s, %s old", count(p.Keys, "key"), ago(p.Fetched, now)), ""
	if p.Keys == 0 {
		state, colour = "no keys yet", red
	}
	text := fmt.Sprintf("%s: %s, of %s", p.Name, state, visible(p.Issuer))
	if p.Keys == 0 {
		text += ": nobody can sign in with it"
	}
	if p.LastError != "" {
		text += "; the last attempt failed: " + visible(p.LastError)
	}
	if len(p.UnknownGroups) > 0 {
		text += "; the directory does not know the groups " + strings.Join(p.UnknownGroups, ", ")
	}
	if colour == "" && (p.LastError != "" || len(p.UnknownGroups) > 0) {
		colour = yellow
	}
	return sc.paint(colour, sc.field(name, text))
}

// broker is how the gateway does as an authorization server.
func (sc *screen) broker(b *brokerStatus, now time.Time) []string {
	if b == nil {
		return nil
	}
	text := fmt.Sprintf("%s, kept in %s; the signing key is %s old", count(b.Sessions, "session"), b.where(), ago(b.KeyCreated, now))
	if b.LastError != "" {
		text += "; keeping it failed lately: " + visible(b.LastError)
	}
	if b.ProviderError != "" {
		text += "; the provider let nobody sign in or go on lately: " + visible(b.ProviderError)
	}
	if b.LastError == "" && b.ProviderError == "" {
		return sc.field("signed in", text)
	}
	return sc.paint(red, sc.field("signed in", text))
}

// audit is how the audit log does.
func (sc *screen) audit(a *auditStatus) []string {
	if a == nil {
		return nil
	}
	text, colour := visible(a.Path), ""
	if a.Lost > 0 {
		text, colour = fmt.Sprintf("%s; %d records are not in it", text, a.Lost), yellow
	}
	if a.LastError != "" {
		text, colour = text+"; it cannot be written, and calls are refused soon: "+visible(a.LastError), red
	}
	return sc.paint(colour, sc.field("audit log", text))
}

// policy is who says what people may do.
func (sc *screen) policy(p *policyStatus) []string {
	if p == nil {
		return sc.field("policies", "none: everything is allowed")
	}
	text := policiesText(p.Policies, p.Places) + ", " + shortPolicies(p.Digest)
	if p.Candidate != "" {
		text += "; beside them the candidate " + shortPolicies(p.Candidate)
	}
	lines := sc.field("policies", visible(text))
	if p.Mode == "observe" {
		lines = append(lines, sc.paint(yellow, sc.field("", "only observed: what they deny is let through"))...)
	}
	for _, w := range p.Warnings {
		lines = append(lines, sc.paint(yellow, sc.field("", visible(w)))...)
	}
	return lines
}

// shownBlocks is how many blocks a status shows.
const shownBlocks = 5

// blocks are what the operator has stopped.
func (sc *screen) blocks(s status, now time.Time) []string {
	if len(s.Blocks) == 0 {
		return nil
	}
	var lines []string
	name := "blocked"
	for _, b := range s.Blocks[:min(len(s.Blocks), shownBlocks)] {
		text := visible(nameOf(b))
		if !b.Until.IsZero() {
			text += ", for another " + ago(now, b.Until)
		}
		lines, name = append(lines, sc.field(name, text)...), ""
	}
	if more := len(s.Blocks) - shownBlocks; more > 0 {
		lines = append(lines, sc.field("", fmt.Sprintf("and %d more, see 'mcpagg block list'", more))...)
	}
	if !s.BlocksKept {
		lines = append(lines, sc.field("", "until the gateway stops: it keeps nothing")...)
	}
	return sc.paint(yellow, lines)
}

// where is what it is kept in.
func (b *brokerStatus) where() string {
	if b.Store == "" {
		return "memory only"
	}
	return visible(b.Store)
}

// field is a name and a text beside it.
func (sc *screen) field(name, text string) []string {
	const indent = 15
	var lines []string
	for _, line := range wrap(text, sc.width-indent, 6) {
		lines = append(lines, fmt.Sprintf("%-*s%s", indent, name, line))
		name = ""
	}
	return lines
}

// failure says why the last reload changed nothing.
func (sc *screen) failure(f *failure, now time.Time) []string {
	if f == nil {
		return nil
	}
	lines := sc.paint(red, []string{"", fmt.Sprintf("The reload %s ago changed nothing: %s", ago(f.At, now), visible(f.Error))})
	for _, m := range f.Mistakes {
		for i, line := range wrap(visible(m.String()), sc.width-4, 6) {
			lines = append(lines, map[bool]string{true: "  * ", false: "    "}[i == 0]+line)
		}
	}
	return lines
}

// Columns of the table: those at the left hold text, the others numbers.
var statusColumns = []string{"UPSTREAM", "STATE", "SINCE", "ERA", "RESTARTS", "BUSY", "CALLS", "FAILED", "P50", "P95"}

const textColumns = 4

// table is a row for each upstream, and below it its instances and the last error.
func (sc *screen) table(upstreams []upstreamStatus, now time.Time) []string {
	rows := [][]string{statusColumns}
	for _, u := range upstreams {
		rows = append(rows, u.cells(now))
	}
	widths := make([]int, len(statusColumns))
	total := textColumns + len(statusColumns) - 2 // gaps
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	widths[0] = max(widths[0]-max(total-sc.width, 0), 8) // labels give way
	lines := []string{sc.row(rows[0], widths)}
	for i, u := range upstreams {
		lines = append(lines, sc.paint(colourOf(u.State), []string{sc.row(rows[i+1], widths)})...)
		lines = append(lines, sc.instances(u)...)
		lines = append(lines, sc.drifted(u)...)
		lines = append(lines, sc.lastError(u, now)...)
	}
	return lines
}

func (sc *screen) row(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		cell = cut(cell, widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		switch {
		case i == 0:
			b.WriteString(cell + pad)
		case i < textColumns:
			b.WriteString("  " + cell + pad)
		default:
			b.WriteString(" " + pad + cell)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

func (u upstreamStatus) cells(now time.Time) []string {
	p50, p95 := "-", "-"
	if u.Latency != nil {
		p50, p95 = milliseconds(u.Latency.P50), milliseconds(u.Latency.P95)
	}
	era := string(u.Era)
	if era == "" {
		era = "-"
	}
	return []string{
		u.Name, string(u.State), ago(u.Since, now), era, short(uint64(u.Restarts)), short(uint64(u.InFlight)),
		short(u.Calls), short(u.Failed), p50, p95,
	}
}

// instances is how many of an upstream there are beside the shared one.
func (sc *screen) instances(u upstreamStatus) []string {
	if u.Instances == 0 {
		return nil
	}
	text := fmt.Sprintf("%d of at most %s of sessions and callers", u.Instances, count(u.Most, "instance"))
	return sc.paint(dim, []string{"  " + text})
}

// drifted are the tools of an upstream that are not as they were reviewed.
func (sc *screen) drifted(u upstreamStatus) []string {
	if len(u.Drifted) == 0 {
		return nil
	}
	const most = 5
	text := fmt.Sprintf("%s not as reviewed: %s", count(len(u.Drifted), "tool"), visible(strings.Join(u.Drifted[:min(len(u.Drifted), most)], ", ")))
	if more := len(u.Drifted) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	var lines []string
	for _, line := range wrap(text+"; see mcpagg lock "+u.Name, sc.width-2, 3) {
		lines = append(lines, "  "+line)
	}
	return sc.paint(yellow, lines)
}

// lastError is why an upstream is not connected, or was not, in short.
func (sc *screen) lastError(u upstreamStatus, now time.Time) []string {
	said := u.LastError
	if u.Doing != "" {
		said = u.Doing
	}
	if said == "" {
		return nil
	}
	text, most := visible(strings.Join(strings.Fields(said), " ")), 3
	switch {
	case u.Doing != "":
	case u.State == upstream.Connected:
		text, most = "before: "+text, 1
	case !u.Next.IsZero():
		text = fmt.Sprintf("next attempt in %s; %s", ago(now, u.Next), text)
	}
	var lines []string
	for _, line := range wrap(text, sc.width-2, most) {
		lines = append(lines, "  "+line)
	}
	return sc.paint(dim, lines)
}

// wrap breaks a text into lines of a width, at spaces where it can, of which it
// keeps a number at most.
func wrap(text string, width, most int) []string {
	return wrapWhole(text, width, most, width)
}

// wrapWhole does the same, and breaks no word of up to whole characters, such as a
// URL that somebody may want to copy: that one has a line of its own.
func wrapWhole(text string, width, most, whole int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		if line = word; utf8.RuneCountInString(word) <= whole {
			continue
		}
		for ; utf8.RuneCountInString(line) > width; line = string([]rune(line)[width:]) {
			lines = append(lines, string([]rune(line)[:width]))
		}
	}
	lines = append(lines, line)
	if len(lines) > most {
		lines = lines[:most]
		lines[most-1] = cut(lines[most-1], width-2) + " …"
	}
	return lines
}

// cut shortens a text to a width.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// ago is the time between two moments, in at most six characters.
func ago(then, now time.Time) string {
	switch d := max(now.Sub(then), 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// short is a number in at most five characters.
func short(n uint64) string {
	for _, unit := range []string{"", "k", "M", "G", "T"} {
		if n < 10_000 {
			return fmt.Sprint(n) + unit
		}
		n /= 1000
	}
	return fmt.Sprint(n) + "P"
}

// milliseconds is a duration in at most five characters.
func milliseconds(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.1fms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0fms", ms)
	default:
		return fmt.Sprintf("%.1fs", ms/1000)
	}
}

// Colours of a terminal.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
)

func colourOf(s upstream.State) string {
	switch s {
	case upstream.Connected:
		return green
	case upstream.Connecting:
		return yellow
	}
	return red
}

func (sc *screen) paint(colour string, lines []string) []string {
	if !sc.colour || colour == "" {
		return lines
	}
	painted := slices.Clone(lines)
	for i, line := range painted {
		if line != "" {
			painted[i] = "\x1b[" + colour + "m" + line + "\x1b[0m"
		}
	}
	return painted
}
