package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/oauth/store"
)

const streamFolder = "store/jetstream/$G/streams/KV_mcpagg"

// made is a folder with a store that was closed.
func made(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, store.Options{Dir: dir})
	for i := range 20 {
		put(t, s, "session", fmt.Sprint(i), strings.Repeat("v", 1000), time.Hour)
	}
	closed(t, s)
	return dir
}

// wantRefused has a store be refused with a message, in which DIR is its folder.
func wantRefused(t *testing.T, o store.Options, want string) {
	t.Helper()
	s, err := tryOpen(t, o)
	if err == nil {
		s.Close()
		t.Fatalf("the store opens, and should say: %s", want)
	}
	if got := strings.ReplaceAll(err.Error(), o.Dir, "DIR"); got != want {
		t.Errorf("the message is\n\t%s\nwant\n\t%s", got, want)
	}
}

func TestDamaged(t *testing.T) {
	const remedy = "; put the folder back from a backup, or move DIR/store away to begin anew: everybody has to sign in again then"
	for _, c := range []struct {
		name   string
		file   string // in the folder of the stream
		damage func([]byte) []byte
		want   string
	}{
		{"Garbage", "msgs/1.blk", func(b []byte) []byte {
			copy(b[5000:], "garbage")
			return b
		}, "DIR/" + streamFolder + "/msgs/1.blk is not whole at byte 4954 of 23892"},
		{"GarbageInALength", "msgs/1.blk", func(b []byte) []byte {
			copy(b, "\xff\xff\x00\x00")
			return b
		}, "DIR/" + streamFolder + "/msgs/1.blk is not whole at byte 0 of 23892"},
		{
			"Truncated", "msgs/1.blk", func(b []byte) []byte { return b[:len(b)-10] },
			"DIR/" + streamFolder + "/msgs/1.blk is not whole at byte 22708 of 23882",
		},
		{
			"TruncatedBetweenWrites", "msgs/1.blk", func(b []byte) []byte { return b[:22708] },
			"it ends at revision 20, but 21 was stored",
		},
		{
			"TruncatedToNothing", "msgs/1.blk", func([]byte) []byte { return nil },
			"it ends at revision 0, but 21 was stored",
		},
		{
			"Description", "meta.inf", func(b []byte) []byte { return append([]byte("x"), b...) },
			"the engine cannot read its description",
		},
		{
			"DescriptionGone", "meta.inf", func([]byte) []byte { return nil },
			"the engine cannot read its description",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := made(t)
			file := filepath.Join(dir, streamFolder, c.file)
			whole := read(t, file)
			damaged := c.damage(bytes.Clone(whole))
			write(t, file, damaged)
			for range 2 {
				wantRefused(t, store.Options{Dir: dir}, "the store in DIR is damaged: "+c.want+remedy)
			}
			if len(damaged) > 0 && !bytes.Equal(read(t, file), damaged) {
				t.Error("the damaged file was changed")
			}
			if len(damaged) > 0 {
				write(t, file, whole)
				wantValue(t, open(t, store.Options{Dir: dir}), "session", "0", strings.Repeat("v", 1000))
			}
		})
	}
}

// TestIndexDamaged: what the engine can make anew is no damage.
func TestIndexDamaged(t *testing.T) {
	for _, content := range []string{"", "garbage"} {
		dir := made(t)
		write(t, filepath.Join(dir, streamFolder, "msgs/index.db"), []byte(content))
		s := open(t, store.Options{Dir: dir})
		if got := list(t, s, "session", ""); len(got) != 20 {
			t.Errorf("%d values are there, want 20", len(got))
		}
	}
}

// TestRebuilt: without its index, as after a kill, the engine reads its files anew.
// What was taken, or has expired, does not come back, be it that only what it
// replaced is in a file still.
func TestRebuilt(t *testing.T) {
	dir := t.TempDir()
	private(t, dir)
	s, err := store.OpenForgetful(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	put(t, s, "code", "taken", "one", time.Hour)
	put(t, s, "code", "shortened", "one", 0)
	put(t, s, "code", "deleted", "one", 0)
	for i := range 30 { // which keep the first file
		put(t, s, "other", fmt.Sprint(i), strings.Repeat("v", 200<<10), 0)
	}
	nextFiles(t, s)
	if _, err := s.Take(t.Context(), "code", "taken"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "code", "deleted"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "code", "deleted", "again", time.Second)
	put(t, s, "code", "shortened", "two", time.Second)
	nextFiles(t, s)
	w := watch(t, s, "session")
	put(t, s, "session", "later", "one", 4*time.Second)
	w.until(t, "later deleted")
	nextFiles(t, s)
	s = rebuilt(t, s, dir)
	for _, key := range []string{"taken", "shortened", "deleted"} {
		wantValue(t, s, "code", key, "not found")
	}
	if got := list(t, s, "other", ""); len(got) != 30 {
		t.Errorf("%d others are there, want 30", len(got))
	}
}

// TestRebuiltExpires: what is to expire does so after the files were read anew, and
// after they were not.
func TestRebuiltExpires(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	put(t, s, "code", "a", "one", 0)
	put(t, s, "code", "a", "two", 3*time.Second)
	put(t, s, "code", "b", "one", 3*time.Second)
	closed(t, s)
	s = rebuilt(t, open(t, store.Options{Dir: dir}), dir)
	w := watch(t, s, "code")
	if diff := cmp.Diff([]string{"a=two", "b=one", "synced"}, w.take(t, 3)); diff != "" {
		t.Error(diff)
	}
	got := w.take(t, 2)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"a deleted", "b deleted"}, got); diff != "" {
		t.Error(diff)
	}
}

// nextFiles has the engine begin two new files, and leave those in between.
func nextFiles(t *testing.T, s *store.Store) {
	t.Helper()
	for i := range 70 {
		put(t, s, "session", fmt.Sprint(i%3), strings.Repeat("v", 256<<10), time.Hour)
	}
}

// rebuilt closes a store and opens it without its index.
func rebuilt(t *testing.T, s *store.Store, dir string) *store.Store {
	t.Helper()
	closed(t, s)
	if err := os.Remove(filepath.Join(dir, streamFolder, "msgs/index.db")); err != nil {
		t.Fatal(err)
	}
	return open(t, store.Options{Dir: dir})
}

// TestCutWrite: a write that nobody was told of may end anywhere.
func TestCutWrite(t *testing.T) {
	dir := made(t)
	file := filepath.Join(dir, streamFolder, "msgs/1.blk")
	whole := read(t, file)
	for _, tail := range []string{"\x10", string(whole[:30]), string(whole[:200]), strings.Repeat("\x00", 300)} {
		write(t, file, append(bytes.Clone(whole), tail...))
		s := open(t, store.Options{Dir: dir})
		if got := list(t, s, "session", ""); len(got) != 20 {
			t.Errorf("%d values are there, want 20", len(got))
		}
		closed(t, s)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
