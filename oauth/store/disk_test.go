//go:build unix

package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/store"
)

func init() {
	children["full limit"] = func(dir string) error {
		limit := func(bytes uint64) error {
			var l syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
				return err
			}
			l.Cur = bytes
			return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
		}
		return fullDisk(dir, func() error { return limit(700 << 10) }, func() error { return limit(^uint64(0)) }, "file too large")
	}
	children["full tmpfs"] = func(dir string) error {
		if err := mountMemory(dir, 8<<20); err != nil {
			return err
		}
		ballast := filepath.Join(dir, "ballast")
		fill := func() error { return os.WriteFile(ballast, make([]byte, 5<<20), 0o600) }
		return fullDisk(dir, fill, func() error { return os.Remove(ballast) }, "no space left on device")
	}
}

// TestFullDisk limits what can be written, in a process of its own, which works for
// everybody, and fills a small disk where one can be mounted.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	private(t, dir)
	if out, err := child(t, "full limit", dir).Output(); err != nil {
		t.Errorf("with a limit: %v\n%s", err, out)
	}
	if !canMount(t) {
		t.Log("no disk can be mounted here; the limit has to do")
		return
	}
	cmd := child(t, "full tmpfs", t.TempDir())
	ownMounts(cmd)
	if out, err := cmd.Output(); err != nil {
		t.Errorf("with a small disk: %v\n%s", err, out)
	}
}

// fullDisk has a store run out of space, and get some again.
func fullDisk(dir string, fill, free func() error, says string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o := store.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	s, err := store.Open(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	w, err := s.Watch(ctx, "session")
	if err != nil {
		return err
	}
	if e := <-w.Events(); !e.Synced {
		return fmt.Errorf("an event of %s, of nothing", e.Key)
	}
	if err := fill(); err != nil {
		return err
	}
	kept, err := putUntilFull(ctx, s)
	want := fmt.Sprintf("storing a session: there is no space for the store in %s: free at least 1 MiB there: ", dir)
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), says) {
		return fmt.Errorf("the error is %v, want %s…%s", err, want, says)
	}
	if err := readable(ctx, s, kept, "the disk is full"); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := s.Take(ctx, "session", "0"); err == nil || time.Since(begin) > 5*time.Second {
		return fmt.Errorf("taking from a full disk: %v after %s", err, time.Since(begin))
	}
	if _, err := s.Get(ctx, "session", "0"); err != nil {
		return fmt.Errorf("after it could not be taken: %w", err)
	}
	want = fmt.Sprintf("there is no space for the store in %s: free at least 1 MiB there: ", filepath.Join(dir, "new"))
	if _, err := store.Open(ctx, store.Options{Dir: filepath.Join(dir, "new")}); err == nil || !strings.HasPrefix(err.Error(), want) {
		return fmt.Errorf("opening another, the error is %v, want %s", err, want)
	}
	if err := free(); err != nil {
		return err
	}
	for {
		_, err := s.Put(ctx, "session", "again", []byte("v"), 0)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("with space again: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for e := range w.Events() {
		if e.Key == "again" {
			break
		}
	}
	if ctx.Err() != nil {
		return errors.New("the watch did not go on")
	}
	if err := readable(ctx, s, kept+1, "there is space again"); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = store.Open(ctx, o); err != nil {
		return err
	}
	defer s.Close()
	return readable(ctx, s, kept+1, "it was opened again")
}

// putUntilFull returns how many values were stored before one could not be.
func putUntilFull(ctx context.Context, s *store.Store) (n int, err error) {
	for ; n < 200; n++ {
		if _, err := s.Put(ctx, "session", fmt.Sprint(n), make([]byte, 100<<10), time.Hour); err != nil {
			return n, err
		}
	}
	return n, nil
}

// readable reports whether there are n values that can be read.
func readable(ctx context.Context, s *store.Store, n int, when string) error {
	listed := 0
	err := s.List(ctx, "session", "", func(e store.Entry) error {
		listed++
		_, err := s.Get(ctx, "session", e.Key)
		return err
	})
	if err != nil || listed < n || n < 2 {
		return fmt.Errorf("when %s: %d of %d values can be read: %v", when, listed, n, err)
	}
	return nil
}
