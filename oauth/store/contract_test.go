package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/oauth/store"
)

// contract is what a store promises, whatever it is kept in.
var contract = []struct {
	name string
	test func(*testing.T, *store.Store)
}{
	{"Put", testPut},
	{"PutAgain", testPutAgain},
	{"Expiry", testExpiry},
	{"ExpiryOfUpdate", testExpiryOfUpdate},
	{"ExpiryIsExact", testExpiryIsExact},
	{"Create", testCreate},
	{"CreateOnce", testCreateOnce},
	{"Update", testUpdate},
	{"UpdateOnce", testUpdateOnce},
	{"TakeOnce", testTakeOnce},
	{"Delete", testDelete},
	{"List", testList},
	{"ListStops", testListStops},
	{"ListWhileChanging", testListWhileChanging},
	{"Watch", testWatch},
	{"WatchSlowly", testWatchSlowly},
	{"BoundToTheirKeys", testBoundToTheirKeys},
	{"Garbage", testGarbage},
	{"Names", testNames},
	{"Bounds", testBounds},
	{"ContextEnds", testContextEnds},
}

func TestContract(t *testing.T) {
	for _, where := range []struct {
		name string
		open func(*testing.T) *store.Store
	}{
		{"File", func(t *testing.T) *store.Store { return open(t, store.Options{Dir: t.TempDir()}) }},
		{"Memory", func(t *testing.T) *store.Store { return open(t, store.Options{Memory: true}) }},
		{"FileRotated", func(t *testing.T) *store.Store { return rotated(t, open(t, store.Options{Dir: t.TempDir()})) }},
		{"MemoryRotated", func(t *testing.T) *store.Store { return rotated(t, open(t, store.Options{Memory: true})) }},
		{"Reopened", func(t *testing.T) *store.Store {
			o := store.Options{Dir: t.TempDir()}
			closed(t, rotated(t, open(t, o)))
			return open(t, o)
		}},
	} {
		t.Run(where.name, func(t *testing.T) {
			for _, c := range contract {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.test(t, where.open(t))
				})
			}
		})
	}
}

