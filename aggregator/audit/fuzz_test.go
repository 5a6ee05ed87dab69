package audit_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/aggregator/audit"
)

// asJSON is a text as JSON has it.
func asJSON(t *testing.T, text string) string {
	t.Helper()
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// FuzzLine adds records of any content: each is one line of valid JSON, short enough,
// from which the texts can be read again unless they are very long.
func FuzzLine(f *testing.F) {
	f.Add("create_issue", `User::"t/1"`, "why", "web", []byte(`{"repo":"web"}`), true, byte(1))
	f.Add("a\nb\x00\u2028", "\xff\xfe", `"\`, "\ud7ff\x1b", []byte("{\n\"a\":\"\xff\"}"), true, byte(16))
	f.Add("", "", "", "", []byte(nil), false, byte(0))
	f.Fuzz(func(t *testing.T, object, caller, why, value string, arguments []byte, full bool, n byte) {
		l, path := opened(t, audit.Hashed)
		r := audit.Record{Kind: audit.KindDecision, Decision: audit.Deny, Object: object, Caller: caller, Why: why, Arguments: arguments, Full: full}
		nested := map[string]any{}
		for range n {
			r.Reasons = append(r.Reasons, audit.Reason{ID: object, File: why, Error: caller})
			r.Looked = func() map[string]any {
				return map[string]any{value: nested, object: value, why: []any{value, arguments}, "context.input.repo": value}
			}
			nested = map[string]any{value: nested, caller: []string{value}}
		}
		r.Errors, r.Observed, r.Candidate = r.Reasons, r.Reasons, &audit.Candidate{Decision: audit.Decision(value), Reasons: r.Reasons}
		add(t, l, r)
		closed(t, l)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
		if len(all) != 3 {
			t.Fatalf("%d lines", len(all))
		}
		line := all[1]
		var got struct{ Object, Caller, Why string }
		if err := json.Unmarshal(line, &got); err != nil || !utf8.Valid(line) || len(line) > 128<<10 {
			t.Fatalf("%v, %d bytes: %q", err, len(line), line)
		}
		for what, pair := range map[string][2]string{"object": {got.Object, object}, "caller": {got.Caller, caller}, "why": {got.Why, why}} {
			if len(pair[1]) <= 170 && pair[0] != asJSON(t, pair[1]) {
				t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
			}
		}
	})
}
