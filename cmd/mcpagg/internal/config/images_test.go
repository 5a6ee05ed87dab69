package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPinImages(t *testing.T) {
	const pinned = "ghcr.io/contoso/server@sha256:0123"
	for _, test := range []struct{ name, before, after string }{
		{"a tag", `image = "ghcr.io/contoso/server:1.2"`, `image = "` + pinned + `" # ghcr.io/contoso/server:1.2`},
		{"pinned before", `image = "ghcr.io/contoso/server@sha256:4567" # ghcr.io/contoso/server:1.1`, `image = "` + pinned + `" # ghcr.io/contoso/server:1.2`},
		{"a comment of one's own", `image = "ghcr.io/contoso/server:1.2" // ours`, `image = "` + pinned + `" // ours`},
		{"a word of one's own", `image = "ghcr.io/contoso/server:1.2" # ours`, `image = "` + pinned + `" # ours`},
		{"a word behind a digest", `image = "ghcr.io/contoso/server@sha256:4567" # ours`, `image = "` + pinned + `" # ours`},
		{"an expression", `image = "ghcr.io/contoso/${local.name}"`, ""},
		{"CRLF", `image = "ghcr.io/contoso/server@sha256:4567" # ghcr.io/contoso/server:1.1` + "\r", `image = "` + pinned + `" # ghcr.io/contoso/server:1.2` + "\r"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := func(line string) string {
				return "locals {\n  name = \"server\"\n}\nupstream \"a\" {\n  container {\n    " + line + "\n    pids  = 10\n  }\n}\n"
			}
			path := filepath.Join(t.TempDir(), "gateway.hcl")
			if err := os.WriteFile(path, []byte(file(test.before)), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := Load([]string{path}, func(string) (string, bool) { return "", false })
			if err != nil {
				t.Fatal(err)
			}
			image := c.Images()[0]
			if image.Upstream != "a" || image.File != path || image.Line != 6 {
				t.Errorf("the image is at %+v", image)
			}
			got, err := image.Pin([]byte(file(test.before)), pinned, "ghcr.io/contoso/server:1.2")
			switch {
			case test.after == "" && (err == nil || !strings.Contains(err.Error(), "gateway.hcl:6: the image is not written out here; write \""+pinned+"\" in its place")):
				t.Errorf("error %v", err)
			case test.after != "" && string(got) != file(test.after):
				t.Errorf("%v\n%s", err, got)
			}
			_, want, _ := strings.Cut(strings.TrimSpace(test.before), " # ")
			if want == "ours" {
				want = ""
			}
			if from := image.PinnedFrom([]byte(file(test.before))); from != want {
				t.Errorf("pinned from %q, want %q", from, want)
			}
		})
	}
}

func TestPinJSON(t *testing.T) {
	const text = `{"upstream": {"a": {"container": {"image": "server:1"}}}}`
	path := filepath.Join(t.TempDir(), "gateway.hcl.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load([]string{path}, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Images()[0].Pin([]byte(text), "server@sha256:0123", "server:1")
	if want := strings.Replace(text, "server:1", "server@sha256:0123", 1); err != nil || string(got) != want {
		t.Errorf("%v, %s, want %s", err, got, want)
	}
}
