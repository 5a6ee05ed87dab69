//go:build unix

package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/store"
)

func TestSecondGateway(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	wantRefused(t, store.Options{Dir: dir}, fmt.Sprintf("another gateway (process %d) has the store in DIR: stop it, or give this one a folder of its own", os.Getpid()))
	put(t, s, "session", "a", "one", 0)
	closed(t, s)
	wantValue(t, open(t, store.Options{Dir: dir}), "session", "a", "one")
}

func TestFolderOthersMayEnter(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Options{Dir: dir})
	want := fmt.Sprintf("others may look into the store's folder %s (mode 0755): chmod 700 %[1]s, or choose a folder inside it", dir)
	if err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

func TestFolderIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Options{Dir: file})
	want := fmt.Sprintf("the store cannot be written to %s: make it a folder that the gateway can write to: ", file)
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the error is %v, want %s…", err, want)
	}
}

func TestFolderOfSomebodyElse(t *testing.T) {
	dir, owner := "/usr", 0
	if os.Getuid() == 0 {
		dir, owner = t.TempDir(), 65534
		if err := os.Chown(dir, owner, -1); err != nil {
			t.Fatal(err)
		}
	}
	_, err := store.Open(t.Context(), store.Options{Dir: dir})
	want := fmt.Sprintf("the store's folder %s belongs to the user with id %d, and the gateway runs as %d: chown %[3]d %[1]s, or choose another folder", dir, owner, os.Getuid())
	if err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

func init() {
	children["read only"] = func(dir string) error {
		if err := mountReadOnly(dir); err != nil {
			return err
		}
		s, err := store.Open(context.Background(), store.Options{Dir: dir})
		if err == nil {
			s.Close()
			return errors.New("the store opens")
		}
		fmt.Print(err)
		return nil
	}
}

func TestReadOnlyFolder(t *testing.T) {
	dir := made(t)
	if !canMount(t) {
		_, err := store.Open(t.Context(), store.Options{Dir: "/proc/mcpagg"})
		want := "the store cannot be written to /proc/mcpagg: make it a folder that the gateway can write to: "
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("the error is %v, want %s…", err, want)
		}
		return
	}
	cmd := child(t, "read only", dir)
	ownMounts(cmd)
	out, err := cmd.Output()
	want := fmt.Sprintf("the store cannot be written to %s: mount it so that it can be written to, or choose another folder: open %[1]s/store.lock: read-only file system", dir)
	if err != nil || string(out) != want {
		t.Errorf("it says %q (%v), want %q", out, err, want)
	}
}

// TestLeavesNothing counts what is left of stores that were closed.
func TestLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir()) // which is ours alone
	private(t, dir)
	use := func(o store.Options) {
		s, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.Watch(t.Context(), "session")
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "session", "a", "one", time.Hour)
		<-w.Events()
		rotated(t, s)
		begin := time.Now()
		closed(t, s)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("Close took %s", took)
		}
		closed(t, s) // may be called twice
	}
	both := func() {
		use(store.Options{Dir: dir})
		use(store.Options{Memory: true})
	}
	both() // what is started once for all stays
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for range 20 {
		both()
	}
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
	if now := openFiles(t); now > files {
		t.Errorf("%d files are open, %d were", now, files)
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "mcpagg-store-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("stores in memory left %v (%v)", left, err)
	}
}

// openFiles is how many files this process has open, 0 if that cannot be known.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
