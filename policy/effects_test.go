package policy_test

import (
	"testing"

	"github.com/mcpagg/mcpagg/policy"
)

// cautious are the effects of a tool of which nothing is believed.
var cautious = policy.Effects{Destructive: true, OpenWorld: true}

func TestEffects(t *testing.T) {
	const reader = `{"readOnlyHint":true,"openWorldHint":false}`
	readOnly := policy.Effects{ReadOnly: true}
	for _, tt := range []struct {
		name string
		tool policy.Tool // Annotations are below
		says string      // its annotations
		want policy.Effects
	}{
		{"nobody reviewed it", policy.Tool{}, reader, cautious},
		{"reviewed", policy.Tool{Pinned: true}, reader, readOnly},
		{"trusted", policy.Tool{Trusted: true}, reader, readOnly},
		{"reviewed, says nothing", policy.Tool{Pinned: true}, "", cautious},
		{"reviewed, says null", policy.Tool{Pinned: true}, "null", cautious},
		{"drifted", policy.Tool{Drifted: true}, reader, cautious},
		{"drifted, and pinned by mistake", policy.Tool{Drifted: true, Pinned: true}, reader, cautious},
		{"drifted, but trusted", policy.Tool{Drifted: true, Trusted: true}, reader, policy.Effects{Destructive: true}},

		{"reads, and destroys nothing", policy.Tool{Pinned: true}, `{"readOnlyHint":true,"destructiveHint":true}`, policy.Effects{ReadOnly: true, OpenWorld: true}},
		{"writes, and destroys nothing", policy.Tool{Pinned: true}, `{"destructiveHint":false}`, policy.Effects{OpenWorld: true}},
		{"repeatable", policy.Tool{Pinned: true}, `{"idempotentHint":true}`, policy.Effects{Destructive: true, Idempotent: true, OpenWorld: true}},

		{"overridden", policy.Tool{Overridden: map[string]bool{"readOnlyHint": true}}, "", policy.Effects{ReadOnly: true, OpenWorld: true}},
		{"overridden, the rest is not believed", policy.Tool{Overridden: map[string]bool{"destructiveHint": false}}, reader, policy.Effects{OpenWorld: true}},
		{"overridden against a reviewed hint", policy.Tool{Pinned: true, Overridden: map[string]bool{"readOnlyHint": false}}, reader, policy.Effects{Destructive: true}},
		{"overridden and drifted", policy.Tool{Drifted: true, Overridden: map[string]bool{"readOnlyHint": true, "openWorldHint": false}}, "", policy.Effects{Destructive: true}},

		{"of another case", policy.Tool{Pinned: true}, `{"READONLYHINT":true}`, cautious},
		{"beside one of another case", policy.Tool{Pinned: true}, `{"readOnlyHint":false,"readonlyHint":true}`, cautious},
		{"named twice", policy.Tool{Pinned: true}, `{"readOnlyHint":false,"readOnlyHint":true}`, cautious},
		{"no boolean", policy.Tool{Pinned: true}, `{"readOnlyHint":"true"}`, cautious},
		{"no object", policy.Tool{Trusted: true}, `[true]`, cautious},
	} {
		tt.tool.Annotations = []byte(tt.says)
		if got := tt.tool.Effects(); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestHintsAreOnlyThoseThatAreBelieved(t *testing.T) {
	says := []byte(`{"readOnlyHint":true,"destructiveHint":false}`)
	if h := (policy.Tool{Annotations: says}).Hints(); h != (policy.Hints{}) {
		t.Errorf("nobody reviewed it, and it hints at %+v", h)
	}
	h := policy.Tool{Annotations: says, Pinned: true}.Hints()
	if h.ReadOnly == nil || !*h.ReadOnly || h.Destructive == nil || *h.Destructive || h.Idempotent != nil || h.OpenWorld != nil {
		t.Errorf("reviewed, it hints at %+v", h)
	}
	if h := (policy.Tool{Annotations: says, Trusted: true, Drifted: true}).Hints(); h.ReadOnly != nil || h.Destructive == nil {
		t.Errorf("drifted, it hints at %+v", h)
	}
}

// Whatever a tool says, it is not both read-only and destructive, and says
// nothing unless it is believed.
func FuzzEffects(f *testing.F) {
	f.Add([]byte(`{"readOnlyHint":true,"destructiveHint":false}`))
	f.Add([]byte(`{"readOnlyHint":true,"readOnlyHint":false}`))
	f.Fuzz(func(t *testing.T, says []byte) {
		if got := (policy.Tool{Annotations: says}).Effects(); got != cautious {
			t.Errorf("%q: %+v without anybody believing it", says, got)
		}
		if got := (policy.Tool{Annotations: says, Pinned: true}).Effects(); got.ReadOnly && got.Destructive {
			t.Errorf("%q: %+v", says, got)
		}
	})
}
