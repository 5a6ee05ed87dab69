package control

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serve answers "hello" on the socket until the end of the test.
func serve(t *testing.T, ln net.Listener) {
	t.Helper()
	serveBy(t, ln, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
}

func serveBy(t *testing.T, ln net.Listener, handler http.HandlerFunc) {
	t.Helper()
	server := &http.Server{Handler: handler, ConnContext: WithPeer}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ln) // ends with the test
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
}

func get(path string) (string, error) {
	client := Client(path)
	defer client.CloseIdleConnections()
	resp, err := client.Get(URL + "/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "run", "mcpagg.sock")
	if _, err := get(path); !IsAbsent(err) {
		t.Errorf("before: %v, want one of no gateway", err)
	}
	ln := listen(t, path)
	serve(t, ln)
	if got, err := get(path); got != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has %v, %v; want mode 0700", info.Mode(), err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrInUse) {
		t.Errorf("a second gateway gets %v, want %v", err, ErrInUse)
	}
	if got, err := get(path); got != "hello" {
		t.Errorf("after the second gateway: %q, %v", got, err)
	}
	ln.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	listen(t, path)
}

// A gateway that was killed leaves its socket behind.
func TestStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "mcpagg.sock")
	dead := listen(t, path).(*listener)
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := get(path); !IsAbsent(err) {
		t.Errorf("a dead gateway: %v", err)
	}
	serve(t, listen(t, path))
	if got, err := get(path); got != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	private := filepath.Join(dir, "private")
	for path, mode := range map[string]os.FileMode{open: 0o755, private: 0o700} {
		if err := os.Mkdir(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(private, "file"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(private, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(open, "s"):                  "mode 0755: chmod 700 it",
		filepath.Join(dir, "link", "s"):           "is not a directory",
		filepath.Join(private, "file"):            "is not a socket",
		filepath.Join(private, "file", "s"):       "not a directory",
		"/" + strings.Repeat("x", maxPath) + "/s": "a socket's may have 103",
	} {
		ln, err := Listen(path)
		if err == nil {
			ln.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if text, err := os.ReadFile(filepath.Join(private, "file")); string(text) != "precious" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

// Whoever is at the other end is known, and others than the own user and root
// are turned away.
func TestPeer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "mcpagg.sock")
	ln := listen(t, path).(*listener)
	seen := make(chan int, 2)
	ln.permit = func(uid int) bool {
		seen <- uid
		return len(seen) == 2
	}
	serve(t, ln)
	if got, err := get(path); !IsClosed(err) {
		t.Errorf("somebody who is not permitted gets %q, %v", got, err)
	}
	if got, err := get(path); got != "hello" {
		t.Errorf("somebody who is gets %q, %v", got, err)
	}
	if uid := <-seen; uid != os.Geteuid() {
		t.Errorf("the peer is user %d, want %d", uid, os.Geteuid())
	}
	for uid, want := range map[int]bool{0: true, os.Geteuid(): true, os.Geteuid() + 1: false} {
		if permitted(uid) != want {
			t.Errorf("permitted(%d) is %v", uid, !want)
		}
	}
}

// A request tells who sends it.
func TestPeerOfRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "mcpagg.sock")
	serveBy(t, listen(t, path), func(w http.ResponseWriter, r *http.Request) { uid, ok := Peer(r.Context()); fmt.Fprintln(w, uid, ok) })
	if got, err := get(path); got != fmt.Sprintln(os.Geteuid(), true) {
		t.Errorf("got %q, %v", got, err)
	}
	if uid, ok := Peer(WithPeer(t.Context(), &net.UnixConn{})); ok {
		t.Errorf("another connection is of user %d", uid)
	}
}
