package labels_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/aggregator/labels"
	"github.com/mcpagg/mcpagg/oauth/store"
)

func openStore(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func open(t testing.TB, st *store.Store, ttl time.Duration) *labels.Labels {
	t.Helper()
	l, err := labels.Open(t.Context(), st, labels.Options{TTL: ttl, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mark(t testing.TB, l *labels.Labels, caller, app string, names ...string) {
	t.Helper()
	if err := l.Mark(t.Context(), caller, app, names); err != nil {
		t.Fatal(err)
	}
}

// expect compares the labels of a caller with an app.
func expect(t testing.TB, l *labels.Labels, caller, app string, want ...string) {
	t.Helper()
	if _, got := l.Of(caller, app); cmp.Diff(want, got) != "" && len(want)+len(got) > 0 {
		t.Errorf("%s %s with %q has %q, want %q", time.Now().Format(time.TimeOnly), caller, app, got, want)
	}
}

// inTime runs a test whose time is its own.
func inTime(t *testing.T, test func(*testing.T)) {
	t.Helper()
	// The engine of all stores has one goroutine in common, which must not be of
	// that time.
	openStore(t, store.Options{Memory: true})
	synctest.Test(t, test)
}

// TestOwners keeps callers and apps apart: labels are of the two together.
func TestOwners(t *testing.T) {
	l := open(t, openStore(t, store.Options{Memory: true}), 0)
	mark(t, l, "ann", "opencode", "private-data", "customers")
	mark(t, l, "ann", "", "public")
	mark(t, l, "ben", "opencode")
	expect(t, l, "ann", "opencode", "customers", "private-data")
	expect(t, l, "ann", "claude")
	expect(t, l, "ann", "", "public")
	expect(t, l, "ben", "opencode")
	expect(t, l, "annopencode", "")
	mark(t, l, "ann", "opencode", "public", "customers")
	expect(t, l, "ann", "opencode", "customers", "private-data", "public")
}

// TestParallelCalls has calls of one caller with labels of their own begin at once: each
// label is there once the call that sets it is sent, and none gets lost.
func TestParallelCalls(t *testing.T) {
	for name, st := range map[string]*store.Store{"memory": nil, "store": openStore(t, store.Options{Memory: true})} {
		t.Run(name, func(t *testing.T) {
			l := open(t, st, 0)
			var running sync.WaitGroup
			var want []string
			for i := range 20 {
				label := fmt.Sprintf("label-%02d", i)
				want = append(want, label)
				for range 3 {
					running.Go(func() {
						if err := l.Mark(t.Context(), "ann", "opencode", []string{label}); err != nil {
							t.Error(err)
						}
						_, got := l.Of("ann", "opencode")
						for _, one := range got {
							if one == label {
								return
							}
						}
						t.Errorf("a call that begins after the first has %q, without %s", got, label)
					})
				}
			}
			running.Wait()
			expect(t, l, "ann", "opencode", want...)
			if st != nil {
				expect(t, open(t, st, 0), "ann", "opencode", want...)
			}
		})
	}
}

// TestTwoGateways have one store: neither loses what the other has marked.
func TestTwoGateways(t *testing.T) {
	inTime(t, func(t *testing.T) {
		st := openStore(t, store.Options{Memory: true})
		one, two := open(t, st, time.Hour), open(t, st, time.Hour)
		mark(t, one, "ann", "opencode", "a")
		mark(t, two, "ann", "opencode", "b") // which does not know of a yet
		expect(t, two, "ann", "opencode", "a", "b")
		mark(t, one, "ann", "opencode", "c")
		expect(t, one, "ann", "opencode", "a", "b", "c")

		var running sync.WaitGroup
		defer running.Wait()
		life, stop := context.WithCancel(t.Context())
		defer stop()
		running.Go(func() { two.Run(life) })
		synctest.Wait()
		expect(t, two, "ann", "opencode", "a", "b", "c")
		mark(t, one, "ben", "opencode", "d")
		synctest.Wait()
		expect(t, two, "ben", "opencode", "d")
	})
}

// TestTTL has labels end to the nanosecond after the last call that has set them.
func TestTTL(t *testing.T) {
	for _, where := range []string{"memory", "store"} {
		t.Run(where, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				var st *store.Store
				if where == "store" {
					st = openStore(t, store.Options{Memory: true})
				}
				l := open(t, st, 24*time.Minute)
				var running sync.WaitGroup
				defer running.Wait()
				life, stop := context.WithCancel(t.Context())
				defer stop()
				running.Go(func() { l.Run(life) })

				mark(t, l, "ann", "opencode", "a")
				time.Sleep(time.Minute)
				mark(t, l, "ann", "opencode", "b")
				time.Sleep(23*time.Minute - 1)
				expect(t, l, "ann", "opencode", "a", "b")
				time.Sleep(time.Nanosecond)
				expect(t, l, "ann", "opencode", "b")
				for range 5 { // each call prolongs it by the whole TTL
					time.Sleep(50 * time.Second)
					mark(t, l, "ann", "opencode", "b")
				}
				time.Sleep(24*time.Minute - 1)
				expect(t, l, "ann", "opencode", "b")
				time.Sleep(time.Nanosecond)
				expect(t, l, "ann", "opencode")
				time.Sleep(13 * time.Minute)
				if n := l.Marked(); n != 0 {
					t.Errorf("%d are remembered", n)
				}
				mark(t, l, "ann", "opencode", "a")
				expect(t, l, "ann", "opencode", "a")
				l.SetTTL(time.Second)
				mark(t, l, "ann", "opencode", "a", "c")
				time.Sleep(time.Second)
				expect(t, l, "ann", "opencode", "a") // what was promised stays
			})
		})
	}
}

// countWrites counts how often labels are stored, until the function is called that it
// returns.
func countWrites(t *testing.T, st *store.Store) (stop func() int) {
	t.Helper()
	life, end := context.WithCancel(t.Context())
	t.Cleanup(end)
	w, err := st.Watch(life, "labels")
	if err != nil {
		t.Fatal(err)
	}
	writes := make(chan int, 1)
	go func() {
		revisions := map[uint64]bool{}
		for e := range w.Events() {
			if !e.Synced && !e.Deleted {
				revisions[e.Revision] = true
			}
		}
		writes <- len(revisions)
	}()
	return func() int {
		synctest.Wait()
		end()
		return <-writes
	}
}

// TestFewWrites counts how often calls wait for the store: once in half the TTL, and
// once for all that come together.
func TestFewWrites(t *testing.T) {
	inTime(t, func(t *testing.T) {
		st := openStore(t, store.Options{Memory: true})
		l := open(t, st, 24*time.Minute)
		stop := countWrites(t, st)
		for range 10 * 24 {
			mark(t, l, "ann", "opencode", "a")
			time.Sleep(time.Minute)
		}
		if n := stop(); n < 18 || n > 20 { // every 13 minutes, as calls come every minute
			t.Errorf("%d writes in ten TTLs", n)
		}
		stop = countWrites(t, st)
		var calls sync.WaitGroup
		for range 50 {
			calls.Go(func() { mark(t, l, "ben", "opencode", "a") })
		}
		calls.Wait()
		if n := stop(); n != 2 { // with that of ann
			t.Errorf("%d owners are stored, or one more than once", n)
		}
	})
}

// TestRestart reads labels after a restart, in which they never last shorter than
// they did, and half as long again at most.
func TestRestart(t *testing.T) {
	inTime(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		st := openStore(t, store.Options{Dir: dir})
		l := open(t, st, time.Minute)
		mark(t, l, "ann", "opencode", "a")
		time.Sleep(10 * time.Second)
		mark(t, l, "ann", "opencode", "a") // which is not stored anew
		mark(t, l, "ben", "", "b", "c")
		l.Count("ann", "opencode")
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, openStore(t, store.Options{Dir: dir}), time.Minute)
		expect(t, l, "ann", "opencode", "a")
		expect(t, l, "ben", "", "b", "c")
		if n, _ := l.Of("ann", "opencode"); n != 0 {
			t.Errorf("%d calls are remembered", n)
		}
		time.Sleep(time.Minute - 1)
		expect(t, l, "ann", "opencode", "a")
		time.Sleep(20*time.Second + 1)
		expect(t, l, "ann", "opencode")
		mark(t, l, "ann", "opencode", "a")
		expect(t, l, "ann", "opencode", "a")
	})
}

