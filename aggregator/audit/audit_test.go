package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/aggregator/audit"
)

var silent = slog.New(slog.DiscardHandler)

// opened is a log in a folder of its own, and the path of its file.
func opened(t *testing.T, mode audit.Arguments) (*audit.Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log", "audit.jsonl")
	return open(t, path, mode), path
}

func open(t *testing.T, path string, mode audit.Arguments) *audit.Log {
	t.Helper()
	l, err := audit.Open(audit.Options{Path: path, Arguments: mode, Log: silent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, l) })
	return l
}

func closed(t *testing.T, l *audit.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func add(t *testing.T, l *audit.Log, records ...audit.Record) {
	t.Helper()
	for _, r := range records {
		if !l.Add(r) {
			t.Fatalf("%s was not taken", r.Reference)
		}
	}
}

// lines are those of a file, each of which must be one JSON object.
func lines(t *testing.T, path string) []map[string]any {
	t.Helper()
	text := read(t, path)
	var all []map[string]any
	for text := range bytes.Lines(text) {
		var line map[string]any
		if err := json.Unmarshal(text, &line); err != nil || text[len(text)-1] != '\n' {
			t.Fatalf("%v in %q", err, text)
		}
		all = append(all, line)
	}
	return all
}

// kinds are those of the lines of a file, with the references of decisions.
func kinds(t *testing.T, path string) string {
	t.Helper()
	var all []string
	for _, line := range lines(t, path) {
		text := fmt.Sprint(line["kind"])
		if reference, ok := line["reference"]; ok {
			text = fmt.Sprint(reference)
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func decision(reference string) audit.Record {
	return audit.Record{Kind: audit.KindDecision, Decision: audit.Allow, Reference: reference, Arguments: json.RawMessage(`{"repo":"web"}`)}
}

// decide and act are what docs/audit.md shows.
var (
	decide = audit.Record{
		Time: time.Date(2026, 11, 28, 9, 30, 0, 123456789, time.UTC), Kind: audit.KindDecision,
		Decision: audit.Deny, Reference: "K7QXM2VATB", Action: "call_tool", Upstream: "github", Object: "create_issue", Published: "gh_create_issue",
		Caller: `User::"6c1f6c8e-0000-0000-0000-000000000000/5f2b0c1d-0000-0000-0000-000000000001"`, Name: "Ann Example",
		Client: "vscode", Provider: "contoso", Session: "uY3kq0fWm1xNQ0s8vZr2aA", IP: "203.0.113.7",
		Principal: &audit.Principal{
			Groups: []string{"platform"}, GroupIDs: []string{"4f1c2d3e-0000-0000-0000-000000000001"},
			Scopes: []string{"mcp.access"}, MFA: true, SignedIn: "2026-11-28T08:02:11Z",
		},
		Earlier: &audit.Earlier{Calls: 3, Labels: []string{"private-data"}},
		Reasons: []audit.Reason{{ID: "other-teams", File: "policies/github.cedar", Line: 7}},
		Why:     "a policy forbids it", Told: "other-teams",
		Looked: func() map[string]any {
			return map[string]any{"context.input.repo": "payments", "context.session.labels": []any{"private-data"}}
		},
		Arguments:  json.RawMessage(`{"repo": "payments", "title": "Rotate the key"}`),
		Generation: 12, Policies: "4f2a6c0d9e1b8a7f", Micros: 6,
	}
	act = audit.Record{
		Time: time.Date(2026, 11, 28, 9, 31, 0, 0, time.UTC), Kind: audit.KindAct,
		Act: "reload", Who: "uid 1000", What: "configuration", Old: "4306ac49f6f3", New: "9a0c81d2b7e4",
	}
)

// TestDocs writes the sample of docs/audit.md, but for what is by chance.
func TestDocs(t *testing.T) {
	l, path := opened(t, "")
	add(t, l, decide, act)
	closed(t, l)
	text := read(t, path)
	page, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Collect(strings.Lines(string(text)))
	if len(all) != 4 {
		t.Fatalf("%d lines", len(all))
	}
	hash := lines(t, path)[1]["arguments_sha256"].(string)
	want := strings.ReplaceAll(all[1]+all[2], hash, strings.Repeat("5b41", 16))
	if !strings.Contains(string(page), "```json\n"+want+"```") {
		t.Errorf("docs/audit.md does not have\n%s", want)
	}
	var described []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		described = append(described, row[1])
	}
	if diff := cmp.Diff(audit.Members(), described); diff != "" {
		t.Errorf("docs/audit.md does not describe the members in their order (-want +got):\n%s", diff)
	}
}

// A hash can be made again of the salt and what the client sent.
func TestHash(t *testing.T) {
	l, path := opened(t, "")
	add(t, l, decide, decide)
	closed(t, l)
	all := lines(t, path)
	sum := sha256.Sum256([]byte(all[0]["salt"].(string) + string(decide.Arguments)))
	for _, line := range all[1:3] {
		if got, want := line["arguments_sha256"], hex.EncodeToString(sum[:]); got != want {
			t.Errorf("hash %s, want %s", got, want)
		}
	}
	if again := open(t, path, ""); again != nil {
		closed(t, again)
	}
	if all := lines(t, path); all[0]["salt"] == all[4]["salt"] {
		t.Error("two gateways have the same salt")
	}
}

// TestOpens follows a file over two gateways, the first of which died within a line.
func TestOpens(t *testing.T) {
	l, path := opened(t, "")
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %#o", name, info.Mode(), err, want)
		}
	}
	add(t, l, decision("a"))
	closed(t, l)
	if got, want := kinds(t, path), "opened a closed"; got != want {
		t.Errorf("lines %s, want %s", got, want)
	}
	text := read(t, path)
	if err := os.WriteFile(path, text[:len(text)-7], 0o600); err != nil { // within the last line
		t.Fatal(err)
	}
	l = open(t, path, "")
	add(t, l, decision("b"))
	closed(t, l)
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := bytes.CutPrefix(after, append(text[:len(text)-7:len(text)-7], '\n'))
	if !ok {
		t.Fatalf("the line that was cut off is not ended: %q", after)
	}
	if err := os.WriteFile(path, rest, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := kinds(t, path), "opened b closed"; got != want {
		t.Errorf("then lines %s, want %s", got, want)
	}
}

func TestRefusedFiles(t *testing.T) {
	dir := t.TempDir()
	file, loose := filepath.Join(dir, "file"), filepath.Join(dir, "loose")
	for _, name := range []string{file, loose} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(loose, 0o666); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		link:                         "is a symbolic link; name the file that it leads to",
		dir:                          "is not a file; name one",
		loose:                        "mode 0666: chmod go-w it",
		filepath.Join(file, "audit"): "make the folder",
	} {
		l, err := audit.Open(audit.Options{Path: path, Log: silent})
		if err == nil {
			closed(t, l)
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// TestArguments has what is written of arguments, for each way to write them.
func TestArguments(t *testing.T) {
	long := strings.Repeat("x", 1025)
	looked := func() map[string]any {
		return map[string]any{
			"principal.tenant": "t", "principal in": []string{"Group::\"a\""}, "resource.name": "create_issue", "context.now": int64(3), "context.nowhere": 1, "context": true,
			"context.input.repo": "web", "context.input.body": long, "context.target": "Repo::\"web\"", "context.size.repo": 3, "context.bytes": 9,
			"context.input.list": []any{map[string]any{"a": long}, 1.5, nil}, "context.input.odd": func() {},
		}
	}
	short := json.RawMessage(`{"repo": "web"}`)
	for name, test := range map[string]struct {
		mode      audit.Arguments
		full      bool
		arguments json.RawMessage
		whole     string // "" if there is only a hash, or nothing
		hashed    bool
		looks     int
	}{
		"none":                    {audit.None, false, short, "", false, 4},
		"none, but an obligation": {audit.None, true, short, `{"repo":"web"}`, false, 4},
		"hashed":                  {audit.Hashed, false, short, "", true, 13},
		"the default":             {"", false, short, "", true, 13},
		"hashed, no arguments":    {audit.Hashed, false, nil, "", false, 13},
		"an obligation":           {audit.Hashed, true, short, `{"repo":"web"}`, false, 13},
		"full":                    {audit.Full, false, short, `{"repo":"web"}`, false, 13},
		"full, numbers":           {audit.Full, false, json.RawMessage(`{"n": 12345678901234567890.10, "a": 1, "a": 2}`), `{"n":12345678901234567890.10,"a":1,"a":2}`, false, 13},
		"full, too long":          {audit.Full, false, json.RawMessage(`{"x":"` + strings.Repeat("y", 64<<10) + `"}`), "", true, 13},
		"full, no JSON":           {audit.Full, false, json.RawMessage("{\"x\":\n"), "", true, 13},
		"full, no UTF-8":          {audit.Full, false, json.RawMessage("{\"x\":\"\xff\"}"), "", true, 13},
	} {
		t.Run(name, func(t *testing.T) {
			l, path := opened(t, test.mode)
			r := decision("a")
			r.Arguments, r.Full, r.Looked = test.arguments, test.full, looked
			add(t, l, r)
			closed(t, l)
			text := read(t, path)
			var got struct {
				Looked    map[string]json.RawMessage
				Arguments json.RawMessage
				Bytes     int    `json:"arguments_bytes"`
				SHA256    string `json:"arguments_sha256"`
			}
			if err := json.Unmarshal(slices.Collect(bytes.Lines(text))[1], &got); err != nil {
				t.Fatal(err)
			}
			if string(got.Arguments) != test.whole || (got.SHA256 != "") != test.hashed || test.hashed && got.Bytes != len(test.arguments) {
				t.Errorf("arguments %s, %d bytes, hash %q", got.Arguments, got.Bytes, got.SHA256)
			}
			if len(got.Looked) != test.looks {
				t.Errorf("%d values, want %d: %s", len(got.Looked), test.looks, got.Looked)
			}
			if bytes.Contains(text, []byte(long)) || test.mode == audit.None && bytes.Contains(text, []byte("Repo")) {
				t.Error("a value is written that must not be")
			}
			if body := got.Looked["context.input.body"]; test.mode != audit.None && !strings.HasPrefix(string(body), `{"bytes":1025,"sha256":"`) {
				t.Errorf("a long text is written as %s", body)
			}
		})
	}
}

// What people do with a file while the gateway writes to it.
func TestRotation(t *testing.T) {
	for name, test := range map[string]struct {
		rotate  func(path string) error
		wantOld string
	}{
		"moved":   {func(path string) error { return os.Rename(path, path+".1") }, "opened a b"},
		"removed": {os.Remove, ""},
		"copied and emptied": {func(path string) error {
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path+".1", text, 0o600)
			}
			if err == nil {
				err = os.Truncate(path, 0)
			}
			return err
		}, "opened a b"},
		"moved with its folder": {func(path string) error {
			return os.Rename(filepath.Dir(path), filepath.Dir(path)+".old")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, path := opened(t, "")
				add(t, l, decision("a"), decision("b"))
				synctest.Wait()
				if err := test.rotate(path); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // how often it looks
				add(t, l, decision("c"))
				closed(t, l)
				if got, want := kinds(t, path), "opened c closed"; got != want {
					t.Errorf("lines %s, want %s", got, want)
				}
				if test.wantOld == "" {
					return
				}
				if got := kinds(t, path+".1"); got != test.wantOld {
					t.Errorf("the file before has %s, want %s", got, test.wantOld)
				}
			})
		})
	}
}

