package policycmd

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/replay"
)

// logsHelp is what commands about audit files say of them.
const logsHelp = `LOG is an audit file; without one it is that of the configuration. What logrotate made
of it is read as well: LOG.1, LOG-20261128, compressed by gzip or not.

`

// logFlags say which records are read.
type logFlags struct {
	since string
	json  bool
}

func (l *logFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.since, "since", "", "leave out what is older: a duration such as 30d or 12h, or a time such as 2026-11-01")
	cmd.Flags().BoolVar(&l.json, "json", false, "print JSON")
}

// time is what --since says; zero for everything.
func (l *logFlags) time(now time.Time) (time.Time, error) {
	if l.since == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(l.since, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(l.since); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, l.since); err == nil {
			return at, nil
		}
	}
	return time.Time{}, cli.UsageError("--since %q is neither a duration such as 30d or 12h, nor a time such as 2026-11-01", cli.Visible(l.since))
}

// logsOf are the files to read, the oldest first.
func logsOf(args []string, w *workspace.Workspace, since time.Time) ([]replay.Log, error) {
	if len(args) == 0 {
		args = w.Set.AuditFiles
	}
	if len(args) == 0 {
		return nil, cli.UsageError("name an audit file: the configuration has no audit block")
	}
	var all []replay.Log
	for _, path := range args {
		if _, err := os.Stat(path); err != nil {
			return nil, cli.UsageError("there is no audit file: %w", err)
		}
		for _, name := range append(rotated(path, since), path) {
			if !slices.ContainsFunc(all, func(l replay.Log) bool { return l.Name == name }) {
				all = append(all, replay.Log{Name: name, Open: func() (io.ReadCloser, error) { return os.Open(name) }})
			}
		}
	}
	return all, nil
}

// rotation is what logrotate puts behind a name.
var rotation = regexp.MustCompile(`^(\.[0-9]{1,4}|[-.][0-9]{8}([-0-9T]{0,8}))(\.gz)?$`)

// rotated are what logrotate made of a file, the oldest first, but for what was not
// written to since.
func rotated(path string, since time.Time) []string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	type old struct {
		path string
		at   time.Time
	}
	var all []old
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(path))
		if !ok || !rotation.MatchString(rest) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && !info.ModTime().Before(since) {
			all = append(all, old{path + rest, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b old) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(b.path, a.path)) })
	var paths []string
	for _, o := range all {
		paths = append(paths, o.path)
	}
	return paths
}

// writeRead says what was read.
func writeRead(w io.Writer, r *replay.Read) {
	fmt.Fprintf(w, "%s in %s", cli.Count(r.Decisions, "decision"), cli.Count(len(r.Files), "file"))
	if r.Decisions > 0 {
		fmt.Fprintf(w, ", from %s to %s", day(r.First), day(r.Last))
	}
	fmt.Fprintln(w)
	if r.Broken > 0 {
		fmt.Fprintf(w, "%s cannot be read: %s\n", cli.Count(r.Broken, "line"), cli.Visible(strings.Join(r.Places, "; ")))
	}
	if r.Lost > 0 {
		fmt.Fprintf(w, "%d records are missing: the gateway could not write them\n", r.Lost)
	}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