func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := tryOpen(t, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func tryOpen(t testing.TB, o store.Options) (*store.Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	private(t, o.Dir)
	return store.Open(t.Context(), o)
}

func closed(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// rotated rotates the key of a store and waits until the old one is forgotten.
func rotated(t testing.TB, s *store.Store) *store.Store {
	t.Helper()
	if err := s.Rotate(t.Context()); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	awaitSealed(t, s)
	return s
}

func awaitSealed(t testing.TB, s *store.Store) {
	t.Helper()
	eventually(t, "the old key is forgotten", func() bool { return s.DataKeys() == 1 })
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

func put(t testing.TB, s *store.Store, kind, key, value string, ttl time.Duration) uint64 {
	t.Helper()
	revision, err := s.Put(t.Context(), kind, key, []byte(value), ttl)
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	return revision
}

// get returns the value of a key, or the error in its place.
func get(t testing.TB, s *store.Store, kind, key string) string {
	t.Helper()
	e, err := s.Get(t.Context(), kind, key)
	if errors.Is(err, store.ErrNotFound) {
		return "not found"
	}
	if err != nil {
		return "error: " + err.Error()
	}
	return string(e.Value)
}

func wantValue(t testing.TB, s *store.Store, kind, key, want string) {
	t.Helper()
	if got := get(t, s, kind, key); got != want {
		t.Errorf("%s %s is %q, want %q", kind, key, got, want)
	}
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, want %v", err, want)
	}
}

func testPut(t *testing.T, s *store.Store) {
	revision := put(t, s, "session", "a-Z_0", "one", 0)
	e, err := s.Get(t.Context(), "session", "a-Z_0")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(store.Entry{Key: "a-Z_0", Value: []byte("one"), Revision: revision}, e); diff != "" {
		t.Error(diff)
	}
	wantValue(t, s, "session", "other", "not found")
	wantValue(t, s, "code", "a-Z_0", "not found")
	put(t, s, "session", "empty", "", time.Hour)
	wantValue(t, s, "session", "empty", "")
}

func testPutAgain(t *testing.T, s *store.Store) {
	first, second := put(t, s, "session", "a", "one", time.Second), put(t, s, "session", "a", "two", 0)
	if second <= first {
		t.Errorf("the revisions are %d and then %d", first, second)
	}
	wantValue(t, s, "session", "a", "two")
	w := watch(t, s, "session")
	if diff := cmp.Diff([]string{"a=two", "synced"}, w.take(t, 2)); diff != "" {
		t.Error(diff)
	}
	put(t, s, "session", "b", "later", time.Second)
	// b expires after the time at which the first value of a would have.
	if diff := cmp.Diff([]string{"b=later", "b deleted"}, w.take(t, 2)); diff != "" {
		t.Error(diff)
	}
	wantValue(t, s, "session", "a", "two")
}

func testExpiry(t *testing.T, s *store.Store) {
	w := watch(t, s, "code")
	w.take(t, 1)
	put(t, s, "code", "a", "one", time.Second)
	wantValue(t, s, "code", "a", "one")
	if diff := cmp.Diff([]string{"a=one", "a deleted"}, w.take(t, 2)); diff != "" {
		t.Error(diff)
	}
	wantValue(t, s, "code", "a", "not found")
	if _, err := s.Take(t.Context(), "code", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("taking what has expired: %v", err)
	}
	if _, err := s.Create(t.Context(), "code", "a", []byte("two"), 0); err != nil {
		t.Errorf("creating anew what has expired: %v", err)
	}
	wantValue(t, s, "code", "a", "two")
}

func testExpiryOfUpdate(t *testing.T, s *store.Store) {
	w := watch(t, s, "code")
	w.take(t, 1)
	revision := put(t, s, "code", "a", "one", 0)
	if _, err := s.Update(t.Context(), "code", "a", []byte("two"), revision, time.Second); err != nil {
		t.Fatal(err)
	}
	kept := put(t, s, "code", "b", "one", time.Second)
	if _, err := s.Update(t.Context(), "code", "b", []byte("two"), kept, 0); err != nil {
		t.Fatal(err)
	}
	w.until(t, "a deleted")
	wantValue(t, s, "code", "a", "not found")
	put(t, s, "code", "c", "one", time.Second)
	w.until(t, "c deleted") // after b would have expired
	wantValue(t, s, "code", "b", "two")
}

// testExpiryIsExact: the engine counts in seconds, the store does not.
func testExpiryIsExact(t *testing.T, s *store.Store) {
	revision := put(t, s, "code", "a", "one", 20*time.Millisecond)
	eventually(t, "a expires", func() bool { return get(t, s, "code", "a") == "not found" })
	_, err := s.Update(t.Context(), "code", "a", []byte("two"), revision, 0)
	wantError(t, err, store.ErrConflict)
	_, err = s.Take(t.Context(), "code", "a")
	wantError(t, err, store.ErrNotFound)
	if got := list(t, s, "code", ""); len(got) != 0 {
		t.Errorf("listed: %v", got)
	}
	if _, err := s.Create(t.Context(), "code", "a", []byte("two"), 0); err != nil {
		t.Errorf("creating anew what has expired: %v", err)
	}
}

func testCreate(t *testing.T, s *store.Store) {
	if _, err := s.Create(t.Context(), "session", "a", []byte("one"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := s.Create(t.Context(), "session", "a", []byte("two"), 0)
	wantError(t, err, store.ErrExists)
	wantValue(t, s, "session", "a", "one")
	if err := s.Delete(t.Context(), "session", "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), "session", "a", []byte("three"), 0); err != nil {
		t.Errorf("creating anew what was deleted: %v", err)
	}
	wantValue(t, s, "session", "a", "three")
}

// winners runs something 100 times at once and returns how often it succeeded.
// Each other time it has to fail with an error.
func winners(t *testing.T, otherwise error, try func(i int) error) int {
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			err := try(i)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, otherwise) {
				t.Errorf("the error is %v, want %v", err, otherwise)
			}
		})
	}
	wg.Wait()
	return int(won.Load())
}

func testCreateOnce(t *testing.T, s *store.Store) {
	n := winners(t, store.ErrExists, func(i int) error {
		_, err := s.Create(t.Context(), "session", "a", fmt.Append(nil, i), 0)
		return err
	})
	if n != 1 {
		t.Errorf("%d of 100 have created it", n)
	}
}