// Asked to, the log looks at once.
func TestReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, path := opened(t, "")
		add(t, l, decision("a"))
		synctest.Wait()
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		l.Reopen()
		synctest.Wait()
		if got, want := kinds(t, path), "opened"; got != want {
			t.Errorf("lines %s, want %s", got, want)
		}
		l.Reopen() // nothing has changed
		synctest.Wait()
		add(t, l, decision("b"))
		closed(t, l)
		if got, want := kinds(t, path), "opened b closed"; got != want {
			t.Errorf("lines %s, want %s", got, want)
		}
	})
}

// Closing writes all that was added before, and nothing is taken after.
func TestClose(t *testing.T) {
	l, path := opened(t, "")
	for range 5000 {
		add(t, l, decision("a"))
	}
	closed(t, l)
	if l.Add(decision("b")) {
		t.Error("a closed log takes a record")
	}
	closed(t, l)
	if got := lines(t, path); len(got) != 5002 || l.Lost() != 1 {
		t.Errorf("%d lines, %d lost", len(got), l.Lost())
	}
}

// TestChange has the log go on elsewhere and otherwise, each file telling of the
// other. A change that is refused leaves it alone.
func TestChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, path := opened(t, audit.Hashed)
		other := filepath.Join(t.TempDir(), "other.jsonl")
		change := func(path string, mode audit.Arguments, changed bool) {
			t.Helper()
			settle, err := l.Change(audit.Options{Path: path, Arguments: mode})
			if err != nil {
				t.Fatal(err)
			}
			settle(changed)
			synctest.Wait()
		}
		add(t, l, decision("a"))
		synctest.Wait()
		change(other, audit.Full, false)
		add(t, l, decision("b"))
		synctest.Wait()
		change(other, audit.Full, true)
		add(t, l, decision("c"))
		synctest.Wait()
		change(other, audit.None, true)
		add(t, l, decision("d"))
		if _, err := l.Change(audit.Options{Path: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "is not a file") {
			t.Errorf("a folder: %v", err)
		}
		closed(t, l)
		if got, want := kinds(t, path), "opened a b closed"; got != want {
			t.Errorf("the first file has %s, want %s", got, want)
		}
		if got, want := kinds(t, other), "opened c closed opened d closed"; got != want {
			t.Fatalf("the other file has %s, want %s", got, want)
		}
		first, second := lines(t, path), lines(t, other)
		for what, pair := range map[string][2]any{
			"the first goes on":      {first[3]["new"], other + " (full)"},
			"the second comes after": {second[0]["old"], path + " (hashed)"},
			"the second goes on":     {second[2]["new"], other + " (none)"},
			"the third comes after":  {second[3]["old"], other + " (full)"},
			"one salt":               {second[3]["salt"], first[0]["salt"]},
			"the end":                {second[5]["new"], nil},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
			}
		}
		if first[1]["arguments_sha256"] == nil || second[1]["arguments"] == nil || second[4]["arguments_sha256"] != nil {
			t.Error("arguments are not written as the options say")
		}
	})
}