// TestKeepLater begins in memory, and gets a store with what a gateway before has left.
func TestKeepLater(t *testing.T) {
	st := openStore(t, store.Options{Memory: true})
	mark(t, open(t, st, 0), "ann", "opencode", "a")
	l := open(t, nil, 0)
	mark(t, l, "ann", "opencode", "b")
	begin, err := l.Keep(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, l, "ann", "opencode", "b")
	if err := begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, l, "ann", "opencode", "a", "b")
	expect(t, open(t, st, 0), "ann", "opencode", "a", "b")
	if err := begin(t.Context()); err == nil {
		t.Error("there may be two stores")
	}
	mark(t, l, "ann", "opencode", "c")
	mark(t, l, "ben", "opencode", "c")
	mark(t, l, "ann", "opencode", "b", "c")
	expect(t, open(t, st, 0), "ann", "opencode", "a", "b", "c")
	expect(t, open(t, st, 0), "ben", "opencode", "c")
}

// TestStoreFails has no call begin whose labels cannot be kept, while what is kept
// already goes on.
func TestStoreFails(t *testing.T) {
	st := openStore(t, store.Options{Memory: true})
	l := open(t, st, 0)
	mark(t, l, "ann", "opencode", "a")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	mark(t, l, "ann", "opencode", "a")
	err := l.Mark(t.Context(), "ann", "opencode", []string{"a", "b"})
	if !errors.Is(err, store.ErrClosed) || strings.Contains(err.Error(), "ann") {
		t.Errorf("marking: %v", err)
	}
	if err := l.Mark(t.Context(), "ben", "opencode", []string{"a"}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("marking another one: %v", err)
	}
	expect(t, l, "ann", "opencode", "a")
	expect(t, l, "ben", "opencode")
	if _, err := labels.Open(t.Context(), st, labels.Options{Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("opening: %v", err)
	}
}

// TestPatience ends with the call that waits.
func TestPatience(t *testing.T) {
	l := open(t, openStore(t, store.Options{Memory: true}), 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Mark(ctx, "ann", "opencode", []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("marking: %v", err)
	}
	expect(t, l, "ann", "opencode")
	mark(t, l, "ann", "opencode", "a") // nobody holds it up
}

// TestFull marks as many callers as there may be: one more gets no label, and so must
// not call. When the labels of the others are over, there is room again.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, nil, time.Hour)
		for i := range labels.MaxMarked {
			mark(t, l, fmt.Sprint(i), "opencode", "a")
		}
		for range 2 {
			if err := l.Mark(t.Context(), "ann", "opencode", []string{"a"}); !errors.Is(err, labels.ErrFull) {
				t.Errorf("one more: %v", err)
			}
		}
		mark(t, l, "7", "opencode", "b")
		expect(t, l, "7", "opencode", "a", "b")
		expect(t, l, "0", "opencode", "a")
		expect(t, l, "ann", "opencode")
		time.Sleep(2 * time.Hour)
		mark(t, l, "ann", "opencode", "a")
		if n := l.Marked(); n != 1 {
			t.Errorf("%d are remembered", n)
		}
	})
}