func testUpdate(t *testing.T, s *store.Store) {
	first := put(t, s, "session", "a", "one", 0)
	second, err := s.Update(t.Context(), "session", "a", []byte("two"), first, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Update(t.Context(), "session", "a", []byte("three"), first, 0)
	wantError(t, err, store.ErrConflict)
	wantValue(t, s, "session", "a", "two")
	if err := s.Delete(t.Context(), "session", "a"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Update(t.Context(), "session", "a", []byte("three"), second, 0)
	wantError(t, err, store.ErrConflict)
	_, err = s.Update(t.Context(), "session", "never", []byte("three"), 0, 0)
	wantError(t, err, store.ErrConflict)
}

func testUpdateOnce(t *testing.T, s *store.Store) {
	revision := put(t, s, "session", "a", "one", 0)
	n := winners(t, store.ErrConflict, func(i int) error {
		_, err := s.Update(t.Context(), "session", "a", fmt.Append(nil, i), revision, 0)
		return err
	})
	if n != 1 {
		t.Errorf("%d of 100 have updated it", n)
	}
}

func testTakeOnce(t *testing.T, s *store.Store) {
	for round := range 5 {
		put(t, s, "code", "a", "one", time.Minute)
		n := winners(t, store.ErrNotFound, func(int) error {
			e, err := s.Take(t.Context(), "code", "a")
			if err == nil && string(e.Value) != "one" {
				t.Errorf("took %q", e.Value)
			}
			return err
		})
		if n != 1 {
			t.Errorf("round %d: %d of 100 have taken it", round, n)
		}
		wantValue(t, s, "code", "a", "not found")
	}
}

func testDelete(t *testing.T, s *store.Store) {
	put(t, s, "session", "a", "one", 0)
	for _, key := range []string{"a", "a", "never"} {
		if err := s.Delete(t.Context(), "session", key); err != nil {
			t.Errorf("deleting %s: %v", key, err)
		}
	}
	wantValue(t, s, "session", "a", "not found")
}

// list returns what is listed, as key=value, sorted.
func list(t testing.TB, s *store.Store, kind, prefix string) []string {
	t.Helper()
	var all []string
	err := s.List(t.Context(), kind, prefix, func(e store.Entry) error {
		if got, err := s.Get(t.Context(), kind, e.Key); err != nil || got.Revision != e.Revision {
			t.Errorf("%s is listed with revision %d, and is %v (%v)", e.Key, e.Revision, got, err)
		}
		all = append(all, e.Key+"="+string(e.Value))
		return nil
	})
	if err != nil {
		t.Errorf("List: %v", err)
	}
	slices.Sort(all)
	return all
}

func testList(t *testing.T, s *store.Store) {
	if got := list(t, s, "session", ""); len(got) != 0 {
		t.Errorf("of nothing, %v is listed", got)
	}
	want := map[string]string{}
	for i := range 600 {
		key, value := fmt.Sprintf("%c-%d", 'a'+i%2, i), fmt.Sprint(i)
		put(t, s, "session", key, value, time.Hour)
		put(t, s, "other", key, value, time.Hour)
		if strings.HasPrefix(key, "a-") {
			want[key+"="+value] = value
		}
	}
	for _, gone := range []string{"a-0", "a-598"} { // the first and the last
		if err := s.Delete(t.Context(), "session", gone); err != nil {
			t.Fatal(err)
		}
		delete(want, gone+"="+strings.TrimPrefix(gone, "a-"))
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), list(t, s, "session", "a-")); diff != "" {
		t.Error(diff)
	}
	if got := list(t, s, "session", ""); len(got) != 598 {
		t.Errorf("%d are listed, want 598", len(got))
	}
}

func testListStops(t *testing.T, s *store.Store) {
	for i := range 20 {
		put(t, s, "session", fmt.Sprint(i), "v", 0)
	}
	enough, n := errors.New("enough"), 0
	err := s.List(t.Context(), "session", "", func(store.Entry) error {
		n++
		return enough
	})
	wantError(t, err, enough)
	if n != 1 {
		t.Errorf("it went on for %d entries", n)
	}
}

// A watcher writes down what a watch tells.
type watcher struct{ events <-chan store.Event }

func watch(t *testing.T, s *store.Store, kind string) watcher {
	t.Helper()
	w, err := s.Watch(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	return watcher{w.Events()}
}

// take returns the next n events, as text.
func (w watcher) take(t *testing.T, n int) []string {
	t.Helper()
	var all []string
	for range n {
		all = append(all, w.next(t))
	}
	return all
}

// until returns the events up to one.
func (w watcher) until(t *testing.T, last string) []string {
	t.Helper()
	for all := []string{}; ; {
		all = append(all, w.next(t))
		if all[len(all)-1] == last {
			return all
		}
	}
}

func (w watcher) next(t *testing.T) string {
	t.Helper()
	select {
	case e, ok := <-w.events:
		switch {
		case !ok:
			return "closed"
		case e.Synced:
			return "synced"
		case e.Revision == 0:
			t.Errorf("an event of %s without a revision", e.Key)
		case e.Deleted:
			return e.Key + " deleted"
		}
		return e.Key + "=" + string(e.Value)
	case <-time.After(15 * time.Second):
		t.Fatal("no event for 15 s")
		return ""
	}
}

func testWatch(t *testing.T, s *store.Store) {
	put(t, s, "session", "a", "one", 0)
	put(t, s, "session", "gone", "one", 0)
	put(t, s, "session", "b", "one", 0)
	put(t, s, "session", "a", "two", 0)
	if _, err := s.Take(t.Context(), "session", "gone"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watching, err := s.Watch(ctx, "session")
	if err != nil {
		t.Fatal(err)
	}
	w := watcher{watching.Events()}
	if diff := cmp.Diff([]string{"b=one", "a=two", "synced"}, w.until(t, "synced")); diff != "" {
		t.Error(diff)
	}
	put(t, s, "other", "c", "one", 0)
	revision := put(t, s, "session", "c", "one", 0)
	if _, err := s.Update(t.Context(), "session", "c", []byte("two"), revision, 0); err != nil {
		t.Fatal(err)
	}
	w.until(t, "c=two") // of the change before, it may tell or not
	if err := s.Delete(t.Context(), "session", "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Take(t.Context(), "session", "a"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"c deleted", "a deleted"}, w.take(t, 2)); diff != "" {
		t.Error(diff)
	}
	cancel()
	if got := w.next(t); got != "closed" {
		t.Errorf("after its context has ended, a watch tells %q", got)
	}
}

// testWatchSlowly: who does not read does not stop those who write, and gets the
// last of each entry.
func testWatchSlowly(t *testing.T, s *store.Store) {
	w := watch(t, s, "session")
	for i := range 2000 {
		put(t, s, "session", fmt.Sprint(i%10), fmt.Sprint(i), 0)
	}
	put(t, s, "session", "end", "", 0)
	last, all := map[string]string{}, w.until(t, "end=")
	for _, e := range all {
		key, value, _ := strings.Cut(e, "=")
		last[key] = value
	}
	for i := range 10 {
		if key := fmt.Sprint(i); last[key] != fmt.Sprint(1990+i) {
			t.Errorf("the last value of %s is %s", key, last[key])
		}
	}
}

func testBoundToTheirKeys(t *testing.T, s *store.Store) {
	put(t, s, "session", "a", "one", 0)
	put(t, s, "session", "b", "two", 0)
	put(t, s, "session", "c", "three", 0)
	if err := s.Swap(t.Context(), "session", "a", "b"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		if got := get(t, s, "session", key); !strings.HasPrefix(got, "error: reading a session: the value does not open") {
			t.Errorf("%s is %q", key, got)
		}
		if e, err := s.Take(t.Context(), "session", key); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("taking %s: %q, %v", key, e.Value, err)
		}
	}
	if diff := cmp.Diff([]string{"c=three"}, list(t, s, "session", "")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"c=three", "synced"}, watch(t, s, "session").take(t, 2)); diff != "" {
		t.Error(diff)
	}
	if err := s.Delete(t.Context(), "session", "a"); err != nil {
		t.Errorf("deleting what does not open: %v", err)
	}
	wantValue(t, s, "session", "a", "not found")
}

func testGarbage(t *testing.T, s *store.Store) {
	put(t, s, "session", "a", "one", 0)
	raw, err := s.Raw(t.Context(), "session", "a")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "one") {
		t.Error("the value is not sealed")
	}
	for i := range raw {
		changed := slices.Clone(raw)
		changed[i] ^= 1
		for what, data := range map[string][]byte{"changed": changed, "cut": raw[:i]} {
			if err := s.SetRaw(t.Context(), "session", "a", data); err != nil {
				t.Fatal(err)
			}
			if got := get(t, s, "session", "a"); !strings.Contains(got, "the value does not open") {
				t.Errorf("%s at byte %d, it is %q", what, i, got)
			}
		}
	}
	if err := s.SetRaw(t.Context(), "other", "a", raw); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "other", "a"); !strings.Contains(got, "the value does not open") {
		t.Errorf("as another kind, it is %q", got)
	}
}

