package audit_test

import (
	"testing"

	"github.com/mcpagg/mcpagg/aggregator/audit"
)

// BenchmarkAdd is what a record costs a call: while there is room, none waits.
func BenchmarkAdd(b *testing.B) {
	l := benched(b)
	b.ReportAllocs()
	for i := range b.N {
		if i%(audit.MaxQueued/2) == 0 {
			b.StopTimer()
			closeLog(b, l)
			l = benched(b)
			b.StartTimer()
		}
		if !l.Add(decide) {
			b.Fatal("a record is not taken")
		}
	}
	b.StopTimer()
	closeLog(b, l)
}

// BenchmarkRecord is what a record costs altogether, from Add into the file.
func BenchmarkRecord(b *testing.B) {
	for _, mode := range []audit.Arguments{audit.None, audit.Hashed, audit.Full} {
		b.Run(string(mode), func(b *testing.B) {
			l, err := audit.Open(audit.Options{Path: b.TempDir() + "/audit.jsonl", Arguments: mode, Log: silent})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !l.Add(decide) {
					b.Fatal("a record is not taken")
				}
			}
			closeLog(b, l)
		})
	}
}

func benched(b *testing.B) *audit.Log {
	b.Helper()
	l, err := audit.Open(audit.Options{Path: b.TempDir() + "/audit.jsonl", Log: silent})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func closeLog(b *testing.B, l *audit.Log) {
	b.Helper()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}
