package syntax_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy/syntax"
)

func BenchmarkParse10000(b *testing.B) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "@id(\"policy-%d\")\npermit(principal in Group::\"team-%d\", action == Action::\"call_tool\", resource in Upstream::\"github\")\nwhen { context.input.owner == \"owner-%d\" && resource.read_only };\n\n", i, i, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := syntax.Parse("a.cedar", []byte(text.String())); err != nil {
			b.Fatal(err)
		}
	}
}