// TestLongRecord writes what is far too long. The line is short enough, and says what
// it leaves out.
func TestLongRecord(t *testing.T) {
	for name, text := range map[string]string{
		"letters": strings.Repeat("x", 100_000), "control characters": strings.Repeat("\x01", 100_000),
		"no UTF-8": strings.Repeat("\xff", 100_000), "quotes": strings.Repeat(`"`, 100_000), "two letters of three bytes": strings.Repeat("€\u2028", 30_000),
	} {
		t.Run(name, func(t *testing.T) {
			l, path := opened(t, audit.Full)
			r := decision(text)
			r.Object, r.Published, r.Caller, r.Name, r.Client, r.Why, r.Policies, r.Session, r.IP = text, text, text, text, text, text, text, text, text
			for range 100 {
				r.Reasons = append(r.Reasons, audit.Reason{ID: text, File: text, Line: 1 << 60, Error: text})
			}
			r.Errors, r.Observed, r.Candidate = r.Reasons, r.Reasons, &audit.Candidate{Decision: audit.Deny, Reasons: r.Reasons}
			many := slices.Repeat([]string{strings.Repeat("x", 96)}, 100)
			r.Principal = &audit.Principal{Groups: many, GroupIDs: many, GroupsUnknown: text, Unresolved: many, Roles: many, Scopes: many, Contexts: many, SignedIn: text}
			r.Earlier = &audit.Earlier{Labels: many[:24]}
			add(t, l, r) // is short enough without values
			r.Looked = func() map[string]any {
				values := map[string]any{}
				for i := range 1000 {
					values[fmt.Sprint("context.input.", i)] = strings.Repeat("y", 1000)
				}
				return values
			}
			r.Arguments = json.RawMessage(`"` + strings.Repeat("z", 60_000) + `"`)
			add(t, l, r)
			closed(t, l)
			all, written := lines(t, path)[1:3], slices.Collect(bytes.Lines(read(t, path)))[1:3]
			for i, line := range all {
				if n := len(written[i]); n > 128<<10 || len(line["why"].(string)) > 1024 || len(line["reasons"].([]any)) != 16 {
					t.Errorf("a line of %d bytes", n)
				}
			}
			if all[0]["arguments"] == nil || all[1]["arguments"] != nil || all[1]["arguments_bytes"] != 60_002.0 {
				t.Error("arguments are not left out of the line that is too long alone")
			}
			if looked := all[1]["looked"].(map[string]any); len(looked) != 2 || looked["bytes"].(float64) < 1_000_000 {
				t.Errorf("the values are written as %v", looked)
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A text that just fits is whole, and the next longer one ends with an ellipsis within
// the same bounds.
func TestCut(t *testing.T) {
	l, path := opened(t, "")
	why := []string{strings.Repeat("x", 1024), strings.Repeat("x", 1025), strings.Repeat("€", 341), strings.Repeat("€", 342)}
	for _, text := range why {
		r := decision("a")
		r.Why = text
		add(t, l, r)
	}
	closed(t, l)
	want := []string{why[0], why[0][:1021] + "…", why[2], strings.Repeat("€", 340) + "…"}
	for i, line := range lines(t, path)[1:5] {
		if got := line["why"]; got != want[i] {
			t.Errorf("%d bytes become %q", len(why[i]), got)
		}
	}
}
