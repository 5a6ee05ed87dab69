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
