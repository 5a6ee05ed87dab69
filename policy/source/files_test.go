package source_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/source"
)

// write makes files in a new folder, with their own folders, and goes there.
func write(t *testing.T, files ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for i := 0; i < len(files); i += 2 {
		if err := os.MkdirAll(filepath.Dir(files[i]), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[i], []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func TestReadDir(t *testing.T) {
	write(t, "policies/b.cedar", "b", "policies/a/z.cedar", "z", "policies/a.cedar", "a", "policies/README.md", "x", "policies/a_test.hcl", "x",
		"policies/.#b.cedar", "x", "policies/._b.cedar", "x", "policies/.git/x.cedar", "x", "elsewhere/c.cedar", "c")
	link(t, "../../elsewhere", "policies/a/linked")
	link(t, "b.cedar", "policies/c.cedar")
	link(t, "nowhere", "policies/none-of-ours")
	for _, dir := range []string{"policies", "./policies/"} {
		files, err := source.ReadDir(dir)
		if err != nil {
			t.Fatalf("ReadDir(%s): %v", dir, err)
		}
		var got []string
		for _, f := range files {
			got = append(got, f.Name+"="+string(f.Text))
		}
		want := []string{"policies/a.cedar=a", "policies/a/linked/c.cedar=c", "policies/a/z.cedar=z", "policies/b.cedar=b", "policies/c.cedar=b"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", dir, diff)
		}
	}
}

// TestReadDirAsConfigMap reads what Kubernetes mounts: links to a hidden folder that
// is swapped whole.
func TestReadDirAsConfigMap(t *testing.T) {
	write(t, "policies/..2026_11_28/a.cedar", "a")
	link(t, "..2026_11_28", "policies/..data")
	link(t, "..data/a.cedar", "policies/a.cedar")
	files, err := source.ReadDir("policies")
	if err != nil || len(files) != 1 || files[0].Name != "policies/a.cedar" || string(files[0].Text) != "a" {
		t.Errorf("files %v, error %v, want policies/a.cedar", files, err)
	}
}

func TestBadFolders(t *testing.T) {
	write(t, "policies/good.cedar", all, "policies/deep/good.cedar", all, "file.cedar", all,
		"policies/large.cedar", strings.Repeat(" ", 4<<20+1))
	link(t, "loop.cedar", "policies/loop.cedar")
	link(t, "..", "policies/deep/up")
	link(t, "nowhere", "policies/gone.cedar")
	if err := syscall.Mkfifo("policies/pipe.cedar", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("deep/"+strings.Repeat("x/", 40), 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"missing":             "missing: there is no such folder; create it, or correct its name",
		"file.cedar":          "file.cedar: this is not a folder; name the folder that holds the *.cedar files",
		"policies/loop.cedar": "policies/loop.cedar: this link leads to itself; remove it",
		"policies": `policies/deep/up: this link leads to a folder that it is in; remove it
policies/gone.cedar: this link leads nowhere; remove it, or correct where it leads
policies/large.cedar: the file is larger than 4 MiB; split it
policies/loop.cedar: this link leads to itself; remove it
policies/pipe.cedar: this is not a file; remove it`,
		"deep": "deep/" + strings.Repeat("x/", 31) + "x: folders are more than 32 deep in each other; move the policies further up",
	} {
		files, err := source.ReadDir(dir)
		if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" || files != nil {
			t.Errorf("%s: %d files (-want +got):\n%s", dir, len(files), diff)
		}
	}
}

func TestUnreadable(t *testing.T) {
	write(t, "policies/a.cedar", all)
	if err := os.Chmod("policies/a.cedar", 0); err != nil {
		t.Fatal(err)
	}
	want := "policies/a.cedar: reading this is not permitted; let the user that the gateway runs as read it"
	if os.Getuid() == 0 {
		want = "<nil>" // who may read everything
	}
	if _, err := source.ReadDir("policies"); fmt.Sprint(err) != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestTooManyFiles(t *testing.T) {
	write(t, "policies/a.cedar", "")
	for i := range 10_000 {
		if err := os.Link("policies/a.cedar", fmt.Sprintf("policies/b%d.cedar", i)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := source.ReadDir("policies")
	if want := "policies/b9999.cedar: with this file there are more than 10000; put several policies into one file"; fmt.Sprint(err) != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestTooManyBytes(t *testing.T) {
	write(t, "policies/a.cedar", strings.Repeat(" ", 4<<20))
	for i := range 16 {
		if err := os.Link("policies/a.cedar", fmt.Sprintf("policies/b%02d.cedar", i)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := source.ReadDir("policies")
	want := "policies/b15.cedar: with this file there are more than 64 MiB of policies; name groups, tags or upstreams instead of people and tools"
	if fmt.Sprint(err) != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