func testNames(t *testing.T, s *store.Store) {
	for _, c := range []struct{ kind, key string }{
		{"session", ""},
		{"session", "a.b"},
		{"session", "*"},
		{"session", ">"},
		{"session", "a b"},
		{"session", "ä"},
		{"session", strings.Repeat("a", 101)},
		{"", "a"},
		{"Session", "a"},
		{"session.x", "a"},
		{"_keyring", "a"},
		{"*", "a"},
	} {
		if _, err := s.Put(t.Context(), c.kind, c.key, nil, 0); err == nil {
			t.Errorf("Put takes the kind %q and key %q", c.kind, c.key)
		}
		if _, err := s.Get(t.Context(), c.kind, c.key); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get with the kind %q and key %q: %v", c.kind, c.key, err)
		}
	}
	for _, kind := range []string{"", "*", ">", "a.b"} {
		if _, err := s.Watch(t.Context(), kind); err == nil {
			t.Errorf("Watch takes the kind %q", kind)
		}
		if err := s.List(t.Context(), kind, "", nil); err == nil {
			t.Errorf("List takes the kind %q", kind)
		}
	}
	longest := strings.Repeat("a", 100)
	put(t, s, longest, longest, "v", 0)
	wantValue(t, s, longest, longest, "v")
}

func testBounds(t *testing.T, s *store.Store) {
	most := strings.Repeat("x", 256<<10)
	put(t, s, "session", "a", most, 0)
	wantValue(t, s, "session", "a", most)
	if _, err := s.Put(t.Context(), "session", "a", []byte(most+"x"), 0); err == nil {
		t.Error("Put takes more than 256 KiB")
	}
	if _, err := s.Put(t.Context(), "session", "a", nil, -1); err == nil {
		t.Error("Put takes a negative time")
	}
	wantValue(t, s, "session", "a", most)
}

