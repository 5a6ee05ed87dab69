package replay_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/replay"
)

func memory(text []byte) replay.Log {
	return replay.Log{Name: "a.jsonl", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }}
}

const decision = `{"time":"2026-11-28T09:30:00.000000Z","kind":"decision","decision":"deny","reference":"K7","action":"call_tool","upstream":"github","object":"get","caller":"User::\"t/ann\"","why":"a policy forbids it","looked":{"context.input.repo":"web"}}` + "\n"

// TestRead has lines of all sorts in a file, plain and compressed.
func TestRead(t *testing.T) {
	text := `{"time":"2026-11-28T09:00:00.000000Z","kind":"opened","version":1,"salt":"S","mode":"hashed"}` + "\n" + decision +
		`{"time":"2026-11-28T09:31` + "\n" + strings.Repeat("x", 1<<20) + "\n[]\n{}\n" +
		`{"time":"soon","kind":"decision","decision":"deny"}` + "\n" + `{"kind":"lost","count":3}` + "\n" +
		strings.Replace(decision, "2026-11-28", "2026-01-01", 1) + strings.TrimSuffix(decision, "\n")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	for name, text := range map[string][]byte{"plain": []byte(text), "compressed": zipped.Bytes()} {
		var got []*replay.Record
		read, err := replay.Each([]replay.Log{memory(text)}, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), func(r *replay.Record) error {
			got = append(got, r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0].Place() != "a.jsonl:2" || got[1].Line != 10 || got[1].Mode != "hashed" || got[0].Salt != "S" || string(got[0].Looked["context.input.repo"]) != `"web"` {
			t.Errorf("%s: %d records: %+v", name, len(got), got)
		}
		if read.Decisions != 2 || read.Skipped != 1 || read.Lost != 3 || read.Broken != 5 || len(read.Places) != 5 || read.Lines != 10 {
			t.Errorf("%s: %+v", name, read)
		}
	}
	if _, err := replay.Each([]replay.Log{memory(zipped.Bytes()[:zipped.Len()-20])}, time.Time{}, func(*replay.Record) error { return nil }); err != nil {
		t.Errorf("a compressed file that is cut off: %v", err)
	}
}

// FuzzRecords reads any text, and asks about what is in it.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(decision))
	f.Add([]byte(`{"time":"2026-11-28T09:30:00Z","kind":"decision","decision":"allow","action":"call_tool","upstream":"github","object":"get","caller":"User::\"i#s\"","principal":{"groups":["a"],"more":1},"earlier":{"calls":1},"arguments":{"repo":1e400},"looked":{"context.input.repo":{"bytes":9,"sha256":"x"},"context.now":{"__extn":{"fn":"datetime","arg":"x"}},"principal in":[1]}}`))
	f.Add([]byte("\x1f\x8b\x08"))
	engine, objects := fuzzed(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		report, err := replay.Replay([]replay.Log{memory(text)}, replay.Options{Engine: engine, Objects: objects})
		if err != nil {
			return // it begins like a compressed file
		}
		if sum := report.Same + report.Denied + report.Allowed + report.Unknown; sum != report.Decided || report.Decided+report.Other != report.Read.Decisions {
			t.Errorf("%d of %d, in %d decisions", sum, report.Decided, report.Read.Decisions)
		}
	})
}

func fuzzed(tb testing.TB) (*policy.Engine, []*policy.Object) {
	tb.Helper()
	tool := policy.Tool{Upstream: "github", Original: "get", Published: "get", InputSchema: []byte(`{"type":"object","properties":{"repo":{"type":"string"},"n":{"type":"number"}}}`)}
	return engineOf(tb, `permit(principal in Group::"a", action, resource) when { context.input.repo == "web" && context.size.repo < 9 };
		permit(principal, action, resource) when { context.auth.mfa && context.input has n && context.session.calls < 3 && principal.email like "*@x" };`), []*policy.Object{policy.ToolObject(tool)}
}
