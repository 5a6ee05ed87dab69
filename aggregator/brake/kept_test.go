package brake_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// inTime runs a test whose time is its own.
func inTime(t *testing.T, test func(*testing.T)) {
	t.Helper()
	// The engine of all stores has one goroutine in common, which must not be of
	// that time.
	openStore(t, store.Options{Memory: true})
	synctest.Test(t, test)
}

// TestRestart reads what is blocked after the store was closed, as a kill leaves it.
func TestRestart(t *testing.T) {
	inTime(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		st := openStore(t, store.Options{Dir: dir})
		b := open(t, st)
		until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		for _, one := range []brake.Block{
			{Kind: brake.Person, What: "ann", Until: until, Reason: "incident 7", By: "ops"},
			{Kind: brake.Tool, What: "github/*"},
			{Kind: brake.Upstream, What: "files"},
			{Kind: brake.Client, What: "dcr.1", Until: time.Now().Add(time.Second)},
		} {
			if err := b.Block(t.Context(), one); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := b.Unblock(t.Context(), brake.Upstream, "files"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		before := b.Blocks()
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(before[0].Until)) // that of the client, which ends while nobody runs
		b = open(t, openStore(t, store.Options{Dir: dir}))
		if diff := cmp.Diff(before[1:], b.Blocks()); diff != "" || !b.Kept() {
			t.Errorf("blocks after a restart (-want +got)\n%s", diff)
		}
		if got := b.Check(brake.Subject{Person: `User::"ann"`}); got == nil || got.Message() != before[1].Message() {
			t.Errorf("blocked by %+v", got)
		}
		if got := b.Check(brake.Subject{Upstream: "files"}); got != nil {
			t.Errorf("blocked by %+v, which was unblocked", got)
		}
	})
}

// TestKeepLater begins in memory, and gets a store when something is blocked.
func TestKeepLater(t *testing.T) {
	st := openStore(t, store.Options{Memory: true})
	block(t, open(t, st), brake.Upstream, "files") // by a gateway before
	b := open(t, nil)
	var running sync.WaitGroup
	defer running.Wait()
	life, stop := context.WithCancel(t.Context())
	defer stop()
	running.Go(func() { b.Run(life) })
	block(t, b, brake.Person, "ann")
	ctx, leave, _ := b.Enter(t.Context(), brake.Subject{Upstream: "files"})
	defer leave()
	if b.Kept() {
		t.Error("it is kept already")
	}
	begin, err := b.Keep(t.Context(), st)
	if err != nil || b.Kept() || len(names(b)) != 1 {
		t.Errorf("reading the store: %v, blocked is %q", err, names(b))
	}
	if err := begin(t.Context()); err != nil || !b.Kept() {
		t.Errorf("keeping: %v", err)
	}
	if ctx.Err() == nil {
		t.Error("what was blocked in the store goes on")
	}
	if err := begin(t.Context()); err == nil {
		t.Error("there may be two stores")
	}
	want := []string{"person ann", "upstream files"}
	if diff := cmp.Diff(want, names(b)); diff != "" {
		t.Errorf("blocked (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(want, names(open(t, st))); diff != "" {
		t.Errorf("blocked in the store (-want +got)\n%s", diff)
	}
}

// TestStoreFails cannot write: what is blocked is, for as long as the gateway runs,
// and what is not unblocked stays.
func TestStoreFails(t *testing.T) {
	st := openStore(t, store.Options{Memory: true})
	b := open(t, st)
	block(t, b, brake.Upstream, "files")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	err := b.Block(t.Context(), brake.Block{Kind: brake.Person, What: "ann"})
	if !errors.Is(err, brake.ErrNotKept) || !errors.Is(err, store.ErrClosed) {
		t.Errorf("blocking: %v", err)
	}
	if n, err := b.Unblock(t.Context(), "", ""); n != 0 || !errors.Is(err, store.ErrClosed) || !strings.Contains(err.Error(), "unblocking person ann") {
		t.Errorf("unblocking: %d, %v", n, err)
	}
	for _, s := range []brake.Subject{{Upstream: "files"}, {Person: `User::"ann"`}} {
		if b.Check(s) == nil {
			t.Errorf("%+v is not blocked", s)
		}
	}
	if _, err := brake.Open(t.Context(), st, silent); !errors.Is(err, store.ErrClosed) {
		t.Errorf("opening: %v", err)
	}
}

// TestFollow has two gateways with one store: what one does the other does, too.
func TestFollow(t *testing.T) {
	inTime(t, func(t *testing.T) {
		st := openStore(t, store.Options{Memory: true})
		one, two := open(t, st), open(t, st)
		var running sync.WaitGroup
		defer running.Wait()
		life, stop := context.WithCancel(t.Context())
		defer stop()
		running.Go(func() { one.Run(life) })
		running.Go(func() { two.Run(life) })
		synctest.Wait()
		ctx, leave, _ := two.Enter(t.Context(), brake.Subject{Person: `User::"ann"`})
		defer leave()
		for range 3 {
			if err := one.Block(t.Context(), brake.Block{Kind: brake.Person, What: "ann", Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			var why *brake.Blocked
			if len(names(two)) != 1 || !errors.As(context.Cause(ctx), &why) {
				t.Errorf("blocked is %q, the call ended for %v", names(two), context.Cause(ctx))
			}
			if n, err := two.Unblock(t.Context(), brake.Person, "ann"); n != 1 || err != nil {
				t.Errorf("unblocked %d, %v", n, err)
			}
			synctest.Wait()
			if len(names(one)) != 0 || len(names(two)) != 0 {
				t.Errorf("blocked is %q and %q", names(one), names(two))
			}
		}
	})
}

// TestGarbageInStore finds what is no block, and goes on.
func TestGarbageInStore(t *testing.T) {
	st := openStore(t, store.Options{Memory: true})
	block(t, open(t, st), brake.Upstream, "files")
	for key, value := range map[string]string{
		"a": `{`, "b": `{"kind":"upstream","what":"github"}`, // whose key is another one
		"c": `{"kind":"team","what":"x"}`,
	} {
		if _, err := st.Put(t.Context(), "block", key, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"upstream files"}, names(open(t, st))); diff != "" {
		t.Errorf("blocked (-want +got)\n%s", diff)
	}
}

// A slowLog takes an error only when it is released.
type slowLog struct {
	slog.Handler
	release chan struct{}
}

func (l slowLog) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelError {
		<-l.release
	}
	return nil
}

// TestLateNews has the store tell of a block when it was unblocked already: what has
// begun since goes on.
func TestLateNews(t *testing.T) {
	inTime(t, func(t *testing.T) {
		st := openStore(t, store.Options{Memory: true})
		log := slowLog{slog.NewTextHandler(io.Discard, nil), make(chan struct{})}
		b, err := brake.Open(t.Context(), st, slog.New(log))
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		defer running.Wait()
		life, stop := context.WithCancel(t.Context())
		defer stop()
		running.Go(func() { b.Run(life) })
		if _, err := st.Put(t.Context(), "block", "garbage", []byte("{"), 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until it waits for the log to be told of the garbage
		block(t, b, brake.Upstream, "github")
		synctest.Wait() // until the store is about to tell
		if n, err := b.Unblock(t.Context(), brake.Upstream, "github"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		ctx, leave, _ := b.Enter(t.Context(), brake.Subject{Upstream: "github"})
		defer leave()
		log.release <- struct{}{}
		synctest.Wait()
		if ctx.Err() != nil || len(names(b)) != 0 {
			t.Errorf("the call ended for %v, blocked is %q", context.Cause(ctx), names(b))
		}
	})
}
