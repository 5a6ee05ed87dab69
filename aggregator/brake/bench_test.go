package brake_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator/brake"
)

var someone = brake.Subject{
	Person: `User::"6c1f6c8e-0000-0000-0000-000000000000/5f2b0c1d-0000-0000-0000-000000000001"`, Subject: "5f2b0c1d-0000-0000-0000-000000000001", Name: "Ann Example",
	Client: "dcr.1", ClientAlias: "opencode", Tool: "github/delete_repo", Published: "github_delete_repo", Upstream: "github",
}

// blocking is a brake with some blocks of each kind, of which none fits.
func blocking(b *testing.B, n int) *brake.Brake {
	br := open(b, nil)
	for i := range n {
		block(b, br, brake.Kinds()[i%4], fmt.Sprint("x", i))
	}
	return br
}

func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{0, 4, brake.MaxBlocks} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			br := blocking(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if br.Check(someone) != nil {
					b.Fatal("blocked")
				}
			}
		})
	}
}

func BenchmarkEnter(b *testing.B) {
	br := blocking(b, 0)
	parent, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		_, leave, _ := br.Enter(parent, someone)
		leave()
	}
}

// BenchmarkBlock has 10,000 calls under way, of which none fits.
func BenchmarkBlock(b *testing.B) {
	br := blocking(b, brake.MaxBlocks-1)
	for range 10_000 {
		_, leave, _ := br.Enter(b.Context(), someone)
		defer leave()
	}
	for b.Loop() {
		block(b, br, brake.Person, "y")
	}
}
