package replay_test

import (
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy/replay"
)

func TestFind(t *testing.T) {
	log := []replay.Log{memory([]byte(decision + strings.Replace(decision, `"K7"`, `"K7Q"`, 1) + strings.Replace(decision, `"K7"`, `"X1"`, 1) + allowed("get", "ann", "", "", "", "")))}
	for id, want := range map[string]string{"K7": "a.jsonl:1", "K7Q": "a.jsonl:2", "X": "a.jsonl:3", "2026-11-28T09:30": "a.jsonl:4", "K": "several", "Y": "no record", "": "found by"} {
		r, err := replay.Find(log, id)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = r.Place()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
	}
}

// TestRequestOf has the arguments of a record that tells them, and says what is not told.
func TestRequestOf(t *testing.T) {
	_, objects := fuzzed(t)
	text := strings.Replace(allowed("get", "ann", `"staff"`, "", "", ""), `"looked"`, `"earlier":{"calls":2},"arguments":{"repo":"web"},"looked"`, 1)
	r, err := replay.Find([]replay.Log{memory([]byte(text))}, "2026")
	if err != nil {
		t.Fatal(err)
	}
	q, unknown := replay.RequestOf(r, objects[0], nil)
	if q == nil || q.Principal.ID != "t/ann" || q.Principal.Groups[0] != "staff" || q.Arguments["repo"] != "web" || q.Session.Calls != 2 || len(unknown) != 1 {
		t.Errorf("%+v, unknown %v", q, unknown)
	}
	r.Arguments, r.Earlier = nil, nil
	if _, unknown = replay.RequestOf(r, objects[0], nil); len(unknown) != 3 {
		t.Errorf("unknown %v", unknown)
	}
}