// TestRefused tries labels that there cannot be.
func TestRefused(t *testing.T) {
	l := open(t, nil, 0)
	for _, label := range []string{"", "\xff", strings.Repeat("x", 101)} {
		if err := l.Mark(t.Context(), "ann", "", []string{"a", label}); err == nil {
			t.Errorf("%q is a label", label)
		}
	}
	var many []string
	for i := range labels.MaxLabels {
		many = append(many, fmt.Sprintf("%03d", i))
	}
	mark(t, l, "ann", "", many...)
	if err := l.Mark(t.Context(), "ann", "", []string{"one more"}); err == nil {
		t.Error("there may be one more")
	}
	expect(t, l, "ann", "", many...)
}

// TestCounts counts calls of each caller with each app, until they make none for a
// while.
func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, nil, 0)
		expectCalls := func(caller string, want int64) {
			t.Helper()
			if got, _ := l.Of(caller, "opencode"); got != want {
				t.Errorf("%s: %s has made %d calls, want %d", time.Now().Format(time.TimeOnly), caller, got, want)
			}
		}
		expectCalls("ann", 0)
		for range 100 {
			l.Count("ann", "opencode")
			l.Count("ann", "claude")
			time.Sleep(29 * time.Minute)
		}
		expectCalls("ann", 100)
		expectCalls("ben", 0)
		time.Sleep(time.Hour)
		expectCalls("ann", 0)
		l.Count("ann", "opencode")
		expectCalls("ann", 1)
		for i := range 20_000 { // who came last counts most
			l.Count(fmt.Sprint(i), "opencode")
		}
		expectCalls("ann", 0)
		expectCalls("19999", 1)
	})
}

// TestCountsInParallel loses no call.
func TestCountsInParallel(t *testing.T) {
	l := open(t, nil, 0)
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 1000 {
				l.Count("ann", "")
			}
		})
	}
	running.Wait()
	if n, _ := l.Of("ann", ""); n != 8000 {
		t.Errorf("%d calls, want 8000", n)
	}
}

func BenchmarkOf(b *testing.B) {
	l := open(b, nil, 0)
	for i := range 10_000 {
		l.Count(fmt.Sprint(i), "opencode")
		mark(b, l, fmt.Sprint(i), "opencode", "a", "b")
	}
	for name, caller := range map[string]string{"labels": "7", "none": "ann"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Of(caller, "opencode")
			}
		})
	}
	b.Run("mark again", func(b *testing.B) {
		b.ReportAllocs()
		set := []string{"a", "b"}
		for b.Loop() {
			if err := l.Mark(b.Context(), "7", "opencode", set); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMarkNew(b *testing.B) {
	l := open(b, openStore(b, store.Options{Dir: filepath.Join(b.TempDir(), "state")}), 0)
	n := 0
	for b.Loop() {
		n++
		mark(b, l, fmt.Sprint(n), "opencode", "a")
	}
}
