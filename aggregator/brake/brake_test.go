package brake_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/oauth/store"
)

var silent = slog.New(slog.DiscardHandler)

func openStore(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func open(t testing.TB, st *store.Store) *brake.Brake {
	t.Helper()
	b, err := brake.Open(t.Context(), st, silent)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func block(t testing.TB, b *brake.Brake, kind brake.Kind, what string) {
	t.Helper()
	if err := b.Block(t.Context(), brake.Block{Kind: kind, What: what}); err != nil {
		t.Fatal(err)
	}
}

// names are what is blocked.
func names(b *brake.Brake) (all []string) {
	for _, one := range b.Blocks() {
		all = append(all, string(one.Kind)+" "+one.What)
	}
	return all
}

// TestCheck blocks one thing after the other, and asks who is stopped by it.
func TestCheck(t *testing.T) {
	ann := brake.Subject{
		Person: `User::"6c1f6c8e-0000-0000-0000-000000000000/5f2b0c1d-0000-0000-0000-000000000001"`, Subject: "5f2b0c1d-0000-0000-0000-000000000001", Name: "Ann Example",
		Client: "dcr.1", ClientAlias: "opencode", Tool: "github/delete_repo", Published: "gh_delete_repo", Upstream: "github",
	}
	ben := brake.Subject{Person: `User::"https://login.contoso.com#ben"`, Subject: "ben", Client: "dcr.2", Tool: "github/read_file", Published: "gh_read_file", Upstream: "github"}
	anonymous := brake.Subject{Person: `User::"anonymous"`, Upstream: "files"}
	for _, test := range []struct {
		kind brake.Kind
		what string
		want string // a letter for each who is stopped
	}{
		{brake.Person, ann.Person, "a"},
		{brake.Person, "6c1f6c8e-0000-0000-0000-000000000000/5f2b0c1d-0000-0000-0000-000000000001", "a"},
		{brake.Person, ann.Subject, "a"},
		{brake.Person, "Ann Example", "a"},
		{brake.Person, "ann example", ""},
		{brake.Person, "Ann", ""},
		{brake.Person, "https://login.contoso.com#ben", "b"},
		{brake.Person, "ben", "b"},
		{brake.Person, "anonymous", "n"},
		{brake.Client, "dcr.2", "b"},
		{brake.Client, "opencode", "a"},
		{brake.Client, "ben", ""},
		{brake.Tool, "github/delete_repo", "a"},
		{brake.Tool, "gh_delete_repo", "a"},
		{brake.Tool, "delete_repo", ""},
		{brake.Tool, "github/delete_*", "a"},
		{brake.Tool, "github/*", "ab"},
		{brake.Tool, "*_re*", "ab"},
		{brake.Tool, "*/*e*e*repo", "a"},
		{brake.Tool, "gh_read_file*", "b"},
		{brake.Tool, "github/delete_repo*repo", ""},
		{brake.Tool, "files/*", ""},
		{brake.Upstream, "github", "ab"},
		{brake.Upstream, "files", "n"},
		{brake.Upstream, "gh", ""},
	} {
		b := open(t, nil)
		block(t, b, brake.Client, "somebody else")
		block(t, b, test.kind, test.what)
		got := ""
		for letter, s := range map[string]brake.Subject{"a": ann, "b": ben, "n": anonymous} {
			if one := b.Check(s); one != nil {
				got += letter
				if one.What != test.what || !one.Matches(s) {
					t.Errorf("%s %s: stopped by %+v", test.kind, test.what, one)
				}
			}
		}
		if sorted(got) != test.want {
			t.Errorf("%s %s stops %q, want %q", test.kind, test.what, got, test.want)
		}
	}
}

func sorted(letters string) (all string) {
	for _, letter := range "abn" {
		if strings.ContainsRune(letters, letter) {
			all += string(letter)
		}
	}
	return all
}

// TestRefused tries blocks that there cannot be.
func TestRefused(t *testing.T) {
	past := time.Now().Add(-time.Second)
	for want, one := range map[string]brake.Block{
		"neither person, client": {Kind: "team", What: "x"},
		"The name is empty":      {Kind: brake.Person},
		"every person":           {Kind: brake.Person, What: "*"},
		"every tool":             {Kind: brake.Tool, What: "*/*"},
		"names of tools only":    {Kind: brake.Person, What: "ann*"},
		"1001 bytes":             {Kind: brake.Client, What: strings.Repeat("x", 1001)},
		"name of the tool is":    {Kind: brake.Tool, What: "x\ny"},
		"name of the client is":  {Kind: brake.Client, What: "\xff"},
		"is over before":         {Kind: brake.Client, What: "x", Until: past},
		"201 characters":         {Kind: brake.Client, What: "x", Reason: strings.Repeat("ü", 201)},
		"reason is not one line": {Kind: brake.Client, What: "x", Reason: "\u202e"},
		"who blocks":             {Kind: brake.Client, What: "x", By: "\x1b"},
	} {
		b := open(t, nil)
		if err := b.Block(t.Context(), one); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", one, err, want)
		}
		if got := names(b); got != nil {
			t.Errorf("%+v: blocked is %q", one, got)
		}
	}
}

// TestMessage shows what whoever is stopped is told.
func TestMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is midnight, 2000-01-01
		for want, one := range map[string]brake.Block{
			"blocked by the operator":                                             {},
			"blocked by the operator: incident 7":                                 {Reason: "incident 7"},
			"blocked by the operator: incident 7; until 04:00 UTC":                {Reason: "incident 7", Until: time.Now().Add(4 * time.Hour)},
			"blocked by the operator; until 2000-01-03 00:00 UTC":                 {Until: time.Now().Add(48 * time.Hour).In(time.FixedZone("", 3600))},
			"blocked by the operator: until 4, they say; until 00:01 UTC":         {Reason: "until 4, they say", Until: time.Now().Add(time.Minute)},
			"blocked by the operator: incident 7; until 2000-01-01 20:00 UTC":     {Reason: "incident 7", Until: time.Now().Add(20 * time.Hour)},
			"blocked by the operator: incident \"7\"; until 2000-01-01 23:00 UTC": {Reason: `incident "7"`, Until: time.Now().Add(23 * time.Hour)},
		} {
			if got := one.Message(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
}

// TestEnter blocks what is under way, and only that which fits.
func TestEnter(t *testing.T) {
	b := open(t, nil)
	ctx, leave, blocked := b.Enter(t.Context(), brake.Subject{Person: `User::"ann"`, Upstream: "github"})
	other, leaveOther, _ := b.Enter(t.Context(), brake.Subject{Person: `User::"ben"`, Upstream: "github"})
	gone, leaveGone, _ := b.Enter(t.Context(), brake.Subject{Person: `User::"ann"`})
	leaveGone()
	leaveGone()
	if blocked != nil || ctx.Err() != nil {
		t.Fatalf("blocked by %+v, %v", blocked, ctx.Err())
	}
	if err := b.Block(t.Context(), brake.Block{Kind: brake.Person, What: "ann", Reason: "incident 7"}); err != nil {
		t.Fatal(err)
	}
	var why *brake.Blocked
	if !errors.As(context.Cause(ctx), &why) || why.What != "ann" || why.Error() != "blocked by the operator: incident 7" {
		t.Errorf("it ended for %v", context.Cause(ctx))
	}
	if other.Err() != nil {
		t.Errorf("another one ended for %v", context.Cause(other))
	}
	if errors.As(context.Cause(gone), &why) {
		t.Error("one that had left was blocked")
	}
	leave()
	late, leaveLate, blocked := b.Enter(t.Context(), brake.Subject{Person: `User::"ann"`})
	if blocked == nil || !errors.As(context.Cause(late), &why) {
		t.Errorf("one that came later: %+v, %v", blocked, context.Cause(late))
	}
	leaveLate()
	leaveOther()
	if n, err := b.Unblock(t.Context(), brake.Person, "ann"); n != 1 || err != nil {
		t.Errorf("unblocked %d, %v", n, err)
	}
	if _, leave, blocked := b.Enter(t.Context(), brake.Subject{Person: `User::"ann"`}); blocked != nil {
		t.Errorf("still blocked by %+v", blocked)
	} else {
		leave()
	}
}

// TestEnterParent ends what is under way with the request, and hands on what that
// has with it.
func TestEnterParent(t *testing.T) {
	b := open(t, nil)
	type key struct{}
	parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
	ctx, leave, _ := b.Enter(parent, brake.Subject{})
	defer leave()
	if ctx.Value(key{}) != "value" {
		t.Error("it has no values")
	}
	cause := errors.New("the client left")
	cancel(cause)
	<-ctx.Done()
	if got := context.Cause(ctx); got != cause {
		t.Errorf("it ended for %v", got)
	}
}

// TestEnterRace has calls begin while a block comes: each one is refused, or cancelled.
func TestEnterRace(t *testing.T) {
	for range 50 {
		b := open(t, nil)
		var (
			running sync.WaitGroup
			missed  atomic.Int32
			begin   = make(chan struct{})
			after   = make(chan struct{})
		)
		for i := range 16 {
			running.Go(func() {
				<-begin
				ctx, leave, blocked := b.Enter(t.Context(), brake.Subject{Person: fmt.Sprintf(`User::"%d"`, i), Upstream: "github"})
				defer leave()
				<-after
				if blocked == nil && ctx.Err() == nil {
					missed.Add(1)
				}
			})
		}
		close(begin)
		block(t, b, brake.Upstream, "github")
		close(after)
		running.Wait()
		if n := missed.Load(); n > 0 {
			t.Fatalf("%d calls go on", n)
		}
	}
}

// TestExpiry has blocks end in time to the nanosecond, and forgets them.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, nil)
		running, stop := context.WithCancel(t.Context())
		var following sync.WaitGroup
		following.Go(func() { b.Run(running) })
		defer following.Wait()
		defer stop()
		for i, one := range []brake.Block{{Kind: brake.Upstream, What: "github"}, {Kind: brake.Person, What: "ann"}, {Kind: brake.Tool, What: "github/*"}} {
			one.Until = time.Now().Add(time.Duration(3-i) * time.Hour)
			if err := b.Block(t.Context(), one); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"upstream github, person ann, tool github/*", "upstream github, person ann", "upstream github"} {
			time.Sleep(time.Hour - 1)
			if got := stoppers(b); got != want {
				t.Errorf("%s: blocked by %q, want %q", time.Now(), got, want)
			}
			time.Sleep(time.Nanosecond)
		}
		if got := stoppers(b); got != "" || len(b.Blocks()) != 0 {
			t.Errorf("in the end: blocked by %q, blocks %q", got, names(b))
		}
	})
}

