package upstream_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/upstream"
)

func TestPinned(t *testing.T) {
	const digest = "@sha256:0123"
	for _, test := range []struct {
		image, digests, want string
	}{
		{"server", `["server@sha256:0123"]`, "server" + digest},
		{"alpine:3.20", `["alpine@sha256:0123"]`, "alpine" + digest},
		{"docker.io/library/alpine:3.20", `["alpine@sha256:0123"]`, "docker.io/library/alpine" + digest},
		{"alpine", `["docker.io/library/alpine@sha256:0123"]`, "alpine" + digest},
		{"localhost:5000/a/b", `["ghcr.io/a/b@sha256:4567","localhost:5000/a/b@sha256:0123"]`, "localhost:5000/a/b" + digest},
		{"localhost:5000/a/b:1", `["localhost:5000/a/b@sha256:0123"]`, "localhost:5000/a/b" + digest},
		{"server:1", `["other@sha256:4567"]`, "has no digest"},
		{"server:1", `null`, "the image server:1 has no digest: it was built or loaded here"},
	} {
		e := newEngine(t)
		name := strings.ReplaceAll(test.image, "/", "_")
		e.write(t, "images/"+name, fmt.Sprintf(`{"User":"","Digests":%s}`, test.digests))
		c := e.boxed("").Container
		c.Image = test.image
		got, err := upstream.NewContainers(0, slog.New(slog.DiscardHandler)).Pinned(t.Context(), c, func(string) {})
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s, of which the engine knows %s: %s, want %s", test.image, test.digests, got, test.want)
		}
	}
}

func TestRepositoryOf(t *testing.T) {
	for ref, want := range map[string]string{
		"a": "a", "a:1": "a", "h:5000/a": "h:5000/a", "h:5000/a:1": "h:5000/a", "h:5000/a:1@sha256:0": "h:5000/a", "a@sha256:0": "a",
	} {
		if got := upstream.RepositoryOf(ref); got != want {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
	}
}
