package lock_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/lock"
)

func TestFile(t *testing.T) {
	const want = `{
  "version": 1,
  "upstreams": {
    "notes": {
      "image": "sha256:0123",
      "tools": {
        "list": {
          "sha256": "2917766e1e81244975f434c41573f5f5f35a84507d938e5ab88ecfde7f350605",
          "description": "List\u200b all\udb40\udc41.",
          "input_schema": {"type": "object"}
        },
        "search": {
          "sha256": "7ec471de2b42c0d260c0f4301e5aeb96e7232285cd2c18d1cf3d781c001525fe",
          "title": "Search",
          "description": "Search the notes.",
          "annotations": {"openWorldHint": false, "readOnlyHint": true},
          "input_schema": {
            "properties": {
              "most": {"type": "integer"},
              "text": {"maxLength": 9007199254740993, "type": "string"}
            },
            "required": ["text"],
            "type": "object"
          },
          "output_schema": {
            "properties": {"found": {"items": {"type": "string"}, "type": "array"}},
            "type": "object"
          }
        }
      }
    },
    "web": {
      "tools": {}
    }
  }
}
`
	list, search := pinOf(t, `{"description":"List\u200b all\udb40\udc41.","inputSchema":{"type":"object"}}`), pinOf(t, search)
	file := lock.File{Upstreams: map[string]lock.Upstream{
		"web":   {},
		"notes": {Image: "sha256:0123", Tools: map[string]lock.Pin{"search": search, "list": list}},
	}}
	got := file.Text()
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	again, err := lock.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	file.Upstreams["web"] = lock.Upstream{Tools: map[string]lock.Pin{}} // not nil, so that it was reviewed
	if diff := cmp.Diff(file, again); diff != "" {
		t.Errorf("read again (-want +got)\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	good := string(lock.File{Upstreams: map[string]lock.Upstream{"notes": {Tools: map[string]lock.Pin{"search": pinOf(t, search)}}}}.Text())
	replaced := func(old, new string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in\n%s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, tt := range []struct{ what, text, want string }{
		{"nothing", "", "1: unexpected EOF"},
		{"half of it", good[:len(good)/2], "unexpected EOF"},
		{"another version", replaced(`"version": 1`, `"version": 2`), "1: the file is of version 2, and this program knows version 1"},
		{"no version", `{"upstreams":{}}`, "1: the file is of version 0"},
		{"unknown member", replaced(`"title"`, `"titel"`), `8: unknown object member name at "/upstreams/notes/tools/search/titel"`},
		{"the same upstream twice", replaced(`"notes": {`, `"notes": {"tools":{}}, "notes": {`), `4: duplicate object member name at "/upstreams/notes"`},
		{"a conflict of a merge", replaced(`    "notes"`, "<<<<<<< HEAD\n    \"notes\""), "4: invalid character '<'"},
		{"edited", replaced("Search the notes.", "Search all notes."), `6: the tool "search" of the upstream "notes" is not what its sha256 says: the file was edited or merged by hand; take it out, and review it anew with: mcpagg lock`},
		{"an edited schema", replaced(`["text"]`, `["most"]`), `6: the tool "search" of the upstream "notes" is not what its sha256 says`},
		{"no schema", replaced(`"output_schema"`, `"input_schema"`), "duplicate object member name"},
		{"a schema that is none", replaced(`{"openWorldHint": false, "readOnlyHint": true}`, "[]"), "annotations is not an object"},
		{"more than one value", good + "{}", "invalid character"},
	} {
		if _, err := lock.Parse([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.what, err, tt.want)
		}
	}
}

func TestReadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), lock.Name)
	if _, err := lock.Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Read(path); err == nil || !strings.HasPrefix(err.Error(), path+":1: ") {
		t.Errorf("%v", err)
	}
}

// add pins a tool in the file.
func add(path, tool string, p lock.Pin) error {
	return lock.Update(path, func(f *lock.File) error {
		u, ok := f.Upstreams["notes"]
		if !ok {
			u.Tools = map[string]lock.Pin{}
		}
		u.Tools[tool] = p
		f.Upstreams["notes"] = u
		return nil
	})
}

func TestUpdateKeepsTheFileAsItIs(t *testing.T) {
	dir := t.TempDir()
	path, p := filepath.Join(dir, lock.Name), pinOf(t, search)
	if err := add(path, "one", p); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode()&0o733 != 0o600 {
		t.Errorf("a new file: %v, %v", info, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", path); err != nil {
		t.Fatal(err)
	}
	if err := add(path, "two", p); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(path); err != nil || to != "elsewhere" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("the mode is now %v, %v", info.Mode(), err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	failed := errors.New("failed")
	if err := lock.Update(path, func(*lock.File) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) || strings.Count(string(after), `"sha256"`) != 2 {
		t.Errorf("%v; an update that fails leaves\n%s", err, after)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestUpdateRefusesABrokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), lock.Name)
	if err := os.WriteFile(path, []byte("<<<<<<< HEAD\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := add(path, "one", pinOf(t, search)); err == nil || !strings.Contains(err.Error(), path+":1: ") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "<<<<<<< HEAD\n" {
		t.Errorf("%v; it is now %q", err, text)
	}
}

// Everybody who writes at the same time has a place in the file.
func TestConcurrentUpdates(t *testing.T) {
	path, p := filepath.Join(t.TempDir(), lock.Name), pinOf(t, search)
	const writers = 20
	var running sync.WaitGroup
	for i := range writers {
		running.Go(func() {
			if err := add(path, fmt.Sprintf("tool%d", i), p); err != nil {
				t.Error(err)
			}
			if _, err := lock.Read(path); err != nil { // whole, whoever is writing
				t.Error(err)
			}
		})
	}
	running.Wait()
	file, err := lock.Read(path)
	if err != nil || len(file.Upstreams["notes"].Tools) != writers {
		t.Errorf("%d tools, %v", len(file.Upstreams["notes"].Tools), err)
	}
}
