package store_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/store"
)

func key(text string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return text, nil }
}

const (
	keyA = "the first key of this store"
	keyB = "another key, of sixteen bytes and more"
	keyC = "a third one, which never was its key"
)

func TestGeneratedKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "session", "a", "one", 0)
	closed(t, s)
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, "store.key"): 0o600, filepath.Join(dir, "store"): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
	text := strings.TrimSpace(string(read(t, filepath.Join(dir, "store.key"))))
	if secret, err := base64.StdEncoding.DecodeString(text); err != nil || len(secret) != 32 {
		t.Errorf("the key has %d bytes (%v)", len(secret), err)
	}
	wantValue(t, open(t, store.Options{Dir: dir}), "session", "a", "one")
	// The text of the file is a key like any other.
	copied := t.TempDir()
	if err := os.CopyFS(filepath.Join(copied, "store"), os.DirFS(filepath.Join(dir, "store"))); err != nil {
		t.Fatal(err)
	}
	wantValue(t, open(t, store.Options{Dir: copied, Key: key(text)}), "session", "a", "one")
}

func TestNothingIsInTheClear(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, Key: key(keyA)})
	put(t, s, "session", "a", "a very secret value", 0)
	rotated(t, s)
	closed(t, s)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(string(read(t, path)), "very secret") {
			t.Errorf("%s has it in the clear", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPreviousKey(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, Key: key(keyA)})
	put(t, s, "session", "a", "one", 0)
	closed(t, s)
	for _, o := range []store.Options{
		{Dir: dir, Key: key(keyB), PreviousKey: key(keyA)},
		{Dir: dir, Key: key(keyB), PreviousKey: key(keyC)}, // which is not needed any more
		{Dir: dir, Key: key(keyB)},
	} {
		s := open(t, o)
		wantValue(t, s, "session", "a", "one")
		closed(t, s)
	}
	wantRefused(t, store.Options{Dir: dir, Key: key(keyA)}, wrongKey)
}

const wrongKey = "the store in DIR was sealed under another key: give it that key, as the previous key if it was replaced, or move DIR/store away to begin anew: everybody has to sign in again then"

func TestWrongKey(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, Key: key(keyA)})
	put(t, s, "session", "a", "one", 0)
	closed(t, s)
	for _, c := range []struct {
		o    store.Options
		want string
	}{
		{store.Options{Key: key(keyB)}, wrongKey},
		{store.Options{Key: key(keyB), PreviousKey: key(keyC)}, wrongKey},
		{store.Options{}, "DIR/store.key is missing, and nothing else opens what is in DIR/store: put it back from a backup, or move that away to begin anew: everybody has to sign in again then"},
		{store.Options{Key: key("   too short    ")}, "the store's key has 9 bytes; it needs at least 16, such as openssl rand -base64 32 prints"},
		{store.Options{Key: key(keyB), PreviousKey: key("short")}, "the previous key: the store's key has 5 bytes; it needs at least 16, such as openssl rand -base64 32 prints"},
		{store.Options{Key: func(context.Context) (string, error) { return "", errors.New("the vault is down") }}, "reading the key of the store: the vault is down"},
	} {
		c.o.Dir = dir
		wantRefused(t, c.o, c.want)
		if _, err := os.Stat(filepath.Join(dir, "store.key")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a new key was made: %v", err)
		}
	}
	wantValue(t, open(t, store.Options{Dir: dir, Key: key(keyA)}), "session", "a", "one")
}

func TestKeyFileOthersMayRead(t *testing.T) {
	dir := made(t)
	path := filepath.Join(dir, "store.key")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, store.Options{Dir: dir}, "others may read DIR/store.key, the key of the store (mode 0640): chmod 600 DIR/store.key, and replace the key if others can have read it")
}

func TestKeyFileEmpty(t *testing.T) {
	dir := made(t)
	write(t, filepath.Join(dir, "store.key"), []byte("\n"))
	wantRefused(t, store.Options{Dir: dir}, "there is no key in DIR/store.key: put it back from a backup, or move the folder DIR away to begin anew: everybody has to sign in again then")
}

// TestKeyFileAlone: a key without a store is used, not replaced.
func TestKeyFileAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "store.key"), []byte(keyA+"\n"))
	closed(t, open(t, store.Options{Dir: dir}))
	closed(t, open(t, store.Options{Dir: dir, Key: key(keyA)}))
}

func TestRotateKeepsExpiryAndRevision(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	w := watch(t, s, "session")
	w.take(t, 1)
	revision := put(t, s, "session", "a", "one", 0)
	put(t, s, "session", "b", "one", 2_000_000_000)
	w.take(t, 2)
	before, err := s.Raw(t.Context(), "session", "a")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		rotated(t, s)
	}
	after, err := s.Raw(t.Context(), "session", "a")
	if err != nil || string(before[:9]) == string(after[:9]) {
		t.Errorf("it is sealed with the old key (%v)", err)
	}
	w.until(t, "b deleted")
	wantValue(t, s, "session", "b", "not found")
	e, err := s.Get(t.Context(), "session", "a")
	if err != nil || e.Revision != revision {
		t.Errorf("the revision is %d (%v), was %d", e.Revision, err, revision)
	}
	if _, err := s.Update(t.Context(), "session", "a", []byte("two"), revision, 0); err != nil {
		t.Errorf("updating what was sealed anew: %v", err)
	}
	_, err = s.Update(t.Context(), "session", "a", []byte("three"), revision, 0)
	wantError(t, err, store.ErrConflict)
	// What was sealed with a key that is forgotten does not come back.
	if err := s.SetRaw(t.Context(), "session", "a", before); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "session", "a"); !strings.Contains(got, "the value does not open") {
		t.Errorf("an old value is %q", got)
	}
}
