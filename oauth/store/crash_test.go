package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/store"
)

// children are what a process of its own does with a folder.
var children = map[string]func(dir string) error{
	"write":  func(dir string) error { return writeForEver(dir, false) },
	"rotate": func(dir string) error { return writeForEver(dir, true) },
}

const gone = "-"

// writeForEver writes, updates and takes in several goroutines, and says on the
// standard output what it begins and what was acknowledged:
//
//	? KEY VALUE    from here on it may have that value
//	= KEY VALUE    it has
func writeForEver(dir string, rotate bool) error {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	if rotate {
		go func() {
			for {
				if err := s.Rotate(ctx); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
				time.Sleep(rand.N(20 * time.Millisecond))
			}
		}()
	}
	failed := make(chan error)
	for worker := range 4 {
		go func() { failed <- changeForEver(ctx, s, worker) }()
	}
	return <-failed
}

func changeForEver(ctx context.Context, s *store.Store, worker int) error {
	for n := 0; ; n++ {
		key := fmt.Sprintf("%d-%d", worker, rand.N(8))
		value := fmt.Sprintf("%d.%d.%d", os.Getpid(), worker, n)
		e, err := s.Get(ctx, "session", key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		there := err == nil
		if there && rand.N(3) == 0 {
			value = gone
		}
		fmt.Printf("? %s %s\n", key, value)
		switch {
		case value == gone:
			_, err = s.Take(ctx, "session", key)
		case there:
			_, err = s.Update(ctx, "session", key, long(value), e.Revision, time.Hour)
		default:
			_, err = s.Create(ctx, "session", key, long(value), time.Hour)
		}
		if err != nil {
			return err
		}
		fmt.Printf("= %s %s\n", key, value)
	}
}

// long makes a value of some KiB, whose whole length tells whether it is whole.
func long(value string) []byte {
	return []byte(strings.Repeat(value+" ", 1+len(value)*len(value)%7*200))
}

// A model is what the store may have under each key.
type model map[string]*expected

type expected struct {
	value   string // that was acknowledged
	pending string // that may have come instead; "" for none
}

func (m model) read(t *testing.T, r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) != 3 {
			continue // the process was killed while it wrote
		}
		if m[f[1]] == nil {
			m[f[1]] = &expected{value: gone}
		}
		if f[0] == "?" {
			m[f[1]].pending = f[2]
		} else {
			*m[f[1]] = expected{value: f[2]}
		}
	}
}

// check compares the model with the store, and goes on with what that has.
func (m model) check(t *testing.T, s *store.Store) {
	t.Helper()
	listed := map[string]bool{}
	for _, e := range list(t, s, "session", "") {
		key, _, _ := strings.Cut(e, "=")
		listed[key] = true
	}
	for key, want := range m {
		got := get(t, s, "session", key)
		i := slices.IndexFunc([]string{want.value, want.pending}, func(v string) bool {
			return v == gone && got == "not found" || v != gone && v != "" && got == string(long(v))
		})
		if i < 0 {
			t.Errorf("%s is %.40q; it was %q, and %q was being stored", key, got, want.value, want.pending)
			continue
		}
		if i == 1 {
			want.value = want.pending
		}
		want.pending = ""
		if listed[key] != (want.value != gone) {
			t.Errorf("%s, which is %.20q: listed %t", key, want.value, listed[key])
		}
	}
}

func TestKilled(t *testing.T) {
	for _, what := range []string{"write", "rotate"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			killAgainAndAgain(t, what)
		})
	}
}

// killAgainAndAgain kills a process that writes, at a random moment, and looks
// whether everything it was told to be stored is there.
func killAgainAndAgain(t *testing.T, what string) {
	dir, m := t.TempDir(), model{}
	private(t, dir)
	for range 20 {
		cmd := child(t, what, dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var read sync.WaitGroup
		lines := bufio.NewReader(out)
		read.Go(func() {
			lines.Peek(1) // until it is at work, or has failed
			time.AfterFunc(rand.N(100*time.Millisecond), func() { cmd.Process.Kill() })
			m.read(t, lines)
		})
		read.Wait()
		var killed *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &killed) || killed.Exited() {
			t.Fatalf("the process ended by itself: %v", err)
		}
		s := open(t, store.Options{Dir: dir})
		m.check(t, s)
		awaitSealed(t, s)
		m.check(t, s)
		closed(t, s)
		if t.Failed() {
			return
		}
	}
	if len(m) < 16 {
		t.Errorf("only %d keys were written", len(m))
	}
}
