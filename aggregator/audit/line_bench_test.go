package audit

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

type (
	text string
	list []text
	long int64
)

// BenchmarkLine is what it takes to make a line of a record, with values as policies
// have them.
func BenchmarkLine(b *testing.B) {
	r := Record{
		Time: time.Now(), Kind: KindDecision, Decision: Allow, Reference: "K7QXM2VATB", Action: "call_tool", Upstream: "b0", Object: "echo", Published: "b0_echo",
		Caller: `User::"http://127.0.0.1:26164#a11ce000-0000-4000-8000-000000000001"`, Name: "Alice Example", Client: "bench", Provider: "bench", IP: "127.0.0.1",
		Reasons: []Reason{{ID: "legacy-policies/00.cedar#1", File: "legacy-policies/00.cedar", Line: 1}},
		Looked: func() map[string]any {
			return map[string]any{
				"context.bytes": long(20), "context.input.text": text("some text of a call"), "context.session.labels": list{}, "resource.open_world": true,
				"principal in": []string{`Group::"4f1c2d3e-0000-4000-8000-000000000000"`},
			}
		},
		Arguments: json.RawMessage(`{"text": "` + strings.Repeat("x", 20) + `"}`), Generation: 1, Policies: strings.Repeat("5d81001c", 8), Micros: 9,
	}
	ls := newLines("01234567890123456789012345", Hashed)
	b.ReportAllocs()
	for b.Loop() {
		ls.out.Reset()
		ls.add(&r)
	}
}
