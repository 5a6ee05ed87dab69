package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy/source"
)

// many are policies as people write them, 165 bytes each.
func many(n int) []source.File {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "@id(\"policy-%d\")\npermit(principal in Group::\"team-%d\", action == Action::\"call_tool\", resource in Upstream::\"github\")\nwhen { context.input.owner == \"owner-%d\" && resource.read_only };\n\n", i, i, i)
	}
	return []source.File{{Name: "policies/a.cedar", Text: []byte(b.String())}}
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		files := many(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := source.Parse(files, source.Options{Upstreams: []string{"github"}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRefuse100000(b *testing.B) {
	files := many(100_000)
	for b.Loop() {
		if _, _, err := source.Parse(files, source.Options{}); err == nil {
			b.Fatal("100,000 policies are not refused")
		}
	}
}

func BenchmarkMentions(b *testing.B) {
	policies, _, err := source.Parse(many(1000), source.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range policies {
			source.MentionsOf(p)
		}
	}
}
