package upstream

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// Pinned returns the reference of a container's image by its digest, such as
// "ghcr.io/contoso/server@sha256:…", for the image that its tag stands for now:
// the one that is there, or else, and with PullAlways, the registry's, which is
// pulled. progress gets what the engine says meanwhile.
func (cs *Containers) Pinned(ctx context.Context, c *Container, progress func(string)) (string, error) {
	c = c.withDefaults()
	facts, err := cs.fetch(ctx, c, progress)
	if err != nil {
		return "", err
	}
	repository := RepositoryOf(c.Image)
	for _, ref := range facts.Digests {
		if name, digest, ok := strings.Cut(ref, "@"); ok && familiar(name) == familiar(repository) {
			return repository + "@" + digest, nil
		}
	}
	return "", fmt.Errorf("the image %s has no digest: it was built or loaded here, and digests are given by registries; push it to one, and pull it from there", c.Image)
}

// IsPinned reports whether a reference names an image by its digest.
func IsPinned(ref string) bool { return strings.Contains(ref, "@sha256:") }

var tagPattern = regexp.MustCompile(`:[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// RepositoryOf is a reference without its tag and digest.
func RepositoryOf(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	return tagPattern.ReplaceAllString(ref, "") // a port is followed by a slash
}

// familiar is the name of a repository without what the engines add to a short one.
func familiar(name string) string {
	for _, prefix := range []string{"docker.io/", "library/", "localhost/"} {
		name = strings.TrimPrefix(name, prefix)
	}
	return name
}
