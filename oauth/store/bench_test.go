package store_test

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/store"
)

// valueOfSession has the size of one.
var valueOfSession = []byte(strings.Repeat("s", 600))

func benchStore(b *testing.B, entries int) (*store.Store, store.Options) {
	b.Helper()
	o := store.Options{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)}
	s := open(b, o)
	sem := make(chan struct{}, 64)
	for i := range entries {
		sem <- struct{}{}
		go func() {
			defer func() { <-sem }()
			if _, err := s.Put(b.Context(), "session", strconv.Itoa(i), valueOfSession, 720*time.Hour); err != nil {
				b.Error(err)
			}
		}()
	}
	for range cap(sem) {
		sem <- struct{}{}
	}
	return s, o
}

func BenchmarkPut(b *testing.B) {
	s, _ := benchStore(b, 0)
	for i := 0; b.Loop(); i++ {
		put(b, s, "session", strconv.Itoa(i), string(valueOfSession), time.Hour)
	}
}

func BenchmarkUpdate(b *testing.B) {
	s, _ := benchStore(b, 0)
	revision := put(b, s, "session", "a", "", time.Hour)
	for b.Loop() {
		var err error
		if revision, err = s.Update(b.Context(), "session", "a", valueOfSession, revision, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	s, _ := benchStore(b, 0)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		put(b, s, "code", strconv.Itoa(i), string(valueOfSession), time.Minute)
		b.StartTimer()
		if _, err := s.Take(b.Context(), "code", strconv.Itoa(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, entries := range []int{100, 100_000} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			s, _ := benchStore(b, entries)
			for i := 0; b.Loop(); i++ {
				if _, err := s.Get(b.Context(), "session", strconv.Itoa(i*7919%entries)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkList reads all, as the gateway does when it starts.
func BenchmarkList(b *testing.B) {
	s, _ := benchStore(b, 100_000)
	for b.Loop() {
		n := 0
		if err := s.List(b.Context(), "session", "", func(store.Entry) error { n++; return nil }); err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkOpen opens a store, and tells how much memory it takes then.
func BenchmarkOpen(b *testing.B) {
	for _, entries := range []int{0, 100_000} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			s, o := benchStore(b, entries)
			closed(b, s)
			before := heap()
			var after uint64
			for b.Loop() {
				s := open(b, o)
				b.StopTimer()
				after = heap()
				closed(b, s)
				b.StartTimer()
			}
			b.ReportMetric(float64(after-min(before, after))/(1<<20), "MiB-heap")
			b.ReportMetric(resident(b), "MiB-resident")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// resident is what this process takes, in MiB, where that can be known.
func resident(b *testing.B) float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	return 0
}
