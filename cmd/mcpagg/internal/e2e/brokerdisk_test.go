//go:build e2e

package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk is enough for the store of a few people.
const smallDisk = "16m"

// A disk is one for the store of a gateway.
type disk struct{ dir, size string }

// newDisk mounts one where the gateway has its state.
func newDisk(t testing.TB, s sandbox, size string) disk {
	t.Helper()
	d := disk{filepath.Join(s.home, "state"), size}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Fatalf("mounting a small disk, for which these tests have to be root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

// fill leaves no room.
func (d disk) fill(t testing.TB) {
	t.Helper()
	f, err := os.Create(filepath.Join(d.dir, "something-else"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

func (d disk) free(t testing.TB) {
	t.Helper()
	if err := os.Remove(filepath.Join(d.dir, "something-else")); err != nil {
		t.Fatal(err)
	}
}

func (d disk) readOnly(t testing.TB, yes bool) {
	t.Helper()
	flags := uintptr(syscall.MS_REMOUNT)
	if yes {
		flags |= syscall.MS_RDONLY
	}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", flags, "size="+d.size); err != nil {
		t.Fatal(err)
	}
}

// TestBrokerDiskFull leaves a gateway no room to write to. Who is signed in goes on,
// nobody loses a session over it, and with room again all is as before.
func TestBrokerDiskFull(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "")
	d := newDisk(t, b.sandbox, smallDisk)
	b.start(t)
	v := b.signedIn(t)

	d.fill(t)
	b.mustWork(t, v)
	for range 20 { // there may be some room in what was allocated before
		if err := v.renew(t.Context()); err != nil {
			checkUnavailable(t, "a refresh", err)
			break
		}
	}
	checkUnavailable(t, "a sign-in", b.visitor(t).enter(t.Context()))
	b.mustWork(t, v)

	d.free(t)
	eventually(t, func() string {
		if err := v.renew(t.Context()); err != nil {
			return err.Error()
		}
		return ""
	})
	b.mustWork(t, v)
	b.mustWork(t, b.signedIn(t))
	b.kill(t)
	b.mustWork(t, v)
}

// checkUnavailable fails unless an attempt comes to a server error that is no fault
// of the client's, and ends nothing.
func checkUnavailable(t testing.TB, what string, err error) {
	t.Helper()
	var r *refusal
	switch {
	case err == nil:
		t.Errorf("%s succeeds, with no room to keep it", what)
	case !errors.As(err, &r):
		t.Errorf("%s is not answered: %v", what, err)
	case r.status >= 500 && (r.text == "temporarily_unavailable" || r.text == "server_error" || strings.Contains(r.text, "<h1")):
	case r.status == http.StatusFound && (r.text == "temporarily_unavailable" || r.text == "server_error"):
	default:
		t.Errorf("%s comes to %v", what, err)
	}
}

// TestBrokerDiskReadOnly starts a gateway on a disk that it may not write to, and then
// on the same one when it may again.
func TestBrokerDiskReadOnly(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "")
	d := newDisk(t, b.sandbox, smallDisk)
	b.start(t)
	v := b.signedIn(t)
	if err := b.signal(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}

	d.readOnly(t, true)
	_, stderr, code := b.try(t, b.config.env, os.Getenv(binaryEnv), "serve", "--listen", b.host)
	if code != 1 || !strings.Contains(stderr, "read-only") || !strings.Contains(stderr, d.dir) {
		t.Errorf("on a read-only disk it exits with %d:\n%s", code, stderr)
	}
	d.readOnly(t, false)
	b.start(t)
	b.mustWork(t, v)
	if err := v.renew(t.Context()); err != nil {
		t.Errorf("with the disk as before: %v", err)
	}
}

// TestBrokerDiskFullAtStart starts a gateway where there is no room.
func TestBrokerDiskFullAtStart(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "")
	d := newDisk(t, b.sandbox, smallDisk)
	d.fill(t)
	_, stderr, code := b.try(t, b.config.env, os.Getenv(binaryEnv), "serve", "--listen", b.host)
	if code != 1 || !strings.Contains(stderr, "full") && !strings.Contains(stderr, "no space") || !strings.Contains(stderr, d.dir) {
		t.Errorf("without room it exits with %d:\n%s", code, stderr)
	}
	d.free(t)
	b.start(t)
	b.signedIn(t)
}
