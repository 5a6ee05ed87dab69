package upstream_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// BenchmarkCall is one call and its answer on loopback, the server included.
func BenchmarkCall(b *testing.B) {
	for _, bm := range []struct {
		name string
		opts func(*testing.B) upstream.Options
	}{
		{"http modern json", func(b *testing.B) upstream.Options {
			return upstream.Options{URL: upstreamtest.New(b, contract()).URL}
		}},
		{"http modern sse", func(b *testing.B) upstream.Options {
			s := contract()
			s.Stream = true
			return upstream.Options{URL: upstreamtest.New(b, s).URL}
		}},
		{"stdio", func(*testing.B) upstream.Options { return act("contract-legacy") }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			opts := bm.opts(b)
			opts.Name, opts.Log = "x", slog.New(slog.DiscardHandler)
			u := upstream.New(opts)
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				u.Run(ctx)
			}()
			<-u.Attempted()
			call := upstream.Call{Method: "tools/call", Params: toolParams("odd", `{"a":1}`)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := u.Call(ctx, call); err != nil {
					b.Fatal(err)
				}
			}
			cancel()
			<-done
		})
	}
}