// stoppers are the blocks that stop somebody and something of theirs.
func stoppers(b *brake.Brake) string {
	var all []string
	for _, s := range []brake.Subject{{Upstream: "github"}, {Person: `User::"ann"`}, {Tool: "github/delete_repo"}} {
		if one := b.Check(s); one != nil {
			all = append(all, string(one.Kind)+" "+one.What)
		}
	}
	return strings.Join(all, ", ")
}

// TestShorter replaces a block by one that ends sooner, and by one that does not end.
func TestShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, nil)
		s := brake.Subject{Upstream: "github"}
		for _, d := range []time.Duration{time.Hour, time.Minute} {
			if err := b.Block(t.Context(), brake.Block{Kind: brake.Upstream, What: "github", Until: time.Now().Add(d)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if got := b.Check(s); got != nil { // although nobody runs it
			t.Errorf("blocked by %+v", got)
		}
		block(t, b, brake.Upstream, "github")
		time.Sleep(1000 * time.Hour)
		if got := b.Check(s); got == nil || !got.Until.IsZero() || len(b.Blocks()) != 1 {
			t.Errorf("blocked by %+v", got)
		}
	})
}

// TestMany makes as many blocks as there may be.
func TestMany(t *testing.T) {
	b := open(t, openStore(t, store.Options{Memory: true}))
	for i := range brake.MaxBlocks {
		block(t, b, brake.Tool, fmt.Sprintf("github/tool_%d_*", i))
	}
	if err := b.Block(t.Context(), brake.Block{Kind: brake.Upstream, What: "github"}); err == nil || !strings.Contains(err.Error(), "1000 blocks") {
		t.Errorf("one more: %v", err)
	}
	block(t, b, brake.Tool, "github/tool_7_*") // which is no more
	for i := range brake.MaxBlocks {
		if b.Check(brake.Subject{Tool: fmt.Sprintf("github/tool_%d_x", i)}) == nil {
			t.Fatalf("%d is not blocked", i)
		}
	}
	if n, err := b.Unblock(t.Context(), "", ""); n != brake.MaxBlocks || err != nil || b.Check(brake.Subject{Tool: "github/tool_0_x"}) != nil {
		t.Errorf("unblocked %d, %v", n, err)
	}
}

// TestUnblock lets go of what is named, and of nothing else.
func TestUnblock(t *testing.T) {
	b := open(t, nil)
	for _, test := range []struct {
		kind brake.Kind
		what string
		want []string
	}{
		{brake.Person, "y", []string{"client x", "person x", "tool x", "tool z"}},
		{brake.Person, "x", []string{"client x", "tool x", "tool z"}},
		{brake.Tool, "", []string{"client x"}},
		{"", "", nil},
	} {
		before := len(names(b))
		if test.what == "y" {
			for _, kind := range []brake.Kind{brake.Client, brake.Person, brake.Tool} {
				block(t, b, kind, "x")
			}
			block(t, b, brake.Tool, "z")
			before = 4
		}
		n, err := b.Unblock(t.Context(), test.kind, test.what)
		if diff := cmp.Diff(test.want, names(b)); err != nil || n != before-len(test.want) || diff != "" {
			t.Errorf("%s %s: %d, %v, blocked is (-want +got)\n%s", test.kind, test.what, n, err, diff)
		}
	}
}