func testContextEnds(t *testing.T, s *store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Put(ctx, "session", "a", nil, 0)
	wantError(t, err, context.Canceled)
	_, err = s.Get(ctx, "session", "a")
	wantError(t, err, context.Canceled)
	wantError(t, s.List(ctx, "session", "", nil), context.Canceled)
	wantError(t, s.Rotate(ctx), context.Canceled)
	closed(t, s)
	_, err = s.Put(t.Context(), "session", "a", nil, 0)
	wantError(t, err, store.ErrClosed)
	_, err = s.Watch(t.Context(), "session")
	wantError(t, err, store.ErrClosed)
	wantError(t, s.Rotate(t.Context()), store.ErrClosed)
}

// private makes the folder of a test one that a store takes.
func private(t testing.TB, dir string) {
	t.Helper()
	if dir == "" {
		return
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// testListWhileChanging: what is there all the time is listed.
func testListWhileChanging(t *testing.T, s *store.Store) {
	for i := range 300 {
		put(t, s, "session", fmt.Sprint(i), "v", 0)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	defer writing.Wait()
	defer cancel()
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			s.Put(ctx, "session", fmt.Sprint(i*7%300), []byte("v"), 0)
		}
	})
	for range 5 {
		all := map[string]bool{}
		err := s.List(t.Context(), "session", "", func(e store.Entry) error {
			all[e.Key] = true
			return nil
		})
		if err != nil || len(all) != 300 {
			t.Errorf("%d are listed (%v), want 300", len(all), err)
		}
	}
}
